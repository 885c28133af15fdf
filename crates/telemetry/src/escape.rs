//! Making any bytes safe inside one line of a log.
//!
//! Values come from clients: a line break, a quote or a terminal escape in one must not be able to
//! end the line, forge a field or reach an operator's terminal.

/// Appends `value` as the inside of a JSON string (RFC 8259 7). Invalid UTF-8 becomes U+FFFD.
/// Controls, DEL and the C1 controls are always written as `\u00XX`.
pub(crate) fn json(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|byte| is_plain(*byte)) {
        return out.extend_from_slice(value);
    }
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            json_char(out, c);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// ASCII that stands for itself in a JSON string.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

fn json_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        // Also what some readers of lines take for an end of line.
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
            out.extend_from_slice(b"\\u");
            let code = c as u32;
            for shift in [12, 8, 4, 0] {
                out.push(HEX[(code >> shift & 0xf) as usize]);
            }
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `value` as the inside of a quoted field of the combined format: quotes, backslashes
/// and everything but printable ASCII as `\xXX`.
pub(crate) fn combined(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        if is_plain(*byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(b"\\x");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 0xf)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(value: &[u8]) -> Vec<u8> {
        let mut out = vec![b'"'];
        json(&mut out, value);
        out.push(b'"');
        out
    }

    /// What comes out must be read back by serde_json as what went in.
    fn assert_reads_back(value: &[u8]) {
        let line = quoted(value);
        let read: String = serde_json::from_slice(&line).unwrap();
        assert_eq!(read, String::from_utf8_lossy(value));
        let text = std::str::from_utf8(&line).unwrap();
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }

    #[test]
    fn every_character_reads_back() {
        for c in '\0'..=char::MAX {
            if (c as u32) < 0x3000 || (c as u32).is_multiple_of(97) {
                assert_reads_back(c.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn plain_text_is_written_as_serde_json_writes_it() {
        let text = "GET /päge?a=\"1\"\\2 \u{1f600}\n\r\t";
        assert_eq!(quoted(text.as_bytes()), serde_json::to_vec(text).unwrap());
    }

    #[test]
    fn line_breaks_and_terminal_escapes_do_not_get_through() {
        let mut out = Vec::new();
        json(&mut out, b"a\r\n{\"forged\":1}\x1b[2J\xc2\x9b31m\x7f");
        let expected = r#"a\r\n{\"forged\":1}\u001b[2J\u009b31m\u007f"#;
        assert_eq!(out, expected.as_bytes());
    }

    #[test]
    fn the_combined_form_is_printable_ascii_only() {
        let mut out = Vec::new();
        combined(&mut out, b"a\"b\\c\r\n\x1b\xe9");
        assert_eq!(out, br"a\x22b\x5cc\x0d\x0a\x1b\xe9");
    }

    proptest! {
        #[test]
        fn any_bytes_read_back(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            assert_reads_back(&value);
        }

        #[test]
        fn any_text_reads_back(value in "\\PC{0,32}") {
            assert_reads_back(value.as_bytes());
        }
    }
}
