//! `selvedge demo`: a whole CDN on loopback, without root: a sample origin, control, a parent,
//! edges in three regions, and a DNS server that sends clients to them. ffmpeg, if it is there,
//! makes video for it.
//!
//! All but the origin are child processes of this one, started with configuration files like any
//! other; the sites are added with the verbs that an operator uses. What the demo shows is what
//! production runs.

mod files;
mod origin;
mod pages;
mod part;
mod places;
mod tour;
mod video;

use crate::cli::DemoArgs;
use crate::problem::Problem;
use crate::process::{self, Signals, listen};
use files::Access;
use part::{Need, Part, Verbs};
use places::Ports;
use std::path::Path;
use std::time::Duration;
use video::{Libraries, Studio, Video};

/// How often the demo looks for parts that ended.
const WATCH: Duration = Duration::from_millis(200);

/// Runs the demo until Ctrl-C.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Problem> {
    let system = |what| move |error| Problem::System(what, error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("cannot start"))?;
    let mut signals = listen(&runtime)?;
    let folder = tempfile::Builder::new()
        .prefix("selvedge-demo-")
        .tempdir()
        .map_err(system("cannot make a folder for the demo"))?;
    process::raise_file_limit();
    let libraries = args.players.as_deref().map(|folder| {
        Libraries::read(folder).map_err(|error| Problem::Read(folder.to_owned(), error))
    });
    let libraries = libraries.transpose()?.unwrap_or_default();
    let video = Video::new(libraries.clone())?;
    let origin = origin::start(places::free(9000), video.clone())?;
    let ports = Ports::find(origin.address());
    let access = if args.log { Access::Shown } else { Access::Hidden };
    files::write(folder.path(), &ports, access)
        .map_err(system("cannot write the demo's configuration"))?;
    let mut parts = start(folder.path(), &ports)?;
    let is_spare = |part: &&Part| part.is_spare();
    let pids: Vec<u32> = parts.iter().filter(is_spare).map(Part::pid).collect();
    let mut studio = Studio::open(video, ports.origin, folder.path())
        .map_err(system("cannot make a folder for the clip"))?;
    let player = tour::player(&ports, folder.path(), studio.has_ffmpeg(), &libraries);
    process::print(&tour::text(&ports, folder.path(), &pids, &player));
    let ended = runtime.block_on(watch(&mut signals, &mut parts, &mut studio));
    process::say("stopping");
    drop(studio);
    end(&mut parts);
    origin.stop();
    ended
}

/// Starts all parts, in the order in which they need each other.
fn start(files: &Path, ports: &Ports) -> Result<Vec<Part>, Problem> {
    let control = Part::start("control", &files.join("control.toml"))?;
    let client = Verbs { control: ports.control, token_file: files.join("control/admin.token") };
    client.run(&["site", "put"], &files.join("shop.toml"))?;
    client.run(&["site", "put"], &files.join("news.toml"))?;
    // A parent, an edge and a DNS server, beside the spare edges.
    client.join_token(3 + ports.spares.len(), &files.join("join.token"))?;
    let edge = |name: &'static str, need| {
        Part::spawn(name, "edge", &files.join(format!("{name}.toml")), need)
    };
    let parent = Part::start("parent", &files.join("parent.toml"))?;
    let mut parts = vec![control, parent, edge("edge", Need::Vital)?];
    for spare in &ports.spares {
        parts.push(edge(spare.part, Need::Spare)?);
    }
    parts.iter_mut().skip(2).try_for_each(Part::await_ready)?;
    // Last, so that it knows all edges when it begins to answer.
    parts.push(Part::start("dns", &files.join("dns.toml"))?);
    Ok(parts)
}

/// Waits for Ctrl-C, or for a part that ends by itself and must not.
async fn watch(
    signals: &mut Signals,
    parts: &mut [Part],
    studio: &mut Studio,
) -> Result<(), Problem> {
    loop {
        tokio::select! {
            wish = signals.next() => {
                if wish == process::Wish::Drain {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(WATCH) => {
                studio.look();
                parts.iter_mut().try_for_each(Part::look)?;
            }
        }
    }
}

/// Ends all parts: what leads clients here first, control last.
fn end(parts: &mut [Part]) {
    let Some((control, others)) = parts.split_first_mut() else { return };
    others.iter_mut().rev().for_each(Part::ask_to_end);
    others.iter_mut().for_each(Part::wait);
    control.ask_to_end();
    control.wait();
}
