//! Manifests for one client: absolute addresses are led to the host that it asks, and its token is
//! put behind those that lead there. What is stored stays as the origin sent it.

use super::lifetimes::content_type;
use super::read::{is_vague, plain};
use super::streams::Address;
use crate::deliver;
use crate::made::{self, Made, Sheet};
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::{self, Served, What};
use crate::rescue::Failure;
use crate::{body::Source, ledger::Ledger};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use selvedge_config as config;
use selvedge_media::{Limits, Rewrite};
use selvedge_net::{ReadAhead, RequestBody};
use selvedge_store::FillReader;
use std::collections::VecDeque;
use std::rc::Rc;

/// What a site wants rewritten.
#[derive(Debug)]
pub(super) struct Rewriting {
    hosts: Vec<String>,
    tokens: bool,
}

impl Rewriting {
    pub(super) fn new(site: &config::Site) -> Option<Self> {
        let hosts: Vec<String> = site.media_rewrite.iter().map(ToString::to_string).collect();
        let tokens = site.media_tokens;
        (tokens || !hosts.is_empty()).then_some(Self { hosts, tokens })
    }

    /// Whether it comes to anything for a client.
    fn is_for(&self, ask: &Ask) -> bool {
        !self.hosts.is_empty() || ask.token.is_some()
    }
}

/// A manifest that was found.
struct Found {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
    ttl_s: Option<i64>,
}

/// Whether this answer is a manifest that is to be rewritten for whoever asks. Other nodes get it
/// as it is.
pub(crate) fn is_rewritten(core: &Core, ask: &Ask, served: &Served) -> bool {
    let Some(media) = &ask.site.media else { return false };
    let wanted = media.rewriting.as_ref().is_some_and(|it| it.is_for(ask));
    if !wanted || ask.arrival.from_node || !matches!(ask.method, Method::GET | Method::HEAD) {
        return false;
    }
    // What neither type nor name tells is known from when it was read.
    let was_read = || {
        let stream = core.node.streams.find(Address::of(ask));
        stream.is_some_and(|stream| stream.manifest(ask.plain_path_and_query()).is_some())
    };
    let is_manifest = |content_type| {
        let is_one = media.know(content_type, ask.path(), &[]).kind.is_manifest();
        is_one || is_vague(content_type) && was_read()
    };
    match (&served.what, served.shared_head()) {
        (What::Sliced(_) | What::Part(..), _) => false,
        (_, Some(head)) => {
            let line = head.headers.first("content-type");
            let line = line.and_then(|value| str::from_utf8(value).ok()).unwrap_or_default();
            head.status == StatusCode::OK && is_manifest(line)
        }
        (What::Passed(passing), None) => {
            passing.0.status() == StatusCode::OK && is_manifest(content_type(passing.0.headers()))
        }
        _ => false,
    }
}

/// Rewrites a manifest. One that cannot be read, or in which nothing is to be changed, stays as it
/// is.
pub(crate) async fn rewrite(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    mut served: Served,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    let limits = Limits::default();
    let most = limits.manifest_bytes_max;
    let now = core.node.now();
    let shared = |served: &Served, bytes: Vec<u8>| {
        let head = served.shared_head()?;
        let mut headers = HeaderMap::clone(&head.headers);
        headers.insert(header::AGE, HeaderValue::from(head.meta.age_s(now)));
        let (status, ttl_s) = (head.status, Some(head.meta.ttl_s(now)));
        Some(Found { status, headers, bytes: bytes.into(), ttl_s })
    };
    let trail = served.trail;
    let found = match &mut served.what {
        What::Object(object)
            if object.body.sliced().is_none() && object.body.len() <= most as u64 =>
        {
            let bytes = object.body.all().flatten().collect();
            shared(&served, bytes)
        }
        What::Fill(reader, _) => match gather(reader, most).await {
            Gathered::Whole(bytes) => shared(&served, bytes),
            // It was shown to nobody: the next reader begins at its first byte again.
            Gathered::More => {
                return request::answer(core, ask, RequestBody::empty(), now, ledger).await;
            }
            Gathered::Broken(word) => return Err(Failure::Fill(word)),
        },
        What::Passed(passing) => {
            let (head, body) = (passing.0.headers().clone(), passing.0.body_mut());
            match body.read_ahead(most as u64).await {
                ReadAhead::Whole => {
                    let bytes: Vec<u8> = body.ahead().flatten().copied().collect();
                    let (status, bytes) = (StatusCode::OK, bytes.into());
                    Some(Found { status, headers: head, bytes, ttl_s: None })
                }
                ReadAhead::Begun | ReadAhead::Broken => None,
            }
        }
        _ => None,
    };
    let Some(found) = found else { return Ok(served) };
    let was_read = matches!(served.what, What::Fill(..));
    let sheet = match rewritten(ask, &found, &limits) {
        Some(bytes) => made::sheet(ask, as_made(ask, found, bytes)).await?,
        None if was_read => as_it_is(ask, found),
        None => return Ok(served),
    };
    Ok(Served { what: What::Page(Box::new(sheet)), trail })
}

fn rewritten(ask: &Ask, found: &Found, limits: &Limits) -> Option<Vec<u8>> {
    let media = ask.site.media.as_ref()?;
    let rewriting = media.rewriting.as_ref()?;
    let bytes = plain(&found.headers, found.bytes.to_vec(), limits).ok()?;
    let kind = media.know(content_type(&found.headers), ask.path(), &bytes).kind;
    let from: Vec<&str> = rewriting.hosts.iter().map(String::as_str).collect();
    let to = format!("{}://{}", ask.arrival.scheme.as_str(), ask.host);
    let token = ask.token.as_deref().filter(|_| rewriting.tokens);
    let how = Rewrite { from: &from, to: &to, token };
    selvedge_media::rewrite(kind, &bytes, &how, limits).ok()?
}

/// The answer with other bytes: what was true of the origin's is not true of them.
fn as_made(ask: &Ask, found: Found, bytes: Vec<u8>) -> Made {
    let Found { status, mut headers, ttl_s, .. } = found;
    made::strip(&mut headers);
    if made::varies(ask, &headers) {
        deliver::vary_by_encoding(&mut headers);
    }
    Made { status, headers, pieces: VecDeque::from([bytes.into()]), has_tag: true, ttl_s }
}

fn as_it_is(ask: &Ask, found: Found) -> Sheet {
    let Found { status, mut headers, bytes, ttl_s } = found;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let source = match ask.method {
        Method::HEAD => Source::Empty,
        _ => Source::Whole(bytes),
    };
    Sheet { status, headers, source, ttl_s }
}

/// What was read of a fill.
enum Gathered {
    Whole(Vec<u8>),
    More,
    Broken(&'static str),
}

async fn gather(reader: &mut FillReader, most: usize) -> Gathered {
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.chunk().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => return Gathered::Broken(error.word()),
        }
        if bytes.len() > most {
            return Gathered::More;
        }
    }
    Gathered::Whole(bytes)
}
