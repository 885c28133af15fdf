//! The crash campaign as a program, for `cargo xtask crash`: `crash KILLS SEED FOLDER`. Exit code 1
//! when something was wrong, with the seed and what it was.

use selvedge_tests::crash::{Campaign, keep_files_in};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kills, seed, folder] = &arguments[..] else {
        say("crash KILLS SEED FOLDER");
        return ExitCode::from(64);
    };
    let (Ok(kills), Ok(seed)) = (kills.parse(), seed.parse()) else {
        say("KILLS and SEED are numbers");
        return ExitCode::from(64);
    };
    keep_files_in(folder.as_ref());
    let campaign = Campaign { kills, seed, say };
    // A panic of the harness is a finding like any other.
    let done = std::panic::catch_unwind(|| campaign.run());
    match done {
        Ok(Ok(report)) => {
            say(&format!("nothing wrong after {kills} kills, seed {seed}: {report:?}"));
            ExitCode::SUCCESS
        }
        Ok(Err(wrong)) => {
            say(&format!("WRONG with --kills {kills} --seed {seed}: {wrong}"));
            ExitCode::FAILURE
        }
        Err(_) => {
            say(&format!("WRONG with --kills {kills} --seed {seed}: see the panic above"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program that reports its progress")]
fn say(line: &str) {
    println!("{line}");
}
