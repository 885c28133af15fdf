//! Purges: what each kind covers, what becomes of running fills, and what survives.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::HeaderMap;
use proptest::prelude::*;
use selvedge_policy::{
    Coding, KeyParts, KeySeed, RequestDirectives, Reuse, Scheme, SiteRules, reuse, tags,
};

use super::journal::{self, Journals};
use super::record::{RECORD_BYTES, Record, replay};
use super::table::{Order, Target};
use super::*;
use crate::support::*;
use crate::{Begin, Finished, Object, Settings, Store, Wanted};

pub(super) fn page(site: &str, scheme: Scheme, host: &str, path: &str) -> Resource {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut full_key = Vec::new();
    KeyParts { site, scheme, host, path, query }.bytes(&mut full_key);
    Resource { key: KeySeed::new([7; 16]).hash(&full_key), full_key }
}

pub(super) fn hard(scope: Scope<'_>) -> Purge<'_> {
    Purge { scope, strength: Strength::Hard }
}

pub(super) fn soft(scope: Scope<'_>) -> Purge<'_> {
    Purge { scope, strength: Strength::Soft }
}

fn tagged(store: &Arc<Store>, of: &Resource, tags: &str) -> Arc<Object> {
    stored_for(store, of, &HeaderMap::new(), &[("surrogate-key", tags)], &pattern(10))
}

fn found(store: &Store, of: &Resource) -> bool {
    store.lookup(of.key, &of.full_key).is_some()
}

const URL: Scope<'static> = Scope::Url { host: "a.test", path: "/p", query: Some("q") };

/// What of these pages a purge leaves.
fn left<'a>(scope: Scope<'_>, pages: &[(&'a str, Resource)]) -> Vec<&'a str> {
    let store = store();
    pages.iter().for_each(|(_, of)| drop(tagged(&store, of, "t u")));
    store.purge(&[hard(scope)], now()).expect("nothing to write");
    pages.iter().filter(|(_, of)| found(&store, of)).map(|(name, _)| *name).collect()
}

#[test]
fn each_kind_covers_what_it_says_and_nothing_else() {
    let http = Scheme::Http;
    let pages = [
        ("page", page("s", http, "a.test", "/p?q")),
        ("tls", page("s", Scheme::Https, "a.test", "/p?q")),
        ("no query", page("s", http, "a.test", "/p")),
        ("below", page("s", http, "a.test", "/p/x")),
        ("port", page("s", http, "a.test:8080", "/p?q")),
        ("host", page("s", http, "b.test", "/p?q")),
        ("site", page("other", http, "c.test", "/p?q")),
    ];
    let tag = |site| Scope::Tag { site, tag: b"t" };
    let prefix = |host, path| Scope::Prefix { host, path };
    let all = ["page", "tls", "no query", "below", "port", "host", "site"];
    assert_eq!(left(URL, &pages), all[2..]);
    assert_eq!(left(tag("s"), &pages), ["site"]);
    assert_eq!(left(tag("none"), &pages), all);
    assert_eq!(left(Scope::Tag { site: "s", tag: b"T" }, &pages), all);
    assert_eq!(left(prefix("a.test", "/p"), &pages), ["host", "site"]);
    let but_below = ["page", "tls", "no query", "port", "host", "site"];
    assert_eq!(left(prefix("a.test", "/p/"), &pages), but_below);
    assert_eq!(left(prefix("a.test:8080", "/"), &pages).len(), 6);
    assert_eq!(left(Scope::Host("a.test"), &pages), ["host", "site"]);
    assert_eq!(left(Scope::Host("a.test:8080"), &pages).len(), 6);
    assert_eq!(left(Scope::Site("s"), &pages), ["site"]);
    assert!(left(Scope::Everything, &pages).is_empty());
    let path = |site, path| Scope::Path { site, path };
    assert_eq!(left(path("s", "/p"), &pages), ["below", "site"]);
    assert_eq!(left(path("s", "/p/"), &pages), all);
    assert_eq!(left(path("other", "/p"), &pages), all[..6]);
}

#[test]
fn a_purge_takes_variants_and_encoded_copies_and_is_counted() {
    let (store, of) = (store(), page("s", Scheme::Http, "a.test", "/p?q"));
    let english = fields(&[("x-language", "en")]);
    let vary = [("vary", "x-language"), ("cache-tag", "x")];
    let one = stored_for(&store, &of, &english, &vary, &pattern(10));
    stored_for(&store, &of, &fields(&[("x-language", "de")]), &vary, &pattern(10));
    encode(&store, &of, &one);
    assert_eq!(store.purge(&[hard(URL), hard(Scope::Site("none"))], now()), Ok(2));
    assert!(!found(&store, &of));
    let counters = store.counters();
    assert_eq!(counters.purged.load(Relaxed), 3);
    assert_eq!((counters.purge_revision.load(Relaxed), counters.entries.load(Relaxed)), (2, 0));
    let mut kinds = Vec::new();
    counters.each_purge(&mut |word, count| kinds.push((word, count)));
    assert!(kinds.contains(&("url", 1)) && kinds.contains(&("site", 1)));
    tagged(&store, &of, "x");
    assert!(found(&store, &of), "what comes after a purge is not covered");
}

fn encode(store: &Arc<Store>, of: &Resource, source: &Object) {
    let wanted = Wanted::Encoding { source, coding: Coding::Brotli };
    let Begin::Lead(mut writer, _) = store.begin(of.key, &of.full_key, wanted, now()) else {
        panic!("nobody else encodes")
    };
    writer.head_encoded(source, Coding::Brotli, &fields(&[("content-encoding", "br")]));
    assert!(matches!(writer.finish(None), Ok(Finished::Stored(_))));
}

#[test]
fn a_soft_purge_makes_stale_from_then_on_and_keeps_the_body() {
    let (store, of) = (store(), page("s", Scheme::Http, "a.test", "/p"));
    let window = [("cache-control", "stale-while-revalidate=10"), ("cache-tag", "t")];
    let object = stored_for(&store, &of, &HeaderMap::new(), &window, &pattern(10));
    encode(&store, &of, &object);
    let tag = Scope::Tag { site: "s", tag: b"t" };
    store.purge(&[soft(tag)], at_ms(5_000)).expect("nothing to write");
    let entry = store.lookup(of.key, &of.full_key).expect("it is kept");
    let (none, rules) = (RequestDirectives::default(), SiteRules::default());
    for object in entry.objects() {
        let at = |ms| reuse(&object.meta, &none, &rules, at_ms(ms));
        assert_eq!(at(5_000), Reuse::StaleWhileRevalidate);
        assert_eq!(at(14_999), Reuse::StaleWhileRevalidate);
        assert!(matches!(at(15_000), Reuse::Revalidate(_)));
    }
    let again = store.lookup(of.key, &of.full_key).expect("it is kept");
    assert!(Arc::ptr_eq(&entry, &again), "asked once, not at every look-up");
    assert_eq!(store.counters().softened.load(Relaxed), 2);
    assert_eq!(store.counters().purged.load(Relaxed), 0);
    // Validated after the purge, it is fresh again, and so is its copy.
    let (writer, _waiting) = lead(&store, &of);
    let seen = &entry.variants()[0];
    writer.refreshed(seen, storable_for(&HeaderMap::new(), &[("cache-tag", "t")]));
    let entry = store.lookup(of.key, &of.full_key).expect("it is kept");
    assert!(entry.objects().all(|object| object.meta.is_fresh(at_ms(6_000))));
}

#[test]
fn a_fill_from_before_a_purge_serves_its_readers_and_nobody_else() {
    for (scope, head_is_known) in [(URL, false), (URL, true), (Scope::Everything, false)] {
        let (store, of) = (store(), page("s", Scheme::Http, "a.test", "/p?q"));
        let (mut before, mut reader) = lead(&store, &of);
        if head_is_known {
            before.head(storable(), None);
        }
        store.purge(&[hard(scope)], now()).expect("nothing to write");
        let (mut after, _) = lead(&store, &of);
        if !head_is_known {
            before.head(storable(), None);
        }
        ready(before.push(pattern(10))).expect("its reader still wants it");
        assert!(matches!(before.finish(None), Ok(Finished::Refused)));
        assert_eq!(drained(&mut reader).0, pattern(10));
        assert!(!found(&store, &of));
        after.head(storable(), None);
        assert!(matches!(after.finish(None), Ok(Finished::Stored(_))));
        assert!(found(&store, &of));
    }
}

#[test]
fn a_fill_whose_tags_are_not_known_yet_is_not_joined_after_a_purge_of_any_tag_of_its_site() {
    let of = page("s", Scheme::Http, "a.test", "/p");
    for (tags, kept) in [("t", false), ("u", true)] {
        let store = store();
        let (mut before, _reader) = lead(&store, &of);
        store.purge(&[hard(Scope::Tag { site: "other", tag: b"t" })], now()).expect("in memory");
        join(&store, &of);
        store.purge(&[hard(Scope::Tag { site: "s", tag: b"t" })], now()).expect("in memory");
        let (after, _) = lead(&store, &of);
        drop(after);
        let proof = storable_for(&HeaderMap::new(), &[("cache-tags", tags)]);
        before.head(proof, None);
        if kept {
            // Now it is known not to be covered.
            join(&store, &of);
        }
        assert_eq!(matches!(before.finish(None), Ok(Finished::Stored(_))), kept);
        assert_eq!(found(&store, &of), kept);
    }
}

#[test]
fn a_validation_from_before_a_purge_does_not_undo_it() {
    let (store, of) = (store(), page("s", Scheme::Http, "a.test", "/p?q"));
    let old = tagged(&store, &of, "t");
    let (writer, _reader) = lead(&store, &of);
    store.purge(&[soft(Scope::Tag { site: "s", tag: b"t" })], now()).expect("in memory");
    writer.refreshed(&old, storable_for(&HeaderMap::new(), &[("surrogate-key", "t")]));
    let entry = store.lookup(of.key, &of.full_key).expect("it is kept");
    assert!(!entry.variants()[0].meta.is_fresh(now()));
    let (writer, _reader) = lead(&store, &of);
    store.purge(&[hard(URL)], now()).expect("in memory");
    writer.refreshed(&old, storable());
    assert!(!found(&store, &of));
}

/// A 304 may bring a tag that was purged after it was asked for.
#[test]
fn a_tag_that_comes_with_a_renewal_counts_from_when_it_was_asked_for() {
    let (store, of) = (store(), page("s", Scheme::Http, "a.test", "/p"));
    let old = tagged(&store, &of, "t");
    let revision = store.revision();
    store.purge(&[hard(Scope::Tag { site: "s", tag: b"new" })], now()).expect("in memory");
    assert!(found(&store, &of));
    let proof = storable_for(&HeaderMap::new(), &[("surrogate-key", "new")]);
    store.freshen(of.key, &of.full_key, &old, proof, revision);
    assert!(!found(&store, &of));
}

#[test]
fn what_is_forgotten_with_everything_checked_costs_nothing() {
    let store = store_with(Settings { purges_max: 16, ..Settings::default() });
    let of = page("s", Scheme::Http, "a.test", "/p");
    let covered = page("s", Scheme::Http, "a.test", "/t0");
    tagged(&store, &of, "x");
    tagged(&store, &covered, "t0");
    for n in 0..8 {
        let tag = format!("t{n}");
        let scope = Scope::Tag { site: "s", tag: tag.as_bytes() };
        store.purge(&[hard(scope)], now()).expect("in memory");
    }
    store.tend_purges();
    assert_eq!(store.purges.remembered(), 0);
    assert_eq!(store.counters().purges_remembered.load(Relaxed), 0);
    assert_eq!(store.counters().purged.load(Relaxed), 1);
    assert!(!found(&store, &covered));
    let entry = store.lookup(of.key, &of.full_key).expect("no purge covers it");
    assert!(entry.variants()[0].meta.is_fresh(now()));
}

#[test]
fn a_running_fill_keeps_the_purges_that_may_cover_it() {
    let store = store_with(Settings { purges_max: 16, ..Settings::default() });
    let of = page("s", Scheme::Http, "a.test", "/p");
    let (mut writer, _reader) = lead(&store, &of);
    for n in 0..8 {
        let tag = format!("t{n}");
        let scope = Scope::Tag { site: "s", tag: tag.as_bytes() };
        store.purge(&[hard(scope)], now()).expect("in memory");
    }
    store.tend_purges();
    assert_eq!(store.purges.remembered(), 8);
    writer.head(storable_for(&HeaderMap::new(), &[("surrogate-key", "t3")]), None);
    assert!(matches!(writer.finish(None), Ok(Finished::Refused)));
}

/// With more purges than may be remembered, what is older than the forgotten ones asks the origin
/// before it answers: it is not known whether they covered it.
#[test]
fn below_the_floor_everything_is_validated_before_it_answers() {
    let store = store_with(Settings { purges_max: 8, ..Settings::default() });
    let old = page("s", Scheme::Http, "a.test", "/old");
    tagged(&store, &old, "t0");
    let purge = |n: u32| {
        let tag = format!("t{n}");
        let scope = Scope::Tag { site: "s", tag: tag.as_bytes() };
        store.purge(&[hard(scope)], now()).expect("in memory");
    };
    (0..8).for_each(purge);
    let new = page("s", Scheme::Http, "a.test", "/new");
    tagged(&store, &new, "t0");
    (8..10).for_each(purge);
    assert!(store.purges.remembered() <= 8);
    let entry = store.lookup(old.key, &old.full_key).expect("it is kept");
    let meta = &entry.variants()[0].meta;
    let (none, rules) = (RequestDirectives::default(), SiteRules::default());
    assert!(matches!(reuse(meta, &none, &rules, now()), Reuse::Revalidate(_)));
    assert!(!meta.usable_on_error(&none, &rules, now()));
    let entry = store.lookup(new.key, &new.full_key).expect("it is kept");
    assert!(entry.variants()[0].meta.is_fresh(now()));
}

const SEED: KeySeed = KeySeed::new([5; 16]);

fn open(folders: &[PathBuf], least: u64) -> (Purges, Vec<String>) {
    Purges::open(folders, least, SEED, 1_000)
}

fn tag_of(tag: &[u8]) -> [u64; 1] {
    [tags::hash(&SEED, "s", tag)]
}

#[test]
fn journals_bring_purges_back_and_numbers_go_on_above_them() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folders = [one.path().to_owned(), two.path().to_owned()];
    let of = page("s", Scheme::Http, "a.test", "/p?q");
    let (purges, notes) = open(&folders, 1_000_000);
    assert!(notes.is_empty());
    let before = purges.revision();
    let tag = Scope::Tag { site: "s", tag: b"t" };
    let (last, failed, outcome) = purges.order(&[hard(URL), soft(tag)], 500);
    assert_eq!((last, failed, outcome), (before + 2, 0, Ok(())));
    drop(purges);
    // One journal alone has all of it, and so has the other after that.
    for lost in [&folders[0], &folders[1]] {
        fs::remove_file(lost.join("purges.journal")).unwrap();
        let (purges, notes) = open(&folders, 1_500_000);
        assert!(notes.is_empty() && purges.revision() > last);
        assert_eq!(purges.covers(&of.full_key, None, before), Some(true));
        assert_eq!(purges.covers(&of.full_key, Some(&[]), last), Some(false));
        let other = page("s", Scheme::Http, "a.test", "/x");
        assert_eq!(purges.covers(&other.full_key, Some(&[]), before), Some(false));
        assert_eq!(purges.covers(&other.full_key, Some(&tag_of(b"t")), before), Some(true));
    }
}

#[test]
fn without_any_journal_everything_older_is_validated() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let of = page("s", Scheme::Http, "a.test", "/p");
    let (purges, _) = open(&folders, 1_000_000);
    let before = purges.revision();
    assert_eq!(purges.covers(&of.full_key, Some(&[]), before), Some(false));
    drop(purges);
    fs::write(folder.path().join("purges.journal"), b"not a journal").unwrap();
    let (purges, notes) = open(&folders, 2_000_000);
    assert_eq!(notes.len(), 1);
    assert!(purges.revision() > before);
    assert_eq!(purges.covers(&of.full_key, Some(&[]), before), Some(true));
    assert_eq!(purges.covers(&of.full_key, Some(&[]), purges.revision()), Some(false));
}

#[test]
fn a_journal_that_cannot_be_written_is_told_and_owns_up_to_what_it_missed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("disk");
    fs::create_dir(&folder).unwrap();
    let of = page("s", Scheme::Http, "a.test", "/p?q");
    let (purges, _) = open(std::slice::from_ref(&folder), 1_000_000);
    let before = purges.revision();
    {
        // As if the disk failed: nothing can be opened there.
        let mut journals = purges.journals.lock().unwrap();
        journals.fail();
        fs::rename(&folder, parent.path().join("gone")).unwrap();
    }
    let (_, failed, outcome) = purges.order(&[hard(URL)], 500);
    assert_eq!((failed, outcome), (1, Err(PurgeError::NotDurable)));
    assert_eq!(purges.covers(&of.full_key, Some(&[]), before), Some(true), "in force all the same");
    fs::rename(parent.path().join("gone"), &folder).unwrap();
    let (_, failed, outcome) = purges.order(&[hard(Scope::Host("x.test"))], 600);
    assert_eq!((failed, outcome), (0, Ok(())));
    drop(purges);
    let (purges, notes) = open(&[folder], 1_500_000);
    assert!(notes.is_empty());
    let other = page("s", Scheme::Http, "b.test", "/");
    assert_eq!(purges.covers(&other.full_key, Some(&[]), before), Some(true), "below its floor");
}

#[test]
fn a_journal_is_written_anew_when_most_of_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let (purges, _) = open(&folders, 1_000_000);
    let length = || fs::metadata(folder.path().join("purges.journal")).unwrap().len();
    for _ in 0..10 {
        let many: Vec<_> = (0..500).map(|_| hard(URL)).collect();
        purges.order(&many, 500).2.unwrap();
    }
    assert_eq!(length(), 5_001 * RECORD_BYTES as u64);
    assert!(purges.wants_forgetting());
    assert_eq!(purges.forget(0), 0);
    assert_eq!(length(), 2 * RECORD_BYTES as u64);
    let of = page("s", Scheme::Http, "a.test", "/p?q");
    let since = purges.revision() - 1;
    drop(purges);
    let (purges, _) = open(&folders, 2_000_000);
    assert_eq!(purges.covers(&of.full_key, Some(&[]), since), Some(true));
    assert_eq!(purges.covers(&of.full_key, Some(&[]), since + 1), Some(false));
}

fn order_of(revision: u64) -> Order {
    let kind = PurgeKind::ALL[revision as usize % PurgeKind::ALL.len()];
    let strength = if revision.is_multiple_of(2) { Strength::Hard } else { Strength::Soft };
    let target = Target { hash: revision * 7, group: revision * 11, length: revision as u32 };
    Order { kind, strength, revision, target, at_ms: revision * 13 }
}

fn journal_of(count: u64) -> Vec<u8> {
    let mut bytes = Record::Header { revision: 0, floor: 0 }.encode().to_vec();
    (1..=count).for_each(|n| bytes.extend(Record::Purge(order_of(n)).encode()));
    bytes
}

#[test]
fn a_journal_cut_anywhere_tells_all_that_was_whole() {
    let bytes = journal_of(20);
    for end in 0..bytes.len() {
        let whole = end / RECORD_BYTES;
        match replay(&bytes[..end]) {
            None => assert_eq!(whole, 0),
            Some(replayed) => {
                let expected: Vec<_> = (1..whole as u64).map(order_of).collect();
                assert_eq!(replayed.orders, expected);
                assert_eq!(replayed.good_bytes, (whole * RECORD_BYTES) as u64);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_damaged_journal_is_not_believed(at in 0_usize..20 * RECORD_BYTES, flip in 1_u8..) {
        let mut bytes = journal_of(20);
        bytes[at] ^= flip;
        prop_assert_eq!(replay(&bytes), None);
    }

    #[test]
    fn any_bytes_are_a_journal_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(replay(&bytes), None);
    }
}

#[test]
fn what_an_append_left_unfinished_is_cut_and_the_rest_counts() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let path = folder.path().join("purges.journal");
    let (mut journals, notes) = Journals::create(&folders, &[], 10, 0);
    assert!(notes.is_empty());
    let orders: Vec<_> = (11..14).map(order_of).collect();
    assert_eq!(journals.append(&orders, 10), Ok(0));
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0; 70]);
    fs::write(&path, bytes).unwrap();
    let known = journal::read(&folders);
    assert_eq!((known.orders, known.revision, known.floor), (orders, 13, Some(0)));
}
