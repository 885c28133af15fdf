//! The rule of what stays, and the memory of what does not. How good the rule is shows
//! `benches/ratio.rs`; here is what must hold for any traffic.

use super::ghost::{ASKS_MAX, Ghost};
use super::keep::{Asked, Fate, Keep, Side};

/// SplitMix64: spreads a number over 64 bits.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn key(n: u64) -> u128 {
    u128::from(mix(n)) << 64 | u128::from(mix(!n))
}

const BYTES: u32 = 16 << 10;

/// A rule that has seen main's records used as often as `uses` says, and empties it now.
fn taught(uses: impl Fn(u64) -> u8) -> Keep {
    let mut keep = Keep::new();
    for n in 0..2_000 {
        keep.judge(Side::Main, uses(n), 0, BYTES);
    }
    keep.emptied_main();
    keep.victim(2, 98);
    keep
}

#[test]
fn emptying_main_always_frees_about_a_twelfth() {
    for uses in [|_| 0, |_| 15, |n| (mix(n) % 16) as u8, |n| if n % 50 == 0 { 0 } else { 9 }] {
        let mut keep = taught(uses);
        let judge = |n| keep.judge(Side::Main, uses(n), 0, BYTES);
        let dropped = (2_000..4_000).map(judge).filter(|&fate| fate == Fate::Drop).count();
        assert!((80..=240).contains(&dropped), "{dropped} of 2000");
    }
}

#[test]
fn what_was_used_least_goes_from_main() {
    let mut keep = taught(|n| if n % 10 == 0 { 1 } else { 9 });
    for n in 0..1_000 {
        let fate = keep.judge(Side::Main, if n % 10 == 0 { 1 } else { 9 }, 0, BYTES);
        assert!(fate == Fate::Main || n % 10 == 0);
    }
}

#[test]
fn what_was_asked_for_once_does_not_reach_main() {
    let mut keep = taught(|_| 0);
    assert_eq!(keep.judge(Side::Young, 0, 1, BYTES), Fate::Drop);
    assert_eq!(keep.judge(Side::Young, 1, 1, BYTES), Fate::Main);
    assert_eq!(keep.judge(Side::Young, 0, 2, BYTES), Fate::Main);
}

#[test]
fn a_newcomer_must_be_worth_more_than_what_goes_for_it() {
    let mut keep = taught(|_| 10);
    assert_eq!(keep.judge(Side::Young, 2, 2, BYTES), Fate::Drop);
    assert_eq!(keep.judge(Side::Young, 9, 4, BYTES), Fate::Main);
    // While main has room, anything will do.
    keep.victim(50, 50);
    assert_eq!(keep.judge(Side::Young, 0, 1, BYTES), Fate::Main);
}

#[test]
fn of_two_asked_for_alike_the_smaller_one_stays() {
    let mut keep = taught(|_| 10);
    let mut judge = |bytes| keep.judge(Side::Young, 8, 3, bytes);
    assert_eq!((judge(1 << 10), judge(1 << 20)), (Fate::Main, Fate::Drop));
}

#[test]
fn any_size_and_count_is_judged() {
    let mut keep = Keep::new();
    for bytes in [0, 1, u32::MAX] {
        for count in [0, u8::MAX / 2] {
            keep.judge(Side::Main, count, count, bytes);
            keep.judge(Side::Young, count, count, bytes);
            keep.emptied_main();
        }
    }
}

#[test]
fn the_stream_over_its_share_is_emptied() {
    let mut keep = Keep::new();
    assert_eq!(keep.victim(100, 0), Side::Young);
    assert_eq!(keep.victim(50, 50), Side::Young);
    assert_eq!(keep.victim(8, 1_000), Side::Main);
    assert_eq!(keep.victim(9, 1_000), Side::Young);
    assert_eq!(keep.victim(0, 3), Side::Main);
}

#[test]
fn asks_are_counted_while_the_key_is_not_there() {
    let asked = Asked::new(1000);
    assert!(!asked.is_second(key(1)));
    asked.missed(key(1));
    assert!(!asked.is_second(key(1)));
    asked.missed(key(1));
    assert!(asked.is_second(key(1)));
    asked.dropped(key(2), 0);
    assert_eq!(asked.count(key(2)), 0);
    asked.dropped(key(2), 7);
    assert_eq!(asked.count(key(2)), 7);
    (0..20).for_each(|_| asked.missed(key(2)));
    assert_eq!(asked.count(key(2)), ASKS_MAX);
}

#[test]
fn what_moved_to_main_takes_its_asks_along() {
    let asked = Asked::new(1000);
    (0..5).for_each(|n| asked.dropped(key(n), 3));
    asked.settled(key(2));
    asked.settled(key(7));
    assert_eq!([0, 1, 2, 3, 4].map(|n| asked.count(key(n))), [3, 3, 0, 3, 3]);
    asked.missed(key(2));
    assert_eq!(asked.count(key(2)), 1);
}

#[test]
fn asks_fade_as_often_as_use_counts() {
    let asked = Asked::new(100_000);
    let sum = || (0..1_000).map(|n| u32::from(asked.count(key(n)))).sum::<u32>();
    (0..1_000).for_each(|n| asked.dropped(key(n), 8));
    assert_eq!(sum(), 8_000);
    asked.faded(2_048, 4_096);
    assert!((5_000..7_000).contains(&sum()), "{}", sum());
    asked.faded(4_096, 4_096);
    assert_eq!(sum(), 4_000);
    asked.faded(4_096, 4_096);
    assert_eq!(sum(), 4_000);
    asked.faded(usize::MAX / 4_096, 4_096);
    assert_eq!(sum(), 0);
}

#[test]
fn use_counts_fade_sooner_when_most_are_at_the_top() {
    assert_eq!(taught(|_| 3).asks_per_record(), 30);
    assert_eq!(taught(|_| 7).asks_per_record(), 15);
}

#[test]
fn a_flood_of_new_keys_forgets_those_asked_for_once_first() {
    let records = 64 * 32 * 4;
    let ghost = Ghost::new(records);
    for n in 0..100 {
        ghost.note(key(n), if n < 50 { 1 } else { 5 });
    }
    for n in 0..records as u64 * 6 {
        ghost.note(key(1_000 + n), 1);
    }
    let known = |n: &u64| ghost.count(key(*n)) > 0;
    let (once, often) = ((0..50).filter(known).count(), (50..100).filter(known).count());
    assert!(once <= 10 && often >= 40, "{once}, {often}");
}

#[test]
fn what_is_known_stays_known_when_there_is_room_for_more() {
    let ghost = Ghost::new(1);
    let lines = 64 * 32;
    (0..lines / 4).for_each(|n| _ = ghost.note(key(n), 3));
    let known = |keys: std::ops::Range<u64>| keys.filter(|&n| ghost.count(key(n)) == 3).count();
    let before = known(0..lines / 4);
    ghost.fit(10_000);
    assert_eq!(known(0..lines / 4), before);
    // Far more than there was room for at first, and than the copies take.
    (1_000_000..1_010_000).for_each(|n| _ = ghost.note(key(n), 3));
    assert!(known(1_000_000..1_010_000) > 9_900);
    ghost.fit(100);
    assert!(known(1_000_000..1_010_000) > 9_900, "it never gets smaller");
}

#[test]
fn a_key_is_seldom_taken_for_another() {
    let ghost = Ghost::new(20_000);
    (0..20_000).for_each(|n| _ = ghost.note(key(n), 1));
    let wrong = (100_000..110_000).filter(|&n| ghost.count(key(n)) > 0).count();
    assert!(wrong < 150, "{wrong} of 10000");
}
