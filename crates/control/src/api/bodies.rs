//! Reading the bodies of requests: short ones whole, with a limit that is known before a byte is
//! read, and JSON.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use serde::de::DeserializeOwned;

use crate::desk::Reply;
use crate::problem::{Kind, Problem};

/// Bytes of a JSON body at most.
pub(crate) const JSON_BYTES_MAX: usize = 1 << 20;

/// The next piece of a body.
pub(crate) async fn piece(body: &mut Body) -> Option<Result<Bytes, Problem>> {
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await;
        match frame? {
            Ok(frame) => match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Some(Ok(bytes)),
                Err(_trailers) => {}
            },
            Err(error) => {
                let kind = if error.to_string().contains("too-large") {
                    Kind::TooLarge
                } else {
                    Kind::Incomplete
                };
                return Some(Err(Problem::new(kind, format!("the body broke off: {error}"))));
            }
        }
    }
}

/// A whole body of at most so many bytes.
pub(crate) async fn whole(mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(Kind::TooLarge, format!("the body may have {bytes_max} bytes at most"));
    let hint = body.size_hint();
    if hint.lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = piece(&mut body).await {
        let piece = piece?;
        if bytes.len() + piece.len() > bytes_max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// A JSON body, and its bytes.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, Bytes), Problem> {
    long_json(headers, body, JSON_BYTES_MAX).await
}

/// A JSON body of at most so many bytes, and its bytes.
pub(crate) async fn long_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<(T, Bytes), Problem> {
    let essence = media_type(headers);
    if essence.as_deref().is_some_and(|it| it != "application/json" && !it.ends_with("+json")) {
        let detail = "the body must be application/json";
        return Err(Problem::new(Kind::Unsupported, detail));
    }
    let bytes = whole(body, bytes_max).await?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::invalid(format!("the body: {error}")))?;
    Ok((value, bytes))
}

/// The media type of a body, in lower case and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// An answer with a JSON body.
pub(crate) fn reply(status: StatusCode, body: &impl serde::Serialize) -> Reply {
    let body = serde_json::to_string(body).unwrap_or_default();
    Reply { status: status.as_u16(), fields: Vec::new(), body }
}
