//! What the log is made of: one record for each revision.

use std::sync::Arc;

use selvedge_feed::{Intent, Member, News, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::Digest;

/// Bytes of a record of an object but for its texts: its digest, times and the names of all.
const OBJECT_BYTES: usize = 200;
/// Bytes around a text in a list.
const QUOTES_BYTES: usize = 3;

/// A change that was made, by whom, and what they were answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) revision: u64,
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// The name of the token that made it.
    pub(crate) by: String,
    /// The address it came from.
    pub(crate) from: String,
    pub(crate) request_id: String,
    pub(crate) deed: Deed,
    /// What the request is known by, if it must not be carried out twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) once: Option<Once>,
}

/// A request that is answered the same however often it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Once {
    /// The token and the Idempotency-Key.
    pub(crate) key: String,
    /// What it asked for: the same key for something else is a mistake.
    pub(crate) asked: Digest,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case")]
pub(crate) enum Deed {
    SitePut {
        name: String,
        document: Value,
    },
    SiteRemoved {
        name: String,
    },
    Published {
        site: String,
        put: Vec<(String, Arc<Object>)>,
        removed: Vec<String>,
    },
    Purged {
        targets: Vec<Target>,
        soft: bool,
    },
    NodeJoined {
        member: Box<Member>,
        secret: Digest,
        version: String,
        join: String,
    },
    NodeRemoved {
        name: String,
    },
    IntentSet {
        name: String,
        intent: Intent,
    },
    CertificatePut {
        site: String,
        certificate: Certificate,
    },
    CertificateRemoved {
        site: String,
    },
    TokenCreated {
        token: Token,
    },
    TokenRevoked {
        id: String,
    },
    /// Nothing: it was so already. Kept for the answer, so that the same request is answered the
    /// same and does nothing later either.
    Answered,
}

/// A pushed object: what it is served with. Its bytes are in storage under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
    pub(crate) content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<String>,
    /// Shared by all objects that one request brought.
    #[serde(default, skip_serializing_if = "has_none")]
    pub(crate) tags: Arc<[String]>,
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
}

fn has_none(tags: &[String]) -> bool {
    tags.is_empty()
}

impl Object {
    /// Bytes of what the log says of it, about.
    fn bytes_said(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + QUOTES_BYTES).sum();
        let rules = self.cache_control.as_ref().map_or(0, String::len);
        OBJECT_BYTES + self.content_type.len() + rules + tags
    }
}

/// A certificate whose key is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) sealed_key: String,
    /// Seconds since 1970.
    pub(crate) not_after_s: i64,
    pub(crate) names: Vec<String>,
}

/// Who may do what. The secret itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The digest of its secret.
    pub(crate) secret: Digest,
    pub(crate) kind: TokenKind,
    /// Milliseconds since 1970.
    pub(crate) created_ms: i64,
    pub(crate) expires_ms: Option<i64>,
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenKind {
    /// People and programs that use the API.
    Api {
        scopes: Vec<Scope>,
        /// The sites it is limited to.
        sites: Option<Vec<String>>,
    },
    /// Nodes that want to join; each uses it up once.
    Join { uses_left: u32 },
}

/// What a token may be used for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, PartialOrd, Ord,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scope {
    /// See sites, objects, nodes and status.
    Read,
    /// Change sites and certificates.
    Config,
    /// Purge, and prefetch.
    Purge,
    /// Push and remove objects.
    Push,
    /// Change what nodes are to do.
    Node,
    /// Everything, tokens as well.
    Admin,
}

impl Deed {
    /// Bytes of what the log says of it, about: of what many requests together could make long.
    /// All else is bounded by the body of its request.
    pub(crate) fn bytes_said(&self) -> usize {
        let Self::Published { put, removed, .. } = self else { return 0 };
        let put = put.iter().map(|(path, object)| path.len() + object.bytes_said());
        let removed = removed.iter().map(|path| path.len() + QUOTES_BYTES);
        put.chain(removed).sum()
    }

    /// What nodes are told of it.
    pub(crate) fn news(&self, version: u64, member: Option<&Member>) -> Option<News> {
        Some(match self {
            Self::SitePut { name, document } => {
                News::Site { name: name.clone(), version, document: document.clone() }
            }
            Self::SiteRemoved { name } => News::SiteGone { name: name.clone() },
            Self::Published { site, put, removed } => News::Objects {
                site: site.clone(),
                put: put.iter().map(|(path, _)| path.clone()).collect(),
                gone: removed.clone(),
            },
            Self::Purged { targets, soft } => News::Purge { targets: targets.clone(), soft: *soft },
            Self::NodeJoined { member, .. } => News::Node((**member).clone()),
            Self::IntentSet { .. } => News::Node(member?.clone()),
            Self::NodeRemoved { name } => News::NodeGone { name: name.clone() },
            Self::CertificatePut { site, certificate } => News::Certificate {
                site: site.clone(),
                chain: certificate.chain.clone(),
                sealed_key: certificate.sealed_key.clone(),
            },
            Self::CertificateRemoved { site } => News::CertificateGone { site: site.clone() },
            Self::TokenCreated { .. } | Self::TokenRevoked { .. } | Self::Answered => return None,
        })
    }

    /// It in a line, for the audit log.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::SitePut { name, .. } => format!("site {name} put"),
            Self::SiteRemoved { name } => format!("site {name} removed"),
            Self::Published { site, put, removed } => match (put.as_slice(), removed.as_slice()) {
                ([(path, _)], []) => format!("object {site}{path} put"),
                ([], [path]) => format!("object {site}{path} removed"),
                (put, removed) => {
                    format!("objects of {site}: {} put, {} removed", put.len(), removed.len())
                }
            },
            Self::Purged { targets, soft } => {
                let how = if *soft { "softly" } else { "hard" };
                match targets.as_slice() {
                    [one] => format!("purged {how}: {}", shown(one)),
                    more => format!("purged {how}: {} targets", more.len()),
                }
            }
            Self::NodeJoined { member, .. } => format!("node {} joined", member.name),
            Self::NodeRemoved { name } => format!("node {name} removed"),
            Self::IntentSet { name, intent } => format!("node {name} set {}", intent.word()),
            Self::CertificatePut { site, .. } => format!("certificate of {site} put"),
            Self::CertificateRemoved { site } => format!("certificate of {site} removed"),
            Self::TokenCreated { token } => format!("token {} ({}) created", token.id, token.name),
            Self::TokenRevoked { id } => format!("token {id} revoked"),
            Self::Answered => "nothing: it was so already".to_owned(),
        }
    }
}

fn shown(target: &Target) -> String {
    match target {
        Target::Url(url) => format!("url {url}"),
        Target::Tag { site, tag } => format!("tag {tag} of {site}"),
        Target::Prefix(prefix) => format!("prefix {prefix}"),
        Target::Host(host) => format!("host {host}"),
        Target::Site(site) => format!("site {site}"),
        Target::Path { site, path } => format!("path {site}{path}"),
        Target::Everything => "everything".to_owned(),
    }
}
