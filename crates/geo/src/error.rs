//! Why a map, a database or a configuration was refused. A refusal is whole: whoever asked keeps
//! what it had before, and learns of every fault at once.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line of the text, from 1; `None` where there is no text.
    pub line: Option<usize>,
    /// What is wrong, for a person.
    pub text: String,
}

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { line: None, text: text.into() }
    }

    pub(crate) fn at(line: usize, text: impl Into<String>) -> Self {
        Self { line: Some(line), text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "line {line}: {}", self.text),
            None => out.write_str(&self.text),
        }
    }
}

/// A refusal of what was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The coverage map is broken; all its faults, up to [`FAULTS_MAX`].
    Coverage(Vec<Fault>),
    /// A database is not one, or is damaged.
    Database(String),
    /// Regions, nodes, sites or rules contradict each other.
    Config(Vec<Fault>),
}

impl Error {
    /// The stable word, for logs and counters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Coverage(_) => "coverage",
            Self::Database(_) => "database",
            Self::Config(_) => "config",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(text) => write!(out, "database: {text}"),
            Self::Coverage(faults) | Self::Config(faults) => {
                out.write_str(self.word())?;
                for fault in faults {
                    write!(out, "\n  {fault}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}

/// Faults that are listed; a file of a million broken lines is described well enough by these.
pub const FAULTS_MAX: usize = 100;
