//! Answers every query with its own question and one A record, and says at the end what a query
//! cost: what the transports alone take of the CPU, if it came by one of them only. Ends when its
//! input does.
//!
//! ```sh
//! cargo run --release -p selvedge-dns --example canned -- 127.0.0.1:5300 1
//! dnsperf -s 127.0.0.1 -p 5300 -d names -l 10 -q 200
//! ```
#![expect(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use selvedge_dns::{Answer, Servers, Settings, Transport};

/// Behind the question: its name, A, IN, 300 seconds, 192.0.2.1.
const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1];
/// Clock ticks of a second in /proc (USER_HZ).
const TICKS: u64 = 100;

struct Canned;

impl Answer for Canned {
    fn answer(&mut self, query: &[u8], _: SocketAddr, _: Transport, out: &mut Vec<u8>) {
        let Some((header, rest)) = query.split_at_checked(12) else { return };
        // The question ends five bytes behind the first zero; what follows is not looked at.
        let Some(end) = rest.iter().position(|byte| *byte == 0) else { return };
        let Some(question) = rest.get(..end + 5) else { return };
        out.extend_from_slice(header);
        out.extend_from_slice(question);
        out.extend_from_slice(&RECORD);
        out[2] = 0x84 | out[2] & 1;
        out[3..12].copy_from_slice(&[0, 0, 1, 0, 1, 0, 0, 0, 0]);
    }
}

/// CPU time of this process in microseconds, user and system.
fn cpu_us() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks * 1_000_000 / TICKS
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().unwrap_or_default().parse()?;
    let workers = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let settings =
        Settings { plain: vec![address], datagram_workers: workers, ..Settings::default() };
    let running = Servers::bind(settings)?.run(|| Canned)?;
    println!("answers on {}", running.addresses().plain[0]);
    let before = cpu_us();
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let used = cpu_us() - before;
    for transport in [Transport::Udp, Transport::Tcp] {
        let queries = running.counters().sum(transport, |tally| &tally.queries);
        if queries == 0 {
            continue;
        }
        let overflows = running.counters().sum(transport, |tally| &tally.overflows);
        let each = used as f64 / queries as f64;
        let word = transport.word();
        println!("{word}: {queries} queries, {overflows} overflows, {each:.2} us of CPU each");
    }
    running.drain(Duration::from_secs(1));
    println!("ended well: {}", running.join());
    Ok(())
}
