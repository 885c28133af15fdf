//! DNS over HTTPS (RFC 8484): a query in the `dns` parameter of a GET, as base64url without
//! padding, or as the body of a POST. The requests arrive through `net` like all others.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use selvedge_net::{BodyError, Connection, Handler, OutgoingBody, RequestBody, Tasks};

use crate::counters::Tally;
use crate::lifetime::least_ttl_s;
use crate::{Answer, HEADER_BYTES, REFRESH, Transport};

/// The type of what is asked and answered.
const MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
/// How long what says no TTL may be kept.
const NO_TTL_S: u32 = 0;

/// Answers the requests of one worker.
pub(crate) struct Door<A>(Rc<Inside<A>>);

struct Inside<A> {
    answer: RefCell<A>,
    path: String,
    query_bytes_max: usize,
    tally: Arc<Tally>,
}

impl<A> Clone for Door<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Answer> Door<A> {
    pub(crate) fn new(
        answer: A,
        path: String,
        query_bytes_max: usize,
        tally: Arc<Tally>,
        tasks: &Tasks,
    ) -> Self {
        let inside = Rc::new(Inside { answer: RefCell::new(answer), path, query_bytes_max, tally });
        let refreshed = inside.clone();
        tasks.spawn_background(async move {
            loop {
                tokio::time::sleep(REFRESH).await;
                refreshed.answer.borrow_mut().refresh();
            }
        });
        Self(inside)
    }
}

impl<A: Answer> Handler for Door<A> {
    type Body = OutgoingBody;

    async fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        connection: Rc<Connection>,
    ) -> Response<OutgoingBody> {
        let reply = match selvedge_net::refusal(&req) {
            Some(refusal) => Err(refusal.status()),
            None => match self.0.query(*req).await {
                Ok(query) => self.0.answer(&query, &connection),
                Err(status) => Err(status),
            },
        };
        match reply {
            Ok(reply) => {
                let kept_s = least_ttl_s(&reply).unwrap_or(NO_TTL_S);
                let mut response = Response::new(OutgoingBody::full(reply.into()));
                response.headers_mut().insert(CONTENT_TYPE, MESSAGE);
                if let Ok(kept) = HeaderValue::try_from(format!("max-age={kept_s}")) {
                    response.headers_mut().insert(CACHE_CONTROL, kept);
                }
                response
            }
            Err(status) => {
                Tally::add(&self.0.tally.malformed, 1);
                let mut response = Response::new(OutgoingBody::empty());
                *response.status_mut() = status;
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(ALLOW, METHODS);
                }
                response
            }
        }
    }
}

impl<A: Answer> Inside<A> {
    /// The query that a request carries, or the status that says what is wrong with it.
    async fn query(&self, req: Request<RequestBody>) -> Result<Bytes, StatusCode> {
        if req.uri().path() != self.path {
            return Err(StatusCode::NOT_FOUND);
        }
        let query = match *req.method() {
            Method::GET | Method::HEAD => {
                let parameters = req.uri().query().unwrap_or_default();
                decode(parameters, self.query_bytes_max)?
            }
            Method::POST => self.body(req).await?,
            _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        if query.len() < HEADER_BYTES { Err(StatusCode::BAD_REQUEST) } else { Ok(query) }
    }

    async fn body(&self, req: Request<RequestBody>) -> Result<Bytes, StatusCode> {
        let kind = req.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        // It has no parameters (RFC 8484 6), so whatever follows changes nothing.
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        if !kind.trim_ascii().eq_ignore_ascii_case(MESSAGE.as_bytes()) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let mut body = req.into_body();
        body.set_bytes_max(self.query_bytes_max as u64);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(BodyError::ClientTooLarge) => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(BodyError::ClientTimeout) => Err(StatusCode::REQUEST_TIMEOUT),
            Err(_) => Err(StatusCode::BAD_REQUEST),
        }
    }

    fn answer(&self, query: &[u8], connection: &Connection) -> Result<Vec<u8>, StatusCode> {
        let mut reply = Vec::new();
        Tally::add(&self.tally.queries, 1);
        Tally::add(&self.tally.bytes_in, query.len() as u64);
        let mut answer = self.answer.borrow_mut();
        answer.refresh();
        answer.answer(query, connection.peer(), Transport::Https, &mut reply);
        if reply.is_empty() {
            Tally::add(&self.tally.unanswered, 1);
            return Err(StatusCode::BAD_REQUEST);
        }
        Tally::add(&self.tally.replies, 1);
        Tally::add(&self.tally.bytes_out, reply.len() as u64);
        Ok(reply)
    }
}

/// The query in the `dns` parameter.
fn decode(parameters: &str, bytes_max: usize) -> Result<Bytes, StatusCode> {
    let mut found = parameters.split('&').filter_map(|pair| pair.strip_prefix("dns="));
    let (Some(text), None) = (found.next(), found.next()) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    if text.len() / 4 * 3 > bytes_max {
        return Err(StatusCode::URI_TOO_LONG);
    }
    let query = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(query.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_get_is_base64url_without_padding() {
        // The example of RFC 8484 4.1.1.
        let text = "dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
        let query = decode(text, 100).expect("a query");
        assert_eq!(&query[12..], b"\x03www\x07example\x03com\0\0\x01\0\x01");
        assert_eq!(decode(&format!("a=b&{text}&c"), 100), Ok(query));
        let bad = Err(StatusCode::BAD_REQUEST);
        for wrong in ["", "dns", "name=a", "dns=AA==", "dns=A+/A", "dns=A", "dns=AB", "dns=%41A"] {
            assert_eq!(decode(wrong, 100), bad, "{wrong}");
        }
        assert_eq!(decode(&format!("{text}&{text}"), 100), bad);
        assert_eq!(decode(&format!("dns={}", "A".repeat(136)), 100), Err(StatusCode::URI_TOO_LONG));
        assert_eq!(
            decode(&format!("dns={}", "A".repeat(132)), 100).map(|query| query.len()),
            Ok(99)
        );
    }
}
