//! Queries as pairs between `&`: looked at and cut without changing a byte of what stays.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The pairs of a query (without its question mark): name and value as they were sent. At most
/// 1,000; what comes after is not looked at.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').take(PAIRS_MAX).filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The one value of a name, percent-decoded; an error if the name is there more than once, or
/// the value is not UTF-8: two parsers would not take the same.
pub fn only<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Ambiguous> {
    let mut values = pairs(query).filter(|(known, _)| is_named(known, name));
    let value = values.next();
    if values.next().is_some() {
        return Err(Ambiguous);
    }
    let Some((_, value)) = value else { return Ok(None) };
    percent_decode_str(value).decode_utf8().map(Some).map_err(|_| Ambiguous)
}

/// A query that names a thing twice, or in no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// The query without the pairs of these names, however they are encoded; all else stays as it
/// was, in its order. Empty if nothing is left.
pub fn without<'a>(query: &'a str, names: &[&str]) -> Cow<'a, str> {
    let goes = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        names.iter().any(|known| is_named(name, known))
    };
    if !query.split('&').any(goes) {
        return Cow::Borrowed(query);
    }
    let mut out = String::with_capacity(query.len());
    for pair in query.split('&').filter(|pair| !goes(pair)) {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(pair);
    }
    Cow::Owned(out)
}

fn is_named(sent: &str, name: &str) -> bool {
    sent == name || (sent.contains('%') && percent_decode_str(sent).eq(name.bytes()))
}

/// Of a query that anybody sends.
const PAIRS_MAX: usize = 1000;
