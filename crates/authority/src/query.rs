//! Reading a query (RFC 1035 4.1, RFC 6891 6.1, RFC 9619).
//!
//! Everything that may arrive is one of: nothing to reply to, a query, or a query with a
//! [`Fault`]; what was read before the fault is kept, so that the reply can repeat the question.
//! Nothing is allocated, no pointer is followed, and each byte is looked at once.

use crate::edns::{self, Edns};
use crate::kind;
use crate::name::{LABEL_BYTES_MAX, NAME_BYTES_MAX};
use crate::wire::{HEADER_BYTES, OPT_BYTES, flag, opcode, u16_at};

/// A query, as far as it could be read.
#[derive(Clone, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) id: u16,
    pub(crate) opcode: u8,
    /// Whether recursion is wanted.
    pub(crate) wants_recursion: bool,
    pub(crate) question: Option<Question<'a>>,
    pub(crate) edns: Option<Edns<'a>>,
    pub(crate) fault: Option<Fault>,
}

/// What is asked, as it stands in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question<'a> {
    /// Name, type and class, as they are repeated in the reply.
    pub(crate) bytes: &'a [u8],
    pub(crate) kind: u16,
    pub(crate) class: u16,
}

/// Why a query gets an error for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not formed as the RFCs say.
    Malformed,
    /// Its EDNS is of a version that we do not speak.
    Version,
}

/// What a packet is that gets no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoQuery {
    /// Shorter than a header.
    Short,
    /// A reply. Replying to one is how two servers are made to talk to each other for ever.
    Reply,
}

/// The lowercase name that is asked for: what zones are searched with.
#[derive(Clone, Debug)]
pub(crate) struct NameBuffer {
    /// What is beyond the name is of names before.
    bytes: [u8; NAME_BYTES_MAX.next_multiple_of(FOLDED_BYTES)],
    len: usize,
}

/// So many bytes are made lowercase at once: whole registers, and no loop over what is left.
const FOLDED_BYTES: usize = 32;

impl<'a> Query<'a> {
    /// Reads a packet; the name asked for is left in `name`, lowercase.
    #[inline]
    pub(crate) fn read(packet: &'a [u8], name: &mut NameBuffer) -> Result<Self, NoQuery> {
        name.clear();
        let Some(header) = packet.first_chunk::<HEADER_BYTES>() else {
            return Err(NoQuery::Short);
        };
        let flags = u16::from_be_bytes([header[2], header[3]]);
        if flags & flag::QR != 0 {
            return Err(NoQuery::Reply);
        }
        let mut query = Self {
            id: u16::from_be_bytes([header[0], header[1]]),
            opcode: (flags >> 11 & 0xf) as u8,
            wants_recursion: flags & flag::RD != 0,
            question: None,
            edns: None,
            fault: None,
        };
        if query.read_sections(packet, header, name).is_none() {
            query.fault.get_or_insert(Fault::Malformed);
        }
        Ok(query)
    }

    /// `None`: malformed.
    fn read_sections(
        &mut self,
        packet: &'a [u8],
        header: &[u8; HEADER_BYTES],
        name: &mut NameBuffer,
    ) -> Option<()> {
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let mut at = HEADER_BYTES;
        match count(4) {
            0 => {}
            1 => {
                let question = read_question(packet, name)?;
                at += question.bytes.len();
                self.question = Some(question);
            }
            _ => return None,
        }
        for _ in 0..u32::from(count(6)) + u32::from(count(8)) {
            let (record, next) = skip_record(packet, at)?;
            // OPT stands among the additional records or is no OPT (RFC 6891 6.1.1).
            if record.kind == kind::OPT {
                return None;
            }
            at = next;
        }
        for _ in 0..count(10) {
            let (record, next) = skip_record(packet, at)?;
            if record.kind == kind::OPT {
                self.read_opt(packet, at, &record)?;
            }
            at = next;
        }
        // An UPDATE and what we have never heard of are refused whole, whatever follows.
        let is_whole = at == packet.len() || !matches!(self.opcode, opcode::QUERY);
        is_whole.then_some(())
    }

    fn read_opt(&mut self, packet: &'a [u8], at: usize, record: &Record) -> Option<()> {
        let is_at_root = packet.get(at) == Some(&0);
        if !is_at_root || self.edns.is_some() {
            return None;
        }
        let fixed = packet.get(at..at + OPT_BYTES)?.first_chunk::<OPT_BYTES>()?;
        let edns = self.edns.insert(Edns::read(fixed));
        if edns.version != 0 {
            self.fault = Some(Fault::Version);
            return Some(());
        }
        edns::read_options(packet.get(record.data_at..record.end)?, edns)
    }
}

impl NameBuffer {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; NAME_BYTES_MAX.next_multiple_of(FOLDED_BYTES)], len: 0 }
    }

    /// Empty: no name at all.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// The name in wire form, lowercase; empty when there is none.
    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Takes a whole name in wire form; it is lowercase or is made so.
    pub(crate) fn set(&mut self, wire: &[u8]) {
        self.len = wire.len().min(NAME_BYTES_MAX);
        self.bytes[..self.len].copy_from_slice(&wire[..self.len]);
        let (pieces, _) = self.bytes.as_chunks_mut::<FOLDED_BYTES>();
        for piece in pieces.iter_mut().take(self.len.div_ceil(FOLDED_BYTES)) {
            // The lengths of labels are below 64 and so no letters.
            piece.make_ascii_lowercase();
        }
    }

    /// Takes the name of another.
    pub(crate) fn copy(&mut self, other: &Self) {
        self.len = other.len;
        self.bytes[..self.len].copy_from_slice(other.as_wire());
    }

    /// Puts `target` where `owner_bytes` at the end stand (RFC 6672 2.2); false: too long, and the
    /// name is as it was.
    #[must_use]
    pub(crate) fn replace_suffix(&mut self, owner_bytes: usize, target: &[u8]) -> bool {
        let prefix = self.len.saturating_sub(owner_bytes);
        if prefix + target.len() > NAME_BYTES_MAX {
            return false;
        }
        let place = &mut self.bytes[prefix..prefix + target.len()];
        place.copy_from_slice(target);
        place.make_ascii_lowercase();
        self.len = prefix + target.len();
        true
    }
}

/// A record that is walked past.
struct Record {
    kind: u16,
    data_at: usize,
    end: usize,
}

fn read_question<'a>(packet: &'a [u8], name: &mut NameBuffer) -> Option<Question<'a>> {
    let mut at = HEADER_BYTES;
    loop {
        // A pointer has its first two bits set and so is no length; there is nothing yet that it
        // could point at.
        match usize::from(*packet.get(at)?) {
            0 => break,
            bytes @ 1..=LABEL_BYTES_MAX => at += 1 + bytes,
            _ => return None,
        }
    }
    let wire = packet.get(HEADER_BYTES..=at)?;
    if wire.len() > NAME_BYTES_MAX {
        return None;
    }
    let end = at + 5;
    let question = Question {
        bytes: packet.get(HEADER_BYTES..end)?,
        kind: u16_at(packet, at + 1)?,
        class: u16_at(packet, at + 3)?,
    };
    name.set(wire);
    Some(question)
}

/// Walks past a record, and says where the next one starts.
fn skip_record(packet: &[u8], at: usize) -> Option<(Record, usize)> {
    let fixed_at = skip_name(packet, at)?;
    let kind = u16_at(packet, fixed_at)?;
    let data_at = fixed_at + 10;
    let end = data_at + usize::from(u16_at(packet, fixed_at + 8)?);
    (end <= packet.len()).then_some((Record { kind, data_at, end }, end))
}

/// Walks past a name, without following its pointer.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        let byte = usize::from(*packet.get(at)?);
        match byte {
            0 => return Some(at + 1),
            1..=LABEL_BYTES_MAX if at - start < NAME_BYTES_MAX => at += 1 + byte,
            0xc0..=0xff => {
                let target = usize::from(u16_at(packet, at)? & 0x3fff);
                return (HEADER_BYTES..start).contains(&target).then_some(at + 2);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(packet: &[u8]) -> Result<(Query<'_>, Vec<u8>), NoQuery> {
        let mut name = NameBuffer::new();
        let query = Query::read(packet, &mut name)?;
        Ok((query, name.as_wire().to_vec()))
    }

    fn fault(packet: &[u8]) -> Option<Fault> {
        read(packet).expect("a query").0.fault
    }

    /// The header with these counts, then what follows.
    fn packet(counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0xab, 0xcd, 1, 0];
        packet.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        packet.extend_from_slice(rest);
        packet
    }

    const QUESTION: &[u8] = b"\x03WwW\x02eX\x00\x00\x01\x00\x01";

    #[test]
    fn what_is_shorter_than_a_header_or_a_reply_gets_nothing() {
        for bytes in 0..12 {
            assert_eq!(read(&[0; 12][..bytes]).err(), Some(NoQuery::Short));
        }
        let mut reply = packet([1, 0, 0, 0], QUESTION);
        reply[2] |= 0x80;
        assert_eq!(read(&reply).err(), Some(NoQuery::Reply));
    }

    #[test]
    fn a_question_is_kept_as_spelled_and_its_name_read_lowercase() {
        let packet = packet([1, 0, 0, 0], QUESTION);
        let (query, name) = read(&packet).expect("a query");
        let question = query.question.expect("a question");
        assert_eq!((question.bytes, question.kind, question.class), (QUESTION, 1, 1));
        assert_eq!(name, b"\x03www\x02ex\x00");
        assert_eq!((query.id, query.opcode, query.wants_recursion), (0xabcd, 0, true));
        assert_eq!((query.fault, query.edns.is_some()), (None, false));
    }

    #[test]
    fn a_question_cut_anywhere_or_counted_twice_is_malformed() {
        for bytes in 0..QUESTION.len() {
            assert_eq!(fault(&packet([1, 0, 0, 0], &QUESTION[..bytes])), Some(Fault::Malformed));
        }
        let twice = [QUESTION, QUESTION].concat();
        assert_eq!(fault(&packet([2, 0, 0, 0], &twice)), Some(Fault::Malformed));
        assert_eq!(fault(&packet([1, 0, 0, 0], &twice)), Some(Fault::Malformed));
    }

    #[test]
    fn a_pointer_a_long_label_and_a_long_name_are_no_question() {
        let long = [[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4), vec![0, 0, 1, 0, 1]];
        for name in [b"\xc0\x0c\x00\x01\x00\x01".to_vec(), [64; 80].to_vec(), long.concat()] {
            let packet = packet([1, 0, 0, 0], &name);
            let (query, name) = read(&packet).expect("a query");
            assert_eq!((query.fault, query.question), (Some(Fault::Malformed), None));
            assert!(name.is_empty());
        }
    }

    #[test]
    fn a_record_is_walked_past_when_it_is_whole() {
        let record = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x02ab";
        let whole = [QUESTION, record].concat();
        for counts in [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]] {
            assert_eq!(fault(&packet(counts, &whole)), None);
            for cut in QUESTION.len()..whole.len() {
                assert_eq!(fault(&packet(counts, &whole[..cut])), Some(Fault::Malformed));
            }
        }
    }

    #[test]
    fn a_record_that_points_at_itself_or_ahead_or_into_the_header_is_malformed() {
        for target in [0u8, 11, 24, 26, 40] {
            let record = [0xc0, target, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0];
            let whole = [QUESTION, &record].concat();
            assert_eq!(fault(&packet([1, 0, 0, 1], &whole)), Some(Fault::Malformed), "{target}");
        }
    }

    #[test]
    fn opt_stands_once_at_the_root_among_the_additional_records() {
        let opt = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00".as_slice();
        assert_eq!(fault(&packet([1, 0, 0, 1], &[QUESTION, opt].concat())), None);
        assert_eq!(
            fault(&packet([1, 0, 0, 2], &[QUESTION, opt, opt].concat())),
            Some(Fault::Malformed)
        );
        assert_eq!(fault(&packet([1, 1, 0, 0], &[QUESTION, opt].concat())), Some(Fault::Malformed));
        let elsewhere = [QUESTION, b"\x01a", opt].concat();
        assert_eq!(fault(&packet([1, 0, 0, 1], &elsewhere)), Some(Fault::Malformed));
        let junk = [QUESTION, opt, b"junk"].concat();
        assert_eq!(fault(&packet([1, 0, 0, 1], &junk)), Some(Fault::Malformed));
        let mut newer = [QUESTION, opt].concat();
        newer[QUESTION.len() + 6] = 1;
        assert_eq!(fault(&packet([1, 0, 0, 1], &newer)), Some(Fault::Version));
    }

    #[test]
    fn a_suffix_is_replaced_unless_the_name_grows_too_long() {
        let mut name = NameBuffer::new();
        name.set(b"\x01a\x01B\x00");
        assert!(name.replace_suffix(3, b"\x02XY\x00"));
        assert_eq!(name.as_wire(), b"\x01a\x02xy\x00");
        assert!(!name.replace_suffix(4, &[1; 254]));
        assert_eq!(name.as_wire(), b"\x01a\x02xy\x00");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(packet in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok((query, name)) = read(&packet) {
                prop_assert_eq!(query.question.is_some(), !name.is_empty());
            }
        }
    }
}
