//! The gate: every step that must pass before a change is taken over, in one run.
//!
//! A step that fails does not stop the others: one run shows everything that is wrong.

use std::time::{Duration, Instant};

use crate::api;
use crate::failure::Failure;
use crate::node::{Build, cargo};
use crate::process::Task;
use crate::{conformance, fuzz, node, packages, players, say, tidy};

struct Step {
    name: &'static str,
    run: fn() -> Result<(), Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "format", run: || run_cargo(&["fmt", "--all", "--check"], 2) },
    Step { name: "tidy", run: tidy::run },
    Step { name: "lints", run: lints },
    Step { name: "fuzz targets", run: fuzz::check_lock },
    Step { name: "build", run: || node::build(Build::Debug).map(drop) },
    Step { name: "tests", run: || run_cargo(&["test", "--locked", "--workspace"], 25) },
    Step { name: "api", run: || api::run(&api::Options::default()) },
    Step { name: "conformance", run: || conformance::run(&conformance::Options::default()) },
    Step { name: "conformance, two tiers", run: || conformance::run(&conformance::two_tiers()) },
    Step { name: "players", run: || players::run(&players::Options::short()) },
];

/// Runs all steps.
pub(crate) fn run() -> Result<(), Failure> {
    packages::ensure(packages::FOR_TESTS)?;
    let begun = Instant::now();
    let results: Vec<_> = STEPS
        .iter()
        .map(|step| {
            say(&format!("\n== {}", step.name));
            let begun = Instant::now();
            let result = (step.run)();
            if let Err(failure) = &result {
                say(&format!("FAILED {}: {failure}", step.name));
            }
            (step.name, result.is_ok(), begun.elapsed())
        })
        .collect();
    say("\n== summary");
    for (name, passed, took) in &results {
        let word = if *passed { "ok" } else { "FAILED" };
        say(&format!("{word:7} {:>7.1} s  {name}", took.as_secs_f64()));
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    say(&format!(
        "{} steps, {failed} failed, {:.1} s",
        results.len(),
        begun.elapsed().as_secs_f64()
    ));
    if failed == 0 { Ok(()) } else { Err(Failure::new(format!("{failed} steps failed"))) }
}

fn lints() -> Result<(), Failure> {
    let arguments = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run_cargo(&arguments, 15)
}

fn run_cargo(arguments: &[&str], minutes: u64) -> Result<(), Failure> {
    Task::new(&cargo(), arguments).limit(Duration::from_secs(minutes * 60)).run()
}
