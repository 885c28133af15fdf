//! `bench hit`: what a cache hit costs. Every server is a caching proxy in front of the same
//! origin, pinned to one core, with the objects already stored; wrk or h2load is on another core.
//!
//! Before and after each work the requests at the origin are counted: if a measured request went
//! through, the run fails.

use std::collections::BTreeMap;
use std::time::Duration;

use super::measure::{Figures, Load, median, round};
use super::peers::{Contestant, OURS, Stage, Storage, contestants};
use super::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::target;
use crate::packages::{FOR_BENCH, ensure};
use crate::process::Task;
use crate::say;

/// The peers, in the order in which they take turns.
const PEERS: [&str; 3] = ["nginx", "varnish", "trafficserver"];

/// Something to measure.
#[derive(Debug)]
struct Work {
    name: &'static str,
    path: &'static str,
    tls: bool,
    load: Load,
    /// What CPU per request should reach.
    aim: Aim,
}

const FILES: [(&str, usize); 3] = [("1k", 1 << 10), ("64k", 64 << 10), ("1m", 1 << 20)];

const WORKS: [Work; 5] = [
    Work {
        name: "1 KiB HTTP/1.1",
        path: "/1k",
        tls: false,
        load: Load::Http1 { connections: 50 },
        aim: Aim::PartOf(0.6, "nginx"),
    },
    Work {
        name: "1 KiB TLS 1.3 HTTP/1.1",
        path: "/1k",
        tls: true,
        load: Load::Http1 { connections: 50 },
        aim: Aim::PartOf(0.7, "nginx"),
    },
    Work {
        name: "1 KiB TLS 1.3 HTTP/2",
        path: "/1k",
        tls: true,
        load: Load::Http2 { connections: 20, streams: 10 },
        aim: Aim::PartOf(0.7, "nginx"),
    },
    Work {
        name: "64 KiB HTTP/1.1",
        path: "/64k",
        tls: false,
        load: Load::Http1 { connections: 50 },
        aim: Aim::BestPeer,
    },
    Work {
        name: "1 MiB HTTP/1.1",
        path: "/1m",
        tls: false,
        load: Load::Http1 { connections: 20 },
        aim: Aim::BestPeer,
    },
];

/// Measures all works.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, Failure> {
    ensure(FOR_BENCH)?;
    if std::thread::available_parallelism()?.get() < 2 {
        return Err(Failure::new("two cores are needed: one for the server, one for the load"));
    }
    let folder = target().join("bench").join("hit");
    let mut stage = Stage::new(&folder, &FILES, Storage::Memory)?;
    let mut contestants = contestants(options, &stage, &PEERS)?;
    let mut rows = Vec::new();
    for work in WORKS.iter().filter(|work| options.wants(work.name)) {
        say(&format!("\n{}", work.name));
        rows.extend(measure(work, options, &mut stage, &mut contestants)?);
    }
    Ok(rows)
}

fn measure(
    work: &Work,
    options: &Options,
    stage: &mut Stage,
    contestants: &mut [Contestant],
) -> Result<Vec<Row>, Failure> {
    let mut taking_part: Vec<(&mut Contestant, String)> = contestants
        .iter_mut()
        .filter_map(|contestant| {
            let url = url(work, contestant)?;
            Some((contestant, url))
        })
        .collect();
    for (contestant, url) in &taking_part {
        let named = |failure| Failure::new(format!("{}: {failure}", contestant.name));
        fill(work, url).map_err(named)?;
        if let (true, Some(port)) = (work.tls, contestant.https_port) {
            say(&format!("  {:14} {}", contestant.name, negotiated(port).map_err(named)?));
        }
    }
    let before = stage.origin_requests()?;
    let mut figures: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
    // Round 0 warms up and is not counted.
    for number in 0..=options.rounds {
        for (contestant, url) in &mut taking_part {
            contestant.server.check()?;
            let seconds = if number == 0 { 1 } else { options.seconds };
            let pid = contestant.server.pid();
            let found = round(work.load, url, seconds, pid, &stage.folder)
                .map_err(|failure| Failure::new(format!("{}: {failure}", contestant.name)))?;
            if number > 0 {
                say(&format!(
                    "  round {number} {:14} {:>9.0} requests/s {:>8.2} us CPU {:>9.0} us p99",
                    contestant.name,
                    found.requests_per_second,
                    found.cpu_us_per_request,
                    found.p99_us,
                ));
                figures.entry(contestant.name).or_default().push(found);
            }
        }
    }
    let through = stage.origin_requests()? - before;
    if through > 0 {
        return Err(Failure::new(format!("{}: {through} requests were no hits", work.name)));
    }
    Ok(rows(work, &figures))
}

fn url(work: &Work, contestant: &Contestant) -> Option<String> {
    let (scheme, port) = match work.tls {
        true => ("https", contestant.https_port?),
        false => ("http", contestant.http_port),
    };
    Some(format!("{scheme}://127.0.0.1:{port}{}", work.path))
}

/// Asks until the object is stored; checks protocol, status and length.
fn fill(work: &Work, url: &str) -> Result<(), Failure> {
    let version = match work.load {
        Load::Http1 { .. } | Load::Walk { .. } => ("--http1.1", "1.1"),
        Load::Http2 { .. } => ("--http2", "2"),
    };
    let bytes = FILES.iter().find(|(name, _)| work.path.ends_with(name)).map_or(0, |file| file.1);
    let wanted = format!("{} 200 {bytes}", version.1);
    let format = "%{http_version} %{http_code} %{size_download}";
    let mut arguments = vec!["--silent", "--insecure", "--max-time", "10", version.0];
    arguments.extend(["--output", "/dev/null", "--write-out", format, url]);
    for _ in 0..3 {
        let got = Task::new("curl", &arguments).limit(Duration::from_secs(20)).output()?;
        if got != wanted {
            return Err(Failure::new(format!("{url} answers {got}, not {wanted}")));
        }
    }
    Ok(())
}

/// What a server and OpenSSL agree on; an error if it is not TLS 1.3.
fn negotiated(port: u16) -> Result<String, Failure> {
    let address = format!("127.0.0.1:{port}");
    let task = Task::new("openssl", &["s_client", "-connect", &address]);
    let answer = task.limit(Duration::from_secs(20)).output()?;
    let line = |start: &str| answer.lines().find(|line| line.starts_with(start));
    let cipher = line("New, TLSv1.3, Cipher is").ok_or_else(|| Failure::new("not TLS 1.3"))?;
    Ok(format!("{cipher}; {}", line("Server Temp Key").unwrap_or_default()))
}

/// A figure of a round, with its name and unit, and whether the work's aim is about it.
type Measure = (&'static str, &'static str, bool, fn(&Figures) -> f64);

const MEASURES: [Measure; 3] = [
    ("cpu_per_request", "us", true, |figures| figures.cpu_us_per_request),
    ("requests_rate", "1/s", false, |figures| figures.requests_per_second),
    ("latency_p99", "us", false, |figures| figures.p99_us),
];

fn rows(work: &Work, figures: &BTreeMap<&str, Vec<Figures>>) -> Vec<Row> {
    MEASURES
        .iter()
        .map(|(measure, unit, judged, figure)| {
            let of = |rounds: &Vec<Figures>| median(rounds.iter().map(figure).collect());
            Row {
                work: work.name.to_owned(),
                measure: (*measure).to_owned(),
                unit: (*unit).to_owned(),
                ours: figures.get(OURS).map(of),
                peers: figures
                    .iter()
                    .filter(|(name, _)| **name != OURS)
                    .map(|(name, rounds)| ((*name).to_owned(), of(rounds)))
                    .collect(),
                aim: judged.then(|| work.aim.clone()),
            }
        })
        .collect()
}
