//! The house rules that a machine can check. Each finding says where, which rule, and the remedy.
//!
//! Rules about text are in `rules.rs`, about the shape of Rust in `source.rs`, about crates in
//! `layers.rs`.

mod layers;
mod rules;
mod source;

use std::fmt;
use std::time::Duration;

use crate::failure::Failure;
use crate::process::Task;
use crate::{generated, say};

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    remedy: String,
    /// A warning does not fail the check.
    warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, remedy: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, remedy: remedy.into(), warning: false }
    }

    fn warning(self) -> Self {
        Self { warning: true, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.warning { "warning" } else { "error" };
        write!(out, "{}:{}: {level}: {}: {}", self.path, self.line, self.rule, self.remedy)
    }
}

/// Checks everything.
pub(crate) fn run() -> Result<(), Failure> {
    let mut findings = layers::check()?;
    let mut long_functions = rules::LongFunctions::read()?;
    for path in files()? {
        // A file that was deleted and not yet committed is still listed.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        rules::check_text(&path, &text, &mut findings);
        if path.ends_with(".rs") {
            rules::check_rust(&path, &text, &mut long_functions, &mut findings);
        }
    }
    findings.extend(long_functions.gone());
    if !generated::is_fresh() {
        let remedy = "run `cargo xtask gen` and commit the result";
        findings.push(Finding::new(generated::REFERENCE, 1, "generated file is stale", remedy));
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        say(&finding.to_string());
    }
    let errors = findings.iter().filter(|finding| !finding.warning).count();
    say(&format!("tidy: {errors} errors, {} warnings", findings.len() - errors));
    if errors == 0 { Ok(()) } else { Err(Failure::new(format!("tidy: {errors} errors"))) }
}

/// All files of the project: what git follows, and new files that it does not ignore.
fn files() -> Result<Vec<String>, Failure> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listed = Task::new("git", &arguments).limit(Duration::from_secs(60)).output()?;
    let mut files: Vec<String> = listed.lines().map(str::to_owned).collect();
    files.sort_unstable();
    files.dedup();
    Ok(files)
}
