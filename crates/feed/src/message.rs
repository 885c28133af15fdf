//! The short messages of a node to control, and what it gets for joining.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::news::Tier;

/// A node that wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Join {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub tier: Tier,
    /// Its region.
    pub region: String,
    /// Where other nodes reach it.
    pub urls: Vec<String>,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Where DNS servers ask how it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// The version of its software.
    pub version: String,
}

/// What makes a process the node it says it is. Keep it secret.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Joined {
    /// Its name.
    pub name: String,
    /// The token it shows from now on.
    pub token: String,
    /// The key that opens what is sealed for nodes, in hexadecimal digits.
    pub seal_key: String,
    /// The log it joined.
    pub log: String,
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How far a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Ack {
    /// The log whose revisions these are.
    pub log: String,
    /// Everything up to this revision is in force.
    pub applied: u64,
    /// What of it could not be taken over; the last good form of it serves on.
    #[serde(default)]
    pub refused: Vec<Refusal>,
}

/// Something a node could not take over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Refusal {
    /// The revision that brought it.
    pub revision: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// How a node is. Sent each second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Report {
    /// The same as in [`Ack`].
    #[serde(flatten)]
    pub ack: Ack,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Why not, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// For how long it calls itself ready without a word from control, in milliseconds.
    #[serde(default)]
    pub lag_max_ms: u64,
    /// How busy it is.
    pub load: Load,
    /// What its cache does.
    pub cache: CacheFigures,
}

/// How busy a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Load {
    /// Part of all cores that is used, 0 to 1.
    pub cpu: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Client connections now.
    pub connections: u64,
    /// Requests in the last second.
    pub requests_per_s: f64,
    /// Bytes to clients in the last second.
    pub bytes_per_s: f64,
}

/// What a cache does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct CacheFigures {
    /// Requests answered from the store since the start.
    pub hits: u64,
    /// All requests since the start.
    pub requests: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
}
