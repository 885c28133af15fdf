//! The binary: argv -> configuration -> role -> drain.
//!
//! Everything that can be wrong with a command or a file is found before a socket is bound.

mod admin;
mod cache;
mod cli;
mod client;
mod control;
mod demo;
mod dns;
mod esi;
mod follow;
mod look;
mod prepare;
mod problem;
mod process;
mod reload;
mod role;
mod sign;
mod sign_keys;
mod start;
mod streams;
mod vitals;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use problem::Problem;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors.
            let code = if error.use_stderr() { problem::USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            process::say(&problem.to_string());
            ExitCode::from(problem.exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), Problem> {
    match command {
        Command::Edge(args) => start::run(role::Role::Edge, &args),
        Command::Parent(args) => start::run(role::Role::Parent, &args),
        Command::Control(args) => control::run(&args),
        Command::Dns(args) => dns::run(&args),
        Command::Dnssec(args) => dns::keys::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Cache(args) => look::run(&args),
        Command::Streams(args) => streams::run(&args),
        Command::Esi(args) => esi::run(&args),
        Command::Client(verb) => Ok(client::run(&verb)?),
        Command::Sign(args) => Ok(sign::run(&args)?),
        Command::Check(args) => {
            process::print(&check(&args)?);
            Ok(())
        }
        Command::Keys => {
            process::print(&selvedge_config::reference());
            Ok(())
        }
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "selvedge", &mut script);
            process::print(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}

/// What there is to say of a configuration file that is well.
fn check(args: &cli::CheckArgs) -> Result<String, Problem> {
    let role = match args.role {
        Some(cli::CheckAs::Control) => return control::check(&args.file),
        Some(cli::CheckAs::Dns) => return dns::check(&args.file),
        None if dns::is_dns(&args.file) => return dns::check(&args.file),
        None if control::is_control(&args.file) => return control::check(&args.file),
        Some(cli::CheckAs::Parent) => role::Role::Parent,
        Some(cli::CheckAs::Edge) | None => role::Role::Edge,
    };
    let prepared = prepare::prepare(&args.file, role, &prepare::Trusted::default())?;
    Ok(prepared.summary())
}
