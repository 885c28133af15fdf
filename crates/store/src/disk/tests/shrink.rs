//! A size that was made smaller: what was removed or replaced stays so, whatever is cut off and
//! whenever the process dies.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::rig::{Call, Fate, Rig, is_right, key, read, record};
use crate::disk::DiskReport;
use crate::lock::lock;

const MIB: u64 = 1 << 20;

/// Where the voids of all keys are, of the later ones alone, and of none.
const SIZES: [u64; 3] = [16 * MIB, 24 * MIB, 64 * MIB];

/// Keys: even ones are removed, odd ones are replaced; the second half later than the first.
const KEYS: u64 = 40;

/// A disk with 64 MiB: first versions in the first segment, what voids them in the fifth and the
/// seventh. It ends as by a crash.
fn rig(with_snapshot: bool) -> Rig {
    let rig = Rig::new(1, SIZES[2]);
    let disks = rig.open();
    (0..KEYS).for_each(|number| disks.put(record(number, 1, 1000)));
    let void = |number| match number % 2 {
        0 => assert!(disks.remove(key(number))),
        _ => disks.put(record(number, 2, 1000)),
    };
    (1000..1170).for_each(|number| disks.put(record(number, 1, 100_000)));
    disks.flush();
    (0..KEYS / 2).for_each(void);
    (2000..2080).for_each(|number| disks.put(record(number, 1, 100_000)));
    disks.flush();
    (KEYS / 2..KEYS).for_each(void);
    disks.flush();
    assert_eq!(rig.segment_files(0).len(), 7);
    if with_snapshot {
        disks.set.snapshot(0);
    }
    drop(disks);
    rig
}

fn resize(rig: &mut Rig, size_bytes: u64) {
    rig.settings.disks[0].size_bytes = size_bytes;
}

/// Opens a disk of which nothing may come back, and says how many second versions are there.
fn open(rig: &Rig) -> (DiskReport, u64) {
    let (disks, report) = rig.open_with_report();
    assert_eq!(report.disks[0].failed, None);
    let there = |number: &u64| match number % 2 {
        0 => {
            assert!(read(&disks, *number).is_none(), "{number} was removed");
            false
        }
        // Panics when it is another version.
        _ => is_right(&disks, *number, 2, 1000),
    };
    let newest = (0..KEYS).filter(there).count() as u64;
    let report = report.disks[0].clone();
    assert!(newest == KEYS / 2 || report.bytes < 60 * MIB);
    (report, newest)
}

fn without_snapshot(rig: &Rig) {
    // There may be none yet.
    let _ = std::fs::remove_file(rig.path(0).join("index.snapshot"));
}

fn voids(rig: &Rig) -> PathBuf {
    rig.path(0).join("voids")
}

#[test]
fn a_smaller_size_brings_back_nothing_that_was_removed_or_replaced() {
    for with_snapshot in [false, true] {
        let mut rig = rig(with_snapshot);
        for (size, newest, files) in [(SIZES[1], KEYS / 4, 6), (SIZES[0], 0, 4)] {
            resize(&mut rig, size);
            let (report, found) = open(&rig);
            assert_eq!((report.emptied, found), (None, newest));
            assert!(report.records > 0, "{report:?}");
            assert_eq!(rig.segment_files(0).len(), files);
            // Nor later, by way of a snapshot or without one.
            let disks = rig.open();
            disks.put(record(5000, 1, 1000));
            disks.close();
            assert_eq!(open(&rig).1, newest);
            without_snapshot(&rig);
            assert_eq!(open(&rig).1, newest);
        }
        resize(&mut rig, SIZES[2]);
        assert_eq!(open(&rig).1, 0);
        let disks = rig.open();
        (0..KEYS).for_each(|number| disks.put(record(number, 2, 1000)));
        disks.flush();
        assert!(
            (0..KEYS).all(|number| is_right(&disks, number, 2, 1000)),
            "newer ones are not void"
        );
        drop(disks);
        assert!(rig.open().has(key(0)));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("segments")).unwrap();
    for folder in ["", "segments"] {
        for entry in std::fs::read_dir(from.join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// What a process leaves that dies at any write or deletion while it makes the disk smaller.
fn states(rig: &Rig) -> Vec<TempDir> {
    let states: Arc<Mutex<Vec<TempDir>>> = Arc::default();
    let (of, kept) = (rig.path(0).to_owned(), states.clone());
    rig.io.plan(move |call, _, _, _| {
        if matches!(call, Call::Write | Call::Delete) {
            let state = tempfile::tempdir().unwrap();
            copy(&of, state.path());
            lock(&kept).push(state);
        }
        Fate::Work
    });
    open(rig);
    rig.io.work();
    std::mem::take(&mut *lock(&states))
}

#[test]
fn a_process_that_dies_while_it_makes_the_disk_smaller_brings_back_nothing() {
    let mut rig = rig(true);
    for size in [SIZES[1], SIZES[0]] {
        resize(&mut rig, size);
        let states = states(&rig);
        assert!(states.len() >= 3, "{}", states.len());
        for state in states {
            for size in SIZES {
                let mut again = Rig::new(1, size);
                again.settings.disks[0].path = again.folder.path().join("again");
                copy(state.path(), again.path(0));
                assert_eq!(open(&again).0.emptied, None);
                without_snapshot(&again);
                open(&again);
                resize(&mut again, SIZES[2]);
                open(&again);
                resize(&mut again, SIZES[0]);
                open(&again);
            }
        }
    }
}

#[test]
fn what_is_cut_off_and_cannot_be_read_empties_the_disk() {
    for damage in 0..3 {
        let mut rig = rig(true);
        resize(&mut rig, SIZES[0]);
        let last = rig.segment_files(0).pop().unwrap();
        if damage == 0 {
            let file = std::fs::File::options().write(true).open(last).unwrap();
            file.write_all_at(b"damaged", 0).unwrap();
        } else {
            let last = std::fs::metadata(last).unwrap();
            rig.io.plan(move |call, file, offset, _| {
                use std::os::unix::fs::MetadataExt;
                let is_last = file.metadata().unwrap().ino() == last.ino();
                let fails = if damage == 1 { Call::Read } else { Call::Delete };
                if is_last && call == fails && (offset > 0 || damage == 2) {
                    Fate::Fail(5)
                } else {
                    Fate::Work
                }
            });
        }
        let (report, newest) = open(&rig);
        assert!(report.emptied.is_some() && newest == 0 && report.records == 0, "{damage}");
        rig.io.work();
        resize(&mut rig, SIZES[2]);
        assert_eq!(open(&rig).0.emptied, None);
    }
}

#[test]
fn a_disk_that_cannot_be_made_smaller_is_left_out_and_then_emptied() {
    let mut rig = rig(true);
    resize(&mut rig, SIZES[0]);
    rig.io.plan(|call, _, _, _| if call == Call::Write { Fate::Fail(5) } else { Fate::Work });
    let (disks, report) = rig.open_with_report();
    assert!(report.disks[0].failed.is_some() && disks.key_seed().is_none());
    drop(disks);
    rig.io.work();
    resize(&mut rig, SIZES[2]);
    assert_eq!(open(&rig).0.records, 0);
}

#[test]
fn the_list_of_what_is_void_goes_when_nothing_older_is_left() {
    let mut rig = rig(false);
    resize(&mut rig, SIZES[0]);
    open(&rig);
    assert!(voids(&rig).exists());
    let disks = rig.open();
    (6000..6500).for_each(|number| disks.put(record(number, 1, 100_000)));
    disks.close();
    open(&rig);
    assert!(!voids(&rig).exists());
    // What is damaged is not guessed at.
    std::fs::write(voids(&rig), b"SELVVOID").unwrap();
    assert!(open(&rig).0.emptied.is_some());
    assert!(!voids(&rig).exists());
}
