//! Tables against a plain search through the prefixes they were made of.

use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NOBODY: u16 = 99;

fn v4(networks: &[(u32, u8, u32)]) -> Spans<u32> {
    let list = networks
        .iter()
        .map(|&(first, length, value)| Network { first: first.first(length), length, value })
        .collect();
    Spans::from_networks(list, u32::from(NOBODY))
}

fn v6(networks: &[(u128, u8, u32)]) -> Spans<u128> {
    let list = networks
        .iter()
        .map(|&(first, length, value)| Network { first: first.first(length), length, value })
        .collect();
    Spans::from_networks(list, u32::from(NOBODY))
}

fn find(table: &Table, address: &str, prefix: u8) -> (u16, u8) {
    let found = table.find(&Client::new(address.parse().expect("an address"), prefix));
    (found.ranking, found.scope)
}

fn number(text: &str) -> u128 {
    text.parse::<Ipv6Addr>().expect("an address").to_bits()
}

#[test]
fn one_ranking_for_the_world_needs_no_scope() {
    let table = Table::uniform(3);
    assert_eq!(find(&table, "192.0.2.1", 32), (3, 0));
    assert_eq!(find(&table, "2001:db8::", 56), (3, 0));
    assert_eq!(find(&table, "2002:c000:207::1", 48), (3, 0));
}

#[test]
fn neighbours_of_equal_result_are_one_scope() {
    let table = Table::new(v4(&[(0xc000_0200, 24, 1), (0xc000_0300, 24, 1)]), v6(&[]), NOBODY);
    assert_eq!(find(&table, "192.0.2.1", 24), (1, 23));
    assert_eq!(find(&table, "192.0.3.9", 32), (1, 23));
    assert_eq!(find(&table, "192.0.4.1", 24), (NOBODY, 22));
    assert_eq!(find(&table, "10.0.0.1", 24), (NOBODY, 1));
}

#[test]
fn a_prefix_with_several_rankings_gets_that_of_most_and_the_length_that_decides() {
    let table = Table::new(v4(&[(0xc000_0200, 28, 1), (0xc000_02f8, 29, 2)]), v6(&[]), NOBODY);
    assert_eq!(find(&table, "192.0.2.0", 24), (NOBODY, 29));
    assert_eq!(find(&table, "192.0.2.0", 27), (1, 28), "a tie goes to the first");
    assert_eq!(find(&table, "192.0.2.0", 28), (1, 28));
    assert_eq!(find(&table, "192.0.2.240", 28), (NOBODY, 29));
    assert_eq!(find(&table, "192.0.2.255", 32), (2, 29));
}

#[test]
fn who_asks_not_to_be_looked_at_is_not() {
    let table = Table::new(v4(&[(0, 1, 1), (1 << 31, 1, 2)]), v6(&[(0, 0, 3)]), NOBODY);
    assert_eq!(find(&table, "192.0.2.1", 0), (NOBODY, 0));
    assert_eq!(find(&table, "2001:db8::", 0), (NOBODY, 0));
}

#[test]
fn carried_addresses_have_the_ranking_of_what_they_carry() {
    let table = Table::new(v4(&[(0xc000_0200, 24, 1)]), v6(&[(number("2000::"), 3, 2)]), NOBODY);
    assert_eq!(find(&table, "192.0.2.1", 24), (1, 24));
    assert_eq!(find(&table, "::ffff:192.0.2.1", 128), (1, 96 + 24));
    assert_eq!(find(&table, "2002:c000:207::1", 56), (1, 16 + 24));
    // The native neighbours of 6to4 stop before it.
    assert_eq!(find(&table, "2003::1", 48), (2, 16));
    assert_eq!(find(&table, "2001:db8::1", 48), (2, 15));
    assert_eq!(find(&table, "2600::1", 48), (2, 6));
}

#[test]
fn a_short_prefix_over_a_carrier_is_answered_for_its_native_part() {
    let table = Table::new(v4(&[]), v6(&[(number("2000::"), 3, 2)]), NOBODY);
    let (ranking, scope) = find(&table, "2000::", 12);
    assert_eq!((ranking, scope), (2, 16));
    let (ranking, _) = find(&table, "64:ff9b::", 80);
    assert_eq!(ranking, NOBODY);
}

#[test]
fn the_ends_of_the_space_are_found() {
    let table = Table::new(
        v4(&[(0, 32, 1), (u32::MAX, 32, 2)]),
        v6(&[(0, 128, 3), (u128::MAX, 128, 4)]),
        NOBODY,
    );
    assert_eq!(find(&table, "0.0.0.0", 32), (1, 32));
    assert_eq!(find(&table, "0.0.0.1", 32), (NOBODY, 32));
    assert_eq!(find(&table, "255.255.255.255", 32), (2, 32));
    assert_eq!(find(&table, "::", 128), (3, 128));
    assert_eq!(find(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128), (4, 128));
}

/// A number that is near something: half of the tests would else only see the default.
fn near(seed: u32) -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), (0_u32..1 << 14).prop_map(move |low| (seed & 0xffff_c000) | low)]
}

fn check<K: Bits>(
    ranges: &Ranges<K>,
    plain: &Spans<K>,
    key: K,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let found = ranges.find(key, K::WIDTH, NOBODY);
    prop_assert_eq!(u32::from(found.ranking), plain.at(key));
    let same = |length: u8| {
        let (first, last) = (key.first(length), key.last(length));
        plain
            .iter()
            .filter(|&(begin, end, _)| begin <= last && end >= first)
            .all(|(_, _, value)| value == u32::from(found.ranking))
    };
    prop_assert!(same(found.scope), "not all inside the scope are the same");
    prop_assert!(found.scope == 0 || !same(found.scope - 1), "the scope could be wider");
    Ok(())
}

proptest! {
    #[test]
    fn scopes_are_sound_and_as_wide_as_can_be(
        networks in proptest::collection::vec((near(0xc000_0200), 0_u8..=32, 0_u32..4), 0..60),
        keys in proptest::collection::vec(near(0xc000_0200), 40),
    ) {
        let plain = v4(&networks);
        let table = Table::new(plain.clone(), v6(&[]), NOBODY);
        let ends = networks.iter().map(|network| network.0.last(network.1));
        for key in keys.into_iter().chain(ends) {
            check(&table.v4, &plain, key)?;
        }
    }

    #[test]
    fn ipv6_scopes_are_sound_and_as_wide_as_can_be(
        networks in proptest::collection::vec(
            (any::<u128>(), 0_u8..=128, 0_u32..4, any::<bool>()),
            0..60,
        ),
        keys in proptest::collection::vec(any::<u128>(), 20),
    ) {
        // Half of them in the part that the index covers, close together.
        let networks: Vec<_> = networks.into_iter().map(|(first, length, value, inside)| {
            let first = if inside { (0x2a02 << 112) | (first >> 20) } else { first };
            (first, length, value)
        }).collect();
        let table = Table::new(v4(&[]), v6(&networks), NOBODY);
        let plain = Spans::from_networks(
            CARRIERS.map(|(first, length)| Network { first, length, value: 1 }).to_vec(), 0,
        );
        let carry = |value, carried| if carried == 1 { CARRIED } else { value };
        let plain = v6(&networks).zip(&plain, carry);
        let ends = networks.iter().map(|network| network.0.last(network.1));
        let starts = networks.iter().map(|network| network.0.first(network.1));
        for key in keys.into_iter().chain(ends).chain(starts) {
            if plain.at(key) != CARRIED {
                check(&table.v6, &plain, key)?;
            }
        }
    }

    #[test]
    fn all_who_ask_with_enough_inside_one_scope_get_the_same(
        networks in proptest::collection::vec((near(0xc000_0200), 8_u8..=32, 0_u32..4), 0..60),
        asker in near(0xc000_0200),
        prefix in 1_u8..=32,
        others in proptest::collection::vec(any::<u32>(), 20),
    ) {
        let table = Table::new(v4(&networks), v6(&[]), NOBODY);
        let found = table.find(&Client::new(IpAddr::V4(Ipv4Addr::from_bits(asker)), prefix));
        if found.scope <= prefix {
            for other in others {
                let inside = asker.first(found.scope) | (other & !u32::MAX.first(found.scope));
                let again = table.find(&Client::new(IpAddr::V4(Ipv4Addr::from_bits(inside)), 32));
                prop_assert_eq!(again, found);
            }
        } else {
            // From the told length on there is no doubt anywhere inside the prefix.
            for other in others {
                let inside = asker.first(prefix) | (other & !u32::MAX.first(prefix));
                let address = IpAddr::V4(Ipv4Addr::from_bits(inside));
                let again = table.find(&Client::new(address, found.scope));
                prop_assert!(again.scope <= found.scope);
            }
        }
    }
}
