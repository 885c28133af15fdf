//! Answers packets: the life of a query, from the bytes that came to the bytes that go.
//!
//! ```text
//! bytes -> Responder (zone, site, world) -> rate limit (UDP without proof) -> counts, log -> bytes
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use selvedge_authority as authority;
use selvedge_authority::{RateLimiter, RateVerdict, Reply, Request, Responder, Scratch};
use selvedge_geo::ranking::Rule;
use selvedge_geo::world::{Answer as Place, World};
use selvedge_net::Clock;
use selvedge_telemetry::AccessLog;

use super::figures::{Count, Counts, Figures};
use super::ground::{Ground, Parts};
use super::line;
use super::lookup::Lookup;
use crate::{Answer, Transfer, Transport};

/// Bytes of a message at most (RFC 1035 4.2.2).
const MESSAGE_BYTES_MAX: usize = 65_535;
/// Bytes of a reply over UDP that any setting allows.
const DATAGRAM_BYTES_MAX: usize = 4096;
/// The rules that choose a region, as they are counted.
const RULES: [Rule; 7] = [
    Rule::Pinned,
    Rule::Coverage,
    Rule::Asn,
    Rule::Country,
    Rule::Continent,
    Rule::Distance,
    Rule::Default,
];

/// What all workers share.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// What they answer from.
    pub ground: Arc<Ground>,
    /// What they count.
    pub figures: Arc<Figures>,
    /// Where queries are logged.
    pub log: Arc<AccessLog>,
    /// The time.
    pub clock: Clock,
    /// Secret: keeps outsiders from choosing whose rate they share.
    pub rate_key: [u8; 16],
}

/// Answers for one thread.
pub struct Worker {
    shop: Workshop,
    /// Of the ground that is used.
    version: u64,
    responder: Arc<Responder>,
    world: Arc<World>,
    rates: RateLimiter,
    log_share: f64,
    /// By region and rule.
    sent: Vec<[Option<Arc<Count>>; RULES.len()]>,
    counts: Arc<Counts>,
    scratch: Scratch,
    place: Place,
    buffer: Box<[u8]>,
    now_ms: u64,
    now_wall_ms: i64,
    /// Rises with each query by the share that is logged; a whole one is a line.
    log_credit: f64,
}

impl Worker {
    /// One that answers from the ground as it is now.
    #[must_use]
    pub fn new(shop: Workshop) -> Self {
        let version = shop.ground.version();
        let Parts { manner, world } = shop.ground.parts().clone();
        let mut worker = Self {
            version,
            responder: manner.responder,
            rates: RateLimiter::new((*manner.rates).clone(), &shop.rate_key),
            log_share: manner.log_share,
            sent: Vec::new(),
            counts: shop.figures.begin(),
            world,
            scratch: Scratch::new(),
            place: Place::default(),
            buffer: vec![0; MESSAGE_BYTES_MAX].into(),
            now_ms: shop.clock.now_mono_ms(),
            now_wall_ms: shop.clock.now_wall_ms(),
            log_credit: 0.0,
            shop,
        };
        worker.count_regions();
        worker
    }

    /// Makes room to count by the regions of this world.
    fn count_regions(&mut self) {
        self.sent = self.world.atlas().region_names().map(|_| Default::default()).collect();
    }

    /// Takes over what has changed.
    fn take(&mut self) {
        let version = self.shop.ground.version();
        if version == self.version {
            return;
        }
        let Parts { manner, world } = self.shop.ground.parts().clone();
        if !Arc::ptr_eq(&manner.responder, &self.responder) {
            self.rates = RateLimiter::new((*manner.rates).clone(), &self.shop.rate_key);
        }
        let same_places = Arc::ptr_eq(world.atlas(), self.world.atlas());
        (self.responder, self.log_share) = (manner.responder, manner.log_share);
        (self.world, self.version) = (world, version);
        if !same_places {
            self.count_regions();
        }
    }

    /// Whether the next query is one of those that are logged.
    fn is_logged(&mut self) -> bool {
        if self.log_share <= 0.0 || !self.shop.log.is_on() {
            return false;
        }
        self.log_credit += self.log_share;
        let is_due = self.log_credit >= 1.0;
        self.log_credit -= f64::from(u8::from(is_due));
        is_due
    }
}

impl Answer for Worker {
    fn answer(&mut self, query: &[u8], from: SocketAddr, transport: Transport, out: &mut Vec<u8>) {
        let is_logged = self.is_logged();
        let is_udp = transport == Transport::Udp;
        let room = if is_udp { DATAGRAM_BYTES_MAX } else { MESSAGE_BYTES_MAX };
        let request = Request {
            packet: query,
            from,
            transport: carrier(transport),
            now: (self.now_wall_ms / 1000) as u32,
        };
        let lookup = Lookup::new(&self.world, &mut self.place);
        let buffer = &mut self.buffer[..room];
        let (reply, outcome) = self.responder.respond(&request, &lookup, &mut self.scratch, buffer);
        let sent = lookup.last();
        let counts = &self.counts;
        let Reply::Bytes(mut bytes) = reply else {
            counts.reason(outcome.reason);
            return;
        };
        counts.reply(outcome.rcode, outcome.reason);
        if outcome.is_truncated {
            counts.truncated.add();
        }
        if outcome.subnet.is_some() {
            counts.with_subnet.add();
        }
        if let Some((region, rule)) = sent {
            let place = &mut self.sent[region.index()][rule as usize];
            let name = || self.world.atlas().region_name(region);
            place.get_or_insert_with(|| counts.sent(name(), rule.word())).add();
        }
        let mut verdict = RateVerdict::Send;
        if is_udp && !outcome.is_proven {
            let name = self.scratch.rate_name(&outcome);
            let client = from.ip().to_canonical();
            verdict = self.rates.check(client, outcome.rate_class, name, self.now_ms);
        }
        match verdict {
            RateVerdict::Send => {}
            RateVerdict::Slip => {
                counts.slipped.add();
                bytes = Responder::slip(&mut buffer[..bytes], &outcome);
            }
            RateVerdict::Drop => {
                counts.limited.add();
                return;
            }
        }
        if is_logged {
            let region = sent.map(|(region, _)| self.world.atlas().region_name(region));
            let rule = sent.map(|(_, rule)| rule.word());
            let line = line::Line {
                wall_ms: self.now_wall_ms,
                from,
                transport,
                name: self.scratch.asked(),
                outcome: &outcome,
                region,
                rule,
                bytes,
            };
            self.shop.log.line(|out| line.write(out));
        }
        out.extend_from_slice(&buffer[..bytes]);
    }

    fn transfer(
        &mut self,
        query: &[u8],
        from: SocketAddr,
        transport: Transport,
    ) -> Option<Transfer> {
        if !asks_for_transfer(query) {
            return None;
        }
        let now = (self.now_wall_ms / 1000) as u32;
        let request = Request { packet: query, from, transport: carrier(transport), now };
        let lookup = Lookup::new(&self.world, &mut self.place);
        let (reply, outcome) =
            self.responder.respond(&request, &lookup, &mut self.scratch, &mut self.buffer);
        let Reply::Zone(zone) = reply else { return None };
        let mut messages = authority::Transfer::new(Arc::clone(zone), query)?;
        self.counts.reply(outcome.rcode, outcome.reason);
        Some(Transfer(Box::new(std::iter::from_fn(move || {
            let mut message = vec![0; MESSAGE_BYTES_MAX];
            let bytes = messages.next_message(&mut message)?;
            message.truncate(bytes);
            Some(message)
        }))))
    }

    fn refresh(&mut self) {
        self.now_ms = self.shop.clock.now_mono_ms();
        self.now_wall_ms = self.shop.clock.now_wall_ms();
        self.take();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What a transport is to the answering: only over datagrams can anybody claim to be anyone.
fn carrier(transport: Transport) -> authority::Transport {
    match transport {
        Transport::Udp => authority::Transport::Udp,
        Transport::Tcp | Transport::Tls | Transport::Https => authority::Transport::Stream,
    }
}

/// Whether the first question of a message is for AXFR or IXFR, as far as can be seen at once.
fn asks_for_transfer(query: &[u8]) -> bool {
    let mut at = 12;
    while let Some(bytes @ 1..=63) = query.get(at).copied() {
        at += 1 + usize::from(bytes);
    }
    let kind = query.get(at + 1..at + 3).map(|kind| u16::from_be_bytes([kind[0], kind[1]]));
    matches!(kind, Some(authority::kind::AXFR | authority::kind::IXFR))
}
