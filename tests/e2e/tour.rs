//! The tour of an operator: the client of the binary and curl against a whole CDN.

use crate::cdn::Cdn;
use selvedge_tests::node::binary;
use selvedge_tests::tools::curl;
use selvedge_tests::{Answer, eventually};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};

/// Somebody with the client, a token and a folder.
struct Operator<'a> {
    cdn: &'a Cdn,
    home: tempfile::TempDir,
}

impl Operator<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(binary())
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("SELVEDGE_CONTROL", self.cdn.control_url())
            .env("SELVEDGE_TOKEN", self.cdn.token())
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    /// What a verb that must succeed prints.
    #[track_caller]
    fn does(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {:?} {said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same, as JSON.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.does(&all)).expect("JSON")
    }

    /// What curl gets of a path of the site, head and body.
    #[track_caller]
    fn curl(&self, path: &str) -> String {
        let url = format!("{}{path}", self.cdn.edge_url());
        let got = curl(&["-i", "-H", "Host: docs.test", &url]);
        assert!(got.ok, "{path}: {}", got.stderr);
        got.stdout
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> String {
        let file = self.home.path().join(path);
        fs::create_dir_all(file.parent().expect("it is below the home")).expect("a folder");
        fs::write(&file, content).expect("a file");
        file.display().to_string()
    }
}

/// Add a site, push a folder, change it, purge with acks, prefetch, explain, drain, roll back.
#[test]
fn an_operator_runs_the_cdn_with_the_client_alone() {
    let cdn = Cdn::start();
    let operator = Operator { cdn: &cdn, home: tempfile::tempdir().expect("a folder") };
    cdn.origin.on("/pulled", Answer::cacheable("pulled", 600));
    let origin = cdn.origin.url();
    let add = ["site", "add", "docs", "--host", "docs.test", "--origin", &origin, "--push"];
    operator.does(&add);
    cdn.await_all();
    assert!(operator.curl("/pulled").ends_with("pulled"));
    operator.write("public/index.html", "<h1>one</h1>");
    operator.write("public/deep/er/a b.css", "a {}");
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    operator.write("public/large.bin", &large);
    let folder = operator.home.path().join("public").display().to_string();
    let push = ["push", &folder, "--site", "docs", "--tag", "spring", "--resumable-from", "1MiB"];
    operator.does(&push);
    cdn.await_all();
    assert!(operator.curl("/").ends_with("<h1>one</h1>"));
    assert!(operator.curl("/deep/er/a%20b.css").contains("text/css; charset=utf-8"));
    let saved = operator.home.path().join("got.bin").display().to_string();
    let url = format!("{}/large.bin", cdn.edge_url());
    assert!(curl(&["-f", "-H", "Host: docs.test", "-o", &saved, &url]).ok);
    assert!(fs::read(&saved).expect("a file") == large, "the large file comes as it was pushed");
    let before = cdn.api.get("/v1/status")["revision"].clone();
    operator.does(&push);
    assert_eq!(cdn.api.get("/v1/status")["revision"], before, "nothing has changed");
    operator.write("public/index.html", "<h1>two</h1>");
    fs::remove_file(operator.home.path().join("public/large.bin")).expect("it was there");
    operator.does(&[&push[..], &["--delete", "--yes"]].concat());
    cdn.await_all();
    assert!(operator.curl("/").ends_with("<h1>two</h1>"));
    assert!(operator.curl("/large.bin").starts_with("HTTP/1.1 404"));
    let purged = operator.json(&["purge", "--tag", "spring", "--site", "docs", "--wait"]);
    assert_eq!(purged["acks"]["missing"], serde_json::json!([]), "{purged}");
    let explained = operator.does(&["explain", "http://docs.test/pulled"]);
    assert!(explained.contains("key docs, http, docs.test, /pulled, no query"), "{explained}");
    assert!(explained.contains("edge-1"), "{explained}");
    operator.does(&["node", "drain", "edge-1"]);
    assert!(eventually(|| cdn.api.get("/v1/nodes/edge-1")["ready"] == false));
    operator.does(&["node", "online", "edge-1"]);
    operator.does(&["site", "patch", "docs", "ttl_default=\"1s\""]);
    operator.does(&["site", "rollback", "docs", "1"]);
    let site = operator.json(&["site", "show", "docs"]);
    assert_eq!((&site["version"], &site["document"]["ttl_default"]), (&3.into(), &Value::Null));
    assert!(operator.does(&["audit", "--limit", "3"]).contains("site docs put"));
    assert!(operator.does(&["status"]).contains("2 live of 2"));
    assert_eq!(operator.run(&["site", "show", "none"]).status.code(), Some(66));
}
