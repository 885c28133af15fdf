//! What a handler knows about the connection that a request came on.

use std::net::SocketAddr;
use std::rc::Rc;

use crate::lines::FieldLines;
use crate::upgrade::ClientUpgrade;
use crate::watch::Watch;

/// The protocol of a client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1; the request says which.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What TLS agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// The server name the client asked for, in lower case.
    pub sni: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// Name of the cipher suite.
    pub cipher: &'static str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// One client connection, as the handler sees it. Shared by all requests on it.
#[derive(Debug)]
pub struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tls: Option<TlsSession>,
    pub(crate) protocol: Protocol,
    pub(crate) watch: Rc<Watch>,
}

impl Connection {
    /// The client's address.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our address.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// What TLS agreed on; `None` in clear.
    #[must_use]
    pub const fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_ref()
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The protocol spoken.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Requests seen on the connection, this one included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.watch.requests.get()
    }

    /// Writes out fields of the response to the present request: beside those of its header map,
    /// `Date` among them, nothing that frames. `false`, and nothing is asked for, where they could
    /// not be: in HTTP/2, and for a request with a body.
    pub fn write_lines(&self, write: impl FnOnce(&mut FieldLines)) -> bool {
        let is_possible = self.watch.takes_lines.get();
        if is_possible {
            let mut lines = self.watch.lines.borrow_mut();
            lines.clear();
            write(&mut lines);
        }
        is_possible
    }

    /// Asks for the client's byte stream. Call it before answering 101; it resolves once the 101
    /// has been written. Only HTTP/1.1 requests with `Upgrade` and `Connection: upgrade` can be
    /// answered 101; from any other a 101 closes the connection.
    #[must_use]
    pub fn on_upgrade(&self) -> ClientUpgrade {
        self.watch.on_upgrade()
    }
}
