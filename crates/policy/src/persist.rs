//! The forms in which [`Meta`] and [`Selecting`] outlive a process.
//!
//! Only policy can make either, so it also writes and reads them. Reading takes any bytes: what no
//! writer here has written is `None`, never a panic, and nothing is allocated that the bytes do not
//! hold. All numbers are little-endian. Whoever keeps these bytes keeps a version number beside
//! them and raises it when a form changes.
//!
//! | bytes of a `Meta` | what |
//! |---|---|
//! | 8 | initial age, ms |
//! | 8 | when it was received, ms of the store's time line |
//! | 8, 8, 8 | lifetime, stale-while-revalidate, stale-if-error, ms |
//! | 2 | flags |
//!
//! | bytes of a `Selecting` | what |
//! |---|---|
//! | 1 | plan: 0 nothing, 1 fields, 2 `*`, 3 too many |
//! | 1 | number of fields; then of each: length of 2 bytes, name |
//! | 4 + n | length and bytes of the key |
//! | 1 (+ 2 + n) | whether there is a language; then its length and bytes |

use crate::meta::Meta;
use crate::vary::{FIELDS_MAX, Plan, Selecting, VaryKey, VaryPlan};
use http::HeaderName;

impl Meta {
    /// Length of the persisted form in bytes.
    pub const PERSISTED_BYTES: usize = 42;

    /// When the response was received or last validated, on the clock of [`crate::Now::mono_ms`].
    pub fn received_mono_ms(&self) -> u64 {
        self.received_mono_ms
    }

    /// The persisted form.
    pub fn to_persisted(&self) -> [u8; Self::PERSISTED_BYTES] {
        let mut out = [0; Self::PERSISTED_BYTES];
        let numbers = [
            self.corrected_initial_age_ms,
            self.received_mono_ms,
            self.lifetime_ms,
            self.stale_while_revalidate_ms,
            self.stale_if_error_ms,
        ];
        for (place, number) in out.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        out[40..].copy_from_slice(&self.flags.to_le_bytes());
        out
    }

    /// What was persisted; `None` if it has a flag that this version does not know.
    pub fn from_persisted(bytes: &[u8; Self::PERSISTED_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = bytes[at * 8..].first_chunk().copied();
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        let flags = u16::from_le_bytes([bytes[40], bytes[41]]);
        (flags & !Self::FLAGS == 0).then_some(Self {
            corrected_initial_age_ms: number(0),
            received_mono_ms: number(1),
            lifetime_ms: number(2),
            stale_while_revalidate_ms: number(3),
            stale_if_error_ms: number(4),
            flags,
        })
    }
}

impl Selecting {
    /// Appends the persisted form.
    pub fn persist(&self, out: &mut Vec<u8>) {
        out.push(match self.plan.0 {
            Plan::Nothing => 0,
            Plan::Fields(_) => 1,
            Plan::Star => 2,
            Plan::Wide => 3,
        });
        let fields = self.plan.fields();
        out.push(u8::try_from(fields.len()).unwrap_or(u8::MAX));
        for name in fields {
            push_short(out, name.as_str().as_bytes());
        }
        let key = self.key.as_bytes();
        out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(key);
        match &self.language {
            None => out.push(0),
            Some(language) => {
                out.push(1);
                push_short(out, language.as_bytes());
            }
        }
    }

    /// Takes a persisted form from the front of `bytes`; `None` if there is none.
    pub fn take_persisted(bytes: &mut &[u8]) -> Option<Self> {
        let (&[kind, count], rest) = bytes.split_first_chunk::<2>()?;
        let mut rest = rest;
        let mut names = Vec::new();
        if usize::from(count) > FIELDS_MAX {
            return None;
        }
        for _ in 0..count {
            let name = HeaderName::from_lowercase(take_short(&mut rest)?).ok()?;
            if names.last().is_some_and(|last: &HeaderName| last.as_str() >= name.as_str()) {
                return None;
            }
            names.push(name);
        }
        let plan = match (kind, names.is_empty()) {
            (0, true) => Plan::Nothing,
            (1, false) => Plan::Fields(names.into_boxed_slice()),
            (2, true) => Plan::Star,
            (3, true) => Plan::Wide,
            _ => return None,
        };
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (key, mut rest) = tail.split_at_checked(length)?;
        let key = VaryKey::read(key, usize::from(count))?;
        let (&named, tail) = rest.split_first()?;
        rest = tail;
        let language = match named {
            0 => None,
            1 => Some(std::str::from_utf8(take_short(&mut rest)?).ok()?.into()),
            _ => return None,
        };
        *bytes = rest;
        Some(Self { plan: VaryPlan(plan), key, language })
    }
}

fn push_short(out: &mut Vec<u8>, bytes: &[u8]) {
    // Names of fields are shorter than 2^16 bytes (the http crate), languages come from a field
    // of a head that is smaller still; what is longer is cut and then matches nothing.
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

fn take_short<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (short, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    *bytes = rest;
    Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SiteRules;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    fn selecting(vary: &str, language: Option<&str>, values: &[(String, String)]) -> Selecting {
        let (mut resp, mut req) = (HeaderMap::new(), HeaderMap::new());
        if let Ok(value) = HeaderValue::from_str(vary) {
            resp.insert("vary", value);
        }
        if let Some(value) = language.and_then(|it| HeaderValue::from_str(it).ok()) {
            resp.insert("content-language", value);
        }
        for (name, value) in values {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                req.append(name, value);
            }
        }
        Selecting::record(&resp, &req, &SiteRules::default())
    }

    const VARY: &str = "(\\*|(accept-language|accept-encoding|[a-d]{1,2})\
        (, ?(accept-language|[a-d]{1,2})){0,20})?";

    proptest! {
        #[test]
        fn what_selects_comes_back_and_no_part_of_it_is_taken_for_it(
            vary in VARY,
            language in proptest::option::of("[a-z]{2}(, [a-z]{2})?"),
            values in proptest::collection::vec(("[a-d]{1,2}", "[ -~]{0,20}"), 0..6),
            more in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let selecting = selecting(&vary, language.as_deref(), &values);
            let mut bytes = Vec::new();
            selecting.persist(&mut bytes);
            let whole = bytes.len();
            bytes.extend_from_slice(&more);
            let mut rest = &bytes[..];
            prop_assert_eq!(Selecting::take_persisted(&mut rest), Some(selecting));
            prop_assert_eq!(rest, &more[..]);
            for end in 0..whole {
                prop_assert_eq!(Selecting::take_persisted(&mut &bytes[..end]), None);
            }
        }

        /// Any bytes at all: what is taken is what a writer would have written.
        #[test]
        fn any_bytes_are_what_selects_or_nothing(
            bytes in proptest::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..64),
        ) {
            let mut rest = &bytes[..];
            if let Some(selecting) = Selecting::take_persisted(&mut rest) {
                let mut again = Vec::new();
                selecting.persist(&mut again);
                let taken = bytes.len() - rest.len();
                prop_assert_eq!(&again[..], &bytes[..taken]);
                let _ = selecting.matches(&HeaderMap::new(), &SiteRules::default());
            }
        }

        #[test]
        fn a_meta_comes_back(numbers in any::<[u64; 5]>(), flags in any::<u16>()) {
            let meta = Meta {
                corrected_initial_age_ms: numbers[0],
                received_mono_ms: numbers[1],
                lifetime_ms: numbers[2],
                stale_while_revalidate_ms: numbers[3],
                stale_if_error_ms: numbers[4],
                flags,
            };
            let known = flags & !Meta::FLAGS == 0;
            prop_assert_eq!(Meta::from_persisted(&meta.to_persisted()), known.then_some(meta));
            // Whatever the numbers are, no question about them overflows.
            let now = crate::Now { mono_ms: numbers[0], wall_s: 0 };
            let _ = (meta.age_s(now), meta.ttl_s(now), meta.is_fresh(now));
            let _ = meta.useless_at_mono_ms();
        }
    }
}
