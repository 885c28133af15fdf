//! Which crate may depend on which: layers, purity, and the one crate that names HTTP and TLS
//! libraries. Read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::Finding;
use crate::failure::Failure;
use crate::node::cargo;
use crate::process::Task;

/// Crates of ours and the crates of ours that they may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("selvedge-authority", &[]),
    ("selvedge-config", &[]),
    ("selvedge-esi", &[]),
    ("selvedge-feed", &[]),
    ("selvedge-geo", &[]),
    ("selvedge-media", &[]),
    ("selvedge-policy", &[]),
    ("selvedge-telemetry", &[]),
    ("selvedge-datagram", &[]),
    ("selvedge-sendqueue", &[]),
    ("selvedge-net", &["selvedge-sendqueue", "selvedge-telemetry"]),
    ("selvedge-node", &["selvedge-feed", "selvedge-net", "selvedge-telemetry"]),
    ("selvedge-store", &["selvedge-policy", "selvedge-telemetry"]),
    (
        "selvedge-dns",
        &[
            "selvedge-authority",
            "selvedge-datagram",
            "selvedge-feed",
            "selvedge-geo",
            "selvedge-net",
            "selvedge-telemetry",
        ],
    ),
    (
        "selvedge-proxy",
        &[
            "selvedge-config",
            "selvedge-esi",
            "selvedge-feed",
            "selvedge-geo",
            "selvedge-media",
            "selvedge-net",
            "selvedge-policy",
            "selvedge-store",
            "selvedge-telemetry",
        ],
    ),
    ("selvedge-control", &["selvedge-config", "selvedge-feed", "selvedge-net", "selvedge-policy"]),
    (
        "selvedge",
        &[
            "selvedge-authority",
            "selvedge-config",
            "selvedge-control",
            "selvedge-dns",
            "selvedge-esi",
            "selvedge-feed",
            "selvedge-geo",
            "selvedge-media",
            "selvedge-net",
            "selvedge-node",
            "selvedge-policy",
            "selvedge-proxy",
            "selvedge-store",
            "selvedge-telemetry",
        ],
    ),
    ("selvedge-tests", &["selvedge-config", "selvedge-feed"]),
    ("xtask", &["selvedge-config"]),
];

/// Crates without sockets, clock or runtime.
const PURE: &[&str] = &[
    "selvedge-authority",
    "selvedge-config",
    "selvedge-esi",
    "selvedge-feed",
    "selvedge-geo",
    "selvedge-media",
    "selvedge-policy",
];
/// What a pure crate must not have anywhere below it.
const IMPURE: &[&str] = &["tokio", "mio", "socket2"];

/// Libraries that speak HTTP or TLS, and the crates that may name them outside of tests.
const WIRE: &[&str] = &[
    "h2",
    "h3",
    "httparse",
    "hyper",
    "hyper-rustls",
    "hyper-util",
    "quinn",
    "rustls",
    "rustls-native-certs",
    "rustls-webpki",
    "tokio-rustls",
];
const WIRE_CRATES: &[&str] = &["selvedge-net", "selvedge-tests", "xtask"];

/// A package of the workspace: its manifest and what it depends on directly.
struct Member {
    name: String,
    manifest: String,
    /// Name, and whether it is only for tests.
    dependencies: Vec<(String, bool)>,
}

/// Checks all crates of the workspace.
pub(super) fn check() -> Result<Vec<Finding>, Failure> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
    let metadata =
        Task::new(&cargo(), &arguments).limit(Duration::from_secs(120)).output().or_else(|_| {
            // Not everything is downloaded yet, or the lock file is not written yet.
            let arguments = ["metadata", "--format-version", "1"];
            Task::new(&cargo(), &arguments).limit(Duration::from_secs(600)).output()
        })?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut findings = Vec::new();
    for member in members(&metadata) {
        check_member(&member, &mut findings);
    }
    for name in PURE {
        for (impure, path) in impure_below(&metadata, name) {
            let manifest = format!("crates/{}/Cargo.toml", name.trim_start_matches("selvedge-"));
            let remedy = format!("{name} is pure, but reaches {impure} by {path}");
            findings.push(Finding::new(&manifest, 1, "impure crate", remedy));
        }
    }
    Ok(findings)
}

fn check_member(member: &Member, findings: &mut Vec<Finding>) {
    let line = |name: &str| line_of(&member.manifest, name);
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == member.name) else {
        let remedy = format!("give {} its place in the list of layers", member.name);
        findings.push(Finding::new(&member.manifest, 1, "crate without a layer", remedy));
        return;
    };
    for (dependency, only_tests) in &member.dependencies {
        let ours = LAYERS.iter().any(|(name, _)| name == dependency);
        if ours && !only_tests && !allowed.contains(&dependency.as_str()) {
            let remedy = format!("{} may depend on {allowed:?} only", member.name);
            findings.push(Finding::new(&member.manifest, line(dependency), "layer", remedy));
        }
        let wire = WIRE.contains(&dependency.as_str());
        if wire && !only_tests && !WIRE_CRATES.contains(&member.name.as_str()) {
            let remedy = format!("only net names {dependency}: put what you need behind net");
            let rule = "HTTP or TLS library outside net";
            findings.push(Finding::new(&member.manifest, line(dependency), rule, remedy));
        }
    }
}

fn members(metadata: &Value) -> Vec<Member> {
    let root = text(&metadata["workspace_root"]);
    let members: BTreeSet<&str> = array(&metadata["workspace_members"]).map(text).collect();
    array(&metadata["packages"])
        .filter(|package| members.contains(text(&package["id"])))
        .map(|package| Member {
            name: text(&package["name"]).to_owned(),
            manifest: text(&package["manifest_path"])
                .trim_start_matches(root)
                .trim_start_matches('/')
                .to_owned(),
            dependencies: array(&package["dependencies"])
                .map(|dependency| {
                    let name = text(&dependency["name"]).to_owned();
                    (name, text(&dependency["kind"]) == "dev")
                })
                .collect(),
        })
        .collect()
}

/// Impure packages that `name` reaches by normal dependencies, each with one way there.
fn impure_below(metadata: &Value, name: &str) -> Vec<(String, String)> {
    let names: BTreeMap<&str, &str> = array(&metadata["packages"])
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let nodes: BTreeMap<&str, &Value> =
        array(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let start = names.iter().find(|(_, known)| **known == name).map(|(id, _)| *id);
    let mut waiting: VecDeque<(&str, String)> =
        start.into_iter().map(|id| (id, name.to_owned())).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some((id, path)) = waiting.pop_front() {
        if !seen.insert(id) {
            continue;
        }
        let package = names.get(id).copied().unwrap_or_default();
        if IMPURE.contains(&package) {
            found.push((package.to_owned(), path));
            continue;
        }
        for dependency in nodes.get(id).into_iter().flat_map(|node| array(&node["deps"])) {
            let normal = array(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
            if normal {
                let below = text(&dependency["pkg"]);
                let step = names.get(below).copied().unwrap_or_default();
                waiting.push_back((below, format!("{path} > {step}")));
            }
        }
    }
    found
}

/// The line of a manifest that names a dependency.
fn line_of(manifest: &str, dependency: &str) -> usize {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    text.lines().position(|line| line.starts_with(dependency)).map_or(1, |index| index + 1)
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(name: &str, dependencies: &[(&str, bool)]) -> Vec<&'static str> {
        let dependencies =
            dependencies.iter().map(|(name, tests)| ((*name).to_owned(), *tests)).collect();
        let member =
            Member { name: name.to_owned(), manifest: "Cargo.toml".to_owned(), dependencies };
        let mut findings = Vec::new();
        check_member(&member, &mut findings);
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_lower_layer_may_not_import_a_higher_one() {
        assert!(member("selvedge-store", &[("selvedge-policy", false)]).is_empty());
        assert_eq!(member("selvedge-store", &[("selvedge-net", false)]), ["layer"]);
        assert_eq!(member("selvedge-net", &[("selvedge-config", false)]), ["layer"]);
        assert!(member("selvedge-net", &[("selvedge-config", true)]).is_empty());
        assert_eq!(member("selvedge-unknown", &[]), ["crate without a layer"]);
    }

    #[test]
    fn only_net_names_wire_libraries() {
        assert!(member("selvedge-net", &[("hyper", false)]).is_empty());
        let rule = ["HTTP or TLS library outside net"];
        assert_eq!(member("selvedge-proxy", &[("hyper", false)]), rule);
        assert_eq!(member("selvedge", &[("rustls", false)]), rule);
        assert!(member("selvedge", &[("rustls", true)]).is_empty(), "tests may");
        assert!(member("selvedge-tests", &[("rustls", false)]).is_empty());
    }

    #[test]
    fn a_runtime_below_a_pure_crate_is_found_with_its_path() {
        let kind = |kind: Value| json!([{ "kind": kind }]);
        let metadata = json!({
            "packages": [
                { "id": "p", "name": "selvedge-policy" },
                { "id": "a", "name": "helper" },
                { "id": "t", "name": "tokio" },
            ],
            "resolve": { "nodes": [
                { "id": "p", "deps": [{ "pkg": "a", "dep_kinds": kind(Value::Null) }] },
                { "id": "a", "deps": [{ "pkg": "t", "dep_kinds": kind(Value::Null) }] },
                { "id": "t", "deps": [] },
            ] },
        });
        let found = impure_below(&metadata, "selvedge-policy");
        let path = "selvedge-policy > helper > tokio".to_owned();
        assert_eq!(found, [("tokio".to_owned(), path)]);
        let mut only_tests = metadata;
        only_tests["resolve"]["nodes"][1]["deps"][0]["dep_kinds"] = kind(json!("dev"));
        assert!(impure_below(&only_tests, "selvedge-policy").is_empty());
    }
}
