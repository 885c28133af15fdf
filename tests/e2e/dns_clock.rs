//! The wall clock steps by an hour: answers go on, and validators whose clock is right take them.

use crate::dns_dnssec::{signed, validated};
use crate::dns_support::{EU, FakeEdge, at, config, thinks, watchful, with_edge};
use selvedge_tests::clock::FakeClock;
use selvedge_tests::dns::{addresses, dig};
use selvedge_tests::{Node, eventually};
use std::time::{SystemTime, UNIX_EPOCH};

const HOUR_S: i64 = 3600;
/// How long before it is made a signature begins to be good.
const SKEW_S: i64 = 2 * HOUR_S;

/// When the signature of a name that nobody asked for before begins to be good, from the right now
/// on, in seconds.
fn begins(server: &Node, name: &str) -> i64 {
    let reply = dig(at(server), &format!("+dnssec {name}.wild.signed.test a"));
    let line = reply.answer.iter().find(|line| line.contains(" RRSIG "));
    let line = line.unwrap_or_else(|| panic!("no signature: {}", reply.text));
    let text = line.split(' ').nth(9).expect("the inception");
    let at = selvedge_tests::tools::run(
        "date",
        &[
            "-u",
            "+%s",
            "-d",
            &format!("{} {}:{}:{}", &text[..8], &text[8..10], &text[10..12], &text[12..]),
        ],
    );
    let at: i64 = at.stdout.trim().parse().expect("a time");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
    at - now.cast_signed()
}

#[test]
fn a_clock_that_steps_by_an_hour_either_way_leaves_all_answers_good() {
    let clock = FakeClock::right();
    let edge = FakeEdge::start();
    let config = watchful(signed(config(), "ecdsa"));
    let config = with_edge(config, "eu-3", "eu", "198.18.1.3", &edge);
    let server = Node::dns_by_clock(&config, &clock);
    thinks(&server, "eu-3", true);
    let steps = [0, 1, -1, 0, -1, 1, 0];
    for (turn, hours) in steps.into_iter().enumerate() {
        clock.step_to(hours * HOUR_S);
        let begins = begins(&server, &format!("x{turn}"));
        assert!((begins + SKEW_S - hours * HOUR_S).abs() < 60, "the clock steps: {begins}");
        for question in ["shop.signed.test A", "signed.test SOA", "nope.signed.test A"] {
            let said = validated(&server, question);
            assert!(said.contains("fully validated"), "{hours} h: {question}: {said}");
        }
        let reply = dig(at(&server), "+cookie shop.cdn.test a");
        assert_eq!((reply.status.as_str(), reply.answer.len()), ("NOERROR", 2), "{}", reply.text);
        // Nodes are asked on by the other clock, and none is taken for dead.
        let asked = edge.asked();
        assert!(eventually(|| edge.asked() > asked + 2));
        assert!(
            addresses(at(&server), "shop.cdn.test")
                .iter()
                .all(|it| it == "198.18.1.3" || EU.contains(&it.as_str()))
        );
        thinks(&server, "eu-3", true);
    }
}
