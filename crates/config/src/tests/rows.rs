//! Every row of the key table, one by one.

use std::collections::HashSet;

use super::Document;
use crate::{Absence, Apply, Key, Kind, Profile, SECTIONS, Section, Shape, parse};

fn rows() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)))
}

/// A value that is right for a kind.
pub(super) fn sample(kind: &Kind) -> String {
    match kind {
        Kind::Duration { max, .. } | Kind::Size { max, .. } => format!("{max:?}"),
        Kind::Count { max, .. } => max.to_string(),
        Kind::Decimal { max, .. } => format!("{max:?}"),
        Kind::Flag | Kind::FlagOrWords(_) => "false".to_owned(),
        Kind::Name => "\"a-name\"".to_owned(),
        Kind::File | Kind::LogTarget => "\"/a/file\"".to_owned(),
        Kind::Folder => "\"/a/folder\"".to_owned(),
        Kind::Disk => "{ path = \"/a/folder\", size = \"64MiB\" }".to_owned(),
        Kind::Choice(words) => format!("{:?}", words[words.len() - 1]),
        Kind::Address => "\"[::1]:9999\"".to_owned(),
        Kind::Ip => "\"2001:db8::1\"".to_owned(),
        Kind::RegionShare => "{ region = \"a-name\", weight = 7 }".to_owned(),
        Kind::MediaRule => "{ path = \"/a/*\", kind = \"key\", ttl = \"2s\" }".to_owned(),
        Kind::Country => "\"DE\"".to_owned(),
        Kind::Network => "\"2001:db8::/32\"".to_owned(),
        Kind::Url => "\"h2c://10.1.2.3:81/\"".to_owned(),
        Kind::Origin => "{ url = \"https://origin.test\" }".to_owned(),
        Kind::HostPattern => "\"*.other.test\"".to_owned(),
        Kind::HostPort => "\"origin.test:81\"".to_owned(),
        Kind::HostName => "\"origin.test\"".to_owned(),
        Kind::Path => "\"/health?x=1\"".to_owned(),
        Kind::QueryName => "\"utm_*\"".to_owned(),
        Kind::Language => "\"pt-BR\"".to_owned(),
        Kind::MediaType => "\"image/*\"".to_owned(),
        Kind::Word => "\"2026-a_b\"".to_owned(),
        Kind::PathPrefix => "\"/live/\"".to_owned(),
        Kind::WebOrigin => "\"https://player.test:8443\"".to_owned(),
        Kind::HeaderRules(_) => {
            "{ remove = [\"x-a\"], set = { x-b = \"1\" }, add = { x-c = \"2\" } }".to_owned()
        }
        Kind::List { of, .. } => format!("[{}]", sample(of)),
    }
}

const DISKS_WRONG: [&str; 9] = [
    "\"/a/folder\"",
    "{}",
    "{ path = \"/a\" }",
    "{ size = \"1GiB\" }",
    "{ path = \"\", size = \"1GiB\" }",
    "{ path = \"/a\", size = \"63MiB\" }",
    "{ path = \"/a\", size = \"257TiB\" }",
    "{ path = \"/a\", size = 1 }",
    "{ path = \"/a\", size = \"1GiB\", sise = 1 }",
];

/// What is not a rule for streams.
const MEDIA_WRONG: [&str; 7] = [
    "\"/a\"",
    "{}",
    "{ path = \"/a\" }",
    "{ path = \"a\", kind = \"key\" }",
    "{ path = \"/a\", kind = \"film\" }",
    "{ path = \"/a\", kind = \"key\", ttl = 1 }",
    "{ path = \"/a\", kind = \"key\", tll = \"1s\" }",
];

/// What is not a region and its weight.
const REGIONS_WRONG: [&str; 6] = [
    "\"\"",
    "\"a b\"",
    "{ weight = 3 }",
    "{ region = \"eu\", weight = 0 }",
    "{ region = \"eu\", weight = \"3\" }",
    "{ name = \"eu\" }",
];

/// What are no rules for fields.
const HEADER_RULES_WRONG: [&str; 17] = [
    "[]",
    "{ set = [] }",
    "{ remove = {} }",
    "{ remove = [1] }",
    "{ sett = {} }",
    "{ set = { x = 1 } }",
    "{ set = { x = \"1\", X = \"2\" } }",
    "{ set = { \"a b\" = \"1\" } }",
    "{ remove = [\"a:\"] }",
    "{ add = { x = \"a\\r\\nb: c\" } }",
    "{ add = { x = \" a\" } }",
    "{ add = { x = \"ä\" } }",
    "{ set = { host = \"a\" } }",
    "{ set = { Content-Length = \"1\" } }",
    "{ remove = [\"Transfer-Encoding\"] }",
    "{ add = { connection = \"x\" } }",
    "{ remove = [\"cdn-loop\"] }",
];

/// Values of another type, and texts that are not of the kind.
fn wrong(kind: &Kind) -> Vec<String> {
    let mut wrong = vec!["1979-05-27".to_owned()];
    let mut texts = |texts: &[&str]| wrong.extend(texts.iter().map(|text| format!("{text:?}")));
    match kind {
        Kind::Duration { .. } => texts(&["", "30", "s", "-1s", "1.5s", "30 s", "30S", "1y"]),
        Kind::Size { .. } => texts(&["", "64", "MiB", "-1B", "64K", "64 KiB", "64kib", "1.5GiB"]),
        Kind::Count { .. } | Kind::Decimal { .. } | Kind::Flag => texts(&["1", "true"]),
        Kind::Name => texts(&["", "1st", "a b", "a/b", "näme", &"a".repeat(65)]),
        Kind::File | Kind::Folder => wrong.extend(["\"\"", "\"a\\u0007b\""].map(str::to_owned)),
        Kind::Disk => wrong.extend(DISKS_WRONG.map(str::to_owned)),
        Kind::LogTarget => texts(&["", "sdtout", "access.log"]),
        Kind::Choice(_) | Kind::FlagOrWords(_) => texts(&["", "no-such-word"]),
        Kind::Address => texts(&["", "127.0.0.1", "localhost:80", ":80", "127.0.0.1:65536"]),
        Kind::Ip => texts(&["", "localhost", "1.2.3", "192.0.2.1:53", "[::1]"]),
        Kind::RegionShare => wrong.extend(REGIONS_WRONG.map(str::to_owned)),
        Kind::MediaRule => wrong.extend(MEDIA_WRONG.map(str::to_owned)),
        Kind::Country => texts(&["", "D", "DEU", "de", "D1"]),
        Kind::Network => texts(&["", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "ten/8"]),
        Kind::Url | Kind::Origin => texts(&[
            "",
            "a.test",
            "ftp://a.test",
            "http://",
            "http://a.test/b",
            "http://a.test?b",
            "http://a.test#b",
            "http://u@a.test",
            "http://a.test:0",
            "http://a.test:65536",
            "http://a.test:8a",
            "http://a b",
            "http://1.2.3",
            "http://[::1",
            "http://[1.2.3.4]",
            "http://a..test",
            "http://-a.test",
            "http://ä.test",
            "http://[::1]a",
            "http://a:1:2",
        ]),
        Kind::HostPattern => texts(&[
            "",
            "a.*",
            "*a.test",
            "**",
            "*.",
            "*.*.test",
            "a.test:80",
            "http://a.test",
            "a b",
            "[::1",
            "*.[::1]",
        ]),
        Kind::HostPort => texts(&["", "a b", "a:0", "a:b", "a/b", "a@b", "a,b"]),
        Kind::HostName => texts(&["", "a b", "a:80", "a/b", "*"]),
        Kind::Path => texts(&["", "health", "/a b", "/a#b", "/a\r\nb", "http://a/"]),
        Kind::QueryName => texts(&["", "a=b", "a&b", "a*b", "a b"]),
        Kind::Language => texts(&["", "e", "en_GB", "en-", "*", "en;q=1", "12"]),
        Kind::MediaType => texts(&["", "text", "Text/html", "text/", "*/*", "a/b;q=1", "*"]),
        Kind::Word => texts(&["", "a b", "a.b", "a/b", "ä", &"a".repeat(33)]),
        Kind::PathPrefix => texts(&[
            "", "live/", "/a b", "/a?b", "/a#b", "/a%2fb", "/a/../b", "/./a", "//a", "/a\\b",
        ]),
        Kind::WebOrigin => texts(&[
            "",
            "null",
            "a.test",
            "https://",
            "https://A.test",
            "https://a.test/",
            "https://a.test:443",
            "http://a.test:80",
            "https://*.a.test",
            "https://u@a.test",
            "://a.test",
        ]),
        Kind::HeaderRules(_) => {
            wrong.extend(HEADER_RULES_WRONG.map(str::to_owned));
        }
        Kind::List { of, max } => {
            wrong.push(sample(of));
            wrong.push(format!("[{}]", vec![sample(of); max + 1].join(", ")));
            // What is wrong alone is wrong in a list. (An address `[]` is a list, so not there.)
            wrong.extend(self::wrong(of).into_iter().map(|value| format!("[{value}]")));
        }
    }
    match kind {
        Kind::Count { .. } => wrong.push("1.0".to_owned()),
        Kind::Decimal { .. } => wrong.extend(["nan", "inf", "0xff"].map(str::to_owned)),
        Kind::Origin => wrong.extend(
            ["{}", "{ url = 1 }", "{ url = \"http://a\", wait = 1 }", "{ weight = 1 }"]
                .map(str::to_owned),
        ),
        _ => wrong.push("7".to_owned()),
    }
    wrong
}

/// Values outside the bounds of a kind.
fn out_of_bounds(kind: &Kind) -> Vec<String> {
    match *kind {
        Kind::Duration { min, max } => beyond(crate::units::duration_ms, "ms", min, max),
        Kind::Size { min, max } => beyond(crate::units::size_bytes, "B", min, max),
        Kind::Count { min, max } => {
            let mut values = vec![(max + 1).to_string(), "-1".to_owned(), "9".repeat(40)];
            values.extend(min.checked_sub(1).map(|less| less.to_string()));
            values
        }
        Kind::Decimal { min, max } => {
            vec![format!("{:?}", min - 0.01), format!("{:?}", max + 0.01), "1e400".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn beyond(
    parse: fn(&'static str) -> u64,
    unit: &str,
    min: &'static str,
    max: &'static str,
) -> Vec<String> {
    let mut values = vec![format!("\"{}{unit}\"", parse(max) + 1)];
    values.extend(parse(min).checked_sub(1).map(|less| format!("\"{less}{unit}\"")));
    values.push(format!("\"{}{unit}\"", "9".repeat(40)));
    values
}

/// The documentation stands on these.
#[test]
fn every_row_has_a_name_a_line_and_a_paragraph() {
    let mut names = HashSet::new();
    for (section, key) in rows() {
        let name = format!("{}.{}", section.name, key.name);
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert!(key.line.ends_with('.') && key.line.len() > 10, "{name}: {}", key.line);
        assert!(key.help.ends_with('.') && !key.help.contains("  "), "{name}: {}", key.help);
        assert!(!key.line.contains('\n') && key.line.len() <= 120, "{name}: {}", key.line);
        if let (Shape::Many(_), Apply::Restart) = (section.shape, key.apply) {
            panic!("{name}: entries of a repeated table come and go with a reload");
        }
    }
}

/// A default that the parser refuses would be found by an operator otherwise.
#[test]
fn writing_out_every_default_changes_nothing() {
    // With every table that may be there more than once.
    let base = || Document::new().with("edge", "weight", "100");
    let plain = base().parse().expect("the base document is right");
    let mut document = base();
    for (section, key) in rows() {
        document = match key.default {
            Absence::Toml(value)
                if !matches!(
                    (section.name, key.name),
                    ("site", "origin") | ("listen", "http") | ("dns", "listen")
                ) =>
            {
                document.with(section.name, key.name, value)
            }
            Absence::ByProfile { facing, .. } => document.with(section.name, key.name, facing),
            _ => document,
        };
    }
    let written = document.parse().unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(plain, written);
}

/// Both profiles have a default for what differs, and it is the only thing that differs.
#[test]
fn profiles_differ_in_whom_they_trust() {
    let text = Document::new().text();
    let facing = parse(&text, "a", Profile::Facing).expect("right");
    let inner = parse(&text, "a", Profile::Inner).expect("right");
    assert!(facing.listen.trust.is_empty());
    for address in ["127.0.0.1", "10.2.3.4", "172.31.0.1", "192.168.9.9", "::1", "fd00::1"] {
        let address: std::net::IpAddr = address.parse().expect("an address");
        assert!(inner.listen.trust.iter().any(|network| network.contains(&address)), "{address}");
    }
    let public: std::net::IpAddr = "192.0.2.1".parse().expect("an address");
    assert!(!inner.listen.trust.iter().any(|network| network.contains(&public)));
    let mut same = inner.clone();
    same.listen.trust.clear();
    assert_eq!(facing, same);
}

/// The struct field is of the type that the row says: otherwise reading it would panic.
#[test]
fn every_key_takes_a_right_value() {
    for (section, key) in rows() {
        let document = Document::new().with(section.name, key.name, &sample(&key.kind));
        if let Err(faults) = document.parse() {
            // Relations may object (a longest ttl_min, HTTPS without a certificate), the row not.
            for fault in &faults.list {
                assert_ne!(fault.allowed, Some(key.kind.to_string()), "{faults}");
            }
        }
    }
}

/// What an operator gets wrong is named with its line and key, and nothing else is blamed.
#[test]
fn every_key_refuses_wrong_values_on_their_line() {
    for (section, key) in rows() {
        let shown = format!("{}.{}", section.name, key.name);
        let bounds = match key.kind {
            Kind::List { of, .. } => {
                out_of_bounds(of).into_iter().map(|value| format!("[{value}]")).collect()
            }
            ref kind => out_of_bounds(kind),
        };
        for value in wrong(&key.kind).into_iter().chain(bounds) {
            let document = Document::new().with(section.name, key.name, &value);
            let (faults, line) = (document.faults(), document.line(section.name, key.name));
            for fault in &faults {
                assert!(fault.key.starts_with(&shown), "{shown} = {value}: {fault}");
                assert_eq!(fault.line, line, "{shown} = {value}: {fault}");
                assert!(fault.column > key.name.len(), "{shown} = {value}: {fault}");
                assert!(fault.allowed.is_some(), "{shown} = {value}: {fault}");
            }
            let most = if matches!(key.kind, Kind::List { .. }) { 100 } else { 2 };
            assert!((1..=most).contains(&faults.len()), "{shown} = {value}: {faults:?}");
        }
    }
}

/// Without its unit a number may mean anything.
#[test]
fn a_bare_number_is_told_to_take_a_unit() {
    for (section, key) in rows() {
        if matches!(key.kind, Kind::Duration { .. } | Kind::Size { .. }) {
            let faults = Document::new().with(section.name, key.name, "30").faults();
            assert_eq!(faults[0].problem, "30 has no unit");
            assert!(faults[0].allowed.as_ref().is_some_and(|text| text.contains("with a unit")));
        }
    }
}

/// Without it nothing can start, so its absence is said with what it is for.
#[test]
fn every_required_key_is_asked_for() {
    for (section, key) in rows().filter(|(_, key)| key.default == Absence::Required) {
        let document = Document::new().with(section.name, key.name, "0");
        let text = document.text().replace(&format!("{} = 0\n", key.name), "");
        let faults = parse(&text, "a.toml", Profile::Facing).expect_err("a key is missing").list;
        let shown = format!("{}.{}", section.name, key.name);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].key, shown);
        assert!(faults[0].problem.contains(key.line), "{}", faults[0]);
        let heading = text.lines().position(|line| line.contains(&format!("[{}]", section.name)));
        assert_eq!(Some(faults[0].line - 1), heading, "{}", faults[0]);
    }
}
