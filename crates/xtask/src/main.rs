//! All automation of the project: the gate, the house rules, conformance, benchmarks, generated
//! files. `cargo xtask --help` lists the commands.
//!
//! Everything it starts is a child of this process and ends with it; everything it writes is under
//! `target/`, but for `gen` and `--bless`, which write the file they are named for.

mod api;
mod bench;
mod conformance;
mod crash;
mod failure;
mod fuzz;
mod gate;
mod generated;
mod node;
mod npm;
mod packages;
mod players;
mod process;
mod ready;
mod reloads;
mod sim;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Automation of Selvedge.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole gate: packages, format, lints, tests, tidy, conformance.
    ///
    /// Installs what the tests need from Debian when it may (root and apt), else says in one line
    /// what to install. Ends with a summary; fails if any step failed.
    Test,
    /// The same as `test`: a laptop runs what the build server runs.
    Ci,
    /// Check the house rules: layers, purity, sizes, banned calls, generated files.
    Tidy,
    /// Write the generated files: configs/README.md.
    Gen,
    /// Run the http-cache-tests suite through an edge and compare with what is expected.
    Conformance(conformance::Options),
    /// Try the API of control against its own description, with schemathesis.
    Api(api::Options),
    /// Kill a node with a disk again and again under load, and judge all that it serves.
    ///
    /// Prints the seed; the same seed makes the same requests, kills and damage. Exit code 1 and
    /// the URL when an answer was wrong.
    Crash(crash::Options),
    /// Have ffmpeg, hls.js, dash.js and Shaka play the demo's video through edge and parent.
    ///
    /// Prints a line for each. Exit code 1 when one stalled, complained or got other bytes than the
    /// origin has.
    Players(players::Options),
    /// Reload a DNS server a thousand times under load, and lose no query.
    Reloads(reloads::Options),
    /// Fuzz what reads foreign bytes: packets, zone files, maps. Needs a nightly toolchain.
    Fuzz(fuzz::Options),
    /// Measure against other servers; without a name, list what can be measured.
    Bench(bench::Options),
    /// Simulate a day, to compare ways of sending clients somewhere.
    Sim(sim::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = repository().and_then(|repository| {
        std::env::set_current_dir(&repository)
            .map_err(|error| Failure::new(format!("{}: {error}", repository.display())))?;
        match arguments.command {
            Command::Test | Command::Ci => gate::run(),
            Command::Tidy => tidy::run(),
            Command::Gen => generated::write(),
            Command::Conformance(options) => conformance::run(&options),
            Command::Api(options) => api::run(&options),
            Command::Crash(options) => crash::run(&options),
            Command::Players(options) => players::run(&options),
            Command::Reloads(options) => reloads::run(&options),
            Command::Fuzz(options) => fuzz::run(&options),
            Command::Bench(options) => bench::run(&options),
            Command::Sim(options) => sim::run(&options),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say_error(&format!("xtask: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace: two levels above this crate.
fn repository() -> Result<PathBuf, Failure> {
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if folder.pop() && folder.pop() && folder.join("Cargo.lock").exists() {
        return Ok(folder);
    }
    Err(Failure::new("run this from the repository it was built in"))
}

/// Prints a line for the person who runs this.
#[expect(clippy::print_stdout, reason = "a command-line tool talks on standard output")]
fn say(line: &str) {
    println!("{line}");
}

/// Prints a line about what went wrong.
#[expect(clippy::print_stderr, reason = "a command-line tool complains on standard error")]
fn say_error(line: &str) {
    eprintln!("{line}");
}
