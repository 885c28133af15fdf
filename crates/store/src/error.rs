//! Why a fill ended without a whole body.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The end of a fill that did not succeed. Every reader of the fill gets the same one, except that
/// one which is too slow for the others may get its own.
#[derive(Clone, Debug)]
pub enum FillError {
    /// The writer was dropped before it finished: its task ended or was cancelled.
    Abandoned,
    /// Fewer bytes came than the head announced.
    Truncated,
    /// More bytes came than the head announced.
    Overrun,
    /// This reader stood still while others waited for it in a window: it alone has ended.
    Lagging,
    /// What the source of the bytes said; the caller that failed the fill knows its type.
    Source(Arc<dyn Error + Send + Sync>),
}

impl FillError {
    /// A stable word for logs and counters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Abandoned => "fill-abandoned",
            Self::Truncated => "fill-truncated",
            Self::Overrun => "fill-overrun",
            Self::Lagging => "fill-lagging",
            Self::Source(_) => "fill-source",
        }
    }

    /// A failure of the source, for all readers to see.
    pub fn of_source(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Source(Arc::new(error))
    }

    /// The error of the source, if it has type `E`.
    pub fn source_as<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Source(error) => error.downcast_ref(),
            Self::Abandoned | Self::Truncated | Self::Overrun | Self::Lagging => None,
        }
    }
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abandoned => "the fill was given up before its end",
            Self::Truncated => "the body ended before its announced length",
            Self::Overrun => "the body went on after its announced length",
            Self::Lagging => "this reader stood still while others waited for it",
            Self::Source(_) => "the source of the fill failed",
        })
    }
}

impl Error for FillError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source(error) => Some(&**error),
            Self::Abandoned | Self::Truncated | Self::Overrun | Self::Lagging => None,
        }
    }
}

/// Why a writer need not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// Nobody reads the fill and it cannot be stored.
    Abandoned,
    /// The chunk goes beyond the announced length; the fill has failed for all its readers.
    Overrun,
    /// The fill has ended, or its head was never given.
    Closed,
}

impl PushError {
    /// A stable word for logs and counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Abandoned => "fill-unwanted",
            Self::Overrun => "fill-overrun",
            Self::Closed => "fill-closed",
        }
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abandoned => "nobody reads this fill any more",
            Self::Overrun => "the body went on after its announced length",
            Self::Closed => "the fill takes no bytes",
        })
    }
}

impl Error for PushError {}
