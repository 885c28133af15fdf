//! The cache on disk: what is stored outlives memory, restarts and crashes, and nothing that was
//! removed comes back. Bodies are compared byte by byte with what the origin sent.

use crate::support::{HOST, becomes};
use rustix::process::Signal;
use selvedge_tests::answer::pattern_bytes;
use selvedge_tests::node::{Reload, binary};
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Site, eventually};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A node with a disk of 256 MiB in this folder.
fn config(origin: &Origin, folder: &Path) -> NodeConfig {
    sized(origin, folder, "256MiB")
}

fn sized(origin: &Origin, folder: &Path, size: &str) -> NodeConfig {
    on_disk(folder, size).site(Site::any(&origin.url()))
}

fn on_disk(folder: &Path, size: &str) -> NodeConfig {
    let disk = json!([{ "path": folder.display().to_string(), "size": size }]);
    NodeConfig::new("edge-1").set("cache", "disk", disk)
}

/// A body of its own for each path.
fn body_of(path: &str, length: usize) -> Vec<u8> {
    let salt = path.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    pattern_bytes(length).into_iter().map(|byte| byte ^ salt).collect()
}

fn disk_figure(node: &Node, name: &str) -> u64 {
    node.metrics().sum(&format!("selvedge_disk_{name}"), &[]) as u64
}

/// Waits until so many objects are stored and all of it is in the files: what a crash leaves.
fn written(node: &Node, objects: u64) {
    let stored = || node.metrics().sum("selvedge_store_objects_stored_total", &[]) as u64;
    assert!(eventually(|| stored() >= objects), "{} objects", stored());
    assert!(eventually(|| disk_figure(node, "unwritten_bytes") == 0));
}

#[test]
fn a_restart_keeps_what_is_stored() {
    let (origin, disk) = (Origin::start(), folder());
    let sizes = [("/empty", 0), ("/small", 900), ("/edge", 65_536), ("/page", 300_000)];
    for (path, length) in sizes {
        let answer = Answer::cacheable("", 600).body(body_of(path, length));
        origin.on(path, answer.header("age", "30").etag("\"1\""));
    }
    let config = config(&origin, disk.path());
    let mut edge = Node::edge(&config);
    for (path, _) in sizes {
        assert_eq!(edge.get(HOST, path).status, 200);
    }
    assert!(edge.terminate().success());
    let edge = Node::edge(&config);
    for (path, length) in sizes {
        let resp = edge.get(HOST, path);
        assert!(resp.is_hit("edge-1"), "{path}: {:?}", resp.headers);
        assert!(resp.body == body_of(path, length), "{path}");
        assert!(resp.age().is_some_and(|age| (30..90).contains(&age)), "{path}: {:?}", resp.age());
        assert_eq!(origin.fetches(path), 1, "{path}");
    }
    becomes(4, "recalls", || edge.metrics().sum("selvedge_store_recalls_total", &[]) as u64);
    let line = edge.stderr().all().into_iter().find(|line| line.contains("records ("));
    assert!(line.is_some_and(|line| line.contains("from the snapshot")));
}

#[test]
fn a_large_object_comes_back_whole() {
    let (origin, disk) = (Origin::start(), folder());
    let sizes = [("/3", 3 * MIB + 17), ("/1", MIB), ("/7", 7 * MIB - 1)];
    for (path, length) in sizes {
        origin.on(path, Answer::cacheable("", 600).body(body_of(path, length)).etag("\"v\""));
    }
    let config = config(&origin, disk.path());
    let mut edge = Node::edge(&config);
    for (path, length) in sizes {
        assert!(edge.get(HOST, path).body == body_of(path, length), "{path}");
    }
    assert!(edge.terminate().success());
    let edge = Node::edge(&config);
    for (path, length) in sizes {
        for _ in 0..2 {
            let resp = edge.get(HOST, path);
            assert!(resp.is_hit("edge-1"), "{path}: {:?}", resp.headers);
            assert!(resp.body == body_of(path, length), "{path}");
        }
        let part = edge.get_with(HOST, path, "Range: bytes=1000-70000\r\n");
        assert_eq!(part.status, 206);
        assert!(part.body == body_of(path, length)[1000..=70_000], "{path}");
        assert_eq!(origin.fetches(path), 1, "{path}");
    }
}

#[test]
fn a_crash_loses_nothing_that_was_written() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on_fn("*", |req, _| {
        let length = 100 + 7_919 * (req.target.len() * 31 % 23);
        Answer::cacheable("", 600).body(body_of(&req.target, length)).etag("\"1\"")
    });
    let config = config(&origin, disk.path());
    let paths: Vec<String> = (0..40).map(|n| format!("/{}", "x".repeat(n + 1))).collect();
    let mut edge = Node::edge(&config);
    let first: Vec<_> = paths.iter().map(|path| edge.get(HOST, path).body).collect();
    written(&edge, 40);
    edge.kill();
    let edge = Node::edge(&config);
    for (path, body) in paths.iter().zip(&first) {
        let resp = edge.get(HOST, path);
        assert!(resp.is_hit("edge-1"), "{path}: {:?}", resp.headers);
        assert!(resp.body == *body && *body == body_of(path, body.len()), "{path}");
        assert_eq!(origin.fetches(path), 1);
    }
}

/// Killed in the middle of writing, over and over: whatever is served is what the origin sent.
#[test]
fn a_crash_at_any_moment_never_damages_what_is_served() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on_fn("*", |req, _| {
        Answer::cacheable("", 600).body(body_of(&req.target, 200_000)).etag("\"1\"")
    });
    let config = config(&origin, disk.path());
    for round in 0..4 {
        let mut edge = Node::edge(&config);
        for n in 0..(10 + 7 * round) {
            let path = format!("/{n}");
            let resp = edge.get(HOST, &path);
            assert_eq!(resp.status, 200);
            assert!(resp.body == body_of(&path, 200_000), "{path} in round {round}");
        }
        edge.kill();
    }
}

#[test]
fn what_an_unsafe_request_made_invalid_stays_so_after_a_crash() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on("*", Answer::cacheable("old", 600));
    let config = config(&origin, disk.path());
    let mut edge = Node::edge(&config);
    assert_eq!(edge.get(HOST, "/form").text(), "old");
    written(&edge, 1);
    let post = "POST /form HTTP/1.1\r\nHost: www.shop.test\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(selvedge_tests::Client::http(edge.http()).request(post).status, 200);
    edge.kill();
    origin.on("*", Answer::cacheable("new", 600));
    let edge = Node::edge(&config);
    assert_eq!(edge.get(HOST, "/form").text(), "new");
}

#[test]
fn what_became_stale_is_revalidated_and_stands_in_when_the_origin_is_gone() {
    let (origin, disk) = (Origin::start(), folder());
    let control = "max-age=10, stale-if-error=600";
    let stale = Answer::new(200).header("cache-control", control).header("age", "20");
    origin.on("/checked", stale.clone().body("same").etag("\"1\""));
    origin.on("/stands-in", stale.body("last known").etag("\"2\""));
    let config = config(&origin, disk.path());
    let mut edge = Node::edge(&config);
    edge.get(HOST, "/checked");
    edge.get(HOST, "/stands-in");
    assert!(edge.terminate().success());
    let edge = Node::edge(&config);
    let fresh = Answer::new(304).header("cache-control", "max-age=600").etag("\"1\"");
    origin.on("/checked", fresh);
    assert_eq!(edge.get(HOST, "/checked").text(), "same");
    assert_eq!(origin.last("/checked").header("if-none-match"), Some("\"1\""));
    assert!(edge.get(HOST, "/checked").is_hit("edge-1"), "the 304 has renewed it");
    origin.die();
    let resp = edge.get(HOST, "/stands-in");
    assert_eq!((resp.status, resp.text().as_str()), (200, "last known"));
}

#[test]
fn variants_and_encoded_copies_come_back() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on_fn("/varied", |req, _| {
        Answer::cacheable(req.header("x-a").unwrap_or("none"), 600).header("vary", "x-a")
    });
    let text = "a text that is compressed ".repeat(500);
    origin.on("/text", Answer::cacheable(&text, 600).header("content-type", "text/plain"));
    let config = config(&origin, disk.path());
    let mut edge = Node::edge(&config);
    for value in ["1", "2", "3"] {
        assert_eq!(edge.get_with(HOST, "/varied", &format!("X-A: {value}\r\n")).text(), value);
    }
    let gzip = "Accept-Encoding: gzip\r\n";
    edge.get(HOST, "/text");
    let encoded = edge.get_with(HOST, "/text", gzip);
    assert_eq!(encoded.header("content-encoding"), Some("gzip"));
    assert!(edge.terminate().success());
    let edge = Node::edge(&config);
    for value in ["3", "1", "2"] {
        let resp = edge.get_with(HOST, "/varied", &format!("X-A: {value}\r\n"));
        assert!(resp.is_hit("edge-1") && resp.text() == value, "{:?}", resp.headers);
    }
    let again = edge.get_with(HOST, "/text", gzip);
    assert!(again.is_hit("edge-1") && again.body == encoded.body, "{:?}", again.headers);
    assert_eq!(edge.metrics().sum("selvedge_encoded_total", &[]), 0.0, "not made again");
    assert_eq!((origin.fetches("/varied"), origin.fetches("/text")), (3, 1));
}

/// More than memory holds: the disk answers, not the origin.
#[test]
fn what_does_not_fit_memory_is_answered_from_disk() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on_fn("*", |req, _| Answer::cacheable("", 600).body(body_of(&req.target, 60_000)));
    let config = config(&origin, disk.path()).set("cache", "memory", "2MiB");
    let edge = Node::edge(&config);
    let paths: Vec<String> = (0..100).map(|n| format!("/{n}")).collect();
    for path in &paths {
        edge.get(HOST, path);
    }
    written(&edge, 100);
    for path in &paths {
        let resp = edge.get(HOST, path);
        assert!(resp.is_hit("edge-1"), "{path}: {:?}", resp.headers);
        assert!(resp.body == body_of(path, 60_000), "{path}");
        assert_eq!(origin.fetches(path), 1, "{path}");
    }
    assert!(edge.metrics().sum("selvedge_store_recalls_total", &[]) > 50.0);
}

#[test]
fn a_disk_may_become_larger_and_smaller() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on_fn("*", |req, _| Answer::cacheable("", 600).body(body_of(&req.target, 100_000)));
    for (round, size) in ["128MiB", "512MiB", "64MiB"].into_iter().enumerate() {
        let mut edge = Node::edge(&sized(&origin, disk.path(), size));
        for n in 0..20 {
            let path = format!("/{n}");
            assert!(edge.get(HOST, &path).body == body_of(&path, 100_000), "{path}, {size}");
            if round == 1 {
                assert_eq!(origin.fetches(&path), 1, "{path}: larger keeps all");
            }
        }
        assert!(edge.terminate().success());
    }
}

/// A smaller disk loses the segment in which it was written that an object was removed, but keeps
/// the one in which the object lies.
#[test]
fn what_was_removed_stays_so_when_the_disk_becomes_smaller() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on_fn("*", |req, _| Answer::cacheable("", 600).body(body_of(&req.target, 300_000)));
    let large = sized(&origin, disk.path(), "512MiB");
    let mut edge = Node::edge(&large);
    edge.get(HOST, "/kept");
    edge.get(HOST, "/gone");
    written(&edge, 2);
    // 78 MB, so that what comes then lies beyond the first 64 MiB.
    for n in 0..260 {
        edge.get(HOST, &format!("/{n}"));
    }
    written(&edge, 262);
    let post = format!("POST /gone HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(Client::http(edge.http()).request(&post).status, 200);
    edge.kill();
    let small = sized(&origin, disk.path(), "64MiB");
    for _ in 0..2 {
        let mut edge = Node::edge(&small);
        assert!(edge.get(HOST, "/kept").is_hit("edge-1"), "the first segment stays");
        edge.kill();
    }
    let asked = origin.fetches("/gone");
    let edge = Node::edge(&small);
    assert!(!edge.get(HOST, "/gone").is_hit("edge-1"));
    assert_eq!(origin.fetches("/gone"), asked + 1);
}

#[test]
fn a_second_process_on_the_same_folder_is_told_so() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on("*", Answer::cacheable("x", 600));
    let config = config(&origin, disk.path());
    let edge = Node::edge(&config);
    let file = disk.path().with_extension("toml");
    std::fs::write(&file, config.render(disk.path())).expect("the folder can be written");
    let second = Command::new(binary()).args(["edge", "--config"]).arg(&file).output();
    let second = second.expect("the binary starts");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains("is in use by process "), "{said}");
    assert_eq!(edge.get(HOST, "/").text(), "x", "the first one is not disturbed");
    std::fs::remove_file(&file).expect("it is there");
}

#[test]
fn a_folder_that_cannot_be_used_is_an_alarm_and_no_outage() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on("*", Answer::cacheable("x", 600));
    let file = disk.path().join("a file");
    std::fs::write(&file, "x").expect("the folder can be written");
    let edge = Node::edge(&config(&origin, &file.join("cache")));
    assert_eq!(edge.get(HOST, "/").text(), "x");
    assert!(edge.get(HOST, "/").is_hit("edge-1"), "memory still works");
    assert_eq!(disk_figure(&edge, "disks_missing"), 1);
    let alarm = |line: &String| line.contains("ERROR") && line.contains("a file/cache");
    assert!(edge.stderr().all().iter().any(alarm), "{:#?}", edge.stderr().all());
}

#[test]
fn a_full_file_system_is_an_alarm_and_no_outage() {
    let (origin, disk) = (Origin::start(), folder());
    let mounted = |args: &[&str]| Command::new("mount").args(args).arg(disk.path()).status();
    if !mounted(&["-t", "tmpfs", "-o", "size=8m", "none"]).is_ok_and(|it| it.success()) {
        return;
    }
    let _unmount = Unmount(disk.path().to_owned());
    origin.on_fn("*", |req, _| Answer::cacheable("", 600).body(body_of(&req.target, 500_000)));
    let edge = Node::edge(&config(&origin, disk.path()));
    for round in 0..2 {
        for n in 0..60 {
            let path = format!("/{n}");
            assert!(edge.get(HOST, &path).body == body_of(&path, 500_000), "{path} {round}");
        }
    }
    assert!(eventually(|| disk_figure(&edge, "write_errors_total") > 0));
    drop(edge);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_reload_changes_quotas_and_no_disks() {
    let (origin, disk) = (Origin::start(), folder());
    origin.on("*", Answer::cacheable("x", 600));
    let before = config(&origin, disk.path());
    let edge = Node::edge(&before);
    assert_eq!(edge.get(HOST, "/").text(), "x");
    let limited = on_disk(disk.path(), "256MiB")
        .site(Site::any(&origin.url()).set("cache_min", "1MiB").set("cache_max", "2MiB"));
    assert_eq!(edge.reload(&limited), Reload::Applied);
    let other = sized(&origin, disk.path(), "512MiB");
    match edge.reload(&other) {
        Reload::Refused(line) => assert!(line.contains("cache.disk"), "{line}"),
        Reload::Applied => panic!("a disk cannot change while it is used"),
    }
    assert!(edge.get(HOST, "/").is_hit("edge-1"));
    edge.signal(Signal::TERM);
    let mut edge = edge;
    assert!(edge.wait().success());
}
