//! The files of the demo: configurations, sites, a zone and a map, as an operator writes them.

use super::places::{Ports, REGIONS, Region, Spare};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// Whether caches print a line for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// They do.
    Shown,
    /// They do not.
    Hidden,
}

/// Writes all of them into a folder.
pub(super) fn write(folder: &Path, ports: &Ports, access: Access) -> std::io::Result<()> {
    let names = ["www.shop.test", "news.test", "localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(std::io::Error::other)?;
    let put = |name: &str, text: String| std::fs::write(folder.join(name), text);
    put("edge.pem", made.cert.pem())?;
    put("edge.key", made.signing_key.serialize_pem())?;
    let origin = format!("origin = [\"http://{}\"]\npush = true\n", ports.origin);
    let shop = "hosts = [\"www.shop.test\", \"*.shop.test\", \"shop.cdn.test\"]\n";
    put("shop.toml", format!("{shop}{origin}"))?;
    put("news.toml", format!("hosts = [\"*\"]\n{origin}{MEMBERS}"))?;
    std::fs::create_dir(folder.join("sign"))?;
    crate::sign_keys::make(&folder.join("sign/demo.key"))?;
    put("control.toml", control(ports))?;
    put("parent.toml", parent(ports, access))?;
    put("edge.toml", edge(ports, access))?;
    for it in &ports.spares {
        put(&format!("{}.toml", it.part), spare(ports, it, access))?;
    }
    put("dns.toml", dns(ports))?;
    put("cdn.test.zone", ZONE.to_owned())?;
    put("coverage.csv", coverage())
}

/// The part of the site that is for members: by signed URLs, which manifests carry on.
const MEMBERS: &str = "signed = \"query\"\nsigned_keys = [\"demo\"]\n\
                       signed_paths = [\"/members/\"]\nmedia_tokens = true\n";

/// The zone that the demo answers for; each site has a name in it.
const ZONE: &str = include_str!("cdn.test.zone");

fn control(ports: &Ports) -> String {
    format!(
        "{}[listen]\nhttp = [\"{}\"]\n[admin]\nlisten = \"{}\"\n\
         [data]\nfolder = \"control\"\n[log]\nlevel = \"warn\"\n",
        node("demo-control"),
        ports.control,
        ports.control_admin
    )
}

fn parent(ports: &Ports, access: Access) -> String {
    format!(
        "{}[listen]\nhttp = [\"{}\"]\n[admin]\nlisten = \"{}\"\n{}{}urls = [\"http://{}\"]\n",
        node("demo-parent"),
        ports.parent,
        ports.parent_admin,
        cache("parent", access),
        follows(ports, "parent"),
        ports.parent,
    )
}

fn edge(ports: &Ports, access: Access) -> String {
    format!(
        "{}[listen]\nhttp = [\"{}\"]\nhttps = [\"{}\"]\n[admin]\nlisten = \"{}\"\n\
         [[certificate]]\ncert = \"edge.pem\"\nkey = \"edge.key\"\n\
         [upstream]\nparents = [\"http://{}\"]\n{}{}{}",
        node("demo-edge"),
        ports.edge,
        ports.edge_tls,
        ports.edge_admin,
        ports.parent,
        cache("edge", access),
        follows(ports, "edge"),
        reached(&REGIONS[0], ports.edge, ports.edge_admin),
    )
}

/// An edge with a small cache in memory.
fn spare(ports: &Ports, spare: &Spare, access: Access) -> String {
    let name = spare.part;
    format!(
        "{}[listen]\nhttp = [\"{}\"]\n[admin]\nlisten = \"{}\"\n\
         [upstream]\nparents = [\"http://{}\"]\n[cache]\nmemory = \"16MiB\"\n{}{}{}",
        node(&format!("demo-{name}")),
        spare.http,
        spare.admin,
        ports.parent,
        log(access),
        follows(ports, name),
        reached(spare.region, spare.http, spare.admin),
    )
}

fn dns(ports: &Ports) -> String {
    let mut text = format!(
        "{}[admin]\nlisten = \"{}\"\n\
         [dns]\nlisten = [\"{}\", \"{}\"]\nnsid = \"demo-dns\"\ncoverage = \"coverage.csv\"\n\
         keys = \"keys\"\n[health]\ninterval = \"1s\"\nfall = 2\n\
         [[zone]]\nname = \"cdn.test\"\nfile = \"cdn.test.zone\"\nsites = true\n\
         dnssec = \"ecdsa\"\n\
         {}[log]\nlevel = \"warn\"\n",
        node("demo-dns"),
        ports.dns_admin,
        ports.dns,
        ports.dns_second,
        follows(ports, "dns"),
    );
    for Region { name, at: (latitude, longitude), .. } in &REGIONS {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "[[region]]\nname = \"{name}\"\nlatitude = {latitude:?}\nlongitude = {longitude:?}\n"
        );
    }
    text
}

fn coverage() -> String {
    let lines = |region: &Region| region.clients.map(|net| format!("{net},{}\n", region.name));
    REGIONS.iter().flat_map(lines).collect()
}

fn node(name: &str) -> String {
    format!(
        "[node]\nname = \"{name}\"\nworkers = 1\ndrain_timeout = \"3s\"\nsign_keys = \"sign\"\n"
    )
}

fn cache(name: &str, access: Access) -> String {
    format!(
        "[cache]\nmemory = \"64MiB\"\n\
         disk = [{{ path = \"{name}-cache\", size = \"256MiB\" }}]\n{}",
        log(access)
    )
}

fn log(access: Access) -> String {
    let access = if access == Access::Shown { "stdout" } else { "off" };
    format!("[log]\naccess = \"{access}\"\nlevel = \"warn\"\n")
}

fn follows(ports: &Ports, name: &str) -> String {
    format!(
        "[control]\nurl = \"http://{}\"\ntoken_file = \"join.token\"\nstate = \"{name}-state\"\n",
        ports.control
    )
}

/// What control, and from there the DNS server, is told of an edge.
fn reached(region: &Region, http: SocketAddr, admin: SocketAddr) -> String {
    format!(
        "region = \"{}\"\naddresses = [\"{}\"]\nhealth = \"http://{admin}\"\n\
         urls = [\"http://{http}\"]\n",
        region.name,
        http.ip(),
    )
}
