//! The encoders: two processes of ffmpeg. Without it there is no video, and everything else is as
//! it is.
//!
//! Both end with the demo, also if it is killed: `setpriv` of util-linux sees to that.

use super::Video;
use crate::process;
use bytes::Bytes;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The encoders that run.
pub(in crate::demo) struct Studio {
    video: Video,
    channel: Option<Encoder>,
    clip: Option<Encoder>,
    /// Where the clip is made.
    folder: PathBuf,
}

impl Studio {
    /// Starts both: the channel is put to the origin, the clip made in a folder.
    pub(in crate::demo) fn open(
        video: Video,
        origin: SocketAddr,
        files: &Path,
    ) -> std::io::Result<Self> {
        let folder = files.join("clip");
        std::fs::create_dir(&folder)?;
        let to = format!("http://{origin}{}{}{MANIFEST}", video.ingest, super::CHANNEL);
        let channel = Encoder::start([CHANNEL, LADDER, LIVE], to.as_ref());
        let clip = Encoder::start([CLIP, LADDER, ""], &folder.join(MANIFEST));
        Ok(Self { video, channel, clip, folder })
    }

    /// Whether there is an ffmpeg.
    pub(in crate::demo) fn has_ffmpeg(&self) -> bool {
        self.channel.is_some()
    }

    /// Sees how far they are, and says so.
    pub(in crate::demo) fn look(&mut self) {
        if let Some(well) = ended(&mut self.clip) {
            let made = read(&self.folder).ok().filter(|_| well);
            process::say(match made.map(|clip| self.video.clip.set(clip)) {
                Some(_) => "video: the clip is ready",
                None => "video: ffmpeg could not make the clip; the rest goes on",
            });
        }
        if ended(&mut self.channel).is_some() {
            process::say("video: the encoder of the channel has ended; the rest goes on");
        }
    }
}

/// What players ask for first, beside `master.m3u8`.
const MANIFEST: &str = "manifest.mpd";

/// The files of the clip, by the paths that they have at the origin.
fn read(folder: &Path) -> std::io::Result<HashMap<String, Bytes>> {
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{}{}", super::CLIP, entry.file_name().display());
        files.insert(path, std::fs::read(entry.path())?.into());
    }
    Ok(files)
}

/// Whether an encoder has ended, and if so, well; it is gone then.
fn ended(encoder: &mut Option<Encoder>) -> Option<bool> {
    let ended = encoder.as_mut()?.0.try_wait().ok().flatten()?;
    *encoder = None;
    Some(ended.success())
}

/// A process of ffmpeg. Dropping it ends it.
struct Encoder(Child);

impl Encoder {
    /// Starts one; `None` if there is no ffmpeg.
    fn start(arguments: [&str; 3], to: &Path) -> Option<Self> {
        let ffmpeg = on_path("ffmpeg")?;
        let mut child = Command::new(on_path("setpriv")?)
            .args(["--pdeathsig", "KILL"])
            .arg(ffmpeg)
            .args(["-hide_banner", "-nostdin", "-loglevel", "error"])
            .args(arguments.into_iter().flat_map(str::split_whitespace))
            .args(["-adaptation_sets", SETS])
            .arg(to)
            // Ctrl-C is for the demo.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || relay(BufReader::new(stderr)));
        }
        Some(Self(child))
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| file.is_file())
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The clip: a good minute, made as fast as one core can. The sound ends a little before the
/// picture, or it would have a segment more, in which players wait for a picture that never comes.
const CLIP: &str = "-f lavfi -i testsrc=size=640x360:rate=25:duration=64 \
     -f lavfi -i sine=frequency=220:beep_factor=4:sample_rate=48000:duration=63.9 \
     -threads 1";

/// The channel: as fast as it is seen.
const CHANNEL: &str = "-re -f lavfi -i testsrc2=size=640x360:rate=25 \
     -re -f lavfi -i sine=frequency=330:beep_factor=4:sample_rate=48000 -tune zerolatency";

/// Two pictures and a sound, in segments of two seconds, as HLS and as DASH.
const LADDER: &str = "\
     -filter_complex [0:v]split[large][whole];[whole]scale=320:180[small] \
     -map [large] -map [small] -map 1:a -c:v libx264 -preset ultrafast -pix_fmt yuv420p \
     -g 50 -keyint_min 50 -sc_threshold 0 -b:v:0 600k -b:v:1 200k -c:a aac -b:a 64k -ac 2 \
     -f dash -hls_playlist 1 -seg_duration 2 -use_timeline 0 \
     -init_seg_name init-$RepresentationID$.mp4 \
     -media_seg_name $RepresentationID$-$Number%05d$.m4s";

/// Which of them go together. Its words are one argument.
const SETS: &str = "id=0,streams=v id=1,streams=a";

/// Segments are put while they are made, in fragments of 0.4 s (low-latency DASH). Twenty seconds
/// are listed, and what is older stays for a minute more.
const LIVE: &str = "-window_size 10 -extra_window_size 40 -streaming 1 -ldash 1 \
     -target_latency 3 -utc_timing_url /now \
     -frag_type duration -frag_duration 0.4 -method PUT -http_persistent 1";

/// Passes on what ffmpeg complains of, but for what it says of every output over HTTP.
fn relay(lines: impl BufRead) {
    let lines = lines.lines().map_while(Result::ok);
    let lines = lines.filter(|line| !line.contains("Cannot use rename on non file protocol"));
    lines.for_each(|line| process::say(&format!("ffmpeg: {line}")));
}
