//! Real players against the demo (`tests/src/players/`): ffmpeg, and players from npm in Chromium,
//! pinned by `tests/players/package-lock.json` and installed under `target/`.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::node::{Build, build, cargo, target, text};
use crate::npm;
use crate::packages::{FOR_TESTS, ensure};
use crate::process::Task;

/// How long, and with which build.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds that each of them plays; the clip has 64.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=60))]
    seconds: u32,
    /// Play through the release build.
    #[arg(long)]
    release: bool,
}

impl Options {
    /// Those of the gate.
    pub(crate) fn short() -> Self {
        Self { seconds: 12, release: false }
    }
}

const FOLDER: &str = "tests/players";

/// Has them play.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    ensure(FOR_TESTS)?;
    let modules = npm::install(Path::new(FOLDER), &target().join("players"))?;
    let binary = build(if options.release { Build::Release } else { Build::Debug })?;
    let driver = Path::new(FOLDER).join("drive.mjs").canonicalize()?;
    let seconds = options.seconds.to_string();
    let mut arguments = vec!["run", "--locked", "--quiet", "--package", "selvedge-tests"];
    arguments.extend(["--bin", "players"]);
    arguments.extend(options.release.then_some("--release"));
    arguments.extend(["--", &seconds, text(&modules)?, text(&driver)?]);
    let limit = Duration::from_secs(300 + 5 * u64::from(options.seconds));
    Task::new(&cargo(), &arguments).variable("SELVEDGE_BIN", &binary).limit(limit).run()
}
