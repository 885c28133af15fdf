//! Fills: what readers see, whatever the writer, the others and the store do.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, RwLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use selvedge_policy::SiteRules;

use super::readers::READERS_MAX;
use crate::lock::lock;
use crate::support::*;
use crate::{
    Begin, FillError, FillOutcome, FillReader, FillWriter, Finished, PushError, SLICE_BYTES,
    Settings, Store, Wanted,
};

pub(super) fn held(writer: &FillWriter) -> usize {
    lock(&writer.fill.state).held()
}

fn all_of(object: &crate::Object) -> Vec<u8> {
    object.body.all().flat_map(Vec::from).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// However a body is cut, every reader gets the same bytes, whenever it joined and however it
    /// lagged, and the stored object is the same too.
    #[test]
    fn every_split_gives_every_reader_the_same_bytes(
        chunks in prop::collection::vec(prop_oneof![1usize..50, 3000usize..70_000], 1..90),
        join_every in 1usize..20, read_every in 1usize..7,
    ) {
        let (store, of) = (store(), resource("r"));
        let whole = pattern(chunks.iter().sum());
        let (mut writer, first) = lead(&store, &of);
        let mut readers = vec![(first, Vec::new())];
        writer.head(storable(), None);
        let mut rest = whole.clone();
        for (index, length) in chunks.iter().enumerate() {
            if index % join_every == 0 {
                readers.push((join(&store, &of), Vec::new()));
            }
            ready(writer.push(rest.split_to(*length))).expect("the fill takes bytes");
            for (number, (reader, got)) in readers.iter_mut().enumerate() {
                if (index + number) % read_every == 0 {
                    got.extend(drained(reader).0);
                    // What was pushed is there at once.
                    prop_assert_eq!(got.len(), whole.len() - rest.len());
                }
            }
        }
        let Ok(Finished::Stored(object)) = writer.finish(None) else { panic!("not stored") };
        for (mut reader, mut got) in readers {
            let (more, end) = drained(&mut reader);
            got.extend(more);
            prop_assert!(matches!(end, Some(Ok(()))) && got == whole);
        }
        prop_assert_eq!(all_of(&object), &whole[..]);
        prop_assert_eq!(object.length, Some(whole.len() as u64));
        prop_assert_eq!(store.stats().fill_bytes, 0);
    }

    /// While a fill slides it holds no more than its window, whatever its readers do; those that
    /// stay get every byte in order.
    #[test]
    fn a_window_never_exceeds_its_bound(
        steps in prop::collection::vec((1usize..40_000, 0usize..6, 0usize..30), 1..120),
    ) {
        let window = 32 << 10;
        let store = store_with(Settings {
            object_bytes_max: 1000, window_bytes: window, ..Settings::default()
        });
        let of = resource("r");
        let (mut writer, first) = lead(&store, &of);
        let mut readers = vec![(first, Vec::new())];
        readers.extend((0..4).map(|_| (join(&store, &of), Vec::new())));
        writer.head(storable(), Some(1 << 40));
        let mut sent: Vec<u8> = Vec::new();
        for (length, reads, leaves) in steps {
            let chunk = Bytes::from(vec![(sent.len() % 253) as u8; length]);
            sent.extend_from_slice(&chunk);
            let mut push = Box::pin(writer.push(chunk));
            let mut pushed = once(push.as_mut());
            if let Some((reader, got)) = readers.get_mut(reads) {
                got.extend(drained(reader).0);
            }
            if leaves < readers.len() && readers.len() > 1 {
                readers.remove(leaves);
            }
            while pushed.is_pending() {
                for (reader, got) in &mut readers {
                    got.extend(drained(reader).0);
                }
                pushed = once(push.as_mut());
            }
            prop_assert!(matches!(pushed, Poll::Ready(Ok(()))));
            drop(push);
            prop_assert!(held(&writer) <= window, "{} bytes held", held(&writer));
        }
        for (mut reader, mut got) in readers {
            got.extend(drained(&mut reader).0);
            prop_assert!(got == sent);
        }
        prop_assert_eq!(held(&writer), 0);
    }

    /// A fill may begin to slide while its readers stand anywhere, in merged pieces too: nobody
    /// loses a byte, nothing is stored, and all of the budget comes back.
    #[test]
    fn readers_anywhere_survive_the_turn_to_a_window(
        chunks in prop::collection::vec((1usize..20_000, 0usize..8), 1..200),
        object_bytes_max in 1u64..1_000_000,
    ) {
        let store = store_with(Settings { object_bytes_max, ..Settings::default() });
        let of = resource("r");
        let (mut writer, first) = lead(&store, &of);
        let mut readers = vec![(first, Vec::new())];
        readers.extend((0..5).map(|_| (join(&store, &of), Vec::new())));
        writer.head(storable(), None);
        let mut rest = pattern(chunks.iter().map(|(length, _)| length).sum());
        let whole = rest.clone();
        for (length, reads) in chunks {
            let mut push = Box::pin(writer.push(rest.split_to(length)));
            let mut pushed = once(push.as_mut());
            if let Some((reader, got)) = readers.get_mut(reads) {
                got.extend(drained(reader).0);
            }
            while pushed.is_pending() {
                readers.iter_mut().for_each(|(reader, got)| got.extend(drained(reader).0));
                pushed = once(push.as_mut());
            }
            prop_assert!(matches!(pushed, Poll::Ready(Ok(()))));
        }
        let finished = writer.finish(None);
        let fits = whole.len() as u64 <= object_bytes_max;
        prop_assert_eq!(matches!(finished, Ok(Finished::Stored(_))), fits);
        prop_assert_eq!(matches!(finished, Ok(Finished::Passed)), !fits);
        for (mut reader, mut got) in readers {
            let (more, end) = drained(&mut reader);
            got.extend(more);
            prop_assert!(matches!(end, Some(Ok(()))) && got == whole);
        }
        prop_assert_eq!(store.stats().fill_bytes, 0);
    }
}

/// One fetch, ten thousand clients on several threads, no client left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_readers_share_one_fill() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, first) = lead(&store, &of);
    let mut readers = vec![first];
    readers.extend((1..10_000).map(|_| join(&store, &of)));
    assert_eq!((writer.readers(), store.counters().joins.load(Relaxed)), (10_000, 9_999));
    let whole = pattern(300_000);
    let tasks: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            let whole = whole.clone();
            tokio::spawn(async move {
                let outcome = reader.head().await;
                assert!(matches!(outcome, FillOutcome::Head(_) | FillOutcome::Object(_)));
                let mut offset = 0;
                while let Some(chunk) = reader.chunk().await {
                    let chunk = chunk.expect("the fill succeeds");
                    assert_eq!(chunk, whole[offset..offset + chunk.len()]);
                    offset += chunk.len();
                }
                assert_eq!(offset, whole.len());
            })
        })
        .collect();
    writer.head(storable(), Some(whole.len() as u64));
    for chunk in whole.chunks(30_000) {
        writer.push(whole.slice_ref(chunk)).await.expect("the fill takes bytes");
        tokio::task::yield_now().await;
    }
    assert!(matches!(writer.finish(None), Ok(Finished::Stored(_))));
    for task in tasks {
        task.await.expect("a reader does not panic");
    }
    assert_eq!(store.stats().entries, 1);
}

#[test]
fn a_writer_that_is_dropped_fails_its_readers_after_the_bytes_that_came() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, mut reader) = lead(&store, &of);
    let waiting = join(&store, &of);
    assert!(once(waiting.head()).is_pending());
    writer.head(storable(), None);
    ready(writer.push(pattern(10))).expect("the fill takes bytes");
    drop(writer);
    let (bytes, end) = drained(&mut reader);
    assert_eq!(bytes, pattern(10));
    assert!(matches!(end, Some(Err(FillError::Abandoned))));
    assert!(matches!(ready(waiting.head()), FillOutcome::Failed(FillError::Abandoned)));
    assert_eq!(store.stats().fills, 0);
    // The next request is not told about it.
    let _ = lead(&store, &of);
}

#[test]
fn an_answer_that_is_not_for_sharing_releases_everyone_and_is_remembered() {
    let (store, of) = (store(), resource("r"));
    let (writer, first) = lead(&store, &of);
    let mut readers: Vec<_> = (0..100).map(|_| join(&store, &of)).collect();
    readers.push(first);
    writer.pass(Duration::from_secs(10), at_ms(5_000));
    assert!(readers.iter().all(|reader| matches!(ready(reader.head()), FillOutcome::Pass)));
    let entry = store.lookup(of.key, &of.full_key).expect("a marker is an entry");
    assert!(entry.variants().is_empty());
    assert!(entry.passing(at_ms(14_999)) && !entry.passing(at_ms(15_000)));
    assert!(store.stats().bytes > 0);
}

#[test]
fn nobody_joins_a_fill_alone_until_it_can_be_shared() {
    let (store, of) = (store(), resource("r"));
    store.mark_pass(of.key, &of.full_key, 9_000);
    let alone = || store.begin_alone(of.key, &of.full_key, now()).expect("there is room");
    let ((mut one, _reader), (two, _)) = (alone(), alone());
    two.pass(Duration::ZERO, now());
    one.head(storable(), None);
    let _joined = join(&store, &of);
    assert!(matches!(one.finish(None), Ok(Finished::Stored(_))));
    let entry = store.lookup(of.key, &of.full_key).expect("it is stored");
    assert!(!entry.passing(now()));
}

#[test]
fn a_fill_begun_before_an_invalidation_is_never_stored() {
    let (store, of) = (store(), resource("r"));
    let (mut before, mut reader) = lead(&store, &of);
    before.head(storable(), None);
    assert!(!ready(store.invalidate(of.key)));
    let (mut after, _) = lead(&store, &of);
    ready(before.push(pattern(10))).expect("its reader still wants it");
    assert!(!before.storing());
    assert!(matches!(before.finish(None), Ok(Finished::Refused)));
    let (bytes, end) = drained(&mut reader);
    assert!(bytes == pattern(10) && matches!(end, Some(Ok(()))));
    assert!(store.lookup(of.key, &of.full_key).is_none());
    assert_eq!(store.counters().refused.load(Relaxed), 1);
    let head = after.head(storable(), None);
    assert_eq!(head.revision, store.revision());
    assert!(matches!(after.finish(None), Ok(Finished::Stored(_))));
}

/// Fills and invalidations of one key on many threads: whatever is stored at the end began after
/// the last invalidation that came before its end.
#[test]
fn racing_fills_never_bring_back_what_was_invalidated() {
    let (store, of) = (store(), resource("r"));
    // A fill carries the round in which it began as its time.
    let (round, none, rules) = (RwLock::new(0), fields(&[]), SiteRules::default());
    let wanted = Wanted::Request { headers: &none, rules: &rules, seen: None };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let begin = {
                        let round = round.read().expect("no thread panics");
                        store.begin(of.key, &of.full_key, wanted, at_ms(*round))
                    };
                    if let Begin::Lead(mut writer, _) = begin {
                        writer.head(storable(), None);
                        let _ = writer.finish(None);
                    }
                }
            });
        }
        scope.spawn(|| {
            for now in 1..=2_000 {
                {
                    let mut round = round.write().expect("no thread panics");
                    *round = now;
                    ready(store.invalidate(of.key));
                }
                if let Some(entry) = store.lookup(of.key, &of.full_key) {
                    assert!(entry.variants().iter().all(|o| o.started_mono_ms >= now));
                }
            }
        });
    });
    assert_eq!(store.stats().fills, 0);
}

#[test]
fn a_body_of_another_length_than_announced_is_an_error_for_all() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, mut reader) = lead(&store, &of);
    writer.head(storable(), Some(11));
    ready(writer.push(pattern(10))).expect("the fill takes bytes");
    assert!(matches!(writer.finish(None), Err(FillError::Truncated)));
    assert!(matches!(drained(&mut reader).1, Some(Err(FillError::Truncated))));

    let (mut writer, mut reader) = lead(&store, &of);
    writer.head(storable(), Some(11));
    assert_eq!(ready(writer.push(pattern(12))), Err(PushError::Overrun));
    assert_eq!(ready(writer.push(pattern(1))), Err(PushError::Closed));
    assert!(writer.finish(None).is_err());
    assert!(matches!(drained(&mut reader).1, Some(Err(FillError::Overrun))));
    assert!(store.lookup(of.key, &of.full_key).is_none());
}

#[test]
fn fills_beyond_the_budget_slide_and_give_back_what_they_took() {
    let store = store_with(Settings { fill_bytes_max: 100_000, ..Settings::default() });
    let (one, two) = (resource("one"), resource("two"));
    let (mut first, _reader) = lead(&store, &one);
    first.head(storable(), None);
    ready(first.push(pattern(60_000))).expect("the fill takes bytes");
    let (mut second, mut reader) = lead(&store, &two);
    second.head(storable(), None);
    ready(second.push(pattern(30_000))).expect("the fill takes bytes");
    ready(second.push(pattern(30_000))).expect("the window has room");
    assert!(first.storing() && !second.storing());
    assert_eq!(drained(&mut reader).0.len(), 60_000);
    assert!(matches!(begin(&store, &two, &fields(&[])), Begin::Lead(..)), "nobody joins late");
    drop((first, second, reader));
    drop(_reader);
    assert_eq!(store.stats().fill_bytes, 0);
}

#[test]
fn a_writer_learns_that_nobody_wants_its_bytes() {
    let store = store_with(Settings { object_bytes_max: 10, ..Settings::default() });
    let of = resource("r");
    let (mut writer, reader) = lead(&store, &of);
    assert!(once(writer.abandoned()).is_pending());
    writer.head(storable(), Some(1_000));
    assert!(once(writer.abandoned()).is_pending());
    drop(reader);
    ready(writer.abandoned());
    assert_eq!(ready(writer.push(pattern(5))), Err(PushError::Abandoned));
}

/// The wait for abandonment ends by an event: the last reader leaves on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_is_woken_when_its_last_reader_leaves() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, reader) = lead(&store, &of);
    writer.head(storable(), None);
    ready(store.invalidate(of.key));
    let task = tokio::spawn(async move { writer.abandoned().await });
    drop(reader);
    task.await.expect("the writer does not panic");
}

#[test]
fn a_failure_of_the_source_reaches_every_reader_with_its_type() {
    let (store, of) = (store(), resource("r"));
    let (writer, reader) = lead(&store, &of);
    let other = join(&store, &of);
    writer.fail(FillError::of_source(std::io::Error::other("origin")));
    for reader in [reader, other] {
        let FillOutcome::Failed(error) = ready(reader.head()) else { panic!("not failed") };
        assert!(error.source_as::<std::io::Error>().is_some());
        assert_eq!(error.word(), "fill-source");
    }
    assert_eq!(store.counters().failures.load(Relaxed), 1);
}

#[test]
fn trailers_come_after_the_body_and_stay_with_the_object() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, mut reader) = lead(&store, &of);
    writer.head(storable(), None);
    ready(writer.push(pattern(5))).expect("the fill takes bytes");
    assert!(reader.trailers().is_none());
    let Ok(Finished::Stored(object)) = writer.finish(Some(fields(&[("x-sum", "1")]))) else {
        panic!("not stored")
    };
    drained(&mut reader);
    assert_eq!(reader.trailers().expect("there are trailers")["x-sum"], "1");
    assert_eq!(object.trailers.as_ref().expect("there are trailers")["x-sum"], "1");
}

#[test]
fn an_empty_body_is_stored() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, mut reader) = lead(&store, &of);
    writer.head(storable(), Some(0));
    let Ok(Finished::Stored(object)) = writer.finish(None) else { panic!("not stored") };
    assert!(object.body.is_empty() && object.length == Some(0));
    assert!(matches!(drained(&mut reader), (bytes, Some(Ok(()))) if bytes.is_empty()));
}

/// A long body is stored as whole slices while its readers hold the same memory.
#[test]
fn a_long_body_is_not_copied_again_for_its_readers() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, _first) = lead(&store, &of);
    writer.head(storable(), None);
    (0..48).for_each(|_| ready(writer.push(pattern(64 << 10))).expect("the fill takes bytes"));
    let mut late = join(&store, &of);
    let Some(Ok(chunk)) = ready(late.chunk()) else { panic!("no bytes") };
    let Ok(Finished::Stored(object)) = writer.finish(None) else { panic!("not stored") };
    let first = object.body.all().next().expect("there are bytes");
    assert_eq!((chunk.len(), chunk.as_ptr()), (SLICE_BYTES, first.as_ptr()));
}

#[test]
fn too_many_fills_send_requests_alone() {
    let store = store_with(Settings { fills_max: 2, ..Settings::default() });
    let none = fields(&[]);
    let first = lead(&store, &resource("a"));
    let _second = lead(&store, &resource("b"));
    assert!(matches!(begin(&store, &resource("c"), &none), Begin::Full));
    let _joined = join(&store, &resource("b"));
    drop(first);
    let _third = lead(&store, &resource("c"));
    const { assert!(READERS_MAX >= 100_000) };
}

fn vary_on_language(store: &Arc<Store>) -> (crate::support::Resource, FillWriter, FillReader) {
    let of = resource("r");
    let english = fields(&[("x-language", "en")]);
    let (mut writer, reader) = lead_for(store, &of, &english);
    writer.head(storable_for(&english, &[("vary", "x-language")]), None);
    (of, writer, reader)
}

/// A cold resource is one fill; once its plan is known its variants fill side by side.
#[test]
fn requests_that_a_head_does_not_match_fill_their_own_variant() {
    let store = store();
    let of = resource("r");
    let (english, german) = (fields(&[("x-language", "en")]), fields(&[("x-language", "de")]));
    let (mut writer, _reader) = lead_for(&store, &of, &english);
    let Begin::Join(joined) = begin(&store, &of, &german) else { panic!("one cold fill") };
    writer.head(storable_for(&english, &[("vary", "x-language")]), None);
    let FillOutcome::Head(head) = ready(joined.head()) else { panic!("no head") };
    let rules = selvedge_policy::SiteRules::default();
    assert!(head.matches(&english, &rules) && !head.matches(&german, &rules));
    drop(joined);
    let (german_writer, _g) = lead_for(&store, &of, &german);
    assert!(matches!(begin(&store, &of, &german), Begin::Join(_)));
    assert!(matches!(begin(&store, &of, &english), Begin::Join(_)));
    assert!(matches!(writer.finish(None), Ok(Finished::Stored(_))));
    drop(german_writer);
    // The plan is known from the stored variant now.
    let french = fields(&[("x-language", "fr")]);
    let _french = lead_for(&store, &of, &french);
    let _german = lead_for(&store, &of, &german);
}

/// Someone who plays with a varying field cannot fill the table of a key.
#[test]
fn the_fills_of_one_key_are_bounded() {
    let store = store();
    let (of, _writer, _reader) = vary_on_language(&store);
    let mut running = Vec::new();
    for number in 0..1_000 {
        let req = fields(&[("x-language", &number.to_string())]);
        match begin(&store, &of, &req) {
            Begin::Lead(writer, reader) => running.push((writer, reader)),
            Begin::Full => break,
            Begin::Join(_) | Begin::Stored(_) => panic!("another variant"),
        }
    }
    assert_eq!(running.len() + 1, super::table::FILLS_PER_KEY_MAX);
}

/// A request that looked before a fill ended and begins after it gets what the fill stored: it does
/// not fetch again.
#[test]
fn what_was_stored_since_the_caller_looked_is_not_fetched_again() {
    let store = store();
    let of = resource("/just-stored");
    let object = stored(&store, &of, &pattern(4));
    let rules = selvedge_policy::SiteRules::default();
    let req = fields(&[]);
    let unseen = Wanted::Request { headers: &req, rules: &rules, seen: None };
    let Begin::Stored(found) = store.begin(of.key, &of.full_key, unseen, now()) else {
        panic!("it is stored");
    };
    assert!(Arc::ptr_eq(&found, &object));
    let newer = Wanted::Request { headers: &req, rules: &rules, seen: Some(&object) };
    assert!(matches!(store.begin(of.key, &of.full_key, newer, now()), Begin::Lead(..)));
}
