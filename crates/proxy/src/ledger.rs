//! What is learned about a request on its way: one line in the access log and the counters, written
//! when the last byte has gone or the client has, whichever comes first.
//!
//! The ledger travels with the response's body and closes when that is dropped, so that an answer
//! the client left half way is logged as such. Text for the line is gathered only when the log is
//! on.

use crate::node::Core;
use crate::normalize::Ask;
use crate::plan::Site;
use crate::request_id::RequestId;
use http::{HeaderMap, Method, header};
use selvedge_net::BodyError;
use selvedge_policy::Scheme;
use selvedge_telemetry::{CacheResult, Record};
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// The account of one request.
pub(crate) struct Ledger {
    core: Rc<Core>,
    site: Option<Arc<Site>>,
    id: RequestId,
    started_us: u64,
    line: Option<Box<Line>>,
    behalf: Behalf,
    /// How the cache took part.
    pub(crate) cache: CacheResult,
    /// Why it did not answer, or why the request was refused.
    pub(crate) reason: Option<&'static str>,
    /// The status sent.
    pub(crate) status: u16,
    /// Body bytes handed to the connection.
    pub(crate) sent_bytes: u64,
    /// Body bytes taken from the client, counted as they come.
    received: Option<Rc<Cell<u64>>>,
    /// Of these, bytes that went by from the next hop without being stored.
    pub(crate) passed_bytes: u64,
    /// The body broke off on our side of the client.
    broken: bool,
    /// Whether the whole body was handed over.
    pub(crate) completed: bool,
    /// The Age sent.
    pub(crate) age_s: Option<u32>,
    /// What the exchange with the next hop cost, if there was one.
    pub(crate) fetched: Option<Fetched>,
}

/// On whose behalf something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behalf {
    /// A client sent the request.
    Client,
    /// A page needs a fragment.
    Page,
    /// Players will ask for it.
    Players,
}

/// What is known of an exchange with a next hop.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    /// The address of the hop that answered, or was asked last.
    pub(crate) upstream: Arc<str>,
    /// How many times a hop was asked.
    pub(crate) attempts: u32,
    /// Time until the head of the answer.
    pub(crate) first_byte_us: u64,
}

/// The text of a log line.
struct Line {
    client_ip: IpAddr,
    protocol: &'static str,
    tls_version: Option<&'static str>,
    method: Method,
    scheme: Scheme,
    host: String,
    path: String,
    range: Option<Vec<u8>>,
    referer: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    encoding: Option<String>,
    wait_us: Option<u64>,
}

/// What the connection knows of a request.
pub(crate) struct Origin<'a> {
    pub(crate) client_ip: IpAddr,
    pub(crate) protocol: &'static str,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) scheme: Scheme,
    pub(crate) method: &'a Method,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

impl Ledger {
    /// Opens the account of a request that arrived at `started_us` of the monotonic clock. What the
    /// connection knows is asked for only if there will be a line. Boxed, because it goes from hand
    /// to hand until the last byte has gone.
    pub(crate) fn open<'a>(
        core: &Rc<Core>,
        id: RequestId,
        started_us: u64,
        origin: impl FnOnce() -> Origin<'a>,
    ) -> Box<Self> {
        let node = &core.node;
        let is_on = node.access_log.is_on();
        let line = is_on.then(|| Box::new(Line::new(&origin(), node.log_query())));
        Box::new(Self::new(core, id, started_us, line))
    }

    /// Opens the account of a fragment: it has no line and is counted as what it is.
    pub(crate) fn of_fragment(core: &Rc<Core>, ask: &Ask, started_us: u64) -> Self {
        let mut ledger = Self::new(core, ask.id, started_us, None);
        ledger.at_site(&ask.site);
        ledger.behalf = Behalf::Page;
        ledger
    }

    /// Opens the account of what is fetched before anybody asks: only what it costs is counted.
    pub(crate) fn of_prefetch(core: &Rc<Core>, ask: &Ask, started_us: u64) -> Self {
        let mut ledger = Self::new(core, ask.id, started_us, None);
        ledger.at_site(&ask.site);
        ledger.behalf = Behalf::Players;
        ledger
    }

    fn new(core: &Rc<Core>, id: RequestId, started_us: u64, line: Option<Box<Line>>) -> Self {
        Self {
            started_us,
            core: Rc::clone(core),
            site: None,
            id,
            line,
            behalf: Behalf::Client,
            cache: CacheResult::Local,
            reason: None,
            status: 0,
            sent_bytes: 0,
            passed_bytes: 0,
            broken: false,
            received: None,
            completed: false,
            age_s: None,
            fetched: None,
        }
    }

    /// Names the site whose counters this request moves. Its tokens are never logged.
    pub(crate) fn at_site(&mut self, site: &Arc<Site>) {
        if let (Some(access), Some(line)) = (&site.access, &mut self.line) {
            if let Some((path, query)) = line.path.split_once('?') {
                line.path = format!("{path}?{}", access.without_token(query));
            }
            line.referer = line.referer.take().and_then(|page| access.referer(&page));
        }
        self.site = Some(Arc::clone(site));
    }

    /// Microseconds since the request arrived.
    pub(crate) fn elapsed_us(&self) -> u64 {
        self.core.node.clock.now_mono_us().saturating_sub(self.started_us)
    }

    /// Takes the bytes of the request's body from this count.
    pub(crate) fn receiving(&mut self, count: Rc<Cell<u64>>) {
        self.received = Some(count);
    }

    fn received_bytes(&self) -> u64 {
        self.received.as_ref().map_or(0, |count| count.get())
    }

    /// Notes that the answer waited until now for a fill or a next hop.
    pub(crate) fn waited(&mut self) {
        let elapsed = self.elapsed_us();
        if let Some(line) = &mut self.line {
            line.wait_us = Some(elapsed);
        }
    }

    /// Notes that the request got a page of this node's own, and why.
    pub(crate) fn refused(&mut self, word: &'static str, failed: bool) {
        self.reason = Some(word);
        if let Some(site) = &self.site {
            let counters = site.counters.here();
            if failed { counters.errors.inc(word) } else { counters.refused.inc(word) }
        }
    }

    /// Notes that the body ended before its end, for a reason that is not the client's.
    pub(crate) fn broken(&mut self, error: BodyError) {
        self.reason = Some(error.word());
        self.broken = true;
    }

    /// Notes the head that is about to be sent.
    pub(crate) fn answered<'a>(&mut self, status: u16, coding: impl FnOnce() -> Option<&'a [u8]>) {
        self.status = status;
        if let Some(line) = &mut self.line {
            line.encoding =
                coding().and_then(|coding| str::from_utf8(coding).ok()).map(str::to_owned);
        }
    }

    fn close(&mut self) {
        if self.behalf != Behalf::Client {
            return self.close_own();
        }
        let total_us = self.elapsed_us();
        match &self.site {
            Some(site) => {
                let counters = site.counters.here();
                counters.request_done(self.cache, self.status, self.sent_bytes, total_us);
                if let Some(received) = &self.received {
                    counters.client_received.add(received.get());
                }
                counters.upstream_sent.add(self.received_bytes());
                counters.upstream_received.add(self.passed_bytes);
                if self.broken {
                    counters.upstream_truncated.inc();
                } else if !self.completed {
                    counters.client_aborted.inc();
                }
            }
            None => {
                self.core.node.telemetry.node().refusals.inc(self.reason.unwrap_or("unknown"));
            }
        }
        if let Some(line) = self.line.take() {
            self.write(&line, total_us);
        }
    }

    fn close_own(&self) {
        let Some(site) = &self.site else { return };
        let counters = site.counters.here();
        if self.behalf == Behalf::Page {
            counters.esi_fragments.inc(self.cache.word());
        }
        counters.upstream_received.add(self.passed_bytes);
    }

    fn write(&self, line: &Line, total_us: u64) {
        let ended_ms = self.core.node.clock.now_wall_ms();
        let began_ms = ended_ms - (total_us / 1000) as i64;
        self.core.node.access_log.record(&Record {
            wall_s: began_ms.div_euclid(1000),
            wall_ms: began_ms.rem_euclid(1000) as u16,
            request_id: self.id.as_str(),
            site: self.site.as_ref().map_or("", |site| &site.name),
            client_ip: line.client_ip,
            protocol: line.protocol,
            tls_version: line.tls_version,
            method: line.method.as_str(),
            scheme: line.scheme.as_str(),
            host: &line.host,
            path: &line.path,
            status: self.status,
            sent_bytes: self.sent_bytes,
            received_bytes: self.received_bytes(),
            cache: self.cache.word(),
            reason: self.reason,
            wait_us: line.wait_us,
            first_byte_us: self.fetched.as_ref().map(|fetched| fetched.first_byte_us),
            total_us,
            upstream: self.fetched.as_ref().map(|fetched| &*fetched.upstream),
            upstream_attempts: self.fetched.as_ref().map_or(0, |fetched| fetched.attempts),
            age_s: self.age_s,
            encoding: line.encoding.as_deref(),
            range: line.range.as_deref(),
            referer: line.referer.as_deref(),
            user_agent: line.user_agent.as_deref(),
            completed: self.completed,
        });
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

impl Line {
    fn new(origin: &Origin<'_>, with_query: bool) -> Self {
        let field = |name| {
            origin.headers.get(name).map(|value: &http::HeaderValue| value.as_bytes().to_vec())
        };
        let path = match origin.query {
            Some(query) if with_query => format!("{}?{query}", origin.path),
            _ => origin.path.to_owned(),
        };
        Self {
            client_ip: origin.client_ip,
            protocol: origin.protocol,
            tls_version: origin.tls_version,
            method: origin.method.clone(),
            scheme: origin.scheme,
            host: origin.host.to_owned(),
            path,
            range: field(header::RANGE),
            referer: field(header::REFERER),
            user_agent: field(header::USER_AGENT),
            encoding: None,
            wait_us: None,
        }
    }
}
