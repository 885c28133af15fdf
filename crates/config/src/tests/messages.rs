//! What an operator reads when something is wrong, and that nothing a file holds can do harm.

use proptest::prelude::*;

use super::Document;
use crate::{FAULTS_MAX, FILE_BYTES_MAX, Profile, parse};

fn message(text: &str) -> String {
    parse(text, "edge.toml", Profile::Facing).expect_err("something is wrong").to_string()
}

/// Name of the file, line, column, key, the line itself, what is allowed.
#[test]
fn a_fault_says_where_what_and_what_instead() {
    let text = Document::new().with("cache", "memory", "\"256\"").text();
    assert_eq!(
        message(&text),
        "edge.toml:10:10: cache.memory: \"256\" has no unit\n\
         \x20 10 | memory = \"256\"\n\
         \x20    |          ^^^^^\n\
         \x20     allowed: a size from \"1MiB\" to \"16TiB\", with a unit \
         (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB)"
    );
}

/// The whole file is put right in one go.
#[test]
fn all_faults_are_reported_at_once() {
    let text = "[node]\nnmae = \"a\"\n[listen]\nhttp = [\"localhost:80\", 7]\n[cache]\n\
                memory = 1\n[colours]\n[[site]]\nhosts = [\"a b\"]\n\
                origin = [\"a\"]\nttl_min = 3\n";
    let faults = parse(text, "edge.toml", Profile::Facing).expect_err("wrong").list;
    let found: Vec<_> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "node.name"),
            (2, "node.nmae"),
            (4, "listen.http"),
            (4, "listen.http"),
            (6, "cache.memory"),
            (7, "colours"),
            (8, "site.name"),
            (9, "site.hosts"),
            (10, "site.origin"),
            (11, "site.ttl_min"),
        ]
    );
}

/// A misspelt name finds the one that was meant, in the same table or in the one it belongs to.
#[test]
fn the_nearest_name_is_suggested() {
    for (table, key, value, suggestion) in [
        ("cache", "memroy", "1", Some("`memory`")),
        ("site", "ttl-max", "1", Some("`ttl_max`")),
        ("site", "stale_if_eror", "1", Some("`stale_if_error`")),
        ("upstream", "parent", "1", Some("`parents`")),
        ("node", "memory", "1", Some("`memory` in [cache]")),
        ("limits", "peers", "1", Some("`peers` in [upstream]")),
        ("log", "colour", "1", None),
        ("log", "format", "\"jsn\"", Some("\"json\"")),
        ("log", "access", "\"sdtout\"", Some("\"stdout\"")),
        ("log", "access", "\"access.log\"", Some("\"./access.log\"")),
        ("site", "origin_policy", "\"weigthed\"", Some("\"weighted\"")),
        ("site", "compress", "[\"gzp\"]", Some("\"gzip\"")),
        ("site", "request_headers", "{ sett = {} }", Some("`set`")),
        ("listen", "trust", "[\"10.1.2.3/8\"]", Some("\"10.0.0.0/8\"")),
    ] {
        let faults = Document::new().with(table, key, value).faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].suggestion.as_deref(), suggestion, "{}", faults[0]);
    }
    let base = Document::new().text();
    assert!(message(&format!("{base}[cahce]\n")).contains("did you mean [cache]?"));
    assert!(message(&format!("memory = 1\n{base}")).contains("did you mean `memory` in [cache]?"));
}

/// `[site]` where several can be, `[[node]]` where one can be.
#[test]
fn a_table_of_the_wrong_shape_is_told_its_heading() {
    let base = Document::new().text();
    let single = message(&base.replace("[[site]]", "[site]"));
    assert!(single.contains("tables, each headed [[site]]"), "{single}");
    let double = message(&base.replace("[node]", "[[node]]"));
    assert!(double.contains("one table, headed [node]"), "{double}");
    assert!(
        message(&format!("site = [1]\n{}", base.replace("[[site]]", "[cache]")))
            .contains("[[site]]")
    );
}

/// What is not TOML has a line and a column as well, all of it at once.
#[test]
fn syntax_errors_have_a_place() {
    let text = "[node]\nname = \n[listen\nhttp = [1\n";
    let faults = parse(text, "edge.toml", Profile::Facing).expect_err("not TOML");
    assert!(faults.list.len() >= 2, "{faults}");
    assert_eq!(faults.list[0].line, 2, "{faults}");
    let shown = message("[node]\nname = \"a\"\nname = \"b\"\n");
    assert!(shown.starts_with("edge.toml:3:1: "), "{shown}");
}

/// A header rule may hold a credential, and so may a URL with a user name: neither is repeated.
#[test]
fn secrets_are_not_repeated() {
    let rules = "{ set = { authorization = \"Bearer s3cret\", host = \"s3cret\" } }";
    for (key, value) in [
        ("request_headers", rules),
        ("request_headers", "{ set = { x-token = \"s3cret\\n\" } }"),
        ("response_headers", "\"s3cret\""),
        ("origin", "[\"http://user:s3cret@a.test\"]"),
        ("origin", "[\"http://user:s3cret@a.test\", 7]"),
        ("request_haeders", rules),
        ("request_headers", "{ set = { authorization = \"s3cret\" "),
        ("origin", "[{ url = \"http://user:s3cret@a.test\" }]"),
    ] {
        let shown = message(&Document::new().with("site", key, value).text());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

/// A file cannot drive the terminal of whoever reads its faults, nor flood it.
#[test]
fn messages_are_plain_and_short() {
    let text = Document::new().with("log", "access", "\"\u{9b}31m\\u001b[31m\"").text();
    assert!(message(&text).chars().all(|c| c == '\n' || !c.is_control()));
    let long = Document::new().with("site", "hosts", &format!("[\"{}\"]", "a b".repeat(9000)));
    assert!(message(&long.text()).lines().all(|line| line.chars().count() < 250));
    let many = Document::new().with("site", "hosts", &format!("[{}]", "7,".repeat(1000)));
    let faults = many.parse().expect_err("wrong");
    assert_eq!((faults.list.len(), faults.omitted), (FAULTS_MAX, 1000 - FAULTS_MAX));
    assert!(faults.to_string().ends_with("900 more faults are not shown"));
}

/// Memory and stack do not follow what a file asks for.
#[test]
fn files_without_measure_are_refused() {
    let big = "#".repeat(FILE_BYTES_MAX + 1);
    assert!(message(&big).contains("at most 1048576 bytes"));
    for deep in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
    ] {
        assert!(!message(&deep).is_empty());
    }
    let site = Document::new().text();
    let site = &site[site.find("[[site]]").expect("there is one")..];
    let faults = parse(&site.repeat(10_001), "a", Profile::Facing).expect_err("too many sites");
    assert!(faults.list.iter().any(|fault| fault.problem.contains("10001 times")));
}

proptest! {
    /// Arbitrary text is refused with a place inside it, never with a panic.
    #[test]
    fn arbitrary_text_is_survived(text in ".{0,400}") {
        if let Err(faults) = parse(&text, "a", Profile::Facing) {
            prop_assert!(!faults.to_string().is_empty());
            let lines = text.matches('\n').count() + 1;
            prop_assert!(faults.list.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }

    /// So is a right file with a part of it replaced.
    #[test]
    fn a_damaged_file_is_survived(
        at in 0_usize..4000, cut in 0_usize..40, put in "[\\PC\n\"\\[\\]{}=.*]{0,12}",
    ) {
        let mut text = crate::tests::examples::EDGE.to_owned();
        let start = text.floor_char_boundary(at.min(text.len()));
        let end = text.floor_char_boundary((start + cut).min(text.len()));
        text.replace_range(start..end, &put);
        if let Err(faults) = parse(&text, "a", Profile::Inner) {
            prop_assert!(!faults.to_string().is_empty());
        }
    }

    /// So is any value at any key.
    #[test]
    fn any_text_at_any_key_is_survived(row in 0_usize..1000, value in ".{0,60}") {
        let rows: Vec<_> = crate::SECTIONS.iter()
            .flat_map(|section| section.keys.iter().map(move |key| (section, key))).collect();
        let (section, key) = rows[row % rows.len()];
        let quoted = format!("'''{}'''", value.replace('\'', "\""));
        let listed = format!("[{quoted}, {{ url = {quoted} }}]");
        let ruled = format!("{{ set = {{ {quoted} = {quoted} }}, remove = [{quoted}] }}")
            .replace("'''", "'");
        for value in [quoted, listed, ruled] {
            let document = Document::new().with(section.name, key.name, &value);
            if let Err(faults) = document.parse() {
                prop_assert!(!faults.to_string().is_empty());
            }
        }
    }
}
