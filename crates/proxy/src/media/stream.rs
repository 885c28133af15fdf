//! What is known of one stream: the manifests that lead into a folder, and who asks for what is in
//! it.

use super::streams::Room;
use super::viewers::Viewers;
use selvedge_media::{Ahead, Facts, Kind, Track, UnixMs};
use selvedge_telemetry::{Counter, Sharded};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Manifests of one folder; one more pushes out the one that was read longest ago.
const MANIFESTS_MAX: usize = 64;
/// Objects that were fetched ahead, or are being fetched, and that nobody asked for yet.
const AHEAD_MAX: usize = 256;
/// Segments that a cached playlist may lag behind.
const LAG_SEGMENTS: u64 = 3;
/// For how long somebody watches who was heard of, at least.
const WATCHED_MS: u64 = 10_000;

/// A folder of a host of a site with objects of a stream in it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) site: Box<str>,
    pub(super) host: Box<str>,
    pub(super) folder: Box<str>,
    pub(super) figures: Sharded<Figures>,
    viewers: Viewers,
    asked_ms: AtomicU64,
    /// It was dropped from the table: who still has it puts it back.
    pub(super) is_gone: AtomicBool,
    state: Mutex<State>,
}

/// What is counted of a stream.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) requests: Counter,
    pub(super) hits: Counter,
    pub(super) segments: Counter,
    pub(super) segment_hits: Counter,
    pub(super) errors: Counter,
    pub(super) prefetches: Counter,
    pub(super) prefetch_used: Counter,
    pub(super) rewinds: Counter,
    pub(super) reports: Counter,
    pub(super) stalls: Counter,
    pub(super) buffers: Counter,
    pub(super) buffers_ms: Counter,
}

#[derive(Debug, Default)]
struct State {
    /// The folder of the manifest above: that of a multivariant playlist.
    top: Option<Box<str>>,
    /// Of a media playlist of this stream, or the MPD: for what says nothing of itself.
    sample: Option<Facts>,
    manifests: Vec<Arc<Manifest>>,
    ahead: VecDeque<Claim>,
}

/// An object that is not to be fetched ahead again.
#[derive(Debug)]
struct Claim {
    object: u64,
    /// It was fetched, or is being fetched: asked for, it comes of use.
    is_fetched: bool,
}

/// A manifest, as it was read last.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Path and query, as in keys, without directives.
    pub(super) path: Box<str>,
    pub(super) facts: Facts,
    pub(super) tracks: Vec<Track>,
    /// When it was read, and when it was read and said something new.
    pub(super) read_ms: u64,
    pub(super) changed_ms: u64,
    /// Of its bytes.
    pub(super) hash: u64,
    /// What was asked for last of each track, and when.
    asked: Mutex<Vec<Option<Asked>>>,
    /// The memory of its tracks.
    _room: Option<Room>,
}

#[derive(Debug, Clone)]
struct Asked {
    path: Box<str>,
    range_start: Option<u64>,
    at_ms: u64,
}

/// A manifest that was read just now.
pub(super) struct Reading {
    pub(super) path: Box<str>,
    pub(super) facts: Facts,
    pub(super) tracks: Vec<Track>,
    pub(super) room: Option<Room>,
    pub(super) hash: u64,
}

/// One stream as operators see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamView {
    /// The site.
    pub site: String,
    /// The host that clients ask.
    pub host: String,
    /// The folder that all of it is below.
    pub folder: String,
    /// Whether more of it will come; none: no manifest was read.
    pub live: Option<bool>,
    /// Clients that asked for something in the last 15 to 30 seconds, about.
    pub viewers: u64,
    /// Requests since the stream was first seen.
    pub requests: u64,
    /// Of these, answered from the store.
    pub hits: u64,
    /// Requests for segments.
    pub segment_requests: u64,
    /// Of these, answered from the store.
    pub segment_hits: u64,
    /// Requests answered with an error.
    pub errors: u64,
    /// Objects fetched before a player asked.
    pub prefetched: u64,
    /// Of these, asked for since.
    pub prefetch_used: u64,
    /// Milliseconds since the live edge moved: since a manifest of it said something new. None of
    /// an MPD whose edge moves by the clock alone.
    pub edge_age_ms: Option<u64>,
    /// Target duration, in milliseconds.
    pub target_ms: Option<u64>,
    /// Times that a playlist went back.
    pub rewinds: u64,
    /// Requests with CMCD.
    pub reports: u64,
    /// Of these, with `bs`: the player had run dry.
    pub stalls: u64,
    /// Mean of the buffers that players told of, in milliseconds.
    pub buffer_ms: Option<u64>,
    /// The manifests that were read.
    pub manifests: Vec<ManifestView>,
}

/// One manifest of a stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestView {
    /// Path and query.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// Renditions that it lists segments of.
    pub renditions: usize,
    /// Number of the next segment of a playlist.
    pub next_segment: Option<u64>,
    /// Milliseconds since it was read.
    pub read_ms_ago: u64,
    /// Milliseconds since it said something new.
    pub changed_ms_ago: u64,
}

impl Stream {
    pub(super) fn new(site: &str, host: &str, folder: &str, now_ms: u64) -> Self {
        Self {
            site: site.into(),
            host: host.into(),
            folder: folder.into(),
            figures: Sharded::default(),
            viewers: Viewers::default(),
            asked_ms: AtomicU64::new(now_ms),
            is_gone: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// A client asked for something of it.
    pub(super) fn seen(&self, viewer: u64, now_ms: u64) {
        self.viewers.seen(viewer, now_ms);
        self.asked(now_ms);
    }

    pub(super) fn asked(&self, now_ms: u64) {
        if now_ms.saturating_sub(self.asked_ms.load(Relaxed)) > 100 {
            self.asked_ms.store(now_ms, Relaxed);
        }
    }

    pub(super) fn asked_ms(&self) -> u64 {
        self.asked_ms.load(Relaxed)
    }

    /// Whether somebody was heard of lately: within three target durations, and ten seconds.
    pub(super) fn is_watched(&self, now_ms: u64) -> bool {
        let target_ms = self.facts().map_or(0, |facts| facts.segment.as_millis());
        let span_ms = u64::try_from(target_ms * 3).unwrap_or(u64::MAX).max(WATCHED_MS);
        now_ms.saturating_sub(self.asked_ms()) <= span_ms
    }

    /// Facts of the stream that this belongs to, if any manifest was read.
    pub(super) fn facts(&self) -> Option<Facts> {
        self.lock().sample
    }

    /// The manifest of this path and query.
    pub(super) fn manifest(&self, path: &str) -> Option<Arc<Manifest>> {
        self.lock().manifests.iter().find(|known| &*known.path == path).cloned()
    }

    /// What the manifests say of an object that they lead to: those that name it, or else all that
    /// lead into its folder, if they agree whether it is live.
    pub(super) fn facts_of(&self, path: &str) -> Option<Facts> {
        if let Some((manifest, _)) = self.track_of(path) {
            return Some(manifest.facts);
        }
        let manifests = self.manifests();
        let mut streams = manifests.iter().map(|it| it.facts).filter(|it| !is_multivariant(it));
        let first = streams.next()?;
        streams.all(|other| other.is_live == first.is_live).then_some(first)
    }

    /// The manifest that names an object, and which of its tracks does.
    pub(super) fn track_of(&self, path: &str) -> Option<(Arc<Manifest>, usize)> {
        self.manifests().into_iter().find_map(|manifest| {
            let track = manifest.tracks.iter().position(|track| track.has(path))?;
            Some((manifest, track))
        })
    }

    /// Those that were read last first.
    fn manifests(&self) -> Vec<Arc<Manifest>> {
        self.lock().manifests.clone()
    }

    /// Takes what was read of a manifest. Whether it says something new.
    pub(super) fn learn(&self, reading: Reading, now_ms: u64) -> Learned {
        let mut state = self.lock();
        let place = state.manifests.iter().position(|known| known.path == reading.path);
        let before = place.map(|place| state.manifests.remove(place));
        let Reading { path, mut facts, tracks, room, hash } = reading;
        // What a delta update leaves out is behind everybody who asks for one.
        facts.is_delta = false;
        if let Some(before) = &before
            && facts.goes_back_from(&before.facts)
        {
            if !is_rewind(&facts, &before.facts) {
                let manifest = Arc::clone(before);
                state.put(&manifest);
                return Learned { manifest, is_new: false, is_first: false };
            }
            self.figures.here().rewinds.inc();
        }
        let is_new = before.as_ref().is_none_or(|before| before.hash != hash);
        let changed_ms = match &before {
            Some(before) if !is_new => before.changed_ms,
            _ => now_ms,
        };
        let asked = before.as_ref().map(|before| lock(&before.asked).clone());
        let mut asked = asked.unwrap_or_default();
        asked.resize(tracks.len(), None);
        let manifest = Arc::new(Manifest {
            path,
            facts,
            tracks,
            read_ms: now_ms,
            changed_ms,
            hash,
            asked: Mutex::new(asked),
            _room: room,
        });
        state.put(&manifest);
        let is_first = before.is_none();
        Learned { manifest, is_new, is_first }
    }

    /// Another folder's manifest leads into this one too.
    pub(super) fn adopt(&self, manifest: &Arc<Manifest>) {
        let mut state = self.lock();
        state.manifests.retain(|known| known.path != manifest.path);
        state.put(manifest);
    }

    /// The folder of the manifest above.
    pub(super) fn top(&self) -> Option<Box<str>> {
        self.lock().top.clone()
    }

    pub(super) fn set_top(&self, folder: &str) {
        if *folder != *self.folder {
            self.lock().top = Some(folder.into());
        }
    }

    /// What a manifest below said.
    pub(super) fn set_sample(&self, facts: Facts) {
        self.lock().sample = Some(facts);
    }

    /// Notes that an object is fetched ahead. False: it is already, or was.
    pub(super) fn claim(&self, object: u64) -> bool {
        let mut state = self.lock();
        if state.ahead.iter().any(|claim| claim.object == object) {
            return false;
        }
        if state.ahead.len() == AHEAD_MAX {
            state.ahead.pop_front();
        }
        state.ahead.push_back(Claim { object, is_fetched: false });
        true
    }

    /// Notes whether an object that is to be fetched ahead comes to be there.
    pub(super) fn set_fetched(&self, object: u64, is_fetched: bool) {
        let mut state = self.lock();
        if let Some(claim) = state.ahead.iter_mut().find(|claim| claim.object == object) {
            claim.is_fetched = is_fetched;
        }
    }

    /// Notes that an object was not fetched ahead and may be another time.
    pub(super) fn release(&self, object: u64) {
        self.lock().ahead.retain(|claim| claim.object != object);
    }

    /// Whether an object that was fetched ahead is asked for, for the first time.
    pub(super) fn redeem(&self, object: u64) -> bool {
        let mut state = self.lock();
        let place = state.ahead.iter().position(|claim| claim.object == object);
        place.and_then(|place| state.ahead.remove(place)).is_some_and(|claim| claim.is_fetched)
    }

    /// What this stream looks like together with those that belong to it.
    pub(super) fn view(&self, below: &[Arc<Self>], now_ms: u64) -> StreamView {
        let all = || std::iter::once(self).chain(below.iter().map(|it| &**it));
        let sum = |figure: fn(&Figures) -> &Counter| -> u64 {
            all().map(|it| it.figures.sum(|shard| figure(shard).get())).sum()
        };
        let buffers = sum(|it| &it.buffers);
        let mut manifests: Vec<Arc<Manifest>> = all().flat_map(Self::manifests).collect();
        manifests.sort_by(|a, b| a.path.cmp(&b.path));
        manifests.dedup_by(|a, b| a.path == b.path);
        let facts = all().find_map(Self::facts);
        let is_playable = |it: &&Arc<Manifest>| !is_multivariant(&it.facts);
        let edge = manifests.iter().filter(is_playable).map(|it| it.changed_ms).max();
        let live = facts.map(|facts| facts.is_live);
        StreamView {
            site: self.site.to_string(),
            host: self.host.to_string(),
            folder: self.folder.to_string(),
            live,
            viewers: all().map(|it| it.viewers.count(now_ms)).max().unwrap_or(0),
            requests: sum(|it| &it.requests),
            hits: sum(|it| &it.hits),
            segment_requests: sum(|it| &it.segments),
            segment_hits: sum(|it| &it.segment_hits),
            errors: sum(|it| &it.errors),
            prefetched: sum(|it| &it.prefetches),
            prefetch_used: sum(|it| &it.prefetch_used),
            edge_age_ms: edge
                .filter(|_| facts.is_some_and(|facts| facts.is_live && !facts.is_timed))
                .map(|edge_ms| now_ms.saturating_sub(edge_ms)),
            target_ms: facts
                .filter(|facts| !facts.segment.is_zero())
                .map(|facts| u64::try_from(facts.segment.as_millis()).unwrap_or(u64::MAX)),
            rewinds: sum(|it| &it.rewinds),
            reports: sum(|it| &it.reports),
            stalls: sum(|it| &it.stalls),
            buffer_ms: sum(|it| &it.buffers_ms).checked_div(buffers),
            manifests: manifests.iter().map(|it| it.view(now_ms)).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// What became of a manifest that was read.
pub(super) struct Learned {
    pub(super) manifest: Arc<Manifest>,
    /// It says something new.
    pub(super) is_new: bool,
    /// It is the first of its path.
    pub(super) is_first: bool,
}

impl State {
    fn put(&mut self, manifest: &Arc<Manifest>) {
        if !is_multivariant(&manifest.facts) {
            self.sample = Some(manifest.facts);
        }
        self.manifests.insert(0, Arc::clone(manifest));
        self.manifests.truncate(MANIFESTS_MAX);
    }
}

impl Manifest {
    /// What comes after an object of a track, which somebody asks for.
    pub(super) fn next(&self, track: usize, at: At<'_>, count: usize, now_ms: u64) -> Vec<Ahead> {
        let asked = Asked { path: at.path.into(), range_start: at.range_start, at_ms: now_ms };
        if let Some(slot) = lock(&self.asked).get_mut(track) {
            *slot = Some(asked);
        }
        self.tracks
            .get(track)
            .map_or_else(Vec::new, |track| track.next(at.path, at.range_start, count))
    }

    /// What comes next in the tracks that somebody watches.
    pub(super) fn watched(&self, since_ms: u64, count: usize) -> Vec<Ahead> {
        let asked = lock(&self.asked).clone();
        let tracks = self.tracks.iter().zip(asked);
        let watched = tracks.filter_map(|(track, asked)| {
            let asked = asked.filter(|asked| asked.at_ms >= since_ms)?;
            Some(track.next(&asked.path, asked.range_start, count))
        });
        watched.flatten().collect()
    }

    /// What a player asks for first. An MPD does not tell which of its tracks that will be.
    pub(super) fn start(&self, now: UnixMs, count: usize) -> Vec<Ahead> {
        match &*self.tracks {
            [track] => track.start(now, count),
            _ => Vec::new(),
        }
    }

    fn view(&self, now_ms: u64) -> ManifestView {
        ManifestView {
            path: self.path.to_string(),
            kind: self.facts.kind.word().to_owned(),
            renditions: self.tracks.len(),
            next_segment: self.facts.edge.map(|edge| edge.next_msn),
            read_ms_ago: now_ms.saturating_sub(self.read_ms),
            changed_ms_ago: now_ms.saturating_sub(self.changed_ms),
        }
    }
}

/// An object of a track, or a range of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) path: &'a str,
    pub(super) range_start: Option<u64>,
}

pub(super) fn is_multivariant(facts: &Facts) -> bool {
    facts.kind == Kind::Hls(selvedge_media::HlsForm::Multivariant)
}

/// Whether a playlist goes back so far that its encoder began anew. A little is what caches do: an
/// answer to a request that did not wait may be older than one to a request that did. One that has
/// ended, or had, is another.
fn is_rewind(facts: &Facts, before: &Facts) -> bool {
    let next = |facts: &Facts| facts.edge.map_or(0, |edge| edge.next_msn);
    facts.is_live != before.is_live || next(before).saturating_sub(next(facts)) > LAG_SEGMENTS
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
