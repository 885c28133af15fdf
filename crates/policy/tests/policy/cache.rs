//! A small cache made of nothing but the policy crate: what a proxy does, without sockets.
//!
//! It has one clock that the test moves and one origin whose answer the test gives with each
//! request. The origin validates as the conformance suite's does: a condition that repeats the
//! validator it sent last is answered 304.

use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use selvedge_policy::validate::{
    Freshened, HeadEffect, Precondition, Stored, conditional_headers, has_conditions, precondition,
    strip_conditions, update_on_304, update_on_head,
};
use selvedge_policy::{
    Exchange, KeyParts, Meta, Now, RequestDirectives, Reuse, Scheme, Selecting, SiteRules,
    Storable, Target, Verdict, date, invalidate, judge, reuse, vary,
};
use std::collections::HashMap;

/// A header line of a test: the value `@N` is the date N seconds from now.
pub(crate) type Line<'a> = (&'a str, &'a str);

/// 2026-11-22T00:00:00Z.
const START_S: i64 = 1_795_305_600;

#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [Line<'a>],
}

#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    Answers(u16, &'a [Line<'a>]),
    Fails,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Store,
    StoreStale,
    StoreOnError,
    Validation,
    Origin,
    Nowhere,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) from: From,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// What the origin was sent, if it was asked.
    pub(crate) asked: Option<HeaderMap>,
}

#[derive(Clone)]
struct Variant {
    status: StatusCode,
    headers: HeaderMap,
    meta: Meta,
    selecting: Selecting,
}

impl Variant {
    fn of(storable: Storable) -> Self {
        let (status, headers, meta, selecting) = storable.into_parts();
        Self { status, headers, meta, selecting }
    }
}

pub(crate) struct Cache {
    pub(crate) rules: SiteRules,
    ms: u64,
    variants: HashMap<Vec<u8>, Vec<Variant>>,
    last_sent: HeaderMap,
}

impl Cache {
    pub(crate) fn new(rules: SiteRules) -> Self {
        Self { rules, ms: 0, variants: HashMap::new(), last_sent: HeaderMap::new() }
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.ms += seconds * 1000;
    }

    fn now(&self) -> Now {
        Now { mono_ms: 77_000 + self.ms, wall_s: START_S + (self.ms / 1000) as i64 }
    }

    fn lines(&self, lines: &[Line<'_>]) -> HeaderMap {
        let mut out = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = match value.strip_prefix('@') {
                Some(offset) => date::format(self.now().wall_s + offset.parse::<i64>().unwrap()),
                None => HeaderValue::from_str(value).unwrap(),
            };
            out.append(name, value);
        }
        out
    }

    pub(crate) fn get(&mut self, headers: &[Line<'_>], origin: Origin<'_>) -> Answer {
        self.ask(Request { method: "GET", path: "/", headers }, origin)
    }

    pub(crate) fn ask(&mut self, request: Request<'_>, origin: Origin<'_>) -> Answer {
        let method = Method::from_bytes(request.method.as_bytes()).unwrap();
        let mut req = self.lines(request.headers);
        vary::normalize_request(&mut req, &self.rules);
        let reads = method == Method::GET || method == Method::HEAD;
        let found = if reads { self.find(request.path, &req) } else { None };
        let Some(variant) = found else {
            return self.fetch(&method, request.path, &req, origin, None);
        };
        let directives = RequestDirectives::parse(&req);
        match reuse(&variant.meta, &directives, &self.rules, self.now()) {
            Reuse::Fresh => self.serve(&variant, &method, &req, From::Store, None),
            Reuse::Stale | Reuse::StaleWhileRevalidate => {
                self.serve(&variant, &method, &req, From::StoreStale, None)
            }
            Reuse::OnlyIfCachedMiss => nowhere(),
            Reuse::Revalidate(_) => self.fetch(&method, request.path, &req, origin, Some(variant)),
        }
    }

    fn serve(
        &self,
        variant: &Variant,
        method: &Method,
        req: &HeaderMap,
        from: From,
        asked: Option<HeaderMap>,
    ) -> Answer {
        let condition = precondition(method, req, &variant.headers, variant.status);
        let status = match condition {
            Precondition::Proceed => variant.status.as_u16(),
            Precondition::NotModified => 304,
            Precondition::Failed => 412,
        };
        let mut headers = variant.headers.clone();
        headers.insert("age", HeaderValue::from(variant.meta.age_s(self.now())));
        Answer { from, status, headers, asked }
    }

    fn fetch(
        &mut self,
        method: &Method,
        path: &str,
        req: &HeaderMap,
        origin: Origin<'_>,
        stale: Option<Variant>,
    ) -> Answer {
        let mut sent = req.clone();
        if *method == Method::GET && has_conditions(req) && stale.is_some() {
            strip_conditions(&mut sent);
        }
        let conditional = *method == Method::GET
            && stale.as_ref().is_some_and(|variant| {
                variant.meta.has_validator() && conditional_headers(&variant.headers, &mut sent)
            });
        let Origin::Answers(status, lines) = origin else {
            let directives = RequestDirectives::parse(req);
            return match stale {
                Some(variant)
                    if variant.meta.usable_on_error(&directives, &self.rules, self.now()) =>
                {
                    self.serve(&variant, method, req, From::StoreOnError, Some(sent))
                }
                _ => nowhere(),
            };
        };
        let repeats = |condition, validator| {
            sent.get(condition).is_some_and(|value| self.last_sent.get(validator) == Some(value))
        };
        let validated = repeats(IF_NONE_MATCH, ETAG) || repeats(IF_MODIFIED_SINCE, LAST_MODIFIED);
        let status = if validated { 304 } else { status };
        let resp = self.lines(lines);
        self.last_sent = resp.clone();
        let target = Target { scheme: Scheme::Http, host: "a.test", path, query: None };
        let x = Exchange {
            method,
            target: Some(&target),
            req_headers: &sent,
            status: StatusCode::from_u16(status).unwrap(),
            resp_headers: &resp,
            requested_at: self.now(),
            received_at: self.now(),
        };
        match stale {
            Some(variant) if conditional && status == 304 => self.freshen(path, variant, &x, req),
            Some(variant) if *method == Method::HEAD => self.compare(path, variant, &x),
            _ => self.admit(path, &x),
        }
    }

    fn admit(&mut self, path: &str, x: &Exchange<'_>) -> Answer {
        if invalidate::invalidates(x.method, x.status) {
            self.variants.remove(&key(path));
            for resource in invalidate::targets(x.target.unwrap(), x.resp_headers) {
                self.variants.remove(&key(&resource.path));
            }
        }
        if let Verdict::Store(storable) = judge(x, &self.rules) {
            self.put(path, Variant::of(storable));
        }
        Answer {
            from: From::Origin,
            status: x.status.as_u16(),
            headers: x.resp_headers.clone(),
            asked: Some(x.req_headers.clone()),
        }
    }

    fn freshen(
        &mut self,
        path: &str,
        variant: Variant,
        x: &Exchange<'_>,
        req: &HeaderMap,
    ) -> Answer {
        let stored = Stored {
            status: variant.status,
            headers: &variant.headers,
            selecting: &variant.selecting,
            body_length: None,
        };
        let asked = Some(x.req_headers.clone());
        match update_on_304(&stored, x, &self.rules) {
            Freshened::Updated(storable) => {
                let fresh = Variant::of(storable);
                self.put(path, fresh.clone());
                self.serve(&fresh, x.method, req, From::Validation, asked)
            }
            Freshened::LastUse(headers, _) => {
                self.variants.remove(&key(path));
                let last = Variant { headers, ..variant };
                self.serve(&last, x.method, req, From::Validation, asked)
            }
            Freshened::Refetch => nowhere(),
        }
    }

    fn compare(&mut self, path: &str, variant: Variant, x: &Exchange<'_>) -> Answer {
        let stored = Stored {
            status: variant.status,
            headers: &variant.headers,
            selecting: &variant.selecting,
            body_length: None,
        };
        match update_on_head(&stored, x, &self.rules) {
            HeadEffect::Updated(storable) => self.put(path, Variant::of(storable)),
            HeadEffect::Stale => {
                let meta = variant.meta.invalidated();
                self.put(path, Variant { meta, ..variant });
            }
            HeadEffect::Nothing => {}
        }
        Answer {
            from: From::Origin,
            status: x.status.as_u16(),
            headers: x.resp_headers.clone(),
            asked: Some(x.req_headers.clone()),
        }
    }

    fn find(&self, path: &str, req: &HeaderMap) -> Option<Variant> {
        let variants = self.variants.get(&key(path))?;
        variants.iter().rev().find(|v| v.selecting.matches(req, &self.rules)).cloned()
    }

    fn put(&mut self, path: &str, variant: Variant) {
        let variants = self.variants.entry(key(path)).or_default();
        variants.retain(|other| !other.selecting.same_variant(&variant.selecting));
        variants.push(variant);
    }
}

fn key(path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    KeyParts { site: "s", scheme: Scheme::Http, host: "a.test", path, query: None }.bytes(&mut out);
    out
}

fn nowhere() -> Answer {
    Answer { from: From::Nowhere, status: 504, headers: HeaderMap::new(), asked: None }
}
