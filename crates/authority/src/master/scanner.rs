//! Takes the text of a master file apart into entries, and those into tokens (RFC 1035 5.1).
//!
//! An entry is a line, or more where `(` and `)` are around the line ends.

use crate::rdata::{Misread, Place, Token};

/// Bytes of a token at most: base 64 or hexadecimal digits of the longest data, and some.
const TOKEN_BYTES_MAX: usize = 135_000;
/// Tokens of an entry at most: as many strings as fit into a record, and some.
const TOKENS_MAX: usize = 70_000;
/// Parentheses in parentheses at most.
const NESTING_MAX: usize = 8;

/// What stands in one line, as far as it is not comment.
#[derive(Debug)]
pub(crate) struct Entry<'file> {
    /// At least one.
    pub(crate) tokens: Vec<Token<'file>>,
    /// The line begins with a space: it has no owner of its own.
    pub(crate) begins_blank: bool,
    /// Behind the last token.
    pub(crate) end: Place,
}

/// Where in a text the scanner is.
#[derive(Debug)]
pub(crate) struct Scanner<'file> {
    text: &'file str,
    at: usize,
    place: Place,
}

impl<'file> Scanner<'file> {
    pub(crate) fn new(text: &'file str) -> Self {
        Self { text, at: 0, place: Place { line: 1, column: 1 } }
    }

    /// The next entry; `None`: there is none. After a fault it goes on in the next line.
    pub(crate) fn next_entry(&mut self) -> Option<Result<Entry<'file>, Misread>> {
        let mut tokens = Vec::new();
        let mut begins_blank = matches!(self.peek(), Some(b' ' | b'\t'));
        let mut open: Vec<Place> = Vec::new();
        loop {
            match self.peek() {
                None => break,
                Some(b'\n') => {
                    if open.is_empty() && !tokens.is_empty() {
                        break;
                    }
                    self.advance(1);
                    if open.is_empty() {
                        begins_blank = matches!(self.peek(), Some(b' ' | b'\t'));
                    }
                }
                Some(b' ' | b'\t' | b'\r') => self.advance(1),
                Some(b';') => self.skip_line(),
                Some(b'(') if open.len() < NESTING_MAX => {
                    open.push(self.place);
                    self.advance(1);
                }
                Some(b'(') => return Some(Err(self.recover("delete this: ( stands in many"))),
                Some(b')') if open.pop().is_some() => self.advance(1),
                Some(b')') => return Some(Err(self.recover("delete this: no ( is before it"))),
                Some(_) if tokens.len() == TOKENS_MAX => {
                    return Some(Err(self.recover("divide the record: it has too many parts")));
                }
                Some(_) => match self.token() {
                    Ok(token) => tokens.push(token),
                    Err(fault) => return Some(Err(fault)),
                },
            }
        }
        if let Some(place) = open.first() {
            return Some(Err(Misread { place: *place, what: "add the ) of this".to_owned() }));
        }
        let end = self.place;
        if tokens.is_empty() { None } else { Some(Ok(Entry { tokens, begins_blank, end })) }
    }

    /// The token that begins here.
    fn token(&mut self) -> Result<Token<'file>, Misread> {
        let place = self.place;
        let is_quoted = self.peek() == Some(b'"');
        if is_quoted {
            self.advance(1);
        }
        let from = self.at;
        let mut in_quotes = is_quoted;
        loop {
            match self.peek() {
                Some(b'"') if is_quoted => break,
                // `key="value"` is one token (RFC 9460 2.1).
                Some(b'"') if in_quotes || self.text[from..self.at].ends_with('=') => {
                    in_quotes = !in_quotes;
                    self.advance(1);
                    if !in_quotes {
                        break;
                    }
                }
                Some(b'"') => return Err(self.recover("write a space or \\ before this quote")),
                None | Some(b'\n') if in_quotes => {
                    return Err(Misread { place, what: "close this quote in its line".to_owned() });
                }
                Some(b'\t' | b' ') if in_quotes => self.advance(1),
                None | Some(b'\n' | b' ' | b'\t' | b'\r') => break,
                Some(b';' | b'(' | b')') if !in_quotes => break,
                Some(b'\\') => {
                    let escaped = self.text.as_bytes().get(self.at + 1).copied();
                    let is_whole =
                        escaped.is_some_and(|byte| byte.is_ascii_graphic() || byte == b' ');
                    if !is_whole {
                        return Err(self.recover("write a character or three digits after \\"));
                    }
                    self.advance(2);
                }
                Some(0..=0x1f | 0x7f) => {
                    return Err(self.recover("write this control character as \\DDD"));
                }
                Some(_) => self.advance(1),
            }
            if self.at - from > TOKEN_BYTES_MAX {
                return Err(self.recover("shorten this: it has too many bytes"));
            }
        }
        let text = &self.text[from..self.at];
        if is_quoted {
            self.advance(1);
        }
        Ok(Token { text, is_quoted, place })
    }

    /// A fault here; what is left of the line is not looked at.
    fn recover(&mut self, what: &str) -> Misread {
        let place = self.place;
        self.skip_line();
        Misread { place, what: what.to_owned() }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.advance(1);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes on by bytes; of a character of several bytes, the first counts.
    fn advance(&mut self, bytes: usize) {
        for byte in &self.text.as_bytes()[self.at..self.at + bytes] {
            match byte {
                b'\n' => self.place = Place { line: self.place.line + 1, column: 1 },
                0x80..=0xbf => {}
                _ => self.place.column += 1,
            }
        }
        self.at += bytes;
    }
}
