//! Taking over what has come: whole revisions, configuration before purges, and all of it before
//! anybody hears that it is in force. What cannot be served is refused, and its last good form
//! serves on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use selvedge_feed::{Ack, News, Refusal, Site, State, Target};

use crate::group::Revision;
use crate::identity::Identity;
use crate::keep::{Folder, Known};
use crate::standing::Standing;

/// Refusals that control is told of.
const REFUSALS_MAX: usize = 100;
/// Bytes of the reason of one.
const REASON_BYTES_MAX: usize = 4 << 10;

/// What serves, and drops what was purged.
pub trait Sink: Send + 'static {
    /// This node is known to control as this one from now on.
    fn identify(&mut self, identity: &Identity);

    /// What of the changed part of a state cannot be served. Changes nothing that is served.
    fn check(&mut self, state: &State, changed: &Changed) -> Vec<Objection>;

    /// Serves this state, which was checked.
    ///
    /// # Errors
    /// Why it does not, for the operator; then what was served before is served on.
    fn serve(&mut self, state: &State) -> Result<(), String>;

    /// Drops what these cover, each with whether it becomes stale instead. In force on return.
    ///
    /// # Errors
    /// Why it would not outlive a restart, for the operator.
    fn purge(&mut self, targets: &[(Target, bool)]) -> Result<(), String>;

    /// Everything up to this revision is about to come into force. From now on other nodes must
    /// not answer this one with what they knew before it.
    fn applying(&mut self, revision: u64);

    /// Everything up to this revision is in force.
    fn applied(&mut self, revision: u64);
}

/// What of a state is another than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Sites that were put.
    pub sites: BTreeSet<String>,
    /// Sites whose certificate was put.
    pub certificates: BTreeSet<String>,
}

/// What can be refused of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Its document.
    Site,
    /// Its certificate.
    Certificate,
}

/// Why something cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The site it is of.
    pub site: String,
    /// What of it.
    pub part: Part,
    /// What is wrong with it.
    pub reason: String,
}

impl Changed {
    fn by(news: &[News]) -> Self {
        let mut changed = Self::default();
        for news in news {
            match news {
                News::Site { name, .. } => drop(changed.sites.insert(name.clone())),
                News::Certificate { site, .. } => drop(changed.certificates.insert(site.clone())),
                News::SiteGone { .. }
                | News::Objects { .. }
                | News::Purge { .. }
                | News::Node(_)
                | News::NodeGone { .. }
                | News::CertificateGone { .. } => {}
            }
        }
        changed
    }

    /// Everything there is.
    #[must_use]
    pub fn all(state: &State) -> Self {
        Self {
            sites: state.sites.keys().cloned().collect(),
            certificates: state.certificates.keys().cloned().collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.certificates.is_empty()
    }
}

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) log: String,
    pub(crate) whole: bool,
    /// What is stored may have been purged without our hearing of it.
    pub(crate) missed_purges: bool,
}

/// Takes over what comes.
pub(crate) struct Taker<S> {
    name: String,
    sink: S,
    folder: Folder,
    /// What is in force; of a log.
    known: Option<Known>,
    /// A purge is in force that a restart would undo: what is kept must not go beyond it.
    is_ahead: bool,
    refused: BTreeMap<(String, Part), Refusal>,
    /// Why the newest state cannot be served as a whole.
    unserved: Option<Refusal>,
    standing: Arc<Standing>,
}

impl<S: Sink> Taker<S> {
    /// Of a node that serves `known` already.
    pub(crate) fn new(
        name: &str,
        sink: S,
        folder: Folder,
        known: Option<Known>,
        standing: Arc<Standing>,
    ) -> Self {
        let name = name.to_owned();
        let refused = BTreeMap::new();
        let (is_ahead, unserved) = (false, None);
        let mut taker = Self { name, sink, folder, known, is_ahead, refused, unserved, standing };
        taker.applied();
        taker
    }

    /// The log and the revision up to which everything is in force.
    pub(crate) fn since(&self) -> Option<(&str, u64)> {
        self.known.as_ref().map(|known| (known.log.as_str(), known.state.revision))
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn identify(&mut self, identity: &Identity) {
        self.sink.identify(identity);
    }

    /// How far it is.
    pub(crate) fn ack(&self) -> Ack {
        let Some((log, applied)) = self.since() else { return Ack::default() };
        let refused = self.unserved.iter().chain(self.refused.values());
        let refused = refused.take(REFUSALS_MAX).cloned().collect();
        Ack { log: log.to_owned(), applied, refused }
    }

    /// Takes over everything there is, in the place of everything known.
    pub(crate) fn replace(&mut self, stream: &Stream, revision: Revision) {
        let mut state = State::default();
        revision.news.iter().for_each(|news| state.apply(news));
        state.revision = revision.number;
        self.refused.clear();
        let mut changed = Changed::all(&state);
        // Once for what is new, once for what is put back in its place, once to be sure.
        for _ in 0..3 {
            let objections = self.sink.check(&state, &changed);
            if objections.is_empty() {
                break;
            }
            changed = Changed::default();
            for objection in objections {
                self.put_back(&mut state, &objection);
                match objection.part {
                    Part::Site => &mut changed.sites,
                    Part::Certificate => &mut changed.certificates,
                }
                .insert(objection.site.clone());
                self.refuse(revision.number, objection);
            }
        }
        self.sink.applying(state.revision);
        self.serve(&state);
        let is_known = self
            .since()
            .is_some_and(|(log, applied)| log == stream.log && applied <= revision.number);
        if stream.missed_purges || !is_known {
            self.purge_everything();
        }
        let log = stream.log.clone();
        self.keep(&log, &state, None);
        self.known = Some(Known { log, state });
        self.applied();
    }

    /// Puts the last good form in the place of what cannot be served. Where there is none, the site
    /// is not served; that its paths are pushed stays known.
    fn put_back(&self, state: &mut State, Objection { site: name, part, .. }: &Objection) {
        // Where the old form is objected to as well, there is no good one.
        let is_seen = self.refused.contains_key(&(name.clone(), *part));
        let old = self.known.as_ref().map(|known| &known.state).filter(|_| !is_seen);
        match part {
            Part::Site => {
                let Some(site) = state.sites.get_mut(name) else { return };
                let good = old.and_then(|old| old.sites.get(name));
                let good = good.map_or_else(Site::default, |good| Site::clone(good));
                *site = Arc::new(Site { pushed: site.pushed.clone(), ..good });
            }
            Part::Certificate => match old.and_then(|old| old.certificates.get(name)) {
                Some(pair) => drop(state.certificates.insert(name.clone(), Arc::clone(pair))),
                None => drop(state.certificates.remove(name)),
            },
        }
    }

    /// Takes over what is newer, in order. Purges come into force together at the end.
    pub(crate) fn extend(&mut self, revisions: Vec<Revision>) {
        let Some(Known { log, state }) = &self.known else { return };
        let (log, mut state) = (log.clone(), state.clone());
        let mut purges = Vec::new();
        let mut is_changed = false;
        let mut kept = Vec::with_capacity(revisions.len());
        for mut revision in revisions {
            for (targets, soft) in revision.news.iter().filter_map(News::purges) {
                purges.extend(targets.into_iter().map(|target| (target, soft)));
            }
            if revision.news.iter().any(News::is_configuration) {
                match self.candidate(&state, &revision) {
                    Some(candidate) => {
                        state = candidate;
                        is_changed = true;
                    }
                    None => revision.news.clear(),
                }
            }
            state.revision = revision.number;
            kept.push(revision);
        }
        self.sink.applying(state.revision);
        if is_changed {
            self.serve(&state);
        }
        if !purges.is_empty() {
            self.purge(&purges);
        }
        self.keep(&log, &state, Some(&kept));
        self.known = Some(Known { log, state });
        self.applied();
    }

    /// Everything up to here has been sent, and so it is in force.
    pub(crate) fn reach(&mut self, head: u64) {
        if self.since().is_some_and(|(_, applied)| head > applied) {
            self.extend(vec![Revision { number: head, news: Vec::new() }]);
        }
    }

    /// The state with a revision in it, if that can be served; else it is refused whole.
    fn candidate(&mut self, state: &State, revision: &Revision) -> Option<State> {
        let mut candidate = state.clone();
        revision.news.iter().for_each(|news| candidate.apply(news));
        candidate.revision = revision.number;
        let changed = Changed::by(&revision.news);
        let objections =
            if changed.is_empty() { Vec::new() } else { self.sink.check(&candidate, &changed) };
        if !objections.is_empty() {
            objections.into_iter().for_each(|it| self.refuse(revision.number, it));
            return None;
        }
        let gone = revision.news.iter().filter_map(|news| match news {
            News::SiteGone { name } => Some(name),
            _ => None,
        });
        let put_right = (changed.sites.iter().map(|name| (name, Part::Site)))
            .chain(changed.certificates.iter().map(|name| (name, Part::Certificate)))
            .chain(gone.flat_map(|name| [(name, Part::Site), (name, Part::Certificate)]));
        for (name, part) in put_right {
            self.refused.remove(&(name.clone(), part));
        }
        Some(candidate)
    }

    fn refuse(&mut self, revision: u64, Objection { site, part, mut reason }: Objection) {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        tracing::error!(revision, site, ?part, reason, "refused; its last good form serves on");
        self.refused.insert((site, part), Refusal { revision, reason });
    }

    fn serve(&mut self, state: &State) {
        if let Err(reason) = self.sink.serve(state) {
            tracing::error!(revision = state.revision, reason, "cannot be served");
            let (revision, reason) = (state.revision, reason);
            self.unserved = Some(Refusal { revision, reason });
        } else {
            self.unserved = None;
        }
    }

    /// Drops everything that is stored: some of it may have been purged unheard.
    pub(crate) fn purge_everything(&mut self) {
        self.purge(&[(Target::Everything, false)]);
    }

    fn purge(&mut self, targets: &[(Target, bool)]) {
        let was_ahead = self.is_ahead;
        let purged = self.sink.purge(targets);
        // The next one that is written down says that some before it are missing.
        self.is_ahead = purged.is_err();
        if let Err(reason) = purged {
            tracing::error!(count = targets.len(), reason, "purged, but not for good");
        } else if was_ahead {
            self.folder.begin_anew();
        }
    }

    /// Keeps a state, or only what these revisions brought. A restart that knows less hears again
    /// what it lacks.
    fn keep(&mut self, log: &str, state: &State, revisions: Option<&[Revision]>) {
        if self.is_ahead {
            return;
        }
        let kept = match revisions {
            Some(revisions) => self.folder.append(log, state, revisions),
            None => self.folder.replace(log, state),
        };
        if let Err(error) = kept {
            tracing::error!(%error, "what control says is not kept: a restart begins with less");
        }
    }

    fn applied(&mut self) {
        let Some(Known { state, .. }) = &self.known else { return };
        let own = state.nodes.get(&self.name);
        self.standing.set_intent(own.map(|member| member.intent).unwrap_or_default());
        self.standing.set_applied(state.revision);
        self.sink.applied(state.revision);
    }
}

#[cfg(test)]
mod tests;
