//! From wire form to text; and so also whether wire form is right.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER};

use super::{Emptiness, Field, params, stamp};
use crate::kind::Kind;
use crate::name;

/// Writes data as text, or says why it is not of this layout.
pub(super) fn fields(
    layout: &[Field],
    data: &[u8],
    out: &mut impl Write,
) -> Result<(), &'static str> {
    let mut rest = data;
    // The priority of a service decides whether it may have parameters.
    let is_alias = data.starts_with(&[0, 0]);
    for (index, field) in layout.iter().enumerate() {
        // These write a space before each of theirs, of which there may be none.
        if index > 0 && !matches!(field, Field::Kinds | Field::Params) {
            out.write_char(' ').map_err(|_| UNWRITTEN)?;
        }
        if *field == Field::Params {
            params::write(std::mem::take(&mut rest), is_alias, out)?;
        } else {
            rest = one(*field, rest, out)?;
        }
    }
    if rest.is_empty() { Ok(()) } else { Err("the data has bytes after its end") }
}

/// The generic form (RFC 3597 5).
pub(super) fn generic(data: &[u8]) -> String {
    let mut text = format!("\\# {}", data.len());
    if !data.is_empty() {
        text.push(' ');
        HEXLOWER.encode_append(data, &mut text);
    }
    text
}

const SHORT: &str = "the data ends early";
const UNWRITTEN: &str = "the text could not be written";

/// Writes one field; what follows it is returned.
fn one<'data>(
    field: Field,
    data: &'data [u8],
    out: &mut impl Write,
) -> Result<&'data [u8], &'static str> {
    let (own, rest) = split(field, data).ok_or(SHORT)?;
    let written = match field {
        Field::U8
        | Field::U16
        | Field::U32
        | Field::Seconds
        | Field::Algorithm
        | Field::CertificateForm => write!(out, "{}", number(own)),
        Field::Moment => stamp::write_moment(number(own), out),
        Field::Kind => write!(out, "{}", Kind(number(own) as u16)),
        Field::Name => name::write_wire(own, out),
        Field::V4 => {
            let octets: [u8; 4] = own.try_into().map_err(|_| SHORT)?;
            write!(out, "{}", Ipv4Addr::from(octets))
        }
        Field::V6 => {
            let octets: [u8; 16] = own.try_into().map_err(|_| SHORT)?;
            write!(out, "{}", Ipv6Addr::from(octets))
        }
        Field::Eui(_) => pairs(own, out),
        Field::String => quoted(&own[1..], out),
        Field::Strings => strings(own, out)?,
        Field::Tag if own.len() < 2 || !own[1..].iter().all(u8::is_ascii_alphanumeric) => {
            return Err("the tag is not letters and digits");
        }
        Field::Tag => own[1..].iter().try_for_each(|byte| out.write_char(char::from(*byte))),
        Field::Rest(Emptiness::Refused) | Field::Hex | Field::Base64 if own.is_empty() => {
            return Err(SHORT);
        }
        Field::Rest(_) => quoted(own, out),
        Field::Salt if own.len() == 1 => out.write_char('-'),
        Field::Salt => out.write_str(&HEXLOWER.encode(&own[1..])),
        Field::Hash if own.len() == 1 => return Err("the hash is empty"),
        Field::Hash => out.write_str(&BASE32HEX_NOPAD.encode(&own[1..])),
        Field::Kinds => stamp::write_bits(own, out).ok_or(fmt::Error),
        Field::Hex => out.write_str(&HEXLOWER.encode(own)),
        Field::Base64 => out.write_str(&BASE64.encode(own)),
        Field::Params => return Err(UNWRITTEN),
    };
    match written {
        Ok(()) => Ok(rest),
        Err(_) if field == Field::Kinds => Err("the set of types is not in order"),
        Err(_) => Err(UNWRITTEN),
    }
}

/// The bytes of a field, and what follows.
fn split(field: Field, data: &[u8]) -> Option<(&[u8], &[u8])> {
    data.split_at_checked(match field {
        Field::U8 | Field::Algorithm => 1,
        Field::U16 | Field::Kind | Field::CertificateForm => 2,
        Field::U32 | Field::Seconds | Field::Moment | Field::V4 => 4,
        Field::V6 => 16,
        Field::Eui(bytes) => bytes,
        Field::Name => name::wire_len(data)?,
        Field::String | Field::Tag | Field::Salt | Field::Hash => 1 + usize::from(*data.first()?),
        Field::Strings
        | Field::Rest(_)
        | Field::Kinds
        | Field::Hex
        | Field::Base64
        | Field::Params => data.len(),
    })
}

/// The number that four bytes or fewer are.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn pairs(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        let dash = if index == 0 { "" } else { "-" };
        write!(out, "{dash}{byte:02x}")?;
    }
    Ok(())
}

fn strings(mut data: &[u8], out: &mut impl Write) -> Result<fmt::Result, &'static str> {
    let mut between = "";
    loop {
        let (string, rest) = split(Field::String, data).ok_or(SHORT)?;
        if out.write_str(between).and_then(|()| quoted(&string[1..], out)).is_err() {
            return Ok(Err(fmt::Error));
        }
        (data, between) = (rest, " ");
        if data.is_empty() {
            return Ok(Ok(()));
        }
    }
}

/// Writes bytes as a string in quotes (RFC 1035 5.1).
pub(super) fn quoted(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for byte in bytes {
        match byte {
            b'"' | b'\\' => write!(out, "\\{}", char::from(*byte))?,
            b' '..=b'~' => out.write_char(char::from(*byte))?,
            other => write!(out, "\\{other:03}")?,
        }
    }
    out.write_char('"')
}
