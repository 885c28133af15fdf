//! Measurements against other servers. Each has a name, prints a table for people and writes
//! `target/bench/NAME.json`: a list of `{work, measure, unit, ours, peers, aim, met}`.
//!
//! Rules for all of them: peers come from Debian and run with the documented configuration under
//! `tests/bench/`; rounds alternate over the servers in one run; a figure is the median of its
//! rounds; everything stays on loopback, bounded in count and time.

mod control;
mod dns;
mod esi;
mod hit;
mod measure;
mod media;
mod peers;
mod slow;
mod store;

use std::collections::BTreeMap;
use std::fs;

use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::node::target;
use crate::say;

/// What to measure, and how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Name of the benchmark; without it, all are listed.
    name: Option<String>,
    /// Rounds per work and server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds per round.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Only works whose name contains this.
    #[arg(long, value_name = "TEXT")]
    work: Option<String>,
    /// Only these peers, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peers: Option<Vec<String>>,
    /// Leave our own server out: to try the peers.
    #[arg(long)]
    peers_only: bool,
    /// Fewer objects and bytes: to see that it runs.
    #[arg(long)]
    quick: bool,
    /// How many watch the live channel in `media`.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    viewers: u32,
    /// For how many seconds they do.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(10..=3_600))]
    watch: u32,
    /// How many objects a node starts with in `store`.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,
}

impl Options {
    /// Whether a work of this name is wanted.
    fn wants(&self, work: &str) -> bool {
        self.work.as_ref().is_none_or(|text| work.contains(text))
    }
}

/// A benchmark.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Options) -> Result<Vec<Row>, Failure>,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "hit",
        about: "cost of a cache hit: requests/s, CPU per request and p99 against nginx, Varnish, \
                Traffic Server",
        run: hit::run,
    },
    Bench {
        name: "store",
        about: "the disk tier: hits from disk against nginx and Traffic Server, cold reads, fill \
                and engine against dd, start, index, replacement, purges",
        run: store::run,
    },
    Bench {
        name: "control",
        about: "how fast purges and changes are in force on 20 edges, a boot with 1,000 sites, \
                pushes beside cp, the memory of followers",
        run: control::run,
    },
    Bench {
        name: "dns",
        about: "answers that depend on where the client is: CPU per query, queries/s, p99 and \
                loss against gdnsd and Knot DNS",
        run: dns::run,
    },
    Bench {
        name: "esi",
        about: "pages assembled from fragments: CPU per page and p99 against Varnish, first and \
                last byte with slow fragments, reading of plain HTML",
        run: esi::run,
    },
    Bench {
        name: "media",
        about: "a live channel: 1,000 viewers at two edges behind a parent, 2,000 requests that \
                wait for a part at one edge, what understanding adds to a hit",
        run: media::run,
    },
    Bench {
        name: "slow",
        about: "what honest clients notice of 10,000 idle ones, 2,000 slow heads and 1,000 that \
                read nothing: p99 and memory, beside nginx",
        run: slow::run,
    },
];

/// What a figure should reach.
#[derive(Debug, Clone, PartialEq)]
enum Aim {
    /// At most this part of the figure of the peer.
    PartOf(f64, &'static str),
    /// At most the smallest figure of any peer.
    BestPeer,
    /// At most this part of the smallest figure of any peer.
    PartOfBest(f64),
    /// Judged by who measured: the aim in words, and whether it is met.
    Judged(String, bool),
    /// At most this, whatever the peers do.
    AtMost(f64),
}

/// One figure of a work: ours and everyone else's.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    work: String,
    measure: String,
    unit: String,
    /// None when our server was left out.
    ours: Option<f64>,
    /// A peer that cannot do this work is not in it.
    peers: BTreeMap<String, f64>,
    aim: Option<Aim>,
}

impl Row {
    /// The aim in words and whether it is met; none when a figure it needs was not measured.
    fn judged(&self) -> Option<(String, bool)> {
        let ours = self.ours?;
        match self.aim.as_ref()? {
            Aim::PartOf(part, peer) => {
                let theirs = self.peers.get(*peer)?;
                Some((format!("<= {part} x {peer}"), ours <= part * theirs))
            }
            Aim::Judged(aim, met) => Some((aim.clone(), *met)),
            Aim::BestPeer => {
                let best = self.peers.values().copied().reduce(f64::min)?;
                Some(("<= best peer".to_owned(), ours <= best))
            }
            Aim::PartOfBest(part) => {
                let best = self.peers.values().copied().reduce(f64::min)?;
                Some((format!("<= {part} x best peer"), ours <= part * best))
            }
            Aim::AtMost(most) => Some((format!("<= {most}"), ours <= *most)),
        }
    }

    fn json(&self) -> Value {
        let judged = self.judged();
        json!({
            "work": self.work,
            "measure": self.measure,
            "unit": self.unit,
            "ours": self.ours,
            "peers": self.peers,
            "aim": judged.as_ref().map(|(aim, _)| aim),
            "met": judged.as_ref().map(|(_, met)| met),
        })
    }

    fn print(&self) {
        let ours = self.ours.map_or_else(|| "-".to_owned(), |ours| format!("{ours:.1}"));
        let mut line = format!("{:32} {:17} {:6} {ours:>10}", self.work, self.measure, self.unit);
        for (name, theirs) in &self.peers {
            let ratio =
                self.ours.map_or_else(String::new, |ours| format!(" ({:.2})", ours / theirs));
            line.push_str(&format!("  {name} {theirs:.1}{ratio}"));
        }
        if let Some((aim, met)) = self.judged() {
            line.push_str(&format!("  aim {aim}: {}", if met { "met" } else { "NOT MET" }));
        }
        say(&line);
    }
}

/// Runs a benchmark, or lists all.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let Some(name) = &options.name else {
        for bench in BENCHES {
            say(&format!("cargo xtask bench {:10} {}", bench.name, bench.about));
        }
        return Ok(());
    };
    let bench = BENCHES.iter().find(|bench| bench.name == name);
    let bench = bench.ok_or_else(|| Failure::new(format!("no benchmark is called {name}")))?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder).map_err(Failure::at(&folder))?;
    let rows = (bench.run)(options)?;
    say("\nmedians of all rounds; in brackets ours divided by theirs");
    rows.iter().for_each(Row::print);
    let path = folder.join(format!("{name}.json"));
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    fs::write(&path, serde_json::to_string_pretty(&rows)? + "\n").map_err(Failure::at(&path))?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: Option<f64>, aim: Option<Aim>) -> Row {
        let peers = [("nginx", 10.0), ("varnish", 8.0)];
        let peers = peers.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let [work, measure, unit] = ["w", "cpu_per_request", "us"].map(str::to_owned);
        Row { work, measure, unit, ours, peers, aim }
    }

    #[test]
    fn an_aim_is_met_or_not_or_cannot_be_judged() {
        let part = || Some(Aim::PartOf(0.6, "nginx"));
        let met = |row: Row| row.judged().map(|(_, met)| met);
        assert_eq!(met(row(Some(6.0), part())), Some(true));
        assert_eq!(met(row(Some(6.1), part())), Some(false));
        assert_eq!(met(row(Some(8.0), Some(Aim::Judged("<= 3".into(), false)))), Some(false));
        assert_eq!(met(row(Some(8.0), Some(Aim::BestPeer))), Some(true));
        assert_eq!(met(row(Some(8.1), Some(Aim::BestPeer))), Some(false));
        assert_eq!(met(row(Some(4.0), Some(Aim::PartOfBest(0.5)))), Some(true));
        assert_eq!(met(row(Some(4.1), Some(Aim::PartOfBest(0.5)))), Some(false));
        assert_eq!(met(row(Some(7.0), Some(Aim::AtMost(7.0)))), Some(true));
        assert_eq!(met(row(Some(7.1), Some(Aim::AtMost(7.0)))), Some(false));
        assert_eq!(met(row(None, part())), None);
        assert_eq!(met(row(Some(1.0), Some(Aim::PartOf(1.0, "absent")))), None);
        assert_eq!(met(row(Some(1.0), None)), None);
    }

    #[test]
    fn a_row_is_written_with_all_its_keys() {
        let written = row(Some(5.0), Some(Aim::PartOf(0.6, "nginx"))).json();
        let expected = json!({
            "work": "w", "measure": "cpu_per_request", "unit": "us", "ours": 5.0,
            "peers": { "nginx": 10.0, "varnish": 8.0 }, "aim": "<= 0.6 x nginx", "met": true,
        });
        assert_eq!(written, expected);
    }
}
