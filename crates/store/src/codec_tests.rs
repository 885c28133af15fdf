//! What is written comes back; nothing else is taken for it.

use super::*;
use crate::entry::EntryLimits;
use crate::support::{fields, pattern, storable_for};
use proptest::prelude::*;

const LIMITS: EntryLimits = EntryLimits { variants_max: 64, bytes_max: u64::MAX };

fn object(vary: &str, value: &str, body: usize, trailers: bool, tags: usize) -> Arc<Object> {
    let req = fields(&[("x-a", value)]);
    let resp: &[(&'static str, &str)] = match vary {
        "" => &[("content-type", "text/html"), ("set-thing", "a"), ("set-thing", "b")],
        _ => &[("vary", "x-a"), ("etag", "\"1\"")],
    };
    let (status, headers, meta, selecting) = storable_for(&req, resp).into_parts();
    let head = Head {
        status,
        headers: Fields::of(&headers),
        meta,
        body_id: BodyId::fresh(),
        length: Some(body as u64),
        derived: None,
        revision: 7,
        started_mono_ms: 900,
        selecting,
        tags: (0..tags as u64).collect(),
        memo: Memo::default(),
    };
    let trailers = trailers.then(|| Arc::new(Fields::of(&fields(&[("x-sum", "1")]))));
    Arc::new(Object { head: Arc::new(head), body: Body::copied(&pattern(body)), trailers })
}

/// Freshness of a response that came at this time.
pub(crate) fn sample_meta(received_ms: u64) -> Meta {
    let mut bytes = object("", "", 0, false, 0).meta.to_persisted();
    bytes[8..16].copy_from_slice(&received_ms.to_le_bytes());
    Meta::from_persisted(&bytes).expect("a time is no flag")
}

fn copy_of(source: &Object, coding: Coding, body: usize) -> Arc<Object> {
    let head = source.encoded(coding, &fields(&[("content-encoding", coding.token())]));
    let head = Head { length: Some(body as u64), ..head };
    let body = Body::copied(&pattern(body));
    Arc::new(Object { head: Arc::new(head), body, trailers: None })
}

fn entry(objects: &[Arc<Object>], copies: &[Arc<Object>]) -> Entry {
    let mut entry = Entry::new(b"full key");
    for object in objects.iter().rev() {
        entry.put(object.clone(), LIMITS);
    }
    for copy in copies.iter().rev() {
        entry.put_encoded(copy.clone(), LIMITS);
    }
    entry
}

fn bytes(entry: &Entry) -> Bytes {
    encode(entry).expect("it fits").payload.concat().into()
}

/// Everything of an object that can be compared, and its body as far as it is held.
fn shown(object: &Object) -> String {
    let Head { memo: _, headers, meta, body_id, length, derived, .. } = &*object.head;
    let mut fields: Vec<_> = headers.iter().collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    let head = &object.head;
    let body: Vec<u8> = object.body.all().flat_map(Vec::from).collect();
    format!(
        "{fields:?} {meta:?} {body_id:?} {length:?} {derived:?} {:?} {} {} {:?} {:?} {:?} {:?} {}",
        head.status,
        head.revision,
        head.started_mono_ms,
        head.selecting,
        head.tags,
        object.trailers,
        object.body.sliced(),
        body.len(),
    )
}

fn all(entry: &Entry) -> Vec<String> {
    entry.variants().iter().chain(entry.encoded_copies()).map(|object| shown(object)).collect()
}

fn sample() -> Entry {
    let plain = object("x-a", "1", 3000, true, 3);
    let copies = [copy_of(&plain, Coding::Zstd, 900), copy_of(&plain, Coding::Brotli, 0)];
    entry(&[plain, object("x-a", "2", 0, false, 0)], &copies)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_comes_back(
        variants in proptest::collection::vec((0usize..5000, any::<bool>(), 0usize..5), 1..6),
        copies in proptest::collection::vec((0usize..6, 0usize..3, 0usize..3000), 0..4),
        plain in any::<bool>(),
    ) {
        let vary = if plain && variants.len() == 1 { "" } else { "x-a" };
        let objects: Vec<_> = variants.iter().enumerate().map(|(index, (body, trailers, tags))| {
            object(vary, &index.to_string(), *body, *trailers, *tags)
        }).collect();
        let copies: Vec<_> = copies.iter().map(|(of, coding, body)| {
            copy_of(&objects[of % objects.len()], Coding::ALL[*coding], *body)
        }).collect();
        let entry = entry(&objects, &copies);
        let again = decode(&bytes(&entry)).expect("what was written is read");
        prop_assert_eq!(again.full_key(), entry.full_key());
        prop_assert_eq!(all(&again), all(&entry));
        prop_assert_eq!(bytes(&again), bytes(&entry));
    }

    #[test]
    fn any_bytes_are_an_entry_or_none(
        bytes in proptest::collection::vec(prop_oneof![0_u8..3, any::<u8>()], 0..300),
        versioned in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if versioned && let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let _ = decode(&bytes.into());
    }

    /// Whatever is changed in it, reading ends, and what is read could have been written.
    #[test]
    fn a_changed_record_is_an_entry_or_none(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes(&sample()).to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let length = bytes.len();
        if let Some(entry) = decode(&bytes.into()) {
            prop_assert_eq!(self::bytes(&entry).len(), length);
        }
    }
}

#[test]
fn no_part_of_a_record_is_taken_for_it_and_nothing_may_follow() {
    let whole = bytes(&sample());
    for end in 0..whole.len() {
        assert!(decode(&whole.slice(..end)).is_none(), "{end} of {}", whole.len());
    }
    assert!(decode(&whole).is_some());
    let longer = [&whole[..], &[0]].concat();
    assert!(decode(&longer.into()).is_none());
    let mut other = whole.to_vec();
    other[0] = VERSION + 1;
    assert!(decode(&other.into()).is_none());
}

/// A length that lies is found before memory is taken for it.
#[test]
fn a_length_of_the_body_that_lies_is_refused() {
    let plain = object("", "", 10, false, 0);
    let mut whole = bytes(&entry(&[plain], &[])).to_vec();
    let place = 1 + 4 + 8 + 2 + 2 + 2 + 16;
    assert_eq!(whole[place], 10);
    for length in [9, 11, 1 << 20, 1 << 40, u64::MAX] {
        whole[place..place + 8].copy_from_slice(&length.to_le_bytes());
        assert!(decode(&whole.clone().into()).is_none(), "{length}");
    }
}

/// One object keeps the payload it was read from, several keep nothing of it.
#[test]
fn a_single_object_is_a_view_of_its_record() {
    let pinned = |objects: &[Arc<Object>]| {
        let payload = bytes(&entry(objects, &[]));
        let again = decode(&payload).expect("what was written is read");
        let body = again.variants()[0].body.single().expect("a short body").as_ptr();
        (payload.as_ptr_range().contains(&body), again.sealed().weight(), payload.len() as u64)
    };
    let one = object("x-a", "1", 900, false, 3);
    let (is_view, weight, held) = pinned(std::slice::from_ref(&one));
    assert!(is_view && weight > held, "{weight} {held}");
    assert!(!pinned(&[one, object("x-a", "2", 900, false, 3)]).0);
}

#[test]
fn large_bodies_are_left_to_slices() {
    let (small, large) = (INLINE_BYTES_MAX as usize, INLINE_BYTES_MAX as usize + 1);
    let objects = [object("x-a", "1", small, false, 0), object("x-a", "2", large, false, 0)];
    let written = encode(&entry(&objects, &[])).expect("it fits");
    assert_eq!(written.apart.len(), 1);
    assert!(Arc::ptr_eq(&written.apart[0], &objects[1]));
    let again = decode(&written.payload.concat().into()).expect("what was written is read");
    assert_eq!(again.variants()[0].body.sliced(), None);
    assert_eq!(again.variants()[1].body.sliced(), Some(objects[1].body_id));
    assert_eq!(again.variants()[1].body.len(), large as u64);
    // Written again, it stays what it is.
    let twice = encode(&again).expect("it fits");
    assert!(twice.apart.is_empty());
    assert_eq!(twice.payload.concat(), written.payload.concat());
}

#[test]
fn many_small_bodies_do_not_make_a_large_record() {
    let objects: Vec<_> = (0..40)
        .map(|index| object("x-a", &index.to_string(), INLINE_BYTES_MAX as usize, false, 0))
        .collect();
    let written = encode(&entry(&objects, &[])).expect("it fits");
    assert_eq!(written.apart.len(), 40 - 16);
    assert!(written.payload.iter().map(Bytes::len).sum::<usize>() < 2 << 20);
}

#[test]
fn an_entry_without_objects_is_not_written() {
    let mut entry = Entry::new(b"key");
    entry.pass_until(5);
    assert!(encode(&entry).is_none());
}
