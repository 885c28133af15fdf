//! What control tells nodes and what they tell it: the lines of the change stream, the state they
//! add up to, and the short messages of a node. Pure: no socket, no file, no clock.
//!
//! The stream is JSON, one [`Line`] to a line of text. It begins with [`Line::Hello`]; then comes
//! either what is newer than the revision that was asked for, or everything there is. A revision
//! may take several lines: it counts when the one without `more` has come, whole or not at all.
//!
//! ```text
//! hello{whole: false} -> news(r+1) -> news(r+2, more) -> news(r+2) -> heartbeat(r+2) -> ...
//! hello{whole: true}  -> news(r, more) ... -> news(r) -> heartbeat(r) -> ...
//! ```

mod line;
mod message;
mod news;
mod seal;
mod state;
mod vitals;

pub use line::{LINE_BYTES_MAX, Line};
pub use message::{Ack, CacheFigures, Join, Joined, Load, Refusal, Report};
pub use news::{Intent, Member, News, Target, Tier};
pub use seal::{SEAL_KEY_BYTES, SealKey, Unsealed};
pub use state::{Pair, Site, State};
pub use vitals::{Burden, Vitals};
