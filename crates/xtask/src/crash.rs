//! The crash campaign (`tests/src/crash/`): the node is killed again and again under load, its disk
//! is damaged at times, and everything it serves afterwards is judged.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::failure::Failure;
use crate::node::{Build, build, cargo, target, text};
use crate::process::{Task, fresh_folder};
use crate::say;

/// How long, and from which seed.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the node is killed.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// What the campaign follows from; without it, another one each time, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Kill the release build.
    #[arg(long)]
    release: bool,
}

/// Runs the campaign. Its files are under `target/crash`, some 300 MiB, removed after it.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let seed = options.seed.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(since.subsec_micros()) ^ since.as_secs()
    });
    let release = options.release;
    let binary = build(if release { Build::Release } else { Build::Debug })?;
    let folder = target().join("crash");
    fresh_folder(&folder)?;
    let folder = folder.canonicalize()?;
    let (kills, shown) = (options.kills.to_string(), seed.to_string());
    say(&format!("crash campaign: {kills} kills, seed {seed}"));
    let mut arguments = vec!["run", "--locked", "--quiet", "--package", "selvedge-tests"];
    arguments.extend(["--bin", "crash"]);
    arguments.extend(release.then_some("--release"));
    arguments.extend(["--", &kills, &shown, text(&folder)?]);
    let limit = Duration::from_secs(600 + 60 * u64::from(options.kills));
    let done = Task::new(&cargo(), &arguments).variable("SELVEDGE_BIN", &binary).limit(limit).run();
    std::fs::remove_dir_all(&folder).map_err(Failure::at(&folder))?;
    let again = format!("cargo xtask crash --kills {kills} --seed {seed}");
    done.map_err(|failure| Failure::new(format!("{failure}\nto run it again: {again}")))
}
