//! A node that follows control: it joins once, reads the change stream, takes over whole revisions,
//! keeps what it knows on disk, and says how far it is and how it does.
//!
//! ```text
//!  control ~~ lines ~~> group.rs -> whole revisions -> take.rs -+- check: Sink
//!                                                               +- applying, serve, purge: Sink
//!                                                               +- keep.rs: snapshot and tail
//!                                                               +- applied: standing.rs, ack
//! ```
//!
//! What must hold: a revision is in force whole or not at all; its configuration before its purges,
//! both before it counts as applied, and that before control hears of it. What is on disk is never
//! newer than what is in force, so a restart at any instant at worst hears a purge again. What to
//! serve and how is for the [`Sink`]; nothing here knows of sites beyond their names.

mod control;
mod follower;
mod group;
mod identity;
mod keep;
mod load;
mod standing;
mod take;

pub use follower::{Following, Settings, start};
pub use identity::Identity;
pub use keep::{Folder, KeepError, Known, Opened};
pub use load::Figures;
pub use standing::Standing;
pub use take::{Changed, Objection, Part, Sink};
