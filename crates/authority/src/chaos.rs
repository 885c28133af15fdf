//! What a server says about itself in class CH (RFC 4892): only what it was told to.

use crate::kind;
use crate::query::NameBuffer;
use crate::settings::{ServerText, Settings};
use crate::wire::HEADER_BYTES;
use crate::writer::{Full, Owner, Records, Section, Writer};

/// The text that a name stands for; `None`: nothing is said.
pub(crate) fn text<'a>(settings: &'a Settings, asked: &[u8], kind: u16) -> Option<&'a ServerText> {
    if kind != kind::TXT {
        return None;
    }
    match asked {
        b"\x07version\x04bind\x00" | b"\x07version\x06server\x00" => settings.version.as_ref(),
        b"\x02id\x06server\x00" | b"\x08hostname\x04bind\x00" => settings.identity.as_ref(),
        _ => None,
    }
}

/// Writes the text; nobody is to remember it.
pub(crate) fn put(
    writer: &mut Writer<'_>,
    asked: &NameBuffer,
    text: &ServerText,
) -> Result<(), Full> {
    let text = text.as_bytes();
    let mut data = [0; 256];
    // A text has no more than 128 bytes.
    data[0] = text.len() as u8;
    data[1..=text.len()].copy_from_slice(text);
    let owner = Owner { name: asked.as_wire(), at: Some(HEADER_BYTES as u16) };
    writer.put(Section::Answer, owner, &Records::one(kind::TXT, 0, &data[..=text.len()]))
}
