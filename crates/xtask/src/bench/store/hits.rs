//! Hits from disk: objects that do not fit into memory, but into the page cache. wrk walks their
//! URLs in an order that is the same for every server, so that no memory tier has the next one.

use std::collections::BTreeMap;
use std::fs;

use super::super::measure::{Figures, Load, median, round};
use super::super::peers::{Contestant, OURS, Stage};
use super::super::{Aim, Options, Row};
use super::{row, store_all, visit};
use crate::failure::Failure;
use crate::say;

/// Objects of one size.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) folder: &'static str,
    pub(super) bytes: usize,
    /// Over TLS, where no server can hand pages of the page cache to the socket unread.
    tls: bool,
    /// How many: several times what 4 MiB of memory hold, fewer than nginx keeps open.
    objects: u32,
    connections: u32,
}

pub(super) const SETS: [Set; 6] = [
    KIB,
    KIB_64,
    MIB,
    Set { name: "1 KiB from disk, TLS", tls: true, ..KIB },
    Set { name: "64 KiB from disk, TLS", tls: true, ..KIB_64 },
    Set { name: "1 MiB from disk, TLS", tls: true, ..MIB },
];

const KIB: Set = Set {
    name: "1 KiB from disk",
    folder: "1k",
    bytes: 1 << 10,
    tls: false,
    objects: 12_000,
    connections: 50,
};

const KIB_64: Set = Set {
    name: "64 KiB from disk",
    folder: "64k",
    bytes: 64 << 10,
    tls: false,
    objects: 2_000,
    connections: 50,
};

const MIB: Set = Set {
    name: "1 MiB from disk",
    folder: "1m",
    bytes: 1 << 20,
    tls: false,
    objects: 128,
    connections: 20,
};

impl Set {
    /// The paths of its objects, in the order in which they are asked for.
    pub(super) fn paths(&self, options: &Options) -> Vec<String> {
        let count = if options.quick { self.objects / 8 } else { self.objects };
        let numbers = visit::order(count);
        numbers.iter().map(|number| format!("/{}/{number}", self.folder)).collect()
    }
}

const SCRIPT: &str = "walk.lua";

/// Measures one set.
pub(super) fn measure(
    set: &Set,
    options: &Options,
    stage: &mut Stage,
    servers: &mut [Contestant],
) -> Result<Vec<Row>, Failure> {
    let paths = set.paths(options);
    fs::write(stage.folder.join(SCRIPT), script(&paths))?;
    for server in servers.iter() {
        store_all(stage, server, &paths)?;
    }
    let mut before = 0;
    let load = Load::Walk { connections: set.connections, script: SCRIPT };
    let mut figures: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
    // Round 0 warms up, and over TLS stores, and is not counted.
    for number in 0..=options.rounds {
        if number == 1 {
            before = stage.origin_requests()?;
        }
        for server in servers.iter_mut() {
            server.server.check()?;
            let seconds = if number == 0 { 2 } else { options.seconds };
            let url = match server.https_port.filter(|_| set.tls) {
                Some(port) => format!("https://127.0.0.1:{port}"),
                None => format!("http://127.0.0.1:{}", server.http_port),
            };
            let found = round(load, &url, seconds, server.server.pid(), &stage.folder)
                .map_err(|failure| Failure::new(format!("{}: {failure}", server.name)))?;
            if number > 0 {
                say(&format!(
                    "  round {number} {:14} {:>9.0} requests/s {:>8.2} us CPU {:>9.0} us p99",
                    server.name, found.requests_per_second, found.cpu_us_per_request, found.p99_us,
                ));
                figures.entry(server.name).or_default().push(found);
            }
        }
    }
    let through = stage.origin_requests()? - before;
    if through > 0 {
        return Err(Failure::new(format!("{}: {through} requests were no hits", set.name)));
    }
    Ok(rows(set.name, &figures))
}

/// What wrk runs: `init` once, `request` for each request.
fn script(paths: &[String]) -> String {
    let list: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
    format!(
        "local paths = {{{}}}\nlocal requests, at = {{}}, 0\n\
         init = function()\n  for i, path in ipairs(paths) do\n    \
         requests[i] = wrk.format(\"GET\", path)\n  end\nend\n\
         request = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n",
        list.join(",\n")
    )
}

fn rows(name: &str, figures: &BTreeMap<&str, Vec<Figures>>) -> Vec<Row> {
    let one = |measure, unit, aim: Option<Aim>, figure: fn(&Figures) -> f64| {
        let of = |rounds: &Vec<Figures>| median(rounds.iter().map(figure).collect());
        let mut row = row(name, measure, unit, figures.get(OURS).map(of), aim);
        let peers = figures.iter().filter(|(name, _)| **name != OURS);
        row.peers = peers.map(|(name, rounds)| ((*name).to_owned(), of(rounds))).collect();
        row
    };
    vec![
        one("cpu_per_request", "us", Some(Aim::BestPeer), |it| it.cpu_us_per_request),
        one("requests_rate", "1/s", None, |it| it.requests_per_second),
        one("latency_p99", "us", Some(Aim::BestPeer), |it| it.p99_us),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_names_every_path() {
        let script = script(&["/1k/1".to_owned(), "/1k/0".to_owned()]);
        assert!(script.starts_with("local paths = {\"/1k/1\",\n\"/1k/0\"}\n"), "{script}");
    }
}
