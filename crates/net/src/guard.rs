//! Guard.

/// The error that a refused request body ends with.
#[derive(Debug)]
pub(crate) struct RefusedBody(pub(crate) crate::refusal::Refusal);

impl std::fmt::Display for RefusedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for RefusedBody {}
