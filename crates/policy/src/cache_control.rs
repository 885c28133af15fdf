//! `Cache-Control` of requests and responses (RFC 9111 5.2), read once and kept small.
//!
//! Names are compared without case, values may be tokens or quoted strings, repeated fields are
//! one list. What is broken is read in the careful direction (RFC 9111 4.2.1): a `max-age` that is
//! no number counts as 0, a `private` whose field list is broken counts as plain `private`. Of a
//! repeated number the first counts, which is one of the two choices the RFC gives. Numbers above
//! 2^31 are 2^31 (RFC 9111 1.2.2).

use crate::list;
use http::{HeaderMap, HeaderName, header::CACHE_CONTROL};

/// The largest number of seconds that is told apart (RFC 9111 1.2.2).
pub const DELTA_MAX: u32 = 1 << 31;

/// How many names a field list may have; more make the directive count as one without a list.
const FIELDS_MAX: usize = 64;

/// A directive that may name fields: `no-cache` and `private` (RFC 9111 5.2.2.4, 5.2.2.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Qualified {
    /// Not present.
    #[default]
    Absent,
    /// Present for these fields only.
    Fields(Vec<HeaderName>),
    /// Present for the whole response.
    Whole,
}

impl Qualified {
    /// Whether it applies to the whole response.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }

    /// The fields it names, when it names fields only.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Absent | Self::Whole => &[],
        }
    }

    pub(crate) fn add_list(&mut self, text: &[u8]) {
        let mut names = match std::mem::take(self) {
            Self::Whole => {
                *self = Self::Whole;
                return;
            }
            Self::Fields(names) => names,
            Self::Absent => Vec::new(),
        };
        let known = names.len();
        for member in list::members(text) {
            match HeaderName::from_bytes(member) {
                Ok(name) if names.len() < FIELDS_MAX => names.push(name),
                _ => {
                    *self = Self::Whole;
                    return;
                }
            }
        }
        *self = if names.len() == known { Self::Whole } else { Self::Fields(names) };
    }
}

/// What a request asks of caches. All of it is advisory (RFC 9111 5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// The greatest age the client takes.
    pub max_age: Option<u32>,
    /// How much longer the response must stay fresh.
    pub min_fresh: Option<u32>,
    /// How stale it may be; [`DELTA_MAX`] when any staleness will do.
    pub max_stale: Option<u32>,
    /// How stale it may be if the origin fails (RFC 5861 4).
    pub stale_if_error: Option<u32>,
    /// Validate first.
    pub no_cache: bool,
    /// Keep nothing of this exchange.
    pub no_store: bool,
    /// Answer from the store or with 504.
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// Reads them; costs one look-up when the field is absent. `Pragma` is not read: RFC 9111 5.4
    /// deprecates it.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut out = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            return out;
        }
        for member in list::all_members(headers, CACHE_CONTROL) {
            out.add(&Directive::split(member));
        }
        out
    }

    fn add(&mut self, directive: &Directive<'_>) {
        match directive.lower_name().as_slice() {
            b"max-age" => keep_first(&mut self.max_age, directive.seconds().unwrap_or(0)),
            b"min-fresh" => {
                if let Some(seconds) = directive.seconds() {
                    keep_first(&mut self.min_fresh, seconds);
                }
            }
            b"max-stale" if directive.value.is_none() => {
                keep_first(&mut self.max_stale, DELTA_MAX);
            }
            b"max-stale" => {
                if let Some(seconds) = directive.seconds() {
                    keep_first(&mut self.max_stale, seconds);
                }
            }
            b"stale-if-error" => {
                if let Some(seconds) = directive.seconds() {
                    keep_first(&mut self.stale_if_error, seconds);
                }
            }
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

/// What a response says about its caching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`; `Some(0)` when present and broken.
    pub max_age: Option<u32>,
    /// `s-maxage`; `Some(0)` when present and broken.
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate` (RFC 5861 3); broken ones are absent.
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` (RFC 5861 4); broken ones are absent.
    pub stale_if_error: Option<u32>,
    /// `no-cache`, plain or for fields.
    pub no_cache: Qualified,
    /// `private`, plain or for fields.
    pub private: Qualified,
    /// `no-store`.
    pub no_store: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `no-transform`.
    pub no_transform: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
}

impl ResponseDirectives {
    /// Reads `Cache-Control`; [`crate::targeted::effective`] knows which field governs.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut out = Self::default();
        for member in list::all_members(headers, CACHE_CONTROL) {
            out.add(&Directive::split(member));
        }
        out
    }

    fn add(&mut self, directive: &Directive<'_>) {
        match directive.lower_name().as_slice() {
            b"max-age" => keep_first(&mut self.max_age, directive.seconds().unwrap_or(0)),
            b"s-maxage" => keep_first(&mut self.s_maxage, directive.seconds().unwrap_or(0)),
            b"stale-while-revalidate" => {
                if let Some(seconds) = directive.seconds() {
                    keep_first(&mut self.stale_while_revalidate, seconds);
                }
            }
            b"stale-if-error" => {
                if let Some(seconds) = directive.seconds() {
                    keep_first(&mut self.stale_if_error, seconds);
                }
            }
            b"no-cache" => directive.qualify(&mut self.no_cache),
            b"private" => directive.qualify(&mut self.private),
            b"no-store" => self.no_store = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"no-transform" => self.no_transform = true,
            b"immutable" => self.immutable = true,
            _ => {}
        }
    }
}

/// Seconds as RFC 9111 1.2.2 writes them: digits only, clamped to [`DELTA_MAX`].
pub fn parse_delta(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = bytes
        .iter()
        .fold(0_u64, |sum, &digit| (sum * 10 + u64::from(digit - b'0')).min(u64::from(DELTA_MAX)));
    u32::try_from(seconds).ok()
}

fn keep_first(slot: &mut Option<u32>, seconds: u32) {
    slot.get_or_insert(seconds);
}

struct Directive<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
    /// Whitespace around the equals sign: no directive of the grammar, so its number is broken,
    /// but what it forbids is still forbidden.
    spaced: bool,
}

impl<'a> Directive<'a> {
    fn split(member: &'a [u8]) -> Self {
        match member.iter().position(|&byte| byte == b'=') {
            None => Self { name: member, value: None, spaced: false },
            Some(at) => {
                let (name, value) = (&member[..at], &member[at + 1..]);
                let (trimmed_name, trimmed_value) = (list::trim(name), list::trim(value));
                let spaced = trimmed_name.len() != name.len() || trimmed_value.len() != value.len();
                Self { name: trimmed_name, value: Some(trimmed_value), spaced }
            }
        }
    }

    fn lower_name(&self) -> LowerName {
        LowerName::of(self.name)
    }

    fn seconds(&self) -> Option<u32> {
        let value = self.value.filter(|_| !self.spaced)?;
        match value {
            [b'"', inner @ .., b'"'] => parse_delta(inner),
            _ => parse_delta(value),
        }
    }

    fn qualify(&self, slot: &mut Qualified) {
        match self.value {
            None => *slot = Qualified::Whole,
            Some(value) if list::is_token(value) => slot.add_list(value),
            Some(value) => match list::unquote(value) {
                Some(text) => slot.add_list(&text),
                None => *slot = Qualified::Whole,
            },
        }
    }
}

/// A lower-case copy of a directive's name on the stack; longer names match nothing we know.
struct LowerName {
    bytes: [u8; 24],
    length: usize,
}

impl LowerName {
    fn of(name: &[u8]) -> Self {
        let mut bytes = [0; 24];
        let Some(slot) = bytes.get_mut(..name.len()) else { return Self { bytes, length: 0 } };
        slot.copy_from_slice(name);
        slot.make_ascii_lowercase();
        Self { bytes, length: name.len() }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
#[path = "cache_control_tests.rs"]
mod tests;
