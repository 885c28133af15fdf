//! A thousand reloads of a DNS server under load (`tests/e2e/dns_faults.rs`): not a query may be
//! lost. The gate does the same with a few.

use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::node::{Build, build, cargo};
use crate::packages;
use crate::process::Task;

/// The test that does it.
const TEST: &str = "dns_faults::no_query_is_lost_while_everything_is_read_again_and_again";

/// How many.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often configuration, zones and maps are changed and read again.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..))]
    reloads: u32,
}

/// Runs it and prints the figures.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    packages::ensure(packages::FOR_TESTS)?;
    let binary = build(Build::Debug)?;
    let arguments = ["test", "--locked", "--quiet", "--package", "selvedge-tests", "--test", "e2e"];
    let arguments = [&arguments[..], &["--", TEST, "--exact", "--nocapture"]].concat();
    let limit = Duration::from_secs(900 + u64::from(options.reloads));
    Task::new(&cargo(), &arguments)
        .variable("SELVEDGE_BIN", &binary)
        .variable("SELVEDGE_TESTS_RELOADS", options.reloads.to_string())
        .limit(limit)
        .run()
}
