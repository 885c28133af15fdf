//! A word of a master file, and what its escapes stand for (RFC 1035 5.1).

/// Where something is in a file, both from 1 on; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// What stands between spaces, or between quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'file> {
    /// Without the quotes around it, escapes as they are in the file.
    pub(crate) text: &'file str,
    pub(crate) is_quoted: bool,
    pub(crate) place: Place,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misread {
    pub(crate) place: Place,
    /// What to do about it.
    pub(crate) what: String,
}

/// Characters of a token that a fault shows at most.
const SHOWN_MAX: usize = 40;

impl Token<'_> {
    /// What the escapes stand for; `None`: a backslash stands before nothing or a number over 255,
    /// or a quote is inside.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        unescape(self.text)
    }

    /// A fault at this place: what to write instead.
    pub(crate) fn wanted(&self, what: &str) -> Misread {
        let shown: String = self.text.chars().take(SHOWN_MAX).collect();
        self.fault(format!("write {what} instead of \"{shown}\""))
    }

    /// A fault at this place.
    pub(crate) fn fault(&self, what: impl Into<String>) -> Misread {
        Misread { place: self.place, what: what.into() }
    }
}

/// What a text with escapes stands for.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => return None,
            b'\\' => match rest.next()? {
                first @ b'0'..=b'9' => {
                    let mut number = u16::from(first - b'0');
                    for _ in 0..2 {
                        let digit = rest.next().filter(u8::is_ascii_digit)?;
                        number = number * 10 + u16::from(digit - b'0');
                    }
                    bytes.push(u8::try_from(number).ok()?);
                }
                other => bytes.push(other),
            },
            other => bytes.push(other),
        }
    }
    Some(bytes)
}
