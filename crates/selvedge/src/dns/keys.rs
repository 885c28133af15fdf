//! The keys of signed zones: a file a zone in `dns.keys`, made when there is none, and the commands
//! that show and roll them. The same files belong on all servers of a zone.

use super::material::read_zones;
use crate::cli::{DnssecArgs, DnssecCommand};
use crate::prepare::{self, Files};
use crate::problem::Problem;
use crate::process;
use selvedge_authority::{Algorithm, KeyRing, Name, Next, Signatures, Signer, Timing, Zone, Zones};
use selvedge_config::{Config, Profile, Signing};
use selvedge_net::Clock;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file of keys.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// The longest that an answer of a site may be kept (`dns_ttl`).
const SITE_TTL_MAX: u32 = 86_400;

/// What can be done where keys are lost.
const RESCUE: &str = "put back a copy of it, from a backup or the zone's other servers; where \
                      there is none, have the DS taken out of the zone above, wait until it is \
                      forgotten, and remove the file: the server makes a new key";

/// Whether keys that are missing are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// By who answers.
    Make,
    /// By nobody: it is only looked.
    Leave,
}

/// Who signs which zone.
pub(crate) fn signers(
    config: &Config,
    files: &Files,
    zones: &Zones,
    signatures: &Arc<Signatures>,
    missing: Missing,
) -> Result<Vec<Arc<Signer>>, Problem> {
    let mut signers = Vec::new();
    for (path, algorithm, zone) in signed(config, files, zones) {
        let timing = Timing::of(zone, SITE_TTL_MAX);
        let ring = match read(&path, zone)? {
            Some(ring) => ring,
            None if missing == Missing::Leave => continue,
            None => {
                let ring = KeyRing::make(zone.apex(), algorithm, now())
                    .map_err(|error| Problem::Keys(path.clone(), error.to_string()))?;
                write(&path, &ring)?;
                process::say(&format!("made a key for {}: {}", zone.apex(), ring.ds_text()));
                ring
            }
        };
        signers.push(Arc::new(Signer::new(&ring, &timing, Arc::clone(signatures))));
    }
    Ok(signers)
}

/// Each zone that is signed: its file of keys and its algorithm.
fn signed<'z>(
    config: &'z Config,
    files: &Files,
    zones: &'z Zones,
) -> impl Iterator<Item = (PathBuf, Algorithm, &'z Arc<Zone>)> {
    let folder = config.dns.keys.as_ref().map(|folder| files.resolve(folder));
    config.zones.iter().filter_map(move |zone| {
        let algorithm = match zone.dnssec {
            Signing::Off => return None,
            Signing::Ecdsa => Algorithm::Ecdsa,
            Signing::Ed25519 => Algorithm::Ed25519,
        };
        let apex = Name::from_text(zone.name.as_str(), &Name::root());
        let found = zones.at(apex.ok()?.as_wire())?;
        let path = folder.as_ref()?.join(format!("{}.toml", zone.name));
        Some((path, algorithm, found))
    })
}

fn now() -> u32 {
    Clock::start().now_wall_s() as u32
}

/// The keys in a file; none without one.
fn read(path: &Path, zone: &Zone) -> Result<Option<KeyRing>, Problem> {
    if !path.exists() {
        return Ok(None);
    }
    let wrong = |why: String| Problem::Keys(path.to_owned(), format!("{why}\n{RESCUE}"));
    let bytes = prepare::read_file(path, FILE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    let ring = KeyRing::from_text(&text).map_err(|error| wrong(error.to_string()))?;
    if ring.apex() != zone.apex() {
        return Err(wrong(format!("holds the keys of {}", ring.apex())));
    }
    Ok(Some(ring))
}

/// Writes keys beside their file, synced, then in its place: for nobody but its user.
fn write(path: &Path, ring: &KeyRing) -> Result<(), Problem> {
    let failed = |error| Problem::WriteKeys(path.to_owned(), error);
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let beside = path.with_extension("toml.new");
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let mut file = open.map_err(failed)?;
    file.write_all(ring.to_text().as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// `selvedge dnssec`.
pub(crate) fn run(args: &DnssecArgs) -> Result<(), Problem> {
    let (config, files) = prepare::read_config(&args.config, Profile::Facing)?;
    let zones = read_zones(&config, &files, &mut Vec::new())?;
    let wanted = args.zone.as_ref().map(|zone| zone.trim_end_matches('.').to_ascii_lowercase());
    let mut seen = false;
    for (path, algorithm, zone) in signed(&config, &files, &zones) {
        let name = zone.apex().to_string();
        if wanted.as_ref().is_some_and(|wanted| *wanted != name.trim_end_matches('.')) {
            continue;
        }
        seen = true;
        let timing = Timing::of(zone, SITE_TTL_MAX);
        let missing = || Problem::NoKeys(path.clone(), name.clone());
        let mut ring = read(&path, zone)?.ok_or_else(missing)?;
        let before = ring.to_text();
        act(&mut ring, &args.command, algorithm, &timing)
            .map_err(|why| Problem::Keys(path.clone(), why))?;
        if ring.to_text() != before {
            write(&path, &ring)?;
            process::say("written: copy it to all servers of the zone, and send them SIGHUP");
        }
    }
    if seen {
        Ok(())
    } else {
        Err(Problem::Keys(args.config.clone(), "no such zone is signed".into()))
    }
}

fn act(
    ring: &mut KeyRing,
    command: &DnssecCommand,
    algorithm: Algorithm,
    timing: &Timing,
) -> Result<(), String> {
    let now = now();
    match command {
        DnssecCommand::List => process::print(&listed(ring, timing, now)),
        DnssecCommand::Ds => process::print(&format!("{}\n", ring.ds_text())),
        DnssecCommand::Cds => process::print(&format!("{}\n", ring.cds_text())),
        DnssecCommand::Dnskey => process::print(&format!("{}\n", ring.dnskey_text())),
        DnssecCommand::Roll => {
            ring.roll(algorithm, timing, now).map_err(|error| error.to_string())?;
            process::print(&listed(ring, timing, now));
        }
        DnssecCommand::DsSeen { tag } => {
            if !ring.confirm_ds(*tag, now) {
                return Err(format!("there is no key {tag} that waits for its DS"));
            }
            process::print(&listed(ring, timing, now));
        }
        DnssecCommand::Leave => ring.set_leaves(true),
        DnssecCommand::Stay => ring.set_leaves(false),
        DnssecCommand::Prune => drop(ring.prune(timing, now)),
    }
    Ok(())
}

/// The keys, how far each is, and what comes next.
fn listed(ring: &KeyRing, timing: &Timing, now: u32) -> String {
    let (keys, next) = ring.list(timing, now);
    let mut text = format!("{}\n", ring.apex());
    for key in keys {
        let seen = if key.times.ds_seen.is_some() { "DS seen" } else { "no DS seen" };
        let (tag, word, state) = (key.tag, key.times.algorithm.word(), key.state.word());
        let age_h = now.saturating_sub(key.times.created) / 3600;
        text.push_str(&format!("  {tag:5}  {word:8} {state:10} {seen}, {age_h} h old\n"));
    }
    text.push_str(&match next {
        Next::Nothing => "  nothing comes by itself\n".to_owned(),
        Next::AwaitDs => {
            "  next: put the DS of the newest key into the zone above (`selvedge dnssec ds`),\n  \
            take the old one out, and say `selvedge dnssec ds-seen TAG`\n"
                .to_owned()
        }
        Next::At(at) => format!("  next step in {} h\n", at.saturating_sub(now).div_ceil(3600)),
    });
    if ring.leaves() {
        text.push_str("  the zone above is asked to delete its DS\n");
    }
    text
}
