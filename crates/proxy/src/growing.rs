//! A range of a body that still grows, and of which nobody knows how long it will be: the parts of
//! low-latency video that are ranges of one segment. The answer waits until what was asked for is
//! there, and is exact then; without it the whole would be sent, which is allowed (RFC 9110 14.2)
//! and which players do not expect. Who asks for all that will come by a last byte beyond all
//! numbers (RFC 8673) gets it as it comes.

use crate::body::Source;
use crate::deliver;
use crate::ledger::Ledger;
use crate::made::Sheet;
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::{self, Served, What};
use crate::rescue::Failure;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use selvedge_net::RequestBody;
use selvedge_policy::range;
use selvedge_store::{FillReader, Head};
use std::rc::Rc;
use std::sync::Arc;

/// As much of a range is held back at most. A longer one is answered with the whole.
const HELD_BYTES_MAX: u64 = 16 << 20;
/// From here on a last byte means all that will come (RFC 8673 2): no number in JSON is larger.
const VERY_LARGE: u64 = (1 << 53) - 1;

/// The one range that a request for a growing body is for.
struct Wanted {
    first: u64,
    last: Option<u64>,
}

impl Wanted {
    fn of(ask: &Ask, head: &Head) -> Option<Self> {
        let is_growing = head.length.is_none() && head.derived.is_none();
        if !ask.carries.range
            || ask.carries.conditions
            || !is_growing
            || ask.method != Method::GET
            || head.status != StatusCode::OK
            || !range::if_range(&ask.headers, &head.headers)
        {
            return None;
        }
        let field = ask.headers.get(header::RANGE)?.to_str().ok()?;
        let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().ok()).flatten()
        };
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        let first = number(first)?;
        // All of it needs no waiting: the whole says the same.
        let is_part = last.map_or(first > 0, |last| last >= first);
        is_part.then_some(Self { first, last })
    }
}

/// What came of waiting.
enum Came {
    /// The bytes that were asked for.
    Range(Bytes),
    /// The body ended before them: this is what there is, of so many bytes.
    End(Bytes, u64),
    /// There are more than are held.
    TooMuch,
    Broken(&'static str),
}

/// Waits for the range that was asked for, if the body that was found still grows.
pub(crate) async fn settle(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    served: Served,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    let trail = served.trail;
    let (reader, head, wanted) = match served.what {
        What::Fill(reader, head) => match Wanted::of(ask, &head) {
            Some(wanted) => (reader, head, wanted),
            None => return Ok(Served { what: What::Fill(reader, head), trail }),
        },
        what => return Ok(Served { what, trail }),
    };
    let mut sheet = sheet_of(core, ask, &head);
    let first = wanted.first;
    if let Some(last @ VERY_LARGE..) = wanted.last {
        place(&mut sheet.headers, &format!("bytes {first}-{last}/*"));
        sheet.source = Source::fill(reader, first, None);
        return Ok(Served { what: What::Page(Box::new(sheet)), trail });
    }
    let bytes = match gather(reader, &wanted).await {
        Came::Range(bytes) => {
            let last = first + bytes.len() as u64 - 1;
            place(&mut sheet.headers, &format!("bytes {first}-{last}/*"));
            bytes
        }
        Came::End(bytes, length) if bytes.is_empty() => {
            sheet.status = StatusCode::RANGE_NOT_SATISFIABLE;
            sheet.headers.remove(header::CONTENT_TYPE);
            place(&mut sheet.headers, &format!("bytes */{length}"));
            bytes
        }
        Came::End(bytes, length) => {
            let last = first + bytes.len() as u64 - 1;
            place(&mut sheet.headers, &format!("bytes {first}-{last}/{length}"));
            bytes
        }
        // Its readers begin at the first byte again.
        Came::TooMuch => {
            let (body, now) = (RequestBody::empty(), core.node.now());
            return request::answer(core, ask, body, now, ledger).await;
        }
        Came::Broken(word) => return Err(Failure::Fill(word)),
    };
    sheet.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    sheet.source = Source::Whole(bytes);
    Ok(Served { what: What::Page(Box::new(sheet)), trail })
}

/// The head of a part of it.
fn sheet_of(core: &Core, ask: &Ask, head: &Arc<Head>) -> Sheet {
    let now = core.node.now();
    let mut headers = HeaderMap::clone(&head.headers);
    deliver::add_shared(ask, head, head.meta.age_s(now), &mut headers);
    ask.site.counters.here().ranges.inc();
    Sheet {
        status: StatusCode::PARTIAL_CONTENT,
        headers,
        source: Source::Empty,
        ttl_s: Some(head.meta.ttl_s(now)),
    }
}

fn place(headers: &mut HeaderMap, range: &str) {
    if let Ok(value) = HeaderValue::try_from(range) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

async fn gather(mut reader: FillReader, wanted: &Wanted) -> Came {
    let mut held = BytesMut::new();
    let mut seen = 0;
    let end = wanted.last.map(|last| last.saturating_add(1));
    while let Some(chunk) = reader.chunk().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Came::Broken(error.word()),
        };
        let begins = seen;
        seen += chunk.len() as u64;
        let from = wanted.first.clamp(begins, seen) - begins;
        let to = end.unwrap_or(u64::MAX).clamp(begins, seen) - begins;
        held.extend_from_slice(&chunk[from as usize..to.max(from) as usize]);
        if held.len() as u64 > HELD_BYTES_MAX {
            return Came::TooMuch;
        }
        if end.is_some_and(|end| seen >= end) {
            return Came::Range(held.freeze());
        }
    }
    Came::End(held.freeze(), seen)
}
