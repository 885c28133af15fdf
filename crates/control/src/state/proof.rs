//! That a token is still what it was when a request came with it. A body takes its time, and a
//! change is made for nobody whose token was revoked meanwhile.

use super::State;
use super::digest::Digest;

/// Whose token a request brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A token of the API, or one to join with.
    Token { id: String, secret: Digest },
    /// That of a node.
    Node { name: String, secret: Digest },
}

impl Proof {
    /// Whether it holds in this state, at this time.
    pub(crate) fn holds(&self, state: &State, now_ms: i64) -> bool {
        match self {
            Self::Token { id, secret } => state.tokens.get(id).is_some_and(|token| {
                token.secret == *secret && token.expires_ms.is_none_or(|ends_ms| ends_ms > now_ms)
            }),
            Self::Node { name, secret } => {
                state.nodes.get(name).is_some_and(|node| node.secret == *secret)
            }
        }
    }
}
