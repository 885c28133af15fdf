//! A client that sends exactly the bytes it is told, over TCP or TLS, and reads strictly.

use crate::message::Recording;
use crate::response::{ReadError, Response, read_response};
use crate::tls::Authority;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One connection to a node.
pub struct Client {
    input: Recording<Box<dyn Wire>>,
}

/// A byte stream both ways.
trait Wire: Read + Write + Send {
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects without TLS.
    #[must_use]
    #[track_caller]
    pub fn http(addr: SocketAddr) -> Self {
        Self::try_http(addr).expect("the node accepts connections")
    }

    /// Connects without TLS, or says why not.
    pub fn try_http(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(crate::PATIENCE))?;
        socket.set_write_timeout(Some(crate::PATIENCE))?;
        Ok(Self::over(Box::new(socket)))
    }

    /// Connects with TLS, naming `sni`, with HTTP/1.1.
    #[must_use]
    #[track_caller]
    pub fn https(addr: SocketAddr, sni: &str, authority: &Authority) -> Self {
        Self::try_https(addr, sni, authority).expect("the handshake succeeds")
    }

    /// Connects with TLS, or says why not.
    pub fn try_https(addr: SocketAddr, sni: &str, authority: &Authority) -> io::Result<Self> {
        Ok(Self::over(Box::new(authority.connect(addr, sni, &["http/1.1"])?)))
    }

    fn over(wire: Box<dyn Wire>) -> Self {
        let mut input = Recording::new(wire);
        input.record_max = 0;
        Self { input }
    }

    /// Sends bytes; an error is not one of the test's: the answer tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let wire = self.input.inner();
        wire.write_all(bytes.as_ref()).and_then(|()| wire.flush()).is_ok()
    }

    /// Sends bytes cut at these positions, each piece in a write of its own.
    pub fn send_split(&mut self, bytes: &[u8], cuts: &[usize]) {
        let mut at = 0;
        for cut in cuts.iter().copied().filter(|cut| *cut < bytes.len()) {
            if cut > at {
                self.send(&bytes[at..cut]);
                at = cut;
            }
        }
        self.send(&bytes[at..]);
    }

    /// Reads the response to a request with this method.
    pub fn read(&mut self, method: &str) -> Result<Response, ReadError> {
        read_response(&mut self.input, method)
    }

    /// Sends a request and reads its response; the method is the text's first word.
    pub fn try_request(&mut self, request: &str) -> Result<Response, ReadError> {
        self.send(request);
        let method = request.split(' ').next().unwrap_or("GET").to_owned();
        self.read(&method)
    }

    /// Sends a request and reads its response, which must be whole.
    #[track_caller]
    pub fn request(&mut self, request: &str) -> Response {
        match self.try_request(request) {
            Ok(resp) => resp,
            Err(error) => panic!("no response to {request:?}: {error}"),
        }
    }

    /// GET on this connection, with more field lines (each ends in CRLF).
    #[track_caller]
    pub fn get(&mut self, host: &str, target: &str, fields: &str) -> Response {
        self.request(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
    }

    /// Whether the node closes the connection, having sent nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.input.pending().is_empty() && !matches!(self.input.fill(), Ok(true))
    }

    /// Reads raw bytes: what is there, at least one; empty at the end.
    pub fn read_some(&mut self) -> Vec<u8> {
        if self.input.pending().is_empty() && !self.input.fill().unwrap_or(false) {
            return Vec::new();
        }
        let bytes = self.input.pending().to_vec();
        let used = crate::message::Source::bytes(&mut self.input, bytes.len() as u64, &mut |_| ());
        used.expect("pending bytes can be taken");
        bytes
    }

    /// Reads exactly this many raw bytes.
    pub fn read_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut sink = |piece: &[u8]| bytes.extend_from_slice(piece);
        crate::message::Source::bytes(&mut self.input, count as u64, &mut sink)?;
        Ok(bytes)
    }

    /// Ends the sending direction.
    pub fn finish(&mut self) {
        let _ = self.input.inner().socket().shutdown(Shutdown::Write);
    }

    /// Ends the connection with a RST.
    pub fn reset(mut self) {
        let socket = self.input.inner().socket();
        let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    }

    /// Makes the receive window small, so that a slow reader is felt at once.
    pub fn small_window(&mut self) {
        let socket = self.input.inner().socket();
        rustix::net::sockopt::set_socket_recv_buffer_size(socket, 4096).expect("a socket option");
    }

    /// Changes how long a read may take.
    pub fn patience(&mut self, patience: Duration) {
        let socket = self.input.inner().socket();
        socket.set_read_timeout(Some(patience)).expect("a socket option");
    }
}

/// One GET on a connection of its own.
#[track_caller]
pub fn get(addr: SocketAddr, host: &str, target: &str) -> Response {
    get_with(addr, host, target, "")
}

/// One GET on a connection of its own, with more field lines.
#[track_caller]
pub fn get_with(addr: SocketAddr, host: &str, target: &str, fields: &str) -> Response {
    Client::http(addr).get(host, target, fields)
}
