//! The strict check of a request head (RFC 9112 3 to 6, RFC 9110 5 to 7), on the raw bytes and
//! before any lenient parser sees them. It does not interpret a head: it decides whether all
//! parsers would read it alike, and how long its body is. It must never let through what two
//! parsers could read differently, and it gives the same verdict however the bytes were split.

use memchr::{memchr, memrchr};

use crate::authority;
use crate::refusal::Refusal;
use crate::settings::Limits;

/// The method of the head by which `guard.rs` tells hyper that a head was refused. No client can
/// use it: the check refuses it.
pub(crate) const POISON_METHOD: &str = "SELVEDGE-REFUSED";

/// Longest method that is understood.
const METHOD_BYTES_MAX: usize = 32;
/// What a request line may have beside its target: method, two spaces, version, CRLF, and room.
const REQUEST_LINE_EXTRA: usize = 64;
/// A Content-Length of this many digits fits in 63 bits.
const LENGTH_DIGITS_MAX: usize = 18;

/// How the body after a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    None,
    Length(u64),
    Chunked,
}

/// What an accepted head says about the bytes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) body: BodyFraming,
    /// It asks to leave HTTP: what follows the message may not be HTTP.
    pub(crate) upgrade: bool,
}

/// A head on its way in. Call [`Head::advance`] with the bytes from its first on, each time the
/// same and more; complete lines are looked at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    line_start: usize,
    searched: usize,
    has_request_line: bool,
    skipped_empty_line: bool,
    is_http10: bool,
    needs_length: bool,
    is_absolute: bool,
    fields: usize,
    has_host: bool,
    length: Option<u64>,
    is_chunked: bool,
    has_upgrade: bool,
    connection_upgrade: bool,
}

impl Head {
    /// Looks at what is new. `Ok(None)`: more is needed. `Ok(Some((bytes, framing)))`: the head is
    /// complete and ends after `bytes`.
    pub(crate) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(usize, Framing)>, Refusal> {
        if !self.has_request_line && !self.start(bytes)? {
            return Ok(None);
        }
        loop {
            let (line_end_max, too_long) = self.line_end_max(limits);
            let window = &bytes[self.searched..];
            let Some(found) = memchr(b'\n', window) else {
                self.searched = bytes.len();
                return if bytes.len() > line_end_max { Err(too_long) } else { Ok(None) };
            };
            let line_end = self.searched + found + 1;
            if line_end > line_end_max {
                return Err(too_long);
            }
            let line = &bytes[self.line_start..line_end - 1];
            let Some((b'\r', line)) = line.split_last() else {
                return Err(Refusal::LineEnd);
            };
            self.line_start = line_end;
            self.searched = line_end;
            if !self.has_request_line {
                self.has_request_line = true;
                self.request_line(line, limits)?;
            } else if line.is_empty() {
                return self.finish().map(|framing| Some((line_end, framing)));
            } else {
                self.field(line, limits)?;
            }
        }
    }

    /// Skips one empty line (RFC 9112 2.2) and looks at the first byte, so that what is not HTTP at
    /// all is refused at once. `false` while there are too few bytes.
    fn start(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        if !self.skipped_empty_line {
            match bytes {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] => {
                    self.skipped_empty_line = true;
                    self.line_start = 2;
                    self.searched = self.searched.max(2);
                }
                _ => {}
            }
        }
        match bytes.get(self.line_start) {
            None => Ok(false),
            Some(b'\n' | b'\r') => Err(Refusal::LineEnd),
            Some(&byte) if !is_token_byte(byte) => Err(Refusal::Method),
            Some(_) => Ok(true),
        }
    }

    /// The offset that the present line must not go beyond, and what it is when it does. Whichever
    /// limit is reached first counts, so that the verdict does not depend on how bytes arrive.
    fn line_end_max(&self, limits: &Limits) -> (usize, Refusal) {
        if !self.has_request_line {
            let line_max = limits.url_bytes_max.saturating_add(REQUEST_LINE_EXTRA);
            return (self.line_start.saturating_add(line_max), Refusal::UrlTooLong);
        }
        let field_end = self.line_start.saturating_add(limits.field_bytes_max);
        if field_end < limits.head_bytes_max {
            (field_end, Refusal::FieldTooLarge)
        } else {
            (limits.head_bytes_max, Refusal::HeadTooLarge)
        }
    }

    fn request_line(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        if is_plain_request_line(line, limits) {
            return Ok(());
        }
        self.any_request_line(line, limits)
    }

    /// Rule by rule.
    fn any_request_line(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        refuse_controls(line, false)?;
        let (Some(first), Some(last)) = (memchr(b' ', line), memrchr(b' ', line)) else {
            return Err(Refusal::RequestLine);
        };
        let (method, version) = (&line[..first], &line[last + 1..]);
        if first == last {
            return Err(Refusal::RequestLine);
        }
        let target = &line[first + 1..last];
        if target.is_empty() || memchr(b' ', target).is_some() {
            return Err(Refusal::RequestLine);
        }
        if method.is_empty()
            || method.len() > METHOD_BYTES_MAX
            || !method.iter().all(|&byte| is_token_byte(byte))
            || method == POISON_METHOD.as_bytes()
        {
            return Err(Refusal::Method);
        }
        match version {
            b"HTTP/1.1" => {}
            b"HTTP/1.0" => self.is_http10 = true,
            [b'H', b'T', b'T', b'P', b'/', major, rest @ ..]
                if major.is_ascii_digit() && matches!(rest, [] | [b'.', ..]) =>
            {
                return Err(Refusal::Version);
            }
            _ => return Err(Refusal::RequestLine),
        }
        if target.len() > limits.url_bytes_max {
            return Err(Refusal::UrlTooLong);
        }
        self.needs_length = self.is_http10 && matches!(method, b"POST" | b"PUT" | b"PATCH");
        self.target(method, target)
    }

    /// RFC 9112 3.2: origin form, absolute form, or `*` for OPTIONS.
    fn target(&mut self, method: &[u8], target: &[u8]) -> Result<(), Refusal> {
        if method == b"CONNECT" {
            return Err(Refusal::Connect);
        }
        let path_and_query = match target {
            b"*" if method == b"OPTIONS" => return Ok(()),
            b"*" => return Err(Refusal::TargetForm),
            [b'/', ..] => target,
            _ => {
                let rest = strip_scheme(target).ok_or(Refusal::TargetForm)?;
                let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
                let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
                if !authority::is_valid(name) {
                    return Err(Refusal::HostInvalid);
                }
                self.is_absolute = true;
                rest
            }
        };
        if is_valid_path_and_query(path_and_query) { Ok(()) } else { Err(Refusal::Target) }
    }

    fn field(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > limits.fields_max {
            return Err(Refusal::TooManyFields);
        }
        let (name, raw) = match plain_field(line) {
            Some(parts) => parts,
            None => field_parts(line)?,
        };
        self.known_field(name, raw)
    }

    /// The fields that decide framing and routing.
    fn known_field(&mut self, name: &[u8], raw: &[u8]) -> Result<(), Refusal> {
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            4 if is(b"host") => {
                if self.has_host {
                    return Err(Refusal::HostRepeated);
                }
                self.has_host = true;
                if !authority::is_valid(raw.trim_ascii()) {
                    return Err(Refusal::HostInvalid);
                }
            }
            6 if is(b"expect") && !raw.trim_ascii().eq_ignore_ascii_case(b"100-continue") => {
                return Err(Refusal::Expectation);
            }
            7 if is(b"upgrade") => self.has_upgrade = true,
            10 if is(b"connection") => {
                self.connection_upgrade |= raw
                    .split(|&byte| byte == b',')
                    .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
            }
            14 if is(b"content-length") => {
                if self.length.is_some() {
                    return Err(Refusal::LengthRepeated);
                }
                self.length = Some(content_length(strip_one_space(raw))?);
            }
            17 if is(b"transfer-encoding") => {
                if self.is_chunked {
                    return Err(Refusal::CodingRepeated);
                }
                if self.is_http10 {
                    return Err(Refusal::CodingVersion);
                }
                if !strip_one_space(raw).eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::CodingUnknown);
                }
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self) -> Result<Framing, Refusal> {
        let needs_host = !(self.is_http10 && self.is_absolute);
        if needs_host && !self.has_host {
            return Err(Refusal::HostMissing);
        }
        let body = match (self.length, self.is_chunked) {
            (Some(_), true) => return Err(Refusal::LengthAndCoding),
            (None, true) => BodyFraming::Chunked,
            (Some(0), false) => BodyFraming::None,
            (Some(length), false) => BodyFraming::Length(length),
            (None, false) if self.needs_length => return Err(Refusal::LengthRequired),
            (None, false) => BodyFraming::None,
        };
        let upgrade = self.has_upgrade && self.connection_upgrade && !self.is_http10;
        Ok(Framing { body, upgrade })
    }
}

/// Whether the line is what most are: a GET in origin form with nothing in it that any rule asks
/// about. It saves a tiny head most of its passes; what is not plain is looked at rule by rule.
fn is_plain_request_line(line: &[u8], limits: &Limits) -> bool {
    let rest = line.strip_prefix(b"GET /").and_then(|rest| rest.strip_suffix(b" HTTP/1.1"));
    rest.is_some_and(|rest| {
        rest.len() < limits.url_bytes_max && rest.iter().all(|&byte| PLAIN_TARGET[byte as usize])
    })
}

/// Name and value of a field with neither tab nor control in it, in one pass over each.
fn plain_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| !is_token_byte(byte))?;
    let (name, rest) = line.split_at(colon);
    let raw = rest.strip_prefix(b":")?;
    (!name.is_empty() && has_no_controls(raw)).then_some((name, raw))
}

/// The same for any field, or why it is refused.
fn field_parts(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line, [b' ' | b'\t', ..]) {
        return Err(Refusal::FieldFolded);
    }
    refuse_controls(line, true)?;
    let colon = memchr(b':', line).ok_or(Refusal::FieldName)?;
    let (name, raw) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) {
        return Err(Refusal::FieldName);
    }
    Ok((name, raw))
}

/// Whether all bytes are neither below 0x20 nor 0x7f, eight at a time: values are too short for
/// vector code to be worth its beginning and end.
fn has_no_controls(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
    let Some(last) = bytes.last_chunk::<8>() else { return !bytes.iter().any(is_control) };
    // The upper bit of a byte becomes set if the byte, or one that is less significant, is one.
    let controls = |chunk: &[u8; 8]| {
        let word = u64::from_le_bytes(*chunk);
        let delete = word ^ (ONES * 0x7f);
        (word.wrapping_sub(ONES * 0x20) & !word) | (delete.wrapping_sub(ONES) & !delete)
    };
    let (chunks, _) = bytes.as_chunks::<8>();
    let found = chunks.iter().fold(controls(last), |found, chunk| found | controls(chunk));
    found & (ONES * 0x80) == 0
}

/// Whether the bytes are a path and query that every parser reads alike: no space, no control, no
/// fragment, nothing beyond ASCII, no delimiters that some treat as a path separator.
pub(crate) fn is_valid_path_and_query(bytes: &[u8]) -> bool {
    let question = memchr(b'?', bytes).unwrap_or(bytes.len());
    let (path, query) = bytes.split_at(question);
    let common = |byte: u8| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'#' | b'<' | b'>');
    path.iter().all(|&byte| common(byte) && !matches!(byte, b'\\' | b'`' | b'"'))
        && query.iter().all(|&byte| common(byte) && byte != b'"')
}

/// What may stand in a path and in a query alike.
const PLAIN_TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        let odd = [b'#', b'<', b'>', b'\\', b'`', b'"'];
        let mut index = 0;
        table[byte as usize] = true;
        while index < odd.len() {
            table[byte as usize] &= byte != odd[index];
            index += 1;
        }
        byte += 1;
    }
    table
};

/// RFC 9110 5.6.2.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// One pass without branches over the line, which the compiler turns into vector code; the reason
/// is looked for only when there is one.
fn refuse_controls(line: &[u8], tab_allowed: bool) -> Result<(), Refusal> {
    let mut bad = false;
    for &byte in line {
        bad |= (byte < 0x20 && !(tab_allowed && byte == b'\t')) | (byte == 0x7f);
    }
    match bad {
        false => Ok(()),
        true if memchr(b'\r', line).is_some() => Err(Refusal::LineEnd),
        true => Err(Refusal::ControlByte),
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    for scheme in [&b"http://"[..], b"https://"] {
        if target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme) {
            return Some(&target[scheme.len()..]);
        }
    }
    None
}

/// Framing fields are taken without the white space that obfuscations hide in: at most one space
/// after the colon.
fn strip_one_space(raw: &[u8]) -> &[u8] {
    raw.strip_prefix(b" ").unwrap_or(raw)
}

/// Digits only: no sign, no list, no white space, no overflow.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || value.len() > LENGTH_DIGITS_MAX {
        return Err(Refusal::LengthInvalid);
    }
    let mut length = 0_u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(Refusal::LengthInvalid);
        }
        length = length * 10 + u64::from(byte - b'0');
    }
    Ok(length)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
