//! The connections of the scripted origin: they read strictly, record, and play the script.

use crate::answer::{Answer, Step, pattern};
use crate::message::{self, BODY_KEPT_MAX, Framing, Recording, Request, Source};
use crate::origin::{State, locked};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A connection, plain or with TLS.
trait Stream: Read + Write + Send {
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

impl Stream for Box<dyn Stream> {
    fn socket(&self) -> &TcpStream {
        (**self).socket()
    }
}

/// Accepts until the origin stops.
pub(crate) fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        let _ = stream.set_write_timeout(Some(crate::PATIENCE * 4));
        let stream: Box<dyn Stream> = match tls {
            Some(config) => match ServerConnection::new(Arc::clone(config)) {
                Ok(connection) => Box::new(StreamOwned::new(connection, stream)),
                Err(_) => continue,
            },
            None => Box::new(stream),
        };
        let state = Arc::clone(state);
        let spawned = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
            state.live.fetch_add(1, Ordering::SeqCst);
            let _ = Connection::new(stream, &state).run();
            state.live.fetch_sub(1, Ordering::SeqCst);
        });
        drop(spawned);
    }
}

/// Reads with the short time limit of the socket until something comes or the origin stops.
struct Patient {
    stream: Box<dyn Stream>,
    record: Arc<Mutex<Vec<u8>>>,
    state: Arc<State>,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.state.stopped.load(Ordering::SeqCst) {
                return Ok(0);
            }
            if self.state.deaf.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(20));
                continue;
            }
            match self.stream.read(buffer) {
                Ok(count) => {
                    let mut record = locked(&self.record);
                    let room = (1_usize << 20).saturating_sub(record.len()).min(count);
                    record.extend_from_slice(&buffer[..room]);
                    return Ok(count);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

struct Connection {
    number: usize,
    input: Recording<Patient>,
    state: Arc<State>,
}

impl Connection {
    fn new(stream: Box<dyn Stream>, state: &Arc<State>) -> Self {
        let record = Arc::new(Mutex::new(Vec::new()));
        let mut connections = locked(&state.connections);
        connections.push(Arc::clone(&record));
        let number = connections.len() - 1;
        drop(connections);
        let patient = Patient { stream, record, state: Arc::clone(state) };
        Self { number, input: Recording::new(patient), state: Arc::clone(state) }
    }

    fn run(&mut self) -> io::Result<()> {
        while let Some(head) = self.input.head(1 << 20)? {
            let (mut req, framing) = match message::parse_head(&head) {
                Ok(parsed) => parsed,
                Err(what) => {
                    let shown = String::from_utf8_lossy(&head).into_owned();
                    self.violation(format!("{what} in {shown:?}"));
                    return Ok(());
                }
            };
            req.connection = self.number;
            if req.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
            {
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            self.read_body(&mut req, framing)?;
            let nth = {
                let mut fetches = locked(&self.state.fetches);
                let count = fetches.entry(req.path().to_owned()).or_insert(0);
                *count += 1;
                *count - 1
            };
            locked(&self.state.requests).push(req.clone());
            let answer = self.answer(&req, nth);
            for step in answer.play(&req.method, req.header("if-none-match")) {
                if !self.step(step)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn answer(&self, req: &Request, nth: usize) -> Answer {
        let scripts = locked(&self.state.scripts);
        let script = scripts.get(req.path()).or_else(|| scripts.get("*")).cloned();
        drop(scripts);
        match script {
            Some(script) => script(req, nth),
            None => Answer::new(404).header("cache-control", "no-store").body("no script\n"),
        }
    }

    fn read_body(&mut self, req: &mut Request, framing: Framing) -> io::Result<()> {
        let (body, length) = (&mut req.body, &mut req.body_length);
        let mut sink = |bytes: &[u8]| {
            *length += bytes.len() as u64;
            let room = BODY_KEPT_MAX.saturating_sub(body.len()).min(bytes.len());
            body.extend_from_slice(&bytes[..room]);
        };
        let read = match framing {
            Framing::None => return Ok(()),
            Framing::Length(count) => self.input.bytes(count, &mut sink),
            Framing::Chunked => match message::read_chunked(&mut self.input, &mut sink) {
                Ok(trailers) => {
                    req.trailers = trailers;
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = &read
            && error.kind() == io::ErrorKind::InvalidData
        {
            self.violation(format!("body of {} {}: {error}", req.method, req.target));
        }
        read
    }

    /// Does one step; false when it ended the connection.
    fn step(&mut self, step: Step) -> io::Result<bool> {
        match step {
            Step::Send(bytes) => self.write(&bytes)?,
            Step::Dribble(bytes) => {
                for byte in bytes {
                    self.write(&[byte])?;
                }
            }
            Step::Wait(gate) => return Ok(gate.wait()),
            Step::Generate { length, chunked } => self.generate(length, chunked)?,
            Step::Reset => {
                let socket = self.input.inner().stream.socket();
                let now = Some(Duration::ZERO);
                let _ = rustix::net::sockopt::set_socket_linger(socket, now);
                return Ok(false);
            }
            Step::Close => return Ok(false),
            Step::Silence => {
                while self.input.fill()? {}
                return Ok(false);
            }
            Step::Echo => loop {
                let pending = self.input.pending().to_vec();
                self.input.bytes(pending.len() as u64, &mut |_| ())?;
                self.write(&pending)?;
                if !self.input.fill()? {
                    return Ok(false);
                }
            },
        }
        Ok(true)
    }

    fn generate(&mut self, length: u64, chunked: bool) -> io::Result<()> {
        const PIECE: u64 = 64 << 10;
        let mut at = 0;
        let mut piece = Vec::new();
        while at < length {
            let size = PIECE.min(length - at);
            piece.clear();
            if chunked {
                piece.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            }
            piece.extend((at..at + size).map(pattern));
            if chunked {
                piece.extend_from_slice(b"\r\n");
            }
            self.write(&piece)?;
            self.state.sent_bytes.fetch_add(size, Ordering::Relaxed);
            at += size;
        }
        if chunked {
            self.write(b"0\r\n\r\n")?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = &mut self.input.inner().stream;
        stream.write_all(bytes)?;
        stream.flush()
    }

    fn violation(&self, what: String) {
        locked(&self.state.violations).push(what);
    }
}
