//! Why a configuration cannot be made ready to serve. It says which file is wrong and how, and
//! nothing of what is in it.

use selvedge_net::TlsError;
use std::fmt;
use std::path::PathBuf;

/// Why a key that signs cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFault {
    /// The file, or the key of the configuration that should say where it is.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Why a configuration cannot be made ready.
#[derive(Debug)]
pub enum Unready {
    /// Certificates to trust cannot be read.
    Trust(TlsError),
    /// A key that signs cannot.
    Key(KeyFault),
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trust(error) => error.fmt(f),
            Self::Key(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for Unready {}

impl From<TlsError> for Unready {
    fn from(error: TlsError) -> Self {
        Self::Trust(error)
    }
}

impl From<KeyFault> for Unready {
    fn from(fault: KeyFault) -> Self {
        Self::Key(fault)
    }
}
