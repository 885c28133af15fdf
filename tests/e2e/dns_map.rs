//! Who is sent where: coverage, places, what sites choose, and files that change while it runs.

use crate::dns_support::{
    AP, BERLIN, EU, LISBON, NOBODY, OAKLAND, OPERATOR, US, at, fixture, placed, site,
};
use selvedge_tests::dns::{Query, Udp, addresses, addresses_for, kind};
use selvedge_tests::{Node, eventually};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

const NAME: &str = "shop.cdn.test";

#[track_caller]
fn is_sent(server: &Node, client: &str, expected: &[&str]) {
    assert_eq!(addresses_for(at(server), NAME, client), expected, "{client}");
}

/// How many clients a rule has sent to a region.
fn sent(server: &Node, region: &str, rule: &str) -> f64 {
    let name = format!("selvedge_dns_sent_total{{region=\"{region}\",rule=\"{rule}\"}}");
    server.metrics().value(&name)
}

/// Puts another file in the place of one in a single step, as operators do.
fn replace(server: &Node, name: &str, content: impl AsRef<[u8]>) {
    let new = server.folder().join("new");
    std::fs::write(&new, content).expect("the folder can be written");
    std::fs::rename(&new, server.folder().join(name)).expect("it can be moved");
}

#[test]
fn places_decide_by_operator_country_continent_distance_and_default() {
    let server = Node::dns(&placed());
    is_sent(&server, BERLIN, &EU);
    is_sent(&server, OAKLAND, &US);
    is_sent(&server, OPERATOR, &AP);
    is_sent(&server, LISBON, &EU);
    is_sent(&server, NOBODY, &EU);
    is_sent(&server, "2001:db8:2::7", &US);
    for (region, rule, count) in [
        ("eu", "country", 1.0),
        ("us", "continent", 2.0),
        ("ap", "asn", 1.0),
        ("eu", "distance", 1.0),
        ("eu", "default", 1.0),
    ] {
        assert_eq!(sent(&server, region, rule), count, "{region} {rule}");
    }
    let server = Node::dns(&placed().set("dns", "default_region", "ap"));
    is_sent(&server, NOBODY, &AP);
}

#[test]
fn a_coverage_map_goes_before_every_database_in_either_form() {
    let csv = "# ours\n192.0.2.0/24,us\n10.0.0.0/8,ap # inside\n2001:db8:2::/48,eu\n";
    let toml = "us = [\"192.0.2.0/24\"]\nap = [\"10.0.0.0/8\"]\neu = [\"2001:db8:2::/48\"]\n";
    for (name, text) in [("coverage.csv", csv), ("coverage.toml", toml)] {
        let server = Node::dns(&placed().set("dns", "coverage", name).file(name, text));
        is_sent(&server, BERLIN, &US);
        is_sent(&server, NOBODY, &AP);
        is_sent(&server, "2001:db8:2::7", &EU);
        is_sent(&server, OAKLAND, &US);
        assert_eq!(sent(&server, "us", "coverage"), 1.0);
    }
}

#[test]
fn a_site_chooses_regions_families_lifetime_and_how_many_addresses() {
    let sites = [
        site("pinned").set("dns_region", "ap"),
        site("west").set("dns_regions", json!(["us", "ap"])),
        site("one").set("dns_answers", 1).set("dns_ttl", "77s"),
        site("old").set("dns_ipv6", false),
    ];
    let server = Node::dns(&sites.into_iter().fold(placed(), |config, site| config.site(site)));
    let ask = |name: &str| addresses_for(at(&server), &format!("{name}.cdn.test"), BERLIN);
    assert_eq!(ask("pinned"), AP);
    assert_eq!(ask("west"), US, "what takes over for eu");
    let one = Udp::to(at(&server)).ask(&Query::new("one.cdn.test", kind::A));
    assert_eq!((one.answer.len(), one.answer[0].ttl), (1, 77));
    let old = Udp::to(at(&server)).ask(&Query::new("old.cdn.test", kind::AAAA));
    assert!(old.answer.is_empty() && old.rcode() == 0, "{old:?}");
    let new = Udp::to(at(&server)).ask(&Query::new(NAME, kind::AAAA));
    assert_eq!(new.answer.len(), 2);
}

#[test]
fn a_region_of_half_weight_gets_half_of_the_clients() {
    let regions = json!([{ "region": "eu", "weight": 50 }, "us"]);
    let server = Node::dns(&placed().site(site("half").set("dns_regions", regions)));
    let socket = Udp::to(at(&server));
    let mut stay = 0;
    for client in 0..400_u32 {
        let client = Ipv4Addr::from_bits(0x0a00_0000 | ((client * 7919) << 8)).to_string();
        let query = Query::new("half.cdn.test", kind::A).subnet(&client, 24);
        let first = socket.ask(&query).addresses()[0].to_string();
        stay += u32::from(EU.contains(&first.as_str()));
    }
    assert!((140..=260).contains(&stay), "{stay} of 400 stay");
}

/// Who asks from inside the network that a reply is said to hold for gets the same.
#[test]
fn a_reply_holds_for_all_of_the_network_that_it_names() {
    let coverage = "192.0.2.64/26,us\n192.0.2.96/29,ap\n198.51.100.0/22,eu\n0.0.0.0/3,us\n";
    let config = placed().set("dns", "coverage", "coverage.csv").file("coverage.csv", coverage);
    let server = Node::dns(&config);
    let socket = Udp::to(at(&server));
    let ask = |client: Ipv4Addr, bits: u8| {
        socket.ask(&Query::new(NAME, kind::A).subnet(&client.to_string(), bits))
    };
    let mut seed = 0x2545_f491_u32;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed
    };
    let near: Vec<u32> = ["192.0.2.0", "192.0.2.96", "198.51.100.0", "32.0.0.0", "203.0.113.0"]
        .map(|address| address.parse::<Ipv4Addr>().expect("an address").to_bits())
        .into();
    for round in 0..300 {
        let base = near[round % near.len()];
        let client = Ipv4Addr::from_bits(base ^ random() >> (8 + round % 24));
        let reply = ask(client, 32);
        let scope = reply.scope().expect("it is told");
        let mask = u32::MAX.checked_shl(u32::from(32 - scope)).unwrap_or(0);
        for _ in 0..4 {
            let other = Ipv4Addr::from_bits(client.to_bits() & mask | random() & !mask);
            let other_reply = ask(other, 32);
            assert_eq!(reply.addresses(), other_reply.addresses(), "{client}/{scope}: {other}");
        }
    }
}

#[test]
fn maps_are_read_again_when_they_change_and_broken_ones_are_refused() {
    let config =
        placed().set("dns", "coverage", "coverage.csv").file("coverage.csv", "10.0.0.0/8,ap\n");
    let server = Node::dns(&config);
    let becomes = |client: &str, expected: &[&str]| {
        let right = eventually(|| addresses_for(at(&server), NAME, client) == expected);
        assert!(right, "{client}: {:?}", server.stderr().all());
    };
    let refused = |what: &str| {
        let before = server.stderr().count();
        replace(&server, what, "10.0.0.0/8,mars\n");
        let line = server.stderr().wait(before, |line| line.contains("a map is refused"));
        assert!(line.expect("it is told").contains(what));
    };
    is_sent(&server, NOBODY, &AP);
    replace(&server, "coverage.csv", "10.0.0.0/8,us\n# a line more\n");
    becomes(NOBODY, &US);
    refused("coverage.csv");
    is_sent(&server, NOBODY, &US);
    replace(&server, "coverage.csv", "# nobody\n");
    becomes(NOBODY, &EU);
    is_sent(&server, BERLIN, &EU);
    replace(&server, "clients.mmdb", fixture("moved.mmdb"));
    becomes(BERLIN, &US);
    refused("clients.mmdb");
    is_sent(&server, BERLIN, &US);
    std::fs::remove_file(server.folder().join("clients.mmdb")).expect("it is there");
    let gone = server
        .stderr()
        .wait(0, |line| line.contains("a map is refused") && line.contains("No such file"));
    assert!(gone.is_some(), "{:?}", server.stderr().all());
    is_sent(&server, BERLIN, &US);
    replace(&server, "clients.mmdb", fixture("clients.mmdb"));
    becomes(BERLIN, &EU);
    assert_eq!(crate::dns_faults::files_refused(&server, "maps"), 3.0);
}

#[test]
fn the_side_door_explains_why_a_client_is_sent_somewhere() {
    let server = Node::dns(&placed());
    let ask = |query: &str| server.admin_get(&format!("/explain?{query}"));
    let text = ask(&format!("name=shop.cdn.test&client={OPERATOR}")).text();
    let told: Value = serde_json::from_str(&text).expect("it is JSON");
    let told = &told["explanation"];
    assert_eq!(
        (&told["rule"], &told["region"], &told["place"]["country"], &told["place"]["asn"]),
        (&json!("asn"), &json!("ap"), &json!("US"), &json!(64500)),
        "{text}"
    );
    assert_eq!(ask("name=www.cdn.test&client=10.0.0.1").status, 404);
    assert_eq!(ask("name=shop.cdn.test&client=here").status, 400);
    assert_eq!(ask("name=shop.cdn.test&client=10.0.0.0/33").status, 400);
    assert_eq!(ask("client=10.0.0.1").status, 400);
}

#[test]
fn a_query_that_is_logged_says_who_was_sent_where_and_why() {
    let server = Node::dns(&placed().set("dns", "log_share", 1.0));
    is_sent(&server, OAKLAND, &US);
    let line = server.stdout().wait(0, |line| line.contains("shop.cdn.test"));
    let line: Value = serde_json::from_str(&line.expect("it is logged")).expect("it is JSON");
    assert_eq!(
        (&line["region"], &line["rule"], &line["transport"], &line["subnet"], &line["rcode"]),
        (&json!("us"), &json!("continent"), &json!("udp"), &json!("198.51.100.0/24"), &json!(0)),
        "{line}"
    );
    let quiet = Node::dns(&placed());
    let _ = addresses(at(&quiet), NAME);
    assert!(quiet.stdout().all().is_empty(), "nothing is logged unless that is wanted");
}
