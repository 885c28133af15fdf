//! DNS messages as the benchmark needs them: a query for an address with EDNS, with or without a
//! client subnet (RFC 1035 4.1, RFC 6891 6.1, RFC 7871 6), and the addresses in an answer.

use std::net::Ipv4Addr;

/// Where the id of a message is; it fills two bytes.
const ID: usize = 0;
/// Octets of a client's address that a query tells: a /24, as resolvers do (RFC 7871 11.1).
const SUBNET_OCTETS: usize = 3;

/// A query to send many times with other ids and client subnets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    bytes: Vec<u8>,
    has_subnet: bool,
}

/// Whether a query carries a client subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subnet {
    Absent,
    Told,
}

impl Query {
    /// Asks for the A records of `name`, whose labels must be of 63 octets at most.
    pub(super) fn new(name: &str, subnet: Subnet) -> Self {
        let has_subnet = subnet == Subnet::Told;
        // No flags, one question, one additional record.
        let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        // The root, type A, class IN.
        bytes.extend([0, 0, 1, 0, 1]);
        // OPT: the root, type 41, 1232 bytes of UDP, no flags.
        bytes.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
        if has_subnet {
            // 11 octets of options: option 8 of 7 octets; family 1, source /24, scope /0, address.
            bytes.extend([0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 0, 0, 0]);
        } else {
            bytes.extend([0, 0]);
        }
        Self { bytes, has_subnet }
    }

    /// Writes the message with this id, and with the subnet of this client if it carries one.
    pub(super) fn write(&self, id: u16, client: Ipv4Addr, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.bytes);
        into[ID..ID + 2].copy_from_slice(&id.to_be_bytes());
        if self.has_subnet {
            let start = into.len() - SUBNET_OCTETS;
            into[start..].copy_from_slice(&client.octets()[..SUBNET_OCTETS]);
        }
    }
}

/// The id of a message.
pub(super) fn id(message: &[u8]) -> Option<u16> {
    word(message, ID)
}

/// How many records are in the answer, if it is one without an error and not truncated.
pub(super) fn answers(message: &[u8]) -> Option<u16> {
    let (first, second) = (message.get(2)?, message.get(3)?);
    // QR set and TC not, RCODE zero.
    let good = first & 0x82 == 0x80 && second & 0x0f == 0;
    if good { word(message, 6) } else { None }
}

/// The addresses in an answer, in their order; none if it is not a well-formed one.
pub(super) fn addresses(message: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let count = answers(message)?;
    let mut at = 12;
    for _ in 0..word(message, 4)? {
        at = after_name(message, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..count {
        at = after_name(message, at)?;
        let (kind, length) = (word(message, at)?, usize::from(word(message, at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        if kind == 1 {
            found.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?));
        }
        at += 10 + length;
    }
    found.sort_unstable();
    Some(found)
}

/// Where a name ends that starts at `at`: each label takes the walk forward.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_carries_its_id_and_the_subnet_of_the_client() {
        let mut message = Vec::new();
        let client = Ipv4Addr::new(192, 0, 2, 77);
        Query::new("a.bc", Subnet::Told).write(0x1234, client, &mut message);
        let head = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        let question = [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1];
        let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2];
        assert_eq!(message, [&head[..], &question, &opt].concat());
        assert_eq!(id(&message), Some(0x1234));
        Query::new("a.bc", Subnet::Absent).write(1, client, &mut message);
        assert_eq!(message.len(), 12 + 10 + 11);
        assert_eq!(answers(&message), None);
    }

    #[test]
    fn the_addresses_of_an_answer_are_found() {
        let head = [0, 7, 0x84, 0, 0, 1, 0, 2, 0, 0, 0, 0];
        let question = [1, b'a', 0, 0, 1, 0, 1];
        let record = |last| [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 0, 0, last];
        let mut message = [&head[..], &question, &record(2), &record(1)].concat();
        let wanted = vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        assert_eq!(addresses(&message), Some(wanted));
        for end in 0..message.len() {
            assert_eq!(addresses(&message[..end]), None);
        }
        message[3] = 5;
        assert_eq!(addresses(&message), None);
    }
}
