//! ffmpeg as a player: it reads at the pace of the stream, decodes and throws away. A line of level
//! error is an error. What it read is asked for again afterwards: it does not give out the bytes.

use super::{Outcome, Places};
use crate::client;
use crate::log::Lines;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The channel and the clip.
const STREAMS: [&str; 2] = ["live", "video"];

/// Manifests of the formats.
const FORMATS: [(&str, &str); 2] = [("hls", "master.m3u8"), ("dash", "manifest.mpd")];

/// Time between two reports that nothing was played in, beyond what they are apart: a stall.
const STALL_S: f64 = 1.0;

/// Plays both streams in both formats, at the same time.
#[track_caller]
pub(super) fn play(places: &Places, seconds: u32) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let plays = STREAMS.iter().flat_map(|stream| FORMATS.map(|format| (*stream, format)));
        let plays: Vec<_> = plays
            .map(|(stream, format)| scope.spawn(move || one(places, stream, format, seconds)))
            .collect();
        plays.into_iter().map(|play| play.join().expect("it plays")).collect()
    })
}

fn one(places: &Places, stream: &str, (format, manifest): (&str, &str), seconds: u32) -> Outcome {
    let url = format!("{}/{stream}/{manifest}", places.edge);
    let mut child = start(&url, seconds);
    let said = Lines::gather(child.stderr.take().expect("stderr is piped"));
    let (played_s, stalls) = follow(child.stdout.take().expect("stdout is piped"));
    let status = child.wait().expect("it is ours");
    let lines = said.all();
    let is_error = |line: &&String| line.contains("[error]") || line.contains("[fatal]");
    let mut errors: Vec<String> = lines.iter().filter(is_error).cloned().collect();
    if !status.success() {
        errors.push(status.to_string());
    }
    let asked: BTreeSet<String> = lines.iter().filter_map(|line| segment(line)).collect();
    let is_wrong = |path: &&String| bytes(&places.edge, path) != bytes(&places.origin, path);
    Outcome {
        player: "ffmpeg".to_owned(),
        stream: stream.to_owned(),
        format: format.to_owned(),
        played_s,
        stalls,
        errors,
        segments: asked.len() as u64,
        wrong: asked.iter().filter(is_wrong).cloned().collect(),
        latency: String::new(),
    }
}

#[track_caller]
fn start(url: &str, seconds: u32) -> Child {
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "ffmpeg", "-hide_banner", "-nostdin"])
        .args(["-loglevel", "level+verbose", "-re", "-t", &seconds.to_string(), "-i", url])
        .args(["-f", "null", "-", "-nostats", "-progress", "pipe:1", "-stats_period", "0.5"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    child.expect("setpriv is there")
}

/// Reads its reports to the end: the seconds that were played, and the stalls.
fn follow(reports: impl Read) -> (f64, u64) {
    let (mut played_s, mut stalls) = (0.0, 0);
    let mut last: Option<Instant> = None;
    for line in BufReader::new(reports).lines().map_while(Result::ok) {
        let Some(time) = line.strip_prefix("out_time_us=") else { continue };
        let now_s = time.parse::<f64>().unwrap_or_default() / 1e6;
        let now = Instant::now();
        if let Some(last) = last
            && (now - last).as_secs_f64() > now_s - played_s + STALL_S
        {
            stalls += 1;
        }
        (played_s, last) = (now_s, (now_s > 0.0).then_some(now));
    }
    (played_s, stalls)
}

/// The path of the segment that a line says is read.
fn segment(line: &str) -> Option<String> {
    let url = line.split('\'').nth(1)?;
    let is_read = line.contains("for reading") || line.contains("DASH request for url");
    let path = &url[url.find("://")? + 3..];
    let path = &path[path.find('/')?..];
    let is_media = [".m4s", ".mp4"].iter().any(|end| path.ends_with(end));
    (is_read && is_media).then(|| path.to_owned())
}

/// What a server has at a path.
#[track_caller]
fn bytes(server: &str, path: &str) -> (u16, Vec<u8>) {
    let host = server.trim_start_matches("http://");
    let addr: SocketAddr = host.parse().expect("an address");
    let got = client::get(addr, host, path);
    (got.status, got.body)
}
