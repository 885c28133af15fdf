//! `bench slow`: what honest clients notice of clients that are slow on purpose. A server, pinned
//! to one core, answers 1 KiB hits to wrk on another, first alone, then beside more and more
//! connections of ours that do nothing:
//!
//! 1. idle ones, whose one request was answered and who keep the connection;
//! 2. slow heads: half a request each (slowloris);
//! 3. ones that ask for 1 MiB and read nothing, with a small receive window: while they arrive, and
//!    when they have.
//!
//! All stay open to the end of a round, and the run fails if the server closed any. Every server is
//! started anew for each round, so that its memory is that of this round's connections. Closing is
//! by RST: nothing is left in TIME_WAIT.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::measure::{Load, median, resident_kib, round};
use super::peers::{Contestant, OURS, Stage, Storage, taking_part};
use super::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::target;
use crate::packages::{FOR_BENCH, ensure};
use crate::say;

const FILES: [(&str, usize); 2] = [("1k", 1 << 10), ("1m", 1 << 20)];
const IDLE: usize = 10_000;
const SLOW_HEADS: usize = 2_000;
const NOT_READING: usize = 1_000;
/// Descriptors of a process beside those of its connections.
const DESCRIPTORS_EXTRA: usize = 200;
const HONEST: Load = Load::Http1 { connections: 16 };
/// When a server has given back what an idle connection does not need; ours does after 2 seconds.
const SETTLED_AFTER: Duration = Duration::from_secs(4);
/// Receive buffer of a client that reads nothing; it holds a few KiB.
const RECEIVE_BYTES: usize = 4096;
/// What the 99th percentile may be, in microseconds, whoever else is there.
const P99_AIM: Option<Aim> = Some(Aim::AtMost(5_000.0));

/// Who is there while honest clients are measured.
struct Work {
    name: &'static str,
    aim: Option<Aim>,
}

const WORKS: [Work; 5] = [
    Work { name: "honest clients alone", aim: P99_AIM },
    Work { name: "beside 10,000 idle", aim: P99_AIM },
    Work { name: "and 2,000 slow heads", aim: P99_AIM },
    Work { name: "as 1,000 not reading arrive", aim: None },
    Work { name: "and 1,000 not reading", aim: P99_AIM },
];

/// The figures of one round on one server.
#[derive(Default)]
struct Found {
    /// In the order of [`WORKS`].
    p99_us: [f64; WORKS.len()],
    idle_kib: f64,
    not_reading_mib: f64,
    kernel_mib: f64,
}

/// Measures all rounds.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, Failure> {
    ensure(FOR_BENCH)?;
    if std::thread::available_parallelism()?.get() < 2 {
        return Err(Failure::new("two cores are needed: one for the server, one for the load"));
    }
    raise_descriptors()?;
    let mut stage = Stage::new(&target().join("bench").join("slow"), &FILES, Storage::Memory)?;
    let names = taking_part(options, &["nginx"])?;
    let mut found: BTreeMap<&'static str, Vec<Found>> = BTreeMap::new();
    for number in 1..=options.rounds {
        for name in &names {
            say(&format!("\nround {number}, {name}"));
            let mut contestant = stage.start(name)?;
            let figures = measure(options, &mut stage, &mut contestant)
                .map_err(|failure| Failure::new(format!("{name}: {failure}")))?;
            found.entry(name).or_default().push(figures);
        }
    }
    Ok(rows(&found))
}

/// Servers inherit the limit.
fn raise_descriptors() -> Result<(), Failure> {
    let wanted = (IDLE + SLOW_HEADS + NOT_READING + DESCRIPTORS_EXTRA) as u64;
    let hard = getrlimit(Resource::Nofile).maximum;
    if let Some(hard) = hard.filter(|hard| *hard < wanted) {
        let why = format!("{wanted} descriptors are needed and {hard} allowed: see ulimit -Hn");
        return Err(Failure::new(why));
    }
    let raised = Rlimit { current: hard.or(Some(wanted)), maximum: hard };
    setrlimit(Resource::Nofile, raised).map_err(|error| Failure::new(error.to_string()))
}

fn measure(
    options: &Options,
    stage: &mut Stage,
    contestant: &mut Contestant,
) -> Result<Found, Failure> {
    let (pid, server) = (contestant.server.pid(), at(contestant.http_port));
    for (name, bytes) in FILES {
        get(server, name, bytes)?;
    }
    let honest = Honest { url: format!("http://{server}/1k"), pid, folder: stage.folder.clone() };
    honest.p99_us(1)?;
    // Not sooner: the origin logs a request a moment after it has answered.
    let before = stage.origin_requests()?;
    let mut found = Found::default();
    let mut crowd = Crowd(Vec::with_capacity(IDLE + SLOW_HEADS + NOT_READING));
    let grown_kib = |since: u64| Ok::<_, Failure>(resident_kib(pid)?.saturating_sub(since) as f64);
    found.note(0, honest.p99_us(options.seconds)?);

    let memory_kib = resident_kib(pid)?;
    for _ in 0..IDLE {
        crowd.0.push(get(server, "1k", 1 << 10)?);
    }
    found.note(1, honest.p99_us(options.seconds)?);
    std::thread::sleep(SETTLED_AFTER);
    found.idle_kib = grown_kib(memory_kib)? / IDLE as f64;

    for _ in 0..SLOW_HEADS {
        let mut client = connect(server, None)?;
        client.write_all(b"GET /1k HTTP/1.1\r\nHost: bench.te")?;
        crowd.0.push(client);
    }
    found.note(2, honest.p99_us(options.seconds)?);

    let (memory_kib, kernel_mib) = (resident_kib(pid)?, tcp_mib()?);
    let (p99_us, arrived) = std::thread::scope(|scope| {
        let measured = scope.spawn(|| honest.p99_us_or_all(options.seconds));
        let arrived = crowd.arrive_not_reading(server);
        (measured.join(), arrived)
    });
    arrived?;
    found.note(3, p99_us.map_err(|_| Failure::new("a thread panicked"))?);
    found.note(4, honest.p99_us_or_all(options.seconds));
    found.not_reading_mib = grown_kib(memory_kib)? / 1024.0;
    found.kernel_mib = (tcp_mib()? - kernel_mib).max(0.0);

    crowd.all_open()?;
    contestant.server.check()?;
    match stage.origin_requests()? - before {
        0 => Ok(found),
        through => Err(Failure::new(format!("{through} requests were no hits"))),
    }
}

impl Found {
    fn note(&mut self, work: usize, p99_us: f64) {
        self.p99_us[work] = p99_us;
        say(&format!("  {:28} {p99_us:>9.0} us p99", WORKS[work].name));
    }
}

/// The honest clients.
struct Honest {
    url: String,
    pid: u32,
    folder: PathBuf,
}

impl Honest {
    fn p99_us(&self, seconds: u32) -> Result<f64, Failure> {
        Ok(round(HONEST, &self.url, seconds, self.pid, &self.folder)?.p99_us)
    }

    /// The whole round when not everyone, or no one, was answered in it: that is the finding.
    fn p99_us_or_all(&self, seconds: u32) -> f64 {
        self.p99_us(seconds).unwrap_or_else(|failure| {
            let text = failure.to_string();
            let first = text.lines().next().unwrap_or_default();
            say(&format!("  {first}; counted as the whole round"));
            f64::from(seconds) * 1e6
        })
    }
}

/// Connections that are open and do nothing.
struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// Asks for 1 MiB on many connections, and waits until a first byte has come on each. The last
    /// ones of the crowd.
    fn arrive_not_reading(&mut self, server: SocketAddr) -> Result<(), Failure> {
        let begun = self.0.len();
        for _ in 0..NOT_READING {
            let mut client = connect(server, Some(RECEIVE_BYTES))?;
            client.write_all(request("1m").as_bytes())?;
            self.0.push(client);
        }
        for client in &self.0[begun..] {
            client.peek(&mut [0])?;
        }
        Ok(())
    }

    /// An error if the server has closed one. Nothing is read.
    fn all_open(&self) -> Result<(), Failure> {
        for (number, client) in self.0.iter().enumerate() {
            client.set_nonblocking(true)?;
            let is_waiting = number >= IDLE + SLOW_HEADS;
            let is_open = match client.peek(&mut [0]) {
                Ok(bytes) => is_waiting && bytes > 0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            if !is_open {
                return Err(Failure::new(format!("connection {number} was closed")));
            }
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for client in &self.0 {
            // If it fails, the connection waits in the kernel for a minute.
            let _ = sockopt::set_socket_linger(client, Some(Duration::ZERO));
        }
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Connects, with a receive buffer of this size if one is given: before connecting, for the window
/// is agreed on then.
fn connect(server: SocketAddr, receive_bytes: Option<usize>) -> Result<TcpStream, Failure> {
    let named = |error: rustix::io::Errno| Failure::new(format!("connecting: {error}"));
    let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
    let socket =
        rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(named)?;
    if let Some(bytes) = receive_bytes {
        sockopt::set_socket_recv_buffer_size(&socket, bytes).map_err(named)?;
    }
    rustix::net::connect(&socket, &server).map_err(named)?;
    let client = TcpStream::from(socket);
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    client.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(client)
}

fn request(name: &str) -> String {
    format!("GET /{name} HTTP/1.1\r\nHost: bench.test\r\n\r\n")
}

/// Asks for a file, reads the whole answer, and leaves the connection open.
fn get(server: SocketAddr, name: &str, bytes: usize) -> Result<TcpStream, Failure> {
    let mut client = connect(server, None)?;
    client.write_all(request(name).as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        match head {
            Some(head) if answer.len() == head + bytes && answer.starts_with(b"HTTP/1.1 200 ") => {
                return Ok(client);
            }
            _ => {}
        }
        let count = client.read(&mut piece)?;
        if count == 0 {
            return Err(Failure::new(format!("/{name}: the answer ended early")));
        }
        answer.extend_from_slice(&piece[..count]);
    }
}

/// Memory that the kernel holds for all TCP sockets of this machine, in MiB.
fn tcp_mib() -> Result<f64, Failure> {
    let path = std::path::Path::new("/proc/net/sockstat");
    let text = fs::read_to_string(path).map_err(Failure::at(path))?;
    let pages = pages(&text).ok_or_else(|| Failure::new(format!("{}: no TCP", path.display())))?;
    Ok((pages * rustix::param::page_size()) as f64 / f64::from(1 << 20))
}

/// `TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 3`
fn pages(sockstat: &str) -> Option<usize> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    let mut words = line.split(' ');
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

fn rows(found: &BTreeMap<&'static str, Vec<Found>>) -> Vec<Row> {
    let row = |work: &str, measure: &str, unit: &str, aim, figure: &dyn Fn(&Found) -> f64| {
        let of = |rounds: &Vec<Found>| median(rounds.iter().map(figure).collect());
        let peers = found.iter().filter(|(name, _)| **name != OURS);
        let peers = peers.map(|(name, rounds)| ((*name).to_owned(), of(rounds))).collect();
        let (work, measure, unit) = (work.to_owned(), measure.to_owned(), unit.to_owned());
        Row { work, measure, unit, ours: found.get(OURS).map(of), peers, aim }
    };
    let mut rows: Vec<Row> = WORKS
        .iter()
        .enumerate()
        .map(|(index, work)| {
            row(work.name, "latency_p99", "us", work.aim.clone(), &|found| found.p99_us[index])
        })
        .collect();
    rows.push(row("an idle connection", "memory", "KiB", None, &|found| found.idle_kib));
    let work = "1,000 not reading";
    rows.push(row(work, "memory", "MiB", None, &|found| found.not_reading_mib));
    rows.push(row(work, "kernel_memory", "MiB", None, &|found| found.kernel_mib));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_tcp_is_read() {
        let text = "sockets: used 153\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 31\nUDP: mem 2\n";
        assert_eq!(pages(text), Some(31));
        assert_eq!(pages("UDP: inuse 1 mem 2\n"), None);
        assert!(tcp_mib().is_ok());
    }

    #[test]
    fn a_closed_connection_is_noticed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = connect(listener.local_addr().unwrap(), Some(RECEIVE_BYTES)).unwrap();
        let (server, _) = listener.accept().unwrap();
        let crowd = Crowd(vec![client]);
        assert!(crowd.all_open().is_ok());
        drop(server);
        while crowd.all_open().is_ok() {
            std::thread::yield_now();
        }
    }
}
