//! Fuzzing: the targets under `fuzz/`, built by nightly with the instruments of libFuzzer and the
//! address sanitizer, begun with the inputs under `fixtures/fuzz/`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::node::{cargo, target, text};
use crate::process::{Task, fresh_folder};
use crate::say;

/// The targets.
const TARGETS: [&str; 7] = ["coverage", "esi", "hls", "mmdb", "mpd", "packet", "zone"];
/// Where they stand.
const MANIFEST: &str = "fuzz/Cargo.toml";
/// For what they are built.
const MACHINE: &str = "x86_64-unknown-linux-gnu";
/// Instruments for libFuzzer.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Zsanitizer=address --cfg fuzzing";
/// Memory at which a target has failed.
const MEMORY_MIB_MAX: u32 = 2048;

/// What to fuzz.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Name of the target; without it, all one after the other
    #[arg(value_parser = TARGETS)]
    name: Option<String>,
    /// Seconds per target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Whether the targets, which stand outside of the workspace, still fit the crates that they try:
/// their lock goes stale with each dependency that those gain.
pub(crate) fn check_lock() -> Result<(), Failure> {
    let arguments = ["metadata", "--locked", "--format-version", "1"];
    let task = Task::new(&cargo(), &[&arguments[..], &["--manifest-path", MANIFEST]].concat());
    task.limit(Duration::from_secs(300)).output().map(drop).map_err(|failure| {
        let remedy = format!("cargo update --workspace --manifest-path {MANIFEST}");
        Failure::new(format!("{failure}\nif its lock is stale: {remedy}"))
    })
}

/// Fuzzes until the time is over or a target fails; the input that did it is left under
/// `target/fuzz`, and the failure names it.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = target().join("fuzz");
    fs::create_dir_all(&folder).map_err(Failure::at(&folder))?;
    let folder = folder.canonicalize()?;
    say("building the targets with nightly");
    let mut arguments = vec!["+nightly", "build", "--release", "--locked", "--target", MACHINE];
    arguments.extend(["--manifest-path", MANIFEST]);
    Task::new("cargo", &arguments)
        .variable("CARGO_TARGET_DIR", &folder)
        .variable("RUSTFLAGS", FLAGS)
        .limit(Duration::from_secs(1800))
        .run()?;
    let wanted = |name: &&&str| options.name.as_ref().is_none_or(|wanted| wanted == **name);
    for name in TARGETS.iter().filter(wanted) {
        say(&format!("\n{name}, {} s", options.seconds));
        let found = folder.join("inputs").join(name);
        fs::create_dir_all(&found).map_err(Failure::at(&found))?;
        let failed = folder.join("failed").join(name);
        fresh_folder(&failed)?;
        let binary = folder.join(MACHINE).join("release").join(name);
        let given = Path::new("fixtures").join("fuzz").join(name);
        let (time, memory) = (
            format!("-max_total_time={}", options.seconds),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        );
        let artifacts = format!("-artifact_prefix={}/", text(&failed)?);
        let arguments = [text(&found)?, text(&given)?, &time, &memory, &artifacts];
        let limit = Duration::from_secs(u64::from(options.seconds) + 120);
        Task::new(text(&binary)?, &arguments).limit(limit).output().map_err(|failure| {
            Failure::new(format!("{failure}\nthe input is in {}", failed.display()))
        })?;
    }
    Ok(())
}
