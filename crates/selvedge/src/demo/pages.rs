//! What the sample origin of the demo answers: small pages that each show one thing a cache does.
//! Pure: a request in, a response out.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use selvedge_policy::range::{self, Limits, Ranges};
use std::sync::OnceLock;

/// One page of the sample sites.
struct Sample {
    path: &'static str,
    about: &'static str,
    content_type: &'static str,
    cache_control: &'static str,
    vary: Option<&'static str>,
}

/// The pages, in the order in which the front page lists them.
const SAMPLES: &[Sample] = &[
    Sample {
        path: "/",
        about: "this page: kept for a minute, then served stale for a minute while it is refreshed",
        content_type: "text/html; charset=utf-8",
        cache_control: "max-age=60, stale-while-revalidate=60, stale-if-error=600",
        vary: None,
    },
    Sample {
        path: "/style.css",
        about: "kept for an hour; compressed here, because the origin does not",
        content_type: "text/css",
        cache_control: "public, max-age=3600",
        vary: None,
    },
    Sample {
        path: "/clock",
        about: "the origin's count of requests for this path, kept for five seconds",
        content_type: "text/plain; charset=utf-8",
        cache_control: "max-age=5",
        vary: None,
    },
    Sample {
        path: "/cart",
        about: "private: every request goes to the origin, and none waits for another",
        content_type: "application/json",
        cache_control: "private, no-store",
        vary: None,
    },
    Sample {
        path: "/hello",
        about: "differs by Accept-Language (en, de, fr): one variant each",
        content_type: "text/plain; charset=utf-8",
        cache_control: "max-age=300",
        vary: Some("Accept-Language"),
    },
    Sample {
        path: "/cdn",
        about: "CDN-Cache-Control keeps it here for an hour while browsers must revalidate",
        content_type: "text/plain; charset=utf-8",
        cache_control: "no-cache",
        vary: None,
    },
    Sample {
        path: "/film.bin",
        about: "24 MiB: a range of it is fetched and kept slice by slice",
        content_type: "application/octet-stream",
        cache_control: "public, max-age=86400, immutable",
        vary: None,
    },
    Sample {
        path: "/front",
        about: "put together here from the parts below (ESI); one tag asks for the page itself",
        content_type: "text/html; charset=utf-8",
        cache_control: "max-age=300, stale-if-error=600",
        vary: None,
    },
    Sample {
        path: "/part/menu",
        about: "a part of it, kept for ten minutes: purge its tag and it alone is made anew",
        content_type: "text/html; charset=utf-8",
        cache_control: "max-age=600, stale-if-error=600",
        vary: None,
    },
    Sample {
        path: "/part/user",
        about: "a part that is another one for each cookie `user`, and kept nowhere",
        content_type: "text/html; charset=utf-8",
        cache_control: "private, no-store",
        vary: None,
    },
    Sample {
        path: "/part/spare",
        about: "a part that stands in for one that fails",
        content_type: "text/html; charset=utf-8",
        cache_control: "max-age=600, stale-if-error=600",
        vary: None,
    },
    Sample {
        path: "/broken",
        about: "an origin error, passed on and not kept",
        content_type: "text/plain; charset=utf-8",
        cache_control: "",
        vary: None,
    },
];

const FILM_BYTES: usize = 24 << 20;

/// Answers one request. `count` says how often the path was asked for, this time included.
pub(crate) fn answer(method: &Method, path: &str, request: &HeaderMap, count: u64) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let text = format!("{method} {path} received, request {count}\n");
        return plain(StatusCode::OK, "no-store", text);
    }
    let Some(sample) = SAMPLES.iter().find(|sample| sample.path == path) else {
        return plain(StatusCode::NOT_FOUND, "max-age=10", format!("no page at {path}\n"));
    };
    if path == "/broken" {
        return out_of_order();
    }
    let body = body_of(sample, request, count);
    let etag = format!("\"{:x}-{:x}\"", body.len(), checksum(&body));
    let is_etag = |asked: &HeaderValue| asked.as_bytes() == etag.as_bytes();
    let unchanged = request.get(header::IF_NONE_MATCH).is_some_and(is_etag);
    let may_cut = request.get(header::IF_RANGE).is_none_or(is_etag);
    let wanted = request.get(header::RANGE).filter(|_| may_cut && path == "/film.bin");
    let length = body.len() as u64;
    let part = wanted.and_then(|wanted| match range::parse(wanted, length, Limits::default()) {
        Ranges::Satisfiable(ranges) if ranges.len() == 1 => ranges.first().copied(),
        _ => None,
    });
    let (status, body) = match part {
        _ if unchanged => (StatusCode::NOT_MODIFIED, Bytes::new()),
        Some(part) => {
            let cut = body.slice(part.first as usize..=part.last as usize);
            (StatusCode::PARTIAL_CONTENT, cut)
        }
        None => (StatusCode::OK, body),
    };
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, sample.content_type)
        .header(header::CACHE_CONTROL, sample.cache_control)
        .header("surrogate-key", format!("sample {}", sample.path.trim_start_matches('/')))
        .header(header::ETAG, etag);
    if let Some(part) = part.filter(|_| !unchanged) {
        response = response.header(header::CONTENT_RANGE, range::content_range(part, length));
    }
    if let Some(vary) = sample.vary {
        response = response.header(header::VARY, vary);
    }
    if path == "/cdn" {
        response = response.header("cdn-cache-control", "max-age=3600");
    }
    if path == "/front" {
        response = response.header("surrogate-control", "content=\"ESI/1.0\"");
    }
    Answer(response.body(body))
}

/// What an origin says that cannot serve.
pub(crate) fn out_of_order() -> Answer {
    plain(StatusCode::SERVICE_UNAVAILABLE, "no-store", "out of order\n".to_owned())
}

/// A response that was put together from constants.
pub(crate) struct Answer(http::Result<Response<Bytes>>);

impl Answer {
    /// The response itself.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        self.0.unwrap_or_else(|_| Response::new(Bytes::from_static(b"the sample is broken\n")))
    }
}

fn plain(status: StatusCode, cache_control: &str, text: String) -> Answer {
    Answer(
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::CACHE_CONTROL, cache_control)
            .body(Bytes::from(text)),
    )
}

fn body_of(sample: &Sample, request: &HeaderMap, count: u64) -> Bytes {
    match sample.path {
        "/" => front_page(request),
        "/style.css" => {
            Bytes::from("body { font: 1rem/1.5 sans-serif; margin: 3rem }\n".repeat(80))
        }
        "/clock" => Bytes::from(format!("asked {count} times\n")),
        "/cart" => Bytes::from(format!("{{\"items\":2,\"request\":{count}}}\n")),
        "/hello" => Bytes::from_static(greeting(request)),
        "/film.bin" => film(),
        "/front" => Bytes::from_static(FRONT.as_bytes()),
        "/part/menu" => Bytes::from(format!("<nav>wool, linen (made {count} times)</nav>")),
        "/part/user" => Bytes::from(format!("<p>a basket for {}</p>", user(request))),
        "/part/spare" => Bytes::from_static(b"<p>nothing special today</p>"),
        _ => Bytes::from(format!("{}\n", sample.about)),
    }
}

/// A page of parts. The offers fail, and `/front` is the page itself: it is left out.
const FRONT: &str = "<!doctype html>
<title>A page of parts</title>
<esi:include src=\"/part/menu\"/>
<p>Good day, <esi:vars>$(HTTP_COOKIE{user}|'guest')</esi:vars></p>
<esi:include src=\"/part/user\" onerror=\"continue\"/>
<esi:include src=\"/broken\" alt=\"/part/spare\"/>
<esi:include src=\"/front\"/>
<esi:remove><p>This node puts no pages together.</p></esi:remove>
";

/// Who asks, by a cookie; nothing of it that could be markup.
fn user(request: &HeaderMap) -> String {
    let cookies = request.get(header::COOKIE).and_then(|cookies| cookies.to_str().ok());
    let mut cookies = cookies.unwrap_or_default().split(';').filter_map(|it| it.split_once('='));
    let name = cookies.find(|(name, _)| name.trim() == "user").map_or("guest", |(_, user)| user);
    name.chars().filter(char::is_ascii_alphanumeric).take(40).collect()
}

/// The film, made once.
fn film() -> Bytes {
    static FILM: OnceLock<Bytes> = OnceLock::new();
    FILM.get_or_init(|| (0..FILM_BYTES).map(|n| (n / 4096) as u8).collect()).clone()
}

fn greeting(request: &HeaderMap) -> &'static [u8] {
    let wanted = request.get(header::ACCEPT_LANGUAGE).map_or(&b""[..], |value| value.as_bytes());
    match wanted.get(..2) {
        Some(b"de") => b"Guten Tag\n",
        Some(b"fr") => b"Bonjour\n",
        _ => b"Good day\n",
    }
}

fn front_page(request: &HeaderMap) -> Bytes {
    let host = request.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("a site");
    let host: String =
        host.chars().filter(|c| c.is_ascii_alphanumeric() || ".-:".contains(*c)).collect();
    let rows: String = SAMPLES
        .iter()
        .map(|sample| format!("<li><a href=\"{0}\">{0}</a>: {1}</li>\n", sample.path, sample.about))
        .collect();
    Bytes::from(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{host}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<h1>{host}</h1>\n\
         <p>A sample site, pulled through an edge and a parent. Look at the response's \
         Cache-Status and Age. There is \
         <a href=\"/player\">video</a> as well.</p>\n<ul>\n{rows}</ul></html>\n"
    ))
}

/// FNV-1a: enough to tell two samples apart in an ETag.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, request: &HeaderMap) -> Response<Bytes> {
        answer(&Method::GET, path, request, 7).into_response()
    }

    #[test]
    fn every_sample_on_the_front_page_exists() {
        let none = HeaderMap::new();
        for sample in SAMPLES {
            let response = get(sample.path, &none);
            assert_ne!(response.status(), StatusCode::NOT_FOUND, "{}", sample.path);
            let front = String::from_utf8(get("/", &none).into_body().to_vec()).expect("UTF-8");
            assert!(front.contains(sample.path));
        }
        assert_eq!(get("/nowhere", &none).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_matching_validator_is_answered_304_without_a_body() {
        let etag = get("/style.css", &HeaderMap::new()).headers()[header::ETAG].clone();
        let mut request = HeaderMap::new();
        request.insert(header::IF_NONE_MATCH, etag);
        let response = get("/style.css", &request);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert!(response.body().is_empty());
    }

    #[test]
    fn a_range_of_the_film_is_cut_unless_it_is_of_another_one() {
        let mut request = HeaderMap::new();
        request.insert(header::RANGE, HeaderValue::from_static("bytes=5000-5009"));
        let response = get("/film.bin", &request);
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes 5000-5009/25165824");
        assert_eq!(response.body(), &film().slice(5000..5010));
        request.insert(header::IF_RANGE, HeaderValue::from_static("\"old\""));
        assert_eq!(get("/film.bin", &request).status(), StatusCode::OK);
    }

    #[test]
    fn a_hostile_host_is_not_echoed_as_markup() {
        let mut request = HeaderMap::new();
        request.insert(header::HOST, HeaderValue::from_static("<script>x"));
        let page = String::from_utf8(get("/", &request).into_body().to_vec()).expect("UTF-8");
        assert!(!page.contains("<script"));
    }
}
