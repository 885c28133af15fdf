//! What is answered for the names of a zone: what stands in its file, what does not, and sites.

use crate::dns_support::{at, bare, came_to, config, site};
use selvedge_tests::dns::{Query, Udp, dig, kind};
use selvedge_tests::{Node, NodeConfig};

const NEGATIVE: &str =
    "cdn.test. 120 IN SOA ns1.cdn.test. hostmaster.cdn.test. 7 3600 600 86400 120";

#[test]
fn a_name_is_found_in_any_case_and_repeated_as_it_was_asked() {
    let server = Node::dns(&config());
    let socket = Udp::to(at(&server));
    for name in ["wWw.CdN.tEsT", "SHOP.cdn.TEST", "ShOp.CDN.test", "nO.cDn.TeSt"] {
        let query = Query::new(name, kind::A);
        let reply = socket.ask(&query);
        assert_eq!(reply.question, &query.bytes()[12..], "{name}");
        assert_eq!(reply.rcode(), if name.starts_with('n') { 3 } else { 0 }, "{name}");
        assert_eq!(reply.answer.is_empty(), name.starts_with('n'), "{name}");
        assert!(reply.is_authoritative());
    }
}

#[test]
fn what_is_not_there_is_told_from_what_has_another_type() {
    let server = Node::dns(&config());
    let ask = |args: &str| dig(at(&server), &format!("+noad +norec {args}"));
    for (args, status) in [
        ("nothing.cdn.test a", "NXDOMAIN"),
        ("below.www.cdn.test a", "NXDOMAIN"),
        ("www.cdn.test aaaa", "NOERROR"),
        ("b.c.cdn.test a", "NOERROR"),
        ("c.cdn.test txt", "NOERROR"),
        ("wild.cdn.test txt", "NOERROR"),
        ("shop.cdn.test mx", "NOERROR"),
    ] {
        let reply = ask(args);
        assert_eq!((reply.status.as_str(), reply.answer.len()), (status, 0), "{args}");
        assert_eq!(reply.authority, [NEGATIVE], "the lower of both lifetimes: {args}");
        assert!(reply.has("aa"), "{args}");
    }
    let foreign = ask("www.elsewhere.invalid a");
    assert_eq!(foreign.status, "REFUSED");
    assert!(foreign.authority.is_empty() && !foreign.has("aa"), "{}", foreign.text);
    assert!(foreign.text.contains("EDE: 20 (Not Authoritative)"), "{}", foreign.text);
    assert_eq!(came_to(&server, "no_name"), 2);
    assert_eq!(came_to(&server, "no_data"), 5);
    assert_eq!(came_to(&server, "not_ours"), 1);
}

#[test]
fn aliases_are_followed_as_far_as_the_zone_goes() {
    let server = Node::dns(&config());
    let ask = |args: &str| dig(at(&server), &format!("+noad +norec {args}"));
    let chain = ask("alias2.cdn.test a");
    let expected = [
        "alias2.cdn.test. 300 IN CNAME alias.cdn.test.",
        "alias.cdn.test. 300 IN CNAME www.cdn.test.",
        "www.cdn.test. 300 IN A 192.0.2.1",
    ];
    assert_eq!(chain.answer, expected, "{}", chain.text);
    let out = ask("out.cdn.test a");
    assert_eq!(out.answer, ["out.cdn.test. 300 IN CNAME www.elsewhere.invalid."]);
    assert_eq!(out.status, "NOERROR");
    let alias = ask("alias2.cdn.test cname");
    assert_eq!(alias.answer, [expected[0]]);
    let circle = ask("loop1.cdn.test a");
    assert!(circle.answer.len() <= 20 && !circle.answer.is_empty(), "{}", circle.text);
    let hosted = ask("to-site.cdn.test a");
    assert_eq!(hosted.answer[0], "to-site.cdn.test. 300 IN CNAME shop.cdn.test.");
    assert!(hosted.answer[1].starts_with("shop.cdn.test. 30 IN A 198.18."), "{}", hosted.text);
}

#[test]
fn wildcards_stand_for_what_is_not_there_and_nothing_else() {
    let server = Node::dns(&config());
    let ask = |args: &str| dig(at(&server), &format!("+noad +norec {args}"));
    assert_eq!(
        ask("any.thing.wild.cdn.test txt").answer,
        ["any.thing.wild.cdn.test. 300 IN TXT \"wild\""]
    );
    assert_eq!(ask("there.wild.cdn.test txt").data(), ["\"there\""]);
    assert_eq!(ask("below.there.wild.cdn.test txt").status, "NXDOMAIN");
    assert_eq!(ask("*.wild.cdn.test txt").data(), ["\"wild\""]);
    let user = ask("anna.users.cdn.test a");
    assert_eq!(user.answer.len(), 2, "a site behind a wildcard: {}", user.text);
    assert!(user.answer[0].starts_with("anna.users.cdn.test. 30 IN A 198.18."), "{}", user.text);
}

#[test]
fn the_top_of_a_zone_is_a_site_beside_its_own_records() {
    let server = Node::dns(&config());
    let ask = |args: &str| dig(at(&server), &format!("+noad +norec cdn.test {args}"));
    let addresses = ask("a");
    assert_eq!(addresses.data(), ["198.18.1.1", "198.18.1.2"], "{}", addresses.text);
    assert!(addresses.answer.iter().all(|line| line.starts_with("cdn.test. 30 IN A ")));
    assert_eq!(ask("aaaa").data(), ["2001:db8:e::1", "2001:db8:e::2"]);
    assert_eq!(ask("mx").data(), ["10 mail.cdn.test."]);
    let servers = ask("ns");
    assert_eq!(servers.data(), ["ns1.cdn.test.", "ns2.cdn.test."]);
    assert!(servers.additional.contains(&"ns1.cdn.test. 300 IN A 192.0.2.53".to_owned()));
}

#[test]
fn a_cut_is_referred_to_with_the_addresses_of_its_servers() {
    let server = Node::dns(&config());
    let reply = dig(at(&server), "+noad +norec a.b.sub.cdn.test a");
    assert_eq!((reply.status.as_str(), reply.answer.len()), ("NOERROR", 0));
    assert_eq!(reply.authority, ["sub.cdn.test. 300 IN NS ns.sub.cdn.test."]);
    assert_eq!(reply.additional, ["ns.sub.cdn.test. 300 IN A 192.0.2.77"]);
    assert!(!reply.has("aa"), "{}", reply.text);
    assert_eq!(came_to(&server, "referral"), 1);
}

#[test]
fn browsers_learn_protocols_and_addresses_from_one_record() {
    let server = Node::dns(&config().site(site("plain").set("dns_https", false)));
    let reply = dig(at(&server), "+noad +norec shop.cdn.test https");
    let [line] = &reply.answer[..] else { panic!("{}", reply.text) };
    assert!(line.starts_with("shop.cdn.test. 30 IN HTTPS 1 . alpn=\"h2,http/1.1\""), "{line}");
    for hint in ["ipv4hint=198.18.1.", "ipv6hint=2001:db8:e::"] {
        assert!(line.contains(hint), "{line}");
    }
    let plain = dig(at(&server), "+noad +norec plain.cdn.test https");
    assert_eq!((plain.status.as_str(), plain.answer.len()), ("NOERROR", 0), "{}", plain.text);
    assert_eq!(plain.authority, [NEGATIVE.replace(" 120 IN", " 30 IN")], "as long as the site's");
}

#[test]
fn questions_that_amplify_or_change_are_refused_or_small() {
    let server = Node::dns(&config().set("dns", "nsid", "frankfurt-1"));
    let ask = |args: &str| dig(at(&server), &format!("+noad +norec {args}"));
    let any = ask("+notcp cdn.test any");
    assert_eq!(any.answer, ["cdn.test. 3600 IN HINFO \"RFC8482\" \"\""], "{}", any.text);
    assert_eq!(ask("ch txt version.bind").status, "REFUSED");
    assert_eq!(ask("ch txt id.server").data(), ["\"frankfurt-1\""]);
    assert_eq!(ask("ch txt hostname.bind").data(), ["\"frankfurt-1\""]);
    for (args, status) in [
        ("+opcode=notify soa cdn.test", "NOTIMP"),
        ("+opcode=update soa cdn.test", "NOTIMP"),
        ("hs a www.cdn.test", "REFUSED"),
        ("odd.cdn.test type1234", "NOERROR"),
    ] {
        assert_eq!(ask(args).status, status, "{args}");
    }
    assert_eq!(ask("odd.cdn.test type1234").data(), ["\\# 3 ABCDEF"]);
}

#[test]
fn zones_are_transferred_to_those_who_may_and_no_others() {
    let server = Node::dns(&config());
    let refused = dig(at(&server), "cdn.test axfr");
    assert!(refused.text.contains("Transfer failed"), "{}", refused.text);
    assert_eq!(came_to(&server, "transfer_refused"), 1);
    let config = config().set("dns", "transfer", vec!["127.0.0.0/8"]);
    let allowed = Node::dns(&config);
    let zone = dig(at(&allowed), "cdn.test axfr +noall +answer");
    let lines: Vec<&str> = zone.text.lines().filter(|line| line.contains("SOA")).collect();
    assert_eq!(lines.len(), 2, "it begins and ends with the SOA: {}", zone.text);
    assert!(zone.text.contains("alias2.cdn.test."), "{}", zone.text);
    assert!(!zone.text.contains("198.18."), "what depends on who asks is left out");
    assert_eq!(came_to(&allowed, "transfer"), 1);
    let udp = dig(at(&allowed), "+notcp +ignore cdn.test ixfr=1");
    assert!(udp.answer.len() <= 1, "{}", udp.text);
}

#[test]
fn a_site_that_is_nowhere_and_a_zone_without_sites_are_told_apart() {
    let server = Node::dns(&bare().site(site("shop")));
    let nowhere = dig(at(&server), "+noad +norec shop.cdn.test a");
    assert_eq!((nowhere.status.as_str(), nowhere.answer.len()), ("SERVFAIL", 0));
    assert_eq!(dig(at(&server), "+noad +norec www.cdn.test a").data(), ["192.0.2.1"]);
    let unknown = dig(at(&server), "+noad +norec other.cdn.test a");
    assert_eq!(unknown.status, "NXDOMAIN");
    let files = NodeConfig::dns("dns-2")
        .file("small.zone", "@ 60 SOA ns h 1 1 1 1 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n")
        .table("zone", serde_json::json!({ "name": "small.test", "file": "small.zone" }));
    let server = Node::dns(&files);
    assert_eq!(dig(at(&server), "+noad +norec ns.small.test a").data(), ["192.0.2.1"]);
    assert_eq!(dig(at(&server), "+noad +norec shop.small.test a").status, "NXDOMAIN");
}
