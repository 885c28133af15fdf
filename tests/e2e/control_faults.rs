//! A control that is killed, has no room left, or is asked for what must not be.

use crate::support::alone;
use selvedge_tests::api::Api;
use selvedge_tests::{Client, Node, NodeConfig};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Kills of the campaign that runs with the other tests.
const KILLS: u64 = 12;
/// Changes that are acknowledged before each kill, at least.
const CHANGES: u64 = 25;

fn config(data: &Path) -> NodeConfig {
    NodeConfig::new("control")
        .set("data", "folder", data.display().to_string())
        .set("data", "snapshot_every", 40)
        .set("data", "history", 100)
}

/// What was acknowledged: every version of each object, and the newest revision.
#[derive(Default)]
struct Acknowledged {
    revision: u64,
    objects: Vec<(String, String)>,
    sites: Vec<String>,
}

/// Control is killed again and again while several change things: whatever was acknowledged is
/// there afterwards, whole, and revisions never go back.
#[test]
fn nothing_acknowledged_is_lost_however_often_control_is_killed() {
    let _alone = alone();
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut control = Node::control(&config(data.path()));
    let api = Api::in_folder(&control, data.path());
    api.done("PUT", "/v1/sites/shop", &json!({ "hosts": ["shop.test"], "push": true }));
    let acknowledged = Mutex::new(Acknowledged::default());
    for round in 0..KILLS {
        let api = Api::in_folder(&control, data.path());
        let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for writer in 0..3 {
                let (api, stop, changes, acknowledged) = (&api, &stop, &changes, &acknowledged);
                scope.spawn(move || {
                    let mut number = 0;
                    while !stop.load(Relaxed) {
                        number += 1;
                        let name = format!("{round}-{writer}-{number}");
                        if change(api, writer, &name, acknowledged).is_some() {
                            changes.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
            let enough = || changes.load(Relaxed) >= CHANGES + round % 7;
            assert!(selvedge_tests::eventually(enough), "changes are made");
            control.kill();
            stop.store(true, Relaxed);
        });
        control = Node::control(&config(data.path()));
        judge(&Api::in_folder(&control, data.path()), &acknowledged, data.path());
    }
}

/// Makes one change; what it was, if it was acknowledged.
fn change(api: &Api, writer: u64, name: &str, acknowledged: &Mutex<Acknowledged>) -> Option<()> {
    let body = name.repeat(2000);
    let (method, path, body) = match writer {
        0 => ("PUT", format!("/v1/sites/shop/objects/{name}"), body),
        1 => (
            "PUT",
            format!("/v1/sites/s{name}"),
            json!({ "hosts": [format!("{name}.test")], "push": true }).to_string(),
        ),
        _ => (
            "POST",
            "/v1/purge".to_owned(),
            json!({ "urls": [format!("http://{name}.test/")] }).to_string(),
        ),
    };
    let resp =
        api.try_send(method, &path, "Content-Type: application/json\r\n", body.as_bytes())?;
    assert!((200..300).contains(&resp.status), "{method} {path}: {} {}", resp.status, resp.text());
    let answer: Value = serde_json::from_str(&resp.text()).expect("the answer is JSON");
    let mut known = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    known.revision = known.revision.max(answer["revision"].as_u64().expect("a revision"));
    match writer {
        0 => known.objects.push((path, body)),
        1 => known.sites.push(path),
        _ => {}
    }
    Some(())
}

/// Everything that was acknowledged is there.
fn judge(api: &Api, acknowledged: &Mutex<Acknowledged>, data: &Path) {
    let known = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    let revision = api.get("/v1/status")["revision"].as_u64().expect("a revision");
    assert!(revision >= known.revision, "{revision} after {}", known.revision);
    for (path, body) in known.objects.iter().rev().take(60) {
        let resp = api.call("GET", path, &Value::Null);
        assert!(resp.status == 200 && resp.text() == *body, "{path}: {}", resp.status);
    }
    for path in known.sites.iter().rev().take(60) {
        assert_eq!(api.call("GET", path, &Value::Null).status, 200, "{path}");
    }
    // Every object that is listed has its body, acknowledged or not.
    let listed = api.get("/v1/sites/shop/objects?limit=1000");
    for item in listed["items"].as_array().into_iter().flatten().rev().take(60) {
        let path = item["path"].as_str().expect("a path");
        let resp = api.call("GET", &format!("/v1/sites/shop/objects{path}"), &Value::Null);
        assert_eq!(resp.status, 200, "{path}");
        assert_eq!(Some(resp.body.len() as u64), item["bytes"].as_u64(), "{path}");
    }
    assert_eq!(leftovers(&data.join("objects")), Vec::<String>::new());
}

/// Files that are no body under its digest.
fn leftovers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(leftovers(&entry.path()));
        } else if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

/// A disk that is full: what is there can be read, changes are answered 507, and they work again
/// when there is room.
#[test]
fn a_full_disk_refuses_changes_and_serves_what_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "none"])
        .arg(folder.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    let _unmount = Unmount(folder.path());
    let control = Node::control(&config(folder.path()));
    let api = Api::in_folder(&control, folder.path());
    api.done("PUT", "/v1/sites/shop", &json!({ "hosts": ["shop.test"], "push": true }));
    assert_eq!(api.push("shop", "/kept", &[7; 100_000]).status, 201);
    let mut statuses = Vec::new();
    for number in 0..30_u8 {
        statuses.push(api.push("shop", &format!("/{number}"), &vec![number; 400_000]).status);
    }
    assert!(statuses.ends_with(&[507]), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 201 | 507)), "{statuses:?}");
    let kept = api.call("GET", "/v1/sites/shop/objects/kept", &Value::Null);
    assert_eq!((kept.status, kept.body.len()), (200, 100_000));
    for (number, status) in statuses.iter().enumerate() {
        let path = format!("/v1/sites/shop/objects/{number}");
        let expected = if *status == 201 { 200 } else { 404 };
        assert_eq!(api.call("GET", &path, &Value::Null).status, expected, "{path}");
    }
    std::fs::write(folder.path().join("ballast"), vec![1; 8 << 20]).expect_err("it is full");
    let purge = || api.call("POST", "/v1/purge", &json!({ "hosts": ["shop.test"] })).status;
    assert!(selvedge_tests::eventually(|| purge() == 507), "the log has no room either");
    let before = api.get("/v1/status")["revision"].clone();
    assert_eq!(purge(), 507);
    assert_eq!(api.get("/v1/status")["revision"], before);
    std::fs::remove_file(folder.path().join("ballast")).expect("it can be removed");
    assert!(selvedge_tests::eventually(|| purge() == 200), "there is room again");
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// What names no object is refused, and nothing is written.
#[test]
fn paths_that_lead_anywhere_else_are_refused() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let control = Node::control(&config(data.path()));
    let api = Api::in_folder(&control, data.path());
    api.done("PUT", "/v1/sites/shop", &json!({ "hosts": ["shop.test"], "push": true }));
    let before = api.get("/v1/status")["revision"].clone();
    let long = format!("/{}", "n".repeat(4096));
    for path in [
        "/../admin.token",
        "/a/../../b",
        "/%2e%2e/b",
        "/a/%2E%2E/b",
        "/a/./b",
        "/a%00b",
        "/a%5cb",
        "/a\\b",
        "/a%2fb",
        "//etc/passwd",
        "/a//b",
        "/a%zz",
        &long,
    ] {
        let status = api.push("shop", path, b"x").status;
        assert!(matches!(status, 400 | 404 | 414), "{path}: {status}");
    }
    assert_eq!(api.get("/v1/status")["revision"], before);
    assert_eq!(api.get("/v1/sites/shop/objects")["items"], json!([]));
}

/// What is too large is refused before it is read; what does not come whole or is not what was
/// announced changes nothing.
#[test]
fn bodies_that_are_too_large_short_or_wrong_change_nothing() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let limited = config(data.path()).set("data", "object_max", "1MiB");
    let control = Node::control(&limited);
    let api = Api::in_folder(&control, data.path());
    api.done("PUT", "/v1/sites/shop", &json!({ "hosts": ["shop.test"], "push": true }));
    let before = api.get("/v1/status")["revision"].clone();
    let head = |length: u64, fields: &str| {
        format!(
            "PUT /v1/sites/shop/objects/a HTTP/1.1\r\nHost: control\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {length}\r\n{fields}\r\n",
            api.token()
        )
    };
    let mut client = Client::http(control.http());
    client.send(head(2 << 20, "Expect: 100-continue\r\n"));
    assert_eq!(client.read("PUT").expect("an answer before the body").status, 413);
    let mut short = Client::http(control.http());
    short.send(head(1000, ""));
    short.send("only this");
    short.reset();
    let wrong = "Content-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:\r\n";
    let resp = api.send("PUT", "/v1/sites/shop/objects/a", wrong, b"not empty");
    assert_eq!(resp.status, 400, "{}", resp.text());
    assert!(resp.text().contains("digest-mismatch"), "{}", resp.text());
    let sent =
        api.send("POST", "/v1/purge", "Content-Type: application/json\r\n", &[b' '; 2 << 20]);
    assert_eq!(sent.status, 413);
    assert_eq!(api.get("/v1/status")["revision"], before);
    assert!(selvedge_tests::eventually(|| leftovers(&data.path().join("objects")).is_empty()));
    assert_eq!(api.send("PUT", "/v1/sites/shop/objects/a", "", b"whole").status, 201);
}
