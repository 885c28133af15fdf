//! Several disks.

use super::rig::{Call, Fate, Rig, SIZE, count, is_right, key, read, record};
use crate::disk::volume::Health;

fn homes(disks: &crate::disk::Disks, numbers: u64) -> Vec<Option<usize>> {
    let on = |n: u64| disks.set.disks.iter().find(|disk| disk.index.get(key(n)).is_some());
    (0..numbers).map(|n| on(n).map(|disk| disk.number)).collect()
}

#[test]
fn keys_spread_over_all_disks_and_stay_where_they_are() {
    let rig = Rig::new(3, SIZE);
    let disks = rig.open();
    (0..3000).for_each(|number| disks.put(record(number, 1, 1000)));
    disks.flush();
    let before = homes(&disks, 3000);
    for disk in 0..3 {
        let here = before.iter().filter(|home| **home == Some(disk)).count();
        assert!((900..1100).contains(&here), "{here}");
    }
    disks.close();
    assert!(homes(&rig.open(), 3000) == before);
}

#[test]
fn losing_a_disk_costs_its_own_keys_and_it_does_not_come_back_with_old_ones() {
    let mut rig = Rig::new(3, SIZE);
    let disks = rig.open();
    (0..900).for_each(|number| disks.put(record(number, 1, 1000)));
    disks.flush();
    let before = homes(&disks, 900);
    disks.close();
    let all = rig.settings.disks.clone();
    std::fs::rename(&all[1].path, rig.folder.path().join("away")).unwrap();
    std::fs::write(&all[1].path, b"not a folder").unwrap();
    let (disks, report) = rig.open_with_report();
    assert!(report.disks[1].failed.is_some());
    for number in 0..900 {
        let there = is_right(&disks, number, 1, 1000);
        assert_eq!(there, before[number as usize] != Some(1), "{number}");
        disks.put(record(number, 2, 1000));
    }
    disks.flush();
    assert!((0..900).all(|number| is_right(&disks, number, 2, 1000)));
    disks.close();
    std::fs::remove_file(&all[1].path).unwrap();
    std::fs::rename(rig.folder.path().join("away"), &all[1].path).unwrap();
    let (disks, report) = rig.open_with_report();
    assert_eq!(report.disks[1].emptied, Some("it missed changes of the other disks"));
    assert!((0..900).all(|number| is_right(&disks, number, 2, 1000)));
    // What is put again goes home, and only one version is left.
    (0..900).for_each(|number| disks.put(record(number, 3, 1000)));
    disks.flush();
    assert!(homes(&disks, 900) == before);
    assert_eq!(disks.totals().records, 900);
    disks.close();
    rig.settings.disks.truncate(1);
    let disks = rig.open();
    assert!((0..900).all(|n| is_right(&disks, n, 3, 1000) == (before[n as usize] == Some(0))));
}

#[test]
fn a_disk_made_anew_while_another_was_away_knows_better() {
    let mut rig = Rig::new(2, SIZE);
    let both = rig.settings.disks.clone();
    for now_ms in [1_000, 2_000, 3_000] {
        // Each time the set is another one.
        rig.settings.disks = both[..if now_ms == 2_000 { 1 } else { 2 }].to_vec();
        rig.settings.now_ms = now_ms;
        rig.open().close();
    }
    std::fs::write(both[0].path.join("superblock"), b"damaged").unwrap();
    rig.settings.disks = both[..1].to_vec();
    rig.settings.now_ms = 4_000;
    let disks = rig.open();
    disks.put(record(1, 2, 1000));
    disks.close();
    (rig.settings.disks, rig.settings.now_ms) = (both, 5_000);
    let (disks, report) = rig.open_with_report();
    assert_eq!(report.disks[0].emptied, None);
    assert_eq!(report.disks[1].emptied, Some("it missed changes of the other disks"));
    assert!(is_right(&disks, 1, 2, 1000));
}

#[test]
fn a_disk_lost_while_running_is_emptied_at_the_next_start() {
    let rig = Rig::new(2, SIZE);
    let disks = rig.open();
    (0..200).for_each(|number| disks.put(record(number, 1, 1000)));
    disks.flush();
    let before = homes(&disks, 200);
    disks.set.disks[0].lose("for the test");
    disks.set.beat();
    assert_eq!(count(&rig.counters.disks), 1);
    for number in 0..200 {
        assert_eq!(is_right(&disks, number, 1, 1000), before[number as usize] == Some(1));
        disks.put(record(number, 2, 1000));
    }
    disks.flush();
    assert!((0..200).all(|number| is_right(&disks, number, 2, 1000)));
    drop(disks);
    let (disks, report) = rig.open_with_report();
    assert!(report.disks[0].emptied.is_some());
    assert!((0..200).all(|number| is_right(&disks, number, 2, 1000)));
}

#[test]
fn what_a_read_only_disk_held_does_not_shadow_what_is_put_elsewhere() {
    let rig = Rig::new(2, SIZE);
    let disks = rig.open();
    (0..200).for_each(|number| disks.put(record(number, 1, 1000)));
    disks.flush();
    let before = homes(&disks, 200);
    disks.set.disks[0].set_writable(false);
    (0..200).for_each(|number| disks.put(record(number, 2, 1000)));
    disks.flush();
    assert!((0..200).all(|number| is_right(&disks, number, 2, 1000)));
    assert_eq!(disks.set.disks[0].health(), Health::ReadOnly);
    disks.set.retry();
    disks.flush();
    disks.set.beat();
    drop(disks);
    let disks = rig.open();
    assert!((0..200).all(|number| is_right(&disks, number, 2, 1000)));
    assert!(before.contains(&Some(0)));
}

#[test]
fn a_disk_that_cannot_read_at_opening_does_not_stop_the_others() {
    let rig = Rig::new(2, SIZE);
    let disks = rig.open();
    (0..200).for_each(|number| disks.put(record(number, 1, 1000)));
    drop(disks);
    rig.io.plan(|call, _, _, _| if call == Call::Write { Fate::Work } else { Fate::Fail(5) });
    let disks = rig.open();
    rig.io.work();
    assert!((0..200).all(|number| read(&disks, number).is_none()));
    disks.put(record(1, 2, 10));
    disks.flush();
    assert!(is_right(&disks, 1, 2, 10));
}

/// Whether or not it can be told so itself.
#[test]
fn a_disk_that_could_not_be_recovered_does_not_come_back_with_what_it_missed() {
    for told in [true, false] {
        let rig = Rig::new(2, SIZE);
        let disks = rig.open();
        (0..100).for_each(|number| disks.put(record(number, 1, 1000)));
        disks.close();
        let [segments, away, superblock] =
            ["segments", "away", "superblock"].map(|name| rig.path(1).join(name));
        let said = std::fs::read(&superblock).unwrap();
        std::fs::rename(&segments, &away).unwrap();
        std::fs::write(&segments, b"not a folder").unwrap();
        let (disks, report) = rig.open_with_report();
        assert!(report.disks[1].failed.is_some() && report.disks[0].failed.is_none());
        (0..100).for_each(|number| assert!(disks.remove(key(number))));
        disks.close();
        std::fs::remove_file(&segments).unwrap();
        std::fs::rename(&away, &segments).unwrap();
        if !told {
            std::fs::write(&superblock, said).unwrap();
        }
        let disks = rig.open();
        assert!((0..100).all(|number| read(&disks, number).is_none()), "{told}");
    }
}
