//! What all records of the log add up to. Pure: a record in, another state out; copies share what
//! is alike, so the state that requests look at never changes under them.

pub(crate) mod digest;
pub(crate) mod proof;
pub(crate) mod record;
mod saved;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use imbl::{HashMap, OrdMap, Vector};
use selvedge_config::HostPattern;
use selvedge_feed as feed;
use selvedge_feed::{Member, News};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use digest::Digest;
use record::{Certificate, Deed, Object, Once, Record, Token, TokenKind};
pub(crate) use saved::Saved;

/// Versions of a site that are kept.
const VERSIONS_MAX: usize = 100;
/// Bytes of the documents of those.
const VERSIONS_BYTES_MAX: usize = 1 << 20;
/// Answers that are remembered for requests that come again.
const ANSWERS_MAX: usize = 10_000;
/// Bytes of those.
const ANSWERS_BYTES_MAX: usize = 64 << 20;
/// How long an answer is remembered.
const ANSWER_MS: i64 = 24 * 3600 * 1000;

/// Everything control knows that outlives it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) revision: u64,
    pub(crate) sites: OrdMap<String, Arc<Site>>,
    pub(crate) nodes: OrdMap<String, Arc<Node>>,
    pub(crate) tokens: OrdMap<String, Arc<Token>>,
    /// How often each body in storage is used.
    pub(crate) blobs: HashMap<Digest, Blob>,
    /// Pushed objects of all sites.
    pub(crate) objects: u64,
    /// Bytes of all bodies in storage that are used.
    pub(crate) bytes: u64,
    answers: HashMap<String, Arc<Answer>>,
    /// The same in the order they were given: when, and the key.
    answered: Vector<(i64, String)>,
    answers_bytes: usize,
}

/// A site: what it was and is, and what was pushed to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    /// Oldest first. The last one is what the site is now.
    pub(crate) versions: Vector<Arc<Version>>,
    pub(crate) objects: OrdMap<Arc<str>, Arc<Object>>,
    pub(crate) certificate: Option<Arc<Certificate>>,
}

/// One version of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) version: u64,
    pub(crate) revision: u64,
    pub(crate) at_ms: i64,
    pub(crate) by: String,
    /// `None`: removed.
    pub(crate) document: Option<Value>,
    /// Bytes of the document as JSON.
    pub(crate) bytes: usize,
}

/// A node that joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) member: Member,
    /// The digest of its token's secret.
    pub(crate) secret: Digest,
    pub(crate) version: String,
    pub(crate) joined_ms: i64,
}

/// A body in storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) uses: u32,
    pub(crate) bytes: u64,
}

/// What a request was answered that must not be carried out twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) at_ms: i64,
    pub(crate) once: Once,
}

impl Answer {
    fn bytes(&self) -> usize {
        self.once.key.len() + self.once.body.len() + size_of::<Self>()
    }
}

impl Site {
    /// What it is now, unless it was removed.
    pub(crate) fn current(&self) -> Option<(&Version, &Value)> {
        let last = self.versions.last()?;
        last.document.as_ref().map(|document| (&**last, document))
    }

    /// The number of its last version.
    pub(crate) fn last_version(&self) -> u64 {
        self.versions.last().map_or(0, |version| version.version)
    }
}

impl State {
    /// The site of this name, unless it was removed.
    pub(crate) fn site(&self, name: &str) -> Option<&Arc<Site>> {
        self.sites.get(name).filter(|site| site.current().is_some())
    }

    /// Every site that is there, by name.
    pub(crate) fn live_sites(&self) -> impl Iterator<Item = (&String, &Site, &Version, &Value)> {
        self.sites.iter().filter_map(|(name, site)| {
            site.current().map(|(version, document)| (name, &**site, version, document))
        })
    }

    /// The site that has a host, by its own name or by a pattern.
    pub(crate) fn owner(&self, host: &str) -> Option<&str> {
        let hosts = |document: &Value, wanted: &str| {
            let hosts = document["hosts"].as_array().into_iter().flatten();
            hosts.filter_map(Value::as_str).any(|own| is_same_host(own, wanted))
        };
        let find = |wanted: &str| {
            let mut sites = self.live_sites();
            sites.find(|(.., document)| hosts(document, wanted)).map(|(name, ..)| name.as_str())
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut rest = host;
        find(host)
            .or_else(|| {
                std::iter::from_fn(|| {
                    rest = rest.split_once('.')?.1;
                    Some(find(&format!("*.{rest}")))
                })
                .flatten()
                .next()
            })
            .or_else(|| find("*"))
    }

    /// What a request with this key was answered, if it is remembered.
    pub(crate) fn answer(&self, key: &str, now_ms: i64) -> Option<&Once> {
        let answer = self.answers.get(key)?;
        (answer.at_ms + ANSWER_MS > now_ms).then_some(&answer.once)
    }

    /// Takes over a record. What it tells nodes, if anything.
    pub(crate) fn apply(&mut self, record: &Record) -> Option<News> {
        self.revision = record.revision;
        match &record.deed {
            Deed::SitePut { name, document } => self.version(name, Some(document), record),
            Deed::SiteRemoved { name } => self.remove_site(name, record),
            Deed::Published { site, put, removed } => self.publish(site, put, removed),
            Deed::Purged { .. } | Deed::Answered => {}
            Deed::NodeJoined { member, secret, version, join } => {
                let node = Node {
                    member: (**member).clone(),
                    secret: *secret,
                    version: version.clone(),
                    joined_ms: record.at_ms,
                };
                self.nodes.insert(member.name.clone(), Arc::new(node));
                self.use_up(join);
            }
            Deed::NodeRemoved { name } => {
                self.nodes.remove(name);
            }
            Deed::IntentSet { name, intent } => {
                if let Some(node) = self.nodes.get_mut(name) {
                    Arc::make_mut(node).member.intent = *intent;
                }
            }
            Deed::CertificatePut { site, certificate } => {
                let site = Arc::make_mut(self.sites.entry(site.clone()).or_default());
                site.certificate = Some(Arc::new(certificate.clone()));
            }
            Deed::CertificateRemoved { site } => {
                if let Some(site) = self.sites.get_mut(site) {
                    Arc::make_mut(site).certificate = None;
                }
            }
            Deed::TokenCreated { token } => {
                self.tokens.insert(token.id.clone(), Arc::new(token.clone()));
            }
            Deed::TokenRevoked { id } => {
                self.tokens.remove(id);
            }
        }
        if let Some(once) = &record.once {
            self.remember(Answer { at_ms: record.at_ms, once: once.clone() });
        }
        self.told(&record.deed)
    }

    /// What nodes are told of a deed that has just been applied.
    fn told(&self, deed: &Deed) -> Option<News> {
        let version = match deed {
            Deed::SitePut { name, .. } => self.sites.get(name).map_or(0, |it| it.last_version()),
            _ => 0,
        };
        let member = match deed {
            Deed::IntentSet { name, .. } => self.nodes.get(name).map(|node| &node.member),
            _ => None,
        };
        deed.news(version, member)
    }

    fn version(&mut self, name: &str, document: Option<&Value>, record: &Record) {
        let site = Arc::make_mut(self.sites.entry(name.to_owned()).or_default());
        let version = Version {
            version: site.last_version() + 1,
            revision: record.revision,
            at_ms: record.at_ms,
            by: record.by.clone(),
            document: document.cloned(),
            bytes: document.map_or(0, |document| document.to_string().len()),
        };
        site.versions.push_back(Arc::new(version));
        let mut bytes: usize = site.versions.iter().map(|version| version.bytes).sum();
        while site.versions.len() > 1
            && (site.versions.len() > VERSIONS_MAX || bytes > VERSIONS_BYTES_MAX)
        {
            bytes -= site.versions.pop_front().map_or(0, |version| version.bytes);
        }
    }

    fn remove_site(&mut self, name: &str, record: &Record) {
        self.version(name, None, record);
        let Some(site) = self.sites.get_mut(name) else { return };
        let site = Arc::make_mut(site);
        site.certificate = None;
        let objects = std::mem::take(&mut site.objects);
        objects.values().for_each(|object| self.release(object));
    }

    fn publish(&mut self, name: &str, put: &[(String, Arc<Object>)], removed: &[String]) {
        let mut entry = self.sites.remove(name).unwrap_or_default();
        let site = Arc::make_mut(&mut entry);
        for path in removed {
            if let Some(old) = site.objects.remove(path.as_str()) {
                self.release(&old);
            }
        }
        for (path, object) in put {
            self.claim(object);
            if let Some(old) = site.objects.insert(Arc::from(path.as_str()), Arc::clone(object)) {
                self.release(&old);
            }
        }
        self.sites.insert(name.to_owned(), entry);
    }

    fn claim(&mut self, object: &Object) {
        self.objects += 1;
        let blob = self.blobs.entry(object.sha256).or_insert(Blob { uses: 0, bytes: object.bytes });
        if blob.uses == 0 {
            self.bytes += blob.bytes;
        }
        blob.uses += 1;
    }

    fn release(&mut self, object: &Object) {
        self.objects -= 1;
        let Some(blob) = self.blobs.get_mut(&object.sha256) else { return };
        blob.uses -= 1;
        if blob.uses == 0 {
            self.bytes -= blob.bytes;
            self.blobs.remove(&object.sha256);
        }
    }

    /// A node joined with this token.
    fn use_up(&mut self, join: &str) {
        let Some(token) = self.tokens.get_mut(join) else { return };
        let TokenKind::Join { uses_left } = &mut Arc::make_mut(token).kind else { return };
        *uses_left = uses_left.saturating_sub(1);
        if *uses_left == 0 {
            self.tokens.remove(join);
        }
    }

    fn remember(&mut self, answer: Answer) {
        let now_ms = answer.at_ms;
        self.answered.push_back((now_ms, answer.once.key.clone()));
        self.answers_bytes += answer.bytes();
        let before = self.answers.insert(answer.once.key.clone(), Arc::new(answer));
        self.answers_bytes -= before.map_or(0, |before| before.bytes());
        while let Some((at_ms, key)) = self.answered.front()
            && (at_ms + ANSWER_MS <= now_ms
                || self.answered.len() > ANSWERS_MAX
                || self.answers_bytes > ANSWERS_BYTES_MAX)
        {
            let is_this = self.answers.get(key).is_some_and(|known| known.at_ms == *at_ms);
            if is_this && let Some(old) = self.answers.remove(key) {
                self.answers_bytes -= old.bytes();
            }
            self.answered.pop_front();
        }
    }

    /// What a node must know of it.
    pub(crate) fn for_nodes(&self) -> feed::State {
        let mut told = feed::State { revision: self.revision, ..feed::State::default() };
        for (name, site, version, document) in self.live_sites() {
            let told_site = feed::Site {
                version: version.version,
                document: Arc::new(document.clone()),
                pushed: site.objects.keys().cloned().collect(),
            };
            told.sites.insert(name.clone(), Arc::new(told_site));
            if let Some(certificate) = &site.certificate {
                let pair = feed::Pair {
                    chain: certificate.chain.clone(),
                    sealed_key: certificate.sealed_key.clone(),
                };
                told.certificates.insert(name.clone(), Arc::new(pair));
            }
        }
        for (name, node) in &self.nodes {
            told.nodes.insert(name.clone(), Arc::new(node.member.clone()));
        }
        told
    }
}

/// Whether a host of a document, written as somebody wrote it, is this one in its normal form.
fn is_same_host(own: &str, wanted: &str) -> bool {
    let is_address = own.starts_with('[') || own.contains(':');
    if is_address {
        return HostPattern::parse(own).is_ok_and(|own| match own {
            HostPattern::Exact(own) => own == wanted.trim_matches(['[', ']']),
            HostPattern::Any | HostPattern::Below(_) => false,
        });
    }
    own.strip_suffix('.').unwrap_or(own).eq_ignore_ascii_case(wanted)
}
