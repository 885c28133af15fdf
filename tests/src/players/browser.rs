//! Chromium, driven by `tests/players/drive.mjs`.

use super::{Outcome, Places};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// A browser that plays.
pub(super) struct Chromium<'a> {
    pub(super) modules: &'a Path,
    pub(super) driver: &'a Path,
    pub(super) places: &'a Places,
    pub(super) seconds: u32,
}

impl Chromium<'_> {
    /// These streams and formats with one player, at the same time.
    #[track_caller]
    pub(super) fn play(&self, player: &str, plays: &[(&str, &str)]) -> Vec<Outcome> {
        let plays = plays.iter().map(|(stream, format)| format!("{stream}:{format}:{player}"));
        let output = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "node"])
            .arg(self.driver)
            .arg(self.modules)
            .args([&self.places.edge, &self.places.origin, &self.seconds.to_string()])
            .args(plays)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("setpriv is there");
        assert!(output.status.success(), "{player}: Chromium: {}", output.status);
        let lines = String::from_utf8_lossy(&output.stdout);
        lines.lines().map(|line| outcome(&serde_json::from_str(line).expect("JSON"))).collect()
    }
}

fn outcome(said: &Value) -> Outcome {
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    let texts = |name: &str| {
        let list = said[name].as_array().cloned().unwrap_or_default();
        list.iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
    };
    Outcome {
        player: text("player"),
        stream: text("stream"),
        format: text("format"),
        played_s: said["played"].as_f64().unwrap_or_default(),
        stalls: said["stalls"].as_u64().unwrap_or_default(),
        errors: texts("errors"),
        segments: said["segments"].as_u64().unwrap_or_default(),
        wrong: texts("wrong"),
        latency: text("latency"),
    }
}
