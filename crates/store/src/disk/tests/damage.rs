//! Flipped bits: nothing but right bytes is ever given out.

use super::rig::{Chance, Rig, SIZE, count, is_right, record};

#[test]
fn flipped_bits_in_segments_cost_the_records_they_hit() {
    for seed in [1, 0xfeed, 0x5eed_0003] {
        println!("seed {seed}");
        let mut chance = Chance(seed);
        let rig = Rig::new(1, SIZE);
        let disks = rig.open();
        let sizes: Vec<usize> = (0..300).map(|_| chance.below(80_000)).collect();
        sizes.iter().enumerate().for_each(|(n, bytes)| disks.put(record(n as u64, 1, *bytes)));
        disks.close();
        let flips = 100;
        for _ in 0..flips {
            let files = rig.segment_files(0);
            let path = &files[chance.below(files.len())];
            let mut bytes = std::fs::read(path).unwrap();
            // The segment's own header is spared: with it everything in the segment goes.
            let at = 64 + chance.below(bytes.len() - 64);
            bytes[at] ^= 1 << chance.below(8);
            std::fs::write(path, bytes).unwrap();
        }
        for snapshot in [true, false] {
            if !snapshot {
                rig.remove_snapshot(0);
            }
            let disks = rig.open();
            let there = |n: &usize| is_right(&disks, *n as u64, 1, sizes[*n]);
            let found = (0..sizes.len()).filter(there).count();
            assert!(found >= sizes.len() - flips && found < sizes.len(), "{found}");
        }
    }
}

#[test]
fn verify_finds_what_is_damaged_and_forgets_it() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    (0..100).for_each(|number| disks.put(record(number, 1, 10_000)));
    disks.flush();
    let path = &rig.segment_files(0)[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[64 + 5000] ^= 4;
    std::fs::write(path, bytes).unwrap();
    let mut calls = 0;
    let verified = disks.verify(&mut |_| {
        calls += 1;
        true
    });
    assert_eq!((verified.good, verified.bad, calls), (99, 1, 1));
    assert!(!is_right(&disks, 0, 1, 10_000));
    assert_eq!(count(&rig.counters.corrupt), 1);
    assert_eq!(disks.verify(&mut |_| true).bad, 0);
}
