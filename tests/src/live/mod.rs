//! A live channel that nobody has to film: an origin of HLS, low-latency HLS and MPEG-DASH whose
//! every byte follows from its name, and players that watch it by the hundred.
//!
//! [`Channel`] is the model: pure, moved on by hand or by a clock, it says what a request gets now.
//! [`LiveOrigin`] is the server around it: it holds requests, streams what is being made, counts.
//!
//! | path | what |
//! |---|---|
//! | `/live/main.m3u8` | multivariant playlist |
//! | `/live/v0/index.m3u8` | media playlist of the first rendition |
//! | `/live/v0/init.mp4`, `/live/v0/s17.m4s` | its init segment, its segment 17 |
//! | `/live/v0/s17.p2.m4s` | part 2 of that, from 0 |
//! | `/live/number.mpd`, `/live/timeline.mpd` | the same segments for DASH, in both forms |

mod audience;
mod bytes;
mod channel;
mod held;
mod mpd;
mod name;
mod origin;
mod plan;
mod player;
mod playlist;
#[cfg(test)]
mod tests;
mod wire;

pub use audience::{Seen, watch};
pub use channel::{Ask, Channel, Growing, Lost, Reply, Verdict};
pub use held::{Answered, Waiting};
pub use name::Name;
pub use origin::LiveOrigin;
pub use plan::{Caching, Parts, Plan};
