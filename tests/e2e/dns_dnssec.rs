//! DNSSEC: what is signed is taken by a validator that is not ours (delv), and keys are made, shown
//! and rolled by a command.

use crate::dns_support::{BERLIN, at, config, placed};
use selvedge_tests::dns::{Query, Udp, dig, kind};
use selvedge_tests::node::{Reload, binary};
use selvedge_tests::tools::{Output, run};
use selvedge_tests::{Node, NodeConfig};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const ZONE: &str = "$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 60\n@ NS ns1\n@ TXT \"hello\"\n\
    ns1 A 192.0.2.53\nwww CNAME shop\n*.wild A 192.0.2.99\na.ent A 192.0.2.98\n";

/// The same sites in a zone that is signed.
pub(crate) fn signed(config: NodeConfig, algorithm: &str) -> NodeConfig {
    config.set("dns", "keys", "keys").file("signed.zone", ZONE).table(
        "zone",
        json!({
            "name": "signed.test", "file": "signed.zone", "sites": true, "dnssec": algorithm,
        }),
    )
}

fn dnssec(server: &Node, args: &[&str]) -> Output {
    let file = server.folder().join("node.toml").display().to_string();
    let all = [&["dnssec", "-c", &file, "--zone", "signed.test"], args].concat();
    run(&binary().display().to_string(), &all)
}

/// Asks delv, which trusts the key of the zone and nothing else.
pub(crate) fn validated(server: &Node, question: &str) -> String {
    let key = dnssec(server, &["dnskey"]).stdout;
    let words: Vec<&str> = key.split_whitespace().collect();
    let [zone, _, _, flags, protocol, algorithm, public @ ..] = &words[..] else {
        panic!("no key: {key}")
    };
    let anchor = server.folder().join("anchor");
    let public = public.concat();
    let text = format!(
        "trust-anchors {{ {zone} static-key {flags} {protocol} {algorithm} \"{public}\"; }};\n"
    );
    std::fs::write(&anchor, text).expect("the folder can be written");
    let (address, anchor) = (at(server), anchor.display().to_string());
    let (host, port) = (format!("@{}", address.ip()), address.port().to_string());
    let mut args = vec![&host, "-p", &port, "-a", &anchor, "+root=signed.test"];
    args.extend(question.split(' '));
    run("delv", &args).stdout
}

#[test]
fn a_validator_takes_every_kind_of_answer() {
    for algorithm in ["ecdsa", "ed25519"] {
        let server = Node::dns(&signed(config(), algorithm));
        for (question, expected) in [
            ("signed.test SOA", "; fully validated"),
            ("signed.test TXT", "\"hello\""),
            ("shop.signed.test A", "198.18.1.1"),
            ("shop.signed.test AAAA", "2001:db8:e::1"),
            ("shop.signed.test HTTPS", "ipv4hint"),
            ("www.signed.test A", "CNAME"),
            ("x.wild.signed.test A", "192.0.2.99"),
        ] {
            let said = validated(&server, question);
            let is_well = said.contains("; fully validated") && said.contains(expected);
            assert!(is_well && !said.contains("unsigned"), "{algorithm} {question}: {said}");
        }
        for question in ["nope.signed.test A", "shop.signed.test TXT", "ent.signed.test A"] {
            let said = validated(&server, question);
            assert!(said.contains("negative response, fully validated"), "{question}: {said}");
        }
        let made = server.metrics().sum("selvedge_dnssec_signatures_total", &[]);
        assert!(made > 5.0, "{made}");
    }
}

#[test]
fn each_variant_of_an_answer_is_signed_and_nothing_where_nobody_asks() {
    let server = Node::dns(&signed(placed(), "ecdsa"));
    let of = |args: &str| dig(at(&server), &format!("{args} shop.signed.test a"));
    let (berlin, other) =
        (of(&format!("+dnssec +subnet={BERLIN}/24")), of("+dnssec +subnet=198.51.100.0/24"));
    assert_ne!(berlin.data(), other.data());
    for reply in [&berlin, &other] {
        assert!(reply.text.contains("RRSIG"), "{}", reply.text);
    }
    assert!(!of("+nodnssec").text.contains("RRSIG"));
    // Once signed, it is kept.
    let made = || server.metrics().sum("selvedge_dnssec_signatures_total", &[]) as u64;
    let before = made();
    for _ in 0..5 {
        assert_eq!(of(&format!("+dnssec +subnet={BERLIN}/24")).data().len(), berlin.data().len());
    }
    assert_eq!(made(), before);
}

#[test]
fn keys_are_kept_for_nobody_else_and_outlive_the_process() {
    let config = signed(config(), "ecdsa");
    let server = Node::dns(&config);
    let file = server.folder().join("keys").join("signed.test.toml");
    let mode = std::fs::metadata(&file).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ds = dnssec(&server, &["ds"]).stdout;
    assert!(ds.contains(" IN DS ") && ds.contains(" 13 2 "), "{ds}");
    assert_eq!(server.reload(&config), Reload::Applied);
    assert_eq!(dnssec(&server, &["ds"]).stdout, ds, "the same key");
    let digest = ds.split_whitespace().last().expect("a digest");
    let cds = dnssec(&server, &["cds"]).stdout;
    assert!(cds.contains(" IN CDS ") && cds.contains(digest), "{cds}");
}

/// What is wrong is told with what to do, and by an exit code: 64 for what must be set right, 75
/// where trying again can help.
#[test]
fn keys_that_cannot_be_had_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, keys) = (folder.path().join("node.toml"), folder.path().join("keys"));
    let text = signed(config(), "ecdsa").render(folder.path());
    std::fs::write(&file, text).expect("the folder can be written");
    let told = |command: &[&str], code: i32, what: &[&str]| {
        let mut args = command.to_vec();
        let file = file.display().to_string();
        args.extend(["--config", &file]);
        args.extend((command[0] == "dnssec").then_some("list"));
        let output = Command::new(binary()).args(&args).output().expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        for part in what {
            assert!(said.contains(part), "{part:?}: {said}");
        }
    };
    told(&["dnssec"], 75, &["signed.test.toml", "has no key yet: the server makes one"]);
    // Nobody can make a folder of it, root neither.
    std::fs::write(&keys, "").expect("the folder can be written");
    told(&["dns"], 75, &["signed.test.toml", "`dns.keys` must be a folder"]);
    std::fs::remove_file(&keys).expect("it is there");
    std::fs::create_dir(&keys).expect("the folder can be written");
    for broken in ["", "nonsense", "zone = \"signed.test.\"\n[[key]]\nalgorithm = \"ec"] {
        std::fs::write(keys.join("signed.test.toml"), broken).expect("it can be written");
        for command in ["dns", "dnssec"] {
            told(&[command], 64, &["signed.test.toml: the keys cannot be read", "put back a copy"]);
        }
    }
    let kept = std::fs::read_to_string(keys.join("signed.test.toml")).expect("it is there");
    assert!(kept.contains("[[key]]"), "it is not written over: {kept}");
}

#[test]
fn a_roll_publishes_the_new_key_beside_the_old_one() {
    let config = signed(config(), "ecdsa");
    let server = Node::dns(&config);
    let keys = || Udp::to(at(&server)).ask(&Query::new("signed.test", kind::DNSKEY)).answer.len();
    assert_eq!(keys(), 1);
    let rolled = dnssec(&server, &["roll"]);
    assert!(rolled.ok && rolled.stdout.contains("published"), "{}{}", rolled.stdout, rolled.stderr);
    assert!(!dnssec(&server, &["roll"]).ok, "one after the other");
    assert_eq!(server.reload(&config), Reload::Applied);
    assert_eq!(keys(), 2);
    let said = validated(&server, "shop.signed.test A");
    assert!(said.contains("fully validated"), "{said}");
}
