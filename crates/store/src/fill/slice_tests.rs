//! Fills of slices: who gets which bytes, and what is kept when they end.

use super::*;
use crate::support::{drained, lead, now, once, pattern, resource, storable, store, store_with};
use crate::{BodyId, Object, Settings};
use std::task::Poll;

const SLICE: u64 = SLICE_BYTES as u64;

/// An object of two and a half slices, of which nothing is stored.
fn object(store: &Arc<Store>) -> (Arc<Object>, BodyId) {
    let (writer, _) = lead(store, &resource("big"));
    let body = BodyId::fresh();
    (writer.sliced(storable(), 2 * SLICE + SLICE / 2, body), body)
}

fn begun(store: &Arc<Store>, id: SliceId, bytes: Range<u64>) -> (SliceWriter, FillReader) {
    match store.begin_slice(id, bytes, now()) {
        SliceBegin::Lead(writer, reader) => (writer, reader),
        other => panic!("expected to lead: {other:?}"),
    }
}

fn piece(store: &Store, id: SliceId) -> Option<(u64, u64)> {
    match store.find_slice(id) {
        SliceFound::Memory(piece) => Some((piece.first(), piece.end())),
        SliceFound::Disk(_) | SliceFound::Missing => None,
    }
}

#[test]
fn a_part_is_an_object_whose_slices_are_found_by_its_body() {
    let store = store();
    let of = resource("big");
    let (object, body) = object(&store);
    let entry = store.lookup(of.key, &of.full_key).expect("it is stored");
    assert!(Arc::ptr_eq(&entry.variants()[0], &object));
    assert_eq!((object.body.len(), object.body.sliced()), (2 * SLICE + SLICE / 2, Some(body)));
    assert_eq!((object.length, object.body_id), (Some(object.body.len()), body));
    assert!(object.body.all().next().is_none());
    assert!(entry.weight() < 4096, "it does not weigh what it does not hold");
}

#[test]
fn readers_share_a_slice_while_it_comes_and_find_it_afterwards() {
    let store = store();
    let (object, body) = object(&store);
    let id = SliceId { body, index: 1 };
    let (mut writer, mut first) = begun(&store, id, SLICE..2 * SLICE);
    assert_eq!(store.filling_slice(id), Some(SLICE..2 * SLICE));
    let SliceBegin::Join(mut second, SLICE) = store.begin_slice(id, SLICE..2 * SLICE, now()) else {
        panic!("it is being filled")
    };
    assert!(once(first.chunk()).is_pending());
    let bytes = pattern(SLICE_BYTES);
    assert!(writer.push(bytes.slice(..10)).is_err(), "its source has confirmed nothing");
    writer.open(&object.head, b"big");
    assert!(matches!(writer.push(bytes.slice(..1000)), Ok(false)));
    assert_eq!(writer.missing(), SLICE + 1000..2 * SLICE);
    assert_eq!(drained(&mut first).0, bytes[..1000]);
    assert!(matches!(writer.push(bytes.slice(1000..)), Ok(true)));
    assert_eq!(piece(&store, id), Some((SLICE, 2 * SLICE)));
    assert_eq!(store.filling_slice(id), None);
    let (all, end) = drained(&mut second);
    assert!(all == bytes && matches!(end, Some(Ok(()))));
    drop(writer);
    assert_eq!((store.stats().fills, store.stats().fill_bytes), (0, 0));
    assert!(matches!(store.begin_slice(id, SLICE..2 * SLICE, now()), SliceBegin::Stored));
}

#[test]
fn what_came_before_a_failure_is_kept_and_the_rest_is_added_to_it() {
    let store = store();
    let (object, body) = object(&store);
    let id = SliceId { body, index: 0 };
    let bytes = pattern(SLICE_BYTES);
    let (mut writer, mut reader) = begun(&store, id, 0..SLICE);
    writer.open(&object.head, b"big");
    writer.push(bytes.slice(..5000)).expect("there is room");
    drop(writer);
    let (all, end) = drained(&mut reader);
    assert!(all == bytes[..5000] && matches!(end, Some(Err(FillError::Abandoned))));
    assert_eq!(piece(&store, id), Some((0, 5000)));
    let (mut writer, _) = begun(&store, id, 5000..SLICE);
    writer.open(&object.head, b"big");
    writer.push(bytes.slice(5000..)).expect("there is room");
    let SliceFound::Memory(whole) = store.find_slice(id) else { panic!("it is stored") };
    assert_eq!(whole.from(0), Some(bytes));
}

#[test]
fn a_slice_takes_no_byte_beyond_what_was_asked_for() {
    let store = store();
    let (object, body) = object(&store);
    let id = SliceId { body, index: 2 };
    let (mut writer, mut reader) = begun(&store, id, 2 * SLICE..2 * SLICE + SLICE / 2);
    writer.open(&object.head, b"big");
    let long = pattern(SLICE_BYTES / 2 + 1);
    assert!(matches!(writer.push(long), Err(PushError::Overrun)));
    assert!(matches!(drained(&mut reader).1, Some(Err(FillError::Overrun))));
    assert_eq!(piece(&store, id), None);
}

#[test]
fn fills_of_slices_are_counted_and_bounded() {
    let store = store_with(Settings { fills_max: 2, ..Settings::default() });
    let (_, body) = object(&store);
    let id = |index| SliceId { body, index };
    let (writer, _) = begun(&store, id(0), 0..SLICE);
    let (_writer, _) = begun(&store, id(1), SLICE..2 * SLICE);
    let third = || store.begin_slice(id(2), 2 * SLICE..2 * SLICE + 1, now());
    assert!(matches!(third(), SliceBegin::Full));
    drop(writer);
    assert!(matches!(third(), SliceBegin::Lead(..)));
}

/// A budget that is used up does not stop a slice: it is bounded by itself.
#[test]
fn a_slice_is_filled_even_without_budget() {
    let store = store_with(Settings { fill_bytes_max: 0, ..Settings::default() });
    let (object, body) = object(&store);
    let (mut writer, mut reader) = begun(&store, SliceId { body, index: 0 }, 0..SLICE);
    writer.open(&object.head, b"big");
    assert!(matches!(writer.push(pattern(SLICE_BYTES)), Ok(true)));
    assert_eq!(drained(&mut reader).0.len(), SLICE_BYTES);
    assert!(matches!(once(reader.chunk()), Poll::Ready(None)));
}

/// A store too small for a slice refuses it without harm: readers have it from the fill.
#[test]
fn a_slice_that_finds_no_room_is_missing() {
    let store = store_with(Settings { memory_bytes: 1 << 19, ..Settings::default() });
    let (object, body) = object(&store);
    let id = SliceId { body, index: 0 };
    let (mut writer, mut reader) = begun(&store, id, 0..SLICE);
    writer.open(&object.head, b"big");
    assert!(matches!(writer.push(pattern(SLICE_BYTES)), Ok(true)));
    assert_eq!(drained(&mut reader).0.len(), SLICE_BYTES);
    assert_eq!(piece(&store, id), None);
}
