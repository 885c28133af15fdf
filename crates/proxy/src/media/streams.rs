//! The table of streams of a node. It is bounded: when it is full, those that nobody has asked for
//! the longest go.

use super::stream::{Manifest, Stream, StreamView, is_multivariant};
use crate::normalize::Ask;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Folders that are known at a time.
const FOLDERS_MAX: usize = 4096;
/// Memory of all tracks; a manifest beyond it is known without them.
const TRACKS_BYTES_MAX: usize = 64 << 20;
/// Folders that one manifest may lead into.
const LED_MAX: usize = 64;

/// All streams of a node.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    table: Mutex<HashMap<Box<str>, Arc<Stream>>>,
    hasher: foldhash::fast::RandomState,
    track_bytes: Arc<AtomicUsize>,
    /// Objects that are fetched ahead now.
    running: AtomicUsize,
}

/// Memory that is taken as long as this lives.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Relaxed);
    }
}

/// Where an object of a stream is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) site: &'a str,
    pub(super) host: &'a str,
    /// Path and query, as in keys.
    pub(super) path: &'a str,
}

impl<'a> Address<'a> {
    pub(super) fn of(ask: &'a Ask) -> Self {
        Self { site: &ask.site.name, host: &ask.host, path: &ask.path_and_query }
    }

    /// The folder that it is in.
    pub(super) fn folder(self) -> &'a str {
        folder_of(self.path)
    }

    fn key(self, folder: &str) -> String {
        format!("{}\0{}{folder}", self.site, self.host)
    }
}

/// The path up to its last slash.
pub(super) fn folder_of(path_and_query: &str) -> &str {
    let path = path_and_query.split('?').next().unwrap_or_default();
    path.rfind('/').map_or("/", |end| &path[..=end])
}

impl Streams {
    /// The stream that an object belongs to, if it is known.
    pub(super) fn find(&self, at: Address<'_>) -> Option<Arc<Stream>> {
        self.lock().get(at.key(at.folder()).as_str()).cloned()
    }

    /// The stream of an object, known from now on.
    pub(super) fn of(&self, at: Address<'_>, now_ms: u64) -> Arc<Stream> {
        self.in_folder(at, at.folder(), now_ms)
    }

    fn in_folder(&self, at: Address<'_>, folder: &str, now_ms: u64) -> Arc<Stream> {
        let mut table = self.lock();
        let key = at.key(folder);
        if let Some(known) = table.get(key.as_str()) {
            return Arc::clone(known);
        }
        make_room(&mut table);
        let stream = Arc::new(Stream::new(at.site, at.host, folder, now_ms));
        table.insert(key.into(), Arc::clone(&stream));
        stream
    }

    /// Puts a stream that was dropped back, because somebody asks for it again.
    pub(super) fn revive(&self, stream: &Arc<Stream>) {
        let mut table = self.lock();
        make_room(&mut table);
        let key = format!("{}\0{}{}", stream.site, stream.host, stream.folder);
        table.entry(key.into()).or_insert_with(|| Arc::clone(stream));
        stream.is_gone.store(false, Relaxed);
    }

    /// A manifest leads to these objects: their folders belong to its stream.
    pub(super) fn lead(
        &self,
        at: Address<'_>,
        manifest: &Arc<Manifest>,
        to: &[String],
        now_ms: u64,
    ) {
        let own = at.folder();
        let folders: BTreeSet<&str> = to.iter().map(|path| folder_of(path)).collect();
        for folder in folders.into_iter().filter(|folder| *folder != own).take(LED_MAX) {
            let stream = self.in_folder(at, folder, now_ms);
            stream.set_top(own);
            if !is_multivariant(&manifest.facts) {
                stream.adopt(manifest);
            }
        }
    }

    /// What a media playlist says of its stream, to the multivariant playlist above it.
    pub(super) fn tell_top(&self, at: Address<'_>, stream: &Stream, manifest: &Manifest) {
        if let Some(folder) = stream.top()
            && let Some(top) = self.lock().get(at.key(&folder).as_str())
        {
            top.set_sample(manifest.facts);
        }
    }

    /// Room for tracks of so many bytes, if there is any.
    pub(super) fn room(&self, bytes: usize) -> Option<Room> {
        let room = Room { bytes, taken: Arc::clone(&self.track_bytes) };
        let before = self.track_bytes.fetch_add(bytes, Relaxed);
        (before.saturating_add(bytes) <= TRACKS_BYTES_MAX).then_some(room)
    }

    /// One more object is to be fetched ahead: how many are already. It ends with
    /// [`Streams::end`].
    pub(super) fn begin(&self) -> usize {
        self.running.fetch_add(1, Relaxed)
    }

    pub(super) fn end(&self) {
        self.running.fetch_sub(1, Relaxed);
    }

    /// A hash that nobody outside can foresee.
    pub(super) fn hash(&self, of: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// All streams, those with most viewers first.
    pub(crate) fn view(&self, now_ms: u64) -> Vec<StreamView> {
        let table: HashMap<Box<str>, Arc<Stream>> = self.lock().clone();
        let mut below: HashMap<&str, Vec<Arc<Stream>>> = HashMap::new();
        let mut tops = Vec::new();
        for (key, stream) in &table {
            let top =
                stream.top().map(|folder| format!("{}\0{}{folder}", stream.site, stream.host));
            match top.and_then(|top| table.get_key_value(top.as_str())) {
                Some((top, _)) => below.entry(top).or_default().push(Arc::clone(stream)),
                None => tops.push((&**key, stream)),
            }
        }
        let view = |(key, stream): (&str, &Arc<Stream>)| {
            stream.view(below.get(key).map_or(&[], |below| below), now_ms)
        };
        let mut views: Vec<StreamView> = tops.into_iter().map(view).collect();
        let order = |it: &StreamView| {
            (std::cmp::Reverse(it.viewers), it.site.clone(), it.host.clone(), it.folder.clone())
        };
        views.sort_by_cached_key(order);
        views
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Stream>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops a quarter of the table when it is full: those that nobody has asked for the longest.
fn make_room(table: &mut HashMap<Box<str>, Arc<Stream>>) {
    if table.len() < FOLDERS_MAX {
        return;
    }
    let mut times: Vec<u64> = table.values().map(|stream| stream.asked_ms()).collect();
    let (older, &mut quarter, _) = times.select_nth_unstable(FOLDERS_MAX / 4);
    let older = older.iter().filter(|asked_ms| **asked_ms < quarter).count();
    let mut others = FOLDERS_MAX / 4 - older;
    table.retain(|_, stream| {
        let asked_ms = stream.asked_ms();
        let goes = asked_ms < quarter || asked_ms == quarter && others > 0;
        if goes {
            others = others.saturating_sub(usize::from(asked_ms == quarter));
            stream.is_gone.store(true, Relaxed);
        }
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Address<'_> {
        Address { site: "s", host: "h", path }
    }

    #[test]
    fn a_folder_is_the_path_up_to_its_last_slash() {
        assert_eq!(folder_of("/a/b/c.ts?x=/d/"), "/a/b/");
        assert_eq!(folder_of("/c.ts"), "/");
        assert_eq!(folder_of(""), "/");
    }

    #[test]
    fn a_full_table_forgets_those_nobody_asks_for() {
        let streams = Streams::default();
        let paths: Vec<String> = (0..FOLDERS_MAX + 1).map(|n| format!("/{n}/a.ts")).collect();
        let kept = streams.of(at(&paths[0]), 0);
        for (now_ms, path) in paths.iter().enumerate().skip(1) {
            kept.asked(u64::try_from(now_ms * 1000).unwrap_or(0));
            streams.of(at(path), u64::try_from(now_ms * 1000).unwrap_or(0));
        }
        assert!(streams.lock().len() <= FOLDERS_MAX);
        assert!(streams.find(at(&paths[0])).is_some(), "it was asked for all the time");
        assert!(streams.find(at(&paths[1])).is_none() && streams.find(at(&paths[4000])).is_some());
    }

    #[test]
    fn who_still_has_a_forgotten_stream_puts_it_back() {
        let streams = Streams::default();
        let first = streams.of(at("/first/a.ts"), 0);
        (0..FOLDERS_MAX).for_each(|n| drop(streams.of(at(&format!("/{n}/a.ts")), 1)));
        assert!(first.is_gone.load(Relaxed) && streams.find(at("/first/a.ts")).is_none());
        streams.revive(&first);
        assert!(streams.find(at("/first/b.ts")).is_some_and(|it| Arc::ptr_eq(&it, &first)));
    }
}
