//! Simulations: a day of the CDN under several ways of sending clients somewhere, as a table and a
//! plot. What is simulated is in `crates/geo/src/sim`; it runs optimised, as a child of this one,
//! so that `cargo xtask` itself is built as fast as ever.

mod plot;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::failure::Failure;
use crate::node::{cargo, target};
use crate::process::Task;
use crate::say;

/// How long a day may take, and a build before it.
const LIMIT: Duration = Duration::from_secs(900);

/// What to simulate.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sending clients by DNS: a day of 200 nodes in 20 regions, with a flash crowd and the loss of
    /// a region; prints a table and writes target/sim/dns.svg.
    Dns(DnsOptions),
}

/// The day.
#[derive(Debug, Args)]
struct DnsOptions {
    /// What chance begins with; several, separated by commas, are several days.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seed: Vec<u32>,
    /// How many times the flash crowd makes the demand of its region.
    #[arg(long, default_value_t = 3.0)]
    flash: f64,
    /// How long resolvers keep answers, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    ttl: u32,
}

/// A day that was played.
#[derive(Debug, Deserialize)]
struct Day {
    seed: u64,
    ttl_s: f64,
    regions: usize,
    nodes: usize,
    soft: f64,
    hard: f64,
    minutes: u32,
    events: Vec<Event>,
    outcomes: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Event {
    what: String,
    region: String,
    begins_minute: f64,
    ends_minute: f64,
}

/// What came of a day under one policy.
#[derive(Debug, Deserialize)]
struct Outcome {
    policy: String,
    worst_region: f64,
    overloaded_s: f64,
    overflowed: f64,
    lost: f64,
    needless: f64,
    moves: f64,
    hit_loss: f64,
    series: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    minute: f64,
    worst: f64,
}

/// Runs a simulation.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let What::Dns(options) = &options.what;
    let days: Vec<Day> =
        options.seed.iter().map(|seed| play(*seed, options)).collect::<Result<_, _>>()?;
    let Some(first) = days.first() else { return Err(Failure::new("give a seed")) };
    say(&format!(
        "{} nodes in {} regions, {} hours, answers kept for {} s",
        first.nodes,
        first.regions,
        first.minutes / 60,
        first.ttl_s
    ));
    for event in &first.events {
        say(&told(event));
    }
    say(&table(&days));
    let file = write(&plot::svg(first))?;
    say(&format!("plot of seed {}: {}", first.seed, file.display()));
    Ok(())
}

fn play(seed: u32, options: &DnsOptions) -> Result<Day, Failure> {
    let build = ["run", "--quiet", "--release", "--locked", "-p", "selvedge-geo"];
    let example = ["--features", "simulation", "--example", "day", "--", "form", "json"];
    let (seed, flash) = (seed.to_string(), options.flash.to_string());
    let ttl = options.ttl.to_string();
    let day = ["seed", &seed, "flash", &flash, "ttl", &ttl];
    let arguments = [&build[..], &example[..], &day[..]].concat();
    let text = Task::new(&cargo(), &arguments).limit(LIMIT).output()?;
    Ok(serde_json::from_str(&text)?)
}

fn told(event: &Event) -> String {
    let clock = |minute: f64| format!("{:02}:{:02}", minute as u32 / 60, minute as u32 % 60);
    let (from, to) = (clock(event.begins_minute), clock(event.ends_minute));
    format!("{from} to {to}: {} {}", event.region, event.what)
}

const HEAD: &str = "\
seed  policy   worst region  overloaded  beyond capacity  to a lost region  needlessly away  \
moves  hits lost\n";

/// A line for each day and policy: the worst region at any second as a share of what it can carry,
/// how long any was over it, and shares of all demand.
fn table(days: &[Day]) -> String {
    let mut text = format!("\n{HEAD}");
    for day in days {
        for outcome in &day.outcomes {
            text.push_str(&format!(
                "{:<4}  {:<8} {:>12.2} {:>9.0} s {:>14.3} % {:>15.3} % {:>14.2} % {:>6.1} \
                 {:>8.2} %\n",
                day.seed,
                outcome.policy,
                outcome.worst_region,
                outcome.overloaded_s,
                outcome.overflowed * 100.0,
                outcome.lost * 100.0,
                outcome.needless * 100.0,
                outcome.moves,
                outcome.hit_loss * 100.0,
            ));
        }
    }
    text
}

fn write(svg: &str) -> Result<PathBuf, Failure> {
    let folder = target().join("sim");
    fs::create_dir_all(&folder).map_err(Failure::at(&folder))?;
    let file = folder.join("dns.svg");
    fs::write(&file, svg).map_err(Failure::at(&file))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day of two policies.
    pub(super) fn day() -> Day {
        let text = r#"{
            "seed": 7, "ttl_s": 30.0, "regions": 20, "nodes": 200, "soft": 0.75, "hard": 0.95,
            "minutes": 1440,
            "events": [{ "what": "gone", "region": "newyork",
                         "begins_minute": 1350, "ends_minute": 1390 }],
            "outcomes": [
                { "policy": "nearest", "worst_region": 1.86, "overloaded_s": 7000.0,
                  "overflowed": 0.012, "lost": 0.0, "needless": 0.0, "moves": 1.0,
                  "hit_loss": 0.0, "worst_node": 2.0,
                  "series": [{ "minute": 0.0, "worst": 0.5 }, { "minute": 1.0, "worst": 1.86 }] },
                { "policy": "ours", "worst_region": 1.1, "overloaded_s": 30.0,
                  "overflowed": 0.0001, "lost": 0.0, "needless": 0.001, "moves": 2.0,
                  "hit_loss": 0.01, "worst_node": 1.2,
                  "series": [{ "minute": 0.0, "worst": 0.5 }, { "minute": 1.0, "worst": 0.9 }] }
            ]
        }"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_policy_has_a_line_below_the_head() {
        let text = table(&[day()]);
        let lines: Vec<&str> = text.trim().lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        assert!(lines[1].starts_with("7     nearest") && lines[1].contains("1.86"), "{text}");
    }

    #[test]
    fn an_event_is_told_with_its_hours() {
        assert_eq!(told(&day().events[0]), "22:30 to 23:10: newyork gone");
    }
}
