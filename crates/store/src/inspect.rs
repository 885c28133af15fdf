//! Looking into the store without changing it: for operators who ask what is stored and why it is
//! or is not served. Nothing here counts as use.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use selvedge_policy::Key;
use tokio::sync::oneshot;

use crate::body::SLICE_BYTES;
use crate::codec;
use crate::disk::{Cursor, Kind, RecordHead, Totals, Verified};
use crate::entry::Entry;
use crate::object::Object;
use crate::slice::{PIECE_HEADER_BYTES, Piece, SliceId};
use crate::store::Store;

/// What is stored under a key, and where.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Whether the memory tier has it.
    pub in_memory: bool,
    /// Whether the disk tier has it.
    pub on_disk: bool,
}

/// A page of a walk over all entries.
#[derive(Debug, Default)]
pub struct EntryPage {
    /// The entries, each with its key, in no particular order.
    pub entries: Vec<Inspected>,
    /// Records that were looked at, slices included.
    pub looked_at: u64,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

impl Store {
    /// What is stored under a key, in whatever tier; purges that cover it are in force.
    pub async fn inspect(&self, key: Key, full_key: &[u8]) -> Option<Inspected> {
        let on_disk = self.tier.as_ref().is_some_and(|tier| tier.has(key));
        let in_memory = self.memory.peek(key).filter(|entry| entry.full_key() == full_key);
        if let Some(entry) = in_memory.and_then(|entry| self.clean(entry)) {
            return Some(Inspected { entry, in_memory: true, on_disk });
        }
        let entry = self.read_entry(key).await?;
        let entry = self.clean(entry)?;
        (entry.full_key() == full_key).then_some(Inspected { entry, in_memory: false, on_disk })
    }

    /// Entries of the memory tier, at most `max` of them.
    pub fn memory_page(&self, max: usize) -> EntryPage {
        let on_disk = |key| self.tier.as_ref().is_some_and(|tier| tier.has(key));
        let entries: Vec<Inspected> = self
            .memory
            .entries()
            .filter_map(|(key, entry)| {
                let entry = self.clean(entry)?;
                Some(Inspected { entry, in_memory: true, on_disk: on_disk(key) })
            })
            .take(max)
            .collect();
        EntryPage { looked_at: entries.len() as u64, entries, next: None }
    }

    /// Entries of the disk tier, by looking at `max` records from `cursor` on.
    pub async fn disk_page(self: &Arc<Self>, cursor: Cursor, max: usize) -> EntryPage {
        let (store, (walked, heads)) = (self.clone(), oneshot::channel());
        // It reads segment after segment: on a thread that may wait.
        let walk = move || {
            let tier = store.tier.as_ref()?;
            walked.send(tier.disks().walk(cursor, max)).ok()
        };
        let thread = std::thread::Builder::new().name("store-walk".to_owned()).spawn(walk);
        let heads = if thread.is_ok() { heads.await.ok() } else { None };
        let Some((heads, next)) = heads else { return EntryPage::default() };
        let mut page = EntryPage { next, looked_at: heads.len() as u64, ..EntryPage::default() };
        for RecordHead { key, .. } in heads.into_iter().filter(|head| head.kind == Kind::Entry) {
            let Some(entry) = self.read_entry(Key(key)).await else { continue };
            let in_memory = self.memory.peek(Key(key)).is_some();
            if let Some(entry) = self.clean(entry) {
                page.entries.push(Inspected { entry, in_memory, on_disk: true });
            }
        }
        page
    }

    /// Which bytes of a body are stored, as ranges that do not touch; at most `max` of them. A body
    /// in one piece is one range.
    pub async fn extents(&self, object: &Object, max: usize) -> Vec<Range<u64>> {
        let length = object.body.len();
        if object.body.sliced().is_none() {
            return std::iter::once(0..length).filter(|all| !all.is_empty()).collect();
        }
        let mut extents: Vec<Range<u64>> = Vec::new();
        for index in 0..length.div_ceil(SLICE_BYTES as u64) {
            let id = SliceId { body: object.body_id, index };
            let Some(range) = self.stored_part(id).await else { continue };
            let touching = extents.last_mut().filter(|last| last.end == range.start);
            if let Some(last) = touching {
                last.end = range.end;
            } else if extents.len() == max {
                break;
            } else {
                extents.push(range);
            }
        }
        extents
    }

    /// Sums over the disks; `None` when there are none.
    pub fn disk_totals(&self) -> Option<Totals> {
        self.tier.as_ref().map(|tier| tier.disks().totals())
    }

    /// Reads everything on the disks and compares every checksum; blocks the thread, for long.
    /// `progress` is called now and then and ends it by false. What is damaged is forgotten.
    pub fn verify(&self, progress: &mut dyn FnMut(Verified) -> bool) -> Verified {
        self.tier.as_ref().map_or_else(Verified::default, |tier| tier.disks().verify(progress))
    }

    async fn read_entry(&self, key: Key) -> Option<Arc<Entry>> {
        let found = self.tier.as_ref()?.disks().peek(key.0)?;
        let bytes = found.read(0..u32::MAX).bytes().await.ok()?;
        codec::decode(&bytes).map(Entry::sealed)
    }

    /// Which bytes of the body are stored of one slice.
    async fn stored_part(&self, id: SliceId) -> Option<Range<u64>> {
        if let Some(piece) = self.memory.peek_slice(id) {
            return Some(piece.first()..piece.end());
        }
        let found = self.tier.as_ref()?.disks().peek(id.key().0)?;
        let header = found.read(0..PIECE_HEADER_BYTES).bytes().await.ok()?;
        let part = Piece::read_header(id, &header)?;
        Some(id.first() + part.start as u64..id.first() + part.end as u64)
    }
}

/// `disk.segment.unit`: what a page names as the place of the next one.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.disk, self.segment, self.unit)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().and_then(|part| part.parse().ok()).ok_or(());
        let (disk, segment, unit) = (next()?, next()?, next()?);
        Ok(Self { disk: disk as usize, segment, unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { disk: 1, segment: 70_000, unit: 12 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.-2.3", "1.2.99999999999"] {
            assert_eq!(bad.parse::<Cursor>(), Err(()), "{bad}");
        }
    }
}
