//! The only crate that names HTTP or TLS libraries: it listens, accepts, speaks TLS, HTTP/1.1 and
//! HTTP/2 with clients, and connects, pools and speaks them with upstreams.
//!
//! What it promises to the crates above:
//! - A request that two parsers could read differently never reaches a handler as a request
//!   (`head.rs`, `chunk.rs`, `guard.rs`): it arrives marked with a [`Refusal`] instead.
//! - A body that did not arrive whole always ends in a [`BodyError`], on either side.
//! - Every wait on the network has a limit, every buffer a maximum, every task an owner.
//!
//! Nothing is `Send` that belongs to a worker: handlers, connections, pools and tasks stay on the
//! thread that made them.

mod authority;
mod body;
mod chunk;
mod client;
mod clock;
mod connect;
mod connection;
mod cork;
mod counters;
mod crew;
mod desk;
mod drive;
mod exchange;
mod file;
mod frames;
mod gate;
mod guard;
mod head;
mod lines;
mod listen;
mod pool;
mod refusal;
mod respond;
mod route;
mod scan;
mod seats;
mod serve;
mod settings;
mod socket;
mod streams;
mod target;
mod tasks;
mod tls;
mod tls_client;
mod tls_names;
mod tunnel;
mod upgrade;
mod upstream_body;
mod watch;
mod worker;

pub use authority::authority;
pub use body::{BodyError, OutgoingBody, RequestBody};
pub use client::{Client, ClientShared};
pub use clock::Clock;
pub use connection::{Connection, Protocol, TlsSession};
pub use counters::Counters;
pub use file::{read_file, read_file_up_to, read_text};
pub use lines::FieldLines;
pub use refusal::Refusal;
pub use seats::Seat;
pub use serve::{BindError, Handler, Running, Server, Worker, refusal, run_apart};
pub use settings::{Http2Limits, Limits, Settings, Timeouts};
pub use streams::{
    ByteStream, Guest, StreamCounters, StreamHandler, StreamServer, StreamSettings, StreamsRunning,
};
pub use target::{
    ClientSettings, Deadlines, Reply, Reuse, SendError, SendFailure, Target, UpstreamScheme,
};
pub use tasks::Tasks;
pub use tls::{CertificatePem, Certificates, Expiry, TlsError, TlsWarning};
pub use tls_client::ClientTls;
pub use tls_names::SiteNames;
pub use upgrade::{ClientUpgrade, TunnelEnd, TunnelReason, Upgraded, tunnel};
pub use upstream_body::{ReadAhead, UpstreamBody};

#[cfg(test)]
mod tests;
