//! A server with two zones and a handful of sites, queries to send it, and replies read with
//! somebody else's parser: so that what we write is checked by who did not write it.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part")]

pub mod signed;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use domain::base::Message;
use domain::base::iana::Class;
use domain::rdata::AllRecordData;
use selvedge_authority::{
    Alpn, Asker, Located, MasterFile, Name, Outcome, Reply, Request, Responder, Scratch, Settings,
    SiteIndex, Sites, SubnetTrust, Transport, Zone, Zones,
};

pub const NOW: u32 = 1_800_000_000;
pub const CDN: &str = "\
$TTL 300
@ 900 SOA ns1 hostmaster 7 3600 600 86400 120
@ NS ns1
@ NS ns.elsewhere.invalid.
@ MX 10 mail
@ TXT \"apex\"
@ CAA 0 issue \"ca.invalid\"
@ SITE shop
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
www A 192.0.2.1
www A 192.0.2.2
alias CNAME www
alias2 CNAME alias
out CNAME www.elsewhere.invalid.
dangling CNAME a.www
to-site CNAME shop
to-sub CNAME www.sub
loop1 CNAME loop2
loop2 CNAME loop1
*.spin CNAME x.spin
*.wild TXT \"wild\"
*.wild A 192.0.2.3
*.wildalias CNAME www
*.grown CNAME a.b.c
there.wild TXT \"there\"
under.ent.wild TXT \"under\"
a.b.c A 192.0.2.9
sub NS ns.sub
sub NS ns1
sub DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000001
ns.sub A 192.0.2.77
old DNAME new
x.new A 192.0.2.10
long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
svc SRV 1 2 443 www
nothing SRV 0 0 0 .
nomail MX 0 .
hosted SITE shop
lost SITE nowhere
*.many SITE geo
static HTTPS 1 . alpn=h2
static A 192.0.2.11
to-static HTTPS 1 static alpn=h2
odd TYPE1234 \\# 3 abcdef
longtxt TXT \"0123456789012345678901234567890123456789012345678901234567890123456789\"
";

/// Where a site's clients are sent in these tests.
pub struct Mock;

/// The networks that the site `geo` tells apart, the longest first.
pub const NETS: [(&str, u8); 4] =
    [("10.1.2.0/24", 4), ("10.1.0.0/16", 3), ("10.0.0.0/8", 2), ("2001:db8::/32", 5)];

impl Sites for Mock {
    fn find(&self, site: &[u8]) -> Option<SiteIndex> {
        let names: [&[u8]; 4] = [b"shop", b"v4only", b"empty", b"geo"];
        names.iter().position(|name| *name == site).map(|at| SiteIndex(at as u32))
    }

    fn locate(&self, site: SiteIndex, asker: &Asker, located: &mut Located) {
        assert!(located.v4.is_empty() && located.v6.is_empty());
        (located.ttl, located.scope, located.https) = (30, 24, site.0 != 3);
        match site.0 {
            0 => {
                located.v4.extend([Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(198, 51, 100, 2)]);
                located.v6.push(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
                located.scope = 20;
            }
            1 => located.v4.push(Ipv4Addr::new(198, 51, 100, 3)),
            2 => {}
            _ => {
                let nets: Vec<(ipnet::IpNet, u8)> =
                    NETS.iter().map(|(net, to)| (net.parse().expect("a net"), *to)).collect();
                let to = nets.iter().find(|(net, _)| net.contains(&asker.address));
                located.v4.push(Ipv4Addr::new(203, 0, 113, to.map_or(1, |(_, to)| *to)));
                located.scope = scope(&nets, asker.address);
            }
        }
    }
}

/// The fewest bits that tell an address from every network that it is not in, and put it into the
/// one that it is in.
fn scope(nets: &[(ipnet::IpNet, u8)], address: IpAddr) -> u8 {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let of = |(net, _): &(ipnet::IpNet, u8)| {
        if net.addr().is_ipv4() != address.is_ipv4() {
            return 0;
        }
        let common = (bits(net.network()) ^ bits(address)).leading_zeros() as u8;
        if net.contains(&address) { net.prefix_len() } else { common + 1 }
    };
    nets.iter().map(of).max().unwrap_or(0)
}

pub fn name(text: &str) -> Name {
    Name::from_text(text, &Name::root()).expect("a name")
}

pub fn zone(apex: &str, has_sites: bool, text: &str) -> Zone {
    let apex = name(apex);
    let file = MasterFile { apex: &apex, has_sites, file: "zone", bytes: text.as_bytes() };
    file.read(&mut |_| Err("no file".to_owned())).expect("a sound zone").zone
}

pub fn settings() -> Settings {
    Settings {
        subnet_trust: SubnetTrust::Everybody,
        alpn: Alpn::new(["h3", "h2"]).expect("protocols"),
        ..Settings::default()
    }
}

/// The zones of these tests, answered for as a change of the settings says.
pub fn server(change: impl FnOnce(&mut Settings)) -> Responder {
    let mut settings = settings();
    change(&mut settings);
    let big: String = (0..300).map(|n| format!("big A 10.0.{}.{}\n", n / 256, n % 256)).collect();
    let fit: String = (0..=62).map(|n| format!("fit A 10.0.0.{n}\n")).collect();
    let child =
        "@ 60 SOA ns.invalid. h.invalid. 1 1 1 1 1000\n@ 60 NS ns.invalid.\na 60 A 192.0.2.8\n";
    let cdn = zone("cdn.example.", true, &[CDN, &big, &fit].concat());
    let zones = [cdn, zone("child.cdn.example.", false, child), zone("ex.", false, child)];
    Responder::new(Zones::new(zones.map(Arc::new)), settings)
}

/// A query while it is made.
#[derive(Clone)]
pub struct Ask {
    pub id: u16,
    pub flags: u16,
    pub question: Option<(Vec<u8>, u16, u16)>,
    pub opt: Option<OptAsk>,
    pub from: SocketAddr,
    pub transport: Transport,
}

#[derive(Clone)]
pub struct OptAsk {
    pub udp_bytes: u16,
    pub version: u8,
    pub flags: u16,
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Ask {
    pub fn new(asked: &str, kind: u16) -> Self {
        Self {
            id: 0x1234,
            flags: 0,
            question: Some((spelled(asked), kind, 1)),
            opt: None,
            from: "192.0.2.200:4000".parse().expect("an address"),
            transport: Transport::Udp,
        }
    }

    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    pub fn class(mut self, class: u16) -> Self {
        self.question.as_mut().expect("a question").2 = class;
        self
    }

    pub fn from(mut self, from: &str) -> Self {
        self.from = from.parse().expect("an address");
        self
    }

    pub fn tcp(mut self) -> Self {
        self.transport = Transport::Stream;
        self
    }

    pub fn edns(self) -> Self {
        self.opt(1232, 0, 0)
    }

    pub fn opt(mut self, udp_bytes: u16, version: u8, flags: u16) -> Self {
        self.opt = Some(OptAsk { udp_bytes, version, flags, options: Vec::new() });
        self
    }

    pub fn option(mut self, code: u16, value: &[u8]) -> Self {
        if self.opt.is_none() {
            self = self.edns();
        }
        self.opt.as_mut().expect("an OPT").options.push((code, value.to_vec()));
        self
    }

    /// With the subnet of a client.
    pub fn subnet(self, address: &str, source: u8) -> Self {
        let (family, octets) = match address.parse().expect("an address") {
            IpAddr::V4(v4) => (1, v4.octets().to_vec()),
            IpAddr::V6(v6) => (2, v6.octets().to_vec()),
        };
        let mut value = vec![0, family, source, 0];
        value.extend_from_slice(&octets[..usize::from(source).div_ceil(8)]);
        self.option(8, &value)
    }

    pub fn packet(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        let counts = [u16::from(self.question.is_some()), 0, 0, u16::from(self.opt.is_some())];
        for word in [self.id, self.flags].into_iter().chain(counts) {
            packet.extend(word.to_be_bytes());
        }
        if let Some((name, kind, class)) = &self.question {
            packet.extend_from_slice(name);
            packet.extend(kind.to_be_bytes());
            packet.extend(class.to_be_bytes());
        }
        if let Some(opt) = &self.opt {
            let mut data = Vec::new();
            for (code, value) in &opt.options {
                data.extend(code.to_be_bytes());
                data.extend((value.len() as u16).to_be_bytes());
                data.extend_from_slice(value);
            }
            packet.extend([0, 0, 41]);
            packet.extend(opt.udp_bytes.to_be_bytes());
            packet.extend([0, opt.version]);
            packet.extend(opt.flags.to_be_bytes());
            packet.extend((data.len() as u16).to_be_bytes());
            packet.extend(data);
        }
        packet
    }

    pub fn to(&self, server: &Responder) -> Answered {
        let reply = send(server, &self.packet(), self.from, self.transport).0.expect("a reply");
        Answered::read(&reply)
    }
}

/// The name in wire form, in the case it is written.
fn spelled(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// The reply, if there is one, and what became of the query.
pub fn send<'a>(
    server: &'a Responder,
    packet: &[u8],
    from: SocketAddr,
    transport: Transport,
) -> (Option<Vec<u8>>, Outcome<'a>) {
    let mut out = vec![0xee; 65_535];
    let request = Request { packet, from, transport, now: NOW };
    let (reply, outcome) = server.respond(&request, &Mock, &mut Scratch::new(), &mut out);
    let bytes = match reply {
        Reply::Bytes(len) => Some(out[..len].to_vec()),
        Reply::Nothing | Reply::Zone(_) => None,
    };
    (bytes, outcome)
}

/// A reply, read by the `domain` crate.
#[derive(Debug)]
pub struct Answered {
    pub bytes: Vec<u8>,
    pub rcode: u16,
    pub is_authoritative: bool,
    pub is_truncated: bool,
    pub question: Vec<u8>,
    /// `owner ttl TYPE data`.
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
    pub opt: Option<OptRead>,
}

#[derive(Debug, PartialEq)]
pub struct OptRead {
    pub udp_bytes: u16,
    pub version: u8,
    pub wants_dnssec: bool,
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Answered {
    pub fn read(bytes: &[u8]) -> Self {
        let message = Message::from_octets(bytes).expect("a message");
        let (header, counts) = (message.header(), message.header_counts());
        assert!(header.qr() && !header.ra() && !header.z() && !header.ad() && !header.cd());
        let mut question = message.question();
        assert_eq!(question.by_ref().filter(|q| q.is_ok()).count(), counts.qdcount().into());
        let question_end = question.pos();
        let mut sections: [Vec<String>; 3] = Default::default();
        let mut opt = None;
        let mut section = question.answer().expect("an answer");
        let mut end = question_end;
        for lines in &mut sections {
            for record in section.by_ref() {
                let record = record.expect("a record");
                let Some(read) = record.to_record::<AllRecordData<_, _>>().expect("data") else {
                    panic!("no data")
                };
                if read.rtype().to_int() == 41 {
                    opt = Some(read_opt(message.opt().expect("an OPT")));
                    continue;
                }
                assert!(matches!(read.class(), Class::IN | Class::CH));
                let (owner, ttl) = (read.owner(), read.ttl().as_secs());
                lines.push(format!("{owner}. {ttl} {} {}", read.rtype(), read.data()));
            }
            end = section.pos();
            match section.next_section().expect("a section") {
                Some(next) => section = next,
                None => break,
            }
        }
        assert_eq!(end, bytes.len(), "the records are all there is");
        let [answer, authority, additional] = sections;
        let rcode = message.opt_rcode().to_int();
        Self {
            rcode,
            is_authoritative: header.aa(),
            is_truncated: header.tc(),
            question: bytes[12..question_end].to_vec(),
            answer,
            authority,
            additional,
            opt,
            bytes: bytes.to_vec(),
        }
    }

    /// The value of an option.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        let options = &self.opt.as_ref()?.options;
        options.iter().find(|(other, _)| *other == code).map(|(_, value)| &**value)
    }

    /// The scope of the subnet.
    pub fn scope(&self) -> Option<u8> {
        self.option(8).map(|value| value[3])
    }
}

fn read_opt(opt: domain::base::opt::OptRecord<&[u8]>) -> OptRead {
    use domain::base::opt::{ComposeOptData, UnknownOptData};
    let options = opt.opt().iter::<UnknownOptData<_>>().map(|option| {
        let option = option.expect("an option");
        let mut value = Vec::new();
        option.compose_option(&mut value).expect("a value");
        (option.code().to_int(), value)
    });
    OptRead {
        udp_bytes: opt.udp_payload_size(),
        version: opt.version(),
        wants_dnssec: opt.dnssec_ok(),
        options: options.collect(),
    }
}
