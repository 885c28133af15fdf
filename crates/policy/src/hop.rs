//! Fields that must not cross a hop, and fields that must not reach an origin unkeyed.
//!
//! Hop-by-hop fields are the ones of RFC 9110 7.6.1 (Trailer is none: it goes with the trailers)
//! and those that `Connection` names, but nobody can name away a field that framing, routing,
//! identity or caching rest on: such names are ignored. Unkeyed fields are request fields by which
//! applications let themselves be told another host, scheme, path, method or client address: they
//! would change a response that all clients share without being in its key, so they go before the
//! request is looked at.

use crate::list;
use http::header::{CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE};
use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName};

const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE];

const HOP_BY_HOP_NAMES: [&str; 4] =
    ["keep-alive", "proxy-authentication-info", "proxy-connection", "http2-settings"];

/// Names in `Connection` beyond this many are not looked at: nobody needs more.
const NOMINATED_MAX: usize = 64;

/// Removes the fields that belong to one hop, of a request or a response, including those that
/// `Connection` names. What an upgrade needs must be read before.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let nominated: Vec<HeaderName> = list::all_members(headers, CONNECTION)
            .take(NOMINATED_MAX)
            .filter_map(|member| HeaderName::from_bytes(member).ok())
            .filter(|name| !is_protected(name.as_str()))
            .collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    for name in HOP_BY_HOP_NAMES {
        headers.remove(name);
    }
}

/// Removes the request fields of which [`is_unkeyed`] speaks.
pub fn strip_unkeyed_request_fields(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_unkeyed(name.as_str())).cloned() {
        headers.remove(name);
    }
}

/// Fields that `Connection` cannot name away.
fn is_protected(name: &str) -> bool {
    if name.starts_with("x-forwarded-") || name.starts_with("content-") || name.starts_with("if-") {
        return true;
    }
    matches!(
        name,
        "accept-encoding"
            | "accept-language"
            | "age"
            | "authorization"
            | "cache-control"
            | "cache-status"
            | "cdn-cache-control"
            | "cdn-loop"
            | "cookie"
            | "date"
            | "etag"
            | "expect"
            | "expires"
            | "forwarded"
            | "host"
            | "last-modified"
            | "location"
            | "max-forwards"
            | "origin"
            | "range"
            | "set-cookie"
            | "vary"
            | "via"
            | "www-authenticate"
            | "x-real-ip"
    )
}

/// Whether a request field (lower-case) can change a shared response without being in its key.
/// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `Forwarded` are not listed:
/// [`crate::forward`] sets them from what is known.
pub fn is_unkeyed(name: &str) -> bool {
    match name.as_bytes() {
        [b'x', b'-', ..] => is_unkeyed_extension(name),
        _ => matches!(
            name,
            "base-url"
                | "cf-connecting-ip"
                | "client-ip"
                | "cluster-client-ip"
                | "fastly-client-ip"
                | "forwarded-for"
                | "forwarded-host"
                | "forwarded-proto"
                | "front-end-https"
                | "http-client-ip"
                | "proxy"
                | "proxy-host"
                | "proxy-url"
                | "real-ip"
                | "redirect"
                | "referer-host"
                | "request-uri"
                | "true-client-ip"
                | "uri"
                | "url"
                | "original-url"
                | "rewrite-url"
                | "host-override"
        ),
    }
}

fn is_unkeyed_extension(name: &str) -> bool {
    UNKEYED_EXTENSIONS.binary_search(&name).is_ok()
}

/// Request fields beginning with `x-` that change what an application answers. Sorted.
const UNKEYED_EXTENSIONS: &[&str] = &[
    "x-accel-redirect",
    "x-appengine-country",
    "x-backend",
    "x-backend-host",
    "x-bluecoat-via",
    "x-cf-url",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-custom-ip-authorization",
    "x-destination-url",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "x-forward-for",
    "x-forward-proto",
    "x-forwarded",
    "x-forwarded-by",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-forwarder-for",
    "x-gateway-host",
    "x-host",
    "x-host-override",
    "x-http-destinationurl",
    "x-http-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-method-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-remote-addr",
    "x-original-uri",
    "x-original-url",
    "x-originally-forwarded-for",
    "x-originating-ip",
    "x-originating-url",
    "x-override-url",
    "x-path",
    "x-proxy-host",
    "x-proxy-url",
    "x-proxyuser-ip",
    "x-real-host",
    "x-real-ip",
    "x-real-port",
    "x-real-url",
    "x-remote-addr",
    "x-remote-ip",
    "x-request-uri",
    "x-request-url",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-sendfile",
    "x-server-name",
    "x-true-client-ip",
    "x-true-ip",
    "x-url",
    "x-url-scheme",
    "x-wap-profile",
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut out = HeaderMap::new();
        for (name, value) in lines {
            out.append(*name, HeaderValue::from_static(value));
        }
        out
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_go() {
        let mut map = headers(&[
            ("connection", "a, close"),
            ("connection", "B"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn connection_cannot_name_away_what_matters() {
        let mut map = headers(&[
            ("connection", "Host, Content-Length, X-Forwarded-For, Cookie, If-None-Match, !"),
            ("host", "a"),
            ("content-length", "1"),
            ("x-forwarded-for", "::1"),
            ("cookie", "a=b"),
            ("if-none-match", "*"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map.len(), 5);
    }

    #[test]
    fn unkeyed_fields_go_and_others_stay() {
        let mut map = headers(&[
            ("x-original-url", "/admin"),
            ("x-http-method-override", "DELETE"),
            ("x-http-method-override", "PUT"),
            ("x-custom", "1"),
            ("proxy", "evil"),
            ("x-forwarded-for", "1.2.3.4"),
        ]);
        strip_unkeyed_request_fields(&mut map);
        assert_eq!(map.len(), 2);
        assert!(map.contains_key("x-custom") && map.contains_key("x-forwarded-for"));
    }
}
