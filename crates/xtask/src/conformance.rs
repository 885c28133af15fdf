//! Runs the npm package http-cache-tests through a real edge, and compares every outcome with
//! `tests/conformance/expected.json`, a list whose failures may only become fewer.
//!
//! The suite's own server is the origin and its own client the client:
//! ```text
//!   cli.mjs --> edge [--> parent] --> server.mjs
//! ```
//! The package is pinned by `tests/conformance/package-lock.json`, installed under `target/`.

mod outcome;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::node::{Build, Node, build, target, text};
use crate::npm;
use crate::packages::{FOR_TESTS, ensure};
use crate::process::{Server, Settings, Task, fresh_folder};
use crate::ready::free_port;
use crate::say;
use outcome::{Outcomes, Test};

/// What to run, and against what.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Put a parent between the edge and the origin.
    #[arg(long)]
    tiers: bool,
    /// Use this base address instead of starting anything; the suite's server must be behind it.
    #[arg(long, value_name = "URL", conflicts_with_all = ["tiers", "bless"])]
    url: Option<String>,
    /// Run one test and show its requests and responses.
    #[arg(long, value_name = "ID", conflicts_with = "bless")]
    id: Option<String>,
    /// Take improvements over into the list of expected outcomes.
    #[arg(long, conflicts_with = "tiers")]
    bless: bool,
    /// Test the release build.
    #[arg(long)]
    release: bool,
}

/// The options of the run with two tiers.
pub(crate) fn two_tiers() -> Options {
    Options { tiers: true, ..Options::default() }
}

const FOLDER: &str = "tests/conformance";
const EXPECTED: &str = "tests/conformance/expected.json";
const TEMPLATE: &str = "tests/conformance/edge.toml";

/// Runs the suite.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    ensure(FOR_TESTS)?;
    let package = install()?;
    let tests = list(&package)?;
    let work = target().join("conformance").join(if options.tiers { "tiers" } else { "edge" });
    fresh_folder(&work)?;
    let work = work.canonicalize()?;
    let (running, url) = match &options.url {
        Some(url) => (Vec::new(), url.clone()),
        None => start(options, &package, &work)?,
    };
    if let Some(id) = &options.id {
        say(&ask(&package, &url, id)?);
        return Ok(());
    }
    let answer = ask(&package, &url, "")?;
    drop(running);
    let json = answer.find("\n{").map_or(answer.as_str(), |at| &answer[at..]);
    fs::write(work.join("results.json"), json)?;
    let outcomes = Outcomes::judge(&tests, &serde_json::from_str(json)?)?;
    report::print(&tests, &outcomes, &serde_json::from_str(json)?);
    if options.bless {
        return outcomes.bless(&tests, Path::new(EXPECTED));
    }
    outcomes.compare(&tests, Path::new(EXPECTED))
}

/// Installs the pinned package and gives its folder.
fn install() -> Result<PathBuf, Failure> {
    let modules = npm::install(Path::new(FOLDER), &target().join("conformance").join("package"))?;
    Ok(modules.join("http-cache-tests"))
}

fn list(package: &Path) -> Result<Vec<Test>, Failure> {
    let script = Path::new(FOLDER).join("list.mjs");
    let task = Task::new("node", &[text(&script)?, text(package)?]);
    Ok(serde_json::from_str(&task.limit(Duration::from_secs(60)).output()?)?)
}

/// Starts the suite's server and the nodes; gives them, in the order in which they must end, and
/// the address of the edge.
fn start(options: &Options, package: &Path, work: &Path) -> Result<(Vec<Server>, String), Failure> {
    let binary = build(if options.release { Build::Release } else { Build::Debug })?;
    let (server, origin_port) = start_origin(package, work)?;
    let template = fs::read_to_string(TEMPLATE).map_err(Failure::at(Path::new(TEMPLATE)))?;
    let mut running = vec![server];
    let mut parents = String::new();
    if options.tiers {
        let (parent, http_port) =
            start_node(&template, &binary, work, "parent", "parent-1", "", origin_port)?;
        running.insert(0, parent);
        parents = format!("\"http://127.0.0.1:{http_port}\"");
    }
    let (edge, http_port) =
        start_node(&template, &binary, work, "edge", "edge-1", &parents, origin_port)?;
    running.insert(0, edge);
    Ok((running, format!("http://127.0.0.1:{http_port}")))
}

fn start_node(
    template: &str,
    binary: &Path,
    work: &Path,
    verb: &str,
    name: &str,
    parents: &str,
    origin_port: u16,
) -> Result<(Server, u16), Failure> {
    let (http_port, admin_port) = (free_port()?, free_port()?);
    let configuration = configure(template, name, parents, [http_port, admin_port, origin_port]);
    let node = Node { binary, verb, folder: work, configuration, admin_port, core: None };
    Ok((node.start(name)?, http_port))
}

/// Fills in the template; the ports are those for HTTP, of the side door and of the origin.
fn configure(template: &str, name: &str, parents: &str, ports: [u16; 3]) -> String {
    let [http, admin, origin] = ports.map(|port| port.to_string());
    template
        .replace("edge-1", name)
        .replace("{http}", &http)
        .replace("{admin}", &admin)
        .replace("{origin}", &origin)
        .replace("{parents}", parents)
}

/// Starts the suite's server on a port of its choice and gives that port.
fn start_origin(package: &Path, work: &Path) -> Result<(Server, u16), Failure> {
    let log = work.join("origin.log");
    let process_file = work.join("origin.pid");
    let preload = Path::new(FOLDER).join("loopback.cjs").canonicalize()?;
    let variables = [
        ("npm_config_protocol", "http"),
        ("npm_config_port", "0"),
        ("npm_config_pidfile", text(&process_file)?),
    ];
    let settings =
        Settings { folder: Some(package), variables: &variables, ..Settings::logging_to(&log) };
    let arguments = ["--require", text(&preload)?, "server/server.mjs"];
    let hearing = |line: &str| line.starts_with("Listening on ");
    let (server, line) = Server::start_and_hear("origin", "node", &arguments, &settings, hearing)?;
    let port = line.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| Failure::new(format!("the suite's server says: {line}")))?;
    Ok((server, port))
}

/// Runs the suite's client, for one test or with an empty id for all.
fn ask(package: &Path, url: &str, id: &str) -> Result<String, Failure> {
    Task::new("node", &["--no-warnings", "cli.mjs"])
        .folder(package)
        .variable("npm_config_base", url)
        .variable("npm_config_id", id)
        .variable("npm_package_config_id", "")
        .limit(Duration::from_secs(300))
        .output()
}

#[cfg(test)]
mod tests {
    use selvedge_config::{Profile, parse};

    use super::*;

    #[test]
    fn the_template_is_a_configuration() {
        let path = crate::repository().unwrap().join(TEMPLATE);
        let template = fs::read_to_string(path).unwrap();
        for parents in ["", "\"http://127.0.0.1:3\""] {
            let configuration = configure(&template, "edge-9", parents, [1, 2, 3]);
            let config = parse(&configuration, TEMPLATE, Profile::Facing).unwrap();
            assert_eq!(config.upstream.parents.len(), usize::from(!parents.is_empty()));
        }
    }
}
