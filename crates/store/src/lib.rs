//! The cache: what is stored, what is being filled, and who waits for it.
//!
//! It accepts a response only with the proof that it may be stored (`policy::Storable`), gives it
//! to any number of readers while it still comes, and remembers what is not for sharing. It never
//! reads a clock, opens a socket or decides freshness. RFC 9111 2, 4.1 and 4.4.

mod again;
mod body;
mod codec;
mod counters;
pub mod disk;
mod entry;
mod error;
mod fields;
mod fill;
mod head;
mod inspect;
mod line;
mod lock;
mod memo;
mod memory;
mod object;
mod purge;
mod recall;
mod settings;
mod slice;
mod slices;
mod store;
mod tier;

#[cfg(test)]
mod support;
#[cfg(test)]
mod tests;

pub use body::{Body, BodySlices, SLICE_BYTES};
pub use counters::{CounterKind, Counters};
pub use disk::{Cursor, SiteBytes, Totals, Verified};
pub use entry::Entry;
pub use error::{FillError, PushError};
pub use fields::Fields;
pub use fill::slice::{SliceBegin, SliceWriter};
pub use fill::{FillOutcome, FillReader, FillWriter, Finished, Wanted};
pub use head::{BodyId, Derived, Head};
pub use inspect::{EntryPage, Inspected};
pub use memo::{Keep, Memo, Question};
pub use object::Object;
pub use purge::{Purge, PurgeError, PurgeKind, Scope, Strength};
pub use settings::Settings;
pub use slice::{Piece, SliceId};
pub use slices::{DiskSlice, DiskStep, Reading, SliceFound};
pub use store::{Begin, Opened, Stats, Store};
pub use tier::site_number;
