//! What goes to disk comes back, what is removed does not, and neither depends on who was faster.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};

use http::HeaderMap;
use selvedge_policy::{Coding, SiteRules};

use crate::disk::{Admission, DiskPath, DiskSettings};
use crate::support::{
    Resource, fields, lead, now, once, pattern, ready, resource, storable, stored, stored_for,
};
use crate::{DiskStep, Entry, Object, Settings, SliceFound, Store};

fn disks(folder: &std::path::Path) -> DiskSettings {
    let disk = DiskPath { path: folder.to_owned(), size_bytes: 64 << 20 };
    DiskSettings { disks: vec![disk], ..DiskSettings::default() }
}

fn open(folder: &std::path::Path) -> Arc<Store> {
    Store::open(Settings::default(), Arc::default(), disks(folder), Arc::default(), 0).0
}

fn bytes(object: &Object) -> Vec<u8> {
    object.body.all().flat_map(Vec::from).collect()
}

/// As after an eviction.
fn forget(store: &Store, of: &Resource) {
    store.flush();
    store.memory.remove(of.key);
    assert!(store.lookup(of.key, &of.full_key).is_none());
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

fn recall(store: &Store, of: &Resource) -> Option<Arc<Entry>> {
    block_on(store.recall(of.key, &of.full_key))
}

fn plain(entry: &Entry) -> Arc<Object> {
    let found = entry.select(&HeaderMap::new(), &SiteRules::default());
    found.expect("it answers everybody").clone()
}

#[test]
fn what_memory_dropped_comes_back_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let (one, body) = (resource("/one"), pattern(5_000));
    let object = stored(&store, &one, &body);
    forget(&store, &one);
    assert!(store.may_recall(one.key));
    let again = plain(&recall(&store, &one).expect("it is on disk"));
    assert_eq!(
        (bytes(&again), again.meta, again.body_id),
        (body.to_vec(), object.meta, object.body_id)
    );
    assert!(store.lookup(one.key, &one.full_key).is_some(), "a recall ends in memory");
    assert_eq!(store.counters().recalls.load(Relaxed), 1);
    assert!(recall(&store, &resource("/two")).is_none());
    assert!(block_on(store.recall(one.key, b"another key of the same hash")).is_none());
    store.close();
}

#[test]
fn a_long_body_comes_back_in_slices_that_are_all_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let of = resource("/long");
    let object = stored(&store, &of, &pattern((2 << 20) + 17));
    forget(&store, &of);
    let again = plain(&recall(&store, &of).expect("it is on disk"));
    assert_eq!(again.body.sliced(), Some(object.body_id));
    assert_eq!(again.body.len(), object.body.len());
    // Without one of them the rest is of no use: nobody can say what the missing one held.
    forget(&store, &of);
    let tier = store.tier.as_ref().expect("there are disks");
    let second = crate::SliceId { body: object.body_id, index: 1 };
    assert!(tier.disks().remove(second.key().0));
    assert!(recall(&store, &of).is_none());
    store.close();
}

/// Reads a slice as a client does, step by step; says in how many.
fn read_slice(store: &Store, id: crate::SliceId) -> (Vec<u8>, usize) {
    let SliceFound::Disk(mut slice) = store.find_slice(id) else { panic!("it is on disk") };
    let (mut read, mut steps) = (Vec::new(), 0);
    loop {
        let offset = id.first() + read.len() as u64;
        let step = block_on(poll_fn(|cx| slice.poll_step(offset, u64::MAX, cx)));
        steps += 1;
        match step {
            DiskStep::Bytes(bytes) => read.extend_from_slice(&bytes),
            DiskStep::Whole(piece) => {
                read.extend_from_slice(&piece.from(offset).expect("all of it"));
                store.remember_slice(piece);
                return (read, steps);
            }
            DiskStep::Holds(_) => return (read, steps),
            DiskStep::Lost => panic!("it can be read"),
        }
    }
}

#[test]
fn a_slice_that_is_read_again_comes_back_into_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let of = resource("/long");
    let body = pattern((2 << 20) + 17);
    let object = stored(&store, &of, &body);
    forget(&store, &of);
    let id = crate::SliceId { body: object.body_id, index: 1 };
    let middle = &body[1 << 20..2 << 20];
    // Two steps and one that says that this was all.
    let (read, steps) = read_slice(&store, id);
    assert!(read == middle && steps == 3, "{steps}");
    assert!(store.slice_in_memory(id).is_none(), "once is not often");
    let (read, steps) = read_slice(&store, id);
    assert!(read == middle && steps == 1, "{steps}");
    let SliceFound::Memory(piece) = store.find_slice(id) else { panic!("it is in memory") };
    assert_eq!(piece.from(id.first()).as_deref(), Some(middle));
    store.close();
}

#[test]
fn variants_and_their_copies_come_back_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let of = resource("/varied");
    let vary: &[(&'static str, &str)] = &[("vary", "x-a")];
    let [one, two] = ["1", "2"].map(|value| fields(&[("x-a", value)]));
    let first = stored_for(&store, &of, &one, vary, &pattern(10));
    stored_for(&store, &of, &two, vary, &pattern(20));
    let wanted = crate::Wanted::Encoding { source: &first, coding: Coding::Gzip };
    let crate::Begin::Lead(mut writer, _) = store.begin(of.key, &of.full_key, wanted, now()) else {
        panic!("nobody else makes it");
    };
    writer.head_encoded(&first, Coding::Gzip, &fields(&[("content-encoding", "gzip")]));
    ready(writer.push(pattern(5))).expect("the fill takes bytes");
    writer.finish(None).expect("it is whole");
    forget(&store, &of);
    let entry = recall(&store, &of).expect("it is on disk");
    let rules = SiteRules::default();
    let select = |req| entry.select(req, &rules).map(|object| object.body.len());
    assert_eq!((select(&one), select(&two), select(&HeaderMap::new())), (Some(10), Some(20), None));
    assert_eq!(entry.encoded(&first, Coding::Gzip).map(|copy| bytes(copy).len()), Some(5));
    store.close();
}

#[test]
fn what_is_removed_does_not_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    for (name, in_memory) in [("/a", true), ("/b", false)] {
        let of = resource(name);
        stored(&store, &of, &pattern(10));
        forget(&store, &of);
        if in_memory {
            recall(&store, &of);
        }
        assert!(block_on(store.invalidate(of.key)), "{name}");
        assert!(recall(&store, &of).is_none(), "{name}");
        // Not written yet is removed as well.
        let object = stored(&store, &of, &pattern(10));
        assert!(store.remove(of.key, &of.full_key, &object));
        store.flush();
        assert!(!store.may_recall(of.key) && recall(&store, &of).is_none(), "{name}");
        // Nor what memory has dropped in between.
        let object = stored(&store, &of, &pattern(10));
        forget(&store, &of);
        store.remove(of.key, &of.full_key, &object);
        assert!(recall(&store, &of).is_none(), "{name}");
    }
    store.close();
}

#[test]
fn with_second_ask_only_what_was_missed_twice_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let disks = DiskSettings { admission: Admission::SecondAsk, ..disks(folder.path()) };
    let store = Store::open(Settings::default(), Arc::default(), disks, Arc::default(), 0).0;
    let of = resource("/page");
    for round in 0..2 {
        assert!(!store.may_recall(of.key), "a request that finds nothing");
        stored(&store, &of, &pattern(100_000));
        forget(&store, &of);
        let written = recall(&store, &of).is_some();
        assert_eq!(written, round == 1);
        store.memory.remove(of.key);
    }
    store.close();
}

/// A renewal that ends when memory has dropped the object leaves what is on disk.
#[test]
fn a_renewal_of_what_memory_has_dropped_does_not_remove_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let of = resource("/renewed");
    let object = stored(&store, &of, &pattern(10));
    let (writer, _) = lead(&store, &of);
    forget(&store, &of);
    writer.refreshed(&object, storable());
    assert!(recall(&store, &of).is_some());
    store.close();
}

#[test]
fn one_reads_and_the_others_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let of = resource("/asked for by many");
    stored(&store, &of, &pattern(10));
    forget(&store, &of);
    let tier = store.tier.as_ref().expect("there are disks");
    let super::Recalling::Lead(leading, _) = tier.begin_recall(of.key) else { panic!("first") };
    let mut waiting = Box::pin(store.recall(of.key, &of.full_key));
    assert!(once(waiting.as_mut()).is_pending());
    // The first one goes away: the next one reads.
    drop(leading);
    assert!(block_on(waiting).is_some());
    forget(&store, &of);
    let super::Recalling::Lead(leading, _) = tier.begin_recall(of.key) else { panic!("first") };
    let mut waiting = Box::pin(store.recall(of.key, &of.full_key));
    assert!(once(waiting.as_mut()).is_pending());
    assert!(leading.end(|_| None).tell().is_none());
    assert!(block_on(waiting).is_none(), "what one finds is what all find");
    store.close();
}

#[test]
fn what_changes_while_it_is_read_is_not_brought_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let of = resource("/changed");
    stored(&store, &of, &pattern(10));
    forget(&store, &of);
    let tier = store.tier.as_ref().expect("there are disks");
    let super::Recalling::Lead(leading, _) = tier.begin_recall(of.key) else { panic!("first") };
    block_on(store.invalidate(of.key));
    let mut current = true;
    leading.end(|so| {
        current = so;
        None
    });
    assert!(!current);
    store.close();
}

/// Many threads store, drop, recall and remove the same keys: whatever is found is whole, and
/// after the last removal nothing is.
#[test]
fn no_order_of_events_brings_back_what_was_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let (threads, rounds) = (4, 40);
    let barrier = Barrier::new(threads);
    // Looked at in the end: a thread that panicked would leave the others at the barrier.
    let (odd_body, came_back) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (store, barrier) = (&store, &barrier);
            let (odd_body, came_back) = (&odd_body, &came_back);
            scope.spawn(move || {
                for round in 0..rounds {
                    let of = resource(&format!("/round {round}"));
                    if thread == 0 {
                        stored(store, &of, &pattern(100));
                    }
                    barrier.wait();
                    match thread {
                        0 => drop(recall(store, &of)),
                        1 => store.memory.remove(of.key),
                        2 => drop(block_on(store.invalidate(of.key))),
                        _ => {
                            let found = recall(store, &of);
                            let is_odd = found.is_some_and(|it| bytes(&plain(&it)).len() != 100);
                            odd_body.fetch_or(is_odd, Relaxed);
                        }
                    }
                    barrier.wait();
                    if thread == 0 {
                        store.flush();
                        let found = store.lookup(of.key, &of.full_key);
                        let found = found.or_else(|| recall(store, &of));
                        came_back.lock().expect("no panic").extend(found.map(|_| round));
                    }
                    barrier.wait();
                }
            });
        }
    });
    store.close();
    assert!(!odd_body.load(Relaxed));
    assert!(came_back.into_inner().expect("no panic").is_empty());
}
