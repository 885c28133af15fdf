//! The store: what is found, what replaces what, what goes when, and that memory stays bounded.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::HeaderMap;
use selvedge_policy::{Coding, SiteRules};

use crate::support::*;
use crate::{Begin, Entry, FillOutcome, Finished, Object, Settings, Store, Wanted};
use std::sync::Arc;

fn entry(store: &Store, of: &Resource) -> Arc<Entry> {
    store.lookup(of.key, &of.full_key).expect("it is stored")
}

fn selected(store: &Store, of: &Resource, req: &HeaderMap) -> Option<Arc<Object>> {
    entry(store, of).select(req, &SiteRules::default()).cloned()
}

/// Stores an encoded copy of a stored object.
fn encode(store: &Arc<Store>, of: &Resource, source: &Object, body: &Bytes) -> Finished {
    let wanted = Wanted::Encoding { source, coding: Coding::Brotli };
    let Begin::Lead(mut writer, _) = store.begin(of.key, &of.full_key, wanted, now()) else {
        panic!("nobody else encodes")
    };
    let headers = fields(&[("content-encoding", "br"), ("etag", "W/\"1\""), ("x", "old")]);
    writer.head_encoded(source, Coding::Brotli, &headers);
    ready(writer.push(body.clone())).expect("the fill takes bytes");
    writer.finish(None).expect("the body is whole")
}

#[test]
fn what_was_filled_is_found_and_counted() {
    let (store, of) = (store(), resource("r"));
    assert!(store.lookup(of.key, &of.full_key).is_none());
    let object = stored(&store, &of, &pattern(100));
    let found = selected(&store, &of, &fields(&[])).expect("it matches");
    assert!(Arc::ptr_eq(&found, &object));
    assert_eq!(found.body.single(), Some(&pattern(100)));
    let counters = store.counters();
    assert_eq!((counters.hits(), counters.misses()), (1, 1));
    assert_eq!(counters.stored.load(Relaxed), 1);
}

/// Two resources whose hashes collide must not answer for each other.
#[test]
fn another_full_key_under_the_same_hash_is_a_miss() {
    let (store, of) = (store(), resource("r"));
    stored(&store, &of, &pattern(1));
    let other = Resource { key: of.key, full_key: b"other".to_vec() };
    assert!(store.lookup(other.key, &other.full_key).is_none());
    let _running = lead(&store, &of);
    assert!(matches!(begin(&store, &other, &fields(&[])), Begin::Full));
}

#[test]
fn variants_live_side_by_side_and_the_newest_match_is_selected() {
    let (store, of) = (store(), resource("r"));
    let [english, german] = ["en", "de"].map(|l| fields(&[("x-language", l)]));
    let vary = [("vary", "x-language")];
    let one = stored_for(&store, &of, &english, &vary, &pattern(1));
    let two = stored_for(&store, &of, &german, &vary, &pattern(2));
    let is = |req, object| selected(&store, &of, req).is_some_and(|s| Arc::ptr_eq(&s, object));
    assert!(is(&english, &one) && is(&german, &two));
    assert!(selected(&store, &of, &fields(&[("x-language", "fr")])).is_none());
    let three = stored_for(&store, &of, &english, &vary, &pattern(3));
    assert!(is(&english, &three) && is(&german, &two));
    assert_eq!(entry(&store, &of).variants().len(), 2);
}

#[test]
fn a_response_without_vary_and_those_with_it_do_not_outlive_each_other() {
    let (store, of) = (store(), resource("r"));
    let english = fields(&[("x-language", "en")]);
    stored(&store, &of, &pattern(1));
    stored_for(&store, &of, &english, &[("vary", "x-language")], &pattern(2));
    assert_eq!(entry(&store, &of).variants().len(), 1);
    assert!(selected(&store, &of, &fields(&[])).is_none());
    stored_for(&store, &of, &fields(&[]), &[], &pattern(3));
    assert_eq!(entry(&store, &of).variants().len(), 1);
    assert!(selected(&store, &of, &english).is_some());
}

#[test]
fn the_oldest_variant_goes_when_there_are_too_many() {
    let store = store_with(Settings { variants_max: 3, ..Settings::default() });
    let of = resource("r");
    let req = |n: usize| fields(&[("user-agent", &n.to_string())]);
    (0..10).for_each(|n| {
        stored_for(&store, &of, &req(n), &[("vary", "user-agent")], &pattern(10));
    });
    assert_eq!(entry(&store, &of).variants().len(), 3);
    assert!(selected(&store, &of, &req(6)).is_none() && selected(&store, &of, &req(7)).is_some());
    assert_eq!(store.counters().variants_dropped.load(Relaxed), 7);
}

#[test]
fn encoded_copies_are_found_by_their_source_and_go_with_it() {
    let (store, of) = (store(), resource("r"));
    let source = stored(&store, &of, &pattern(1000));
    assert!(matches!(encode(&store, &of, &source, &pattern(100)), Finished::Stored(_)));
    let found = entry(&store, &of);
    let copy = found.encoded(&source, Coding::Brotli).expect("it was encoded");
    assert_eq!((copy.body.len(), &copy.headers["content-encoding"]), (100, &"br".parse().unwrap()));
    assert!(found.encoded(&source, Coding::Gzip).is_none());
    assert_eq!(found.variants().len(), 1, "a copy is no variant of its own");
    let newer = stored(&store, &of, &pattern(2000));
    assert!(entry(&store, &of).encoded(&source, Coding::Brotli).is_none());
    assert!(matches!(encode(&store, &of, &source, &pattern(100)), Finished::Refused));
    encode(&store, &of, &newer, &pattern(100));
    assert!(store.remove(of.key, &of.full_key, &newer));
    assert!(store.lookup(of.key, &of.full_key).is_none());
}

/// A copy may be made while its source still comes: it is stored after it.
#[test]
fn an_encoded_copy_of_a_running_fill_is_shared_and_stored() {
    let (store, of) = (store(), resource("r"));
    let (mut writer, _reader) = lead(&store, &of);
    let head = writer.head(storable(), None);
    let wanted = Wanted::Encoding { source: &head, coding: Coding::Gzip };
    let begin = || store.begin(of.key, &of.full_key, wanted, now());
    let Begin::Lead(mut encoder, _) = begin() else { panic!("nobody else encodes") };
    assert!(matches!(begin(), Begin::Join(_)));
    encoder.head_encoded(&head, Coding::Gzip, &fields(&[("content-encoding", "gzip")]));
    assert!(matches!(writer.finish(None), Ok(Finished::Stored(_))));
    assert!(matches!(encoder.finish(None), Ok(Finished::Stored(_))));
    assert!(entry(&store, &of).encoded(&head, Coding::Gzip).is_some());
}

#[test]
fn a_renewed_head_keeps_the_body_and_the_encoded_copies_follow() {
    let (store, of) = (store(), resource("r"));
    let none = fields(&[]);
    let v1 = [("etag", "\"1\""), ("x", "old")];
    let old = stored_for(&store, &of, &none, &v1, &pattern(1000));
    encode(&store, &of, &old, &pattern(100));
    let (writer, waiting) = lead_for(&store, &of, &none);
    let new = storable_for(&none, &[("etag", "\"1\""), ("x", "new")]);
    let renewed = writer.refreshed(&old, new);
    let FillOutcome::Object(answer) = ready(waiting.head()) else { panic!("no object") };
    assert!(Arc::ptr_eq(&answer, &renewed));
    let found = entry(&store, &of);
    assert!(Arc::ptr_eq(&found.variants()[0], &renewed));
    assert_eq!(renewed.body.single().map(|b| b.as_ptr()), old.body.single().map(|b| b.as_ptr()));
    let copy = found.encoded(&renewed, Coding::Brotli).expect("it follows");
    assert_eq!(
        (&copy.headers["x"], &copy.headers["etag"]),
        (&"new".parse().unwrap(), &"W/\"1\"".parse().unwrap())
    );

    let other = storable_for(&none, &[("etag", "\"2\"")]);
    let renewed = store.freshen(of.key, &of.full_key, &renewed, other, 0);
    assert!(entry(&store, &of).encoded(&renewed, Coding::Brotli).is_none());
    assert_eq!(store.counters().refreshed.load(Relaxed), 2);
}

#[test]
fn a_renewal_does_not_bring_back_what_was_invalidated() {
    let (store, of) = (store(), resource("r"));
    let old = stored(&store, &of, &pattern(10));
    let (writer, waiting) = lead(&store, &of);
    ready(store.invalidate(of.key));
    writer.refreshed(&old, storable());
    assert!(matches!(ready(waiting.head()), FillOutcome::Object(_)));
    store.freshen(of.key, &of.full_key, &old, storable(), 0);
    assert!(store.lookup(of.key, &of.full_key).is_none());
    assert_eq!(store.counters().refreshed.load(Relaxed), 0);
}

/// A 304 to what had been stored before it was expired says nothing about what is stored now; one
/// that was asked for since then does.
#[test]
fn only_a_renewal_of_what_is_stored_ends_an_expiry() {
    let (store, of) = (store(), resource("r"));
    let old = stored(&store, &of, &pattern(10));
    store.expire_one(of.key, &of.full_key, &old);
    store.freshen(of.key, &of.full_key, &old, storable(), 0);
    assert!(!entry(&store, &of).variants()[0].meta.is_fresh(now()));
    let (writer, _waiting) = lead(&store, &of);
    writer.refreshed(&old, storable());
    assert!(entry(&store, &of).variants()[0].meta.is_fresh(now()));
}

#[test]
fn an_encoded_copy_takes_the_head_that_its_source_has_got_meanwhile() {
    let (store, of) = (store(), resource("r"));
    let old = stored(&store, &of, &pattern(10));
    store.expire_one(of.key, &of.full_key, &old);
    assert!(matches!(encode(&store, &of, &old, &pattern(5)), Finished::Stored(_)));
    let found = entry(&store, &of);
    let copy = found.encoded(&old, Coding::Brotli).expect("it was encoded");
    assert_eq!((copy.meta, copy.body.len()), (found.variants()[0].meta, 5));
    assert!(!copy.meta.is_fresh(now()));
}

#[test]
fn what_is_expired_stays_but_is_fresh_for_nobody() {
    let (store, of) = (store(), resource("r"));
    let object = stored(&store, &of, &pattern(10));
    encode(&store, &of, &object, &pattern(5));
    assert!(object.meta.is_fresh(now()));
    store.expire_one(of.key, &of.full_key, &object);
    let found = entry(&store, &of);
    let copy = found.encoded(&object, Coding::Brotli).expect("it stays");
    assert!(!found.variants()[0].meta.is_fresh(now()) && !copy.meta.is_fresh(now()));
    let renewed = store.freshen(of.key, &of.full_key, &found.variants()[0], storable(), 0);
    assert!(renewed.meta.is_fresh(now()));
    store.expire_one(of.key, &of.full_key, &renewed);
    assert!(!entry(&store, &of).variants()[0].meta.is_fresh(now()));
}

#[test]
fn a_refresh_is_led_once() {
    let (store, of) = (store(), resource("r"));
    let (req, rules) = (fields(&[]), SiteRules::default());
    let wanted = Wanted::Request { headers: &req, rules: &rules, seen: None };
    let refresh = || store.begin_refresh(of.key, &of.full_key, wanted, now());
    let writer = refresh().expect("nobody fills");
    assert_eq!(writer.readers(), 0);
    assert!(refresh().is_none());
    drop(writer);
    assert!(refresh().is_some());
}

/// Inserts from several threads, far more than fits: the weight grows up to the capacity and
/// never exceeds it meanwhile.
#[test]
fn memory_stays_bounded_under_concurrent_inserts() {
    let capacity = 8 << 20;
    let store = store_with(Settings { memory_bytes: capacity, ..Settings::default() });
    let most = std::thread::scope(|scope| {
        let insert = |thread: usize| {
            let store = &store;
            move || {
                let mut most = 0;
                for number in 0..1_500 {
                    let of = resource(&format!("{thread}/{number}"));
                    stored(store, &of, &pattern(if number % 50 == 0 { 300_000 } else { 5_000 }));
                    store.mark_pass(resource(&format!("p{thread}/{number}")).key, b"p", 9);
                    most = most.max(store.counters().bytes.load(Relaxed));
                }
                most
            }
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(insert(thread))).collect();
        threads.into_iter().map(|t| t.join().expect("an insert does not panic")).max()
    });
    let most = most.expect("there were threads");
    assert!(most <= capacity, "{most} bytes meanwhile");
    let stats = store.stats();
    assert!(stats.bytes <= capacity && stats.bytes > capacity / 2, "{stats:?}");
    assert!(store.counters().evictions.load(Relaxed) > 1_000);
    assert_eq!((stats.fill_bytes, stats.fills), (0, 0));
    // What was stored last is there: admission does not refuse newcomers.
    let large = resource("large");
    stored(&store, &large, &pattern(2 << 20));
    assert!(store.stats().bytes <= capacity && store.lookup(large.key, &large.full_key).is_some());
}

#[test]
fn markers_weigh_and_are_pushed_out_like_objects() {
    let store = store_with(Settings { memory_bytes: 1 << 20, ..Settings::default() });
    for number in 0..20_000 {
        let of = resource(&number.to_string());
        store.mark_pass(of.key, &of.full_key, u64::MAX);
    }
    let stats = store.stats();
    assert!(stats.bytes <= 1 << 20 && stats.entries < 6_000, "{stats:?}");
}

/// The variants of one key together are bounded too.
#[test]
fn one_key_does_not_take_all_memory() {
    let store = store_with(Settings { memory_bytes: 4 << 20, ..Settings::default() });
    let of = resource("r");
    for number in 0..10 {
        let req = fields(&[("user-agent", &number.to_string())]);
        stored_for(&store, &of, &req, &[("vary", "user-agent")], &pattern(1 << 20));
    }
    let stats = store.stats();
    assert!(stats.entries == 1 && stats.bytes <= 3 << 20, "{stats:?}");
}
