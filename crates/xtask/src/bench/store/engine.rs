//! The benchmarks of the store's crate: each prints its own table and writes rows of the form of
//! `target/bench/NAME.json` to the file it is told with `--json`; they are taken over as they are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::super::{Aim, Options, Row};
use super::row;
use crate::failure::Failure;
use crate::node::{cargo, text};
use crate::process::Task;
use crate::say;

const FOLDER: &str = "crates/store/benches";

/// What can be measured so.
const BENCHES: [&str; 6] = ["start", "disk", "index", "ratio", "purge", "memory"];

/// Runs those that are wanted. One that fails shows as a row whose aim is not met, so that the
/// others' figures are not lost.
pub(super) fn run(folder: &Path, options: &Options) -> Result<Vec<Row>, Failure> {
    if options.peers_only {
        return Ok(Vec::new());
    }
    fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let mut rows = Vec::new();
    for name in BENCHES.into_iter().filter(|name| options.wants(name)) {
        say(&format!("\n{name}"));
        match run_one(name, &folder, options) {
            Ok(more) => rows.extend(more),
            Err(failure) => {
                say(&format!("FAILED {name}: {failure}"));
                let aim = Some(Aim::Judged("runs".to_owned(), false));
                rows.push(row(name, "runs", "", Some(0.0), aim));
            }
        }
    }
    Ok(rows)
}

fn run_one(name: &str, folder: &Path, options: &Options) -> Result<Vec<Row>, Failure> {
    let source = Path::new(FOLDER).join(format!("{name}.rs"));
    if !source.exists() {
        return Err(Failure::new(format!("{} is missing", source.display())));
    }
    let json = folder.join(format!("{name}.json"));
    let _ = fs::remove_file(&json);
    let mut arguments = vec!["bench", "--locked", "--package", "selvedge-store", "--bench", name];
    arguments.extend(["--", "--json", text(&json)?]);
    let files = folder.join(name);
    let entries = if options.quick { options.entries.min(100_000) } else { options.entries };
    let entries = entries.to_string();
    arguments.extend(special(name, options.quick, &entries, text(&files)?));
    let done = Task::new(&cargo(), &arguments).limit(Duration::from_secs(3600)).run();
    if files.exists() {
        fs::remove_dir_all(&files).map_err(Failure::at(&files))?;
    }
    done?;
    let written = fs::read_to_string(&json).map_err(Failure::at(&json))?;
    read(name, &serde_json::from_str(&written)?)
}

/// What one is told beyond where its rows go: where its files go, and how little will do.
fn special<'a>(name: &str, quick: bool, entries: &'a str, files: &'a str) -> Vec<&'a str> {
    match name {
        "start" => vec!["--entries", entries, "--folder", files],
        "disk" => vec!["--folder", files],
        "index" if quick => vec!["100000"],
        "ratio" if quick => vec!["objects=20000"],
        "purge" if quick => vec!["--objects", "20000"],
        "memory" if quick => vec!["--rounds", "1"],
        _ => Vec::new(),
    }
}

/// Reads rows; a figure that is not there or null was not measured.
fn read(name: &str, written: &Value) -> Result<Vec<Row>, Failure> {
    let bad = |what: &str| Failure::new(format!("{name}: {what} in {written}"));
    let rows = written.as_array().ok_or_else(|| bad("no list"))?;
    rows.iter()
        .map(|found| {
            let word = |key: &str| found[key].as_str().unwrap_or_default();
            let work = if word("work").is_empty() { name } else { word("work") };
            let aim = match &found["aim"] {
                Value::Null => None,
                Value::String(aim) => Some(aim.clone()),
                other => Some(other.to_string()),
            };
            let aim = aim.zip(found["met"].as_bool()).map(|(aim, met)| Aim::Judged(aim, met));
            let mut row = row(work, word("measure"), word("unit"), found["ours"].as_f64(), aim);
            let peers = found["peers"].as_object().into_iter().flatten();
            row.peers = peers.filter_map(|(name, it)| Some((name.clone(), it.as_f64()?))).collect();
            Ok(row)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_lie_where_they_are_removed_and_quick_is_small() {
        let told = |name, quick| special(name, quick, "7", "here").join(" ");
        assert_eq!(told("start", false), "--entries 7 --folder here");
        assert_eq!(told("disk", true), "--folder here");
        assert_eq!([told("index", true), told("index", false)], ["100000", ""]);
    }

    #[test]
    fn rows_of_other_benchmarks_are_taken_over() {
        let written = json!([
            { "work": "index of 10 M", "measure": "memory", "unit": "B/entry", "ours": 21.5,
              "peers": {}, "aim": "<= 24", "met": true },
            { "measure": "time", "unit": "ns", "ours": null, "peers": { "moka": 3, "x": null },
              "aim": null, "met": null },
        ]);
        let rows = read("index", &written).unwrap();
        assert_eq!(rows[0].judged(), Some(("<= 24".to_owned(), true)));
        assert_eq!((rows[0].work.as_str(), rows[0].ours), ("index of 10 M", Some(21.5)));
        assert_eq!((rows[1].work.as_str(), rows[1].ours, &rows[1].aim), ("index", None, &None));
        assert_eq!(rows[1].peers.get("moka"), Some(&3.0));
        assert_eq!(rows[1].peers.len(), 1);
        assert!(read("index", &json!({})).is_err());
    }
}
