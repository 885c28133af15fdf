//! One fragment: from its tag to its first bytes. A fragment is an ordinary request: it has its own
//! key, lifetime and tags, joins a fill that runs, and is answered stale where others would be.

use super::assembly::{Assembly, Lineage, Page};
use super::head::Life;
use super::rules::Part;
use super::text::{Flow, Text};
use super::trace::Line;
use super::{kept, wants};
use crate::fetch;
use crate::ledger::Ledger;
use crate::normalize::Ask;
use crate::request::{self, Served, Trail, What};
use crate::rescue::{self, Failure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use selvedge_esi::{
    Assembly as Heed, Base, HostForm, Include, OnError, Piece, Target, Try, host_form, resolve,
};
use selvedge_net::{BodyError, RequestBody};
use selvedge_policy::{Scheme, hop, validate};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes of a fragment that are taken before any of them is sent: one that breaks off within them
/// can still be replaced.
const TAKEN_BYTES_MAX: usize = 256 << 10;
/// Bytes that an attempt may come to: nothing of it is sent before all of it is there.
const ATTEMPT_BYTES_MAX: usize = 4 << 20;
/// No tag may have its page wait longer.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What is to be done for a place in line.
pub(super) enum Task {
    Include(Arc<Include>),
    Try(Box<Try>),
}

/// Neither a fragment nor what may stand in for it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed;

/// Why a fragment is not there.
#[derive(Debug, Clone, Copy)]
enum Absent {
    /// It failed.
    Failed(&'static str),
    /// It is left out, as if it were empty: asking on would have no end.
    Omitted(&'static str),
}

/// A fragment that has come, or has begun to.
pub(super) struct Fragment {
    page: Rc<Page>,
    taken: VecDeque<Bytes>,
    taken_bytes: usize,
    rest: Option<Stream>,
}

/// The bytes of a fragment.
enum Stream {
    Flow(Box<Flow>),
    Assembly(Box<Assembly>),
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Flow(flow) => flow.poll(cx),
            Self::Assembly(assembly) => assembly.poll(cx),
        }
    }
}

impl Fragment {
    fn empty(page: &Rc<Page>) -> Self {
        Self { page: Rc::clone(page), taken: VecDeque::new(), taken_bytes: 0, rest: None }
    }

    /// Takes the first bytes of a stream, up to so many or all there are. An error if it breaks off
    /// within them.
    async fn take(page: &Rc<Page>, stream: Stream, bytes_max: usize) -> Result<Self, BodyError> {
        let mut fragment = Self::empty(page);
        fragment.rest = Some(stream);
        while let Some(stream) = &mut fragment.rest
            && fragment.taken_bytes < bytes_max
            && page.may_hold(1)
        {
            match poll_fn(|cx| stream.poll(cx)).await {
                Some(Ok(bytes)) => {
                    page.hold(bytes.len());
                    fragment.taken_bytes += bytes.len();
                    fragment.taken.push_back(bytes);
                }
                Some(Err(error)) => return Err(error),
                None => fragment.rest = None,
            }
        }
        Ok(fragment)
    }

    /// Whether more of it was to come when it was taken.
    pub(super) const fn is_open(&self) -> bool {
        self.rest.is_some()
    }

    /// The next bytes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(bytes) = self.taken.pop_front() {
            self.taken_bytes -= bytes.len();
            self.page.release(bytes.len());
            return Poll::Ready(Some(Ok(bytes)));
        }
        self.rest.as_mut().map_or(Poll::Ready(None), |rest| rest.poll(cx))
    }
}

impl Drop for Fragment {
    fn drop(&mut self) {
        self.page.release(self.taken_bytes);
    }
}

/// Does what is to be done for a place in line of the page that `ask` is the request for.
pub(super) async fn obtain(
    page: Rc<Page>,
    ask: Rc<Ask>,
    lineage: Rc<Lineage>,
    task: Task,
) -> Result<Fragment, Failed> {
    match task {
        Task::Include(tag) => include(&page, &ask, &lineage, &tag).await,
        Task::Try(both) => {
            let Try { attempt, except } = *both;
            match all_of(&page, &ask, &lineage, attempt).await {
                Err(Failed) => all_of(&page, &ask, &lineage, except).await,
                come => come,
            }
        }
    }
}

/// All of these pieces, or nothing.
async fn all_of(
    page: &Rc<Page>,
    ask: &Rc<Ask>,
    lineage: &Rc<Lineage>,
    pieces: Vec<Piece>,
) -> Result<Fragment, Failed> {
    let assembly = Assembly::of_pieces(page, ask, lineage, pieces);
    let stream = Stream::Assembly(Box::new(assembly));
    match Fragment::take(page, stream, ATTEMPT_BYTES_MAX).await {
        Ok(fragment) if fragment.rest.is_none() => Ok(fragment),
        Ok(_) => {
            page.fault("attempt-too-large");
            Err(Failed)
        }
        Err(_) => Err(Failed),
    }
}

/// What a tag asks for, or what stands in for it.
async fn include(
    page: &Rc<Page>,
    ask: &Rc<Ask>,
    lineage: &Rc<Lineage>,
    tag: &Include,
) -> Result<Fragment, Failed> {
    let limit = tag.max_wait.unwrap_or(page.rules.timeout).min(WAIT_MAX);
    for src in [Some(&tag.src), tag.alt.as_ref()].into_iter().flatten() {
        let mut line = Line::begin(page, lineage, src);
        let come = one(page, ask, lineage, tag, src, &mut line);
        let absent = match tokio::time::timeout(limit, come).await {
            Ok(Ok(fragment)) => {
                line.end(page, "ok", fragment.taken_bytes);
                return Ok(fragment);
            }
            Ok(Err(absent)) => absent,
            Err(_) => Absent::Failed("fragment-timeout"),
        };
        let (Absent::Failed(word) | Absent::Omitted(word)) = absent;
        line.end(page, word, 0);
        page.fault(word);
        let (site, path) = (&ask.site.name, ask.path());
        tracing::debug!(%site, page = %path, src = %&**src, word, "no fragment");
        if let Absent::Omitted(_) = absent {
            return Ok(Fragment::empty(page));
        }
    }
    match tag.on_error {
        OnError::Continue => Ok(Fragment::empty(page)),
        OnError::Fail => Err(Failed),
    }
}

/// One fragment from one address.
async fn one(
    page: &Rc<Page>,
    ask: &Rc<Ask>,
    lineage: &Rc<Lineage>,
    tag: &Include,
    src: &str,
    line: &mut Line,
) -> Result<Fragment, Absent> {
    let core = &page.core;
    let part = part(page, ask, tag, src).map_err(Absent::Failed)?;
    let part = ask.fragment(&core.node.seed, part, core.node.now());
    let part = part.map_err(|failure| {
        Absent::Failed(match failure {
            Failure::Denied(denied) => denied.word(),
            _ => "src-path",
        })
    })?;
    if lineage.has(part.key) {
        return Err(Absent::Omitted("fragment-loop"));
    }
    if lineage.depth() >= page.rules.depth_max {
        return Err(Absent::Omitted("fragment-too-deep"));
    }
    if !page.take_fragment() {
        return Err(Absent::Omitted("fragment-too-many"));
    }
    let mono_us = core.node.clock.now_mono_us();
    let mut ledger = Ledger::of_fragment(core, &part, mono_us);
    let body = tag.entity.clone().filter(|_| part.method == Method::POST);
    let body = body.map_or_else(RequestBody::empty, RequestBody::full);
    let found = if tag.no_store {
        Box::pin(fetch::pass(core, &part, body, Trail::NO_STORE, &mut ledger)).await
    } else {
        request::answer(core, &part, body, core.at(mono_us), &mut ledger).await
    };
    let served = found.map_err(|failure| Absent::Failed(rescue::answer(&failure).word))?;
    ledger.cache = served.trail.cache;
    line.found(served.trail.cache);
    let status = note(page, &served);
    if !status.is_success() || status == StatusCode::PARTIAL_CONTENT {
        return Err(Absent::Failed(word_of(status)));
    }
    let stream =
        stream(page, &part, lineage, tag, served).map_err(|error| Absent::Failed(error.word()))?;
    let taken = Fragment::take(page, stream, TAKEN_BYTES_MAX).await;
    taken.map_err(|error| Absent::Failed(error.word()))
}

/// The bytes of a fragment, which may be a page itself.
fn stream(
    page: &Rc<Page>,
    part: &Rc<Ask>,
    lineage: &Rc<Lineage>,
    tag: &Include,
    served: Served,
) -> Result<Stream, BodyError> {
    let core = &page.core;
    let is_page = match tag.assembly {
        Some(Heed::None) => false,
        Some(Heed::Esi) => true,
        None => wants(part, &served),
    };
    if !is_page {
        return Ok(Stream::Flow(Box::new(Flow::of(core, part, served.what)?)));
    }
    Ok(match Text::of(core, part, served.what)? {
        Text::Plain(what) => Stream::Flow(Box::new(Flow::of(core, part, what)?)),
        text => {
            let lineage = Lineage::new(part.key, Some(lineage));
            let assembly = Assembly::new(Rc::clone(page), Rc::clone(part), lineage, text);
            Stream::Assembly(Box::new(assembly))
        }
    })
}

/// Notes what an answer means for the page that it becomes a part of; gives its status. Cookies
/// that it sets go nowhere: the head of the page has gone, and the page may be others' too.
fn note(page: &Page, served: &Served) -> StatusCode {
    let now = page.core.node.now();
    let (status, mut life, sets_cookie) = match (&served.what, served.shared_head()) {
        (_, Some(head)) => {
            let life =
                kept(head).map_or_else(Life::unknown, |kept| kept.life.after(head.meta.age_s(now)));
            (head.status, life, head.headers.first("set-cookie").is_some())
        }
        (What::Passed(passing), None) => {
            let headers = passing.0.headers();
            (passing.0.status(), Life::of_passed(headers), headers.contains_key(header::SET_COOKIE))
        }
        _ => (StatusCode::BAD_GATEWAY, Life::unknown(), false),
    };
    if varies(served) {
        // The page does not say so, and its head may have gone.
        life = life.of_one_visitor();
    }
    if status.is_success() {
        page.life.set(page.life.get().and(life));
        if sets_cookie {
            page.fault("set-cookie-dropped");
        }
    }
    status
}

/// Whether another visitor may get another fragment, and not just another coding of it.
fn varies(served: &Served) -> bool {
    let names_more = |value: &[u8]| {
        let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"accept-encoding"))
    };
    let of_all = |headers: &HeaderMap| {
        headers.get_all(header::VARY).iter().any(|line| names_more(line.as_bytes()))
    };
    match (&served.what, served.shared_head()) {
        (_, Some(head)) => of_all(&head.headers),
        (What::Passed(passing), None) => of_all(passing.0.headers()),
        _ => false,
    }
}

const fn word_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..400 => "fragment-redirect",
        404 | 410 => "fragment-not-found",
        400..500 => "fragment-client-error",
        _ => "fragment-server-error",
    }
}

/// The request that a tag makes of the request for its page.
fn part(page: &Page, ask: &Ask, tag: &Include, src: &str) -> Result<Part, &'static str> {
    let own = ask.arrival.scheme;
    let base = Base { scheme: scheme(own), host: &ask.host, path: ask.path(), query: ask.query() };
    let target = resolve(&base, src).map_err(|refusal| refusal.word())?;
    let Target { scheme: named, authority, path_and_query } = target;
    let wanted = match named {
        Some(selvedge_esi::Scheme::Http) => Scheme::Http,
        Some(selvedge_esi::Scheme::Https) => Scheme::Https,
        None => own,
    };
    let is_own = authority.as_deref().is_none_or(|authority| authority == &*ask.host);
    // What is stored of a site does not tell its schemes apart where its origin is the same: the
    // page's own scheme is the one under which its fragments are known.
    let (site, scheme, host) = if is_own {
        (Arc::clone(&ask.site), own, Rc::clone(&ask.host))
    } else {
        let host = authority.unwrap_or_default();
        let site = other(page, ask, wanted, &host)?;
        (site, wanted, Rc::from(host))
    };
    let site = match tag.ttl {
        Some(ttl) => Arc::new(site.with_ttl(ttl)),
        None => site,
    };
    let method = match tag.method {
        selvedge_esi::Method::Get => Method::GET,
        selvedge_esi::Method::Post => Method::POST,
    };
    let mut headers = fields(&ask.headers, is_own);
    for change in &tag.headers {
        change.apply(&mut headers);
    }
    Ok(Part { site, scheme, host, path_and_query, method, headers })
}

/// The site of another server, if fragments may come from it.
fn other(
    page: &Page,
    ask: &Ask,
    scheme: Scheme,
    authority: &str,
) -> Result<Arc<crate::plan::Site>, &'static str> {
    let rules = ask.site.esi.as_ref().unwrap_or(&page.rules);
    let Some(apart) = rules.others.get(&(scheme, authority.to_owned())) else {
        return Err(match host_form(crate::route::host_of(authority)) {
            HostForm::Name => "fragment-host",
            HostForm::Address(_) | HostForm::Local | HostForm::Odd => "fragment-address",
        });
    };
    let known = ask.plan.routes.named(crate::route::host_of(authority));
    Ok(Arc::clone(known.unwrap_or(apart)))
}

const fn scheme(scheme: Scheme) -> selvedge_esi::Scheme {
    match scheme {
        Scheme::Http => selvedge_esi::Scheme::Http,
        Scheme::Https => selvedge_esi::Scheme::Https,
    }
}

/// The fields of a fragment's request: those of its page's, but for what speaks of that page alone
/// and, to others, of who asks.
fn fields(page: &HeaderMap, is_own: bool) -> HeaderMap {
    let mut headers = page.clone();
    // Before Connection goes: what that names is of one hop too.
    hop::strip_hop_by_hop(&mut headers);
    validate::strip_conditions(&mut headers);
    for name in OF_THE_PAGE {
        headers.remove(name);
    }
    if !is_own {
        for name in OF_THE_CLIENT {
            headers.remove(name);
        }
    }
    headers
}

const OF_THE_PAGE: [HeaderName; 9] = [
    header::RANGE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::ACCEPT_ENCODING,
    header::EXPECT,
    header::ORIGIN,
    header::HOST,
];

const OF_THE_CLIENT: [HeaderName; 4] =
    [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::REFERER];
