//! `/health`: how busy this node is, for DNS servers that send clients to it.

use selvedge_config::Config;
use selvedge_feed::{Burden, Vitals};
use selvedge_net::Clock;
use selvedge_node::Figures;
use std::sync::{Mutex, PoisonError};

/// Rates are of at least so long, however often is asked.
const SPAN_MS: u64 = 900;

/// Tells how the node is.
pub(crate) struct Teller {
    name: String,
    figures: Box<dyn Fn() -> Figures + Send + Sync>,
    /// Disks in order, of how many.
    disks: Box<dyn Fn() -> (usize, usize) + Send + Sync>,
    connections_max: f64,
    bandwidth: Option<f64>,
    clock: Clock,
    /// The last look, and what was told after it; held to compute it.
    last: Mutex<Look>,
}

struct Look {
    at_ms: u64,
    figures: Figures,
    burden: Burden,
}

impl Teller {
    pub(crate) fn new(
        config: &Config,
        clock: Clock,
        figures: Box<dyn Fn() -> Figures + Send + Sync>,
        disks: Box<dyn Fn() -> (usize, usize) + Send + Sync>,
    ) -> Self {
        let look =
            Look { at_ms: clock.now_mono_ms(), figures: figures(), burden: Burden::default() };
        Self {
            name: config.node.name.to_string(),
            figures,
            disks,
            connections_max: config.limits.connections as f64,
            bandwidth: config.node.bandwidth.map(|bytes| bytes.bytes() as f64),
            clock,
            last: Mutex::new(look),
        }
    }

    /// How the node is now.
    pub(crate) fn tell(&self) -> Vitals {
        let now_ms = self.clock.now_mono_ms();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = (self.figures)();
        let ms = now_ms.saturating_sub(last.at_ms);
        if ms >= SPAN_MS {
            last.burden = self.burden(&last.figures, &figures, ms);
            (last.at_ms, last.figures) = (now_ms, figures);
        }
        Vitals {
            node: self.name.clone(),
            ready: figures.why_not_ready.is_none(),
            why: figures.why_not_ready.map(str::to_owned),
            load: last.burden,
        }
    }

    fn burden(&self, before: &Figures, now: &Figures, ms: u64) -> Burden {
        let load = now.load(before, ms);
        let (sound, all) = (self.disks)();
        Burden {
            cpu: load.cpu,
            bandwidth: self.bandwidth.map_or(0.0, |most| load.bytes_per_s / most),
            connections: load.connections as f64 / self.connections_max,
            disk: if all == 0 { 0.0 } else { (all - sound.min(all)) as f64 / all as f64 },
        }
    }
}
