//! Diagnostics for the operator: `tracing` events as text or JSON on standard error.
//!
//! error = page someone, warn = look today, info = state changed, debug = one request.

use std::fmt;

use tracing_subscriber::EnvFilter;

/// What an event looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosticsFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why diagnostics could not be set up.
#[derive(Debug)]
pub enum DiagnosticsError {
    /// The filter is not one: `info`, `warn,selvedge_net=debug`.
    Filter(String),
    /// Diagnostics were set up before.
    AlreadySet,
}

impl fmt::Display for DiagnosticsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(problem) => write!(out, "log filter: {problem}"),
            Self::AlreadySet => out.write_str("diagnostics are already set up"),
        }
    }
}

impl std::error::Error for DiagnosticsError {}

/// Sends events that pass `filter` (`info`, `warn,selvedge_net=debug`) to standard error, for the
/// whole process and for its whole life.
pub fn install_diagnostics(
    filter: &str,
    format: DiagnosticsFormat,
) -> Result<(), DiagnosticsError> {
    let filter = parse(filter)?;
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match format {
        DiagnosticsFormat::Json => base.json().flatten_event(true).try_init(),
        DiagnosticsFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            base.with_ansi(colour).with_target(false).try_init()
        }
    };
    installed.map_err(|_| DiagnosticsError::AlreadySet)
}

fn parse(filter: &str) -> Result<EnvFilter, DiagnosticsError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|problem| DiagnosticsError::Filter(problem.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_per_crate_levels_are_filters() {
        for filter in ["off", "error", "info", "warn,selvedge_net=debug"] {
            assert!(parse(filter).is_ok(), "{filter}");
        }
        let refused = parse("selvedge=loud").unwrap_err();
        assert!(refused.to_string().starts_with("log filter: "), "{refused}");
    }

    #[test]
    fn a_second_set_up_is_refused() {
        assert!(install_diagnostics("off", DiagnosticsFormat::Json).is_ok());
        let second = install_diagnostics("off", DiagnosticsFormat::Text);
        assert!(matches!(second, Err(DiagnosticsError::AlreadySet)));
    }
}
