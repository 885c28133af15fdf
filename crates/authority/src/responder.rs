//! A packet in, a packet out (RFC 1035 7.3, RFC 6891 7, RFC 8906).
//!
//! ```text
//! short, reply, looping port ─→ nothing     opcode ─→ NOTIMP    EDNS version ─→ BADVERS
//! malformed ─→ FORMERR                      cookie wanted ─→ BADCOOKIE
//! class, transfer, no zone ─→ REFUSED       else ─→ the answer of the zone
//! ```
//!
//! Pure: the time, the asker and whoever knows the sites are handed in, nothing is kept between
//! two packets but the buffers of [`Scratch`], and nothing is allocated once those have grown.

mod scratch;
mod signing;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::answer::{Answer, Owners};
use crate::chaos;
use crate::cookie::CookieProof;
use crate::dnssec::Signer;
use crate::kind;
use crate::name::Name;
use crate::opt::{ERROR_BYTES, Opt};
use crate::outcome::{Outcome, Reason, SubnetOutcome};
use crate::query::{Fault, NameBuffer, NoQuery, Query, Question};
use crate::settings::{CookiePolicy, ServerText, Settings};
use crate::sites::{Asker, Sites};
use crate::wire::{CLASS_CH, CLASS_IN, HEADER_BYTES, UDP_BYTES_MIN, flag, opcode, rcode};
use crate::writer::Writer;
use crate::zone::Zone;
use crate::zones::Zones;

use scratch::Desk;
pub use scratch::Scratch;

/// Ports where something answers whatever it is sent (discard to chargen, RFC 862 to RFC 865), and
/// the one that nothing can be sent to.
const LOOPING_PORTS: [u16; 6] = [0, 7, 9, 13, 17, 19];

/// Who answers.
#[derive(Clone, Debug)]
pub struct Responder {
    zones: Zones,
    settings: Settings,
    /// Of the zones that are signed, by apex.
    signers: HashMap<Name, Arc<Signer>, RandomState>,
}

/// A packet, and how it came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The message, without the length that TCP puts before it.
    pub packet: &'a [u8],
    /// Who sent it.
    pub from: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// Unix seconds: what cookies are dated by.
    pub now: u32,
}

/// What a packet came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams: anybody can have sent it, and the reply must be short.
    Udp,
    /// A connection, with TLS or without: who sent it is who he says.
    Stream,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// Nothing.
    Nothing,
    /// So many bytes of the buffer.
    Bytes(usize),
    /// A whole zone, by [`crate::Transfer`]; the buffer holds nothing.
    Zone(&'a Arc<Zone>),
}

/// What becomes of a query.
enum Plan<'a> {
    /// A code and no records.
    Code(u16, Reason),
    /// A text about this server.
    Text(&'a ServerText),
    /// All of a zone.
    Transfer(&'a Arc<Zone>),
    /// The answer out of a zone.
    Zone(&'a Zone),
}

impl Responder {
    /// Answers for these zones.
    #[must_use]
    pub fn new(zones: Zones, mut settings: Settings) -> Self {
        settings.udp_bytes_max = settings.udp_bytes_max.clamp(UDP_BYTES_MIN, usize::from(u16::MAX));
        Self { zones, settings, signers: HashMap::default() }
    }

    /// The zones.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// Answers one packet into `out`, which has room for 512 bytes at least, or nothing is said;
    /// for a stream give it 65,535.
    pub fn respond<'a>(
        &'a self,
        request: &Request<'_>,
        sites: &dyn Sites,
        scratch: &mut Scratch,
        out: &mut [u8],
    ) -> (Reply<'a>, Outcome<'a>) {
        let Scratch { asked, opt, names, desk } = scratch;
        let query = match read(request, asked) {
            Ok(query) if out.len() >= UDP_BYTES_MIN => query,
            Ok(_) => return (Reply::Nothing, Outcome::silent(Reason::Short)),
            Err(reason) => return (Reply::Nothing, Outcome::silent(reason)),
        };
        let mut outcome = Outcome::of(&query);
        self.put_options(&query, request, &mut outcome, opt);
        let plan = self.plan(&query, request, asked, &outcome);
        if let Plan::Transfer(zone) = plan {
            outcome.reason = Reason::Transfer;
            outcome.zone = Some(zone);
            return (Reply::Zone(zone), outcome);
        }
        let room = self.limit(&query, request.transport).min(out.len());
        let limit = room - opt.as_wire().len();
        let question = query.question.map_or(&[][..], |question| question.bytes);
        let mut writer = Writer::new(out, limit, question, names);
        let mut is_authoritative = false;
        match plan {
            Plan::Text(text) => {
                is_authoritative = true;
                (outcome.rcode, outcome.reason) = (rcode::NOERROR, Reason::Chaos);
                outcome.is_truncated = chaos::put(&mut writer, asked, text).is_err();
            }
            Plan::Zone(zone) => {
                desk.name.copy(asked);
                let (writer_now, outcome_now) = (&mut writer, &mut outcome);
                let mut answer = self.answer(zone, request, sites, desk, writer_now, outcome_now);
                self.sign(&mut answer, &query, request.now, opt);
                answer.run();
                is_authoritative = answer.is_authoritative;
                let scope = answer.scope;
                set_scope(&mut outcome, opt, scope);
                if outcome.is_truncated && writer.lacks_signature() {
                    outcome.reason = Reason::Unsigned;
                    if request.transport == Transport::Stream {
                        return (Reply::Nothing, outcome);
                    }
                }
            }
            Plan::Code(code, reason) => {
                (outcome.rcode, outcome.reason) = (code, reason);
                if matches!(code, rcode::FORMERR | rcode::NOTIMP) {
                    opt.clear_options();
                }
            }
            Plan::Transfer(_) => {}
        }
        settle(opt, &mut outcome, room.saturating_sub(writer.bytes()));
        let flags = flags(&query, &outcome, is_authoritative);
        let len = writer.finish(query.id, flags, query.question.is_some(), opt.as_wire());
        // What was written before the budget was gone is of no use without the rest.
        let is_whole = outcome.reason != Reason::Unsigned;
        let len = if is_whole { len } else { Self::slip(&mut out[..len], &outcome) };
        (Reply::Bytes(len), outcome)
    }

    /// Makes an empty reply with TC of one that was just written: what is sent now and then to whom
    /// the rate is limited for. Says how long it is.
    #[must_use]
    pub fn slip(reply: &mut [u8], outcome: &Outcome<'_>) -> usize {
        let opt_bytes = usize::from(outcome.opt_bytes);
        let end = HEADER_BYTES + usize::from(outcome.question_bytes);
        if reply.len() < end + opt_bytes {
            return reply.len();
        }
        reply.copy_within(reply.len() - opt_bytes.., end);
        reply[2] |= (flag::TC >> 8) as u8;
        reply[6..HEADER_BYTES].fill(0);
        reply[HEADER_BYTES - 1] = u8::from(opt_bytes > 0);
        end + opt_bytes
    }

    /// The answer out of a zone, to be run.
    #[inline]
    fn answer<'a, 'w, 'out>(
        &'a self,
        zone: &'a Zone,
        request: &Request<'_>,
        sites: &'w dyn Sites,
        desk: &'w mut Desk,
        writer: &'w mut Writer<'out>,
        outcome: &'w mut Outcome<'a>,
    ) -> Answer<'a, 'w, 'out> {
        outcome.zone = Some(zone);
        Answer {
            zone,
            sites,
            settings: &self.settings,
            asker: asker(outcome, request.from.ip().to_canonical()),
            kind: outcome.kind,
            name: &mut desk.name,
            located: &mut desk.located,
            writer,
            outcome,
            is_authoritative: true,
            scope: 0,
            owners: Owners::new(),
            phase: None,
            missing_rcode: rcode::NXDOMAIN,
            denial: &mut desk.denial,
        }
    }

    /// The options of the reply: what is sent back of those that came, and what they prove.
    fn put_options(
        &self,
        query: &Query<'_>,
        request: &Request<'_>,
        outcome: &mut Outcome<'_>,
        opt: &mut Opt,
    ) {
        outcome.is_proven = request.transport == Transport::Stream;
        opt.clear();
        let Some(edns) = &query.edns else { return };
        opt.begin(edns, self.settings.udp_bytes_max);
        // To what cannot be read nothing is said but that.
        if query.fault.is_some() || query.opcode != opcode::QUERY {
            return;
        }
        if let Some(identity) = self.settings.identity.as_ref().filter(|_| edns.wants_nsid) {
            opt.add_identity(identity.as_bytes());
        }
        let client = request.from.ip().to_canonical();
        if let Some(subnet) = &edns.subnet
            && self.settings.subnet_trust.is_given_to(client)
        {
            opt.add_subnet(subnet.bytes);
            let (address, source) = (subnet.address, subnet.source);
            outcome.subnet = Some(SubnetOutcome { address, source, scope: 0 });
        }
        if let (Some(cookie), Some(secrets)) = (&edns.cookie, &self.settings.cookies) {
            let (proof, server) = secrets.check(cookie, client, request.now);
            opt.add_cookie(cookie.client, &server);
            outcome.cookie = proof;
            outcome.is_proven |= proof == CookieProof::Good;
        }
    }

    fn plan<'a>(
        &'a self,
        query: &Query<'_>,
        request: &Request<'_>,
        asked: &NameBuffer,
        outcome: &Outcome<'_>,
    ) -> Plan<'a> {
        if query.opcode != opcode::QUERY {
            return Plan::Code(rcode::NOTIMP, Reason::Unimplemented);
        }
        match query.fault {
            Some(Fault::Version) => return Plan::Code(rcode::BADVERS, Reason::Version),
            Some(Fault::Malformed) => return Plan::Code(rcode::FORMERR, Reason::Malformed),
            None => {}
        }
        let has_cookie = outcome.cookie != CookieProof::Absent;
        let Some(question) = query.question else {
            // Who asks nothing may still ask for a cookie.
            return match has_cookie {
                true => Plan::Code(rcode::NOERROR, Reason::CookieOnly),
                false => Plan::Code(rcode::FORMERR, Reason::Malformed),
            };
        };
        let wants_cookie = self.settings.cookie_policy == CookiePolicy::Wanted;
        if wants_cookie && has_cookie && !outcome.is_proven {
            return Plan::Code(rcode::BADCOOKIE, Reason::CookieWanted);
        }
        self.plan_question(&question, request, asked.as_wire())
    }

    fn plan_question<'a>(
        &'a self,
        question: &Question<'_>,
        request: &Request<'_>,
        asked: &[u8],
    ) -> Plan<'a> {
        match question.class {
            CLASS_IN => {}
            CLASS_CH => {
                return match chaos::text(&self.settings, asked, question.kind) {
                    Some(text) => Plan::Text(text),
                    None => Plan::Code(rcode::REFUSED, Reason::Chaos),
                };
            }
            _ => return Plan::Code(rcode::REFUSED, Reason::Class),
        }
        match question.kind {
            // Never types of questions (RFC 6891 6.1.1, RFC 8945 4.2, RFC 9824 3.5).
            0 | kind::OPT | kind::TSIG | kind::NXNAME => {
                return Plan::Code(rcode::FORMERR, Reason::Malformed);
            }
            kind::TKEY | kind::MAILA | kind::MAILB => {
                return Plan::Code(rcode::NOTIMP, Reason::Unimplemented);
            }
            kind::AXFR | kind::IXFR => return self.plan_transfer(request, asked),
            _ => {}
        }
        match self.zones.find(asked, question.kind) {
            Some(zone) => Plan::Zone(zone),
            None => Plan::Code(rcode::REFUSED, Reason::NotOurs),
        }
    }

    /// A whole zone goes over a stream only (RFC 5936 4.2), and who asks for what changed may get
    /// it all (RFC 1995 4).
    fn plan_transfer(&self, request: &Request<'_>, asked: &[u8]) -> Plan<'_> {
        let is_stream = request.transport == Transport::Stream;
        let may =
            is_stream && self.settings.transfers_to.contains(request.from.ip().to_canonical());
        match self.zones.at(asked).filter(|_| may) {
            Some(zone) => Plan::Transfer(zone),
            None => Plan::Code(rcode::REFUSED, Reason::TransferRefused),
        }
    }

    fn limit(&self, query: &Query<'_>, transport: Transport) -> usize {
        match (transport, &query.edns) {
            (Transport::Stream, _) => usize::from(u16::MAX),
            (Transport::Udp, Some(edns)) => edns.udp_bytes.min(self.settings.udp_bytes_max),
            (Transport::Udp, None) => UDP_BYTES_MIN,
        }
    }
}

/// The query in a packet; else why it gets no reply.
#[inline]
fn read<'a>(request: &Request<'a>, asked: &mut NameBuffer) -> Result<Query<'a>, Reason> {
    let is_udp = request.transport == Transport::Udp;
    match Query::read(request.packet, asked) {
        Ok(_) if is_udp && is_looping(request.from.port()) => Err(Reason::Port),
        Ok(query) => Ok(query),
        Err(NoQuery::Short) => Err(Reason::Short),
        Err(NoQuery::Reply) => Err(Reason::Reply),
    }
}

/// Says in the OPT record how it went: why there is an error too, where there is room.
fn settle(opt: &mut Opt, outcome: &mut Outcome<'_>, room: usize) {
    if let Some(code) = outcome.reason.error_code()
        && opt.as_wire().len() + ERROR_BYTES <= room
    {
        opt.add_error(code);
    }
    outcome.opt_bytes = opt.as_wire().len() as u16;
    opt.set_rcode(outcome.rcode);
}

/// Whether who asks from a port answers whatever he is sent; most ports are none of these.
#[inline]
fn is_looping(port: u16) -> bool {
    port <= LOOPING_PORTS[LOOPING_PORTS.len() - 1] && LOOPING_PORTS.contains(&port)
}

/// For whom the answer is: the client as the resolver tells, or else the resolver. One that tells
/// nothing of its client, in so many words, is the resolver too (RFC 7871 7.1.2).
fn asker(outcome: &Outcome<'_>, resolver: IpAddr) -> Asker {
    match outcome.subnet {
        Some(SubnetOutcome { address: Some(address), source: prefix @ 1.., .. }) => {
            Asker { address, prefix }
        }
        _ => Asker { address: resolver, prefix: if resolver.is_ipv4() { 32 } else { 128 } },
    }
}

/// Where nothing was told of the client, the answer is the resolver's and good for all behind it.
fn set_scope(outcome: &mut Outcome<'_>, opt: &mut Opt, scope: u8) {
    if let Some(subnet) = outcome.subnet.as_mut().filter(|subnet| subnet.source > 0) {
        // No resolver takes a scope with more bits than the address has.
        let bits = if subnet.address.is_some_and(|address| address.is_ipv4()) { 32 } else { 128 };
        subnet.scope = scope.min(bits);
        opt.set_scope(subnet.scope);
    }
}

/// The second two bytes of the header: what is not named here is zero.
fn flags(query: &Query<'_>, outcome: &Outcome<'_>, is_authoritative: bool) -> u16 {
    let mut flags = flag::QR | u16::from(query.opcode) << 11 | (outcome.rcode & 0xf);
    for (is_set, flag) in [
        (is_authoritative, flag::AA),
        (outcome.is_truncated, flag::TC),
        (query.wants_recursion, flag::RD),
    ] {
        if is_set {
            flags |= flag;
        }
    }
    flags
}
