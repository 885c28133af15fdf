//! Answers whose bytes were made here for one client: pages that were assembled, manifests that
//! were rewritten. Which coding they get, the tag over their bytes, and conditions against it.

use crate::body::{Piece, Source};
use crate::encode::Encoder;
use crate::normalize::Ask;
use crate::rescue::Failure;
use bytes::Bytes;
use foldhash::fast::FixedState;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use selvedge_policy::validate::{self, Precondition};
use selvedge_policy::{Coding, ResponseDirectives};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::io;

/// An answer that was made here.
pub(crate) struct Sheet {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) source: Source,
    /// Lifetime left of what it was made from.
    pub(crate) ttl_s: Option<i64>,
}

/// All the bytes of an answer that was made here.
pub(crate) struct Made {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) pieces: VecDeque<Bytes>,
    /// Its bytes are to have a tag.
    pub(crate) has_tag: bool,
    pub(crate) ttl_s: Option<i64>,
}

/// Takes away what was true of the bytes that the origin sent, and is not of those made here.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in [
        "content-length",
        "content-encoding",
        "accept-ranges",
        "content-md5",
        "content-digest",
        "repr-digest",
        "digest",
        "etag",
        "last-modified",
    ] {
        headers.remove(name);
    }
}

/// The answer in the form in which this client gets it.
pub(crate) async fn sheet(ask: &Ask, made: Made) -> Result<Sheet, Failure> {
    let Made { status, mut headers, mut pieces, has_tag, ttl_s } = made;
    let coding = coding(ask, &headers).filter(|_| is_worth_encoding(ask, &headers, &pieces));
    if has_tag {
        headers.insert(header::ETAG, entity_tag(&pieces, coding));
    }
    if let Some(coding) = coding {
        set_coding(&mut headers, coding);
        pieces = encode_all(pieces, coding).await.ok_or(Failure::Encode)?;
    }
    Ok(all_of(ask, status, headers, pieces, ttl_s))
}

/// The answer with all of its bytes.
fn all_of(
    ask: &Ask,
    status: StatusCode,
    mut headers: HeaderMap,
    pieces: VecDeque<Bytes>,
    ttl_s: Option<i64>,
) -> Sheet {
    // Its tag is all that is known of the page as it is now.
    let mut validators = HeaderMap::new();
    if let Some(etag) = headers.get(header::ETAG) {
        validators.insert(header::ETAG, etag.clone());
    }
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    // What changes something was for its origin to refuse, and it did not (RFC 9110 13.2.1).
    let precondition = match ask.method {
        Method::GET | Method::HEAD => {
            validate::precondition(&ask.method, &ask.headers, &validators, status)
        }
        _ => Precondition::Proceed,
    };
    let (status, headers, source) = match precondition {
        Precondition::NotModified => {
            ask.site.counters.here().not_modified.inc();
            let headers = validate::not_modified_headers(&headers);
            (StatusCode::NOT_MODIFIED, headers, Source::Empty)
        }
        Precondition::Failed => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            (StatusCode::PRECONDITION_FAILED, headers, Source::Empty)
        }
        Precondition::Proceed => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
            let source = match ask.method {
                Method::HEAD => Source::Empty,
                _ => Source::parts(pieces.into_iter().map(Piece::Text).collect()),
            };
            (status, headers, source)
        }
    };
    Sheet { status, headers, source, ttl_s }
}

/// Whether the page could have another coding for another client.
pub(crate) fn varies(ask: &Ask, headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    ask.site.compress.wants(content_type, None)
}

/// The coding in which this client gets the page. Unlike a stored copy it is made for one answer.
pub(crate) fn coding(ask: &Ask, headers: &HeaderMap) -> Option<Coding> {
    let may_change = !ResponseDirectives::parse(headers).no_transform;
    let mut codings = ask.site.compress.codings.iter().copied();
    let accepted = codings.find(|coding| ask.encodings.accepts(*coding));
    accepted.filter(|_| may_change && varies(ask, headers))
}

/// Whether a page whose length is known is one that the site has compressed.
fn is_worth_encoding(ask: &Ask, headers: &HeaderMap, pieces: &VecDeque<Bytes>) -> bool {
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    ask.site.compress.wants(content_type, Some(bytes as u64))
}

pub(crate) fn set_coding(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
}

/// A tag over all bytes of the page, the same wherever it is assembled. Weak for a page that goes
/// out encoded (RFC 9110 8.8.1).
fn entity_tag(pieces: &VecDeque<Bytes>, coding: Option<Coding>) -> HeaderValue {
    const BLOCK_BYTES: usize = 256;
    let mut hasher = FixedState::default().build_hasher();
    let (mut bytes, mut block) = (0, Vec::with_capacity(BLOCK_BYTES));
    // The hash of two pieces is not that of both in one: blocks are the same however they came.
    for piece in pieces {
        bytes += piece.len();
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK_BYTES - block.len()));
            block.extend_from_slice(now);
            rest = later;
            if block.len() == BLOCK_BYTES {
                hasher.write(&block);
                block.clear();
            }
        }
    }
    hasher.write(&block);
    let weak = if coding.is_some() { "W/" } else { "" };
    let tag = format!("{weak}\"made-{:016x}-{bytes:x}\"", hasher.finish());
    HeaderValue::try_from(tag).expect("hexadecimal digits are valid in a field")
}

/// All of a page in a coding; long ones are encoded where no connection waits for it.
/// So much is encoded at once; more would hold up others.
const AT_ONCE_BYTES: usize = 32 << 10;

async fn encode_all(pieces: VecDeque<Bytes>, coding: Coding) -> Option<VecDeque<Bytes>> {
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    let work = move || -> io::Result<VecDeque<Bytes>> {
        let mut encoder = Encoder::quick(coding)?;
        let mut out = Vec::new();
        for piece in &pieces {
            out.append(&mut encoder.push(piece)?);
        }
        out.append(&mut encoder.finish()?);
        Ok(VecDeque::from([Bytes::from(out)]))
    };
    if bytes <= AT_ONCE_BYTES {
        return work().ok();
    }
    tokio::task::spawn_blocking(work).await.ok()?.ok()
}
