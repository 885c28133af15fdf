//! The crash campaign: a node with a disk is killed again and again in the midst of a mixed load,
//! its files are damaged at times while it is down, and each time it must be ready again within
//! seconds and serve nothing but what the origin sent and nobody purged.
//!
//! ```text
//!   start --> sweep over all objects --> load of four visitors --> SIGKILL --> damage? --+
//!     ^                                       (at times SIGTERM)                          |
//!     +-----------------------------------------------------------------------------------+
//! ```
//!
//! What is checked of every answer is in `judge.rs`. What each visitor does, when the node is
//! killed and what is damaged comes from the seed; how the threads interleave does not.

mod damage;
mod judge;
mod load;
mod objects;
mod random;

use crate::config::{NodeConfig, Site};
use crate::node::Node;
use crate::origin::Origin;
use damage::{Damage, Lost, inflict};
use load::{Ending, HOST, Load, NAME, Tally};
use objects::{Object, Objects};
use random::Dice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What to do to the node.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// How often it is killed.
    pub kills: u32,
    /// What all else follows from.
    pub seed: u64,
    /// Told of each step.
    pub say: fn(&str),
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Starts of the node.
    pub starts: u32,
    /// Requests of all kinds.
    pub requests: u64,
    /// Purges that were answered with 200.
    pub purges: u64,
    /// Bodies cut off because the origin had moved on.
    pub cut_off: u64,
    /// Answers out of the store.
    pub hits: u64,
    /// Of those the ones right after a start: they came from the disk.
    pub recalled: u64,
    /// The longest time from start to readiness.
    pub ready_ms_max: u128,
}

/// How long a start may take, whatever state the files are in. It scans at most 256 MiB here.
const READY_MAX: Duration = Duration::from_secs(10);

impl Campaign {
    /// Runs it. The error says what was wrong, with the URL, in which round.
    ///
    /// # Panics
    ///
    /// When a node does not start, and when it has panicked.
    pub fn run(&self) -> Result<Report, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let objects = Arc::new(Objects::new());
        let origin = Origin::start();
        let shared = Arc::clone(&objects);
        origin.on_fn("*", move |req, _| shared.answer(req));
        let dice = Dice::new(self.seed);
        let disks: Vec<PathBuf> = (0..1 + dice.clone().below(2))
            .map(|number| folder.path().join(format!("disk-{number}")))
            .collect();
        for disk in &disks {
            std::fs::create_dir(disk).map_err(|error| error.to_string())?;
        }
        let mut runs = Runs {
            campaign: *self,
            objects,
            origin,
            disks,
            tally: Tally::default(),
            report: Report::default(),
            killed: 0,
            size_mib: 0,
        };
        let mut number = 0;
        while runs.killed < self.kills {
            let mut dice = dice.fork(number);
            runs.round(&mut dice).map_err(|wrong| format!("round {number}: {wrong}"))?;
            number += 1;
        }
        runs.last(&dice.fork(number)).map_err(|wrong| format!("last start: {wrong}"))?;
        Ok(runs.report())
    }
}

struct Runs {
    campaign: Campaign,
    objects: Arc<Objects>,
    origin: Origin,
    disks: Vec<PathBuf>,
    tally: Tally,
    report: Report,
    killed: u32,
    /// The size of each disk in the last configuration.
    size_mib: u64,
}

impl Runs {
    /// A start, a load, an end, and perhaps some damage.
    fn round(&mut self, dice: &mut Dice) -> Result<(), String> {
        let ending = match dice.below(100) {
            0..60 => Ending::Kill,
            60..75 => Ending::KillAtPurge,
            75..93 => Ending::Stop,
            _ => Ending::KillAtStop,
        };
        let all_there = !dice.chance(10) || self.disks.len() == 1;
        let there = if all_there { self.disks.len() } else { 1 };
        let disks = self.disks[..there].to_vec();
        let config = self.config(&disks, dice);
        if dice.chance(12) {
            self.kill_at_start(&config, dice);
        }
        let (mut node, ready_ms) = self.start(&config)?;
        let at = 20 + dice.below(500);
        let load = Load::new(&self.objects, &self.tally, &node, ending, at);
        let swept = load.sweep(dice);
        let result = match &swept {
            Ok(_) => load.run(dice),
            Err(wrong) => Err(wrong.clone()),
        };
        if ending == Ending::Stop && result.is_ok() {
            node.wait();
        }
        node.kill();
        result.map_err(|wrong| told(&node, &wrong))?;
        if node.stderr().all().iter().any(|line| line.contains("panicked")) {
            return Err(told(&node, "the node has panicked"));
        }
        self.killed += u32::from(ending != Ending::Stop);
        let recalled = swept.unwrap_or(0);
        self.report.recalled += recalled;
        let damage = match all_there {
            true => inflict(&self.disks, dice).map_err(|error| error.to_string())?,
            // The other disk alone knows what happened meanwhile: it is spared.
            false => Damage::none("a disk was left out"),
        };
        for object in &self.objects.all {
            if damage.lost >= Lost::Removals {
                object.forget_writes();
            }
            if damage.lost == Lost::Purges {
                object.forget_purges();
            }
        }
        self.origin.forget();
        let (killed, kills) = (self.killed, self.campaign.kills);
        (self.campaign.say)(&format!(
            "{killed:4}/{kills} {ending:?} after {at} requests; ready in {ready_ms} ms, \
             {recalled} from disk; {}",
            damage.told
        ));
        Ok(())
    }

    /// After all rounds: once more everything.
    fn last(&mut self, dice: &Dice) -> Result<(), String> {
        let config = self.config(&self.disks.clone(), &mut dice.fork(1));
        let (mut node, _) = self.start(&config)?;
        let load = Load::new(&self.objects, &self.tally, &node, Ending::Stop, 0);
        let swept = load.sweep(dice);
        if swept.is_ok() {
            node.terminate();
        }
        node.kill();
        swept.map(drop).map_err(|wrong| told(&node, &wrong))
    }

    /// Starts the node; it must be ready within [`READY_MAX`].
    fn start(&mut self, config: &NodeConfig) -> Result<(Node, u128), String> {
        let begun = Instant::now();
        let node = Node::edge(config);
        let took = begun.elapsed();
        self.report.starts += 1;
        self.report.ready_ms_max = self.report.ready_ms_max.max(took.as_millis());
        if took > READY_MAX {
            return Err(told(&node, &format!("ready after {took:?} only")));
        }
        Ok((node, took.as_millis()))
    }

    /// Kills the node while it reads what the last one left.
    fn kill_at_start(&mut self, config: &NodeConfig, dice: &mut Dice) {
        let mut node = Node::edge_not_awaited(config);
        let moment = Duration::from_micros(dice.below(60_000));
        crate::wait::eventually_within(moment, || false);
        node.kill();
        self.killed += 1;
    }

    /// A little memory, so that most answers come from disk, and disks that do not hold everything.
    fn config(&mut self, disks: &[PathBuf], dice: &mut Dice) -> NodeConfig {
        let size_mib = if dice.chance(80) { 64 } else { *dice.pick(&[96, 128]) };
        if size_mib < self.size_mib {
            // Segments beyond the new size are deleted, and records of removal with them.
            self.objects.all.iter().for_each(Object::forget_writes);
        }
        self.size_mib = size_mib;
        let disk = |path: &PathBuf| {
            let path = path.display().to_string();
            serde_json::json!({ "path": path, "size": format!("{size_mib}MiB") })
        };
        let disks: Vec<_> = disks.iter().map(disk).collect();
        let memory = *dice.pick(&["2MiB", "8MiB", "32MiB"]);
        NodeConfig::new(NAME)
            .set("cache", "memory", memory)
            .set("cache", "disk", disks)
            .set("log", "access", "off")
            .site(Site::any(&self.origin.url()))
    }

    fn report(&self) -> Report {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        Report {
            requests: read(&self.tally.requests),
            purges: read(&self.tally.purges),
            cut_off: read(&self.tally.cut_off),
            hits: read(&self.tally.hits),
            ..self.report
        }
    }
}

/// What was wrong, and what the node said last.
fn told(node: &Node, wrong: &str) -> String {
    let lines = node.stderr().all();
    let last = &lines[lines.len().saturating_sub(30)..];
    format!("{wrong}\nthe node of {HOST} said last:\n  {}", last.join("\n  "))
}

/// The folder in which campaigns keep their files, if it is to be another than the system's.
pub fn keep_files_in(folder: &Path) {
    // Nothing but this decides where `tempfile` makes folders; it may be said once.
    let _ = tempfile::env::override_temp_dir(folder);
}
