//! Which names stand where in a reply, so that later ones point there (RFC 1035 4.1.4).
//!
//! The first [`PLACES_MAX`] places are remembered and no more, so that a long answer costs no more
//! than a short one for each of its names. A place is compared only when the length of the rest of
//! the name and its first label's first byte are the same.

use crate::name::LABEL_BYTES_MAX;

/// Places that are remembered at most.
const PLACES_MAX: usize = 32;
/// Pointers that are followed at most; those we write lead to no more than one for each name.
const JUMPS_MAX: usize = 128;
/// A pointer has 14 bits.
const POINTER_MAX: usize = 0x3fff;

/// The places.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    places: [Place; PLACES_MAX],
    len: usize,
}

/// Where a label stands that is followed by the rest of a name.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u16,
    /// Bytes from here to the root's, as if there were no pointers.
    bytes: u8,
    /// The first byte of the label, lowercase.
    first: u8,
}

impl Names {
    pub(crate) const fn new() -> Self {
        Self { places: [Place { at: 0, bytes: 0, first: 0 }; PLACES_MAX], len: 0 }
    }

    /// Remembers a whole name that stands at a place.
    pub(crate) fn remember(&mut self, name: &[u8], at: usize) {
        self.remember_part(name, name.len().saturating_sub(1), at);
    }

    /// Remembers a name of which the first bytes stand at a place, before a pointer.
    pub(crate) fn remember_part(&mut self, name: &[u8], fresh: usize, at: usize) {
        let mut start = 0;
        while start < fresh && self.len < PLACES_MAX && at + start <= POINTER_MAX {
            self.places[self.len] = Place {
                at: (at + start) as u16,
                bytes: (name.len() - start) as u8,
                first: name[start + 1].to_ascii_lowercase(),
            };
            self.len += 1;
            start += 1 + usize::from(name[start]);
        }
    }

    /// How many bytes of a whole name must be written, and what the rest is a pointer to; `None`:
    /// the root.
    pub(crate) fn find(&self, out: &[u8], name: &[u8]) -> (usize, Option<u16>) {
        let mut start = 0;
        while name[start] != 0 {
            let rest = &name[start..];
            let first = rest[1].to_ascii_lowercase();
            let is_like =
                |place: &&Place| usize::from(place.bytes) == rest.len() && place.first == first;
            let mut places = self.places[..self.len].iter().filter(is_like);
            if let Some(place) = places.find(|place| Self::is_at(out, place.at, rest)) {
                return (start, Some(place.at));
            }
            start += 1 + usize::from(name[start]);
        }
        (start, None)
    }

    /// Whether a whole name stands at a place of what is written, in whatever case.
    pub(crate) fn is_at(out: &[u8], at: u16, name: &[u8]) -> bool {
        let (mut at, mut rest) = (usize::from(at), name);
        let mut jumps = 0;
        loop {
            let Some(byte) = out.get(at).map(|byte| usize::from(*byte)) else { return false };
            if byte > LABEL_BYTES_MAX {
                let Some(low) = out.get(at + 1) else { return false };
                at = (byte & 0x3f) << 8 | usize::from(*low);
                jumps += 1;
                if jumps > JUMPS_MAX {
                    return false;
                }
                continue;
            }
            let (Some(label), Some(other)) = (rest.get(..=byte), out.get(at..=at + byte)) else {
                return false;
            };
            // The length is compared too: below 64 it is no letter.
            if !label.eq_ignore_ascii_case(other) {
                return false;
            }
            if byte == 0 {
                return true;
            }
            rest = &rest[1 + byte..];
            at += 1 + byte;
        }
    }

    /// A place as a pointer says it; `None`: too far on.
    pub(crate) fn pointable(at: usize) -> Option<u16> {
        (at <= POINTER_MAX).then_some(at as u16)
    }

    /// What is remembered now.
    pub(crate) fn mark(&self) -> usize {
        self.len
    }

    /// Forgets what came after a mark.
    pub(crate) fn forget(&mut self, mark: usize) {
        self.len = mark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_longest_end_and_without_case() {
        let out = b"\x03WwW\x02Ex\x00";
        let mut names = Names::new();
        names.remember(out, 0);
        assert_eq!(names.find(out, b"\x03www\x02ex\x00"), (0, Some(0)));
        assert_eq!(names.find(out, b"\x01a\x02ex\x00"), (2, Some(4)));
        assert_eq!(names.find(out, b"\x03wwx\x02ex\x00"), (4, Some(4)));
        assert_eq!(names.find(out, b"\x01a\x02ey\x00"), (5, None));
        assert_eq!(names.find(out, b"\x00"), (0, None));
    }

    #[test]
    fn so_many_places_are_remembered_and_what_is_far_on_is_not() {
        let mut names = Names::new();
        for at in 0..100 {
            names.remember(b"\x01a\x00", at);
        }
        assert_eq!(names.mark(), PLACES_MAX);
        names.forget(0);
        names.remember(b"\x01a\x01b\x00", POINTER_MAX - 1);
        assert_eq!(names.mark(), 1);
        assert_eq!((Names::pointable(0x3fff), Names::pointable(0x4000)), (Some(0x3fff), None));
    }

    #[test]
    fn pointers_in_a_circle_are_no_name() {
        assert!(!Names::is_at(b"\xc0\x02\xc0\x00", 0, b"\x01a\x00"));
        assert!(!Names::is_at(b"\xc0", 0, b"\x01a\x00"));
        assert!(!Names::is_at(b"\x05a", 0, b"\x01a\x00"));
    }
}
