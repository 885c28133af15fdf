//! What the attributes of an `include` say.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::expression::{Budget, Segment, interpolation};
use crate::faults::FaultKind;
use crate::node::{Change, HeaderTag, IncludeTag, Node};
use crate::piece::{Assembly, HeaderChange, Include, Method, OnError};
use crate::tag::Tag;

/// Reads an `include`. What makes it another request than was meant is refused; what only tunes it
/// is left out, and counted.
pub(crate) fn include(
    tag: &Tag<'_>,
    mut fixed: Include,
    budget: &mut Budget,
    fault: &mut impl FnMut(FaultKind),
) -> Result<Node, FaultKind> {
    let src = tag.needs("src")?;
    let (mut alt, mut entity, mut headers) = (None, None, Vec::new());
    for (name, value) in tag.attributes() {
        let known = match name {
            "src" => true,
            "alt" => {
                alt = Some(value).filter(|value| !value.is_empty());
                alt.is_some()
            }
            "onerror" => {
                fixed.on_error = OnError::Continue;
                value == "continue" || {
                    fixed.on_error = OnError::Fail;
                    false
                }
            }
            "maxwait" => put(&mut fixed.max_wait, value.parse().ok().map(Duration::from_millis)),
            "ttl" => put(&mut fixed.ttl, duration(value)),
            "no-store" => {
                fixed.no_store = matches!(value, "on" | "yes" | "true");
                fixed.no_store || matches!(value, "off" | "no" | "false")
            }
            "dca" => put(&mut fixed.assembly, assembly(value)),
            "method" => {
                fixed.method = method(value).ok_or(FaultKind::BadAttribute)?;
                true
            }
            "entity" => {
                entity = Some(value);
                true
            }
            "appendheader" | "appendheaders" => header(Change::Append, value, &mut headers, fault),
            "setheader" | "setheaders" => header(Change::Set, value, &mut headers, fault),
            "removeheader" | "removeheaders" => {
                for name in value.split(',') {
                    header(Change::Remove, name, &mut headers, fault);
                }
                true
            }
            _ => {
                fault(FaultKind::UnknownAttribute);
                true
            }
        };
        if !known {
            fault(FaultKind::BadAttribute);
        }
    }
    let mut read =
        |text: &str| interpolation(&Bytes::copy_from_slice(text.as_bytes()), budget, fault);
    let (src, alt, entity) = (read(src), alt.map(&mut read), entity.map(&mut read));
    let headers = headers
        .into_iter()
        .map(|(change, name, value)| HeaderTag { change, name, value: read(value) })
        .collect();
    Ok(IncludeTag { fixed, src, alt, headers, entity }.into_node())
}

impl IncludeTag {
    /// What is the same for everybody is put together now, once.
    fn into_node(mut self) -> Node {
        let segments = [&self.src].into_iter().chain(&self.alt).chain(&self.entity);
        let mut segments = segments.chain(self.headers.iter().map(|header| &header.value));
        let is_plain = segments.all(|segments| plain(segments).is_some());
        drop(segments);
        if !is_plain {
            return Node::Include(self.into());
        }
        let text = |segments: &Vec<Segment>| plain(segments).unwrap_or_default();
        self.fixed.src = plain_string(&self.src);
        self.fixed.alt = self.alt.as_ref().map(|alt| plain_string(alt));
        self.fixed.entity = self.entity.as_ref().map(text);
        let changes = self.headers.iter().map(|header| header.change(text(&header.value)));
        self.fixed.headers = changes.collect();
        Node::Fixed(Arc::new(self.fixed))
    }
}

impl HeaderTag {
    pub(crate) fn change(&self, value: Bytes) -> HeaderChange {
        let name = self.name.clone();
        match self.change {
            Change::Append => HeaderChange::Append(name, value),
            Change::Set => HeaderChange::Set(name, value),
            Change::Remove => HeaderChange::Remove(name),
        }
    }
}

/// Whether this may be the value of a header.
pub(crate) fn is_header_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// The text of segments without references.
fn plain(segments: &[Segment]) -> Option<Bytes> {
    match segments {
        [] => Some(Bytes::new()),
        [Segment::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

fn plain_string(segments: &[Segment]) -> String {
    String::from_utf8_lossy(&plain(segments).unwrap_or_default()).into_owned()
}

fn put<T>(to: &mut Option<T>, value: Option<T>) -> bool {
    *to = value;
    to.is_some()
}

/// A number, and `s`, `m`, `h` or `d`; without one, seconds.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

fn method(text: &str) -> Option<Method> {
    match text {
        "GET" | "get" => Some(Method::Get),
        "POST" | "post" => Some(Method::Post),
        _ => None,
    }
}

fn assembly(text: &str) -> Option<Assembly> {
    match text {
        "none" => Some(Assembly::None),
        "esi" => Some(Assembly::Esi),
        _ => None,
    }
}

/// Reads `Name: value`, or a name alone where it is to be removed.
fn header<'t>(
    change: Change,
    text: &'t str,
    headers: &mut Vec<(Change, String, &'t str)>,
    fault: &mut impl FnMut(FaultKind),
) -> bool {
    let (name, value) = match change {
        Change::Remove => (text, ""),
        Change::Append | Change::Set => match text.split_once(':') {
            Some((name, value)) => (name, value.trim()),
            None => return false,
        },
    };
    let name = name.trim().to_ascii_lowercase();
    let is_token = !name.is_empty() && name.len() <= 256 && name.bytes().all(is_token_byte);
    let may_change = is_token && !KEPT.contains(&&*name) && !name.starts_with("proxy-");
    if may_change && is_header_value(value.as_bytes()) {
        headers.push((change, name, value));
    } else {
        fault(FaultKind::BadHeader);
    }
    true
}

/// Those that frame a message, name a connection or say whom it is for.
const KEPT: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "cdn-loop",
];

/// RFC 9110 5.6.2
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
