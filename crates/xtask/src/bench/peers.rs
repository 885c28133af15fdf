//! The servers that take part, each started by us in the foreground, with its configuration from
//! `tests/bench/`, its files under `target/bench/`, on one core, and ended with the benchmark.

use std::fs;
use std::path::{Path, PathBuf};

use super::Options;
use super::measure::SERVER_CORE;
use crate::failure::Failure;
use crate::node::{Build, Node, build, text};
use crate::process::{Server, Settings, Task, fresh_folder};
use crate::ready::{free_port, wait_for_ok};

const TEMPLATES: &str = "tests/bench";

/// A server that takes part.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) server: Server,
    pub(super) http_port: u16,
    /// None: it has no TLS.
    pub(super) https_port: Option<u16>,
    /// Of our own server.
    pub(super) admin_port: u16,
}

/// The name that our own server has among the contestants.
pub(super) const OURS: &str = "selvedge";
/// Our own server with nothing understood of video.
pub(super) const OUR_PLAIN: &str = "selvedge-plain";
/// Our own server on all cores and with a disk of its own: for how fast it takes in what is new.
pub(super) const OUR_FILL: &str = "selvedge-fill";

/// Where the servers keep objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// In memory, as far as they can.
    Memory,
    /// On disk, with little memory before it.
    Disk,
    /// In memory, and pages are assembled from it.
    Assembled,
}

/// Who is wanted: ours first, then of the peers `known` to a benchmark those that were asked for.
pub(super) fn taking_part(
    options: &Options,
    known: &[&'static str],
) -> Result<Vec<&'static str>, Failure> {
    let is_unknown = |name: &&String| !known.contains(&name.as_str());
    if let Some(unknown) = options.peers.iter().flatten().find(is_unknown) {
        let known = known.join(", ");
        return Err(Failure::new(format!("no peer is called {unknown}; there are {known}")));
    }
    let wanted = |name: &&str| {
        options.peers.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name))
    };
    let ours = (!options.peers_only).then_some(OURS);
    Ok(ours.into_iter().chain(known.iter().copied().filter(wanted)).collect())
}

/// The folder of a benchmark, with a certificate for everyone, and the origin.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    storage: Storage,
    origin_port: u16,
    /// None: whoever measures has one of its own.
    origin: Option<Server>,
}

impl Stage {
    /// Makes the folder and the certificate, and starts an origin with `files` (name, bytes).
    pub(super) fn new(
        folder: &Path,
        files: &[(&str, usize)],
        storage: Storage,
    ) -> Result<Self, Failure> {
        fresh_folder(folder)?;
        let folder = folder.canonicalize()?;
        make_certificate(&folder)?;
        let origin_folder = folder.join("origin");
        fresh_folder(&origin_folder.join("files"))?;
        for (name, bytes) in files {
            fs::write(origin_folder.join("files").join(name), noise(*bytes))?;
        }
        let origin_port = free_port()?;
        let ports = Ports { storage, origin: origin_port, http: 0, https: 0, admin: 0 };
        let config = fill("origin.conf", &origin_folder, "nginx.conf", &ports)?;
        let log = origin_folder.join("nginx.log");
        let arguments = ["-p", text(&origin_folder)?, "-c", text(&config)?];
        let mut origin = Server::start("origin", "nginx", &arguments, &Settings::logging_to(&log))?;
        let first = files.first().map_or("", |(name, _)| name);
        wait_for_ok(&mut origin, origin_port, &format!("/{first}"))?;
        Ok(Self { folder, storage, origin_port, origin: Some(origin) })
    }

    /// Makes the folder and the certificate beside an origin that runs on a port.
    pub(super) fn beside(
        folder: &Path,
        storage: Storage,
        origin_port: u16,
    ) -> Result<Self, Failure> {
        fresh_folder(folder)?;
        let folder = folder.canonicalize()?;
        make_certificate(&folder)?;
        Ok(Self { folder, storage, origin_port, origin: None })
    }

    /// How many requests the origin has answered.
    pub(super) fn origin_requests(&mut self) -> Result<usize, Failure> {
        if let Some(origin) = &mut self.origin {
            origin.check()?;
        }
        let log = self.folder.join("origin").join("origin.access");
        Ok(fs::read_to_string(&log).map_err(Failure::at(&log))?.lines().count())
    }

    /// Starts a server by its name.
    pub(super) fn start(&self, name: &'static str) -> Result<Contestant, Failure> {
        let folder = self.folder.join(name);
        fresh_folder(&folder)?;
        for file in ["cert.pem", "key.pem"] {
            fs::copy(self.folder.join(file), folder.join(file))?;
        }
        let ports = Ports {
            storage: self.storage,
            origin: self.origin_port,
            http: free_port()?,
            https: free_port()?,
            admin: free_port()?,
        };
        let server = match name {
            "nginx" => start_nginx(&folder, &ports)?,
            "varnish" => start_varnish(&folder, &ports)?,
            "trafficserver" => start_trafficserver(&folder, &ports)?,
            OURS => start_ours(&folder, &ports, "selvedge.toml", Some(SERVER_CORE))?,
            OUR_PLAIN => start_ours(&folder, &ports, "plain.toml", Some(SERVER_CORE))?,
            OUR_FILL => start_ours(&folder, &ports, "fill.toml", None)?,
            _ => return Err(Failure::new(format!("no peer is called {name}"))),
        };
        let with_tls = name != "varnish" && name != OUR_FILL;
        let https_port = with_tls.then_some(ports.https);
        let admin_port = ports.admin;
        Ok(Contestant { name, server, http_port: ports.http, https_port, admin_port })
    }
}

/// Starts our own server and those of the peers that the options ask for.
pub(super) fn contestants(
    options: &Options,
    stage: &Stage,
    peers: &[&'static str],
) -> Result<Vec<Contestant>, Failure> {
    taking_part(options, peers)?.into_iter().map(|name| stage.start(name)).collect()
}

/// What the templates are filled in with, and which ones are meant.
struct Ports {
    storage: Storage,
    origin: u16,
    http: u16,
    https: u16,
    admin: u16,
}

fn start_nginx(folder: &Path, ports: &Ports) -> Result<Server, Failure> {
    let config = fill("nginx.conf", folder, "nginx.conf", ports)?;
    let arguments = ["-p", text(folder)?, "-c", text(&config)?];
    start("nginx", "nginx", &arguments, folder, ports)
}

fn start_varnish(folder: &Path, ports: &Ports) -> Result<Server, Failure> {
    let config = fill("varnish.vcl", folder, "default.vcl", ports)?;
    let listen = format!("127.0.0.1:{}", ports.http);
    let mut arguments = vec!["-F", "-j", "none", "-T", "none", "-s", "malloc,256m"];
    arguments.extend(["-n", text(folder)?, "-f", text(&config)?, "-a", &listen]);
    // One pool with a thread for each connection of the benchmark from the start.
    for parameter in ["thread_pools=1", "thread_pool_min=100", "thread_pool_max=500"] {
        arguments.extend(["-p", parameter]);
    }
    start("varnish", "varnishd", &arguments, folder, ports)
}

fn start_trafficserver(folder: &Path, ports: &Ports) -> Result<Server, Failure> {
    for name in ["cache", "log", "run"] {
        fresh_folder(&folder.join(name))?;
    }
    for name in [
        "ip_allow.yaml",
        "records.config",
        "remap.config",
        "runroot.yaml",
        "ssl_multicert.config",
        "storage.config",
    ] {
        fill(&format!("trafficserver/{name}"), folder, name, ports)?;
    }
    let root = format!("--run-root={}", text(&folder.join("runroot.yaml"))?);
    start("trafficserver", "traffic_server", &[&root], folder, ports)
}

fn start_ours(
    folder: &Path,
    ports: &Ports,
    template: &str,
    core: Option<usize>,
) -> Result<Server, Failure> {
    let binary = build(Build::Release)?;
    let template = source(template, ports.storage);
    let template = fs::read_to_string(&template).map_err(Failure::at(&template))?;
    let configuration = replace(&template, folder, ports)?;
    let admin_port = ports.admin;
    Node { binary: &binary, verb: "edge", folder, configuration, admin_port, core }.start(OURS)
}

/// Starts a peer and waits until it answers with a file of the origin.
fn start(
    name: &str,
    program: &str,
    arguments: &[&str],
    folder: &Path,
    ports: &Ports,
) -> Result<Server, Failure> {
    let log = folder.join("output.log");
    let settings = Settings { core: Some(SERVER_CORE), ..Settings::logging_to(&log) };
    let mut server = Server::start(name, program, arguments, &settings)?;
    wait_for_ok(&mut server, ports.http, "/1k")
        .map_err(|failure| Failure::new(format!("{name}: {failure}; see {}", log.display())))?;
    Ok(server)
}

/// Writes a template into the folder with its placeholders filled in.
fn fill(template: &str, folder: &Path, name: &str, ports: &Ports) -> Result<PathBuf, Failure> {
    let source = source(template, ports.storage);
    let text = fs::read_to_string(&source).map_err(Failure::at(&source))?;
    let path = folder.join(name);
    fs::write(&path, replace(&text, folder, ports)?).map_err(Failure::at(&path))?;
    Ok(path)
}

/// The template of this name; for each kind of storage there may be one of its own.
fn source(name: &str, storage: Storage) -> PathBuf {
    let folder = match storage {
        Storage::Memory => "",
        Storage::Disk => "store",
        Storage::Assembled => "esi",
    };
    let of_its_own = Path::new(TEMPLATES).join(folder).join(name);
    if of_its_own.exists() { of_its_own } else { Path::new(TEMPLATES).join(name) }
}

fn replace(template: &str, folder: &Path, ports: &Ports) -> Result<String, Failure> {
    Ok(template
        .replace("{folder}", text(folder)?)
        .replace("{origin}", &ports.origin.to_string())
        .replace("{https}", &ports.https.to_string())
        .replace("{http}", &ports.http.to_string())
        .replace("{admin}", &ports.admin.to_string()))
}

fn make_certificate(folder: &Path) -> Result<(), Failure> {
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let mut arguments = vec!["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"];
    arguments.extend(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=bench.test"]);
    arguments.extend(["-addext", "subjectAltName=DNS:bench.test,IP:127.0.0.1"]);
    arguments.extend(["-keyout", text(&key)?, "-out", text(&certificate)?]);
    Task::new("openssl", &arguments).output().map(drop)
}

/// Bytes that no one can compress, the same ones in each run (xorshift).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use selvedge_config::{Profile, parse};

    use super::*;

    #[test]
    fn our_templates_are_configurations() {
        let folder = crate::repository().unwrap().join(TEMPLATES);
        let storage = Storage::Memory;
        let ports = Ports { storage, origin: 1, http: 2, https: 3, admin: 4 };
        for (file, disks) in [
            ("selvedge.toml", 0),
            ("plain.toml", 0),
            ("store/selvedge.toml", 1),
            ("store/fill.toml", 1),
        ] {
            let template = fs::read_to_string(folder.join(file)).unwrap();
            let configuration = replace(&template, Path::new("/f"), &ports).unwrap();
            let config = parse(&configuration, file, Profile::Facing).unwrap();
            assert_eq!(config.cache.disk.len(), disks);
            for placeholder in ["{folder}", "{http}", "{https}", "{admin}", "{origin}"] {
                assert!(!configuration.contains(placeholder), "{configuration}");
            }
        }
    }

    #[test]
    fn noise_is_the_same_each_time_and_not_constant() {
        assert_eq!(noise(64), noise(64));
        assert!(noise(64).windows(2).any(|pair| pair[0] != pair[1]));
    }
}
