//! Variants: which stored response a request may be answered with (RFC 9111 4.1).
//!
//! A [`VaryPlan`] is what `Vary` says, a [`VaryKey`] the values of the named request fields in
//! normal form, a [`Selecting`] the two together as kept with a stored response. Normal form means:
//! lines of one field are one list, whitespace around its commas goes, `Accept-Encoding` is the set
//! of [`Encodings`], `Accept-Language` as the site's languages have it. `*` and a broken `Vary`
//! match nothing, not even themselves. Without `Vary` nothing is computed or allocated.
//!
//! One rule goes beyond the fields: a response whose only `Content-Language` is the language a
//! client likes best may answer it though it was made for another `Accept-Language`, because that
//! is what negotiation by the origin would lead to ([`SiteRules::vary_content_language`]).
//!
//! | bytes of a key, for each field by name | what |
//! |---|---|
//! | 1 | 0 absent, 1 present |
//! | 4 + n | only if present: length little-endian, then the normal form |

use crate::encodings::Encodings;
use crate::languages;
use crate::list;
use crate::site::SiteRules;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

/// How many different fields a `Vary` may name.
pub(crate) const FIELDS_MAX: usize = 16;

/// What `Vary` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaryPlan(pub(crate) Plan);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Plan {
    #[default]
    Nothing,
    /// Sorted by name, without repetition.
    Fields(Box<[HeaderName]>),
    Star,
    Wide,
}

impl VaryPlan {
    /// Reads `Vary` of a response.
    pub fn parse(resp_headers: &HeaderMap) -> Self {
        let mut names: Vec<HeaderName> = Vec::new();
        for member in list::all_members(resp_headers, VARY) {
            // `*` is a token, so it must be told apart before names are read.
            match HeaderName::from_bytes(member) {
                Ok(name) if member != b"*" => {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                _ => return Self(Plan::Star),
            }
            if names.len() > FIELDS_MAX {
                return Self(Plan::Wide);
            }
        }
        if names.is_empty() {
            return Self(Plan::Nothing);
        }
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        Self(Plan::Fields(names.into_boxed_slice()))
    }

    /// Whether all requests get the same.
    pub fn is_none(&self) -> bool {
        self.0 == Plan::Nothing
    }

    /// Whether it is `*`, or no list of names.
    pub fn is_star(&self) -> bool {
        self.0 == Plan::Star
    }

    /// Whether it names more fields than are kept.
    pub fn is_wide(&self) -> bool {
        self.0 == Plan::Wide
    }

    /// The fields it names, sorted.
    pub fn fields(&self) -> &[HeaderName] {
        match &self.0 {
            Plan::Fields(names) => names,
            Plan::Nothing | Plan::Star | Plan::Wide => &[],
        }
    }

    /// The key of a request under this plan: equal keys, same variant. Exact, not a hash. Empty,
    /// and without allocation, when there is no `Vary`.
    pub fn secondary(&self, req_headers: &HeaderMap, rules: &SiteRules) -> VaryKey {
        let fields = self.fields();
        if fields.is_empty() {
            return VaryKey::default();
        }
        let mut out = Vec::with_capacity(fields.len() * 24);
        let mut value = Vec::new();
        for name in fields {
            if push_value(name, req_headers, rules, &mut value) {
                out.push(1);
                let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&value);
            } else {
                out.push(0);
            }
        }
        VaryKey(out.into_boxed_slice())
    }
}

/// The values of the fields a plan names. Comparable between requests under the same plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VaryKey(Box<[u8]>);

impl VaryKey {
    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key of these bytes, if they are values of `fields` fields and nothing else.
    pub(crate) fn read(bytes: &[u8], fields: usize) -> Option<Self> {
        let mut values = Values(bytes);
        for _ in 0..fields {
            values.0.first().filter(|present| **present <= 1)?;
            values.next()?;
        }
        values.0.is_empty().then(|| Self(bytes.into()))
    }

    fn values(&self) -> Values<'_> {
        Values(&self.0)
    }
}

struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.split_first()? {
            (0, rest) => {
                self.0 = rest;
                Some(None)
            }
            (_, rest) => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
                let (value, rest) = rest.split_at_checked(length)?;
                self.0 = rest;
                Some(Some(value))
            }
        }
    }
}

/// What selects one stored response among the variants of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selecting {
    pub(crate) plan: VaryPlan,
    pub(crate) key: VaryKey,
    pub(crate) language: Option<Box<str>>,
}

impl Selecting {
    /// What selects a response with these fields, made for a request with those.
    pub fn record(resp_headers: &HeaderMap, req_headers: &HeaderMap, rules: &SiteRules) -> Self {
        let plan = VaryPlan::parse(resp_headers);
        let key = plan.secondary(req_headers, rules);
        let language = if plan.fields().contains(&ACCEPT_LANGUAGE) {
            only_language(resp_headers)
        } else {
            None
        };
        Self { plan, key, language }
    }

    /// Whether a request may be answered with this response as far as `Vary` goes. Try the newest
    /// response first (RFC 9111 4.1). Free without `Vary`, one small allocation with it.
    pub fn matches(&self, req_headers: &HeaderMap, rules: &SiteRules) -> bool {
        match &self.plan.0 {
            Plan::Nothing => return true,
            Plan::Star | Plan::Wide => return false,
            Plan::Fields(_) => {}
        }
        let mut value = Vec::new();
        self.plan.fields().iter().zip(self.key.values()).all(|(name, stored)| {
            let present = push_value(name, req_headers, rules, &mut value);
            let same = match stored {
                Some(stored) => present && value == stored,
                None => !present,
            };
            same || (*name == ACCEPT_LANGUAGE && self.is_favourite(req_headers, rules))
        })
    }

    /// What `Vary` says.
    pub fn plan(&self) -> &VaryPlan {
        &self.plan
    }

    /// The values it was made for.
    pub fn key(&self) -> &VaryKey {
        &self.key
    }

    /// Whether both select the same requests, so that the newer response replaces the older.
    pub fn same_variant(&self, other: &Self) -> bool {
        self.plan == other.plan && self.key == other.key
    }

    /// Takes over the values of an earlier response with the same plan: freshening a variant does
    /// not change whom it was made for.
    pub(crate) fn keep_key_of(&mut self, earlier: &Self) {
        if self.plan == earlier.plan {
            self.key.clone_from(&earlier.key);
        }
    }

    fn is_favourite(&self, req_headers: &HeaderMap, rules: &SiteRules) -> bool {
        let Some(language) = &self.language else { return false };
        rules.vary_content_language
            && languages::favourite(req_headers).as_deref() == Some(language)
    }
}

/// Rewrites the request fields whose spelling carries no meaning, so that what the origin sees is
/// what variants are told apart by: `Accept-Encoding` always, `Accept-Language` when the site names
/// its languages. The proxy calls it before look-up and forwards the result.
pub fn normalize_request(headers: &mut HeaderMap, rules: &SiteRules) {
    if headers.contains_key(ACCEPT_ENCODING) {
        match Encodings::parse(headers).upstream_value() {
            Some(value) => drop(headers.insert(ACCEPT_ENCODING, value)),
            None => drop(headers.remove(ACCEPT_ENCODING)),
        }
    }
    if !rules.vary_languages.is_empty() && headers.contains_key(ACCEPT_LANGUAGE) {
        let chosen = languages::choose(headers, &rules.vary_languages);
        match chosen.and_then(|language| HeaderValue::from_str(language).ok()) {
            Some(value) => drop(headers.insert(ACCEPT_LANGUAGE, value)),
            None => drop(headers.remove(ACCEPT_LANGUAGE)),
        }
    }
}

/// Puts the normal form of a request field into `out`; false if the field is absent.
fn push_value(
    name: &HeaderName,
    headers: &HeaderMap,
    rules: &SiteRules,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    if *name == ACCEPT_ENCODING {
        // Absent and garbage are the same request to the origin, see `normalize_request`.
        out.push(Encodings::parse(headers).bits());
        return true;
    }
    if *name == ACCEPT_LANGUAGE && !rules.vary_languages.is_empty() {
        let chosen = languages::choose(headers, &rules.vary_languages);
        out.extend_from_slice(chosen.unwrap_or_default().as_bytes());
        return true;
    }
    if !headers.contains_key(name) {
        return false;
    }
    if *name == ACCEPT_LANGUAGE {
        languages::push_normal_form(headers, out);
    } else if *name == COOKIE {
        // Lines of a cookie are joined by semicolons (RFC 9113 8.2.3), and commas are data.
        for value in headers.get_all(name) {
            if !out.is_empty() {
                out.extend_from_slice(b"; ");
            }
            out.extend_from_slice(list::trim(value.as_bytes()));
        }
    } else {
        for member in list::all_members(headers, name.clone()) {
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(member);
        }
    }
    true
}

fn only_language(resp_headers: &HeaderMap) -> Option<Box<str>> {
    let mut members = list::all_members(resp_headers, CONTENT_LANGUAGE);
    let only = std::str::from_utf8(members.next()?).ok()?.to_ascii_lowercase();
    members.next().is_none().then(|| only.into_boxed_str())
}

#[cfg(test)]
#[path = "vary_tests.rs"]
mod tests;
