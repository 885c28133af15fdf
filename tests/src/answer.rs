//! What the origin does with a request: a list of steps, written as a small builder.

use crate::wait::Gate;

/// One thing the origin does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send these bytes one at a time, each in a segment of its own.
    Dribble(Vec<u8>),
    /// Wait until the test opens the gate.
    Wait(Gate),
    /// Send this many bytes of the pattern of [`pattern`], made on the fly.
    Generate {
        /// How many.
        length: u64,
        /// As chunks.
        chunked: bool,
    },
    /// Close the connection with a RST.
    Reset,
    /// Close the connection.
    Close,
    /// Read whatever else comes and send it back until the other side closes.
    Echo,
    /// Say nothing until the other side closes.
    Silence,
}

/// A scripted answer.
#[derive(Clone, Debug)]
pub struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    before: Vec<Step>,
    between: Vec<Step>,
    after: Vec<Step>,
    framing: Framing,
    conditional: bool,
    raw: Option<Vec<Step>>,
}

#[derive(Clone, Debug)]
enum Framing {
    Length,
    WrongLength(String),
    Chunked(Vec<(String, String)>),
    UntilClose,
    Generated { length: u64, chunked: bool },
    Nothing,
}

impl Answer {
    /// An answer with this status, a Date, and an empty body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status: format!("{status} Scripted"),
            headers: Vec::new(),
            body: Vec::new(),
            before: Vec::new(),
            between: Vec::new(),
            after: Vec::new(),
            framing: if matches!(status, 204 | 304) { Framing::Nothing } else { Framing::Length },
            conditional: false,
            raw: None,
        }
    }

    /// 200 with a body and a lifetime of this many seconds.
    #[must_use]
    pub fn cacheable(body: &str, seconds: u32) -> Self {
        Self::new(200).header("cache-control", &format!("max-age={seconds}")).body(body)
    }

    /// 200 with a body that nobody may store.
    #[must_use]
    pub fn uncacheable(body: &str) -> Self {
        Self::new(200).header("cache-control", "no-store").body(body)
    }

    /// These steps and nothing else; the connection is kept unless a step ends it.
    #[must_use]
    pub fn steps(steps: Vec<Step>) -> Self {
        Self { raw: Some(steps), ..Self::new(200) }
    }

    /// Exactly these bytes, then the end of the connection.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::steps(vec![Step::Send(bytes.into()), Step::Close])
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds an ETag, and answers 304 to an If-None-Match with it.
    #[must_use]
    pub fn etag(mut self, tag: &str) -> Self {
        self.conditional = true;
        self.header("etag", tag)
    }

    /// Sends the body in chunks.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked(Vec::new());
        self
    }

    /// Sends the body in chunks, with trailers after it.
    #[must_use]
    pub fn trailers(mut self, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.framing = Framing::Chunked(fields);
        self
    }

    /// Writes this Content-Length whatever the body is, and closes after the body.
    #[must_use]
    pub fn content_length(mut self, value: &str) -> Self {
        self.framing = Framing::WrongLength(value.to_owned());
        self
    }

    /// No framing: the end of the connection is the end of the body.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// A body of the pattern, made on the fly, announced by Content-Length or sent in chunks.
    #[must_use]
    pub fn generate(mut self, length: u64, chunked: bool) -> Self {
        self.framing = Framing::Generated { length, chunked };
        self
    }

    /// Waits at the gate before the first byte.
    #[must_use]
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.before.push(Step::Wait(gate.clone()));
        self
    }

    /// Waits at the gate between head and body.
    #[must_use]
    pub fn body_gate(mut self, gate: &Gate) -> Self {
        self.between.push(Step::Wait(gate.clone()));
        self
    }

    /// Sends these bytes before the head, such as an interim response.
    #[must_use]
    pub fn before(mut self, bytes: &str) -> Self {
        self.before.push(Step::Send(bytes.as_bytes().to_vec()));
        self
    }

    /// A step after the body.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.after.push(step);
        self
    }

    /// The steps for a request with this method and this If-None-Match.
    pub(crate) fn play(&self, method: &str, if_none_match: Option<&str>) -> Vec<Step> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let etag = self.headers.iter().find(|(name, _)| name == "etag").map(|(_, tag)| tag);
        let same = match (etag, if_none_match) {
            (Some(etag), Some(tags)) => self.conditional && tags.contains(etag.as_str()),
            _ => false,
        };
        let mut steps = self.before.clone();
        if same {
            steps.push(Step::Send(self.head("304 Not Modified", "")));
            return steps;
        }
        let framing = match &self.framing {
            Framing::Length => format!("Content-Length: {}\r\n", self.body.len()),
            Framing::WrongLength(value) => format!("Content-Length: {value}\r\n"),
            Framing::Chunked(_) | Framing::Generated { chunked: true, .. } => {
                "Transfer-Encoding: chunked\r\n".to_owned()
            }
            Framing::Generated { length, .. } => format!("Content-Length: {length}\r\n"),
            Framing::UntilClose => "Connection: close\r\n".to_owned(),
            Framing::Nothing => String::new(),
        };
        steps.push(Step::Send(self.head(&self.status, &framing)));
        if method != "HEAD" {
            steps.extend(self.between.iter().cloned());
            self.play_body(&mut steps);
        }
        steps.extend(self.after.iter().cloned());
        steps
    }

    fn play_body(&self, steps: &mut Vec<Step>) {
        match &self.framing {
            Framing::Chunked(trailers) => {
                let mut bytes = Vec::new();
                for piece in self.body.chunks(16_384) {
                    bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    bytes.extend_from_slice(piece);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
                }
                bytes.extend_from_slice(b"\r\n");
                steps.push(Step::Send(bytes));
            }
            Framing::Generated { length, chunked } => {
                steps.push(Step::Generate { length: *length, chunked: *chunked });
            }
            Framing::WrongLength(_) | Framing::UntilClose => {
                steps.push(Step::Send(self.body.clone()));
                if self.after.is_empty() {
                    steps.push(Step::Close);
                }
            }
            Framing::Length => steps.push(Step::Send(self.body.clone())),
            Framing::Nothing => {}
        }
    }

    fn head(&self, status: &str, framing: &str) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {status}\r\n{framing}");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
            head.push_str(&format!("Date: {}\r\n", crate::tools::http_date(0)));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// The byte at a position of a generated body: checkable from any offset, never all equal.
#[must_use]
pub fn pattern(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// The first bytes of a generated body.
#[must_use]
pub fn pattern_bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(pattern).collect()
}
