//! Which web pages may read a response, by the Fetch standard (CORS protocol): the fields of
//! answers to clients, and preflights that are answered here.
//!
//! A site that says so speaks for its origin: what that says of CORS is replaced, and Origin of a
//! GET or HEAD goes no further, so one stored answer is the same for all pages. What is stored
//! stays as the origin sent it. Other methods change something, and may be guarded by Origin: that
//! field, and preflights for them, are the origin's business.

use crate::access::is_preflight;
use crate::carries::Carries;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use selvedge_config as config;
use selvedge_policy::cdn_loop;
use std::sync::Arc;

/// What a site says of the pages that may read it.
#[derive(Debug)]
pub(crate) struct Cors {
    allow: Allow,
    credentials: bool,
    max_age: HeaderValue,
}

#[derive(Debug)]
enum Allow {
    Any,
    Listed(Vec<HeaderValue>),
}

/// The page that a request is for.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    cors: Arc<Cors>,
    /// Who is told that it may read: `*`, or the page's origin.
    allowed: Option<HeaderValue>,
}

impl Cors {
    /// The rule of a site; none if it leaves all of it to its origin.
    pub(crate) fn new(site: &config::Site) -> Option<Self> {
        let origins = site.cors.iter().map(config::WebOrigin::as_str);
        let listed: Vec<_> = origins.filter_map(|it| HeaderValue::from_str(it).ok()).collect();
        let allow = match &listed[..] {
            [] => return None,
            [only] if only == "*" => Allow::Any,
            _ => Allow::Listed(listed),
        };
        let max_age = HeaderValue::from(site.cors_max_age.as_secs());
        Some(Self { allow, credentials: site.cors_credentials, max_age })
    }

    /// The answer to a preflight for a method that only reads. Browsers keep it by themselves.
    pub(crate) fn preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, HeaderMap)> {
        let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let only_reads = wanted.is_some_and(|wanted| wanted == "GET" || wanted == "HEAD");
        if !only_reads || !is_preflight(method, headers) {
            return None;
        }
        let mut answer = HeaderMap::new();
        answer.insert(header::VARY, BY_PREFLIGHT.clone());
        if let Some(origin) = self.allowed(headers) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS.clone());
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            if let Some(names) = asked_names(headers) {
                answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
            }
            if self.credentials {
                answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE.clone());
            }
        }
        Some((StatusCode::NO_CONTENT, answer))
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match &self.allow {
            Allow::Any => Some(ANY.clone()),
            Allow::Listed(origins) => {
                let origin = headers.get(header::ORIGIN)?;
                origins.iter().find(|known| *known == origin).cloned()
            }
        }
    }
}

impl Reader {
    /// Who reads the answer to a request. Nobody if another node of this CDN does: each tells its
    /// own clients.
    pub(crate) fn of(
        cors: Option<&Arc<Cors>>,
        carries: Carries,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let cors = cors?;
        let is_for_node = carries.cdn_loop && cdn_loop::came_from_ours(headers);
        if is_for_node || *method == Method::OPTIONS {
            return None;
        }
        Some(Self { cors: Arc::clone(cors), allowed: cors.allowed(headers) })
    }

    /// The fields that say so.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (HeaderName, &HeaderValue)> {
        let told = self.allowed.iter().flat_map(|origin| {
            let always = [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
                (header::ACCESS_CONTROL_EXPOSE_HEADERS, &EXPOSED),
                (TIMING_ALLOW_ORIGIN, origin),
            ];
            let credentials = (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, &TRUE);
            always.into_iter().chain(self.cors.credentials.then_some(credentials))
        });
        let varies = matches!(self.cors.allow, Allow::Listed(_));
        told.chain(varies.then_some((header::VARY, &BY_ORIGIN)))
    }

    /// Puts them in the place of what the origin says.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in OF_THE_ORIGIN {
            headers.remove(name);
        }
        for (name, value) in self.fields() {
            headers.append(name, value.clone());
        }
    }
}

/// Whether a field, by its name in lower case, is one that a site replaces.
pub(crate) fn is_replaced(name: &[u8]) -> bool {
    OF_THE_ORIGIN.iter().any(|known| known.as_str().as_bytes() == name)
}

/// The fields that a page would like to send, if they are names and not too many: they are told
/// back as they came.
fn asked_names(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let (Some(names), None) = (lines.next(), lines.next()) else { return None };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(&byte);
    let is_sound = names.len() <= NAMES_BYTES_MAX && names.as_bytes().iter().copied().all(plain);
    is_sound.then(|| names.clone())
}

/// Longest list of fields that a preflight is answered for.
const NAMES_BYTES_MAX: usize = 2048;

/// What an origin says of who may read its responses.
const OF_THE_ORIGIN: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    TIMING_ALLOW_ORIGIN,
];

/// Who may see how long a response took (Resource Timing).
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

static ANY: HeaderValue = HeaderValue::from_static("*");
static TRUE: HeaderValue = HeaderValue::from_static("true");
static METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
static BY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
static BY_PREFLIGHT: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);
/// What players read, beside the fields that scripts may read anyway.
static EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Age, CMSD-Dynamic, CMSD-Static, Cache-Status, Content-Length, Content-Range, \
     Date, ETag, Server-Timing, X-Request-Id",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::plan;

    fn cors(keys: &str) -> Arc<Cors> {
        let base = "name = \"a\"\nhosts = [\"a.test\"]\norigin = [\"http://127.0.0.1:1\"]";
        let site = format!("[[site]]\n{base}\n{keys}");
        let plan = plan(&site);
        let site = plan.routes.find("a.test").expect("it is there");
        Arc::clone(site.cors.as_ref().expect("it has a rule"))
    }

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn told(cors: &Arc<Cors>, origin: Option<&'static str>) -> HeaderMap {
        let asked = origin.map(|origin| ("origin", origin));
        let asked = fields(asked.as_slice());
        let reader = Reader::of(Some(cors), Carries::default(), &Method::GET, &asked);
        let mut headers = fields(&[
            ("access-control-allow-origin", "https://origin.test"),
            ("access-control-max-age", "7"),
            ("timing-allow-origin", "https://origin.test"),
            ("vary", "Accept-Encoding"),
        ]);
        reader.expect("a client reads it").apply(&mut headers);
        headers
    }

    fn preflight(cors: &Cors, pairs: &[(&'static str, &'static str)]) -> Option<HeaderMap> {
        cors.preflight(&Method::OPTIONS, &fields(pairs)).map(|(_, answer)| answer)
    }

    #[test]
    fn any_page_is_told_the_same() {
        let cors = cors("cors = [\"*\"]");
        let answer = told(&cors, Some("https://a.test"));
        assert_eq!(answer, told(&cors, None));
        assert_eq!(answer["access-control-allow-origin"], "*");
        assert_eq!(answer["timing-allow-origin"], "*");
        assert_eq!(answer["vary"], "Accept-Encoding");
        assert!(!answer.contains_key("access-control-max-age"), "{answer:?}");
    }

    #[test]
    fn a_listed_page_is_named_and_others_are_told_nothing() {
        let cors = cors("cors = [\"https://a.test\", \"https://b.test\"]\ncors_credentials = true");
        let answer = told(&cors, Some("https://b.test"));
        assert_eq!(answer["access-control-allow-origin"], "https://b.test");
        assert_eq!(answer["access-control-allow-credentials"], "true");
        for origin in [None, Some("https://c.test"), Some("null"), Some("https://b.test.c.test")] {
            let answer = told(&cors, origin);
            assert_eq!(answer.len(), 2, "{answer:?}");
            let vary: Vec<_> = answer.get_all("vary").iter().collect();
            assert_eq!(vary, ["Accept-Encoding", "Origin"]);
        }
    }

    #[test]
    fn only_preflights_of_methods_that_read_are_answered() {
        let cors = cors("cors = [\"https://a.test\"]\ncors_max_age = \"10m\"");
        let (page, wants) = (("origin", "https://a.test"), "access-control-request-method");
        for method in ["GET", "HEAD"] {
            let answer = preflight(&cors, &[page, (wants, method)]).expect("it is answered");
            assert_eq!(answer["access-control-max-age"], "600");
            assert_eq!(answer["access-control-allow-methods"], "GET, HEAD, OPTIONS");
            assert!(!answer.contains_key("access-control-allow-headers"));
        }
        for pairs in [&[page, (wants, "POST")][..], &[page, (wants, "get")], &[page]] {
            assert_eq!(preflight(&cors, pairs), None, "{pairs:?}");
        }
        assert_eq!(preflight(&cors, &[(wants, "GET")]), None, "no page asks");
        let other = preflight(&cors, &[("origin", "https://c.test"), (wants, "GET")]);
        assert_eq!(other.map(|answer| answer.len()), Some(1), "it varies, and says no more");
    }

    #[test]
    fn names_of_fields_are_told_back_if_they_are_names() {
        let cors = cors("cors = [\"*\"]");
        let told = |names: &'static str| {
            let page = ("origin", "https://a.test");
            let wants = ("access-control-request-method", "GET");
            let names = ("access-control-request-headers", names);
            let answer = preflight(&cors, &[page, wants, names]).expect("it is answered");
            answer.get("access-control-allow-headers").cloned()
        };
        assert_eq!(told("cmcd-request,range").expect("told"), "cmcd-request,range");
        assert_eq!(told("a\"b"), None);
        assert_eq!(told(Box::leak("a,".repeat(NAMES_BYTES_MAX).into_boxed_str())), None);
    }
}
