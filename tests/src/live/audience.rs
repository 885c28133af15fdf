//! Many simulated players on one thread, half on each edge, and what they saw together.

use super::channel::Channel;
use super::name::Name;
use super::origin::LiveOrigin;
use super::player::Player;
use super::wire::Got;
use crate::crowd::runtime;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What all players saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Segments that the edge had.
    pub hits: usize,
    /// Segments for which a request waited for one that was under way.
    pub collapsed: usize,
    /// Segments that the edge asked for elsewhere.
    pub forwarded: usize,
    /// How long the first byte of each segment took.
    pub first_bytes: Vec<Duration>,
    /// Media playlists.
    pub playlists: usize,
    /// How often playback ran out of what was buffered.
    pub stalls: usize,
    /// What was wrong, in words; at most a few.
    pub wrong: Vec<String>,
}

/// What players write down while they watch.
pub(super) struct Watched {
    /// It knows the bytes of everything, whenever it is asked.
    channel: Channel,
    seen: Mutex<Seen>,
    /// What segments look like, made once for all.
    bytes: Mutex<HashMap<Name, Arc<Vec<u8>>>>,
}

/// So many things that were wrong are told.
const WRONG_MAX: usize = 20;
/// Players come within this time, evenly.
const ARRIVAL: Duration = Duration::from_secs(4);

/// Has so many players watch a channel at these edges for so long.
#[must_use]
pub fn watch(origin: &LiveOrigin, edges: &[SocketAddr], viewers: usize, time: Duration) -> Seen {
    let channel = origin.look(Channel::clone);
    let renditions = channel.renditions();
    let watched = Watched { channel, seen: Mutex::default(), bytes: Mutex::default() };
    let watched = Arc::new(watched);
    let begun = Instant::now();
    runtime().block_on(async {
        let mut players = JoinSet::new();
        for number in 0..viewers {
            let edge = edges[number % edges.len()];
            let arrival = begun + ARRIVAL.min(time / 4) * number as u32 / viewers as u32;
            let (until, watched) = (begun + time, Arc::clone(&watched));
            let player = Player { number, renditions, edge, until, watched };
            players.spawn(async move {
                tokio::time::sleep_until(arrival.into()).await;
                let outcome = player.watch().await;
                outcome.unwrap_or_else(|error| player.watched.wrong(format!("{number}: {error}")));
            });
        }
        players.join_all().await;
    });
    std::mem::take(&mut *watched.seen.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Watched {
    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn wrong(&self, what: String) {
        self.note(|seen| {
            if seen.wrong.len() < WRONG_MAX {
                seen.wrong.push(what);
            }
        });
    }

    pub(super) fn expect(&self, fact: bool, target: &str, got: &Got) {
        if !fact {
            self.wrong(format!("{target}: {} with {} bytes", got.status, got.body.len()));
        }
    }

    pub(super) fn playlist(&self) {
        self.note(|seen| seen.playlists += 1);
    }

    pub(super) fn stall(&self) {
        self.note(|seen| seen.stalls += 1);
    }

    /// A segment or an init segment came; the first byte after so long.
    pub(super) fn object(&self, name: Name, got: &Got, first_byte: Duration) {
        let right = self.bytes_of(name);
        self.expect(got.status == 200 && got.body == *right, &name.to_string(), got);
        if !matches!(name, Name::Segment(..)) {
            return;
        }
        // The last member is that of the node which was asked (RFC 9211 2).
        let status = got.head.field("cache-status").unwrap_or("");
        let ours = status.rsplit(", ").next().unwrap_or("");
        self.note(|seen| {
            seen.first_bytes.push(first_byte);
            let said = |word: &str| ours.split("; ").any(|part| part == word);
            if said("hit") {
                seen.hits += 1;
            } else if said("collapsed") {
                seen.collapsed += 1;
            } else {
                seen.forwarded += 1;
            }
        });
    }

    fn bytes_of(&self, name: Name) -> Arc<Vec<u8>> {
        let mut known = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            known
                .entry(name)
                .or_insert_with(|| Arc::new(self.channel.bytes(name).unwrap_or_default())),
        )
    }
}
