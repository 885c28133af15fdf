//! DNSSEC by signing online (RFC 4033 to 4035, RFC 9824): keys and when each of them signs, what
//! signatures are made over, where they are kept, and what denies what is not there.
//!
//! ```text
//! KeyRing (a file's text) ─→ schedule: who is in DNSKEY, who signs, who is in CDS, and when
//!        └─→ Signer of a zone ─→ Phase at a moment ─→ Writer: a set, and its signatures
//!                   └─ Signatures: shared by all zones; kept ones, and a budget for new ones
//! ```
//!
//! What is signed is what is sent: the name asked for, though a wildcard made it, and the time to
//! live in the reply. So no answer needs a proof that a wildcard was used rightly (RFC 4035 3.1.3.3
//! is for signatures made before the question was known), and any variant of a site's answer is
//! signed as it is. Nothing here reads a clock; time is an argument.

pub(crate) mod canonical;
pub(crate) mod denial;
mod key;
mod ring;
mod schedule;
mod signatures;
mod signer;

pub use key::{Algorithm, KeyError};
pub use ring::{KeyRing, KeyStatus};
pub use schedule::{KeyState, KeyTimes, Next, Plan, Standing, Timing, plan};
pub use signatures::{SignatureLimits, Signatures};
pub use signer::Signer;

pub(crate) use signatures::Purse;
pub(crate) use signer::{Phase, RRSIG_BYTES_MAX, Signing};
