//! Disks that are full: reclaim, quotas, bounds.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::rig::{Call, Chance, Fate, Rig, SIZE, count, is_right, key, read, record};
use crate::disk::{Cursor, Quota, Record};
use crate::lock::lock;

fn bytes_on_disk(rig: &Rig) -> u64 {
    rig.segment_files(0).iter().map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn a_full_disk_forgets_old_records_and_stays_within_its_size() {
    let seed = 77;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    let mut versions = vec![0u64; 3000];
    let size = |n: u64, version: u64| ((n * 31 + version * 977) % 60_000) as usize;
    let mut missing = 0;
    for round in 1..6000u64 {
        let number = chance.below(versions.len()) as u64;
        versions[number as usize] = round;
        disks.put(record(number, round, size(number, round)));
        if round % 50 == 0 {
            disks.flush();
            let asked = chance.below(versions.len()) as u64;
            let version = versions[asked as usize];
            if version > 0 && !is_right(&disks, asked, version, size(asked, version)) {
                missing += 1;
            }
        }
        if round % 97 == 0 {
            let gone = chance.below(versions.len());
            assert!(disks.remove(key(gone as u64)));
            versions[gone] = 0;
        }
    }
    disks.flush();
    assert!(count(&rig.counters.reclaimed) > 20 && missing > 0);
    assert!(bytes_on_disk(&rig) <= SIZE);
    let check = |disks: &crate::disk::Disks| {
        let is_there = |(n, version): (usize, &u64)| {
            if *version == 0 {
                assert!(read(disks, n as u64).is_none(), "{n} was removed");
            }
            *version > 0 && is_right(disks, n as u64, *version, size(n as u64, *version))
        };
        versions.iter().enumerate().filter(|pair| is_there(*pair)).count() as u64
    };
    let there = check(&disks);
    assert_eq!((there, disks.totals().records), (disks.totals().records, there));
    assert!(there > 200, "{there}");
    let sums = disks.bytes_by_site();
    drop(disks);
    // After a crash nothing is there that was not there before.
    let disks = rig.open();
    let found = check(&disks);
    assert!(found >= there, "{found} of {there}");
    assert_eq!(disks.bytes_by_site()[0].records, found);
    assert!(found > there || disks.bytes_by_site() == sums);
}

#[test]
fn what_is_asked_for_outlives_what_is_not() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    for number in 0..5000 {
        disks.put(record(number, 1, 30_000));
        if number % 20 == 0 {
            disks.flush();
            (0..10).for_each(|hot| drop(disks.find(key(hot))));
        }
    }
    disks.flush();
    let hot = (0..10).filter(|number| is_right(&disks, *number, 1, 30_000)).count();
    assert_eq!(hot, 10);
    assert!(count(&rig.counters.moved) >= 10);
}

#[test]
fn an_evicted_new_version_does_not_bring_back_the_old_one() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    disks.put(record(1, 1, 50_000));
    disks.flush();
    // The old version stays in use, and so moves to the main stream, until it is replaced.
    for number in 100..1000 {
        disks.put(record(number, 1, 30_000));
        disks.flush();
        assert!(is_right(&disks, 1, 1, 50_000));
    }
    disks.put(record(1, 2, 50_000));
    disks.flush();
    let index = &disks.set.disks[0].index;
    // One that nobody asked for.
    let place = index.remove(key(1)).unwrap();
    index.put(key(1), place);
    for number in 2000..4000 {
        disks.put(record(number, 1, 30_000));
    }
    disks.close();
    rig.remove_snapshot(0);
    let disks = rig.open();
    assert!(read(&disks, 1).is_none());
}

/// Between the moment at which a record leaves the index and the one at which its segment is free,
/// a restart would find it.
#[test]
fn a_record_that_is_removed_while_it_is_evicted_does_not_come_back() {
    let rig = Rig::new(1, SIZE);
    let disks = Arc::new(rig.open());
    disks.put(record(1, 1, 50_000));
    disks.flush();
    let (there, removal) = (disks.clone(), Arc::new(Mutex::new(None)));
    let kept = removal.clone();
    rig.io.plan(move |call, _, offset, _| {
        let freed = call == Call::Write && offset == 0 && !there.has(key(1));
        if !freed || lock(&kept).is_some() {
            return Fate::Work;
        }
        // The process ends, as it were, before the segment is marked as free.
        *lock(&kept) = Some(there.remove_soon(key(1)));
        Fate::Fail(5)
    });
    for number in 100..2000 {
        disks.put(record(number, 1, 30_000));
        if number % 50 == 0 {
            disks.flush();
        }
        if lock(&removal).is_some() {
            break;
        }
    }
    let removal = lock(&removal).take().expect("it was evicted");
    assert!(removal.wait(), "it is written");
    rig.io.work();
    drop(Arc::into_inner(disks).expect("nobody else has it"));
    let disks = rig.open();
    assert!(read(&disks, 1).is_none());
}

fn of_site(site: u32, record: Record) -> Record {
    Record { site, ..record }
}

fn bytes_of(disks: &crate::disk::Disks, site: u32) -> u64 {
    disks.bytes_by_site().iter().find(|sum| sum.site == site).map_or(0, |sum| sum.bytes)
}

#[test]
fn a_site_over_its_maximum_loses_its_own_oldest_records() {
    let mut rig = Rig::new(1, SIZE);
    let max_bytes = 2 << 20;
    rig.settings.sites = vec![Quota { site: 2, min_bytes: 0, max_bytes }];
    let disks = rig.open();
    for number in 0..400 {
        disks.put(of_site(1 + number as u32 % 2, record(number, 1, 20_000)));
    }
    disks.flush();
    assert!((max_bytes * 9 / 10..=max_bytes).contains(&bytes_of(&disks, 2)));
    let there: Vec<u64> = (0..400).filter(|n| is_right(&disks, *n, 1, 20_000)).collect();
    assert_eq!(there.iter().filter(|n| *n % 2 == 0).count(), 200, "others lose nothing");
    let kept: Vec<u64> = there.into_iter().filter(|n| n % 2 == 1).collect();
    assert!((90..=104).contains(&kept.len()) && kept[0] > 180 && *kept.last().unwrap() == 399);
    assert!(count(&rig.counters.over_quota) > 90);
    disks.set_quotas(&[Quota { site: 1, min_bytes: 0, max_bytes: 0 }]);
    disks.flush();
    assert_eq!(bytes_of(&disks, 1), 0);
    drop(disks);
    rig.settings.sites.clear();
    let disks = rig.open();
    assert_eq!(bytes_of(&disks, 1), 0, "it does not come back after a crash");
}

#[test]
fn what_a_site_was_promised_is_left_to_it() {
    let mut rig = Rig::new(1, SIZE);
    rig.settings.sites = vec![Quota { site: 2, min_bytes: 4 << 20, max_bytes: u64::MAX }];
    let disks = rig.open();
    (0..150).for_each(|number| disks.put(of_site(2, record(number, 1, 20_000))));
    (1000..9000).for_each(|number| disks.put(of_site(1, record(number, 1, 20_000))));
    disks.flush();
    assert!((0..150).all(|number| is_right(&disks, number, 1, 20_000)));
    assert!(count(&rig.counters.reclaimed) > 20);
}

#[test]
fn promises_that_exceed_the_disk_do_not_stop_it() {
    let mut rig = Rig::new(1, SIZE);
    let all = |site| Quota { site, min_bytes: SIZE, max_bytes: u64::MAX };
    rig.settings.sites = vec![all(1), all(2)];
    let disks = rig.open();
    for number in 0..6000 {
        disks.put(of_site(1 + number as u32 % 2, record(number, 1, 20_000)));
        (number % 50 == 0).then(|| disks.find(key(number / 2)));
    }
    disks.flush();
    assert!(is_right(&disks, 5999, 1, 20_000));
    assert_eq!(count(&rig.counters.refused), 0);
}

#[test]
fn a_walk_comes_upon_every_record_once() {
    let rig = Rig::new(2, SIZE);
    let disks = rig.open();
    (0..1000).for_each(|number| disks.put(record(number, number, 10_000)));
    (0..1000).step_by(3).for_each(|number| disks.put(record(number, number, 500)));
    (0..1000).step_by(10).for_each(|number| assert!(disks.remove(key(number))));
    let (mut cursor, mut seen) = (Cursor::default(), HashSet::new());
    loop {
        let (heads, next) = disks.walk(cursor, 17);
        for head in heads {
            assert!(seen.insert(head.key));
            let number = head.revision;
            assert_eq!(head.key, key(number));
            let bytes = if number % 3 == 0 { 500 } else { 10_000 };
            assert_eq!((head.payload_bytes, head.site), (bytes, 1));
        }
        let Some(next) = next else { break };
        cursor = next;
    }
    assert_eq!(seen.len(), 900);
}
