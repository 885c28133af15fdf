//! The digest that a request announces for its body (RFC 9530). Only SHA-256 is looked at; bodies
//! that are pushed have no content coding, so both fields mean the same.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::problem::{Kind, Problem};
use crate::state::digest::Digest;

const FIELDS: [HeaderName; 2] =
    [HeaderName::from_static("content-digest"), HeaderName::from_static("repr-digest")];

/// The SHA-256 that the body must have, if one was announced.
pub(crate) fn expected(headers: &HeaderMap) -> Result<Option<Digest>, Problem> {
    let mut expected = None;
    for field in &FIELDS {
        let Some(found) = announced(headers, field)? else { continue };
        if expected.is_some_and(|known| known != found) {
            let detail = "two digests that differ were announced for one body";
            return Err(Problem::new(Kind::DigestMismatch, detail));
        }
        expected = Some(found);
    }
    Ok(expected)
}

fn announced(headers: &HeaderMap, field: &HeaderName) -> Result<Option<Digest>, Problem> {
    let lines: Vec<&[u8]> = headers.get_all(field).iter().map(|line| line.as_bytes()).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let malformed = || {
        let form = "is a dictionary of byte sequences: sha-256=:BASE64:";
        Problem::invalid(format!("{field} {form}"))
    };
    let lines = lines.join(&b", "[..]);
    let dictionary: Dictionary = Parser::new(&lines).parse().map_err(|_| malformed())?;
    match dictionary.get("sha-256") {
        None => Ok(None),
        Some(ListEntry::Item(item)) => match &item.bare_item {
            BareItem::ByteSequence(bytes) => {
                let bytes = bytes.as_slice().try_into().map_err(|_| malformed())?;
                Ok(Some(Digest(bytes)))
            }
            _ => Err(malformed()),
        },
        Some(ListEntry::InnerList(_)) => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const EMPTY: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

    fn read(lines: &[(&'static str, &str)]) -> Result<Option<Digest>, Kind> {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(*name, HeaderValue::try_from(*line).expect("a value"));
        }
        expected(&headers).map_err(|problem| problem.kind)
    }

    #[test]
    fn the_sha_256_is_found_among_others() {
        let empty = Some(Digest::of(b""));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("content-digest", EMPTY)]), Ok(empty));
        assert_eq!(read(&[("repr-digest", EMPTY), ("content-digest", EMPTY)]), Ok(empty));
        let other = "sha-512=:AAAA:";
        assert_eq!(read(&[("content-digest", other)]), Ok(None));
        assert_eq!(read(&[("content-digest", other), ("content-digest", EMPTY)]), Ok(empty));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let hex = "sha-256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for line in ["sha-256", "sha-256=:AAAA:", "sha-256=(:AAAA:)", "sha-256=:", ",", hex] {
            assert_eq!(read(&[("content-digest", line)]), Err(Kind::Invalid), "{line}");
        }
        let zeros = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
        let both = [("content-digest", EMPTY), ("repr-digest", zeros)];
        assert_eq!(read(&both), Err(Kind::DigestMismatch));
    }
}
