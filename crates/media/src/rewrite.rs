//! Manifests whose addresses lead elsewhere: absolute ones of an origin to the name of the CDN,
//! and a token behind those that lead there. Bytes in, bytes out; every other byte stays as it
//! is, and so does all of a manifest that is not understood.

use std::ops::Range;

use quick_xml::Reader as Xml;
use quick_xml::events::Event;

use crate::kind::Kind;
use crate::limits::Limits;
use crate::unreadable::Unreadable;

/// What is to be changed.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    /// Authorities (`host` or `host:port`) whose addresses are led to `to`
    pub from: &'a [&'a str],
    /// Scheme and authority, `https://cdn.example`
    pub to: &'a str,
    /// Name and value (`name=value`, as they stand in a query) that are put behind addresses that
    /// lead to `to`, relative ones among them; not put anywhere if it has characters that do not
    /// stand in a query as they are
    pub token: Option<&'a str>,
}

/// The manifest as it should be; none if nothing is to be changed. It has to be one that
/// [`hls::parse`](crate::hls::parse) or [`dash::parse`](crate::dash::parse) can read: what they
/// refuse this does too.
pub fn rewrite(
    kind: Kind,
    bytes: &[u8],
    how: &Rewrite<'_>,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, Unreadable> {
    match kind {
        Kind::Hls(_) => crate::hls::parse(bytes, limits).map(drop)?,
        Kind::Dash(_) => crate::dash::parse(bytes, limits).map(drop)?,
        _ => return Err(Unreadable::NotManifest),
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotText)?;
    let (places, ampersand) = match kind {
        Kind::Hls(_) => (crate::hls::addresses(text, limits)?, "&"),
        _ => (description_addresses(text)?, "&amp;"),
    };
    let mut out = String::with_capacity(text.len() + places.len() * 16);
    let mut done = 0;
    for place in places {
        let Some(address) = how.address(&text[place.clone()], ampersand) else { continue };
        out.push_str(&text[done..place.start]);
        out.push_str(&address);
        done = place.end;
        if out.len() > limits.manifest_bytes_max {
            return Err(Unreadable::RewriteTooLong);
        }
    }
    if done == 0 {
        return Ok(None);
    }
    out.push_str(&text[done..]);
    let fits = out.len() <= limits.manifest_bytes_max;
    if fits { Ok(Some(out.into_bytes())) } else { Err(Unreadable::RewriteTooLong) }
}

impl Rewrite<'_> {
    /// An address as it should be; none if it stays.
    fn address(&self, address: &str, ampersand: &str) -> Option<String> {
        let (out, changed) = match split_authority(address) {
            Some((authority, rest)) => {
                let led = self.from.iter().any(|from| from.eq_ignore_ascii_case(authority));
                let own = self.to.rsplit('/').next().unwrap_or_default();
                if !led && !own.eq_ignore_ascii_case(authority) {
                    return None;
                }
                if led { (format!("{}{rest}", self.to), true) } else { (address.to_owned(), false) }
            }
            None if has_scheme(address) || address.is_empty() => return None,
            None => (address.to_owned(), false),
        };
        let Some(token) = self.token.filter(|token| is_plain(token)) else {
            return changed.then_some(out);
        };
        let (main, fragment) = match out.find('#') {
            // In an MPD `&#38;` is no fragment.
            Some(at) if !out[..at].ends_with('&') => out.split_at(at),
            _ => (out.as_str(), ""),
        };
        let joint = if main.contains('?') { ampersand } else { "?" };
        Some(format!("{main}{joint}{token}{fragment}"))
    }
}

/// Letters, digits and what else neither ends a pair nor an attribute.
fn is_plain(token: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=%+/:,".contains(&byte);
    !token.is_empty() && token.bytes().all(plain)
}

/// Authority and what follows, of `http://a/b`, `https://a/b` and `//a/b`.
fn split_authority(address: &str) -> Option<(&str, &str)> {
    let rest = match address.split_once("//")? {
        (scheme, rest)
            if scheme.is_empty()
                || scheme.eq_ignore_ascii_case("http:")
                || scheme.eq_ignore_ascii_case("https:") =>
        {
            rest
        }
        _ => return None,
    };
    Some(rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())))
}

fn has_scheme(address: &str) -> bool {
    let end = address.find([':', '/', '?', '#']);
    end.is_some_and(|end| address.as_bytes()[end] == b':')
}

/// Where the addresses of an MPD stand: the text of BaseURL and Location, and the attributes that
/// are some.
fn description_addresses(text: &str) -> Result<Vec<Range<usize>>, Unreadable> {
    let mut places = Vec::new();
    let mut xml = Xml::from_str(text);
    let mut within: Option<usize> = None;
    let position = |xml: &Xml<&[u8]>| usize::try_from(xml.buffer_position()).unwrap_or(usize::MAX);
    loop {
        let before = position(&xml);
        match xml.read_event().map_err(|_| Unreadable::Xml)? {
            Event::Start(tag) => {
                let name = tag.local_name();
                let is_text = matches!(name.as_ref(), "BaseURL" | "Location");
                within = is_text.then(|| position(&xml));
                attributes(text, before, &tag, &mut places)?;
            }
            Event::Empty(tag) => attributes(text, before, &tag, &mut places)?,
            Event::End(_) => {
                if let Some(start) = within.take() {
                    let body = text.get(start..before).unwrap_or_default();
                    let lead = body.len() - body.trim_start().len();
                    // CDATA is left alone: nobody writes an address so.
                    if !body.contains('<') {
                        places.push(start + lead..start + lead + body.trim().len());
                    }
                }
            }
            Event::Eof => return Ok(places),
            _ => {}
        }
    }
}

fn attributes(
    text: &str,
    before: usize,
    tag: &quick_xml::events::BytesStart<'_>,
    places: &mut Vec<Range<usize>>,
) -> Result<(), Unreadable> {
    let names: &[&str] = match tag.local_name().as_ref() {
        "SegmentTemplate" => &["media", "initialization"],
        "SegmentURL" => &["media"],
        "Initialization" | "RepresentationIndex" => &["sourceURL"],
        _ => return Ok(()),
    };
    let mut from = before;
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| Unreadable::Xml)?;
        let name = attribute.key.into_inner();
        // Attributes come in order, so each is looked for behind the one before.
        let quoted = [format!("\"{}\"", attribute.value), format!("'{}'", attribute.value)];
        let rest = text.get(from..).unwrap_or_default();
        let found = quoted.iter().filter_map(|value| rest.find(value.as_str())).min();
        let Some(at) = found.map(|at| from + at + 1) else { return Err(Unreadable::Xml) };
        let end = at + attribute.value.len();
        if names.contains(&name) {
            places.push(at..end);
        }
        from = end + 1;
    }
    Ok(())
}
