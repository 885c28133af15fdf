//! Pushed objects, given out: to nodes by the name of the site's storage, and to operators by the
//! API. Nodes take `{site}.push.selvedge` for the origin of what was pushed.

use axum::body::Body;
use axum::extract::{Request, State as Ext};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use selvedge_policy::range::{self, Limits, Ranges};
use selvedge_policy::validate::{self, Precondition};
use selvedge_policy::{date, normalize_path};

use super::App;
use super::caller::{Caller, Who};
use super::sites::may_see;
use crate::problem::{Kind, Problem};
use crate::state::record::Object;

/// What follows the name of a site in the name of its storage.
const STORAGE: &str = ".push.selvedge";
/// Rules of an object that was pushed without any.
const CACHE_CONTROL: &str = "public, max-age=60";
/// How long nodes may remember that something was not pushed.
const ABSENT: HeaderValue = HeaderValue::from_static("max-age=1");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// Pushed content, for nodes.
#[derive(Clone)]
pub(crate) struct Content {
    app: App,
}

impl Content {
    pub(crate) const fn new(app: App) -> Self {
        Self { app }
    }

    async fn answer(&self, site: &str, parts: &Parts) -> Result<Response, Problem> {
        let state = self.app.desk.state();
        let caller = Caller::of(&state, parts, self.app.clock.now_wall_ms())?;
        if !matches!(caller.who, Who::Node(_)) {
            may_see(&caller, site)?;
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            let detail = "pushed content can be read here; the API changes it";
            return Err(Problem::new(Kind::MethodNotAllowed, detail));
        }
        let absent = || Problem::not_found("object", parts.uri.path());
        let path = normalize_path(parts.uri.path()).map_err(|_| absent())?;
        let object = state.site(site).and_then(|site| site.objects.get(&*path));
        serve(&self.app, object.ok_or_else(absent)?, &parts.method, &parts.headers).await
    }
}

/// Answers requests for pushed content; lets all others pass.
pub(crate) async fn by_host(Ext(content): Ext<Content>, req: Request, next: Next) -> Response {
    let Some(site) = site(&req) else { return next.run(req).await };
    let (parts, _body) = req.into_parts();
    match content.answer(&site, &parts).await {
        Ok(response) => response,
        Err(problem) => {
            let is_absent = problem.kind == Kind::NotFound;
            let mut response = problem.into_response();
            let rules = if is_absent { ABSENT } else { NO_STORE };
            response.headers_mut().insert(header::CACHE_CONTROL, rules);
            response
        }
    }
}

/// The site whose storage is asked.
fn site(req: &Request) -> Option<String> {
    let authority = selvedge_net::authority(req).ok()?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _port)| host);
    let at = host.len().checked_sub(STORAGE.len())?;
    let (site, storage) = host.split_at_checked(at)?;
    storage.eq_ignore_ascii_case(STORAGE).then(|| site.to_owned())
}

/// An object as the answer to a request that reads it.
pub(crate) async fn serve(
    app: &App,
    object: &Object,
    method: &Method,
    asked: &HeaderMap,
) -> Result<Response, Problem> {
    let mut fields = fields(object);
    match validate::precondition(method, asked, &fields, StatusCode::OK) {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            let fields = validate::not_modified_headers(&fields);
            return Ok((StatusCode::NOT_MODIFIED, fields).into_response());
        }
        Precondition::Failed => {
            let detail = "the object is another one now";
            return Err(Problem::new(Kind::PreconditionFailed, detail));
        }
    }
    let (mut status, mut part) = (StatusCode::OK, 0..object.bytes);
    if let Some(asked_range) = asked.get(header::RANGE)
        && *method == Method::GET
        && range::if_range(asked, &fields)
    {
        let limits = Limits { parts_max: 1, ..Limits::default() };
        match range::parse(asked_range, object.bytes, limits) {
            Ranges::None => {}
            Ranges::Satisfiable(ranges) => {
                if let [one] = ranges.as_slice() {
                    (status, part) = (StatusCode::PARTIAL_CONTENT, one.first..one.last + 1);
                    let field = range::content_range(*one, object.bytes);
                    fields.insert(header::CONTENT_RANGE, field);
                }
            }
            Ranges::Unsatisfiable => {
                let detail = format!("the object has {} bytes", object.bytes);
                let mut response = Problem::new(Kind::RangeNotSatisfiable, detail).into_response();
                let field = range::content_range_unsatisfied(object.bytes);
                response.headers_mut().insert(header::CONTENT_RANGE, field);
                return Ok(response);
            }
        }
    }
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    let body = if *method == Method::HEAD || part.is_empty() {
        Body::empty()
    } else {
        Body::new(app.blobs.read(&object.sha256, part).await?)
    };
    Ok((status, fields, body).into_response())
}

/// The fields an object is served with.
pub(crate) fn fields(object: &Object) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(8);
    // Everything that is kept was checked to fit into a field.
    let mut insert = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::try_from(text) {
            fields.insert(name, value);
        }
    };
    insert(header::ETAG, &object.sha256.etag());
    insert(header::CONTENT_TYPE, &object.content_type);
    insert(header::CACHE_CONTROL, object.cache_control.as_deref().unwrap_or(CACHE_CONTROL));
    insert(header::ACCEPT_RANGES, "bytes");
    if !object.tags.is_empty() {
        insert(SURROGATE_KEY, &object.tags.join(" "));
    }
    fields.insert(header::LAST_MODIFIED, date::format(object.at_ms.div_euclid(1000)));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_storage_names_a_site() {
        let site = |host: &'static str| {
            let req = Request::builder().header(header::HOST, host).uri("/a");
            site(&req.body(Body::empty()).expect("a request"))
        };
        assert_eq!(site("shop.push.selvedge").as_deref(), Some("shop"));
        assert_eq!(site("shop.Push.Selvedge:8443").as_deref(), Some("shop"));
        assert_eq!(site("a.b.push.selvedge").as_deref(), Some("a.b"));
        assert_eq!(site("push.selvedge"), None);
        assert_eq!(site("shop.push.selvedge.test"), None);
        assert_eq!(site("127.0.0.1:80"), None);
        assert_eq!(site("[::1]:80"), None);
    }
}
