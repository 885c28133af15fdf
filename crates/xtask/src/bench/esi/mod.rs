//! `bench esi`: what it costs to assemble a page. Varnish has the same pages from the same origin;
//! each server is pinned to one core, the load is on another.
//!
//! 1. a page of 32 KiB with 10 fragments of 1 KiB, all stored, and the same bytes as one object;
//! 2. a page that asks to be assembled and has no tags, beside one that does not ask (ours alone);
//! 3. a page with 5 fragments that nobody may keep and that take 50 ms each: first and last byte;
//! 4. reading plain HTML (`cargo bench -p selvedge-esi`).

mod origin;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::measure::{Figures, Load, median, round};
use super::peers::{Contestant, OURS, Stage, Storage, contestants};
use super::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::{cargo, target};
use crate::packages::{FOR_BENCH, ensure};
use crate::process::Task;
use crate::say;

const PEERS: [&str; 1] = ["varnish"];
const LOAD: Load = Load::Http1 { connections: 50 };
/// What a page may cost, by what it costs Varnish.
const PART: f64 = 0.3;
/// What a page without tags may cost, by a plain hit.
const PLAIN_PART: f64 = 1.05;
const LAST_BYTE_MS: f64 = 70.0;
const FIRST_BYTE_MS: f64 = 5.0;
const SCAN_GB_S: f64 = 1.0;

/// Measures all works.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, Failure> {
    ensure(FOR_BENCH)?;
    if std::thread::available_parallelism()?.get() < 2 {
        return Err(Failure::new("two cores are needed: one for the server, one for the load"));
    }
    let port = origin::start()?;
    let stage = Stage::beside(&target().join("bench").join("esi"), Storage::Assembled, port)?;
    let mut servers = contestants(options, &stage, &PEERS)?;
    let mut rows = Vec::new();
    for (work, path, aim) in [
        ("10 stored fragments", "/tags", Some(Aim::PartOf(PART, "varnish"))),
        ("the same bytes, one object", "/bytes", None),
    ] {
        if options.wants(work) {
            let figures = load(options, &stage, &mut servers, work, &[path])?;
            rows.extend(rows_of(work, &figures[0], aim));
        }
    }
    servers.retain(|server| server.name == OURS || !options.wants("no tags"));
    if options.wants("no tags") && !options.peers_only {
        rows.extend(plain(options, &stage, &mut servers)?);
    }
    drop(servers);
    if options.wants("5 slow fragments") {
        let mut servers = contestants(options, &stage, &PEERS)?;
        rows.extend(slow(options, &mut servers)?);
    }
    if options.wants("plain HTML") && !options.peers_only {
        rows.push(scan()?);
    }
    Ok(rows)
}

/// The figures of each server under load, path by path; paths take turns within a round.
fn load(
    options: &Options,
    stage: &Stage,
    servers: &mut [Contestant],
    work: &str,
    paths: &[&str],
) -> Result<Vec<BTreeMap<&'static str, Vec<Figures>>>, Failure> {
    say(&format!("\n{work}"));
    let mut figures = vec![BTreeMap::<&str, Vec<Figures>>::new(); paths.len()];
    // Round 0 stores, warms up and is not counted.
    for number in 0..=options.rounds {
        for server in servers.iter_mut() {
            for (path, figures) in paths.iter().zip(&mut figures) {
                server.server.check()?;
                let url = format!("http://127.0.0.1:{}{path}", server.http_port);
                let seconds = if number == 0 { 1 } else { options.seconds };
                let found = round(LOAD, &url, seconds, server.server.pid(), &stage.folder)
                    .map_err(|failure| Failure::new(format!("{}: {failure}", server.name)))?;
                if number > 0 {
                    let Figures { requests_per_second: rate, cpu_us_per_request: cpu, p99_us } =
                        found;
                    say(&format!(
                        "  round {number} {:10} {path:10} {rate:>8.0} pages/s {cpu:>7.2} us CPU \
                         {p99_us:>8.0} us p99",
                        server.name,
                    ));
                    figures.entry(server.name).or_default().push(found);
                }
            }
        }
    }
    Ok(figures)
}

fn rows_of(
    work: &str,
    figures: &BTreeMap<&'static str, Vec<Figures>>,
    aim: Option<Aim>,
) -> Vec<Row> {
    let row = |measure: &str, unit: &str, aim, figure: fn(&Figures) -> f64| {
        let of = |rounds: &Vec<Figures>| median(rounds.iter().map(figure).collect());
        let peers = figures.iter().filter(|(name, _)| **name != OURS);
        Row {
            work: work.to_owned(),
            measure: measure.to_owned(),
            unit: unit.to_owned(),
            ours: figures.get(OURS).map(of),
            peers: peers.map(|(name, rounds)| ((*name).to_owned(), of(rounds))).collect(),
            aim,
        }
    };
    vec![
        row("cpu_per_page", "us", aim, |it| it.cpu_us_per_request),
        row("pages_rate", "1/s", None, |it| it.requests_per_second),
        row("latency_p99", "us", None, |it| it.p99_us),
    ]
}

/// A page that asks to be assembled and has no tags, beside one that does not ask.
fn plain(
    options: &Options,
    stage: &Stage,
    servers: &mut [Contestant],
) -> Result<Vec<Row>, Failure> {
    let work = "no tags beside a plain hit";
    let figures = load(options, stage, servers, work, &["/no-tags", "/page"])?;
    let cpu = |of: usize| {
        let rounds = figures[of].get(OURS).into_iter().flatten();
        median(rounds.map(|it| it.cpu_us_per_request).collect())
    };
    let (asks, plain) = (cpu(0), cpu(1));
    let aim = Aim::Judged(format!("<= {PLAIN_PART} x a plain hit"), asks <= PLAIN_PART * plain);
    let row = |measure: &str, figure, aim| Row {
        work: work.to_owned(),
        measure: measure.to_owned(),
        unit: "us".to_owned(),
        ours: Some(figure),
        peers: BTreeMap::new(),
        aim,
    };
    Ok(vec![row("cpu_per_page", asks, Some(aim)), row("cpu_plain_hit", plain, None)])
}

/// When the first and the last byte of a page come whose fragments take their time.
fn slow(options: &Options, servers: &mut [Contestant]) -> Result<Vec<Row>, Failure> {
    let work = "5 slow fragments";
    say(&format!("\n{work}"));
    let mut times: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    let rounds = options.rounds * 4;
    for number in 0..=rounds {
        for server in servers.iter_mut() {
            server.server.check()?;
            let found = fetch(SocketAddr::from(([127, 0, 0, 1], server.http_port)))
                .map_err(|failure| Failure::new(format!("{}: {failure}", server.name)))?;
            if number > 0 {
                times.entry(server.name).or_default().push(found);
            }
        }
    }
    let row = |measure: &str, most, figure: fn(&(f64, f64)) -> f64| {
        let of = |rounds: &Vec<(f64, f64)>| median(rounds.iter().map(figure).collect());
        let peers = times.iter().filter(|(name, _)| **name != OURS);
        Row {
            work: work.to_owned(),
            measure: measure.to_owned(),
            unit: "ms".to_owned(),
            ours: times.get(OURS).map(of),
            peers: peers.map(|(name, rounds)| ((*name).to_owned(), of(rounds))).collect(),
            aim: Some(Aim::AtMost(most)),
        }
    };
    Ok(vec![row("first_byte", FIRST_BYTE_MS, |it| it.0), row("last_byte", LAST_BYTE_MS, |it| it.1)])
}

/// Milliseconds to the first and to the last byte of the page.
fn fetch(server: SocketAddr) -> Result<(f64, f64), Failure> {
    let mut client = TcpStream::connect(server)?;
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let began = Instant::now();
    let request = "GET /slow-tags HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n";
    client.write_all(request.as_bytes())?;
    let mut answer = vec![0; 1];
    client.read_exact(&mut answer)?;
    let first = began.elapsed();
    client.read_to_end(&mut answer)?;
    let last = began.elapsed();
    let wanted = (32 << 10) + origin::SLOW * (1 << 10) - 100;
    if !answer.starts_with(b"HTTP/1.1 200") || answer.len() < wanted {
        return Err(Failure::new(format!("{} bytes came, not a whole page", answer.len())));
    }
    Ok((first.as_secs_f64() * 1e3, last.as_secs_f64() * 1e3))
}

/// How fast plain HTML is read, by the benchmark of the crate.
fn scan() -> Result<Row, Failure> {
    say("\nplain HTML");
    let arguments = ["bench", "--quiet", "-p", "selvedge-esi", "--bench", "scan"];
    let text = Task::new(&cargo(), &arguments).limit(Duration::from_secs(1800)).output()?;
    let line = text.lines().find(|line| line.starts_with("plain, 32 KiB"));
    let rate = line.and_then(|line| {
        let before = line.split(" GB/s").next()?;
        before.split_whitespace().next_back()?.parse::<f64>().ok()
    });
    let rate = rate.ok_or_else(|| Failure::new(format!("no figure in:\n{text}")))?;
    Ok(Row {
        work: "plain HTML, 32 KiB".to_owned(),
        measure: "scan".to_owned(),
        unit: "GB/s".to_owned(),
        ours: Some(rate),
        peers: BTreeMap::new(),
        aim: Some(Aim::Judged(format!(">= {SCAN_GB_S}"), rate >= SCAN_GB_S)),
    })
}
