//! The real players as a program, for `cargo xtask players`: `players SECONDS NODE_MODULES DRIVER`.
//! Exit code 1 when one of them stalled, complained, or got other bytes than the origin has.

use selvedge_tests::players::{self, Outcome, TITLE};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, modules, driver] = &arguments[..] else {
        say("players SECONDS NODE_MODULES DRIVER");
        return ExitCode::from(64);
    };
    let Ok(seconds) = seconds.parse() else {
        say("SECONDS is a number");
        return ExitCode::from(64);
    };
    say(TITLE);
    let tell = |outcome: &Outcome| {
        say(&outcome.line());
        outcome.errors.iter().for_each(|error| say(&format!("  error: {error}")));
        outcome.wrong.iter().for_each(|wrong| say(&format!("  not the origin's: {wrong}")));
    };
    let outcomes = players::run(Path::new(modules), Path::new(driver), seconds, tell);
    let ill = outcomes.iter().filter(|outcome| !outcome.is_well(seconds)).count();
    say(&format!("{} plays, {ill} not well", outcomes.len()));
    if ill == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "a program that reports its progress")]
fn say(line: &str) {
    println!("{line}");
}
