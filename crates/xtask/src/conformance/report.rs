//! The result of a run for people.

use serde_json::Value;

use super::outcome::{NOT_COUNTED, Outcomes, PASS, Test};
use crate::say;

/// Prints what did not pass and the totals.
pub(super) fn print(tests: &[Test], outcomes: &Outcomes, results: &Value) {
    for test in tests.iter().filter(|test| test.kind != "check") {
        let word = outcomes.of(&test.id);
        if word != PASS {
            let detail = results[&test.id].get(1).and_then(Value::as_str).unwrap_or_default();
            say(&format!("{word:10} {:9} {}: {} {detail}", test.kind, test.id, test.name));
        }
    }
    say("");
    say("                                  pass  total");
    let counted = |test: &&Test| test.suite != NOT_COUNTED;
    row("required", tests.iter().filter(counted).filter(|test| test.kind == "required"), outcomes);
    row("optional", tests.iter().filter(counted).filter(|test| test.kind == "optimal"), outcomes);
    row("behaviour, not judged", tests.iter().filter(|test| test.kind == "check"), outcomes);
    let other = tests.iter().filter(|test| test.suite == NOT_COUNTED && test.kind != "check");
    row("Surrogate-Control, not counted", other, outcomes);
}

fn row<'a>(name: &str, tests: impl Iterator<Item = &'a Test>, outcomes: &Outcomes) {
    let (mut passed, mut total) = (0, 0);
    for test in tests {
        total += 1;
        passed += usize::from(outcomes.of(&test.id) == PASS);
    }
    say(&format!("{name:32} {passed:>5}  {total:>5}"));
}
