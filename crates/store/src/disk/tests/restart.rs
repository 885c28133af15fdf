//! What is there after a restart: with and without snapshot, after a crash, with another size.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::rig::{Chance, Rig, SIZE, is_right, key, read, record};

#[test]
fn after_close_all_is_found_through_the_snapshot() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    (0..2000).for_each(|number| disks.put(record(number, 3, 1000)));
    disks.remove(key(7));
    disks.set_now(5000);
    disks.close();
    let sums = {
        let (disks, report) = rig.open_with_report();
        let found = &report.disks[0];
        assert!(found.snapshot && found.failed.is_none() && found.emptied.is_none());
        assert_eq!((found.records, found.records_scanned, report.time_max_ms), (1999, 0, 5000));
        assert_eq!(report.revision_max, 3);
        (0..2000).for_each(|n| assert_eq!(is_right(&disks, n, 3, 1000), n != 7));
        assert_eq!(disks.key_seed(), Some([7; 16]));
        disks.bytes_by_site()
    };
    rig.remove_snapshot(0);
    let (disks, report) = rig.open_with_report();
    assert!(!report.disks[0].snapshot);
    assert_eq!(report.revision_max, 3);
    assert_eq!(report.disks[0].records, 1999);
    (0..2000).for_each(|n| assert_eq!(is_right(&disks, n, 3, 1000), n != 7));
    assert_eq!(disks.bytes_by_site(), sums);
}

#[test]
fn a_crash_costs_what_was_not_flushed_and_a_removal_stays() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    (0..100).for_each(|number| disks.put(record(number, 1, 5000)));
    disks.flush();
    assert!(disks.remove(key(50)));
    drop(disks);
    let disks = rig.open();
    (0..100).for_each(|n| assert_eq!(is_right(&disks, n, 1, 5000), n != 50));
}

#[test]
fn a_removal_after_the_snapshot_stays_after_a_crash() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    (0..100).for_each(|number| disks.put(record(number, 1, 5000)));
    disks.set.snapshot(0);
    assert!(disks.remove(key(50)));
    disks.put(record(60, 2, 100));
    disks.put(record(200, 1, 100));
    disks.flush();
    drop(disks);
    let (disks, report) = rig.open_with_report();
    assert!(report.disks[0].snapshot);
    assert_eq!(report.disks[0].records_scanned, 3);
    assert!(read(&disks, 50).is_none());
    assert!(is_right(&disks, 60, 2, 100) && is_right(&disks, 200, 1, 100));
    assert!(is_right(&disks, 61, 1, 5000));
}

#[test]
fn the_log_goes_on_in_the_segment_where_it_was() {
    let rig = Rig::new(1, SIZE);
    for round in 0..20 {
        let disks = rig.open();
        disks.put(record(round, 1, 500));
        if round % 2 == 0 { disks.close() } else { disks.flush() }
    }
    assert_eq!(rig.segment_files(0).len(), 1);
    let disks = rig.open();
    (0..20).for_each(|number| assert!(is_right(&disks, number, 1, 500)));
}

#[test]
fn a_log_cut_at_any_byte_gives_whole_records_only() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    let sizes = [100, 0, 700, 200];
    sizes.iter().enumerate().for_each(|(n, bytes)| disks.put(record(n as u64, 1, *bytes)));
    disks.flush();
    drop(disks);
    let path = rig.segment_files(0)[0].clone();
    let whole = std::fs::read(&path).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for cut in (64..end).rev() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let disks = rig.open();
        let there = |n: &usize| is_right(&disks, *n as u64, 1, sizes[*n]);
        let found = (0..sizes.len()).take_while(there).count();
        assert!((found..sizes.len()).all(|n| !is_right(&disks, n as u64, 1, sizes[n])));
        assert!(found < sizes.len() && (found > 0 || cut < 64 + 256), "{cut}: {found}");
        // What comes next is written over the torn end and survives.
        disks.put(record(9, 1, 300));
        disks.flush();
        drop(disks);
        assert!(is_right(&rig.open(), 9, 1, 300), "cut at {cut}");
    }
}

#[test]
fn another_format_version_empties_the_disk() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    disks.put(record(1, 1, 100));
    disks.close();
    let superblock = rig.path(0).join("superblock");
    File::options().write(true).open(&superblock).unwrap().write_all_at(&[99], 8).unwrap();
    let (disks, report) = rig.open_with_report();
    assert_eq!(report.disks[0].emptied, Some("another format version"));
    assert!(read(&disks, 1).is_none());
    disks.put(record(1, 2, 100));
    disks.close();
    assert!(is_right(&rig.open(), 1, 2, 100));
}

#[test]
fn a_damaged_superblock_or_snapshot_is_survived() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    disks.put(record(1, 1, 100));
    disks.close();
    let snapshot = rig.path(0).join("index.snapshot");
    let whole = std::fs::read(&snapshot).unwrap();
    let mut chance = Chance(11);
    for _ in 0..60 {
        let mut damaged = whole.clone();
        let at = chance.below(damaged.len());
        damaged[at] ^= 1 << chance.below(8);
        damaged.truncate(chance.below(damaged.len()).max(at));
        std::fs::write(&snapshot, &damaged).unwrap();
        assert!(is_right(&rig.open(), 1, 1, 100));
    }
    std::fs::write(rig.path(0).join("superblock"), b"SELVEDGE").unwrap();
    let (disks, report) = rig.open_with_report();
    assert_eq!(report.disks[0].emptied, Some("damaged superblock"));
    assert!(read(&disks, 1).is_none());
}

#[test]
fn a_smaller_or_larger_size_keeps_what_fits() {
    let mut rig = Rig::new(1, SIZE);
    let disks = rig.open();
    (0..200).for_each(|number| disks.put(record(number, 1, 100_000)));
    disks.close();
    assert_eq!(rig.segment_files(0).len(), 5);
    rig.settings.disks[0].size_bytes = 16 << 20;
    let disks = rig.open();
    let kept = (0..200).filter(|n| is_right(&disks, *n, 1, 100_000)).count();
    assert!((100..200).contains(&kept), "{kept}");
    assert_eq!(rig.segment_files(0).len(), 4);
    (200..400).for_each(|number| disks.put(record(number, 1, 100_000)));
    disks.flush();
    assert!(is_right(&disks, 399, 1, 100_000));
    assert_eq!(rig.segment_files(0).len(), 4);
    disks.close();
    rig.settings.disks[0].size_bytes = 64 << 20;
    let disks = rig.open();
    assert!(is_right(&disks, 399, 1, 100_000));
    (1000..1300).for_each(|number| disks.put(record(number, 1, 100_000)));
    disks.flush();
    assert!(rig.segment_files(0).len() >= 10);
    assert!((1000..1300).all(|number| is_right(&disks, number, 1, 100_000)));
}

#[test]
fn a_second_opening_of_a_folder_is_told_who_has_it() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    let (second, report) = rig.open_with_report();
    let why = report.disks[0].failed.clone().unwrap();
    assert_eq!(why, format!("in use by process {}", std::process::id()));
    assert!(second.key_seed().is_none());
    second.put(record(1, 1, 1));
    assert!(second.find(key(1)).is_none() && second.remove(key(1)));
    disks.close();
    assert!(rig.open_with_report().1.disks[0].failed.is_none());
}
