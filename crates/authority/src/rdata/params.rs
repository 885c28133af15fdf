//! The parameters of SVCB and HTTPS records (RFC 9460 2.1, 2.2 and 7; `dohpath`: RFC 9461).
//!
//! ```text
//! wire     2 bytes key, 2 bytes length, value; keys in ascending order, each once
//! text     key=value key="value" key
//! ```

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use super::write::quoted;
use super::{Misread, Token, token};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;

/// By key.
const NAMES: [&str; 8] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath"];

/// Reads parameters, in any order. What must hold of them together, [`write`] checks.
pub(super) fn from_text(tokens: &[Token<'_>]) -> Result<Vec<u8>, Misread> {
    let mut params: Vec<(u16, Vec<u8>)> = Vec::new();
    for token in tokens {
        let (key_text, value_text) = match token.text.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (token.text, None),
        };
        let key = key_of(key_text)
            .filter(|_| !token.is_quoted)
            .ok_or_else(|| token.wanted("a parameter like alpn=h2, or key123=value"))?;
        let value = value_text.map(unquote).map(token::unescape);
        let value = match value {
            None => Vec::new(),
            Some(value) => value.ok_or_else(|| token.wanted("quotes around the whole value"))?,
        };
        // `key3=` takes the bytes that `port=` would make (RFC 9460 2.1).
        let value = if NAMES.contains(&key_text) { wire_of(key, &value) } else { Ok(value) };
        let value = value.map_err(|wanted| token.wanted(wanted))?;
        if value.len() > usize::from(u16::MAX) {
            return Err(token.fault("shorten the value: it has more than 65535 bytes"));
        }
        match params.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(_) => return Err(token.fault(format!("delete this: {} is there", name_of(key)))),
            Err(at) => params.insert(at, (key, value)),
        }
    }
    let mut wire = Vec::new();
    for (key, value) in params {
        wire.extend_from_slice(&key.to_be_bytes());
        wire.extend_from_slice(&(value.len() as u16).to_be_bytes());
        wire.extend_from_slice(&value);
    }
    Ok(wire)
}

/// Writes parameters, each with a space before it, or says why they are none.
pub(super) fn write(
    mut wire: &[u8],
    is_alias: bool,
    out: &mut impl Write,
) -> Result<(), &'static str> {
    if is_alias && !wire.is_empty() {
        return Err("delete the parameters: priority 0 makes an alias, which has none");
    }
    let mut mandatory: &[u8] = &[];
    let mut keys: Vec<u16> = Vec::new();
    while !wire.is_empty() {
        let (head, rest) = wire.split_first_chunk::<4>().ok_or("a parameter ends early")?;
        let key = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(length).ok_or("a parameter ends early")?;
        if keys.last().is_some_and(|last| *last >= key) || key == u16::MAX {
            return Err("the keys of the parameters are not in order");
        }
        if key == MANDATORY {
            mandatory = value;
        }
        keys.push(key);
        out.write_char(' ').map_err(|_| UNWRITTEN)?;
        write_one(key, value, out)?;
        wire = rest;
    }
    let is_there = |key: &[u8; 2]| keys.binary_search(&u16::from_be_bytes(*key)).is_ok();
    if !mandatory.as_chunks().0.iter().all(is_there) {
        return Err("add the parameters that mandatory names, or take them from it");
    }
    if keys.contains(&NO_DEFAULT_ALPN) && !keys.contains(&ALPN) {
        return Err("add alpn: no-default-alpn needs it");
    }
    Ok(())
}

const UNWRITTEN: &str = "the text could not be written";

/// The wire form of a value that was read as a string; or what it should be.
fn wire_of(key: u16, value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = || std::str::from_utf8(value).ok().filter(|text| !text.is_empty());
    let each = |part: fn(&str) -> Option<Vec<u8>>| {
        Some(text()?.split(',').map(part).collect::<Option<Vec<_>>>()?.concat())
    };
    match key {
        MANDATORY => mandatory(text().unwrap_or_default()).ok_or("mandatory=KEY,KEY, each once"),
        ALPN => protocols(value).ok_or("alpn=h2,h3 or the like, each up to 255 bytes"),
        NO_DEFAULT_ALPN if value.is_empty() => Ok(Vec::new()),
        NO_DEFAULT_ALPN => Err("no-default-alpn without a value"),
        PORT => text()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u16>().ok())
            .map(|port| port.to_be_bytes().to_vec())
            .ok_or("port=NUMBER, up to 65535"),
        IPV4HINT => each(|text| Some(text.parse::<Ipv4Addr>().ok()?.octets().to_vec()))
            .ok_or("ipv4hint=ADDRESS,ADDRESS"),
        IPV6HINT => each(|text| Some(text.parse::<Ipv6Addr>().ok()?.octets().to_vec()))
            .ok_or("ipv6hint=ADDRESS,ADDRESS"),
        ECH => {
            let ech = BASE64.decode(value).ok().filter(|ech| !ech.is_empty());
            ech.ok_or("ech= and base 64")
        }
        _ => text().map(|text| text.as_bytes().to_vec()).ok_or("dohpath=PATH"),
    }
}

/// Keys in ascending order (RFC 9460 8).
fn mandatory(text: &str) -> Option<Vec<u8>> {
    let mut keys = text.split(',').map(key_of).collect::<Option<Vec<u16>>>()?;
    keys.sort_unstable();
    let is_sound = keys.is_sorted_by(|a, b| a < b) && keys.first() != Some(&MANDATORY);
    is_sound.then(|| keys.iter().flat_map(|key| key.to_be_bytes()).collect())
}

/// Protocols, each with its length: a backslash stands before a comma or backslash that is in one
/// (RFC 9460 A.1).
fn protocols(value: &[u8]) -> Option<Vec<u8>> {
    let mut wire = vec![0];
    let mut length_at = 0;
    let end = |wire: &mut [u8], length_at: usize| {
        wire[length_at] =
            u8::try_from(wire.len() - length_at - 1).ok().filter(|bytes| *bytes > 0)?;
        Some(())
    };
    let mut rest = value.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b',' => {
                end(&mut wire, length_at)?;
                length_at = wire.len();
                wire.push(0);
            }
            b'\\' => wire.push(*rest.next().filter(|next| b",\\".contains(next))?),
            other => wire.push(*other),
        }
    }
    end(&mut wire, length_at)?;
    Some(wire)
}

fn write_one(key: u16, value: &[u8], out: &mut impl Write) -> Result<(), &'static str> {
    out.write_str(&name_of(key)).map_err(|_| UNWRITTEN)?;
    if value.is_empty() {
        // A key without value: this one must, those without a name may.
        let may_be = key == NO_DEFAULT_ALPN || key > DOHPATH;
        return if may_be { Ok(()) } else { Err("a parameter has no value") };
    }
    let text = match key {
        MANDATORY => {
            let keys = value.as_chunks().0.iter().map(|key| u16::from_be_bytes(*key));
            if !value.len().is_multiple_of(2)
                || value[..2] == [0, 0]
                || !keys.clone().is_sorted_by(|a, b| a < b)
            {
                return Err("mandatory is not a list of keys in order");
            }
            joined(keys.map(name_of))
        }
        ALPN => return write_protocols(value, out),
        NO_DEFAULT_ALPN => return Err("no-default-alpn has a value"),
        PORT => {
            let port: [u8; 2] = value.try_into().map_err(|_| "port does not have two bytes")?;
            u16::from_be_bytes(port).to_string()
        }
        IPV4HINT => {
            let (addresses, rest) = value.as_chunks::<4>();
            if !rest.is_empty() {
                return Err("ipv4hint is not whole addresses");
            }
            joined(addresses.iter().map(|octets| Ipv4Addr::from(*octets).to_string()))
        }
        IPV6HINT => {
            let (addresses, rest) = value.as_chunks::<16>();
            if !rest.is_empty() {
                return Err("ipv6hint is not whole addresses");
            }
            joined(addresses.iter().map(|octets| Ipv6Addr::from(*octets).to_string()))
        }
        ECH => BASE64.encode(value),
        DOHPATH if std::str::from_utf8(value).is_err() => return Err("dohpath is not UTF-8"),
        _ => {
            let written = out.write_char('=').and_then(|()| quoted(value, out));
            return written.map_err(|_| UNWRITTEN);
        }
    };
    write!(out, "={text}").map_err(|_| UNWRITTEN)
}

fn write_protocols(mut value: &[u8], out: &mut impl Write) -> Result<(), &'static str> {
    let mut text = Vec::new();
    while let Some((length, rest)) = value.split_first() {
        let protocol = rest.split_at_checked(usize::from(*length)).filter(|_| *length > 0);
        let (protocol, rest) = protocol.ok_or("alpn is not whole strings")?;
        if !text.is_empty() {
            text.push(b',');
        }
        for byte in protocol {
            if b",\\".contains(byte) {
                text.push(b'\\');
            }
            text.push(*byte);
        }
        value = rest;
    }
    out.write_char('=').and_then(|()| quoted(&text, out)).map_err(|_| UNWRITTEN)
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

/// The key that a text names (RFC 9460 2.1).
fn key_of(text: &str) -> Option<u16> {
    if let Some(key) = NAMES.iter().position(|name| *name == text) {
        return Some(key as u16);
    }
    let digits = text.strip_prefix("key")?;
    let is_number = (1..=5).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if is_number { digits.parse().ok().filter(|key| *key != u16::MAX) } else { None }
}

fn name_of(key: u16) -> String {
    match NAMES.get(usize::from(key)) {
        Some(name) => (*name).to_owned(),
        None => format!("key{key}"),
    }
}

/// What stands between the quotes around a value.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
