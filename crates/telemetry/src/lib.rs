//! What a node says about itself: counters, the access log, diagnostics.
//!
//! Counters are declared once, in the tables of `counters.rs` and `node.rs`, and are exported as
//! OpenMetrics text. A request costs a few relaxed atomic additions on handles its site resolved
//! when the configuration was loaded: no hashing and no lock. The access log is formatted into the
//! buffer of the worker and written by one thread; a log that cannot be written loses lines, which
//! are counted, and never delays a request. Nothing here reads a clock or imports a sister crate.

mod access;
mod counters;
mod diagnostics;
mod escape;
mod export;
mod node;
mod process;
mod record;
mod telemetry;
mod time;
mod words;
mod writer;

pub use access::{AccessLog, AccessSettings, LogFormat, LogTarget};
pub use counters::{Counter, Histogram, Sharded, SiteCounters, SiteShard, WordCounters};
pub use diagnostics::{DiagnosticsError, DiagnosticsFormat, install_diagnostics};
pub use export::{CONTENT_TYPE, Kind, Sample};
pub use node::NodeCounters;
pub use process::{ProcessFigures, process_figures};
pub use record::Record;
pub use telemetry::{SITES_MAX, Telemetry};
pub use time::{civil_from_days, write_clf, write_rfc3339_ms};
pub use words::{CacheResult, StaleReason, StatusClass};
