//! All transports together: bound, run, drained and joined as one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use selvedge_datagram::{Options, Socket};
use selvedge_net::{
    BindError, Server, StreamServer, StreamSettings, StreamsRunning, Timeouts, Worker,
};

use crate::contained::Contained;
use crate::counters::Counters;
use crate::doh::Door;
use crate::settings::Settings;
use crate::tcp::Conversations;
use crate::{Answer, REFRESH, Transport, udp};

/// How often another port is tried when TCP cannot have the one that UDP got.
const PORTS_TRIED_MAX: usize = 16;
/// A request line with a query in base64url, and the fields that browsers send.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Threads of HTTPS wait no longer for whoever sends or reads nothing than those of TCP.
const HTTPS_STREAMS_MAX: u32 = 100;

/// Why servers could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be bound for datagrams.
    Datagrams(SocketAddr, io::Error),
    /// An address cannot be listened on, certificates are missing, or a thread.
    Streams(BindError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Datagrams(address, error) => write!(f, "cannot bind {address} (udp): {error}"),
            Self::Streams(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Streams(error)
    }
}

/// The addresses really bound, in the order of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of UDP and TCP.
    pub plain: Vec<SocketAddr>,
    /// Of DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// Of DNS over HTTPS.
    pub https: Vec<SocketAddr>,
}

/// Servers whose addresses are bound and whose threads do not run yet: queries queue up.
#[derive(Debug)]
pub struct Servers {
    settings: Settings,
    sockets: Vec<Socket>,
    streams: StreamServer,
    https: Option<Server>,
    addresses: Addresses,
    counters: Arc<Counters>,
}

impl Servers {
    /// Binds all addresses.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing stays bound.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let threads = settings.plain.len() * settings.datagram_workers.max(1);
        let counters = Arc::new(Counters::new(threads));
        let any_port = settings.plain.iter().any(|address| address.port() == 0);
        let mut left = if any_port { PORTS_TRIED_MAX } else { 1 };
        let (sockets, streams) = loop {
            left -= 1;
            match bind_plain(&settings, &counters) {
                Err(StartError::Streams(BindError::Address(_, error)))
                    if left > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                bound => break bound?,
            }
        };
        let https = match settings.https.is_empty() {
            true => None,
            false => Some(Server::bind(https_settings(&settings, &counters))?),
        };
        let addresses = Addresses {
            plain: streams.plain_addresses().to_vec(),
            tls: streams.tls_addresses().to_vec(),
            https: https.as_ref().map_or(&[][..], Server::https_addresses).to_vec(),
        };
        Ok(Self { settings, sockets, streams, https, addresses, counters })
    }

    /// The addresses really bound.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Starts all threads. Each gets what answers from `make`, which runs on it.
    ///
    /// # Errors
    /// When a thread cannot be made. Those that were are told to end at once.
    pub fn run<A: Answer>(
        self,
        make: impl Fn() -> A + Send + Sync + 'static,
    ) -> Result<Running, StartError> {
        let Self { settings, sockets, streams, https, addresses, counters } = self;
        let make = {
            let (make, counters) = (Arc::new(make), counters.clone());
            Arc::new(move || Contained::new(&make, &counters))
        };
        let ending = Arc::new(AtomicBool::new(false));
        let mut running = Running {
            ending,
            datagrams: Vec::with_capacity(sockets.len()),
            streams: None,
            https: None,
            addresses,
            counters: counters.clone(),
        };
        let started = (|| {
            running.run_datagrams(sockets, &make)?;
            if !settings.plain.is_empty() || !settings.tls.is_empty() {
                let (make, counters) = (make.clone(), counters.clone());
                let run = move |worker: Worker| {
                    Conversations::new(make(), settings.limits, &counters, &worker.tasks)
                };
                running.streams = Some(streams.run(run)?);
            }
            if let Some(server) = https {
                let path = settings.https_path.clone();
                let tally = counters.of(Transport::Https)[0].clone();
                let bytes_max = settings.limits.query_bytes_max;
                let run = move |worker: Worker| {
                    Door::new(make(), path.clone(), bytes_max, tally.clone(), &worker.tasks)
                };
                running.https = Some(server.run(run)?);
            }
            Ok(())
        })();
        match started {
            Ok(()) => Ok(running),
            Err(error) => {
                running.drain(Duration::ZERO);
                Err(error)
            }
        }
    }
}

/// Servers that run. Dropping this lets them run; use [`Running::drain`] to end them.
#[derive(Debug)]
pub struct Running {
    ending: Arc<AtomicBool>,
    datagrams: Vec<JoinHandle<()>>,
    streams: Option<StreamsRunning>,
    https: Option<selvedge_net::Running>,
    addresses: Addresses,
    counters: Arc<Counters>,
}

impl Running {
    fn run_datagrams<A: Answer, M: Fn() -> A + Send + Sync + 'static>(
        &mut self,
        sockets: Vec<Socket>,
        make: &Arc<M>,
    ) -> Result<(), StartError> {
        for (index, socket) in sockets.into_iter().enumerate() {
            let tally = self.counters.of(Transport::Udp)[index].clone();
            let (make, ending) = (make.clone(), self.ending.clone());
            let run = move || udp::run(&socket, &mut make(), &tally, &ending);
            let thread = std::thread::Builder::new().name(format!("dns-udp-{index}")).spawn(run);
            self.datagrams.push(thread.map_err(BindError::Thread)?);
        }
        Ok(())
    }

    /// The addresses bound.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What is counted.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Answers what has come, takes nothing new, and drops connections that are not at their end
    /// after `limit`. Returns at once; threads of datagrams end within a tenth of a second.
    pub fn drain(&self, limit: Duration) {
        self.ending.store(true, Ordering::Release);
        if let Some(streams) = &self.streams {
            streams.drain(limit);
        }
        if let Some(https) = &self.https {
            https.drain(limit);
        }
    }

    /// Whether all threads have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.datagrams.iter().all(JoinHandle::is_finished)
            && self.streams.as_ref().is_none_or(StreamsRunning::is_finished)
            && self.https.as_ref().is_none_or(selvedge_net::Running::is_finished)
    }

    /// Whether a thread has ended although nobody asked for a drain: it panicked, and not over one
    /// query. The kernel gives what would have come to it to the others.
    #[must_use]
    pub fn lost_worker(&self) -> bool {
        let is_ending = self.ending.load(Ordering::Acquire);
        !is_ending && self.datagrams.iter().any(JoinHandle::is_finished)
            || self.streams.as_ref().is_some_and(StreamsRunning::lost_worker)
            || self.https.as_ref().is_some_and(selvedge_net::Running::lost_worker)
    }

    /// Blocks until all threads have ended, which they do after a drain. `false` if one of them
    /// panicked or had to drop a connection.
    #[must_use]
    pub fn join(self) -> bool {
        let mut is_clean = true;
        for thread in self.datagrams {
            is_clean &= thread.join().is_ok();
        }
        is_clean &= self.streams.is_none_or(StreamsRunning::join);
        is_clean & self.https.is_none_or(selvedge_net::Running::join)
    }
}

/// Binds the addresses of UDP, and with the ports that it got those of TCP, and of TLS.
fn bind_plain(
    settings: &Settings,
    counters: &Counters,
) -> Result<(Vec<Socket>, StreamServer), StartError> {
    let options =
        Options { receive_buffer_bytes: settings.receive_buffer_bytes, patience: REFRESH };
    let mut sockets = Vec::new();
    let mut plain = Vec::with_capacity(settings.plain.len());
    for address in &settings.plain {
        let bound = Socket::bind(*address, settings.datagram_workers.max(1), &options)
            .map_err(|error| StartError::Datagrams(*address, error))?;
        plain.extend(bound.first().map(Socket::address));
        sockets.extend(bound);
    }
    let limits = &settings.limits;
    let streams = StreamServer::bind(StreamSettings {
        name: "dns-tcp".to_owned(),
        plain,
        tls: settings.tls.clone(),
        workers: settings.stream_workers.max(1),
        connections_max: limits.connections_max,
        connections_per_client_max: limits.connections_per_client_max,
        certificates: settings.certificates.clone(),
        protocol: b"dot".to_vec(),
        handshake: limits.handshake,
        plain_counters: counters.tcp_connections.clone(),
        tls_counters: counters.tls_connections.clone(),
        ..StreamSettings::default()
    })?;
    Ok((sockets, streams))
}

fn https_settings(settings: &Settings, counters: &Counters) -> selvedge_net::Settings {
    let limits = &settings.limits;
    let defaults = selvedge_net::Settings::default();
    selvedge_net::Settings {
        name: "dns-https".to_owned(),
        https: settings.https.clone(),
        workers: settings.stream_workers.max(1),
        connections_max: limits.connections_max,
        certificates: settings.certificates.clone(),
        limits: selvedge_net::Limits {
            head_bytes_max: HEAD_BYTES_MAX,
            body_bytes_max: limits.query_bytes_max as u64,
            ..defaults.limits
        },
        timeouts: Timeouts {
            handshake: limits.handshake,
            header: limits.idle,
            idle: limits.idle,
            body: limits.idle,
            send: limits.send,
        },
        http2: selvedge_net::Http2Limits { streams_max: HTTPS_STREAMS_MAX, ..defaults.http2 },
        counters: counters.https_connections.clone(),
        ..defaults
    }
}
