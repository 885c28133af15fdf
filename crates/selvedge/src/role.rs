//! The roles. This is the only crate that knows the word: an edge and a parent are one program that
//! differ in whom they trust by default, and in the next hop their configuration names. Control is
//! another program in the same binary.

use selvedge_config::Profile;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Faces the public.
    Edge,
    /// Is asked by edges.
    Parent,
}

impl Role {
    /// The defaults that go with the role.
    pub(crate) fn profile(self) -> Profile {
        match self {
            Self::Edge => Profile::Facing,
            Self::Parent => Profile::Inner,
        }
    }

    /// The word for logs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Parent => "parent",
        }
    }
}
