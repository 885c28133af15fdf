//! Which site has a name. With many sites each question finds another one cold, so a short name,
//! as most are, stands in the table itself and not behind a pointer: one cache line less.
//!
//! Names come from the configuration alone: nobody outside can make them meet in one bucket.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Bytes of a short name: with its length and the site's number it fills half a cache line.
const SHORT_BYTES: usize = 27;

/// The sites by their names.
#[derive(Debug, Default)]
pub(crate) struct SiteNames {
    short: HashMap<Short, u32, RandomState>,
    long: HashMap<Box<[u8]>, u32, RandomState>,
}

/// The length, the name, and zeros.
type Short = [u8; 1 + SHORT_BYTES];

impl SiteNames {
    /// The site of a name in lowercase.
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        match short(name) {
            Some(short) => self.short.get(&short).copied(),
            None => self.long.get(name).copied(),
        }
    }

    pub(crate) fn insert(&mut self, name: &[u8], site: u32) {
        match short(name) {
            Some(short) => self.short.insert(short, site),
            None => self.long.insert(name.into(), site),
        };
    }
}

fn short(name: &[u8]) -> Option<Short> {
    let mut short = [0; 1 + SHORT_BYTES];
    short.get_mut(1..=name.len())?.copy_from_slice(name);
    short[0] = name.len() as u8;
    Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_length_are_found_and_no_others() {
        let mut names = SiteNames::default();
        let name = |bytes: usize| vec![b'a'; bytes];
        for bytes in 0..64 {
            assert_eq!(names.find(&name(bytes)), None);
            names.insert(&name(bytes), bytes as u32);
        }
        for bytes in 0..64 {
            assert_eq!(names.find(&name(bytes)), Some(bytes as u32));
            assert_eq!(names.find(&[&name(bytes)[..], &[0]].concat()), None);
            assert_eq!(names.find(&[&name(bytes)[..], b"b"].concat()), None);
        }
    }
}
