//! Just enough of Rust's shape for the rules: code without comments and text, functions with
//! their lengths, and where the inline tests begin.

/// The code of a file with comments, strings and character literals blanked out; line breaks and
/// byte positions stay.
pub(super) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !is_word_before(bytes, at) => raw_string_end(bytes, at),
            b'b' if bytes[at..].starts_with(b"br") && !is_word_before(bytes, at) => {
                raw_string_end(bytes, at + 1)
            }
            b'\'' => character_end(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Only whole literals and comments were replaced, by ASCII: this is still UTF-8.
    String::from_utf8_lossy(&out).into_owned()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"..."` or `r#"..."#` that begins at `start`, or `start` if none does.
fn raw_string_end(bytes: &[u8], start: usize) -> usize {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(start + 1 + hashes) != Some(&b'"') {
        return start;
    }
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    let body = start + 2 + hashes;
    let found = bytes[body..].windows(closing.len()).position(|window| window == closing);
    found.map_or(bytes.len(), |length| body + length + closing.len())
}

/// The end of a character literal at `start`, or `start` if it is a lifetime.
fn character_end(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 1..];
    match rest.first() {
        Some(b'\\') => {
            let closing = rest.iter().skip(2).position(|byte| *byte == b'\'');
            closing.map_or(start, |length| start + 1 + 2 + length + 1)
        }
        Some(first) => {
            let length = match first {
                0..=0x7f => 1,
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            if rest.get(length) == Some(&b'\'') { start + 2 + length } else { start }
        }
        None => start,
    }
}

fn is_word_before(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of its `fn`, counted from 1.
    pub(super) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(super) lines: usize,
}

/// The functions of masked code.
pub(super) fn functions(masked: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in masked.match_indices("fn ") {
        let bytes = masked.as_bytes();
        if is_word_before(bytes, at) {
            continue;
        }
        let rest = &masked[at + 3..];
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let name: String = rest.chars().take_while(|c| word(*c)).collect();
        if name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(bytes, at) {
            let line = 1 + count_lines(&bytes[..at]);
            found.push(Function { name, line, lines: 1 + count_lines(&bytes[at..end]) });
        }
    }
    found
}

/// The closing brace of the function whose `fn` is at `start`; none when it has no body.
fn body_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut round, mut curly) = (0_i32, 0_i32);
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b';' if curly == 0 && round == 0 => return None,
            b'{' => curly += 1,
            b'}' if curly <= 1 => return (curly == 1).then_some(at),
            b'}' => curly -= 1,
            _ => {}
        }
    }
    None
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The line from which a file holds only tests; beyond its end if it has none inline.
pub(super) fn tests_begin(masked: &str) -> usize {
    let mut lines = masked.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let next_is_module = lines.peek().is_some_and(|(_, next)| {
            next.trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .starts_with("mod ")
                && next.ends_with('{')
        });
        if line.starts_with("#[cfg(test)]") && next_is_module {
            return index + 1;
        }
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lifetimes_are_not() {
        let code = "let a = \"x // \\\" y\"; // z\nlet b = 'c'; let d: &'a str; /* /* */ e */ f";
        let masked = mask(code);
        assert_eq!(masked.len(), code.len());
        for gone in ["x", "z", "'c'", "e */"] {
            assert!(!masked.contains(gone), "{gone} in {masked}");
        }
        assert!(masked.contains("&'a str") && masked.ends_with(" f"), "{masked}");
    }

    #[test]
    fn raw_strings_and_odd_characters_are_blanked() {
        let code = "a(r#\"{ \"q\" }\"#, br\"}\", '\\'', '\"', b'{', 'ä', \"é\"); fn after() {}";
        let masked = mask(code);
        assert!(!masked.contains("{ ") && !masked.contains('ä'), "{masked}");
        assert_eq!(functions(&masked).len(), 1);
    }

    #[test]
    fn functions_have_their_lengths() {
        let code = "trait T { fn no_body(&self, a: [u8; 3]); }\n\
            fn one_line() {}\n\
            fn three_lines(\n    a: u8,\n) {}\n\
            pub async fn nested() {\n    if a { b } else { c }\n    fn inner() {\n    }\n}\n\
            type F = fn (u8);\n";
        let found: Vec<_> = functions(&mask(code))
            .into_iter()
            .map(|function| (function.name, function.line, function.lines))
            .collect();
        let expected =
            [("one_line", 2, 1), ("three_lines", 3, 3), ("nested", 6, 5), ("inner", 8, 2)];
        let expected = expected.map(|(name, line, lines)| (name.to_owned(), line, lines));
        assert_eq!(found, expected);
    }

    #[test]
    fn inline_tests_begin_at_their_attribute() {
        assert_eq!(tests_begin("fn a() {}\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(tests_begin("#[cfg(test)]\nuse a;\nfn b() {}\n"), usize::MAX);
    }
}
