//! The fields of the Edge Architecture Specification.

use crate::surrogate::{SurrogateControl, capability, capability_has_esi};

fn control(lines: &[&str]) -> SurrogateControl {
    SurrogateControl::parse(lines.iter().map(|line| line.as_bytes()), "cdn")
}

#[test]
fn the_content_names_what_it_is_to_be_processed_by() {
    assert!(control(&["content=\"ESI/1.0\""]).wants_esi());
    assert!(control(&["max-age=600, Content=\"Other/2.0 ESI/1.0\""]).wants_esi());
    assert!(control(&["no-store", "content=ESI/1.0"]).wants_esi());
    assert!(control(&["content=\"ESI/0.8\""]).wants_esi());
    for line in [
        "",
        "content=\"\"",
        "content=\"ESI/1.1\"",
        "content=\"ESI/2.0\"",
        "content=\"XESI/1.0\"",
        "content=\"ESI-Inline/1.0\"",
        "content",
        "context=\"ESI/1.0\"",
        "content=\"ESI/1.0",
        "content=\"ESI/0.x\"",
    ] {
        assert!(!control(&[line]).wants_esi(), "{line}");
    }
}

#[test]
fn times_and_prohibitions_are_read() {
    let read = control(&["max-age=3600+600, no-store-remote, content=\"ESI/1.0, x;y\""]);
    assert_eq!(read.max_age, Some((3600, 600)));
    assert_eq!((read.no_store, read.no_store_remote), (false, true));
    assert_eq!(read.content, ["ESI/1.0,", "x;y"]);
    assert_eq!(control(&["max-age=10"]).max_age, Some((10, 0)));
    assert_eq!(control(&["max-age=-1"]).max_age, None);
    assert_eq!(control(&["max-age=99999999999999999999999"]).max_age, None);
    assert!(control(&["No-Store"]).no_store);
}

#[test]
fn what_is_for_this_device_replaces_what_is_for_all() {
    let lines = ["max-age=600, max-age=10;cdn, content=\"ESI/1.0\";other, no-store;other"];
    let read = control(&lines);
    assert_eq!((read.max_age, read.wants_esi(), read.no_store), (Some((10, 0)), false, false));
    assert!(control(&["content=\"ESI/1.0\"; cdn"]).wants_esi());
    assert!(control(&["content=\"ESI/1.0\";other;\"cdn\""]).wants_esi());
}

#[test]
fn a_capability_is_known_and_said() {
    assert!(capability_has_esi(b"cdn=\"ESI/1.0\""));
    assert!(capability_has_esi(b"abc=\"Surrogate/1.0\", def=\"Surrogate/1.0 ESI/1.0\""));
    assert!(capability_has_esi(capability("x").as_bytes()));
    for line in
        ["", "cdn=\"ESI/1.1\"", "cdn=\"ESI/1.00\"", "ESI/1.0=\"x\"", "cdn=\"Surrogate/1.0\""]
    {
        assert!(!capability_has_esi(line.as_bytes()), "{line}");
    }
}
