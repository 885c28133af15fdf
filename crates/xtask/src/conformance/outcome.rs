//! What became of each test, judged as the suite's own `lib/display.mjs` does, and the comparison
//! with the list of what is expected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::say;

/// A test of the suite.
#[derive(Debug, Deserialize)]
pub(super) struct Test {
    pub(super) id: String,
    pub(super) suite: String,
    pub(super) name: String,
    /// `required`, `optimal` or `check`.
    pub(super) kind: String,
    pub(super) depends_on: Vec<String>,
}

/// The suite tests a field that is not an RFC: listed, but not counted with the others.
pub(super) const NOT_COUNTED: &str = "surrogate-control";

/// What became of every test, by id: `pass`, or why not.
#[derive(Debug)]
pub(super) struct Outcomes(BTreeMap<String, &'static str>);

/// The word of a test that did what it asks for.
pub(super) const PASS: &str = "pass";

impl Outcomes {
    /// Judges the results of the suite's client.
    pub(super) fn judge(tests: &[Test], results: &Value) -> Result<Self, Failure> {
        let by_id: BTreeMap<&str, &Test> =
            tests.iter().map(|test| (test.id.as_str(), test)).collect();
        let mut outcomes = BTreeMap::new();
        for test in tests {
            let word = judge(test, &by_id, results, 0)?;
            outcomes.insert(test.id.clone(), word);
        }
        Ok(Self(outcomes))
    }

    pub(super) fn of(&self, id: &str) -> &'static str {
        self.0.get(id).copied().unwrap_or("untested")
    }

    /// An error when a test that is expected to pass does not, or the other way round.
    pub(super) fn compare(&self, tests: &[Test], expected: &Path) -> Result<(), Failure> {
        let expected = read(expected)?;
        let mut worse = Vec::new();
        let mut better = Vec::new();
        for test in tests.iter().filter(|test| test.kind != "check") {
            let passes = self.of(&test.id) == PASS;
            match (passes, expected.get(&test.id).map(|word| word == PASS)) {
                (false, Some(true) | None) => worse.push(test.id.as_str()),
                (true, Some(false)) => better.push(test.id.as_str()),
                _ => {}
            }
        }
        if !worse.is_empty() {
            let ids = worse.join(", ");
            return Err(Failure::new(format!("these must pass and do not: {ids}")));
        }
        if !better.is_empty() {
            let ids = better.join(", ");
            let remedy = "run `cargo xtask conformance --bless` and commit the shorter list";
            return Err(Failure::new(format!(
                "these pass and are listed as failing: {ids}\n{remedy}"
            )));
        }
        say("conformance: every test does what is expected");
        Ok(())
    }

    /// Writes the outcomes as the expected ones, unless one became worse.
    pub(super) fn bless(&self, tests: &[Test], path: &Path) -> Result<(), Failure> {
        let before = if path.exists() { read(path)? } else { BTreeMap::new() };
        let worse: Vec<&str> = tests
            .iter()
            .filter(|test| test.kind != "check" && self.of(&test.id) != PASS)
            .filter(|test| before.get(&test.id).is_some_and(|word| word == PASS))
            .map(|test| test.id.as_str())
            .collect();
        if !worse.is_empty() {
            let ids = worse.join(", ");
            return Err(Failure::new(format!(
                "the list may only shrink, but these fail now: {ids}"
            )));
        }
        fs::write(path, serde_json::to_string_pretty(&self.0)? + "\n")
            .map_err(Failure::at(path))?;
        say(&format!("wrote {}", path.display()));
        Ok(())
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::at(path))?;
    Ok(serde_json::from_str(&text)?)
}

/// How deep dependencies of dependencies are followed.
const DEPTH_MAX: usize = 16;

fn judge(
    test: &Test,
    by_id: &BTreeMap<&str, &Test>,
    results: &Value,
    depth: usize,
) -> Result<&'static str, Failure> {
    if depth > DEPTH_MAX {
        return Err(Failure::new(format!("{}: depends on itself", test.id)));
    }
    let Some(result) = results.get(&test.id) else { return Ok("untested") };
    for id in &test.depends_on {
        let unknown = || Failure::new(format!("{} depends on unknown {id}", test.id));
        let dependency = by_id.get(id.as_str()).ok_or_else(unknown)?;
        if judge(dependency, by_id, results, depth + 1)? != PASS {
            return Ok("dependency");
        }
    }
    Ok(match (result.get(0).and_then(Value::as_str), result.get(1).and_then(Value::as_str)) {
        _ if result == &Value::Bool(true) => PASS,
        (Some("Setup"), Some("retry")) => "retry",
        (Some("Setup"), _) => "setup",
        (Some("Assertion"), _) => "fail",
        _ => "harness",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn test(id: &str, kind: &str, depends_on: &[&str]) -> Test {
        Test {
            id: id.to_owned(),
            suite: "s".to_owned(),
            name: id.to_owned(),
            kind: kind.to_owned(),
            depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    fn tests() -> Vec<Test> {
        vec![
            test("a", "required", &[]),
            test("b", "required", &["a"]),
            test("c", "optimal", &["b"]),
            test("d", "check", &[]),
            test("e", "optimal", &[]),
        ]
    }

    #[test]
    fn outcomes_are_judged_as_the_suite_does() {
        let results = json!({
            "a": true, "b": ["Assertion", "no"], "c": true, "d": ["Setup", "retry"],
            "e": ["AbortError", "gone"],
        });
        let outcomes = Outcomes::judge(&tests(), &results).unwrap();
        let words = ["a", "b", "c", "d", "e", "f"].map(|id| outcomes.of(id));
        assert_eq!(words, ["pass", "fail", "dependency", "retry", "harness", "untested"]);
    }

    #[test]
    fn a_circle_of_dependencies_is_an_error() {
        let tests = [test("a", "required", &["b"]), test("b", "required", &["a"])];
        assert!(Outcomes::judge(&tests, &json!({ "a": true, "b": true })).is_err());
    }

    #[test]
    fn the_list_only_shrinks() {
        let path = std::env::temp_dir().join(format!("xtask-expected-{}", std::process::id()));
        let outcomes = |results| Outcomes::judge(&tests(), &results).unwrap();
        let no = json!(["Assertion", "no"]);
        let some = outcomes(json!({ "a": true, "b": no, "c": true, "d": no, "e": true }));
        some.bless(&tests(), &path).unwrap();
        assert!(some.compare(&tests(), &path).is_ok());

        let check_changed = outcomes(json!({ "a": true, "b": no, "c": no, "d": true, "e": true }));
        assert!(check_changed.compare(&tests(), &path).is_ok());

        let worse = outcomes(json!({ "a": true, "b": no, "c": true, "d": no, "e": no }));
        assert!(worse.compare(&tests(), &path).unwrap_err().to_string().contains("must pass"));
        assert!(worse.bless(&tests(), &path).is_err());

        let better = outcomes(json!({ "a": true, "b": true, "c": true, "d": no, "e": true }));
        assert!(better.compare(&tests(), &path).unwrap_err().to_string().contains("--bless"));
        better.bless(&tests(), &path).unwrap();
        assert!(better.compare(&tests(), &path).is_ok());
        assert!(some.compare(&tests(), &path).is_err());
        fs::remove_file(path).unwrap();
    }
}
