//! An entry as bytes, and back: what a record of the disk tier holds.
//!
//! Reading takes any bytes. What was not written here is an error, never a panic, and no count in
//! the bytes makes it allocate more than the bytes themselves could fill. What is read is checked
//! again for what the store relies on: encoded copies have their source, lengths agree.
//!
//! Small bodies are in the record, behind the heads; the slices of larger ones have records of
//! their own and are found by the body's name. All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 4 + n | full key |
//! | 2, 2 | number of variants, of encoded copies |
//! | for each object: | |
//! | 2 | status |
//! | 16 | name of the body |
//! | 8 | length of the body |
//! | 1 | form of the body: 0 at the end of the record, 1 in slices of its own |
//! | 1 (+ 16) | 0 as received, else coding 1 br, 2 gzip, 3 zstd and the body it was made from |
//! | 8, 8 | purge revision and time at which the fetch began |
//! | 42 | freshness (`policy::Meta`) |
//! | n | what selects it (`policy::Selecting`) |
//! | 2 + 8n | tags |
//! | 2 + n | number of fields, fields (`fields.rs`) |
//! | 1 (+ 2 + n) | whether there are trailers; their fields |
//! | then | the bodies of form 0, in the order of the objects |

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use selvedge_policy::{Coding, Meta, Selecting};

use crate::body::{Body, SLICE_BYTES};
use crate::disk::{PAYLOAD_BYTES_MAX, POOLED_BYTES_MIN, POOLED_STEP_BYTES};
use crate::entry::Entry;
use crate::fields::Fields;
use crate::head::{BodyId, Derived, Head};
use crate::memo::Memo;
use crate::object::Object;

/// Bodies up to this length are in the record of their entry.
pub(crate) const INLINE_BYTES_MAX: u64 = 64 << 10;

/// Sum of the bodies in one record; what comes beyond goes into slices whatever its length.
const INLINE_SUM_MAX: u64 = 1 << 20;

/// Most that heads and bodies of one record may take together.
const RECORD_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - (64 << 10);

const VERSION: u8 = 1;
const FIELDS_MAX: usize = 4096;
const TAGS_MAX: usize = 4096;

/// An entry as it is written.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The payload of its record, in parts.
    pub(crate) payload: Vec<Bytes>,
    /// Objects whose bodies must be stored as slices for the record to be of use.
    pub(crate) apart: Vec<Arc<Object>>,
}

/// Writes an entry; `None` if it has no objects, or not one that fits a record. What does not fit
/// is left out, oldest first.
pub(crate) fn encode(entry: &Entry) -> Option<Encoded> {
    let mut variants = entry.variants();
    let mut encoded = entry.encoded_copies();
    loop {
        if variants.is_empty() {
            return None;
        }
        if let Some(done) = encode_some(entry.full_key(), variants, encoded) {
            return Some(done);
        }
        // Copies that can be made again go first.
        if encoded.is_empty() {
            variants = &variants[..variants.len() - 1];
        } else {
            encoded = &[];
        }
    }
}

fn encode_some(
    full_key: &[u8],
    variants: &[Arc<Object>],
    encoded: &[Arc<Object>],
) -> Option<Encoded> {
    let mut head = Vec::with_capacity(1024);
    let (mut bodies, mut apart, mut inline) = (Vec::new(), Vec::new(), 0);
    head.push(VERSION);
    push_long(&mut head, full_key)?;
    push_count(&mut head, variants.len())?;
    push_count(&mut head, encoded.len())?;
    for object in variants.iter().chain(encoded) {
        let length = object.body.len();
        let held = object.body.sliced().is_none();
        let is_inline = held && length <= INLINE_BYTES_MAX && inline + length <= INLINE_SUM_MAX;
        push_object(&mut head, object, is_inline)?;
        if is_inline {
            inline += length;
            bodies.extend(object.body.all());
        } else if held {
            apart.push(object.clone());
        }
    }
    if head.len() + inline as usize > RECORD_BYTES_MAX {
        return None;
    }
    bodies.insert(0, Bytes::from(head));
    Some(Encoded { payload: bodies, apart })
}

fn push_object(out: &mut Vec<u8>, object: &Object, is_inline: bool) -> Option<()> {
    let head = &object.head;
    out.extend_from_slice(&head.status.as_u16().to_le_bytes());
    out.extend_from_slice(&head.body_id.0.to_le_bytes());
    out.extend_from_slice(&object.body.len().to_le_bytes());
    out.push(u8::from(!is_inline));
    match head.derived {
        None => out.push(0),
        Some(Derived { source, coding }) => {
            out.push(coding_number(coding));
            out.extend_from_slice(&source.0.to_le_bytes());
        }
    }
    out.extend_from_slice(&head.revision.to_le_bytes());
    out.extend_from_slice(&head.started_mono_ms.to_le_bytes());
    out.extend_from_slice(&head.meta.to_persisted());
    head.selecting.persist(out);
    push_count(out, head.tags.len()).filter(|()| head.tags.len() <= TAGS_MAX)?;
    head.tags.iter().for_each(|tag| out.extend_from_slice(&tag.to_le_bytes()));
    push_fields(out, &head.headers)?;
    out.push(u8::from(object.trailers.is_some()));
    match &object.trailers {
        Some(fields) => push_fields(out, fields),
        None => Some(()),
    }
}

fn push_fields(out: &mut Vec<u8>, fields: &Fields) -> Option<()> {
    push_count(out, fields.count()).filter(|()| fields.count() <= FIELDS_MAX)?;
    out.extend_from_slice(fields.raw());
    Some(())
}

fn push_count(out: &mut Vec<u8>, count: usize) -> Option<()> {
    out.extend_from_slice(&u16::try_from(count).ok()?.to_le_bytes());
    Some(())
}

fn push_long(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

const fn coding_number(coding: Coding) -> u8 {
    match coding {
        Coding::Brotli => 1,
        Coding::Gzip => 2,
        Coding::Zstd => 3,
    }
}

/// Reads what [`encode`] has written; `None` for all other bytes.
///
/// A single object keeps views of the payload, which spares the copies. With several, each has
/// memory of its own: what is left of them must not hold what was removed.
pub(crate) fn decode(payload: &Bytes) -> Option<Entry> {
    let mut reader = Reader { rest: payload, shared: None };
    if reader.take::<1>()? != [VERSION] {
        return None;
    }
    let full_key = reader.long()?;
    let (variants, encoded) = (reader.count()?, reader.count()?);
    reader.shared = (variants + encoded == 1).then_some(payload);
    let mut objects = Vec::new();
    for index in 0..variants + encoded {
        let object = reader.object()?;
        if object.head.derived.is_some() != (index >= variants) {
            return None;
        }
        objects.push(object);
    }
    let mut read = Vec::with_capacity(objects.len());
    for object in objects {
        read.push(Arc::new(reader.with_body(object)?));
    }
    let encoded = read.split_off(variants);
    let is_whole = variants > 0 && reader.rest.is_empty();
    let beside = if reader.shared.is_some() { beside_bytes(payload.len()) } else { 0 };
    let entry = is_whole.then(|| Entry::recalled(full_key, read, encoded, beside))?;
    entry.has_all_sources().then_some(entry)
}

/// An object whose body has not been read yet.
struct Bodiless {
    head: Head,
    trailers: Option<Fields>,
    length: u64,
    is_inline: bool,
}

/// What a buffer that a payload was read into holds beside the fields and the body of its object,
/// at most: the record's header, names and times, and room at its end.
fn beside_bytes(payload_bytes: usize) -> usize {
    512 + if payload_bytes < POOLED_BYTES_MIN { 0 } else { POOLED_STEP_BYTES }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// What the rest is a view of, if views of it may be kept.
    shared: Option<&'a Bytes>,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.take::<1>()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn count(&mut self) -> Option<usize> {
        self.take().map(|bytes| usize::from(u16::from_le_bytes(bytes)))
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn body_id(&mut self) -> Option<BodyId> {
        self.take().map(|bytes| BodyId(u128::from_le_bytes(bytes)))
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take()?);
        self.slice(usize::try_from(length).ok()?)
    }

    fn object(&mut self) -> Option<Bodiless> {
        let status = StatusCode::from_u16(u16::from_le_bytes(self.take()?)).ok()?;
        let body_id = self.body_id()?;
        let length = self.number()?;
        let is_inline = !self.flag()?;
        let coding = match self.take::<1>()? {
            [0] => None,
            [1] => Some(Coding::Brotli),
            [2] => Some(Coding::Gzip),
            [3] => Some(Coding::Zstd),
            _ => return None,
        };
        let derived = match coding {
            Some(coding) => Some(Derived { source: self.body_id()?, coding }),
            None => None,
        };
        let (revision, started_mono_ms) = (self.number()?, self.number()?);
        let meta = Meta::from_persisted(&self.take()?)?;
        let selecting = Selecting::take_persisted(&mut self.rest)?;
        let tags = self.tags()?;
        let headers = self.fields()?;
        let trailers = if self.flag()? { Some(self.fields()?) } else { None };
        let head = Head {
            status,
            headers,
            meta,
            body_id,
            length: Some(length),
            derived,
            revision,
            started_mono_ms,
            selecting,
            tags,
            memo: Memo::default(),
        };
        Some(Bodiless { head, trailers, length, is_inline })
    }

    fn tags(&mut self) -> Option<Arc<[u64]>> {
        let count = self.count().filter(|count| *count <= TAGS_MAX)?;
        let tags = self.slice(count * 8)?.chunks_exact(8);
        let number = |tag: &[u8]| tag.first_chunk().map(|tag| u64::from_le_bytes(*tag));
        Some(tags.filter_map(number).collect())
    }

    fn fields(&mut self) -> Option<Fields> {
        let count = self.count().filter(|count| *count <= FIELDS_MAX)?;
        let shared = self.shared;
        Fields::take(&mut self.rest, count, |raw| kept(shared, raw))
    }

    fn with_body(&mut self, object: Bodiless) -> Option<Object> {
        let Bodiless { head, trailers, length, is_inline } = object;
        let body = if is_inline {
            let length = usize::try_from(length).ok().filter(|it| *it <= SLICE_BYTES)?;
            match self.slice(length)? {
                [] => Body::default(),
                bytes => Body::from_slices(vec![kept(self.shared, bytes)]),
            }
        } else {
            Body::apart(head.body_id, length)
        };
        let trailers = trailers.filter(|fields| fields.count() > 0).map(Arc::new);
        Some(Object { head: Arc::new(head), body, trailers })
    }
}

/// Bytes that outlive the reading.
fn kept(shared: Option<&Bytes>, bytes: &[u8]) -> Bytes {
    match shared {
        Some(shared) => shared.slice_ref(bytes),
        None => Bytes::copy_from_slice(bytes),
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
pub(crate) mod tests;
