//! A control API that is played by the scripted origin, and the client run against it in folders
//! of its own.

use selvedge_tests::answer::Step;
use selvedge_tests::message::Request;
use selvedge_tests::node::binary;
use selvedge_tests::{Answer, Origin};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// What the played control has.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Path and digest of what is published.
    pub(crate) objects: BTreeMap<String, String>,
    pub(crate) blobs: BTreeSet<String>,
    /// Bytes that it has of each upload.
    pub(crate) uploads: BTreeMap<String, u64>,
    /// What was published, request by request.
    pub(crate) published: Vec<Value>,
    /// Pieces of uploads that break off after this many bytes were kept.
    pub(crate) breaks: Vec<u64>,
}

/// A control that is played.
pub(crate) struct Fake {
    pub(crate) control: Origin,
    state: Arc<Mutex<State>>,
    pub(crate) home: TempDir,
}

impl Fake {
    /// A control that answers what a test scripts, and 404 otherwise.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        Self { control: Origin::start(), state: Arc::default(), home }
    }

    /// One that has the site `docs`, to which can be pushed.
    pub(crate) fn with_docs() -> Self {
        let fake = Self::start();
        let state = Arc::clone(&fake.state);
        fake.control.on_fn("*", move |req, _| {
            play(&mut state.lock().unwrap_or_else(PoisonError::into_inner), req)
        });
        fake
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client, with nothing of the environment but what a test gives it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null());
        for name in ["CONTROL", "TOKEN", "TOKEN_FILE", "CA_FILE", "CONTEXT"] {
            command.env_remove(format!("SELVEDGE_{name}"));
        }
        command.env("XDG_CONFIG_HOME", self.home.path().join("config"));
        command.env("XDG_STATE_HOME", self.home.path().join("state"));
        command
    }

    /// Runs the client against this control, with a token.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.env("SELVEDGE_CONTROL", self.control.url()).env("SELVEDGE_TOKEN", "secret");
        command.output().expect("it runs")
    }

    /// A folder with these files.
    pub(crate) fn folder(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.home.path().join("public");
        for (name, content) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().expect("it is in the folder")).expect("a folder");
            fs::write(file, content).expect("a file");
        }
        folder
    }
}

/// Pushes a folder to `docs`.
pub(crate) fn push(fake: &Fake, folder: &Path, more: &[&str]) -> Output {
    let folder = folder.display().to_string();
    fake.run(&[&["push", &folder, "--site", "docs"], more].concat())
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn answer(value: &Value) -> Answer {
    Answer::new(200).header("content-type", "application/json").body(value.to_string())
}

/// An answer with problem details.
pub(crate) fn problem(status: u16, value: &Value) -> Answer {
    let answer = Answer::new(status).header("content-type", "application/problem+json");
    answer.body(value.to_string())
}

fn play(state: &mut State, req: &Request) -> Answer {
    let body: Value = serde_json::from_slice(&req.body).unwrap_or_default();
    let path = req.path().strip_prefix("/v1/sites/docs").unwrap_or_default();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (req.method.as_str(), &parts[..]) {
        ("GET", ["objects"]) => {
            let items = state.objects.iter().map(
                |(path, sha256)| json!({ "path": path, "sha256": sha256, "bytes": 1, "tags": [] }),
            );
            answer(&json!({ "items": items.collect::<Vec<_>>(), "next": null }))
        }
        ("POST", ["blobs", "missing"]) => {
            let asked = body["sha256"].as_array().cloned().unwrap_or_default();
            let is_missing = |digest: &Value| !state.blobs.contains(text(digest));
            let missing: Vec<Value> = asked.into_iter().filter(is_missing).collect();
            answer(&json!({ "missing": missing }))
        }
        ("PUT", ["blobs", digest]) => {
            state.blobs.insert((*digest).to_owned());
            Answer::new(201)
        }
        ("POST", ["publish"]) => {
            publish(state, &body);
            state.published.push(body);
            answer(&json!({ "put": 1, "removed": 1, "unchanged": 0, "revision": 9 }))
        }
        (_, ["uploads", ..]) => upload(state, req, &parts, &body),
        _ => problem(404, &json!({ "type": "/problems/not-found", "title": "Not found" })),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn publish(state: &mut State, body: &Value) {
    for put in body["put"].as_array().into_iter().flatten() {
        assert!(state.blobs.contains(text(&put["sha256"])), "published before it was there");
        state.objects.insert(text(&put["path"]).to_owned(), text(&put["sha256"]).to_owned());
    }
    for path in body["remove"].as_array().into_iter().flatten() {
        state.objects.remove(text(path));
    }
}

fn upload(state: &mut State, req: &Request, parts: &[&str], body: &Value) -> Answer {
    let offset = |bytes: u64| Answer::new(204).header("upload-offset", &bytes.to_string());
    match (req.method.as_str(), parts) {
        ("POST", ["uploads"]) => {
            let id = format!("u{}", state.uploads.len());
            state.uploads.insert(id.clone(), 0);
            answer(&json!({ "id": id, "offset": 0 }))
        }
        ("HEAD", ["uploads", id]) => match state.uploads.get(*id) {
            Some(bytes) => offset(*bytes),
            None => Answer::new(404),
        },
        ("PATCH", ["uploads", id]) => {
            let Some(bytes) = state.uploads.get_mut(*id) else { return Answer::new(404) };
            if req.header("upload-offset") != Some(&bytes.to_string()) {
                return Answer::new(409);
            }
            if let Some(kept) = state.breaks.pop() {
                *bytes += kept;
                return Answer::steps(vec![Step::Reset]);
            }
            *bytes += req.body_length;
            offset(*bytes)
        }
        ("POST", ["uploads", _, "finish"]) => {
            state.blobs.insert(text(&body["sha256"]).to_owned());
            answer(&json!({ "sha256": body["sha256"] }))
        }
        _ => Answer::new(404),
    }
}
