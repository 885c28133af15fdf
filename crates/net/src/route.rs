//! A connection for one request: one from the pool, or a new one in whichever protocol comes of it.

use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::client::Inner;
use crate::connect::{Wire, connect};
use crate::counters::Counters;
use crate::gate::Place;
use crate::pool::{Driver, Http1, Http2, Pool, Route, Sent, Share, Stream};
use crate::target::{Reuse, SendError, Target, UpstreamScheme};

/// Receive windows of HTTP/2: what one slow reader, and all of them, may leave with us unread.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Request bytes of one HTTP/2 stream that wait to be sent.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// An HTTP/2 connection with requests in flight is asked whether it is alive this often.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_LIMIT: Duration = Duration::from_secs(10);
/// Smallest read buffer that the HTTP library takes.
const READ_BUFFER_MIN: usize = 8 * 1024;

/// What a request wants of a connection.
pub(crate) struct Wish<'a> {
    pub(crate) target: &'a Target,
    /// For a place at the gate, and as long again to connect.
    pub(crate) limit: Duration,
    pub(crate) http1_only: bool,
}

impl Wish<'_> {
    fn may_be_http2(&self, pool: &Pool) -> bool {
        match self.target.scheme() {
            UpstreamScheme::Http => false,
            UpstreamScheme::Http2Clear => !self.http1_only,
            UpstreamScheme::Https => !self.http1_only && pool.speaks_http2.get() != Some(false),
        }
    }
}

impl Inner {
    /// A connection for one request with its place, and whether it had served before.
    pub(crate) async fn route(
        &self,
        pool: &Pool,
        wish: &Wish<'_>,
        reuse: Reuse,
    ) -> Result<(Route, bool), SendError> {
        if wish.may_be_http2(pool)
            && let Some(found) = self.route_http2(pool, wish, reuse).await?
        {
            return Ok(found);
        }
        let place = pool.gate.connections.enter(wish.limit).await?;
        let idle = if reuse == Reuse::Pooled { pool.take_idle() } else { None };
        if let Some(mut connection) = idle {
            connection.place = Some(place);
            return Ok((Route::Http1(connection), true));
        }
        let route = self.dial_for(pool, wish, place).await?;
        Ok((route, false))
    }

    /// As [`Inner::route`], where HTTP/2 may be spoken. `None` if it turned out that it is not.
    ///
    /// Places at the gate are asked for by the one whose turn it is: the others then share the
    /// connection for which it got one.
    async fn route_http2(
        &self,
        pool: &Pool,
        wish: &Wish<'_>,
        reuse: Reuse,
    ) -> Result<Option<(Route, bool)>, SendError> {
        let settings = &self.shared.settings;
        let mut own = Some(pool.streams.enter(wish.limit).await?);
        let mut shared = |mut stream: Stream| {
            stream.place = own.take();
            Ok(Some((Route::Http2(stream), true)))
        };
        if reuse == Reuse::Pooled
            && let Share::Stream(stream) = pool.share(settings, None)
        {
            return shared(stream);
        }
        let turn = match tokio::time::timeout(wish.limit, pool.turn.acquire()).await {
            Ok(turn) => turn,
            Err(_) if pool.gate.connections.is_full() => return Err(SendError::PoolFull),
            Err(_) => return Err(SendError::ConnectTimeout),
        };
        if !wish.may_be_http2(pool) {
            return Ok(None);
        }
        let share = |place| match reuse {
            Reuse::Pooled => pool.share(settings, place),
            Reuse::Fresh => place.map_or(Share::Wait, Share::Connect),
        };
        let mut place = None;
        let place = loop {
            match share(place.take()) {
                Share::Stream(stream) => return shared(stream),
                Share::Connect(place) => break place,
                Share::Wait => place = Some(pool.gate.connections.enter(wish.limit).await?),
            }
        };
        let mut route = self.dial_for(pool, wish, place).await?;
        if let Route::Http2(stream) = &mut route {
            stream.place = own;
        }
        drop(turn);
        Ok(Some((route, false)))
    }

    /// A new connection for a request, known to the pool.
    async fn dial_for(
        &self,
        pool: &Pool,
        wish: &Wish<'_>,
        place: Place,
    ) -> Result<Route, SendError> {
        let route = self.dial(wish, Some(place)).await?;
        if !wish.http1_only {
            pool.speaks_http2.set(Some(matches!(route, Route::Http2(_))));
        }
        if let Route::Http2(stream) = &route {
            pool.add_shared(stream.connection());
        }
        Ok(route)
    }

    /// A new connection.
    pub(crate) async fn dial(
        &self,
        wish: &Wish<'_>,
        place: Option<Place>,
    ) -> Result<Route, SendError> {
        let (shared, http1_only) = (&self.shared, wish.http1_only);
        Counters::add(&shared.counters.upstream_connects);
        let connected = connect(wish.target, &shared.tls, &shared.names, http1_only, wish.limit);
        let (wire, is_http2) = connected.await.inspect_err(|_| {
            Counters::add(&shared.counters.upstream_connect_failures);
        })?;
        if is_http2 && !(http1_only && wish.target.scheme() == UpstreamScheme::Http2Clear) {
            self.begin_http2(wire, place).await
        } else {
            self.begin_http1(wire, place).await
        }
    }

    async fn begin_http1(&self, wire: Wire, place: Option<Place>) -> Result<Route, SendError> {
        let settings = &self.shared.settings;
        let (sender, connection) = http1::Builder::new()
            .max_headers(settings.fields_max)
            .max_buf_size(settings.head_bytes_max.max(READ_BUFFER_MIN))
            .handshake::<_, Sent>(TokioIo::new(wire))
            .await
            .map_err(|error| SendError::Protocol(error.to_string()))?;
        let driver = self.tasks.spawn_driver(async move {
            // Whoever sent the request gets the error.
            drop(connection.with_upgrades().await);
        });
        Ok(Route::Http1(Http1 { sender, _driver: Driver(driver), place }))
    }

    async fn begin_http2(&self, wire: Wire, place: Option<Place>) -> Result<Route, SendError> {
        let head_bytes_max = self.shared.settings.head_bytes_max;
        let (sender, connection) = http2::Builder::new(self.tasks.background())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_LIMIT)
            .handshake::<_, Sent>(TokioIo::new(wire))
            .await
            .map_err(|error| SendError::Protocol(error.to_string()))?;
        let driver = self.tasks.spawn_driver(async move { drop(connection.await) });
        let connection = Rc::new(Http2::new(sender, Driver(driver)));
        Ok(Route::Http2(Stream::new(connection, place, self.shared.clock)))
    }
}
