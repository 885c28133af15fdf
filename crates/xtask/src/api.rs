//! Runs schemathesis against the API of control: what the OpenAPI document allows, and what it does
//! not, must never be answered with a 5xx, nor with what the document does not describe.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::node::{Build, Node, build, target, text};
use crate::packages::{self, FOR_TESTS, ensure};
use crate::process::{Task, fresh_folder};
use crate::ready::free_port;
use crate::say;

/// How much to try.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Generated requests for each operation.
    #[arg(long, default_value_t = EXAMPLES)]
    examples: u32,
    /// What the requests follow from; without it, another one each time, which is printed.
    #[arg(long)]
    seed: Option<u64>,
}

const EXAMPLES: u32 = 15;
const FOLDER: &str = "tests/api";
/// The operation that takes away what the others are about.
const LAST: &str = "DELETE /v1/sites/{site}";
/// What makes a run fail. Requests that the document does not forbid may well be refused.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

impl Default for Options {
    fn default() -> Self {
        Self { examples: EXAMPLES, seed: None }
    }
}

/// Runs it.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    ensure(FOR_TESTS)?;
    let schemathesis = install()?;
    let binary = build(Build::Debug)?;
    let work = target().join("api").join("work");
    fresh_folder(&work)?;
    let work = work.canonicalize()?;
    let (http_port, admin_port) = (free_port()?, free_port()?);
    let configuration = format!(
        "[node]\nname = \"control\"\n[listen]\nhttp = [\"127.0.0.1:{http_port}\"]\n\
         [admin]\nlisten = \"127.0.0.1:{admin_port}\"\n[data]\nfolder = \"data\"\n\
         object_max = \"1MiB\"\nobjects_size = \"64MiB\"\n"
    );
    let verb = "control";
    let node = Node { binary: &binary, verb, folder: &work, configuration, admin_port, core: None };
    let _control = node.start("control")?;
    let token = fs::read_to_string(work.join("data/admin.token"))?;
    let token = token.trim();
    let url = format!("http://127.0.0.1:{http_port}");
    furnish(&url, token)?;
    let authorization = format!("Authorization: Bearer {token}");
    let (document, examples) = (format!("{url}/openapi.json"), options.examples.to_string());
    let seed = options.seed.map(|seed| seed.to_string());
    let [config, hooks] =
        ["schemathesis.toml", "hooks.py"].map(|name| Path::new(FOLDER).join(name));
    let (config, hooks) = (config.canonicalize()?, hooks.canonicalize()?);
    let mut arguments = vec!["--config-file", text(&config)?, "run", &document];
    arguments.extend(["--header", &authorization, "--checks", CHECKS]);
    arguments.extend(["--phases", "examples,coverage,fuzzing", "--max-examples", &examples]);
    arguments.extend(["--exclude-path", "/v1/changes", "--workers", "1"]);
    arguments.extend(seed.iter().flat_map(|seed| ["--seed", seed.as_str()]));
    // What removes the site comes last: without it, all that is about a site would be 404.
    for part in [["--exclude-name", LAST], ["--include-name", LAST]] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(part).collect();
        let task = Task::new(text(&schemathesis)?, &arguments).folder(&work);
        task.variable("SCHEMATHESIS_HOOKS", &hooks).limit(Duration::from_secs(900)).run()?;
    }
    Ok(())
}

/// Installs the pinned schemathesis into a folder of its own and gives its path.
fn install() -> Result<PathBuf, Failure> {
    let folder = target().join("api").join("python");
    let program = folder.join("bin").join("schemathesis");
    let pinned = fs::read_to_string(Path::new(FOLDER).join("requirements.txt"))?;
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == pinned) {
        return Ok(program.canonicalize()?);
    }
    fresh_folder(&folder)?;
    say("installing schemathesis from PyPI");
    let limit = Duration::from_secs(300);
    // Debian has the module that makes such folders in a package of its own.
    let can = Task::new("python3", &["-c", "import ensurepip, venv"]).limit(limit).output();
    if can.is_err() {
        packages::install(&["python3-venv"])?;
    }
    Task::new("python3", &["-m", "venv", text(&folder)?]).limit(limit).output()?;
    let pip = folder.join("bin").join("pip");
    let arguments = ["install", "--quiet", "--requirement", "tests/api/requirements.txt"];
    Task::new(text(&pip)?, &arguments).limit(limit).output()?;
    fs::write(&stamp, pinned)?;
    Ok(program.canonicalize()?)
}

/// Puts what the requests name: a site, and something pushed to it.
fn furnish(url: &str, token: &str) -> Result<(), Failure> {
    let ask = |method: &str, path: &str, body: &str| {
        let (to, authorization) =
            (format!("{url}{path}"), format!("Authorization: Bearer {token}"));
        let arguments = ["-sSf", "-X", method, "-H", &authorization, "--data-binary", body];
        let json = ["-H", "Content-Type: application/json", &to];
        let arguments: Vec<&str> = arguments.into_iter().chain(json).collect();
        Task::new("curl", &arguments).limit(Duration::from_secs(30)).output()
    };
    ask("PUT", "/v1/sites/shop", r#"{"hosts": ["www.shop.test"], "push": true}"#)?;
    ask("PUT", "/v1/sites/shop/objects/index.html", "\"a page\"")?;
    Ok(())
}
