//! DNS messages as a test writes and reads them: RFC 1035 4.1 and RFC 6891, with nothing shared
//! with the server under test. What is read is read strictly.

use std::net::IpAddr;

/// Types of records that tests ask for.
pub mod kind {
    #![allow(missing_docs, reason = "names of the registry")]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const OPT: u16 = 41;
    pub const DNSKEY: u16 = 48;
}

/// The option of client subnets (RFC 7871 6).
pub const SUBNET: u16 = 8;

/// A query. Everything about it can be wrong if the test wants that.
#[derive(Clone, Debug)]
pub struct Query {
    /// The number that the reply has to repeat.
    pub id: u16,
    /// The flags, opcode and code.
    pub flags: u16,
    name: Vec<u8>,
    kind: u16,
    opt: Option<(u16, Vec<u8>)>,
}

impl Query {
    /// A question about a name and a type, without EDNS.
    #[must_use]
    pub fn new(name: &str, kind: u16) -> Self {
        Self { id: 0x2a17, flags: 0, name: wire_name(name), kind, opt: None }
    }

    /// With another number.
    #[must_use]
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// With other flags.
    #[must_use]
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    /// With EDNS: so many bytes of a reply can be taken.
    #[must_use]
    pub fn edns(mut self, bytes: u16) -> Self {
        self.opt = Some((bytes, self.opt.map_or_else(Vec::new, |(_, options)| options)));
        self
    }

    /// With an option of EDNS.
    #[must_use]
    pub fn option(self, code: u16, data: &[u8]) -> Self {
        let bytes = self.opt.as_ref().map_or(1232, |(bytes, _)| *bytes);
        let mut query = self.edns(bytes);
        if let Some((_, options)) = &mut query.opt {
            options.extend_from_slice(&code.to_be_bytes());
            options.extend_from_slice(&(data.len() as u16).to_be_bytes());
            options.extend_from_slice(data);
        }
        query
    }

    /// On behalf of a client, of whose address so many bits are told.
    #[must_use]
    pub fn subnet(self, client: &str, bits: u8) -> Self {
        let (family, octets) = match client.parse().expect("an address") {
            IpAddr::V4(address) => (1_u8, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        let mut data = vec![0, family, bits, 0];
        data.extend_from_slice(&octets[..usize::from(bits).div_ceil(8)]);
        self.option(SUBNET, &data)
    }

    /// The message.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        let additional = u16::from(self.opt.is_some());
        for word in [self.id, self.flags, 1, 0, 0, additional] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        if let Some((payload, options)) = &self.opt {
            bytes.extend_from_slice(&[0, 0, kind::OPT as u8]);
            bytes.extend_from_slice(&payload.to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
            bytes.extend_from_slice(options);
        }
        bytes
    }

    /// The message behind its length, as over TCP.
    #[must_use]
    pub fn framed(&self) -> Vec<u8> {
        framed(&self.bytes())
    }
}

/// A message behind its length.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

/// A name in wire form; labels are told apart by dots and nothing is escaped.
#[must_use]
pub fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A record of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub name: String,
    /// Its type.
    pub kind: u16,
    /// Its class; of OPT the bytes that can be taken.
    pub class: u16,
    /// How long it may be kept; of OPT code, version and flags.
    pub ttl: u32,
    /// What it says.
    pub data: Vec<u8>,
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The number.
    pub id: u16,
    /// The flags, opcode and code.
    pub flags: u16,
    /// The question, byte for byte.
    pub question: Vec<u8>,
    /// The answer.
    pub answer: Vec<Record>,
    /// Who has authority.
    pub authority: Vec<Record>,
    /// What may help, without OPT.
    pub additional: Vec<Record>,
    /// OPT.
    pub opt: Option<Record>,
    /// Bytes of all of it.
    pub length: usize,
}

impl Reply {
    /// Reads a message whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        if bytes.len() < 12 {
            return Err(format!("{} bytes are no header", bytes.len()));
        }
        let mut at = 12;
        for _ in 0..word(4) {
            at = name(bytes, at)?.1 + 4;
        }
        let question = bytes.get(12..at).ok_or("the question is cut off")?.to_vec();
        let mut sections: [Vec<Record>; 3] = Default::default();
        for (section, count) in sections.iter_mut().zip([word(6), word(8), word(10)]) {
            for _ in 0..count {
                let (found, next) = record(bytes, at)?;
                section.push(found);
                at = next;
            }
        }
        if at != bytes.len() {
            return Err(format!("{} bytes are left over", bytes.len() - at));
        }
        let [answer, authority, mut additional] = sections;
        let place = additional.iter().position(|record| record.kind == kind::OPT);
        let opt = place.map(|place| additional.remove(place));
        let (id, flags, length) = (word(0), word(2), bytes.len());
        Ok(Self { id, flags, question, answer, authority, additional, opt, length })
    }

    /// The code, with what OPT adds to it (RFC 6891 6.1.3).
    #[must_use]
    pub fn rcode(&self) -> u16 {
        let upper = self.opt.as_ref().map_or(0, |opt| opt.ttl >> 24);
        (self.flags & 15) | (upper as u16) << 4
    }

    /// Whether it says that it did not fit.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// Whether it says that it has authority.
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    /// The addresses of the answer, sorted.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = self.answer.iter().filter_map(address).collect();
        addresses.sort_unstable();
        addresses
    }

    /// The data of an option.
    #[must_use]
    pub fn option(&self, code: u16) -> Option<Vec<u8>> {
        let mut rest = self.opt.as_ref()?.data.as_slice();
        while let [c1, c2, l1, l2, behind @ ..] = rest {
            let (data, next) = behind.split_at(usize::from(u16::from_be_bytes([*l1, *l2])));
            if u16::from_be_bytes([*c1, *c2]) == code {
                return Some(data.to_vec());
            }
            rest = next;
        }
        None
    }

    /// For how many bits of the client's address the answer holds.
    #[must_use]
    pub fn scope(&self) -> Option<u8> {
        self.option(SUBNET)?.get(3).copied()
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match record.kind {
        kind::A => <[u8; 4]>::try_from(record.data.as_slice()).ok().map(IpAddr::from),
        kind::AAAA => <[u8; 16]>::try_from(record.data.as_slice()).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A name in words, and where it ends.
fn name(bytes: &[u8], mut at: usize) -> Result<(String, usize), String> {
    let (mut text, mut end) = (String::new(), None);
    for _ in 0..128 {
        let length = *bytes.get(at).ok_or("a name is cut off")?;
        match length {
            0 => return Ok((text, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(length));
                text.push_str(&label.ok_or("a label is cut off")?.escape_ascii().to_string());
                text.push('.');
                at += 1 + usize::from(length);
            }
            192.. => {
                let low = *bytes.get(at + 1).ok_or("a pointer is cut off")?;
                let to = usize::from(length & 63) << 8 | usize::from(low);
                if to >= at {
                    return Err(format!("a pointer at {at} points to {to}"));
                }
                end = end.or(Some(at + 2));
                at = to;
            }
            _ => return Err(format!("a label begins with {length}")),
        }
    }
    Err("a name goes round in circles".to_owned())
}

fn record(bytes: &[u8], at: usize) -> Result<(Record, usize), String> {
    let (name, at) = name(bytes, at)?;
    let head: [u8; 10] = bytes
        .get(at..at + 10)
        .and_then(|head| head.try_into().ok())
        .ok_or_else(|| format!("the record of {name} is cut off"))?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let end = at + 10 + usize::from(word(8));
    let data = bytes.get(at + 10..end).ok_or("the data of a record is cut off")?.to_vec();
    let ttl = u32::from(word(4)) << 16 | u32::from(word(6));
    Ok((Record { name, kind: word(0), class: word(2), ttl, data }, end))
}
