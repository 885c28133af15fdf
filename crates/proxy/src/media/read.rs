//! Reading a manifest that comes by: whole, before anybody gets it, so that its lifetime can be
//! what it says. What cannot be read goes on as it came; one that breaks off is none.

use super::ahead;
use super::lifetimes::content_type;
use super::stream::{Learned, Reading};
use super::streams::Address;
use crate::decode::Decoder;
use crate::exchange::Sent;
use crate::node::Core;
use crate::normalize::Ask;
use crate::rescue::Failure;
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body as _;
use selvedge_media::{Base, Facts, Kind, Limits, Scope, Track, Unreadable, dash, hls, resolve};
use selvedge_net::{ReadAhead, UpstreamBody};
use selvedge_store::Object;
use std::rc::Rc;
use std::time::Duration;

/// For so long a manifest is waited for as a whole: then it goes on as it comes.
const READ_MAX: Duration = Duration::from_secs(5);
/// The word for one that took longer.
const TOO_SLOW: &str = "manifest-too-slow";
/// Tracks that are kept of one MPD.
const TRACKS_MAX: usize = 64;
/// Media types that say nothing of what they are.
const VAGUE: [&str; 6] = [
    "",
    "application/octet-stream",
    "binary/octet-stream",
    "text/plain",
    "application/xml",
    "text/xml",
];

/// Looks at an answer that has come: if it is a manifest it is read, and what it says is kept.
pub(crate) async fn read(core: &Rc<Core>, ask: &Rc<Ask>, sent: &mut Sent) -> Result<(), Failure> {
    let Some(media) = &ask.site.media else { return Ok(()) };
    let response = &mut sent.reply.response;
    if response.status() != StatusCode::OK {
        return Ok(());
    }
    let mut kind = media.know(content_type(response.headers()), ask.path(), &[]).kind;
    let limits = Limits::default();
    if !kind.is_manifest() && is_worth_a_look(response, &limits) {
        let body = response.body_mut();
        body.read_ahead(0).await;
        let first = body.ahead().next().cloned().unwrap_or_default();
        kind = media.know(content_type(response.headers()), ask.path(), &first).kind;
    }
    if !kind.is_manifest() {
        return Ok(());
    }
    let counters = ask.site.counters.here();
    let body = response.body_mut();
    let reading = body.read_ahead(limits.manifest_bytes_max as u64);
    let why = match tokio::time::timeout(READ_MAX, reading).await {
        Ok(ReadAhead::Whole) => None,
        Ok(ReadAhead::Begun) => Some(Unreadable::TooLong.word()),
        // Nobody has seen any of it yet.
        Ok(ReadAhead::Broken) => {
            counters.upstream_truncated.inc();
            return body.broken().map_or(Ok(()), |error| Err(Failure::Broken(error)));
        }
        Err(_) => Some(TOO_SLOW),
    };
    if let Some(why) = why {
        counters.media_unread.inc(why);
        return Ok(());
    }
    let bytes: Vec<u8> = body.ahead().flat_map(|bytes| bytes.iter().copied()).collect();
    let read = plain(response.headers(), bytes, &limits)
        .and_then(|bytes| understand(core, ask, kind, &bytes, &limits));
    match read {
        Ok((reading, leads_to)) => {
            counters.media_manifests.inc();
            sent.facts = Some(reading.facts);
            keep(core, ask, reading, &leads_to);
        }
        Err(why) => counters.media_unread.inc(why.word()),
    }
    Ok(())
}

/// Reads a manifest that is stored since before this process began: what it says went with the one
/// before, and nobody will send it again as long as it holds.
pub(super) fn recall(core: &Rc<Core>, ask: &Rc<Ask>, kind: Kind, object: &Object) {
    let limits = Limits::default();
    let is_whole = object.body.sliced().is_none();
    if object.status != StatusCode::OK
        || !is_whole
        || object.body.len() > limits.manifest_bytes_max as u64
    {
        return;
    }
    let bytes: Vec<u8> = object.body.all().flatten().collect();
    let read = plain(&object.headers, bytes, &limits)
        .and_then(|bytes| understand(core, ask, kind, &bytes, &limits));
    if let Ok((reading, leads_to)) = read {
        ask.site.counters.here().media_manifests.inc();
        keep(core, ask, reading, &leads_to);
    }
}

/// Whether the first bytes may tell what neither type nor name do. Nobody waits for those of what
/// has no end in sight, or is too long for a manifest.
fn is_worth_a_look(response: &Response<UpstreamBody>, limits: &Limits) -> bool {
    let headers = response.headers();
    let length = response.body().size_hint().exact();
    is_vague(content_type(headers))
        && !headers.contains_key(header::CONTENT_ENCODING)
        && length.is_some_and(|bytes| bytes <= limits.manifest_bytes_max as u64)
}

/// Whether a Content-Type says nothing of what it is.
pub(super) fn is_vague(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    VAGUE.iter().any(|vague| vague.eq_ignore_ascii_case(essence))
}

/// The bytes of a manifest without their coding.
pub(super) fn plain(
    headers: &HeaderMap,
    bytes: Vec<u8>,
    limits: &Limits,
) -> Result<Vec<u8>, Unreadable> {
    let Some(coding) = headers.get(header::CONTENT_ENCODING) else { return Ok(bytes) };
    let broken = |_| Unreadable::NotManifest;
    let decoder = Decoder::new(coding.as_bytes(), limits.manifest_bytes_max);
    let mut decoder = decoder.ok_or(Unreadable::NotManifest)?;
    let mut out = decoder.push(&bytes).map_err(broken)?;
    out.append(&mut decoder.finish().map_err(broken)?);
    Ok(out)
}

/// What a manifest says, and the objects whose folders it leads to.
fn understand(
    core: &Core,
    ask: &Ask,
    kind: Kind,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(Reading, Vec<String>), Unreadable> {
    let base = Base { scheme: ask.arrival.scheme.as_str(), authority: &ask.host, path: ask.path() };
    // All of the site's host: whatever leads away from it is not followed.
    let scope = Scope { scheme: base.scheme, authority: base.authority, path_prefix: "/" };
    let mut leads_to = Vec::new();
    let (facts, tracks) = match kind {
        Kind::Dash(_) => {
            let mpd = dash::parse(bytes, limits)?;
            (Facts::of_mpd(&mpd), Track::of_mpd(&mpd, &base, &scope, TRACKS_MAX))
        }
        _ => {
            let playlist = hls::parse(bytes, limits)?;
            let tracks = match &playlist {
                hls::Playlist::Media(media) => vec![Track::of_hls(media, &base, &scope)],
                hls::Playlist::Multivariant(multivariant) => {
                    leads_to = playlists(multivariant, &base, &scope);
                    Vec::new()
                }
            };
            (Facts::of_hls(&playlist), tracks)
        }
    };
    let now = selvedge_media::UnixMs(core.node.clock.now_wall_ms());
    for track in &tracks {
        leads_to.extend(track.start(now, 1).into_iter().map(|ahead| ahead.path));
    }
    let streams = &core.node.streams;
    let room = streams.room(tracks.iter().map(Track::weight_bytes).sum());
    let tracks = if room.is_some() { tracks } else { Vec::new() };
    let (path, hash) = (ask.plain_path_and_query().into(), streams.hash(bytes));
    Ok((Reading { path, facts, tracks, room, hash }, leads_to))
}

fn playlists(of: &hls::Multivariant<'_>, base: &Base<'_>, scope: &Scope<'_>) -> Vec<String> {
    if of.has_variables {
        return Vec::new();
    }
    let variants = of.variants.iter().map(|variant| variant.uri);
    let renditions = of.renditions.iter().filter_map(|rendition| rendition.uri);
    let urls = variants.chain(renditions).filter_map(|uri| {
        let url = resolve(base, uri).ok()?;
        scope.check(&url).ok()?;
        Some(url.path_and_query())
    });
    urls.collect()
}

/// Keeps what a manifest says, and fetches what its viewers will ask for next.
fn keep(core: &Rc<Core>, ask: &Rc<Ask>, reading: Reading, leads_to: &[String]) {
    let now_ms = core.node.clock.now_mono_ms();
    let at = Address::of(ask);
    let streams = &core.node.streams;
    let stream = streams.of(at, now_ms);
    let Learned { manifest, is_new, is_first } = stream.learn(reading, now_ms);
    streams.lead(at, &manifest, leads_to, now_ms);
    streams.tell_top(at, &stream, &manifest);
    if is_new {
        ahead::after_manifest(core, ask, &stream, &manifest, is_first);
    }
}
