//! Speaking with control over HTTP: to join, to read the stream, to say how it goes. Every wait has
//! a limit, every answer a maximum.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body::Body as _;
use selvedge_feed::{Join, Joined, LINE_BYTES_MAX, Line};
use selvedge_net::{Client, Deadlines, OutgoingBody, Reuse, Target, UpstreamBody};
use serde::Serialize;

/// Control is heard each second: after this long without a byte nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// For a connection to control.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// For the head of an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer that is not the stream.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Bytes that are read ahead of what is taken over.
const AHEAD_BYTES_MAX: usize = LINE_BYTES_MAX + (1 << 20);

/// Why control gave no answer that can be used.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// It does not know this node, or does not want it.
    Unwelcome(StatusCode, String),
    /// It answers something else.
    Answer(StatusCode, String),
    /// It cannot be reached, or went away.
    Gone(String),
    /// What it says cannot be understood.
    Nonsense(String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwelcome(status, text) | Self::Answer(status, text) => {
                write!(f, "control answers {status}: {text}")
            }
            Self::Gone(why) => write!(f, "control cannot be reached: {why}"),
            Self::Nonsense(why) => write!(f, "control cannot be understood: {why}"),
        }
    }
}

/// How control is spoken to.
#[derive(Clone)]
pub(crate) struct Control {
    client: Client,
    target: Target,
}

impl Control {
    pub(crate) fn new(client: Client, target: Target) -> Self {
        Self { client, target }
    }

    /// Joins with a token.
    pub(crate) async fn join(&self, token: &str, join: &Join) -> Result<Joined, LinkError> {
        let answer = self.post("/v1/nodes", token, join).await?;
        serde_json::from_slice(&answer).map_err(|error| LinkError::Nonsense(error.to_string()))
    }

    /// Sends a short message; gives the answer.
    pub(crate) async fn post(
        &self,
        path: &str,
        token: &str,
        message: &impl Serialize,
    ) -> Result<Bytes, LinkError> {
        let text =
            serde_json::to_vec(message).map_err(|error| LinkError::Nonsense(error.to_string()))?;
        let length = HeaderValue::from(text.len());
        let mut request = request(Method::POST, path, token, OutgoingBody::full(text.into()))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, length);
        self.send(request).await.map(|(_, bytes)| bytes)?.all().await
    }

    /// Begins the stream of what is newer than `since`, or of everything.
    pub(crate) async fn changes(
        &self,
        token: &str,
        since: Option<(&str, u64)>,
    ) -> Result<Lines, LinkError> {
        let path = match since {
            Some((log, since)) => format!("/v1/changes?since={since}&log={}", in_query(log)),
            None => "/v1/changes?since=0".to_owned(),
        };
        let request = request(Method::GET, &path, token, OutgoingBody::empty())?;
        self.send(request).await.map(|(_, lines)| lines)
    }

    async fn send(&self, request: Request<OutgoingBody>) -> Result<(StatusCode, Lines), LinkError> {
        let deadlines =
            Deadlines { connect: CONNECT_MAX, first_byte: ANSWER_MAX, idle: SILENCE_MAX };
        let sent = self.client.send(&self.target, request, &deadlines, Reuse::Pooled).await;
        let reply = sent.map_err(|failure| LinkError::Gone(failure.error.to_string()))?;
        let status = reply.response.status();
        let lines = Lines { body: reply.response.into_body(), bytes: BytesMut::new(), seen: 0 };
        if status.is_success() {
            return Ok((status, lines));
        }
        let text = lines.all().await.unwrap_or_default();
        let text: String =
            String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).take(300).collect();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LinkError::Unwelcome(status, text),
            _ => LinkError::Answer(status, text),
        })
    }
}

fn request(
    method: Method,
    path: &str,
    token: &str,
    body: OutgoingBody,
) -> Result<Request<OutgoingBody>, LinkError> {
    let wrong = |error: &dyn fmt::Display| LinkError::Nonsense(error.to_string());
    let mut bearer =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| wrong(&error))?;
    bearer.set_sensitive(true);
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, bearer)
        .header(header::USER_AGENT, concat!("selvedge-node/", env!("CARGO_PKG_VERSION")))
        .body(body)
        .map_err(|error| wrong(&error))
}

/// A value as it stands in a query. Names of logs are plain; anything else is escaped.
fn in_query(value: &str) -> String {
    use std::fmt::Write;
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// A path's part that is a name.
pub(crate) fn in_path(name: &str) -> String {
    in_query(name)
}

/// The lines of an answer as they come.
pub(crate) struct Lines {
    body: UpstreamBody,
    bytes: BytesMut,
    /// Bytes that are known to hold no end of a line.
    seen: usize,
}

impl Lines {
    /// Waits until there is a line. `None` at the end of the answer.
    pub(crate) async fn next(&mut self) -> Result<Option<(Line, usize)>, LinkError> {
        loop {
            if let Some(line) = self.ready()? {
                return Ok(Some(line));
            }
            match poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
                None => return Ok(None),
                Some(frame) => self.push(frame)?,
            }
        }
    }

    /// The next line if it has come, without waiting.
    pub(crate) async fn at_hand(&mut self) -> Result<Option<(Line, usize)>, LinkError> {
        loop {
            if let Some(line) = self.ready()? {
                return Ok(Some(line));
            }
            let polled = poll_fn(|cx| match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(frame),
                Poll::Pending => Poll::Ready(None),
            });
            match polled.await {
                // The end, if it is that, is found again by whoever waits.
                None => return Ok(None),
                Some(frame) => self.push(frame)?,
            }
        }
    }

    fn push(
        &mut self,
        frame: Result<http_body::Frame<Bytes>, selvedge_net::BodyError>,
    ) -> Result<(), LinkError> {
        let frame = frame.map_err(|error| LinkError::Gone(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            self.bytes.extend_from_slice(&data);
        }
        if self.bytes.len() > AHEAD_BYTES_MAX {
            return Err(LinkError::Nonsense("a line without end".to_owned()));
        }
        Ok(())
    }

    fn ready(&mut self) -> Result<Option<(Line, usize)>, LinkError> {
        let end = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| end + self.seen) else {
            self.seen = self.bytes.len();
            return Ok(None);
        };
        let line = Line::read(&self.bytes[..end]);
        self.bytes.advance(end + 1);
        self.seen = 0;
        line.map(|line| Some((line, end))).map_err(LinkError::Nonsense)
    }

    /// All of a short answer.
    async fn all(mut self) -> Result<Bytes, LinkError> {
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
            self.push(frame)?;
            if self.bytes.len() > ANSWER_BYTES_MAX {
                return Err(LinkError::Nonsense("an answer without end".to_owned()));
            }
        }
        Ok(self.bytes.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_would_read_otherwise_is_escaped() {
        assert_eq!(in_query("3f-a_B.9"), "3f-a_B.9");
        assert_eq!(in_query("a&b=c d/é"), "a%26b%3Dc%20d%2F%C3%A9");
    }
}
