//! The strict check of a chunked request body (RFC 9112 7.1), byte by byte.
//!
//! ```text
//!        hex           CR          LF, size > 0
//!  Size ------> Size -------> SizeLf ----------> Data --size bytes--> DataCr --CR--> DataLf
//!    ^           | ;            ^  |                                                   | LF
//!    |           v              |  | LF, size = 0                                      |
//!    |       Extension ---CR----+  v                                                   |
//!    +---------------------------- | <-------------------------------------------------+
//!                                  v         token     :             CR
//!                            TrailerStart ---------> TrailerName --> TrailerValue --> TrailerLf
//!                                  | CR ^------------------------- LF --------------------+
//!                                  v
//!                               EndLf ---LF---> Done
//! ```

use crate::head::is_token_byte;
use crate::refusal::Refusal;

/// A chunk size of 15 hexadecimal digits fits in 60 bits; leading zeros count.
const SIZE_DIGITS_MAX: u8 = 15;
/// Bytes of all chunk extensions of one body. Nobody sends any; they are dropped.
const EXTENSION_BYTES_MAX: u16 = 1024;
/// Bytes of the whole trailer section.
const TRAILER_BYTES_MAX: u16 = 8 * 1024;
/// Fields of the trailer section.
const TRAILER_FIELDS_MAX: u8 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8 },
    Extension { quoted: bool },
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// A chunked body on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Size of the present chunk, then what is left of it.
    left: u64,
    extension_bytes: u16,
    trailer_bytes: u16,
    trailer_fields: u8,
}

impl Chunked {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Size { digits: 0 },
            left: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailer_fields: 0,
        }
    }

    /// Checks the next bytes. Returns how many belong to the body and are good, and whether the
    /// body ended with them; or how many were good before the first that is not.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), (usize, Refusal)> {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == State::Data {
                let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.left -= taken as u64;
                at += taken;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(bytes[at]).map_err(|refusal| (at, refusal))?;
            at += 1;
            if self.state == State::Done {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match self.state {
            State::Size { digits } => self.size(byte, digits),
            State::Extension { quoted } => self.extension(byte, quoted),
            State::SizeLf => match (byte, self.left) {
                (b'\n', 0) => Ok(State::TrailerStart),
                (b'\n', _) => Ok(State::Data),
                _ => Err(Refusal::ChunkSize),
            },
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Size { digits: 0 }),
            State::DataCr | State::DataLf => Err(Refusal::ChunkEnd),
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::EndLf => self.trailer(byte),
            State::Data | State::Done => Ok(self.state),
        }
    }

    fn size(&mut self, byte: u8, digits: u8) -> Result<State, Refusal> {
        if let Some(value) = (byte as char).to_digit(16) {
            if digits == SIZE_DIGITS_MAX {
                return Err(Refusal::ChunkSize);
            }
            let before = if digits == 0 { 0 } else { self.left };
            self.left = before * 16 + u64::from(value);
            return Ok(State::Size { digits: digits + 1 });
        }
        match byte {
            b'\r' if digits > 0 => Ok(State::SizeLf),
            b';' if digits > 0 => Ok(State::Extension { quoted: false }),
            _ => Err(Refusal::ChunkSize),
        }
    }

    /// Extensions carry nothing we use. A quoted string must end before the line does: a parser
    /// that looked for its end beyond would see other chunks than one that does not.
    fn extension(&mut self, byte: u8, quoted: bool) -> Result<State, Refusal> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(Refusal::ChunkExtension);
        }
        match byte {
            b'\r' if !quoted => Ok(State::SizeLf),
            b'"' => Ok(State::Extension { quoted: !quoted }),
            b'\\' => Err(Refusal::ChunkExtension),
            b'\t' | b' '..=b'~' => Ok(State::Extension { quoted }),
            _ => Err(Refusal::ChunkExtension),
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Refusal::Trailer);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, byte) if is_token_byte(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > TRAILER_FIELDS_MAX {
                    return Err(Refusal::Trailer);
                }
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, byte) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(Refusal::Trailer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chunked;
    use crate::refusal::Refusal;

    fn check(bytes: &[u8]) -> Result<(usize, bool), (usize, Refusal)> {
        Chunked::new().advance(bytes)
    }

    /// Good bodies end exactly where they end, whatever follows.
    #[test]
    fn good_bodies_end_where_they_end() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\nhello\r\n0\r\n\r\n",
            b"005;a=b;c=\"d;e\"\r\nhello\r\nA\r\n0123456789\r\n000\r\nx-y: z\r\nEtag:\r\n\r\n",
            b"a;\r\n0123456789\r\n0;last\r\n\r\n",
        ] {
            assert_eq!(check(body), Ok((body.len(), true)), "{}", body.escape_ascii());
            let mut followed = body.to_vec();
            followed.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(check(&followed), Ok((body.len(), true)));
            assert_eq!(check(&body[..body.len() - 1]), Ok((body.len() - 1, false)));
        }
    }

    /// Threat row 5: every form that some parser reads otherwise is refused.
    #[test]
    fn ambiguous_bodies_are_refused() {
        use Refusal::{ChunkEnd, ChunkExtension, ChunkSize, Trailer};
        for (body, refusal) in [
            (&b"0x5\r\nhello\r\n0\r\n\r\n"[..], ChunkSize),
            (b"+5\r\nhello\r\n", ChunkSize),
            (b"-5\r\nhello\r\n", ChunkSize),
            (b" 5\r\nhello\r\n", ChunkSize),
            (b"5 \r\nhello\r\n", ChunkSize),
            (b"5 ;a\r\nhello\r\n", ChunkSize),
            (b"5\nhello\r\n", ChunkSize),
            (b"5\r\r\nhello\r\n", ChunkSize),
            (b"5\rhello\r\n", ChunkSize),
            (b"\r\n", ChunkSize),
            (b";a\r\n", ChunkSize),
            (b"g\r\n", ChunkSize),
            (b"00000000000000005\r\nhello\r\n", ChunkSize),
            (b"FFFFFFFFFFFFFFED\r\nhello", ChunkSize),
            (b"5;a\nhello\r\n", ChunkExtension),
            (b"5;a=\"\r\nhello\"\r\n", ChunkExtension),
            (b"5;a=\"\\\"\r\nhello\r\n", ChunkExtension),
            (b"5;a\0\r\nhello\r\n", ChunkExtension),
            (b"5;a\x80\r\nhello\r\n", ChunkExtension),
            (b"5\r\nhello!\r\n", ChunkEnd),
            (b"5\r\nhello\n0\r\n\r\n", ChunkEnd),
            (b"5\r\nhello\r0\r\n\r\n", ChunkEnd),
            (b"5\r\nhello0\r\n\r\n", ChunkEnd),
            (b"0\r\n\n", Trailer),
            (b"0\r\na: b\n\r\n", Trailer),
            (b"0\r\na : b\r\n\r\n", Trailer),
            (b"0\r\n: b\r\n\r\n", Trailer),
            (b"0\r\n a: b\r\n\r\n", Trailer),
            (b"0\r\na: b\r\n c\r\n\r\n", Trailer),
            (b"0\r\na: b\0\r\n\r\n", Trailer),
            (b"0\r\na\r\n\r\n", Trailer),
            (b"0\r\n\rx", Trailer),
            (b"0\r\nGET / HTTP/1.1\r\n", Trailer),
        ] {
            let verdict = check(body);
            assert!(
                matches!(verdict, Err((_, found)) if found == refusal),
                "{}: {verdict:?}",
                body.escape_ascii()
            );
        }
    }

    /// Extensions and trailers cannot be used to make us read without end.
    #[test]
    fn extensions_and_trailers_are_bounded() {
        let mut body = b"5;".to_vec();
        body.resize(2000, b'a');
        assert!(matches!(check(&body), Err((_, Refusal::ChunkExtension))));
        let mut body = b"0\r\nx:".to_vec();
        body.resize(9000, b'a');
        assert!(matches!(check(&body), Err((_, Refusal::Trailer))));
        let mut body = b"0\r\n".to_vec();
        for _ in 0..40 {
            body.extend_from_slice(b"a:b\r\n");
        }
        assert!(matches!(check(&body), Err((_, Refusal::Trailer))));
    }
}
