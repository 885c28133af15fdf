//! From text to wire form.

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER_PERMISSIVE};

use super::{Emptiness, Field, Misread, Place, Token, check, layout, params, stamp};
use crate::kind::{self, Kind};
use crate::name::{self, Name};

/// Bytes of data at most: its length has 16 bits (RFC 1035 3.2.1).
const DATA_BYTES_MAX: usize = 65_535;

/// Reads the data of a record of a type. `end` is where it ends, for what is missing there.
pub(crate) fn from_text(
    kind: u16,
    tokens: &[Token<'_>],
    origin: &Name,
    end: Place,
) -> Result<Vec<u8>, Misread> {
    let first = tokens.first().map_or(end, |token| token.place);
    let data = match tokens.split_first() {
        Some((mark, rest)) if mark.text == "\\#" && !mark.is_quoted => generic(kind, rest, end)?,
        _ => {
            let layout = layout(kind).ok_or_else(|| {
                let what = format!("write the data of {} as \\# LENGTH HEX", Kind(kind));
                Misread { place: first, what }
            })?;
            let mut reader = Reader { tokens, origin, end, wire: Vec::new() };
            for field in layout {
                reader.field(*field)?;
            }
            reader.nothing_left()?;
            reader.wire
        }
    };
    if data.len() > DATA_BYTES_MAX {
        let what = format!("the data has more than {DATA_BYTES_MAX} bytes: shorten it");
        return Err(Misread { place: first, what });
    }
    check(kind, &data).map_err(|what| Misread { place: first, what: what.to_owned() })?;
    Ok(data)
}

/// `\# LENGTH HEX` (RFC 3597 5), after the mark.
fn generic(kind: u16, tokens: &[Token<'_>], end: Place) -> Result<Vec<u8>, Misread> {
    let missing = || Misread { place: end, what: "add the length of the data".to_owned() };
    let (length, digits) = tokens.split_first().ok_or_else(missing)?;
    let bytes: u16 = number(length, Field::U16)?;
    let mut data = decode(digits, |text| HEXLOWER_PERMISSIVE.decode(text).ok(), Field::Hex)?;
    if data.len() != usize::from(bytes) {
        return Err(length.fault(format!("the data has {} bytes: write that", data.len())));
    }
    lowercase_names(kind, &mut data);
    Ok(data)
}

/// Names are kept in lowercase, however they came in. Nothing before a name has a length that is
/// not known: see the rows of `layout`.
fn lowercase_names(kind: u16, data: &mut [u8]) {
    let mut at = 0;
    for field in layout(kind).unwrap_or_default() {
        let rest = data.get_mut(at..).unwrap_or_default();
        at += match field {
            Field::U8 | Field::Algorithm => 1,
            Field::U16 | Field::Kind | Field::CertificateForm => 2,
            Field::U32 | Field::Seconds | Field::Moment => 4,
            Field::String => 1 + rest.first().copied().map_or(0, usize::from),
            Field::Name => {
                let bytes = name::wire_len(rest).unwrap_or(rest.len());
                rest[..bytes].make_ascii_lowercase();
                bytes
            }
            _ => return,
        };
    }
}

struct Reader<'file> {
    tokens: &'file [Token<'file>],
    origin: &'file Name,
    end: Place,
    wire: Vec<u8>,
}

impl<'file> Reader<'file> {
    fn field(&mut self, field: Field) -> Result<(), Misread> {
        match field {
            Field::Strings => {
                self.string(field)?;
                while !self.tokens.is_empty() {
                    self.string(field)?;
                }
                Ok(())
            }
            Field::String => self.string(field),
            Field::Kinds => {
                let wire = stamp::bits_from_text(self.rest())?;
                self.put(&wire)
            }
            Field::Hex => self.encoded(field, |text| HEXLOWER_PERMISSIVE.decode(text).ok()),
            Field::Base64 => self.encoded(field, |text| BASE64.decode(text).ok()),
            Field::Params => {
                let wire = params::from_text(self.rest())?;
                self.put(&wire)
            }
            other => {
                let token = self.next(other)?;
                if token.is_quoted && !matches!(other, Field::Tag | Field::Rest(_) | Field::Name) {
                    return Err(token.fault("delete the quotes"));
                }
                self.one(other, token)
            }
        }
    }

    /// A field that is one token.
    fn one(&mut self, field: Field, token: &Token<'_>) -> Result<(), Misread> {
        let wrong = || token.wanted(field.wanted());
        match field {
            Field::U8 => self.put(&number::<u8>(token, field)?.to_be_bytes()),
            Field::U16 => self.put(&number::<u16>(token, field)?.to_be_bytes()),
            Field::U32 => self.put(&number::<u32>(token, field)?.to_be_bytes()),
            Field::Seconds => {
                let seconds = stamp::seconds(token.text).ok_or_else(wrong)?;
                self.put(&seconds.to_be_bytes())
            }
            Field::Moment => {
                let moment = stamp::moment_from_text(token.text).ok_or_else(wrong)?;
                self.put(&moment.to_be_bytes())
            }
            Field::Algorithm => match stamp::algorithm(token.text) {
                Some(number) => self.put(&[number]),
                None => self.put(&number::<u8>(token, field)?.to_be_bytes()),
            },
            Field::CertificateForm => match stamp::certificate_form(token.text) {
                Some(number) => self.put(&number.to_be_bytes()),
                None => self.put(&number::<u16>(token, field)?.to_be_bytes()),
            },
            Field::Kind => self.put(&kind::from_text(token.text).ok_or_else(wrong)?.to_be_bytes()),
            Field::Name => {
                let name = name(token, self.origin)?;
                self.put(name.as_wire())
            }
            Field::V4 => {
                let address: Ipv4Addr = token.text.parse().map_err(|_| wrong())?;
                self.put(&address.octets())
            }
            Field::V6 => {
                let address: Ipv6Addr = token.text.parse().map_err(|_| wrong())?;
                self.put(&address.octets())
            }
            Field::Eui(bytes) => self.put(&eui(token.text, bytes).ok_or_else(wrong)?),
            Field::Tag => {
                let is_tag =
                    |tag: &Vec<u8>| !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric);
                let tag = token.bytes().filter(is_tag).ok_or_else(wrong)?;
                self.put_with_length(&tag, token)
            }
            Field::Rest(emptiness) => {
                let is_there = |rest: &Vec<u8>| emptiness == Emptiness::Allowed || !rest.is_empty();
                let rest = token.bytes().filter(is_there).ok_or_else(wrong)?;
                self.put(&rest)
            }
            Field::Salt if token.text == "-" => self.put(&[0]),
            Field::Salt => {
                let salt = HEXLOWER_PERMISSIVE.decode(token.text.as_bytes());
                self.put_with_length(&salt.map_err(|_| wrong())?, token)
            }
            Field::Hash => {
                let text = token.text.to_ascii_uppercase();
                let hash = BASE32HEX_NOPAD.decode(text.as_bytes()).map_err(|_| wrong())?;
                self.put_with_length(&hash, token)
            }
            // What takes more than one token: `field` has it.
            Field::String
            | Field::Strings
            | Field::Kinds
            | Field::Hex
            | Field::Base64
            | Field::Params => Err(wrong()),
        }
    }

    fn string(&mut self, field: Field) -> Result<(), Misread> {
        let token = self.next(field)?;
        let bytes = token.bytes().ok_or_else(|| {
            token.fault("put quotes around the whole string, and \\ before those in it")
        })?;
        self.put_with_length(&bytes, token)
    }

    /// A field that is all tokens left, as if nothing stood between them.
    fn encoded(
        &mut self,
        field: Field,
        decoder: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<(), Misread> {
        let first = *self.tokens.first().ok_or_else(|| self.missing(field))?;
        let wire = decode(self.rest(), decoder, field)?;
        if wire.is_empty() {
            return Err(first.wanted(field.wanted()));
        }
        self.put(&wire)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Misread> {
        self.wire.extend_from_slice(bytes);
        Ok(())
    }

    fn put_with_length(&mut self, bytes: &[u8], token: &Token<'_>) -> Result<(), Misread> {
        let length = u8::try_from(bytes.len()).map_err(|_| {
            token.fault(format!("divide the {} bytes: a string has 255 at most", bytes.len()))
        })?;
        self.wire.push(length);
        self.put(bytes)
    }

    fn next(&mut self, field: Field) -> Result<&'file Token<'file>, Misread> {
        let (token, rest) = self.tokens.split_first().ok_or_else(|| self.missing(field))?;
        self.tokens = rest;
        Ok(token)
    }

    fn rest(&mut self) -> &'file [Token<'file>] {
        std::mem::take(&mut self.tokens)
    }

    fn missing(&self, field: Field) -> Misread {
        Misread { place: self.end, what: format!("add {}: the record ends early", field.wanted()) }
    }

    fn nothing_left(&self) -> Result<(), Misread> {
        match self.tokens.first() {
            Some(token) => Err(token.fault("delete this and what follows: the record has all")),
            None => Ok(()),
        }
    }
}

/// Reads a name. Bytes beyond ASCII are refused: whoever writes them means the name's other form.
pub(crate) fn name(token: &Token<'_>, origin: &Name) -> Result<Name, Misread> {
    if !token.text.is_ascii() {
        return Err(token.wanted("the name in its xn-- form"));
    }
    Name::from_text(token.text, origin).map_err(|error| token.fault(format!("{error}: correct it")))
}

fn number<N: std::str::FromStr>(token: &Token<'_>, field: Field) -> Result<N, Misread> {
    let is_number = token.text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { token.text.parse().ok() } else { None };
    number.ok_or_else(|| token.wanted(field.wanted()))
}

fn decode(
    tokens: &[Token<'_>],
    decoder: impl Fn(&[u8]) -> Option<Vec<u8>>,
    field: Field,
) -> Result<Vec<u8>, Misread> {
    let Some(first) = tokens.first() else { return Ok(Vec::new()) };
    let text: String = tokens.iter().map(|token| token.text).collect();
    decoder(text.as_bytes()).ok_or_else(|| first.wanted(field.wanted()))
}

fn eui(text: &str, bytes: usize) -> Option<Vec<u8>> {
    let pairs = text.split('-').map(|pair| match pair.len() {
        2 => HEXLOWER_PERMISSIVE.decode(pair.as_bytes()).ok(),
        _ => None,
    });
    let wire = pairs.collect::<Option<Vec<_>>>()?.concat();
    (wire.len() == bytes).then_some(wire)
}
