//! Sending a request to an upstream.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::StatusCode;

use crate::body::OutgoingBody;
use crate::counters::Counters;
use crate::target::{ClientSettings, Deadlines, Reply, Reuse, SendError, SendFailure, Target};
use crate::tasks::Tasks;
use crate::tls_client::ClientTls;

/// What the clients of all workers share: settings, limits over all workers, resolved names.
#[derive(Debug)]
pub struct ClientShared {
    settings: ClientSettings,
    tls: ClientTls,
    counters: Arc<Counters>,
}

impl ClientShared {
    /// `tls` serves targets that have no TLS settings of their own.
    #[must_use]
    pub fn new(settings: ClientSettings, tls: ClientTls, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self { settings, tls, counters })
    }
}

/// The upstream side of one worker: its connection pools. Clones share them. Not `Send`.
#[derive(Clone, Debug)]
pub struct Client(Rc<(Arc<ClientShared>, Tasks)>);

impl Client {
    /// `tasks` are the worker's: connections are driven there.
    #[must_use]
    pub fn new(shared: Arc<ClientShared>, tasks: Tasks) -> Self {
        Self(Rc::new((shared, tasks)))
    }

    /// Sends a request and waits for the final response head.
    ///
    /// The request has a target in origin form (`/path?query`; `*` for OPTIONS) and a Host field;
    /// the rest is done here as the protocol of the connection wants it. Hop-by-hop fields must
    /// have been removed, but for `Connection: upgrade` with `Upgrade`, which asks for an HTTP/1.1
    /// connection; then the answer may be a 101 with [`Reply::upgrade`].
    ///
    /// # Errors
    /// See [`SendError`]; the request comes back when nothing of it was used.
    pub async fn send(
        &self,
        _target: &Target,
        req: Request<OutgoingBody>,
        _deadlines: &Deadlines,
        _reuse: Reuse,
    ) -> Result<Reply, SendFailure> {
        Err(SendFailure {
            error: SendError::PoolFull,
            request: Some(Box::new(req)),
            connect: Duration::ZERO,
        })
    }

    /// Asks whether a target is there: connects and, with a path, sends a GET on a new connection.
    /// `None` when only the connection was tried.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn probe(
        &self,
        _target: &Target,
        _host: &str,
        _path: Option<&str>,
        _limit: Duration,
    ) -> Result<Option<StatusCode>, SendError> {
        Ok(None)
    }
}
