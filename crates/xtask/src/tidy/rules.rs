//! Rules about single files. They read text, so they can be fooled; they are there for slips.

use std::collections::BTreeMap;
use std::path::Path;

use super::Finding;
use super::source::{Function, functions, mask, tests_begin};
use crate::failure::Failure;

const LINE_COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 800;
const FILE_LINES_WARN: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Words that have no place in the project, put together here so that this file does not hold
/// them, and why.
fn denied() -> [(String, &'static str); 8] {
    let word = |a: &str, b: &str| format!("{a}{b}");
    [
        (word("FIX", "ME"), "fix it, or write `TODO: when <condition>`"),
        (word("XX", "X:"), "fix it, or write `TODO: when <condition>`"),
        (word("todo", "!("), "write it"),
        (word("unimplemented", "!("), "write it"),
        (word("dbg", "!("), "remove it"),
        (word("/wo", "rk/"), "no path of one machine belongs here"),
        (word("../sha", "red"), "say it here: the reader has only this repository"),
        (word("/ho", "me/"), "no path of one machine belongs here"),
    ]
}

/// Calls that read the clock.
const CLOCK_CALLS: [&str; 2] = ["Instant::now", "SystemTime::now"];
/// The one file that may make them in the product.
const CLOCK_FILE: &str = "crates/net/src/clock.rs";

/// Rules for every text file.
pub(super) fn check_text(path: &str, text: &str, findings: &mut Vec<Finding>) {
    // The list of denied words of this file would find itself in a lock file by chance.
    if path == "Cargo.lock" {
        return;
    }
    for (index, line) in text.lines().enumerate() {
        for (word, remedy) in denied() {
            if line.contains(&word) {
                findings.push(Finding::new(path, index + 1, "denied word", remedy));
            }
        }
        if path.ends_with("package-lock.json") && line.contains("\"resolved\"") {
            let remedy = "remove the address: npm takes its own registry";
            findings.push(Finding::new(path, index + 1, "registry in a lock file", remedy));
        }
    }
}

/// Rules for Rust files.
pub(super) fn check_rust(
    path: &str,
    text: &str,
    long_functions: &mut LongFunctions,
    findings: &mut Vec<Finding>,
) {
    if !text.starts_with("//!") {
        let remedy = "say first what the file is for and what it must never do: `//! ...`";
        findings.push(Finding::new(path, 1, "module without documentation", remedy));
    }
    check_sizes(path, text, findings);
    let masked = mask(text);
    check_calls(path, text, &masked, findings);
    findings.extend(functions(&masked).iter().filter_map(|it| long_functions.judge(path, it)));
}

fn check_sizes(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        let remedy = format!("{lines} lines: split it by concept (at most {FILE_LINES_MAX})");
        findings.push(Finding::new(path, lines, "file too long", remedy));
    } else if lines > FILE_LINES_WARN {
        let remedy = format!("{lines} lines: is it one concept? (warned above {FILE_LINES_WARN})");
        findings.push(Finding::new(path, lines, "file long", remedy).warning());
    }
    for (index, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            let remedy = format!("{columns} columns: break it (at most {LINE_COLUMNS_MAX})");
            findings.push(Finding::new(path, index + 1, "line too long", remedy));
        }
    }
}

fn check_calls(path: &str, text: &str, masked: &str, findings: &mut Vec<Finding>) {
    let tests_begin = tests_begin(masked);
    // Deadlines of timers in the network crate are on the runtime's clock, which tests can stop.
    let timers = path.starts_with("crates/net/")
        && masked
            .lines()
            .any(|line| line.starts_with("use tokio::time::") && has_word(line, &["Instant"]));
    let reads_clock = |line: &str| {
        CLOCK_CALLS.iter().any(|call| line.contains(call) && !(timers && *call == CLOCK_CALLS[0]))
    };
    let mut lines = text.lines();
    for (index, line) in masked.lines().enumerate() {
        let written = lines.next().unwrap_or_default();
        let in_tests = is_test_file(path) || index + 1 >= tests_begin;
        if !in_tests && path != CLOCK_FILE && reads_clock(line) {
            let remedy = "take the time as an argument, or from net::Clock";
            findings.push(Finding::new(path, index + 1, "clock read", remedy));
        }
        let roles_allowed = path.starts_with("crates/selvedge/") || is_test_file(path);
        if !roles_allowed && has_word(written, &["role", "roles"]) {
            let remedy = "edge and parent are one program below crates/selvedge: say what differs";
            findings.push(Finding::new(path, index + 1, "the word role", remedy));
        }
    }
}

/// Tests, benchmarks and automation: they may do what the product may not.
fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path.starts_with("crates/xtask/")
        || path.contains("/benches/")
        || path.contains("/tests/")
        || path.ends_with("tests.rs")
}

fn has_word(line: &str, words: &[&str]) -> bool {
    line.split(|c: char| !c.is_alphanumeric())
        .any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

/// Functions that were too long when the rule came: the list only shrinks.
pub(super) struct LongFunctions {
    /// `path name` -> lines allowed.
    allowed: BTreeMap<String, usize>,
    seen: Vec<String>,
}

const LIST: &str = "crates/xtask/long-functions.txt";

impl LongFunctions {
    pub(super) fn read() -> Result<Self, Failure> {
        let path = Path::new(LIST);
        Self::parse(&std::fs::read_to_string(path).map_err(Failure::at(path))?)
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let mut allowed = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (function, lines) = line.rsplit_once(' ').unwrap_or((line, ""));
            let lines = lines.parse().map_err(|_| Failure::new(format!("{LIST}: {line}")))?;
            allowed.insert(function.to_owned(), lines);
        }
        Ok(Self { allowed, seen: Vec::new() })
    }

    fn judge(&mut self, path: &str, function: &Function) -> Option<Finding> {
        if function.lines <= FUNCTION_LINES_MAX {
            return None;
        }
        let key = format!("{path} {}", function.name);
        let allowed = self.allowed.get(&key).copied().unwrap_or(FUNCTION_LINES_MAX);
        self.seen.push(key);
        (function.lines > allowed).then(|| {
            let Function { name, line, lines } = function;
            let remedy = format!("`{name}` has {lines} lines: split it (at most {allowed})");
            Finding::new(path, *line, "function too long", remedy)
        })
    }

    /// Entries that are no longer needed.
    pub(super) fn gone(&self) -> Vec<Finding> {
        let gone = self.allowed.keys().filter(|key| !self.seen.contains(key));
        gone.map(|key| {
            let remedy = format!("`{key}` is short enough now: remove it from the list");
            Finding::new(LIST, 1, "list longer than needed", remedy)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_found(path: &str, text: &str) -> Vec<&'static str> {
        let mut findings = Vec::new();
        let mut long = LongFunctions::parse("").unwrap();
        check_text(path, text, &mut findings);
        check_rust(path, text, &mut long, &mut findings);
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    const PRODUCT: &str = "crates/store/src/fill.rs";

    #[test]
    fn a_clean_file_has_no_findings() {
        assert!(rules_found(PRODUCT, "//! Good.\nfn a() {}\n").is_empty());
    }

    #[test]
    fn slips_are_found() {
        assert_eq!(rules_found(PRODUCT, "fn a() {}"), ["module without documentation"]);
        for word in [denied()[0].0.as_str(), denied()[5].0.as_str(), denied()[6].0.as_str()] {
            assert_eq!(rules_found(PRODUCT, &format!("//! a {word}")), ["denied word"]);
        }
        let wide = format!("//! {}", "ä".repeat(97));
        assert_eq!(rules_found(PRODUCT, &wide), ["line too long"]);
        assert!(rules_found(PRODUCT, &wide.replacen('ä', "", 1)).is_empty());
        let long = format!("//! a\n{}", "\n".repeat(800));
        assert_eq!(rules_found(PRODUCT, &long), ["file too long"]);
    }

    #[test]
    fn the_clock_is_read_in_one_file_and_in_tests() {
        let code = "//! a\nfn a() { Instant::now(); }\n";
        assert_eq!(rules_found(PRODUCT, code), ["clock read"]);
        assert!(rules_found(CLOCK_FILE, code).is_empty());
        assert!(rules_found("tests/src/flash.rs", code).is_empty());
        let inline = "//! a\n#[cfg(test)]\nmod tests {\n    fn a() { Instant::now(); }\n}\n";
        assert!(rules_found(PRODUCT, inline).is_empty());
        assert!(rules_found(PRODUCT, "//! a\n// Instant::now is banned\n").is_empty());
        let timer = "//! a\nuse tokio::time::{Instant, sleep};\nfn a() { Instant::now(); }\n";
        assert!(rules_found("crates/net/src/tunnel.rs", timer).is_empty());
        assert_eq!(rules_found(PRODUCT, timer), ["clock read"]);
    }

    #[test]
    fn the_word_role_lives_in_one_crate() {
        let code = "//! a\n// the role\n";
        assert_eq!(rules_found(PRODUCT, code), ["the word role"]);
        assert!(rules_found("crates/selvedge/src/main.rs", code).is_empty());
        assert!(rules_found(PRODUCT, "//! a\n// controlled, enrolled\n").is_empty());
    }

    #[test]
    fn the_list_of_long_functions_only_shrinks() {
        let function = |lines| Function { name: "serve".to_owned(), line: 3, lines };
        let mut list = LongFunctions::parse("# why\na.rs serve 90\nb.rs gone 80\n").unwrap();
        assert!(list.judge("a.rs", &function(90)).is_none());
        assert!(list.judge("a.rs", &function(91)).is_some());
        assert!(list.judge("c.rs", &function(70)).is_none());
        assert!(list.judge("c.rs", &function(71)).is_some());
        let gone = list.gone();
        assert_eq!(gone.len(), 1);
        assert!(gone[0].remedy.contains("b.rs gone"));
    }

    #[test]
    fn addresses_in_an_npm_lock_file_are_found() {
        let mut findings = Vec::new();
        check_text("tests/conformance/package-lock.json", "\"resolved\": \"x\"", &mut findings);
        assert_eq!(findings.len(), 1);
    }
}
