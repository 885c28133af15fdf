//! A signed zone with a signed and an open one below it, and a validator that somebody else wrote,
//! to be asked about their answers.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use domain::base::{Message, ParsedName, Rtype};
use domain::dnssec::validator::anchor::TrustAnchors;
use domain::dnssec::validator::base::RrsigExt as _;
use domain::dnssec::validator::context::{ValidationContext, ValidationState};
use domain::net::client::request::{
    ComposeRequest as _, Error, GetResponse, RequestMessage, SendRequest,
};
use domain::rdata::{Dnskey, Rrsig, ZoneRecordData};
use selvedge_authority::{
    Algorithm, KeyRing, Reply, Request, Responder, Scratch, SignatureLimits, Signatures, Signer,
    Timing, Transport, Zones,
};

use super::{Answered, Ask, CDN, Mock, name, settings, zone};

/// What the signed zone has besides.
pub const MORE: &str = "\
plain NS ns.elsewhere.invalid.
glued NS ns.glued
ns.glued A 192.0.2.78
*.many TXT \"many\"
*.solo SITE v4only
*.solo TXT \"solo\"
solo SITE v4only
solo CAA 0 issue \"ca.invalid\"
child NS ns.invalid.
open NS ns.invalid.
";
const CHILD: &str = "\
@ 60 SOA ns.invalid. h.invalid. 1 1 1 1 1000
@ 60 NS ns.invalid.
a 60 A 192.0.2.8
";

/// The validator has a clock of its own.
pub fn wall() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_secs() as u32
}

/// A server of a signed zone with a signed one below it.
#[derive(Clone)]
pub struct Signed {
    pub server: Arc<Responder>,
    pub signatures: Arc<Signatures>,
    pub ring: KeyRing,
    pub now: u32,
}

impl Signed {
    pub fn new(algorithm: Algorithm) -> Self {
        Self::with(algorithm, |_| {})
    }

    pub fn with(algorithm: Algorithm, change: impl FnOnce(&mut SignatureLimits)) -> Self {
        let mut limits = SignatureLimits { unproven_per_second: 1 << 30, ..Default::default() };
        change(&mut limits);
        let now = wall();
        let timing = Timing::default();
        // Old enough for CDS to be there.
        let made = now - 10 * 86_400;
        let ring = |apex| KeyRing::make(&name(apex), algorithm, made).expect("a key");
        let (parent, child) = (ring("cdn.example."), ring("child.cdn.example."));
        let ds = child.ds_text().replacen("child.cdn.example. IN", "child", 1);
        let big: String =
            (0..300).map(|n| format!("big A 10.0.{}.{}\n", n / 256, n % 256)).collect();
        let cdn = zone("cdn.example.", true, &[CDN, MORE, &ds, "\n", &big].concat());
        let below = |apex| zone(apex, false, CHILD);
        let zones = [cdn, below("child.cdn.example."), below("open.cdn.example.")];
        let zones = Zones::new(zones.map(Arc::new));
        let signatures = Arc::new(Signatures::new(limits, &[9; 16]));
        let signers = [&parent, &child]
            .map(|ring| Arc::new(Signer::new(ring, &timing, Arc::clone(&signatures))));
        let server = Arc::new(Responder::new(zones, settings()).with_signers(signers));
        Self { server, signatures, ring: parent, now }
    }

    /// The reply to a packet.
    pub fn send(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let mut out = vec![0xee; 65_535];
        let from = "192.0.2.200:4000".parse().expect("an address");
        let request = Request { packet, from, transport, now: self.now };
        match self.server.respond(&request, &Mock, &mut Scratch::new(), &mut out).0 {
            Reply::Bytes(len) => Some(out[..len].to_vec()),
            Reply::Nothing | Reply::Zone(_) => None,
        }
    }

    /// Over a stream, and with signatures.
    pub fn ask(&self, asked: &str, kind: u16) -> Answered {
        let packet = Ask::new(asked, kind).opt(1232, 0, 0x8000).packet();
        Answered::read(&self.send(&packet, Transport::Stream).expect("a reply"))
    }

    /// What the validator, which trusts the DS of the zone, thinks of a reply.
    pub fn state_of(&self, reply: &[u8]) -> ValidationState {
        let anchors = TrustAnchors::from_u8(format!("{}\n", self.ring.ds_text()).as_bytes());
        let context = ValidationContext::new(anchors.expect("an anchor"), self.clone());
        let mut message = Message::from_octets(reply.to_vec()).expect("a message");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let state = runtime.block_on(context.validate_msg::<_, Vec<u8>>(&mut message));
        state.expect("a message that can be read").0
    }
}

impl SendRequest<RequestMessage<Vec<u8>>> for Signed {
    fn send_request(&self, request: RequestMessage<Vec<u8>>) -> Box<dyn GetResponse + Send + Sync> {
        let packet = request.to_vec().expect("a packet");
        let reply = self.send(&packet, Transport::Stream).expect("a reply");
        Box::new(Sent(Message::from_octets(Bytes::from(reply)).expect("a message")))
    }
}

impl Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server")
    }
}

#[derive(Debug)]
struct Sent(Message<Bytes>);

impl GetResponse for Sent {
    fn get_response(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Message<Bytes>, Error>> + Send + Sync + '_>> {
        let message = self.0.clone();
        Box::pin(async move { Ok(message) })
    }
}

/// Whether one of these keys proves the records of a type in an answer.
pub fn validates(reply: &[u8], covered: Rtype, keys: &[Dnskey<Vec<u8>>]) -> bool {
    let message = Message::from_octets(reply).expect("a message");
    let answer = || message.answer().expect("an answer");
    let records = answer().limit_to::<ZoneRecordData<_, ParsedName<_>>>();
    let mut records: Vec<_> = records
        .map(|record| record.expect("a record"))
        .filter(|record| record.rtype() == covered)
        .collect();
    let signatures = answer().limit_to::<Rrsig<_, _>>();
    signatures.map(|record| record.expect("a signature")).any(|signature| {
        let mut signed = Vec::new();
        signature.data().signed_data(&mut signed, &mut records).expect("room");
        keys.iter()
            .filter(|key| key.key_tag() == signature.data().key_tag())
            .any(|key| signature.data().verify_signed_data(key, &signed).is_ok())
    })
}
