//! What can be new for a node.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A change, as far as nodes are concerned.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum News {
    /// A site was put: this is the whole of it.
    Site {
        /// Its name.
        name: String,
        /// Which version of the site this is.
        version: u64,
        /// The keys of its `[[site]]` table, as JSON.
        document: Value,
    },
    /// A site is no more.
    SiteGone {
        /// Its name.
        name: String,
    },
    /// Objects were pushed, or removed.
    Objects {
        /// The site they belong to.
        site: String,
        /// Paths that are pushed now, replaced ones as well.
        put: Vec<String>,
        /// Paths that are not pushed any more.
        gone: Vec<String>,
    },
    /// Something must not answer any more.
    Purge {
        /// What.
        targets: Vec<Target>,
        /// It becomes stale rather than gone.
        soft: bool,
    },
    /// A node joined or changed.
    Node(Member),
    /// A node is no more.
    NodeGone {
        /// Its name.
        name: String,
    },
    /// The certificate of a site.
    Certificate {
        /// The site.
        site: String,
        /// The certificate and its chain, PEM.
        chain: String,
        /// Its key, PEM, sealed for the nodes; see [`crate::SealKey`].
        sealed_key: String,
    },
    /// A site has no certificate of its own any more.
    CertificateGone {
        /// The site.
        site: String,
    },
}

/// What a purge covers. Hosts and URLs are as the operator wrote them: the node brings them into
/// the form that its keys have, by the rules of the site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One URL, with host: every variant and slice.
    Url(String),
    /// Every response of a site that carries a tag.
    Tag {
        /// The site.
        site: String,
        /// The tag.
        tag: String,
    },
    /// Every URL that begins so, with host.
    Prefix(String),
    /// Every URL of a host.
    Host(String),
    /// Everything of a site.
    Site(String),
    /// A path of a site, on all its hosts and with any query.
    Path {
        /// The site.
        site: String,
        /// The path, in the form that keys have.
        path: String,
    },
    /// Everything.
    Everything,
}

/// Where a node stands between clients and origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Clients talk to it.
    Edge,
    /// Edges talk to it.
    Parent,
    /// Says which edge a client is to talk to.
    Dns,
}

impl Tier {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Parent => "parent",
            Self::Dns => "dns",
        }
    }
}

/// What the operator wants of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Takes traffic.
    #[default]
    Online,
    /// Serves what comes, and is not to be sent more.
    Draining,
    /// Takes no traffic.
    Offline,
}

impl Intent {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Draining => "draining",
            Self::Offline => "offline",
        }
    }
}

/// A node as others know it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub tier: Tier,
    /// Its region.
    pub region: String,
    /// Where it is reached: the URLs that other nodes and prefetches use.
    pub urls: Vec<String>,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Where DNS servers ask how it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// What the operator wants of it.
    pub intent: Intent,
}

impl News {
    /// What stored responses this makes wrong, and whether they may still be served stale.
    #[must_use]
    pub fn purges(&self) -> Option<(Vec<Target>, bool)> {
        match self {
            Self::Purge { targets, soft } => Some((targets.clone(), *soft)),
            Self::SiteGone { name } => Some((vec![Target::Site(name.clone())], false)),
            Self::Objects { site, put, gone } => {
                let path = |path: &String| Target::Path { site: site.clone(), path: path.clone() };
                Some((put.iter().chain(gone).map(path).collect(), false))
            }
            Self::Site { .. }
            | Self::Node(_)
            | Self::NodeGone { .. }
            | Self::Certificate { .. }
            | Self::CertificateGone { .. } => None,
        }
    }

    /// Whether it changes what a node serves, beyond dropping something.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Purge { .. })
    }
}
