//! `selvedge push`: only what is missing is sent, everything is published at once, nothing is
//! removed unasked, and what broke off goes on.

use crate::client_support::{Fake, push, stderr, stdout};
use rustix::process::{Pid, Signal, kill_process};
use selvedge_tests::{Answer, Gate};
use serde_json::{Value, json};
use std::process::Stdio;

/// The digests of `one` and `two`.
const ONE: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
const TWO: &str = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";

#[test]
fn a_push_uploads_what_is_missing_and_publishes_once() {
    let fake = Fake::with_docs();
    let folder = fake.folder(&[("index.html", b"one"), ("a b/x.css", b"two"), ("copy", b"two")]);
    fake.state().objects.insert("/index.html".to_owned(), ONE.to_owned());
    let first = push(&fake, &folder, &["--cache-control", "max-age=9", "--prefix", "/"]);
    assert!(first.status.success(), "{}", stderr(&first));
    // Its Cache-Control is another one than was asked for, so it is published again.
    assert_eq!(stdout(&first), "2 new, 1 changed, 0 unchanged, 0 removed (revision 9)\n");
    let puts: Vec<String> = fake
        .control
        .requests()
        .iter()
        .filter(|req| req.method == "PUT")
        .map(|req| req.path().rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(puts.len(), 2, "each content once: {puts:?}");
    let published = fake.state().published.clone();
    assert_eq!(published.len(), 1);
    let put = |path: &str, sha256: &str| {
        let mut put = json!({ "path": path, "sha256": sha256 });
        put["cache_control"] = json!("max-age=9");
        put
    };
    let all = [put("/a%20b/x.css", TWO), put("/copy", TWO), put("/index.html", ONE)];
    assert_eq!(published[0]["put"], json!(all));

    let second = push(&fake, &folder, &["--json"]);
    let done: Value = serde_json::from_str(&stdout(&second)).expect("it is JSON");
    assert_eq!((&done["put"], &done["unchanged"]), (&json!(0), &json!(3)));
    assert_eq!(fake.state().published.len(), 1, "nothing was left to publish");
    for req in fake.control.requests() {
        assert_eq!(req.header("authorization"), Some("Bearer secret"), "{}", req.target);
    }
}

#[test]
fn a_removal_is_said_and_asked_for() {
    let fake = Fake::with_docs();
    let folder = fake.folder(&[("index.html", b"one")]);
    fake.state().objects.insert("/index.html".to_owned(), ONE.to_owned());
    fake.state().objects.insert("/old.html".to_owned(), ONE.to_owned());
    let kept = push(&fake, &folder, &[]);
    assert!(kept.status.success() && fake.state().published.is_empty());

    let unasked = push(&fake, &folder, &["--delete"]);
    assert_eq!(unasked.status.code(), Some(64), "{}", stderr(&unasked));
    assert!(stderr(&unasked).contains("/old.html") && stderr(&unasked).contains("--yes"));
    let dry = push(&fake, &folder, &["--delete", "--dry-run"]);
    assert!(stdout(&dry).contains("remove  /old.html") && dry.status.success());
    assert!(fake.state().published.is_empty(), "nothing was done");

    let done = push(&fake, &folder, &["--delete", "--yes"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(fake.state().published[0]["remove"], json!(["/old.html"]));
    assert!(!fake.state().objects.contains_key("/old.html"));
}

#[test]
fn a_folder_is_not_mistaken_for_one_that_begins_so() {
    let fake = Fake::with_docs();
    let folder = fake.folder(&[("index.html", b"one")]);
    fake.state().objects.insert("/img-old/a".to_owned(), ONE.to_owned());
    let done = push(&fake, &folder, &["--prefix", "/img", "--delete", "--yes"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let published = fake.state().published.clone();
    assert_eq!(published[0]["remove"], json!([]));
    assert_eq!(published[0]["put"][0]["path"], "/img/index.html");
    let list = fake.control.last("/v1/sites/docs/objects");
    assert!(list.target.contains("prefix=%2Fimg%2F"), "{}", list.target);
}

#[test]
fn an_upload_that_breaks_goes_on_where_it_was() {
    let fake = Fake::with_docs();
    let content: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let folder = fake.folder(&[("film", &content)]);
    fake.state().breaks = vec![300_000];
    let done = push(&fake, &folder, &["--resumable-from", "1KiB"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let pieces: Vec<_> =
        fake.control.requests().into_iter().filter(|req| req.method == "PATCH").collect();
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[1].header("upload-offset"), Some("300000"));
    assert_eq!(pieces[1].body, content[300_000..]);
    assert_eq!(fake.state().published.len(), 1);
}

#[test]
fn a_later_push_goes_on_where_an_earlier_one_gave_up() {
    let fake = Fake::with_docs();
    let content = vec![7_u8; 500_000];
    let folder = fake.folder(&[("film", &content)]);
    // Something is gained once, and then nothing any more.
    fake.state().breaks = [vec![0; 6], vec![200_000]].concat();
    let broken = push(&fake, &folder, &["--resumable-from", "1KiB"]);
    assert_eq!(broken.status.code(), Some(69), "{}", stderr(&broken));
    assert!(stderr(&broken).contains("nothing is published"), "{}", stderr(&broken));
    assert!(fake.state().published.is_empty());

    fake.state().breaks.clear();
    let done = push(&fake, &folder, &["--resumable-from", "1KiB"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let begun = fake.control.requests_for("/v1/sites/docs/uploads").len();
    assert_eq!(begun, 1, "the upload of the first run was taken up");
    let last = fake.control.requests_for("/v1/sites/docs/uploads/u0").pop().expect("a piece");
    assert_eq!((last.header("upload-offset"), last.body_length), (Some("200000"), 300_000));
}

#[test]
fn an_interrupted_push_has_published_nothing() {
    let fake = Fake::with_docs();
    let folder = fake.folder(&[("a", b"one"), ("b", b"two")]);
    let gate = Gate::shut();
    let blob = format!("/v1/sites/docs/blobs/{TWO}");
    fake.control.on(&blob, Answer::new(201).gate(&gate));
    let folder = folder.display().to_string();
    let mut command = fake.command(&["push", &folder, "--site", "docs"]);
    command.env("SELVEDGE_CONTROL", fake.control.url()).env("SELVEDGE_TOKEN", "secret");
    let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
    assert!(gate.reached_by(1));
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    assert!(!child.wait().expect("it ends").success());
    gate.open();
    assert!(fake.state().published.is_empty() && fake.state().objects.is_empty());
}

#[test]
fn what_cannot_be_pushed_is_refused_before_anything_is_sent() {
    let fake = Fake::with_docs();
    let folder = fake.folder(&[("index.html", b"one")]);
    std::os::unix::fs::symlink("/etc/hostname", folder.join("out")).expect("a link");
    let out = push(&fake, &folder, &[]);
    assert_eq!(out.status.code(), Some(64), "{}", stderr(&out));
    let gone = push(&fake, &folder.join("gone"), &[]);
    assert_eq!(gone.status.code(), Some(66), "{}", stderr(&gone));
    let empty = tempfile::tempdir().expect("a temporary folder");
    let empty = push(&fake, empty.path(), &["--delete", "--yes"]);
    assert_eq!(empty.status.code(), Some(64), "{}", stderr(&empty));
    assert!(fake.control.requests().is_empty());
}
