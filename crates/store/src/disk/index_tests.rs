//! The index against a plain map, on keys that crowd into the same shard, home and fingerprint.

use std::collections::HashMap;

use proptest::prelude::*;

use super::index::{BadDump, Index, Place, SHARDS, SLOT_BYTES, USES_MAX};

/// What the index can tell apart of a key.
type Seen = (u128, u64);

fn seen(key: u128) -> Seen {
    (key >> 116, key as u64)
}

fn place(n: u32) -> Place {
    Place { segment: n % (1 << 20), unit: n % (1 << 22), units: n % (1 << 16) + 1 }
}

/// Keys of two shards; fingerprints at both ends, side by side, and anywhere.
fn keys() -> impl Strategy<Value = u128> {
    let fingerprint = prop_oneof![
        0..40u64,
        (0..40u64).prop_map(|n| u64::MAX - n),
        (0..40u64).prop_map(|n| (1 << 63) + n),
        (0..200u64).prop_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    ];
    // The middle bits are what the index does not see.
    (0..2u128, 0..2u128, fingerprint)
        .prop_map(|(shard, middle, low)| shard << 116 | middle << 80 | u128::from(low))
}

fn places() -> impl Strategy<Value = Place> {
    (0..6u32).prop_map(place)
}

#[derive(Clone, Debug)]
enum Step {
    Put(u128, Place),
    Touch(u128),
    Get(u128),
    Remove(u128),
    RemoveIf(u128, Place),
    ReplaceIf(u128, Place, Place),
    Warm(u128, Place, u8),
    Uses(u128, Place),
    Retain(usize, u32),
    DumpAndLoad(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (keys(), places()).prop_map(|(k, p)| Step::Put(k, p)),
        4 => keys().prop_map(Step::Touch),
        2 => keys().prop_map(Step::Get),
        4 => keys().prop_map(Step::Remove),
        4 => (keys(), places()).prop_map(|(k, p)| Step::RemoveIf(k, p)),
        2 => (keys(), places(), places()).prop_map(|(k, p, q)| Step::ReplaceIf(k, p, q)),
        2 => (keys(), places(), 0..20u8).prop_map(|(k, p, n)| Step::Warm(k, p, n)),
        2 => (keys(), places()).prop_map(|(k, p)| Step::Uses(k, p)),
        1 => (0..2usize, 0..6u32).prop_map(|(s, n)| Step::Retain(s, n)),
        1 => (0..2usize).prop_map(Step::DumpAndLoad),
    ]
}

type Model = HashMap<Seen, (Place, u8)>;

fn play(index: &Index, model: &mut Model, step: Step) {
    let known = |model: &Model, key| model.get(&seen(key)).map(|known| known.0);
    match step {
        Step::Put(key, place) => {
            assert_eq!(index.put(key, place), known(model, key));
            model.entry(seen(key)).or_insert((place, 0)).0 = place;
        }
        Step::Touch(key) => {
            assert_eq!(index.touch(key), known(model, key));
            model.entry(seen(key)).and_modify(|known| known.1 = USES_MAX.min(known.1 + 1));
        }
        Step::Get(key) => assert_eq!(index.get(key), known(model, key)),
        Step::Remove(key) => {
            assert_eq!(index.remove(key), model.remove(&seen(key)).map(|known| known.0));
        }
        Step::RemoveIf(key, place) => {
            let there = known(model, key) == Some(place);
            assert_eq!(index.remove_if(key, place), there);
            if there {
                model.remove(&seen(key));
            }
        }
        Step::ReplaceIf(key, old, new) => {
            let there = known(model, key) == Some(old);
            assert_eq!(index.replace_if(key, old, new), there);
            if there {
                model.entry(seen(key)).and_modify(|known| known.0 = new);
            }
        }
        Step::Warm(key, place, uses) => {
            index.warm(key, place, uses);
            if known(model, key) == Some(place) {
                model.entry(seen(key)).and_modify(|known| known.1 = USES_MAX.min(known.1 + uses));
            }
        }
        Step::Uses(key, place) => {
            let known = model.get(&seen(key)).filter(|known| known.0 == place);
            assert_eq!(index.uses(key, place), known.map(|known| known.1));
        }
        Step::Retain(shard, n) => {
            let before = model.len();
            model.retain(|seen, known| seen.0 != shard as u128 || known.0 != place(n));
            assert_eq!(index.retain(shard, |p| p != place(n)), before - model.len());
        }
        Step::DumpAndLoad(shard) => {
            let dump = index.dump(shard);
            index.retain(shard, |_| false);
            assert_eq!(index.load(shard, &dump), Ok(dump.len() / SLOT_BYTES));
            assert_eq!(index.dump(shard), dump);
        }
    }
}

/// Everything in the model is in the index, and nothing else.
fn compare(index: &Index, model: &Model) {
    assert_eq!(index.len(), model.len());
    let slots: usize = (0..2).map(|shard| index.dump(shard).len() / SLOT_BYTES).sum();
    assert_eq!(slots, model.len());
    for (seen, known) in model {
        let key = seen.0 << 116 | u128::from(seen.1);
        assert_eq!(index.get(key), Some(known.0));
        assert_eq!(index.uses(key, known.0), Some(known.1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map_of_what_it_sees_of_a_key(steps in prop::collection::vec(steps(), 0..600)) {
        let (index, mut model) = (Index::new(), Model::new());
        for step in steps {
            play(&index, &mut model, step);
        }
        compare(&index, &model);
    }

    #[test]
    fn foreign_bytes_load_whole_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let index = Index::new();
        index.put(1, place(1));
        if index.load(0, &bytes).is_ok() {
            prop_assert_eq!(index.dump(0), bytes);
        } else {
            prop_assert_eq!(index.get(1), Some(place(1)));
            prop_assert_eq!(index.len(), 1);
        }
    }
}

/// SplitMix64: spreads a number over 64 bits.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A key in shard 0.
fn key(n: u64) -> u128 {
    u128::from(mix(n))
}

#[test]
fn keys_that_differ_only_between_shard_and_fingerprint_are_one() {
    let index = Index::new();
    assert_eq!(index.put(7, place(1)), None);
    assert_eq!(index.put(7 | 1 << 80, place(2)), Some(place(1)));
    assert_eq!(index.put(7 | 1 << 116, place(3)), None);
    assert_eq!(index.put(7 | 1 << 63, place(4)), None);
    assert_eq!(index.get(7), Some(place(2)));
    assert_eq!(index.len(), 3);
}

#[test]
fn a_new_place_keeps_the_use_count_and_a_new_key_has_none() {
    let index = Index::new();
    index.put(5, place(1));
    assert_eq!(index.uses(5, place(1)), Some(0));
    for _ in 0..USES_MAX + 2 {
        index.touch(5);
    }
    assert_eq!(index.uses(5, place(1)), Some(USES_MAX));
    index.put(5, place(2));
    assert!(index.replace_if(5, place(2), place(3)));
    assert_eq!(index.uses(5, place(2)), None);
    assert_eq!(index.uses(5, place(3)), Some(USES_MAX));
    index.remove(5);
    index.put(5, place(1));
    assert_eq!(index.uses(5, place(1)), Some(0));
}

#[test]
fn old_fame_fades_with_what_is_asked_for_in_the_same_shard() {
    let index = Index::new();
    index.put(5, place(1));
    index.put(5 | 1 << 116, place(1));
    for _ in 0..USES_MAX {
        index.touch(5);
        index.touch(5 | 1 << 116);
    }
    let asks = |count| (0..count).for_each(|_| assert_eq!(index.touch(6), None));
    asks(1920 - u64::from(USES_MAX));
    assert_eq!(index.uses(5, place(1)), Some(USES_MAX));
    asks(1);
    assert_eq!(index.uses(5, place(1)), Some(USES_MAX / 2));
    assert_eq!(index.uses(5 | 1 << 116, place(1)), Some(USES_MAX));
    assert_eq!(index.halvings(), 1);
    index.set_asks_per_record(15);
    asks(960);
    assert_eq!(index.halvings(), 1);
    asks(1);
    assert_eq!(index.halvings(), 2);
}

#[test]
fn every_corner_of_a_place_survives() {
    let index = Index::new();
    let (segments, units) = ([0, (1 << 20) - 1], [0, (1 << 22) - 1]);
    for segment in segments {
        for unit in units {
            for units in [1, 1 << 16] {
                let place = Place { segment, unit, units };
                index.put(9, place);
                assert_eq!(index.touch(9), Some(place));
            }
        }
    }
}

#[test]
fn years_of_changes_do_not_make_it_larger_and_emptying_gives_memory_back() {
    let index = Index::new();
    let live = 5_000;
    (0..live).for_each(|n| assert_eq!(index.put(key(n), place(1)), None));
    let full = index.memory_bytes();
    for n in live..live * 40 {
        assert_eq!(index.put(key(n), place(2)), None);
        assert!(index.remove(key(n - live)).is_some());
    }
    assert_eq!(index.len() as u64, live);
    assert!(index.memory_bytes() <= full * 5 / 4);
    (live * 39..live * 40).for_each(|n| assert!(index.remove_if(key(n), place(2))));
    assert_eq!(index.len(), 0);
    assert!(index.memory_bytes() < full / 2 + Index::new().memory_bytes());
}

#[test]
fn bad_dumps_are_refused_whole() {
    let index = Index::new();
    (0..100).for_each(|n| _ = index.put(key(n), place(1)));
    let dump = index.dump(0);
    let mut swapped = dump.clone();
    swapped[..2 * SLOT_BYTES].rotate_left(SLOT_BYTES);
    let mut unused = dump.clone();
    unused[SLOT_BYTES - 1] &= 0x7f;
    let mut unknown = dump.clone();
    unknown[SLOT_BYTES - 1] |= 0x40;
    let twice = [&dump[..SLOT_BYTES], &dump[..SLOT_BYTES]].concat();
    for bad in [&dump[..dump.len() - 1], &swapped, &unused, &unknown, &twice] {
        assert_eq!(index.load(0, bad), Err(BadDump));
    }
    assert_eq!(index.dump(0), dump);
    assert_eq!(index.load(SHARDS - 1, &[]), Ok(0));
}
