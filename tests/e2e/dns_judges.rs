//! Other people's judges of zones, dnsviz and zonemaster, look at the signed zone of the demo. They
//! ask port 53 of addresses that are not loopback's, so the whole test runs in a network of its
//! own: it starts itself again there. Nothing of it reaches a real network.

use selvedge_tests::node::binary;
use selvedge_tests::tools::{Output, run};
use selvedge_tests::{Node, NodeConfig};
use serde_json::{Value, json};
use std::process::Command;

/// The zone as the demo has it, on loopback.
const ZONE: &str = include_str!("../../crates/selvedge/src/demo/cdn.test.zone");
/// Where its two servers are here: addresses that the judges take for the world's.
const SERVERS: [(&str, &str, &str); 2] =
    [("ns1.cdn.test", "127.0.0.1", "198.41.0.53"), ("ns2.cdn.test", "127.0.0.2", "199.7.83.53")];
/// Set where the test is inside.
const INSIDE: &str = "SELVEDGE_TESTS_OWN_NETWORK";
/// Its own name, for those who start it again.
const NAME: &str = "dns_judges::judges_of_zones_find_no_error_in_the_zone_of_the_demo";

#[test]
fn judges_of_zones_find_no_error_in_the_zone_of_the_demo() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let allowed = run("unshare", &["-rn", "true"]);
    assert!(allowed.ok, "no network of its own without root: {}", allowed.stderr);
    let again = std::env::current_exe().expect("the test has a path");
    let output = Command::new("unshare")
        .arg("-rn")
        .arg(again)
        .args([NAME, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let more = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{more}");
}

fn inside() {
    ip("link set lo up");
    let mut zone = ZONE.to_owned();
    for (_, loopback, address) in SERVERS {
        ip(&format!("address add {address}/32 dev lo"));
        assert!(zone.contains(loopback), "{zone}");
        zone = zone.replace(loopback, address);
    }
    let server = Node::dns(&config(zone));
    let ds = dnssec(&server, "ds");
    let [_, _, _, tag, algorithm, kind, digest] =
        ds.split_whitespace().collect::<Vec<_>>().try_into().expect("a DS");
    let broken =
        format!("{:02x}{}", !u8::from_str_radix(&digest[..2], 16).unwrap_or(0), &digest[2..]);

    let said = zonemaster(&format!("{tag},{algorithm},{kind},{digest}"));
    for heard in ["ENOUGH_NS_CHILD", "ALGORITHM_OK", "DS10_HAS_NSEC", "NO_RECURSOR", "ONE_SOA "] {
        assert!(said.iter().any(|line| line.contains(heard)), "{heard}: {said:#?}");
    }
    assert_eq!(errors(&said), [""; 0], "{said:#?}");
    // It would have told.
    let said = zonemaster(&format!("{tag},{algorithm},{kind},{broken}"));
    let [error] = &errors(&said)[..] else { panic!("{said:#?}") };
    assert!(error.contains("DS02_NO_MATCH_DS_DNSKEY"), "{error}");

    // It asks nobody of a family for which there is no way out; zonemaster would wait for answers.
    ip("route add default dev lo");
    let (all, errors) = dnsviz(&server);
    assert_eq!(errors.trim(), "", "{all}");
    let all: Value = serde_json::from_str(&all).expect("it is JSON");
    let (mut signatures, mut proofs) = (0, 0);
    judged(&all, &mut |kind, status| {
        assert_eq!(status, "VALID", "{kind}: {all}");
        signatures += usize::from(kind == "rrsig");
        proofs += usize::from(kind == "proof");
    });
    assert!(signatures >= 10 && proofs >= 3, "{signatures} {proofs}: {all}");
}

/// The server of the demo's zone, without control.
fn config(zone: String) -> NodeConfig {
    let listen: Vec<String> = SERVERS.iter().map(|(_, _, it)| format!("{it}:53")).collect();
    let region = json!({ "name": "eu", "latitude": 50.1, "longitude": 8.7 });
    NodeConfig::dns("judged")
        .set("dns", "listen", listen)
        .set("dns", "keys", "keys")
        .file("cdn.test.zone", zone)
        .table(
            "zone",
            json!({
                "name": "cdn.test", "file": "cdn.test.zone", "sites": true, "dnssec": "ecdsa",
            }),
        )
        .table("region", region)
        .table("edge", json!({ "name": "e", "region": "eu", "addresses": ["198.41.0.80"] }))
        .site(crate::dns_support::site("shop"))
}

#[track_caller]
fn ip(command: &str) {
    // It is in no path but root's.
    let done = run("sh", &["-c", &format!("PATH=$PATH:/usr/sbin:/sbin ip {command}")]);
    assert!(done.ok, "ip {command}: {} (apt install iproute2)", done.stderr);
}

#[track_caller]
fn dnssec(server: &Node, what: &str) -> String {
    let file = server.folder().join("node.toml").display().to_string();
    run(&binary().display().to_string(), &["dnssec", "-c", &file, what]).stdout
}

/// What zonemaster says of the zone when the zone above has this DS.
#[track_caller]
fn zonemaster(ds: &str) -> Vec<String> {
    let servers = SERVERS.map(|(name, _, address)| format!("{name}/{address}"));
    let mut args = vec!["cdn.test", "--no-ipv6", "--no-progress", "--raw", "--show-module"];
    args.extend(["--level", "INFO", "--ds", ds]);
    servers.iter().for_each(|server| args.extend(["--ns", server]));
    let Output { ok, stdout, stderr } = run("zonemaster-cli", &args);
    assert!(ok, "{stdout} {stderr}");
    stdout.lines().map(str::to_owned).collect()
}

/// The lines that say what is wrong. None is excused.
fn errors(said: &[String]) -> Vec<&str> {
    let is_error = |line: &&str| {
        let level = line.split_whitespace().nth(1);
        matches!(level, Some("ERROR" | "CRITICAL"))
    };
    said.iter().map(String::as_str).filter(is_error).collect()
}

/// All that dnsviz found, and what of it are errors. It is not given a key to trust: that part of
/// Debian 12's does not work with the pygraphviz of Debian 12. The DS is zonemaster's to judge, and
/// delv trusts the key in other tests.
#[track_caller]
fn dnsviz(server: &Node) -> (String, String) {
    let probe = server.folder().join("probe.json").display().to_string();
    let servers = SERVERS.map(|(name, _, address)| format!("{name}={address}")).join(",");
    let servers = format!("cdn.test+:{servers}");
    let mut args = vec!["probe", "-4", "-A", "-x", &servers, "-o", &probe];
    args.extend(["cdn.test", "shop.cdn.test", "status.cdn.test", "nope.cdn.test"]);
    let probed = run("dnsviz", &args);
    assert!(probed.ok, "{}", probed.stderr);
    let grok = |level: &str| {
        let Output { ok, stdout, stderr } = run("dnsviz", &["grok", "-l", level, "-r", &probe]);
        assert!(ok, "{stdout} {stderr}");
        stdout
    };
    (grok("info"), grok("error"))
}

/// Calls with `rrsig` or `proof`, and its status, for each that was judged.
fn judged(value: &Value, f: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let kind = name.as_str();
                let list = value.as_array().filter(|_| matches!(kind, "rrsig" | "proof"));
                for it in list.into_iter().flatten() {
                    f(kind, it["status"].as_str().unwrap_or("none"));
                }
                judged(value, f);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| judged(value, f)),
        _ => {}
    }
}
