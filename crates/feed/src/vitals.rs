//! What a node answers when it is asked how it is: `/health` at its admin listener.

use serde::{Deserialize, Serialize};

/// How a node is, for whoever sends clients to it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Vitals {
    /// Its name.
    pub node: String,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Why not, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How busy it is.
    pub load: Burden,
}

/// How busy a node is: each figure a share of what it has, 0 to 1; more than 1 is too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Burden {
    /// Processors, over the last second.
    pub cpu: f64,
    /// Bytes to clients, of `node.bandwidth`; 0 if that is not known.
    #[serde(default)]
    pub bandwidth: f64,
    /// Client connections, of `limits.connections`.
    #[serde(default)]
    pub connections: f64,
    /// Disks that are out of order.
    #[serde(default)]
    pub disk: f64,
}
