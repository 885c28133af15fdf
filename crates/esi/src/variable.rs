//! What the variables of a request stand for. What a page must not know, no name gives: cookies
//! that are kept from pages, and the fields that carry credentials.

use std::borrow::Cow;

use memchr::memmem;
use percent_encoding::percent_decode;

use crate::expression::Name;
use crate::value::{Origin, Value};
use crate::visitor::{Place, Visitor};

/// What a variable of the request stands for.
pub(crate) fn look_up<'v>(visitor: &'v dyn Visitor, name: &Name, key: Option<&[u8]>) -> Value<'v> {
    match (name, key) {
        (Name::QueryString, None) => whole(visitor.query(), Origin::Query),
        (Name::QueryString, Some(key)) => parameter(visitor.query(), key),
        (Name::Cookie, key) => cookie(visitor, key),
        (Name::Header(name), None) => header(visitor, name),
        (Name::AnyHeader, Some(key)) => any_header(visitor, key),
        (Name::AcceptLanguage, None) => header(visitor, "accept-language"),
        (Name::AcceptLanguage, Some(key)) => Value::Flag(accepts(visitor, key)),
        (Name::UserAgent, None) => header(visitor, "user-agent"),
        (Name::UserAgent, Some(key)) => user_agent(visitor, key),
        (Name::Host, None) => whole(Some(visitor.host()), Origin::Visitor),
        (Name::Method, None) => whole(Some(visitor.method()), Origin::Visitor),
        (Name::Path, None) => whole(Some(visitor.path()), Origin::Path),
        (Name::Geo, Some(key)) => {
            let place = Place::from_key(key).and_then(|place| visitor.place(place));
            whole(place, Origin::Visitor)
        }
        _ => Value::Undefined,
    }
}

/// About what was read to know that, in bytes.
pub(crate) fn source_bytes(visitor: &dyn Visitor, name: &Name) -> usize {
    let header = |name| visitor.header(name).map_or(0, |value| value.len());
    match name {
        Name::QueryString => visitor.query().map_or(0, str::len),
        Name::Cookie => header("cookie"),
        Name::AcceptLanguage => header("accept-language"),
        Name::UserAgent => header("user-agent"),
        _ => 0,
    }
}

fn whole(text: Option<&str>, origin: Origin) -> Value<'_> {
    text.map_or(Value::Undefined, |text| Value::Text(text.as_bytes().into(), origin))
}

fn sent<'v>(text: Cow<'v, [u8]>) -> Value<'v> {
    Value::Text(text, Origin::Visitor)
}

fn header<'v>(visitor: &'v dyn Visitor, name: &str) -> Value<'v> {
    visitor.header(name).map_or(Value::Undefined, sent)
}

fn any_header<'v>(visitor: &'v dyn Visitor, key: &[u8]) -> Value<'v> {
    let name = String::from_utf8_lossy(key).to_ascii_lowercase();
    match &*name {
        "cookie" => cookie(visitor, None),
        "authorization" | "proxy-authorization" => Value::Undefined,
        name => header(visitor, name),
    }
}

/// The first of this name, decoded as a form is (`+` is a space).
fn parameter<'v>(query: Option<&'v str>, key: &[u8]) -> Value<'v> {
    for pair in query.unwrap_or("").split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !pair.is_empty() && form_decode(name) == key {
            return sent(form_decode(value));
        }
    }
    Value::Undefined
}

fn form_decode(text: &str) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'+', b'%', text.as_bytes()).is_none() {
        return text.as_bytes().into();
    }
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).collect::<Vec<u8>>().into()
}

/// One cookie by its name, or all that are not kept from pages. `name;part` is a part of a cookie
/// that is itself a list like `part=1&other=2`.
fn cookie<'v>(visitor: &'v dyn Visitor, key: Option<&[u8]>) -> Value<'v> {
    let Some(line) = visitor.header("cookie") else { return Value::Undefined };
    let split = |pair: &[u8]| {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        (pair[..at].trim_ascii().to_vec(), pair.get(at + 1..).unwrap_or(b"").trim_ascii().to_vec())
    };
    let secret = |name: &[u8]| visitor.is_secret_cookie(&String::from_utf8_lossy(name));
    let pairs = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let Some(key) = key else {
        let open: Vec<_> =
            pairs.filter(|pair| !pair.is_empty() && !secret(&split(pair).0)).collect();
        return sent(open.join(&b"; "[..]).into());
    };
    let (wanted, part) = match memchr::memchr(b';', key) {
        Some(at) => (&key[..at], Some(&key[at + 1..])),
        None => (key, None),
    };
    if secret(wanted) {
        return Value::Undefined;
    }
    let mut named = pairs.map(split).filter(|(name, _)| name == wanted);
    let Some((_, value)) = named.next() else { return Value::Undefined };
    let Some(part) = part else { return sent(value.into()) };
    let mut parts = value.split(|byte| *byte == b'&').map(split);
    parts.find(|(name, _)| name == part).map_or(Value::Undefined, |(_, value)| sent(value.into()))
}

/// Whether a language is in the list, with any weight but zero.
fn accepts(visitor: &dyn Visitor, key: &[u8]) -> bool {
    let Some(line) = visitor.header("accept-language") else { return false };
    line.split(|byte| *byte == b',').any(|member| {
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let named = parts.next().is_some_and(|language| language.eq_ignore_ascii_case(key));
        let zero = |part: &[u8]| {
            let weight = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
            weight.is_some_and(|weight| {
                weight.starts_with(b"0") && weight.iter().all(|byte| b"0.".contains(byte))
            })
        };
        named && !parts.any(zero)
    })
}

/// The words of the ESI 1.0 note: `browser` is MOZILLA, MSIE or OTHER, `os` is WIN, MAC, UNIX or
/// OTHER, `version` the number after the browser's name.
fn user_agent<'v>(visitor: &'v dyn Visitor, key: &[u8]) -> Value<'v> {
    let Some(line) = visitor.header("user-agent") else { return Value::Undefined };
    let after = |word: &[u8]| memmem::find(&line, word).map(|at| at + word.len());
    let has = |words: &[&[u8]]| words.iter().any(|word| after(word).is_some());
    let msie = after(b"MSIE ");
    let mozilla = line.starts_with(b"Mozilla/").then_some(8);
    let word = |word: &'static str| Value::Text(word.as_bytes().into(), Origin::Page);
    match key {
        b"browser" if msie.is_some() => word("MSIE"),
        b"browser" if mozilla.is_some() => word("MOZILLA"),
        b"browser" => word("OTHER"),
        b"version" => {
            let from = msie.or(mozilla).or_else(|| after(b"/")).unwrap_or(line.len());
            let number = line[from..].iter().take_while(|byte| b"0123456789.".contains(byte));
            sent(number.copied().collect::<Vec<u8>>().into())
        }
        b"os" if has(&[b"Windows"]) => word("WIN"),
        b"os" if has(&[b"Mac"]) => word("MAC"),
        b"os" if has(&[b"Linux", b"X11", b"BSD", b"SunOS", b"Unix"]) => word("UNIX"),
        b"os" => word("OTHER"),
        _ => Value::Undefined,
    }
}
