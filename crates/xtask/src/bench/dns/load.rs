//! The load: one thread on a core of its own that keeps a number of queries under way, each from
//! another place of the world, and matches the answers by their ids.
//!
//! Debian's dnsperf and kxdpgun put the same client subnet into all queries and cannot choose the
//! address that asks, so this stands in for them. Queries go out and answers come in by the batch,
//! so that the generator has time to spare beside a server that does one thing for each.
//!
//! ```text
//! free --query sent--> under way --answer--> free           (latency noted)
//!                      under way --its id is due again, or a second without an answer--> lost
//! ```

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, sendmsg,
};
use nix::unistd::Pid;

use super::packet::{self, Query};
use crate::bench::measure::own_cpu_us;
use crate::failure::Failure;

/// Queries that are under way at most: as dnsperf has it, about; their answers fit into the
/// smallest receive buffer of any server.
const WINDOW: usize = 128;
/// Messages in one system call.
const BATCH: usize = 32;
/// What an answer to such queries can be at most.
const ANSWER_BYTES: usize = 1232;
/// Without any answer for so long, all that is under way is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// Latencies are counted by the microsecond, up to a tenth of a second.
const LATENCY_US_MAX: usize = 100_000;

/// What a round of load saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) answered: u64,
    pub(super) lost: u64,
    /// Answers that are errors, or have no records.
    pub(super) bad: u64,
    pub(super) seconds: f64,
    pub(super) p99_us: f64,
    /// What the generator itself has used.
    pub(super) load_cpu_us: u64,
}

/// Asks a server these questions, in turn, for so long; on this core if one is given. The clients
/// are the same ones each time, in the same order.
pub(super) fn run(
    server: SocketAddrV4,
    queries: &[Query],
    time: Duration,
    core: Option<usize>,
) -> Result<Seen, Failure> {
    std::thread::scope(|scope| {
        let generator = scope.spawn(move || {
            if let Some(core) = core {
                let mut cores = CpuSet::new();
                cores.set(core).map_err(failed)?;
                sched_setaffinity(Pid::from_raw(0), &cores).map_err(failed)?;
            }
            Generator::new(server, queries)?.run(time)
        });
        generator.join().map_err(|_| Failure::new("the load generator panicked"))?
    })
}

/// Asks once and gives the answer: from `client`, which must be in 127.0.0.0/8, or on its behalf.
pub(super) fn ask(
    server: SocketAddrV4,
    query: &Query,
    source: Ipv4Addr,
    client: Ipv4Addr,
) -> Result<Vec<u8>, Failure> {
    let socket = open()?;
    let mut message = Vec::new();
    query.write(7, client, &mut message);
    let mut answer = vec![0; ANSWER_BYTES];
    for _ in 0..3 {
        let from = packet_info(source);
        let cmsgs = [ControlMessage::Ipv4PacketInfo(&from)];
        let slices = [IoSlice::new(&message)];
        let to = SockaddrIn::from(server);
        sendmsg(socket.as_raw_fd(), &slices, &cmsgs, MsgFlags::empty(), Some(&to))
            .map_err(failed)?;
        if let Ok((length, _)) = socket.recv_from(&mut answer) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
    Err(Failure::new(format!("{server} does not answer")))
}

struct Generator<'a> {
    socket: UdpSocket,
    server: SocketAddrV4,
    queries: &'a [Query],
    next_query: usize,
    next_id: u16,
    random: Random,
    begun: Instant,
    /// When the query with this id was sent, in ns since the beginning; 0: not under way.
    sent_ns: Vec<u64>,
    under_way: usize,
    /// How many answers took so many microseconds.
    latencies: Vec<u64>,
    answered: u64,
    lost: u64,
    bad: u64,
}

impl<'a> Generator<'a> {
    fn new(server: SocketAddrV4, queries: &'a [Query]) -> Result<Self, Failure> {
        Ok(Self {
            socket: open()?,
            server,
            queries,
            next_query: 0,
            next_id: 0,
            random: Random(0x9e37_79b9_7f4a_7c15),
            begun: Instant::now(),
            sent_ns: vec![0; 1 << 16],
            under_way: 0,
            latencies: vec![0; LATENCY_US_MAX + 1],
            answered: 0,
            lost: 0,
            bad: 0,
        })
    }

    fn run(mut self, time: Duration) -> Result<Seen, Failure> {
        let mut messages = vec![Vec::new(); BATCH];
        let mut answers = vec![[0; ANSWER_BYTES]; BATCH];
        let mut sending =
            MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(libc::in_pktinfo)));
        let mut receiving = MultiHeaders::preallocate(BATCH, None);
        self.begun = Instant::now();
        while self.begun.elapsed() < time {
            if self.under_way + BATCH <= WINDOW {
                self.send(&mut messages, &mut sending)?;
            } else {
                self.receive(&mut answers, &mut receiving)?;
            }
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let answered = self.answered;
        while self.under_way > 0 {
            self.receive(&mut answers, &mut receiving)?;
        }
        let p99_us = percentile(&self.latencies, 99);
        // The rate is of the time of load; the few that came after it count as answered.
        let seconds = seconds * self.answered as f64 / answered.max(1) as f64;
        let load_cpu_us = own_cpu_us()?;
        let Self { answered, lost, bad, .. } = self;
        Ok(Seen { answered, lost, bad, seconds, p99_us, load_cpu_us })
    }

    fn send(
        &mut self,
        messages: &mut [Vec<u8>],
        headers: &mut MultiHeaders<SockaddrIn>,
    ) -> Result<(), Failure> {
        let now_ns = self.begun.elapsed().as_nanos() as u64;
        for message in messages.iter_mut() {
            let id = self.next_id;
            self.next_id = id.wrapping_add(1);
            if self.sent_ns[usize::from(id)] != 0 {
                self.lost += 1;
                self.under_way -= 1;
            }
            self.sent_ns[usize::from(id)] = now_ns.max(1);
            self.queries[self.next_query].write(id, self.random.client(), message);
            self.next_query = (self.next_query + 1) % self.queries.len();
        }
        // One address of ours for the whole batch: it is given once.
        let source = packet_info(self.random.loopback());
        let slices: Vec<[IoSlice<'_>; 1]> =
            messages.iter().map(|message| [IoSlice::new(message)]).collect();
        let to = vec![Some(SockaddrIn::from(self.server)); slices.len()];
        let cmsgs = [ControlMessage::Ipv4PacketInfo(&source)];
        let socket = self.socket.as_raw_fd();
        let sent = sendmmsg(socket, headers, &slices, &to, cmsgs, MsgFlags::empty());
        let sent = sent.map_err(failed)?.count();
        if sent < messages.len() {
            return Err(Failure::new("the kernel took only a part of a batch of queries"));
        }
        self.under_way += sent;
        Ok(())
    }

    /// Takes what is there, and waits for the first of it.
    fn receive(
        &mut self,
        answers: &mut [[u8; ANSWER_BYTES]],
        headers: &mut MultiHeaders<SockaddrIn>,
    ) -> Result<(), Failure> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            answers.iter_mut().map(|answer| [IoSliceMut::new(answer)]).collect();
        let socket = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_WAITFORONE;
        let lengths: Vec<usize> = match recvmmsg(socket, headers, &mut slices, flags, None) {
            Ok(received) => received.map(|message| message.bytes).collect(),
            Err(Errno::EAGAIN | Errno::EINTR) => {
                self.lost += self.under_way as u64;
                self.under_way = 0;
                self.sent_ns.fill(0);
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        let now_ns = self.begun.elapsed().as_nanos() as u64;
        for (answer, length) in answers.iter().zip(lengths) {
            self.count(&answer[..length], now_ns);
        }
        Ok(())
    }

    fn count(&mut self, answer: &[u8], now_ns: u64) {
        let Some(id) = packet::id(answer) else { return };
        let sent_ns = std::mem::take(&mut self.sent_ns[usize::from(id)]);
        if sent_ns == 0 {
            // Given up, or a duplicate.
            return;
        }
        self.under_way -= 1;
        self.answered += 1;
        let took_us = now_ns.saturating_sub(sent_ns) / 1000;
        self.latencies[(took_us as usize).min(LATENCY_US_MAX)] += 1;
        if packet::answers(answer).is_none_or(|count| count == 0) {
            self.bad += 1;
        }
    }
}

/// A socket that may send from any address of this machine.
fn open() -> Result<UdpSocket, Failure> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn packet_info(source: Ipv4Addr) -> libc::in_pktinfo {
    let address = |address: Ipv4Addr| libc::in_addr { s_addr: address.to_bits().to_be() };
    let ipi_addr = address(Ipv4Addr::UNSPECIFIED);
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address(source), ipi_addr }
}

fn failed(error: Errno) -> Failure {
    Failure::new(format!("load: {error}"))
}

/// The microseconds that so many in a hundred do not exceed.
fn percentile(counts: &[u64], percent: u64) -> f64 {
    let rank = (counts.iter().sum::<u64>() * percent).div_ceil(100).max(1);
    let mut seen = 0;
    let at = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    at.map_or(f64::NAN, |us| us as f64)
}

/// Numbers that are the same in each run (xorshift).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// An address of a client: any unicast one that is not of this machine.
    pub(super) fn client(&mut self) -> Ipv4Addr {
        loop {
            let address = Ipv4Addr::from_bits(self.next());
            if (1..=223).contains(&address.octets()[0]) && !address.is_loopback() {
                return address;
            }
        }
    }

    /// An address of this machine.
    pub(super) fn loopback(&mut self) -> Ipv4Addr {
        let [_, b, c, d] = self.next().to_be_bytes();
        // 127.255.255.255 is for broadcasts.
        Ipv4Addr::new(127, b, c, d.clamp(1, 254))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{IpAddr, SocketAddr};
    use std::sync::mpsc;

    use super::*;
    use crate::bench::dns::packet::Subnet;

    /// A server that answers every query but each `skip`th with one record; it says who asked.
    fn serve(skip: usize) -> (SocketAddrV4, mpsc::Receiver<IpAddr>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // It ends when it has been left alone for longer than any test does.
        socket.set_read_timeout(Some(PATIENCE * 5)).unwrap();
        let SocketAddr::V4(address) = socket.local_addr().unwrap() else { unreachable!() };
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let mut message = [0; 512];
            for number in 1_usize.. {
                let Ok((length, from)) = socket.recv_from(&mut message) else { return };
                let _ = said.send(from.ip());
                message[2] = 0x84;
                message[7] = 1;
                if number % skip != 0 {
                    socket.send_to(&message[..length], from).unwrap();
                }
            }
        });
        (address, heard)
    }

    #[test]
    fn answers_are_matched_and_what_is_missing_is_counted() {
        let queries = [Query::new("www.bench.test", Subnet::Told)];
        let time = Duration::from_millis(100);
        let all = run(serve(usize::MAX).0, &queries, time, None).unwrap();
        assert!(all.answered > 0 && all.lost == 0 && all.bad == 0, "{all:?}");
        let some = run(serve(10).0, &queries, time, None).unwrap();
        assert!(some.answered > 0 && some.lost > 0, "{some:?}");
    }

    #[test]
    fn load_comes_from_many_addresses_of_this_machine() {
        let queries = [Query::new("www.bench.test", Subnet::Absent)];
        let (server, heard) = serve(usize::MAX);
        run(server, &queries, Duration::from_millis(100), None).unwrap();
        let from: BTreeSet<IpAddr> = heard.try_iter().collect();
        assert!(from.len() > 2 && from.iter().all(IpAddr::is_loopback), "{from:?}");
    }

    #[test]
    fn one_query_can_come_from_any_address_of_this_machine() {
        let query = Query::new("www.bench.test", Subnet::Absent);
        let source = Ipv4Addr::new(127, 81, 2, 3);
        let (server, heard) = serve(usize::MAX);
        let answer = ask(server, &query, source, source).unwrap();
        assert_eq!(packet::id(&answer), Some(7));
        assert_eq!(heard.recv().unwrap(), source);
    }

    #[test]
    fn percentiles_are_by_rank() {
        let mut counts = vec![0; 10];
        counts[2] = 99;
        counts[7] = 1;
        assert_eq!(percentile(&counts, 99), 2.0);
        counts[7] = 2;
        assert_eq!(percentile(&counts, 99), 7.0);
        assert!(percentile(&[0, 0], 99).is_nan());
    }
}
