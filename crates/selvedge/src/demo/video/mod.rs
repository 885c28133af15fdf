//! Video: a clip on demand and a live channel, each as HLS and as MPEG-DASH from the same CMAF
//! segments, and a page that plays them.
//!
//! ```text
//!   ffmpeg --PUT, chunk after chunk--> /ingest/SECRET/live/...  (origin)  /live/...  --> the CDN
//!   ffmpeg --files-------------------> read when it has ended   (origin)  /video/... --> the CDN
//! ```
//! Of the channel there is low-latency HLS as well, made here of the same bytes (`parts.rs`).
//!
//! The origin gives a segment of the channel out while the encoder is still writing it. It says
//! nothing of how long anything may be kept: to know that of video is the CDN's part.

mod encoder;
mod parts;
mod player;
mod shelf;

pub(super) use encoder::Studio;
pub(super) use player::{Libraries, NAMES};

use crate::problem::Problem;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use parts::{Found, Wanted};
use selvedge_net::{Clock, OutgoingBody, RequestBody};
use selvedge_telemetry::write_rfc3339_ms;
use shelf::Shelf;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the origin knows of video.
#[derive(Clone)]
pub(super) struct Video {
    /// Where encoders put; what comes through the CDN does not know it.
    ingest: Arc<str>,
    /// The files of the clip, by their paths, when it is made.
    clip: Arc<OnceLock<HashMap<String, Bytes>>>,
    libraries: Libraries,
}

impl Video {
    /// With these libraries of players.
    pub(super) fn new(libraries: Libraries) -> Result<Self, Problem> {
        let mut secret = [0; 16];
        let failed = |_| Problem::System("cannot make a secret", std::io::Error::other("no luck"));
        aws_lc_rs::rand::fill(&mut secret).map_err(failed)?;
        let secret = u128::from_ne_bytes(secret);
        let ingest = format!("/ingest/{secret:032x}").into();
        Ok(Self { ingest, clip: Arc::default(), libraries })
    }
}

/// The part of the origin that answers for video; one thread's.
#[derive(Clone)]
pub(super) struct Gallery {
    video: Video,
    shelf: Shelf,
    clock: Clock,
}

impl Gallery {
    pub(super) fn new(video: Video) -> Self {
        Self { video, shelf: Shelf::default(), clock: Clock::start() }
    }

    /// What is asked for of video as a path, if it is.
    pub(super) async fn answer(&self, path: &str, query: &str) -> Option<Response<OutgoingBody>> {
        let low_latency = path.strip_prefix(CHANNEL).and_then(|name| Wanted::of(name, query));
        if let Some(wanted) = low_latency {
            return Some(self.in_parts(path, &wanted).await);
        }
        let clip_path = path.strip_prefix(MEMBERS).map(|name| format!("{CLIP}{name}"));
        let clip_path = clip_path.as_deref().unwrap_or(path);
        let body = if clip_path.starts_with(CLIP) {
            let Some(clip) = self.video.clip.get() else { return Some(is_being_made()) };
            clip.get(clip_path).cloned().map(OutgoingBody::full)
        } else if path.starts_with(CHANNEL) {
            self.shelf.get(path)
        } else if path == NOW {
            return Some(now(&self.clock));
        } else {
            return player::file(path, &self.video.libraries);
        };
        Some(body.map_or_else(is_not_there, |body| media(path, body)))
    }

    /// Something of low-latency HLS, when it is there.
    async fn in_parts(&self, path: &str, wanted: &Wanted) -> Response<OutgoingBody> {
        let found = self.shelf.watch(|shelf| match wanted.find(shelf) {
            Found::Here(bytes) => Some(Some(bytes)),
            Found::Soon => None,
            Found::Never => Some(None),
        });
        match tokio::time::timeout(Duration::from_secs(parts::WAIT_S), found).await {
            Ok(Some(bytes)) => media(path, OutgoingBody::full(bytes)),
            Ok(None) if matches!(wanted, Wanted::Playlist(_, Some(_))) => {
                answer(StatusCode::BAD_REQUEST, OutgoingBody::empty())
            }
            Ok(None) => is_not_there(),
            Err(_) => answer(StatusCode::SERVICE_UNAVAILABLE, OutgoingBody::empty()),
        }
    }

    /// Takes what an encoder puts or deletes; any other request is given back.
    pub(super) async fn take(
        &self,
        req: Box<Request<RequestBody>>,
    ) -> Result<Response<OutgoingBody>, Box<Request<RequestBody>>> {
        let path = req.uri().path().strip_prefix(&*self.video.ingest).map(str::to_owned);
        let Some(path) = path else { return Err(req) };
        let status = if req.method() == Method::DELETE {
            self.shelf.delete(&path);
            StatusCode::NO_CONTENT
        } else if req.method() == Method::PUT && self.shelf.put(&path, req.into_body()).await {
            StatusCode::CREATED
        } else {
            StatusCode::BAD_REQUEST
        };
        Ok(answer(status, OutgoingBody::empty()))
    }
}

/// Where the clip is.
const CLIP: &str = "/video/";
/// Where the clip is for members, whose URLs are signed.
const MEMBERS: &str = "/members/";
/// Where the channel is.
const CHANNEL: &str = "/live/";

/// Where players learn what time it is for the encoder (UTCTiming).
const NOW: &str = "/now";

fn now(clock: &Clock) -> Response<OutgoingBody> {
    let ms = clock.now_wall_ms();
    let mut text = Vec::new();
    write_rfc3339_ms(&mut text, ms.div_euclid(1000), ms.rem_euclid(1000) as u16);
    let mut response = answer(StatusCode::OK, OutgoingBody::full(text.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn media(path: &str, body: OutgoingBody) -> Response<OutgoingBody> {
    let content_type = match path.rsplit('.').next() {
        Some("mpd") => "application/dash+xml",
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("mp4") => "video/mp4",
        _ => "video/iso.segment",
    };
    let mut response = answer(StatusCode::OK, body);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn is_not_there() -> Response<OutgoingBody> {
    answer(StatusCode::NOT_FOUND, OutgoingBody::empty())
}

/// The clip takes some seconds.
fn is_being_made() -> Response<OutgoingBody> {
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, OutgoingBody::empty());
    response.headers_mut().insert(header::RETRY_AFTER, 2.into());
    response
}

fn answer(status: StatusCode, body: OutgoingBody) -> Response<OutgoingBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
