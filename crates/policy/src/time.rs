//! The instant at which something happens, as an argument.
//!
//! Two clocks, because they answer different questions. The monotonic one never steps, so ages,
//! lifetimes and stale windows are measured with it: a clock that is set forward or back neither
//! expires nor rejuvenates anything that is stored. The wall clock is compared with `Date`,
//! `Expires` and `Last-Modified` only, when a response arrives.

/// One reading of both clocks. Only the clock of the process makes one outside tests.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back. Its origin has no meaning.
    pub mono_ms: u64,
    /// Seconds since 1970-01-01T00:00:00Z; may step.
    pub wall_s: i64,
}
