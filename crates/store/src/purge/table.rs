//! The remembered purges, by what they cover. Pure: no lock, no file, no clock.
//!
//! Everything a purge can cover is one 64-bit keyed hash (its target), so a mark costs the same
//! whatever it stands for. An object is asked about by the hashes of its own key and tags.

use std::collections::HashMap;

use selvedge_policy::{KeyParts, KeySeed, tags, target};

use super::{PurgeKind, Scope, Strength};
use crate::memory::BuildKeyHasher;

/// A purge as the table and the journal know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) kind: PurgeKind,
    pub(crate) strength: Strength,
    pub(crate) revision: u64,
    /// What it covers; see [`Target`].
    pub(crate) target: Target,
    /// When it was given, in milliseconds of the store's time line.
    pub(crate) at_ms: u64,
}

/// What a purge covers, as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The hash of all of it.
    pub(crate) hash: u64,
    /// Of a tag the hash of its site, of a prefix that of its host.
    pub(crate) group: u64,
    /// Of a prefix the bytes of its path.
    pub(crate) length: u32,
}

impl Target {
    pub(crate) fn of(scope: &Scope<'_>, seed: &KeySeed) -> Self {
        let alone = |hash| Self { hash, group: 0, length: 0 };
        match *scope {
            Scope::Url { host, path, query } => alone(url_hash(seed, host, path, query)),
            Scope::Tag { site, tag } => {
                Self { hash: tags::hash(seed, site, tag), group: site_hash(seed, site), length: 0 }
            }
            Scope::Prefix { host, path } => Self {
                hash: prefix_hash(seed, host, path.as_bytes()),
                group: host_hash(seed, host),
                // No request target is that long.
                length: u32::try_from(path.len()).unwrap_or(u32::MAX),
            },
            Scope::Host(host) => alone(host_hash(seed, host)),
            Scope::Site(site) => alone(site_hash(seed, site)),
            Scope::Everything => alone(EVERYTHING),
            Scope::Path { site, path } => alone(path_hash(seed, site, path)),
        }
    }
}

/// The hash that stands for everything.
const EVERYTHING: u64 = 0;

fn url_hash(seed: &KeySeed, host: &str, path: &str, query: Option<&str>) -> u64 {
    let (host, path) = (host.as_bytes(), path.as_bytes());
    match query {
        None => seed.hash64(&[b"url", host, path]),
        Some(query) => seed.hash64(&[b"url", host, path, query.as_bytes()]),
    }
}

fn prefix_hash(seed: &KeySeed, host: &str, path: &[u8]) -> u64 {
    seed.hash64(&[b"prefix", host.as_bytes(), path])
}

fn host_hash(seed: &KeySeed, host: &str) -> u64 {
    seed.hash64(&[b"host", host.as_bytes()])
}

fn site_hash(seed: &KeySeed, site: &str) -> u64 {
    seed.hash64(&[b"site", site.as_bytes()])
}

fn path_hash(seed: &KeySeed, site: &str, path: &str) -> u64 {
    seed.hash64(&[b"path", site.as_bytes(), path.as_bytes()])
}

/// The newest purges of one target; 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    hard: u64,
    soft: u64,
    soft_at_ms: u64,
}

impl Mark {
    fn newest(&self) -> u64 {
        self.hard.max(self.soft)
    }

    fn merge(&mut self, other: &Self) {
        self.hard = self.hard.max(other.hard);
        if other.soft > self.soft {
            (self.soft, self.soft_at_ms) = (other.soft, other.soft_at_ms);
        }
    }

    fn add(&mut self, order: &Order) {
        match order.strength {
            Strength::Hard => self.hard = self.hard.max(order.revision),
            Strength::Soft if order.revision > self.soft => {
                (self.soft, self.soft_at_ms) = (order.revision, order.at_ms);
            }
            Strength::Soft => {}
        }
    }
}

/// What becomes of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No purge covers it.
    Clean,
    /// Stale since then, in milliseconds of the store's time line.
    Stale(u64),
    /// Purges that are forgotten may cover it: it answers nobody before it has been validated.
    Validate,
    /// It is gone.
    Gone,
}

/// All remembered purges.
#[derive(Debug, Default)]
pub(crate) struct Table {
    marks: HashMap<u64, Mark, BuildKeyHasher>,
    /// The newest purge of each kind.
    newest: [u64; PurgeKind::ALL.len()],
    /// The newest purge of any tag, by site.
    tagged: HashMap<u64, u64, BuildKeyHasher>,
    /// By host: the lengths of prefixes and the newest purge of each.
    lengths: HashMap<u64, Vec<(u32, u64)>, BuildKeyHasher>,
    /// Purges up to this one may be forgotten.
    floor: u64,
    revision: u64,
}

impl Table {
    /// A table that knows no purge up to `revision`.
    pub(crate) fn new(revision: u64, floor: u64) -> Self {
        Self { revision, floor, ..Self::default() }
    }

    /// The newest purge.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Up to which purge some may be forgotten.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// How many marks are held.
    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Remembers a purge, unless it is forgotten already.
    pub(crate) fn add(&mut self, order: &Order) {
        self.revision = self.revision.max(order.revision);
        if order.revision <= self.floor {
            return;
        }
        let Target { hash, group, length } = order.target;
        self.marks.entry(hash).or_default().add(order);
        let newest = &mut self.newest[order.kind as usize];
        *newest = order.revision.max(*newest);
        match order.kind {
            PurgeKind::Tag => {
                let newest = self.tagged.entry(group).or_default();
                *newest = order.revision.max(*newest);
            }
            PurgeKind::Prefix => {
                let lengths = self.lengths.entry(group).or_default();
                match lengths.iter_mut().find(|(known, _)| *known == length) {
                    Some((_, newest)) => *newest = order.revision.max(*newest),
                    None => lengths.push((length, order.revision)),
                }
            }
            PurgeKind::Url
            | PurgeKind::Host
            | PurgeKind::Site
            | PurgeKind::Everything
            | PurgeKind::Path => {}
        }
    }

    /// Whether this purge is still what is remembered of its target.
    pub(crate) fn holds(&self, order: &Order) -> bool {
        self.marks.get(&order.target.hash).is_some_and(|mark| match order.strength {
            Strength::Hard => mark.hard == order.revision,
            Strength::Soft => mark.soft == order.revision,
        })
    }

    /// The newest purges after `since` that cover a key whatever its tags are.
    pub(crate) fn on_key(&self, seed: &KeySeed, full_key: &[u8], since: u64) -> Mark {
        let mut sum = Mark::default();
        let mut merge = |hash| {
            if let Some(mark) = self.marks.get(&hash) {
                sum.merge(mark);
            }
        };
        let asked = |kind: PurgeKind| self.newest[kind as usize] > since;
        if asked(PurgeKind::Everything) {
            merge(EVERYTHING);
        }
        let Some(KeyParts { site, host, path, query, .. }) = KeyParts::read(full_key) else {
            return sum;
        };
        if asked(PurgeKind::Site) {
            merge(site_hash(seed, site));
        }
        if asked(PurgeKind::Path) {
            merge(path_hash(seed, site, path));
        }
        if asked(PurgeKind::Url) {
            merge(url_hash(seed, host, path, query));
        }
        if !asked(PurgeKind::Host) && !asked(PurgeKind::Prefix) {
            return sum;
        }
        let name = target::host_name(host);
        for host in [Some(host), (name != host).then_some(name)].into_iter().flatten() {
            let group = host_hash(seed, host);
            merge(group);
            for (length, newest) in self.lengths.get(&group).into_iter().flatten() {
                let begin = usize::try_from(*length).ok().and_then(|n| path.as_bytes().get(..n));
                if let Some(begin) = begin.filter(|_| *newest > since) {
                    merge(prefix_hash(seed, host, begin));
                }
            }
        }
        sum
    }

    /// What becomes of a response that was fetched or checked at `since`. `on_key` is what covers
    /// its key.
    pub(crate) fn verdict(&self, on_key: &Mark, tags: &[u64], since: u64) -> Verdict {
        let mut sum = *on_key;
        if self.newest[PurgeKind::Tag as usize] > since {
            tags.iter().filter_map(|tag| self.marks.get(tag)).for_each(|mark| sum.merge(mark));
        }
        if sum.hard > since {
            Verdict::Gone
        } else if since < self.floor {
            Verdict::Validate
        } else if sum.soft > since {
            Verdict::Stale(sum.soft_at_ms)
        } else {
            Verdict::Clean
        }
    }

    /// Whether any tag of the site of a key was purged after `since`.
    pub(crate) fn may_tag(&self, seed: &KeySeed, full_key: &[u8], since: u64) -> bool {
        self.newest[PurgeKind::Tag as usize] > since
            && KeyParts::read(full_key).is_some_and(|parts| {
                let newest = self.tagged.get(&site_hash(seed, parts.site));
                newest.is_some_and(|newest| *newest > since)
            })
    }

    /// Forgets the purges up to `revision`.
    pub(crate) fn forget(&mut self, revision: u64) {
        self.floor = self.floor.max(revision.min(self.revision));
        let floor = self.floor;
        self.marks.retain(|_, mark| {
            if mark.hard <= floor {
                mark.hard = 0;
            }
            if mark.soft <= floor {
                mark.soft = 0;
            }
            mark.newest() > 0
        });
        self.marks.shrink_to_fit();
        self.tagged.retain(|_, newest| *newest > floor);
        self.lengths.retain(|_, lengths| {
            lengths.retain(|(_, newest)| *newest > floor);
            !lengths.is_empty()
        });
    }

    /// The revision to forget up to so that at most `keep` marks are left.
    pub(crate) fn surplus(&self, keep: usize) -> Option<u64> {
        let surplus = self.marks.len().checked_sub(keep).filter(|surplus| *surplus > 0)?;
        let mut newest: Vec<u64> = self.marks.values().map(Mark::newest).collect();
        Some(*newest.select_nth_unstable(surplus - 1).1)
    }
}
