//! The servers that take part, each in the foreground on one core with one thread for UDP, with its
//! configuration from `tests/bench/dns/` and its files under `target/bench/dns/`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::load::ask;
use super::packet::{Query, Subnet, answers};
use super::world::{TTL, World, ZONE, our_sites};
use crate::bench::measure::SERVER_CORE;
use crate::failure::Failure;
use crate::node::{Build, Node, build, text};
use crate::packages;
use crate::process::{Server, Settings, fresh_folder};
use crate::ready::free_port;

pub(super) const TEMPLATES: &str = "tests/bench/dns";
/// The longest that a server may take to read the database.
const START: Duration = Duration::from_secs(60);

/// A server that runs.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) server: Server,
    pub(super) address: SocketAddrV4,
}

/// What all servers are told.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) database: PathBuf,
    pub(super) world: World,
}

impl Stage {
    /// Starts gdnsd.
    pub(super) fn gdnsd(&self, name: &'static str) -> Result<Contestant, Failure> {
        let folder = self.folder_of(name, &["run", "state", "zones"])?;
        let port = free_udp_port()?;
        let path = folder.join("config");
        self.fill("gdnsd.conf", &folder, port, &path)?;
        self.fill("gdnsd.zone", &folder, port, &folder.join("zones").join(ZONE))?;
        self.start(name, "gdnsd", &["-c", text(&folder)?, "start"], &folder, port)
    }

    /// Starts Knot DNS.
    pub(super) fn knot(&self, name: &'static str) -> Result<Contestant, Failure> {
        let folder = self.folder_of(name, &["run", "state"])?;
        let port = free_udp_port()?;
        let path = folder.join("knot.conf");
        self.fill("knot.conf", &folder, port, &path)?;
        self.fill("knot-geo.yaml", &folder, port, &folder.join("geo.yaml"))?;
        self.fill("knot.zone", &folder, port, &folder.join("zone"))?;
        self.start(name, "knotd", &["-c", text(&path)?], &folder, port)
    }

    /// Starts our own server with so many sites and edges in each region.
    pub(super) fn ours(
        &self,
        name: &'static str,
        sites: usize,
        edges: Option<u8>,
    ) -> Result<Contestant, Failure> {
        let folder = self.folder_of(name, &[])?;
        let (port, admin_port) = (free_udp_port()?, free_port()?);
        let grown = edges.map(|each| self.world.with_edges(each));
        let world = grown.as_ref().unwrap_or(&self.world);
        let template = read(&Path::new(TEMPLATES).join("selvedge.toml"))?;
        let configuration = replace(&template, world, &folder, &self.database, port)?
            .replace("{admin}", &admin_port.to_string())
            .replace("{sites}", &our_sites(sites));
        self.fill("selvedge.zone", &folder, port, &folder.join("zone"))?;
        let binary = build(Build::Release)?;
        let core = Some(SERVER_CORE);
        let (verb, folder) = ("dns", &folder);
        let node = Node { binary: &binary, verb, folder, configuration, admin_port, core };
        let server = node.start(name)?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        wait(Contestant { name, server, address }, folder)
    }

    fn folder_of(&self, name: &str, below: &[&str]) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(name);
        fresh_folder(&folder)?;
        for name in below {
            fresh_folder(&folder.join(name))?;
        }
        Ok(folder)
    }

    /// Starts a peer and waits until it answers.
    fn start(
        &self,
        name: &'static str,
        program: &str,
        arguments: &[&str],
        folder: &Path,
        port: u16,
    ) -> Result<Contestant, Failure> {
        let log = folder.join("output.log");
        let settings = Settings { core: Some(SERVER_CORE), ..Settings::logging_to(&log) };
        let server = Server::start(name, program, arguments, &settings)?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        wait(Contestant { name, server, address }, folder)
    }

    /// Writes a template with its placeholders filled in.
    fn fill(&self, name: &str, folder: &Path, port: u16, to: &Path) -> Result<(), Failure> {
        let template = read(&Path::new(TEMPLATES).join(name))?;
        let filled = replace(&template, &self.world, folder, &self.database, port)?;
        fs::write(to, filled).map_err(Failure::at(to))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(Failure::at(path))
}

fn replace(
    template: &str,
    world: &World,
    folder: &Path,
    database: &Path,
    port: u16,
) -> Result<String, Failure> {
    Ok(template
        .replace("{folder}", text(folder)?)
        .replace("{database}", text(database)?)
        .replace("{port}", &port.to_string())
        .replace("{zone}", ZONE)
        .replace("{ttl}", &TTL.to_string())
        .replace("{datacenters}", &world.gdnsd_datacenters())
        .replace("{gdnsd_map}", &world.gdnsd_map())
        .replace("{gdnsd_addresses}", &world.gdnsd_addresses())
        .replace("{knot_map}", &world.knot_map())
        .replace("{default_records}", &world.default_records())
        .replace("{regions}", &world.our_regions())
        .replace("{edges}", &world.our_edges()))
}

/// Waits until a server answers, or has ended.
fn wait(mut contestant: Contestant, folder: &Path) -> Result<Contestant, Failure> {
    let query = Query::new(&format!("www.{ZONE}"), Subnet::Absent);
    let (from, begun) = (Ipv4Addr::LOCALHOST, Instant::now());
    let named = |failure| {
        let (name, folder) = (contestant.name, folder.display());
        Failure::new(format!("{name}: {failure}; see the logs in {folder}"))
    };
    loop {
        contestant.server.check().map_err(named)?;
        // While nothing listens, the kernel says so at once, or the answer is waited for.
        let answer = ask(contestant.address, &query, from, from);
        match answer {
            Ok(answer) if answers(&answer).is_some_and(|count| count > 0) => break,
            Ok(_) if begun.elapsed() > START => {
                return Err(named(Failure::new("answers, but with no records")));
            }
            Err(failure) if begun.elapsed() > START => return Err(named(failure)),
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    Ok(contestant)
}

/// Debian has the module of Knot DNS in a package of its own, which brings no program.
pub(super) fn ensure_knot_geoip() -> Result<(), Failure> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let modules = folders.filter_map(|folder| fs::read_dir(folder.path().join("knot")).ok());
    let found = modules.flatten().flatten().any(|folder| folder.path().join("geoip.so").exists());
    if found { Ok(()) } else { packages::install(&["knot-module-geoip"]) }
}

/// A port that is free for UDP and for TCP.
fn free_udp_port() -> Result<u16, Failure> {
    for _ in 0..100 {
        let port = free_port()?;
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::new("no port is free for UDP and TCP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_no_placeholder_that_is_not_filled_in() {
        let folder = crate::repository().unwrap().join(TEMPLATES);
        let world = World::read(&folder).unwrap();
        let names = ["gdnsd.conf", "gdnsd.zone", "knot.conf", "knot-geo.yaml", "knot.zone"];
        for name in names.into_iter().chain(["selvedge.toml", "selvedge.zone"]) {
            let template = read(&folder.join(name)).unwrap();
            let (place, database) = (Path::new("/f"), Path::new("/d"));
            let filled = replace(&template, &world, place, database, 1).unwrap();
            let filled = filled.replace("{admin}", "2").replace("{sites}", &our_sites(2));
            for word in filled.split('{').skip(1) {
                let word = word.split_once('}').map(|(word, _)| word).unwrap_or_default();
                let is_word =
                    !word.is_empty() && word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
                assert!(!is_word, "{name}: {{{word}}}");
            }
        }
    }
}
