//! What is used again for each packet, so that no answer allocates.

use crate::compress::Names;
use crate::dnssec::denial::Denial;
use crate::opt::Opt;
use crate::outcome::Outcome;
use crate::query::NameBuffer;
use crate::sites::Located;

/// Buffers that are used again for each packet.
#[derive(Clone, Debug)]
pub struct Scratch {
    pub(super) asked: NameBuffer,
    pub(super) opt: Opt,
    pub(super) names: Names,
    pub(super) desk: Desk,
}

/// What an answer out of a zone is made on.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) name: NameBuffer,
    pub(super) located: Located,
    pub(super) denial: Denial,
}

impl Scratch {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        let (asked, name) = (NameBuffer::new(), NameBuffer::new());
        let desk = Desk { name, located: Located::default(), denial: Denial::default() };
        Self { asked, opt: Opt::none(), names: Names::new(), desk }
    }

    /// The name that was last asked for, in wire form and lowercase; empty: none was.
    #[must_use]
    pub fn asked(&self) -> &[u8] {
        self.asked.as_wire()
    }

    /// What the rate of such answers is counted by, for [`crate::RateLimiter::check`].
    #[must_use]
    pub fn rate_name(&self, outcome: &Outcome<'_>) -> &[u8] {
        let asked = self.asked();
        &asked[asked.len().saturating_sub(usize::from(outcome.rate_name_bytes))..]
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}
