//! The life of a request, from its head to the first byte of its answer. Edges and parents run the
//! same function; page two is `fetch.rs`.
//!
//! ```text
//! admit -> route -> normalize -> lookup -+- fresh --------------------+
//!                                        +- stale -> refresh behind --+
//!                                        +- filling -> join the fill -+-> transform -> deliver
//!                                        +- miss -> fetch ------------+   (then the log)
//!                                        +- pass -> fetch, no store --+
//! ```

use crate::access::Asked;
use crate::admit::{self, Arrival};
use crate::body::Body;
use crate::carries::Carries;
use crate::cors;
use crate::deliver;
use crate::esi::{self, Assembled};
use crate::fetch::{self, Known};
use crate::growing;
use crate::ledger::{Ledger, Origin};
use crate::made::Sheet;
use crate::media;
use crate::node::Core;
use crate::normalize::{self, Ask};
use crate::plan::{Plan, Site};
use crate::purge;
use crate::request_id::RequestId;
use crate::rescue::Failure;
use crate::revision::{self, BEHIND, SELVEDGE_REVISION};
use crate::route;
use crate::slice_reader::SliceReader;
use crate::transform;
use crate::upgrade;
use crate::upstream::InFlight;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use selvedge_net::{Connection, Protocol, Refusal, RequestBody, UpstreamBody};
use selvedge_policy::target::normalize_host;
use selvedge_policy::{Fwd, Now, Reuse, Why, reuse};
use selvedge_store::{Entry, FillReader, Head, Object};
use selvedge_telemetry::{CacheResult, StaleReason};
use std::rc::Rc;
use std::sync::Arc;

/// What is known of a request whatever becomes of it.
pub(crate) struct Visit {
    pub(crate) ledger: Box<Ledger>,
    pub(crate) id: RequestId,
    /// When it arrived.
    pub(crate) now: Now,
    pub(crate) carries: Carries,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) accept: Option<HeaderValue>,
    /// The page that reads the answer, where the site has a say in that.
    pub(crate) reader: Option<cors::Reader>,
}

/// An answer that has been found, before it takes the form in which this client gets it.
pub(crate) struct Served {
    pub(crate) what: What,
    pub(crate) trail: Trail,
}

/// Where the answer comes from.
pub(crate) enum What {
    /// The store.
    Object(Arc<Object>),
    /// The store, slice by slice, and where slices are missing the next hop.
    Sliced(Box<SliceReader>),
    /// The same, and the part is the one of this Content-Range, whatever was asked for.
    Part(Box<SliceReader>, HeaderValue),
    /// A fill that still runs.
    Fill(FillReader, Arc<Head>),
    /// Bytes that were made here for this client.
    Page(Box<Sheet>),
    /// The next hop; it is not for sharing.
    Passed(Box<(Response<UpstreamBody>, InFlight)>),
    /// What this node says by itself, without a body.
    Own(Box<(StatusCode, HeaderMap)>),
    /// The connection leaves HTTP.
    Switch(Box<Response<()>>),
}

/// How it was found, in the words of the log and of Cache-Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trail {
    pub(crate) cache: CacheResult,
    pub(crate) fwd: Option<Fwd>,
    pub(crate) fwd_status: Option<u16>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) detail: Option<&'static str>,
}

/// What the store says to a request.
enum Found {
    Fresh(Arc<Object>),
    Stale(Arc<Object>, StaleReason),
    Passing,
    Missing(Option<Arc<Object>>, Fwd, Option<&'static str>),
    Refused,
}

impl Found {
    /// The same for one who knows of more purges than this node.
    fn doubted(self) -> Self {
        match self {
            Self::Fresh(object) | Self::Stale(object, _) => {
                Self::Missing(Some(object), Fwd::Stale, Some(BEHIND))
            }
            Self::Missing(stale, fwd, _) => Self::Missing(stale, fwd, Some(BEHIND)),
            Self::Passing | Self::Refused => self,
        }
    }
}

/// Answers one request.
pub(crate) async fn serve(
    core: Rc<Core>,
    req: Box<Request<RequestBody>>,
    connection: Rc<Connection>,
) -> Response<Body> {
    let carries = Carries::of(req.headers());
    let mut plan = core.node.plan();
    let mut arrival = Arrival::of(&plan, req.headers(), carries, &connection);
    if let Some(asked) = core.node.asked_revision(req.headers(), carries, arrival.trusted) {
        Box::pin(core.node.catch_up(asked)).await;
        plan = core.node.plan();
        arrival.asked_revision = Some(asked);
        arrival.behind = core.node.behind(Some(asked));
    }
    let behind = arrival.behind;
    let mut visit = Visit::begin(&core, &arrival, carries, &req, &connection);
    if admit::ends_here(&req) {
        return deliver::options(visit);
    }
    if purge::is_purge(req.method()) {
        let purge = purge::serve(&core, &plan, &arrival, &req, &connection, visit);
        return Box::pin(purge).await;
    }
    let mut resp = match live(&core, plan, arrival, req, &connection, &mut visit).await {
        Ok((ask, served)) => deliver::deliver(&core, &ask, served, &connection, visit),
        Err(failure) => deliver::refuse(&core, &failure, visit),
    };
    if let Some(own) = behind {
        resp.headers_mut().insert(SELVEDGE_REVISION, revision::value(own));
    }
    resp
}

/// The steps, in order.
async fn live(
    core: &Rc<Core>,
    plan: Arc<Plan>,
    arrival: Arrival,
    mut req: Box<Request<RequestBody>>,
    connection: &Rc<Connection>,
    visit: &mut Visit,
) -> Result<(Rc<Ask>, Served), Failure> {
    admit::admit(&core.node.name, &req, visit.carries)?;
    let (host, site) = find_site(core, &plan, &req, &arrival, connection)?;
    visit.ledger.at_site(&site);
    if arrival.from_peer {
        site.counters.here().peer_requests.inc();
    }
    visit.reader = cors::Reader::of(site.cors.as_ref(), visit.carries, req.method(), req.headers());
    let own = own_answer(&plan, &site, &arrival, &host, &req);
    if let (Some(access), None) = (&site.access, &own) {
        access.admit(&Asked {
            method: req.method(),
            path: req.uri().path(),
            query: req.uri().query(),
            headers: req.headers(),
            client: arrival.client,
            wall_s: visit.now.wall_s,
        })?;
    }
    let ask = Ask::new(visit, plan, site, &core.node.seed, arrival, host, &mut req)?;
    if ask.media.may_be_held() {
        visit.let_go();
    }
    if let Some(own) = own {
        return Ok((ask, Served { what: What::Own(Box::new(own)), trail: Trail::LOCAL }));
    }
    if ask.upgrade.is_some() {
        let switch = upgrade::switch(core, &ask, connection, &mut visit.ledger);
        let served = Box::pin(switch).await?;
        return Ok((ask, served));
    }
    let (now, body) = (visit.now, req.into_body());
    let mut served = answer(core, &ask, body, now, &mut visit.ledger).await?;
    media::note(core, &ask, &served);
    if ask.carries.range {
        served = Box::pin(growing::settle(core, &ask, served, &mut visit.ledger)).await?;
    }
    if media::is_rewritten(core, &ask, &served) {
        served = Box::pin(media::rewrite(core, &ask, served, &mut visit.ledger)).await?;
    }
    if esi::wants(&ask, &served) {
        let assemble = esi::assemble(core, &ask, served, &mut visit.ledger);
        served = match Box::pin(assemble).await? {
            Assembled::Page(served) => return Ok((ask, served)),
            Assembled::Plain(served) => served,
        };
    }
    let served = match transform::coding_for(&ask, &served) {
        None => served,
        Some(coding) => Box::pin(transform::encode(core, &ask, served, coding)).await?,
    };
    let served = match &served.what {
        What::Object(object) if object.body.sliced().is_some() => {
            Box::pin(fetch::complete(core, &ask, served, &mut visit.ledger)).await?
        }
        _ => served,
    };
    Ok((ask, served))
}

/// What this node says without looking for anything: the answer to a preflight, or where the client
/// is to go instead.
fn own_answer(
    plan: &Plan,
    site: &Site,
    arrival: &Arrival,
    host: &str,
    req: &Request<RequestBody>,
) -> Option<(StatusCode, HeaderMap)> {
    let preflight = site.cors.as_ref().and_then(|it| it.preflight(req.method(), req.headers()));
    preflight.or_else(|| {
        let location = normalize::https_location(plan, site, arrival, host, req)?;
        Some((StatusCode::PERMANENT_REDIRECT, deliver::redirect_fields(location)))
    })
}

/// Finds the answer for a request that was understood: what is stored, or what the next hop says.
/// The fragments of a page come through here as well.
pub(crate) async fn answer(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    body: RequestBody,
    now: Now,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    Ok(if ask.is_for_cache(body.is_end_stream()) {
        let found = {
            let store = &core.node.store;
            let mut entry = store.lookup(ask.key, &ask.full_key);
            if entry.is_none() && store.may_recall(ask.key) {
                entry = Box::pin(store.recall(ask.key, &ask.full_key)).await;
            }
            find(core, entry.as_deref(), ask, now)
        };
        match found {
            Found::Fresh(object) => Served::stored(object, Trail::HIT),
            Found::Stale(object, reason) => {
                if reason == StaleReason::WhileRevalidate {
                    fetch::refresh_behind(core, ask, &object);
                }
                ask.site.counters.here().stale_served(reason);
                Served::stored(object, Trail::stale(reason))
            }
            Found::Passing => {
                Box::pin(fetch::pass(core, ask, body, Trail::HIT_FOR_MISS, ledger)).await?
            }
            Found::Missing(stale, fwd, detail) => {
                let trail = Trail::miss(fwd, detail);
                let known = Known { stale, unfit: None };
                Box::pin(fetch::obtain(core, ask, known, trail, ledger)).await?
            }
            Found::Refused => return Err(Failure::OnlyIfCached),
        }
    } else {
        let has_body_in_no_key = matches!(ask.method, Method::GET | Method::HEAD);
        let trail = match ask.media.fault {
            Some(fault) => Trail { detail: Some(fault.word()), ..Trail::BODY },
            None if has_body_in_no_key => Trail::BODY,
            None => Trail::METHOD,
        };
        Box::pin(fetch::pass(core, ask, body, trail, ledger)).await?
    })
}

/// The one host that key, routing and origin go by, and its site. Over TLS the host must be the one
/// that the handshake named: a certificate was chosen for that one (RFC 9110 7.4).
pub(crate) fn find_site(
    core: &Core,
    plan: &Plan,
    req: &Request<RequestBody>,
    arrival: &Arrival,
    connection: &Connection,
) -> Result<(Rc<str>, Arc<Site>), Failure> {
    let authority = selvedge_net::authority(req).map_err(Failure::Refused)?;
    let (host, known) = match core.names.find(plan.revision, arrival.scheme, authority) {
        Some((host, site)) => (host, Some(site)),
        None => {
            let host = normalize_host(authority, arrival.scheme)
                .map_err(|_| Failure::Refused(Refusal::HostInvalid))?;
            (host.into(), None)
        }
    };
    let sni = connection.tls().and_then(|tls| tls.sni.as_deref());
    if sni.is_some_and(|sni| sni != route::host_of(&host)) {
        return Err(Failure::Misdirected);
    }
    let site = match known {
        Some(site) => site,
        None => {
            let found = plan.routes.find(route::host_of(&host)).ok_or(Failure::UnknownHost)?;
            core.names.keep(plan.revision, arrival.scheme, authority, &host, found);
            Arc::clone(found)
        }
    };
    Ok((host, site))
}

fn find(core: &Core, entry: Option<&Entry>, ask: &Ask, now: Now) -> Found {
    let found = find_known(core, entry, ask, now);
    match ask.arrival.behind {
        None => found,
        Some(_) if ask.directives.refuses_fetch(&ask.site.rules) => Found::Refused,
        Some(_) => found.doubted(),
    }
}

fn find_known(core: &Core, entry: Option<&Entry>, ask: &Ask, now: Now) -> Found {
    let rules = &ask.site.rules;
    let nothing = |fwd| {
        if ask.directives.refuses_fetch(rules) {
            Found::Refused
        } else {
            Found::Missing(None, fwd, None)
        }
    };
    let Some(entry) = entry else { return nothing(Fwd::UriMiss) };
    let Some(object) = entry.select(&ask.headers, rules).or_else(|| page_in(entry, ask)) else {
        return match nothing(Fwd::VaryMiss) {
            Found::Missing(..) if entry.passing(now) => Found::Passing,
            found => found,
        };
    };
    match reuse(&object.meta, &ask.directives, rules, now) {
        Reuse::Fresh if media::is_outdated(core, ask, object, now) => {
            Found::Missing(Some(Arc::clone(object)), Fwd::Stale, Some(PUBLISHED))
        }
        Reuse::Fresh => Found::Fresh(Arc::clone(object)),
        Reuse::Stale => Found::Stale(Arc::clone(object), StaleReason::ClientAllowed),
        Reuse::StaleWhileRevalidate => {
            Found::Stale(Arc::clone(object), StaleReason::WhileRevalidate)
        }
        // The last answer was not for sharing: nobody waits to hear it again.
        Reuse::Revalidate(_) if entry.passing(now) => Found::Passing,
        Reuse::Revalidate(why) => {
            let fwd = if why == Why::Stale { Fwd::Stale } else { Fwd::Request };
            let detail = (why != Why::Stale).then(|| why.word());
            Found::Missing(Some(Arc::clone(object)), fwd, detail)
        }
        Reuse::OnlyIfCachedMiss => Found::Refused,
    }
}

/// The word for an error that a manifest has contradicted since.
const PUBLISHED: &str = "published-since";

/// A page that is stored in a coding which this request does not take: it is assembled without it,
/// so one stored form serves all.
fn page_in<'a>(entry: &'a Entry, ask: &Ask) -> Option<&'a Arc<Object>> {
    ask.site.esi.as_ref()?;
    let mut headers = ask.headers.clone();
    let mut select = |coding: Option<&'static str>| {
        match coding {
            None => drop(headers.remove(header::ACCEPT_ENCODING)),
            Some(coding) => {
                let coding = HeaderValue::from_static(coding);
                headers.insert(header::ACCEPT_ENCODING, coding);
            }
        }
        entry.select(&headers, &ask.site.rules).filter(|object| esi::is_page(ask, object))
    };
    [None, Some("gzip"), Some("br"), Some("br, gzip"), Some("br, gzip, zstd")]
        .into_iter()
        .find_map(&mut select)
}

impl Visit {
    fn begin(
        core: &Rc<Core>,
        arrival: &Arrival,
        carries: Carries,
        req: &Request<RequestBody>,
        connection: &Connection,
    ) -> Self {
        let mono_us = core.node.clock.now_mono_us();
        let told = if arrival.trusted { req.headers().get("x-request-id") } else { None };
        let id = told.and_then(RequestId::parse).unwrap_or_else(|| core.node.ids.next());
        let ledger = Ledger::open(core, id, mono_us, || Origin {
            client_ip: arrival.client,
            protocol: match (connection.protocol(), req.version()) {
                (Protocol::Http2, _) => "HTTP/2",
                (Protocol::Http1, Version::HTTP_10) => "HTTP/1.0",
                (Protocol::Http1, _) => "HTTP/1.1",
            },
            tls_version: connection.tls().map(|tls| tls.version),
            scheme: arrival.scheme,
            method: req.method(),
            host: selvedge_net::authority(req).unwrap_or(""),
            path: req.uri().path(),
            query: req.uri().query(),
            headers: req.headers(),
        });
        Self {
            ledger,
            id,
            now: core.at(mono_us),
            carries,
            method: req.method().clone(),
            version: req.version(),
            accept: carries.accept.then(|| req.headers().get(header::ACCEPT).cloned()).flatten(),
            reader: None,
        }
    }
}

impl Visit {
    /// Lets go of the buffer that the request was read into: it may be held for long.
    fn let_go(&mut self) {
        let copy = |value: HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        self.accept = self.accept.take().and_then(copy);
    }
}

impl Served {
    pub(crate) fn stored(object: Arc<Object>, trail: Trail) -> Self {
        Self { what: What::Object(object), trail }
    }

    /// The head of a response that may be shared.
    pub(crate) fn shared_head(&self) -> Option<&Arc<Head>> {
        match &self.what {
            What::Object(object) => Some(&object.head),
            What::Sliced(reader) | What::Part(reader, _) => Some(&reader.object().head),
            What::Fill(_, head) => Some(head),
            What::Passed(..) | What::Page(_) | What::Own(_) | What::Switch(_) => None,
        }
    }
}

impl Trail {
    const fn new(cache: CacheResult) -> Self {
        Self { cache, fwd: None, fwd_status: None, stored: false, collapsed: false, detail: None }
    }

    /// Answered by this node itself.
    pub(crate) const LOCAL: Self = Self::new(CacheResult::Local);
    /// Answered from the store.
    pub(crate) const HIT: Self = Self::new(CacheResult::Hit);
    /// Gone on without waiting: the last answer was not for sharing.
    pub(crate) const HIT_FOR_MISS: Self = Self {
        fwd: Some(Fwd::UriMiss),
        detail: Some("hit-for-miss"),
        ..Self::new(CacheResult::HitForMiss)
    };
    /// Gone on because of its method.
    pub(crate) const METHOD: Self = Self { fwd: Some(Fwd::Method), ..Self::new(CacheResult::Pass) };
    /// Gone on because the tag of a fragment says that nothing stored is to answer.
    pub(crate) const NO_STORE: Self = Self {
        fwd: Some(Fwd::Bypass),
        detail: Some("no-store-tag"),
        ..Self::new(CacheResult::Pass)
    };
    /// Gone on because its body is in no key.
    pub(crate) const BODY: Self = Self {
        fwd: Some(Fwd::Bypass),
        detail: Some(fetch::REQUEST_BODY),
        ..Self::new(CacheResult::Pass)
    };
    /// Switched to another protocol.
    pub(crate) const TUNNEL: Self =
        Self { fwd: Some(Fwd::Bypass), ..Self::new(CacheResult::Tunnel) };

    /// Answered from the store after its lifetime.
    pub(crate) const fn stale(reason: StaleReason) -> Self {
        Self { detail: Some(reason.word()), ..Self::new(CacheResult::Stale) }
    }

    pub(crate) const fn miss(fwd: Fwd, detail: Option<&'static str>) -> Self {
        Self { fwd: Some(fwd), detail, ..Self::new(CacheResult::Miss) }
    }
}
