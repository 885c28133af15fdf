//! How long a reply may be kept by HTTP caches: its least TTL (RFC 8484 5.1). Reads only where
//! records begin and end; what it does not understand may not be kept.

use crate::HEADER_BYTES;

const SOA: u16 = 6;
/// Of a question: its type and class.
const QUESTION_BYTES: usize = 4;
/// The five numbers that end the data of a SOA record, and its two names, which have a byte at
/// least.
const SOA_BYTES_MIN: usize = 22;
/// A TTL above this is taken for 0 (RFC 2181 8).
const TTL_MAX: u32 = 0x7fff_ffff;

/// One record, as far as it matters here.
struct Record<'a> {
    kind: u16,
    ttl_s: u32,
    data: &'a [u8],
}

/// The least TTL of the answers; of a negative answer that of its SOA, as RFC 2308 5 has it. `None`
/// if the reply says neither.
pub(crate) fn least_ttl_s(reply: &[u8]) -> Option<u32> {
    let (header, mut rest) = reply.split_first_chunk::<HEADER_BYTES>()?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    for _ in 0..count(4) {
        rest = skip_name(rest)?.get(QUESTION_BYTES..)?;
    }
    let mut least: Option<u32> = None;
    let mut note = |ttl_s: u32| {
        let ttl_s = if ttl_s > TTL_MAX { 0 } else { ttl_s };
        least = Some(least.map_or(ttl_s, |known| known.min(ttl_s)));
    };
    for _ in 0..count(6) {
        note(take_record(&mut rest)?.ttl_s);
    }
    for _ in 0..count(8) {
        let record = take_record(&mut rest)?;
        if record.kind == SOA && record.data.len() >= SOA_BYTES_MIN {
            let minimum = record.data.last_chunk::<4>()?;
            note(record.ttl_s);
            note(u32::from_be_bytes(*minimum));
        }
    }
    least
}

/// What follows a name. A pointer ends it (RFC 1035 4.1.4); it is not followed.
fn skip_name(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let (&length, after) = rest.split_first()?;
        match length {
            0 => return Some(after),
            1..=63 => rest = after.get(usize::from(length)..)?,
            0xc0.. => return after.get(1..),
            _ => return None,
        }
    }
}

fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
    let (fixed, rest) = skip_name(bytes)?.split_first_chunk::<10>()?;
    let [kind_0, kind_1, _, _, a, b, c, d, length_0, length_1] = *fixed;
    let length = usize::from(u16::from_be_bytes([length_0, length_1]));
    let (data, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    let kind = u16::from_be_bytes([kind_0, kind_1]);
    Some(Record { kind, ttl_s: u32::from_be_bytes([a, b, c, d]), data })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::least_ttl_s;

    /// A reply to one question, with A records of these TTLs and perhaps a SOA of a TTL and a
    /// minimum.
    pub(crate) fn reply(answers: &[u32], soa: Option<(u32, u32)>) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0x84, 0, 0, 1, 0, 0, 0, u8::from(soa.is_some()), 0, 0];
        bytes[7] = u8::try_from(answers.len()).expect("few");
        bytes.extend_from_slice(b"\x03www\x04test\0\0\x01\0\x01");
        for ttl_s in answers {
            bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
            bytes.extend_from_slice(&ttl_s.to_be_bytes());
            bytes.extend_from_slice(&[0, 4, 192, 0, 2, 1]);
        }
        if let Some((ttl_s, minimum)) = soa {
            bytes.extend_from_slice(b"\x04test\0\0\x06\0\x01");
            bytes.extend_from_slice(&ttl_s.to_be_bytes());
            bytes.extend_from_slice(&[0, 22, 0, 0]);
            bytes.extend_from_slice(&[9; 16]);
            bytes.extend_from_slice(&minimum.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn the_least_ttl_counts_and_a_soa_makes_a_reply_negative() {
        assert_eq!(least_ttl_s(&reply(&[300, 60, 90], None)), Some(60));
        assert_eq!(least_ttl_s(&reply(&[300, 0], None)), Some(0));
        assert_eq!(least_ttl_s(&reply(&[300, 0x8000_0000], None)), Some(0));
        assert_eq!(least_ttl_s(&reply(&[], Some((3600, 300)))), Some(300));
        assert_eq!(least_ttl_s(&reply(&[], Some((30, 300)))), Some(30));
        assert_eq!(least_ttl_s(&reply(&[20], Some((30, 300)))), Some(20));
        assert_eq!(least_ttl_s(&reply(&[], None)), None);
        assert_eq!(least_ttl_s(&[0; 12]), None);
        assert_eq!(least_ttl_s(&[0; 11]), None);
    }

    #[test]
    fn what_is_cut_short_may_not_be_kept() {
        let whole = reply(&[300, 60], Some((30, 20)));
        assert_eq!(least_ttl_s(&whole), Some(20));
        for length in 0..whole.len() {
            assert_eq!(least_ttl_s(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = least_ttl_s(&bytes);
        }

        #[test]
        fn changed_replies_never_panic(at in 0usize..90, byte in any::<u8>()) {
            let mut bytes = reply(&[300, 60], Some((30, 20)));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = least_ttl_s(&bytes);
        }
    }
}
