//! Real players against the demo: ffmpeg, and hls.js, dash.js and Shaka in Chromium, play its clip
//! and its channel through an edge and a parent. What they got is judged by the bytes that the
//! origin has.

mod browser;
mod ffmpeg;

use crate::demo::Demo;
use std::path::Path;

/// How one play went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Who played.
    pub player: String,
    /// `live` or `video`.
    pub stream: String,
    /// `hls` or `dash`.
    pub format: String,
    /// Seconds that were played.
    pub played_s: f64,
    /// How often it stood still after it had begun.
    pub stalls: u64,
    /// What the player complained of.
    pub errors: Vec<String>,
    /// Segments that it got.
    pub segments: u64,
    /// Segments that are not what the origin has.
    pub wrong: Vec<String>,
    /// How far it was behind the live edge, if it says so.
    pub latency: String,
}

impl Outcome {
    /// Whether it played for so long and nothing was wrong.
    #[must_use]
    pub fn is_well(&self, seconds: u32) -> bool {
        // What is counted ends a little before the last frame.
        let is_long = self.played_s >= f64::from(seconds) - 0.5;
        let is_fed = self.segments > 2;
        is_long && is_fed && self.stalls == 0 && self.errors.is_empty() && self.wrong.is_empty()
    }

    /// A line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { player, stream, format, played_s, stalls, segments, latency, .. } = self;
        let (errors, right) = (self.errors.len(), segments - self.wrong.len() as u64);
        format!(
            "{player:8} {stream:6} {format:6} {played_s:>8.1} {stalls:>7} {errors:>7} \
             {segments:>9} {right:>6}  {latency}"
        )
    }
}

/// What stands above the lines.
pub const TITLE: &str =
    "player   stream format   played  stalls  errors  segments  right  behind live";

/// What is played in Chromium, one line after the other, as the page of the demo has it. `ll` is
/// low-latency HLS; DASH of the channel is low-latency DASH.
const PLAYS: [(&str, &[(&str, &str)]); 5] = [
    ("hls.js", &[("live", "hls"), ("video", "hls")]),
    ("hls.js", &[("live", "ll")]),
    ("dash.js", &[("live", "dash"), ("video", "dash")]),
    ("shaka", &[("live", "hls"), ("live", "ll"), ("live", "dash")]),
    ("shaka", &[("video", "hls"), ("video", "dash")]),
];

/// Has all of them play for so long; `say` gets each outcome as it comes. ffmpeg plays all it
/// does at the same time, Chromium what stands in one line of [`PLAYS`].
///
/// # Panics
/// If the demo, ffmpeg or Chromium cannot be run.
#[track_caller]
pub fn run(modules: &Path, driver: &Path, seconds: u32, say: impl Fn(&Outcome)) -> Vec<Outcome> {
    let folder = modules.parent().expect("modules lie in a folder").as_os_str();
    let demo = Demo::start_with(|command| command.arg("--players").arg(folder));
    let ready = demo.says().wait(0, |line| line.ends_with("video: the clip is ready"));
    assert!(ready.is_some(), "{:#?}", demo.says().all());
    let places = Places::of(&demo);
    let mut all = ffmpeg::play(&places, seconds);
    all.iter().for_each(&say);
    for (player, plays) in PLAYS {
        let chromium = browser::Chromium { modules, driver, places: &places, seconds };
        let got = chromium.play(player, plays);
        got.iter().for_each(&say);
        all.extend(got);
    }
    all
}

/// Where the demo's edge and origin are.
struct Places {
    edge: String,
    origin: String,
}

impl Places {
    #[track_caller]
    fn of(demo: &Demo) -> Self {
        let edge = demo.line("  edge eu").split_whitespace().nth(2).expect("a URL").to_owned();
        Self { edge, origin: demo.place("origin") }
    }
}
