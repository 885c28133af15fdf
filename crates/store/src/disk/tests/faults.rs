//! Disks that fail.

use super::rig::{Call, Fate, Rig, SIZE, count, is_right, key, read, record};
use crate::disk::ReadError;
use crate::disk::volume::Health;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

#[test]
fn short_reads_and_writes_change_nothing() {
    let rig = Rig::new(1, SIZE);
    let mut call = 0;
    rig.io.plan(move |_, _, _, bytes| {
        call += 1;
        Fate::Short((bytes / 2 + call % 7).max(1))
    });
    let disks = rig.open();
    (0..50).for_each(|number| disks.put(record(number, 1, 9000)));
    disks.close();
    let disks = rig.open();
    assert!((0..50).all(|number| is_right(&disks, number, 1, 9000)));
}

#[test]
fn a_disk_that_fails_to_write_goes_read_only_and_comes_back() {
    for code in [EIO, ENOSPC, EROFS] {
        let rig = Rig::new(1, SIZE);
        let disks = rig.open();
        (0..10).for_each(|number| disks.put(record(number, 1, 9000)));
        disks.flush();
        rig.io.plan(move |call, _, _, _| match call {
            Call::Write => Fate::Fail(code),
            _ => Fate::Work,
        });
        disks.put(record(10, 1, 9000));
        disks.flush();
        assert_eq!(disks.set.disks[0].health(), Health::ReadOnly);
        assert_eq!(count(&rig.counters.write_errors), 3);
        assert_eq!(count(&rig.counters.disks_read_only), 1);
        // All can be read, the last from the buffer; removals work but are not on disk.
        assert!((0..11).all(|number| is_right(&disks, number, 1, 9000)));
        assert!(!disks.remove(key(3)));
        assert!(read(&disks, 3).is_none());
        disks.put(record(11, 1, 9000));
        assert_eq!(count(&rig.counters.refused), 1);
        disks.set.retry();
        disks.flush();
        assert_eq!(disks.set.disks[0].health(), Health::ReadOnly);
        rig.io.work();
        disks.set.retry();
        disks.put(record(12, 1, 9000));
        disks.flush();
        disks.put(record(13, 1, 9000));
        disks.flush();
        disks.set.beat();
        drop(disks);
        let disks = rig.open();
        let there = |number: &u64| is_right(&disks, *number, 1, 9000);
        let found: Vec<u64> = (0..14).filter(there).collect();
        assert!([3, 11].iter().all(|n| !found.contains(n)), "{code}: {found:?}");
        assert!([0, 10, 13].iter().all(|n| found.contains(n)), "{code}: {found:?}");
    }
}

#[test]
fn a_removal_that_was_never_written_empties_the_disk_at_the_next_start() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    disks.put(record(1, 1, 9000));
    disks.flush();
    let superblock_bytes = 76;
    rig.io.plan(move |call, _, _, bytes| match call {
        Call::Write if bytes != superblock_bytes => Fate::Fail(EIO),
        _ => Fate::Work,
    });
    disks.put(record(2, 1, 9000));
    disks.flush();
    assert!(!disks.remove(key(1)));
    disks.set.beat();
    drop(disks);
    rig.io.work();
    let (disks, report) = rig.open_with_report();
    assert_eq!(report.disks[0].emptied, Some("removals could not be written"));
    assert!(read(&disks, 1).is_none());
}

/// Also when the process dies at once, when nothing at all can be written, and when the removal is
/// what the disk fails at first.
#[test]
fn a_removal_that_is_reported_as_not_written_never_comes_back() {
    for (beats, read_only_before) in [(0, true), (0, false), (2, true), (2, false)] {
        let rig = Rig::new(1, SIZE);
        let disks = rig.open();
        disks.put(record(1, 1, 9000));
        disks.flush();
        rig.io.plan(|call, _, _, _| match call {
            Call::Write => Fate::Fail(ENOSPC),
            _ => Fate::Work,
        });
        if read_only_before {
            disks.put(record(2, 1, 9000));
            disks.flush();
        }
        assert!(!disks.remove(key(1)));
        (0..beats).for_each(|_| disks.set.beat());
        drop(disks);
        rig.io.work();
        assert!(read(&rig.open(), 1).is_none(), "{beats} {read_only_before}");
    }
}

/// The superblock that was taken away comes back, and nothing is lost for it.
#[test]
fn a_disk_that_writes_again_before_the_next_beat_keeps_what_it_has() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    (0..2).for_each(|number| disks.put(record(number, 1, 9000)));
    disks.flush();
    rig.io.plan(|call, _, _, _| match call {
        Call::Write => Fate::Fail(EIO),
        _ => Fate::Work,
    });
    assert!(!disks.remove(key(1)));
    rig.io.work();
    disks.set.retry();
    disks.flush();
    disks.set.beat();
    drop(disks);
    let (disks, report) = rig.open_with_report();
    assert_eq!((report.disks[0].emptied, report.disks[0].records), (None, 1));
    assert!(is_right(&disks, 0, 1, 9000) && read(&disks, 1).is_none());
}

#[test]
fn a_record_that_cannot_be_read_is_forgotten_and_a_failing_disk_is_dropped() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    (0..40).for_each(|number| disks.put(record(number, 1, 9000)));
    disks.flush();
    rig.io.plan(|call, _, _, _| if call == Call::Write { Fate::Work } else { Fate::Fail(EIO) });
    for number in 0..15 {
        assert_eq!(read(&disks, number), Some(Err(ReadError::Failed)));
        assert!(read(&disks, number).is_none());
    }
    rig.io.work();
    assert!(is_right(&disks, 30, 1, 9000), "one that works starts the count again");
    rig.io.plan(|call, _, _, _| if call == Call::Write { Fate::Work } else { Fate::Fail(EIO) });
    for number in 15..31 {
        assert_eq!(read(&disks, number), Some(Err(ReadError::Failed)), "{number}");
    }
    assert_eq!(count(&rig.counters.disks_lost), 1);
    assert!(read(&disks, 35).is_none());
    disks.put(record(50, 1, 10));
    disks.flush();
    assert!(read(&disks, 50).is_none());
}

#[test]
fn a_disk_that_cannot_be_opened_is_left_out() {
    let mut rig = Rig::new(2, SIZE);
    std::fs::write(rig.folder.path().join("file"), b"").unwrap();
    rig.settings.disks[0].path = rig.folder.path().join("file");
    let (disks, report) = rig.open_with_report();
    assert!(report.disks[0].failed.is_some() && report.disks[1].failed.is_none());
    disks.put(record(1, 1, 10));
    disks.flush();
    assert!(is_right(&disks, 1, 1, 10));
}

#[test]
fn writes_that_fail_now_and_then_lose_nothing() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    let mut call = 0;
    rig.io.plan(move |_, _, _, _| {
        call += 1;
        if call % 3 == 0 { Fate::Fail(EIO) } else { Fate::Work }
    });
    for number in 0..300 {
        disks.put(record(number, 1, 20_000));
        (number % 10 == 0).then(|| disks.flush());
    }
    disks.flush();
    rig.io.work();
    drop(disks);
    let disks = rig.open();
    let there = (0..300).filter(|number| is_right(&disks, *number, 1, 20_000)).count();
    assert!(there > 290, "{there}");
}
