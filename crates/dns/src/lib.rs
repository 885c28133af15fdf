//! How DNS messages come and go: over UDP and TCP (RFC 1035 4.2, RFC 7766), TLS (RFC 7858) and
//! HTTPS (RFC 8484). What they say is for an [`Answer`]: this crate reads no more of a message than
//! it needs to carry it.
//!
//! - A query costs no allocation and no task over UDP, and no more memory than it has bytes over
//!   the others; whoever sends much and reads nothing is let go.
//! - Every wait has a limit, and every thread and task ends with a drain.

mod contained;
mod counters;
mod doh;
mod lifetime;
mod servers;
pub mod service;
mod settings;
mod tcp;
mod udp;

use std::net::SocketAddr;

pub use counters::{Counters, Tally};
pub use servers::{Addresses, Running, Servers, StartError};
pub use settings::{Limits, Settings};

/// Answers queries. Each worker has its own, so it may keep things without locks.
pub trait Answer: Send + 'static {
    /// Appends the reply to `out`, which is empty before; leaves it empty to say nothing, as to
    /// what is no query. `query` is of any bytes and any length. A connection on which a message
    /// gets no reply is closed.
    fn answer(&mut self, query: &[u8], from: SocketAddr, transport: Transport, out: &mut Vec<u8>);

    /// The messages of a zone transfer, if that is what the query asks for and may have; asked
    /// before [`Answer::answer`], over TCP and TLS only. They are taken one at a time, as the
    /// client reads them.
    fn transfer(
        &mut self,
        query: &[u8],
        from: SocketAddr,
        transport: Transport,
    ) -> Option<Transfer> {
        let _ = (query, from, transport);
        None
    }

    /// Looks for what has changed: configuration, zones, health. Called before each batch of
    /// queries that came together, and every tenth of a second where nothing comes.
    fn refresh(&mut self) {}
}

/// The messages of a zone transfer.
pub struct Transfer(pub Box<dyn Iterator<Item = Vec<u8>>>);

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transfer")
    }
}

/// What a query came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams, whose sender may be forged.
    Udp,
    /// TCP in clear.
    Tcp,
    /// DNS over TLS.
    Tls,
    /// DNS over HTTPS.
    Https,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Tls, Self::Https];

    /// The stable word used in logs and counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }
}

/// Length of the header that every message begins with (RFC 1035 4.1.1).
const HEADER_BYTES: usize = 12;
/// How often an idle worker looks for what has changed.
const REFRESH: std::time::Duration = std::time::Duration::from_millis(100);

#[cfg(test)]
mod tests;
