//! `selvedge cache`: what is stored and why it is or is not served, of a running node and of the
//! disks of a stopped one.

use crate::support::HOST;
use selvedge_tests::answer::pattern_bytes;
use selvedge_tests::node::binary;
use selvedge_tests::{Answer, Node, NodeConfig, Origin, Site, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

struct Rig {
    edge: Node,
    origin: Origin,
    disk: TempDir,
}

/// A node that has two small objects and the third slice of a large one, on disk too.
fn rig() -> Rig {
    let (origin, disk) = (Origin::start(), tempfile::tempdir().expect("a temporary folder"));
    for path in ["/a", "/b"] {
        origin.on(path, Answer::cacheable("hello", 600).header("surrogate-key", "red blue"));
    }
    origin.on_fn("/large", |req, _| {
        let range = req.header("range").and_then(|range| range.strip_prefix("bytes="));
        let (first, last) = range.and_then(|range| range.split_once('-')).expect("a range");
        let last = last.parse::<usize>().map_or(8 * MIB - 1, |last| last.min(8 * MIB - 1));
        let first: usize = first.parse().expect("a number");
        Answer::new(206)
            .header("cache-control", "max-age=600")
            .etag("\"1\"")
            .header("content-range", &format!("bytes {first}-{last}/{}", 8 * MIB))
            .body(pattern_bytes(8 * MIB)[first..=last].to_vec())
    });
    let folder = json!([{ "path": disk.path().display().to_string(), "size": "64MiB" }]);
    let config = NodeConfig::new("edge-1").set("cache", "disk", folder);
    let edge = Node::edge(&config.site(Site::any(&origin.url())));
    for path in ["/a", "/b"] {
        assert_eq!(edge.get(HOST, path).status, 200);
    }
    let range = format!("Range: bytes={}-{}\r\n", 2 * MIB + 5, 2 * MIB + 9);
    assert_eq!(edge.get_with(HOST, "/large", &range).status, 206);
    let puts = || edge.metrics().sum("selvedge_disk_puts_total", &[]) >= 4.0;
    assert!(eventually(puts), "three entries and a slice");
    Rig { edge, origin, disk }
}

fn cache(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("cache").args(arguments).output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn of_running(edge: &Node, arguments: &[&str]) -> String {
    let admin = edge.admin().to_string();
    let output = cache(&[&["--admin", &admin], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    text(&output)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_running_node_says_what_it_has_and_why() {
    let Rig { edge, origin, .. } = rig();
    let stat = parsed(&of_running(&edge, &["stat", "--json"]));
    assert_eq!(stat["node"], "edge-1");
    assert_eq!(stat["sites"][0]["memory_entries"], 3);
    let url = format!("http://{HOST}/a");
    let found = parsed(&of_running(&edge, &["inspect", &url, "--json"]));
    let variant = &found[0]["variants"][0];
    assert_eq!(variant["tags"], json!(["red", "blue"]));
    assert_eq!(variant["extents"], json!([[0, 4]]));
    let served = variant["served"].as_str().expect("a sentence");
    assert!(served.starts_with("fresh, for "), "{served}");
    let large = format!("http://{HOST}/large");
    let found = parsed(&of_running(&edge, &["inspect", &large, "--json"]));
    assert_eq!(found[0]["variants"][0]["extents"], json!([[2 * MIB, 3 * MIB - 1]]));
    let purged = format!("{{\"url\": \"{url}\"}}");
    let admin = format!("http://{}/purge", edge.admin());
    let done = Command::new("curl").args(["-sf", "-d", &purged, &admin]).output().expect("curl");
    assert!(done.status.success(), "{done:?}");
    let shown = of_running(&edge, &["inspect", &url]);
    assert!(shown.contains("nothing is stored"), "{shown}");
    assert_eq!(origin.fetches("/a"), 1, "looking fetches nothing");
    let list = of_running(&edge, &["list", "--prefix", &format!("http://{HOST}/b")]);
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(of_running(&edge, &["verify"]).contains(" 0 damaged"));
    let nowhere = cache(&["--admin", &edge.http().to_string(), "stat"]);
    assert_eq!(nowhere.status.code(), Some(75), "{nowhere:?}");
    assert!(!nowhere.stderr.is_empty());
}

#[test]
fn the_disks_of_a_stopped_node_are_read_and_damage_is_found() {
    let Rig { mut edge, origin: _origin, disk } = rig();
    let file = edge.folder().join("node.toml").display().to_string();
    assert!(edge.terminate().success());
    let at = ["--config", &file];
    let list = cache(&[&at[..], &["list"]].concat());
    assert!(list.status.success(), "{list:?}");
    assert_eq!(text(&list).lines().count(), 3, "{list:?}");
    let verified = cache(&[&at[..], &["verify"]].concat());
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    damage(disk.path());
    let verified = cache(&[&at[..], &["verify"]].concat());
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
}

/// Changes one byte in the middle of what was written.
fn damage(folder: &Path) {
    let mut damaged = 0;
    for entry in fs::read_dir(folder.join("segments")).expect("segments") {
        let path = entry.expect("an entry").path();
        let mut bytes = fs::read(&path).expect("a segment");
        let pattern = pattern_bytes(8 * MIB)[2 * MIB + 1000..2 * MIB + 1064].to_vec();
        let place = bytes.windows(pattern.len()).position(|window| window == pattern);
        if let Some(place) = place {
            bytes[place] ^= 1;
            fs::write(&path, bytes).expect("written");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1, "the slice is in one segment");
}
