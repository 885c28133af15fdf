//! Sites as JSON documents and as the text of their keys: the same as in a file.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::rows::sample;
use crate::key::{Key, Kind};
use crate::keys::site::Site as Rows;
use crate::{Profile, Site, host_clashes, parse, site_from_json, site_from_toml, sites};

fn least() -> Value {
    json!({ "hosts": ["www.shop.test"], "origin": ["http://127.0.0.1:9000"] })
}

fn in_a_file(keys: &str) -> Result<Site, crate::Faults> {
    let text = format!(
        "[node]\nname = \"n\"\n[listen]\nhttp = [\"10.0.0.1:80\"]\n\
         [cache]\ndisk = [{{ path = \"/a\", size = \"256TiB\" }}]\n[[site]]\n\
         name = \"shop\"\n{keys}"
    );
    parse(&text, "a.toml", Profile::Facing).map(|config| (*config.sites[0]).clone())
}

/// The text with the least keys, and one more in the place of one of them.
fn with(key: &str, value: &str) -> String {
    let base = [("hosts", "[\"www.shop.test\"]"), ("origin", "[\"http://127.0.0.1:9000\"]")];
    let kept = base.into_iter().filter(|(name, _)| *name != key);
    kept.chain([(key, value)]).map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// `push` is for control, and files are for nodes.
fn is_everywhere(key: &Key) -> bool {
    !matches!(key.name, "name" | "push") && !matches!(key.kind, Kind::File)
}

#[test]
fn a_site_from_control_names_no_file_of_a_node() {
    let mut document = least();
    document["ca_file"] = json!("/dev/zero");
    let faults = site_from_json("shop", &document).expect_err("it names a file").to_string();
    assert!(faults.contains("site.ca_file: names a file of nodes"), "{faults}");
    assert!(faults.contains("`upstream.ca_file`"), "{faults}");
    let text = with("ca_file", "\"ca.pem\"");
    assert!(site_from_toml("shop", &text).is_err());
    assert!(in_a_file(&text).is_ok(), "a file of a node may name others");
}

#[test]
fn every_key_means_in_json_what_it_means_in_a_file() {
    for key in Rows::SECTION.keys.iter().filter(|key| is_everywhere(key)) {
        let text = with(key.name, &sample(&key.kind));
        let file = in_a_file(&text);
        let Ok(document) = site_from_toml("shop", &text) else {
            assert!(file.is_err(), "{text}");
            continue;
        };
        let site = site_from_json("shop", &document).expect("what was read is read again");
        if let Ok(file) = file {
            assert_eq!(site, file, "{text}");
        }
    }
}

#[test]
fn a_document_is_refused_by_key_and_with_what_is_allowed() {
    let with = |key: &str, value: Value| {
        let mut document = least();
        document[key] = value;
        site_from_json("shop", &document).expect_err("something is wrong")
    };
    for (key, value, problem) in [
        ("ttl_min", json!(null), "is null"),
        ("ttl_min", json!(3), "3 has no unit"),
        ("ttl-min", json!("3s"), "is not a known key"),
        ("hosts", json!([]), "is empty"),
        ("hosts", json!(["a.test", "A.test"]), "is there twice"),
        ("hosts", json!([null]), "is null"),
        ("origin", json!([]), "no pushed content instead"),
        ("read_ahead", json!(1.5), "is a decimal number"),
        ("cache_min", json!("1PiB"), "allowed"),
        ("health_path", json!("/"), "never asked for"),
        ("signed", json!("both"), "no key to check them with"),
        ("name", json!("other"), "is not the name"),
        ("request_headers", json!({ "set": { "a b": "1" } }), "request_headers"),
        ("a\nb = 1 #", json!("\"\\\u{7f}\n"), "is not a known key"),
    ] {
        let faults = with(key, value).to_string();
        assert!(faults.starts_with("site shop:"), "{faults}");
        assert!(faults.contains(problem), "{key}: {faults}");
    }
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert!(with("hosts", deep).to_string().contains("in each other"));
    assert!(site_from_json("shop", &json!([])).is_err());
    assert!(site_from_json("1st", &least()).is_err());
    let big = json!({ "hosts": ["a".repeat(crate::FILE_BYTES_MAX)] });
    assert!(site_from_json("shop", &big).is_err());
}

#[test]
fn a_site_needs_an_origin_or_pushed_content() {
    let pushed = json!({ "hosts": ["a.test"], "push": true });
    let site = site_from_json("shop", &pushed).expect("nothing is missing");
    assert!(site.push && site.origin.is_empty());
    let mut both = least();
    both["push"] = json!(true);
    assert!(site_from_json("shop", &both).is_ok());
    let faults = in_a_file(&with("push", "true")).expect_err("there is no control");
    assert_eq!(faults.list[0].key, "site.push");
}

#[test]
fn the_text_of_keys_becomes_a_document_without_the_name() {
    let text = "name = \"shop\"\nhosts = [\"a.test\"]\npush = true\n[response_headers]\n\
                set = { x-a = \"1\" }\n";
    let document = site_from_toml("shop", text).expect("right");
    let set = json!({ "set": { "x-a": "1" } });
    assert_eq!(document, json!({ "hosts": ["a.test"], "push": true, "response_headers": set }));
    let faults = site_from_toml("shop", "hosts = [\"a.test\"]\nttl_min = 3").expect_err("wrong");
    assert!(faults.to_string().contains("site shop:2:11: site.ttl_min: 3 has no unit"), "{faults}");
    assert!(site_from_toml("shop", "hosts = [").is_err());
}

#[test]
fn a_host_belongs_to_one_site() {
    let (one, two) = (least(), json!({ "hosts": ["b.test", "WWW.shop.test"], "push": true }));
    let both = [("shop", &one), ("blog", &two)];
    let faults = sites(both).expect_err("they share a host").to_string();
    assert!(faults.starts_with("site blog:"), "{faults}");
    assert!(faults.contains("www.shop.test belongs to the site shop already"), "{faults}");
    let read = sites([("shop", &one)]).expect("one alone is right");
    assert!(host_clashes(&read).is_empty());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever a document holds, its TOML says the same, or it is refused.
    #[test]
    fn any_document_is_survived(row in 0_usize..100, value in any_json(), name in ".{0,12}") {
        let key = &Rows::SECTION.keys[row % Rows::SECTION.keys.len()];
        let mut document = least();
        document[key.name] = value.clone();
        document[&name] = value;
        if let Err(faults) = site_from_json("shop", &document) {
            prop_assert!(!faults.to_string().is_empty());
        }
    }

    /// A string arrives as it was.
    #[test]
    fn any_string_is_read_as_it_was_written(text in "[\\PC\t\r\n\u{0}\u{7f}\"\\\\]{0,40}") {
        let written = format!("a = {}", crate::document::quoted(&text));
        let read: Value = toml::from_str(&written).expect("a string of TOML");
        prop_assert_eq!(&read["a"], &Value::from(text));
    }
}
