//! The log: what was appended is there again, all or nothing, and one process has it.

use super::*;
use crate::random;
use crate::state::State;
use crate::state::record::Deed;
use crate::stream;

fn entry(revision: u64) -> Entry {
    let record = Record {
        revision,
        at_ms: 1_000,
        by: "somebody".into(),
        from: "192.0.2.1".into(),
        request_id: random::hex::<4>(),
        deed: Deed::SiteRemoved { name: format!("site-{revision}") },
        once: None,
    };
    Entry { record, lines: stream::lines(revision, None) }
}

fn open(folder: &std::path::Path) -> SqliteLog {
    SqliteLog::open(folder).expect("a log")
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(folder.path());
    let id = log.id().to_owned();
    let entries: Vec<Entry> = (1..=5).map(entry).collect();
    log.append(&entries[..3]).expect("room");
    log.append(&entries[3..]).expect("room");
    drop(log);
    let log = open(folder.path());
    assert_eq!(log.id(), id);
    let records: Vec<Record> = entries[1..].iter().map(|entry| entry.record.clone()).collect();
    assert_eq!(log.records(1).expect("records"), records);
    let lines: Vec<u64> = log.lines(2).expect("lines").iter().map(|(at, _)| *at).collect();
    assert_eq!(lines, [4, 5]);
    let audit = log.audit(5, 2).expect("lines");
    let seen: Vec<(u64, &str)> = audit.iter().map(|it| (it.revision, it.what.as_str())).collect();
    assert_eq!(seen, [(4, "site site-4 removed"), (3, "site site-3 removed")]);
}

#[test]
fn an_append_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(folder.path());
    log.append(&[entry(1)]).expect("room");
    assert!(log.append(&[entry(2), entry(1)]).is_err(), "revision 1 is there already");
    assert_eq!(log.records(0).expect("records").len(), 1);
    log.append(&[entry(2)]).expect("room");
}

#[test]
fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let _log = open(folder.path());
    assert!(matches!(SqliteLog::open(folder.path()), Err(LogError::InUse)));
}

#[test]
fn a_snapshot_takes_the_place_of_old_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(folder.path());
    let entries: Vec<Entry> = (1..=10).map(entry).collect();
    log.append(&entries).expect("room");
    let mut state = State::default();
    entries.iter().for_each(|entry| {
        state.apply(&entry.record);
    });
    log.save(10, &Saved::from(&state), 3).expect("room");
    assert_eq!(log.records(0).expect("records").len(), 3);
    let saved = log.saved().expect("a snapshot").map(State::from).expect("a snapshot");
    assert_eq!(saved.revision, 10);
    let path = folder.path().join("snapshot-10.json");
    let mut bytes = std::fs::read(&path).expect("a file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("a file");
    assert!(log.saved().expect("an answer").is_none(), "a damaged snapshot is never used");
}

#[test]
fn an_older_snapshot_can_stand_in_however_little_is_kept_for_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(folder.path());
    let mut state = State::default();
    for revision in 1..=30 {
        let entry = entry(revision);
        state.apply(&entry.record);
        log.append(&[entry]).expect("room");
        if revision % 10 == 0 {
            log.save(revision, &Saved::from(&state), 1).expect("room");
        }
    }
    std::fs::write(folder.path().join("snapshot-30.json"), "damaged").expect("a file");
    let saved = log.saved().expect("an answer").map(State::from).expect("the one before");
    let after = log.records(saved.revision).expect("records");
    let revisions: Vec<u64> = after.iter().map(|record| record.revision).collect();
    assert_eq!((saved.revision, revisions), (20, (21..=30).collect()));
}
