//! The one authority of a request: what the key, the routing and the origin all see. In an absolute
//! target it wins over Host (RFC 9112 3.2.2); in HTTP/2 `:authority` and Host must not differ.

use http::{Request, Version, header};

use crate::refusal::Refusal;

/// The authority of a request as the client sent it: host with optional port, not normalised.
/// Every request that reaches a handler without a refusal has one, except an HTTP/1.0 request
/// made up by a test.
///
/// # Errors
/// When there is none, or two that differ.
pub fn authority<B>(req: &Request<B>) -> Result<&str, Refusal> {
    let headers = req.headers();
    let host = headers.get(header::HOST);
    // Where no name is repeated, a second search for this one is saved.
    if headers.len() > headers.keys_len() && headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Refusal::HostRepeated);
    }
    let host = match host {
        Some(value) => Some(value.to_str().map_err(|_| Refusal::HostInvalid)?),
        None => None,
    };
    let Some(target) = req.uri().authority() else {
        return host.filter(|host| !host.is_empty()).ok_or(Refusal::HostMissing);
    };
    if req.version() == Version::HTTP_2
        && host.is_some_and(|host| !host.eq_ignore_ascii_case(target.as_str()))
    {
        return Err(Refusal::HostMismatch);
    }
    Ok(target.as_str())
}

/// Whether the bytes are `host [":" port]` as RFC 3986 3.2 has it, without user information.
pub(crate) fn is_valid(authority: &[u8]) -> bool {
    let (host, port) = match authority {
        [b'[', rest @ ..] => match memchr::memchr(b']', rest) {
            Some(end) => {
                if !is_ip_literal(&rest[..end]) {
                    return false;
                }
                return is_port_suffix(&rest[end + 1..]);
            }
            None => return false,
        },
        _ => {
            let end = authority.iter().position(|&byte| !NAME[byte as usize]);
            authority.split_at(end.unwrap_or(authority.len()))
        }
    };
    matches!(host.len(), 1..=255) && is_port_suffix(port)
}

fn is_port_suffix(bytes: &[u8]) -> bool {
    match bytes {
        [] | [b':'] => true,
        [b':', digits @ ..] if digits.len() <= 5 => {
            let add = |port: u32, digit: &u8| {
                let value = digit.wrapping_sub(b'0');
                (value < 10).then(|| port * 10 + u32::from(value))
            };
            digits.iter().try_fold(0, add).is_some_and(|port| port <= u32::from(u16::MAX))
        }
        _ => false,
    }
}

/// An IPv6 address; zone identifiers and future versions name nothing that is served here.
fn is_ip_literal(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Unreserved characters of a registered name. Percent-encoding and sub-delimiters are legal in
/// RFC 3986 but in no host name, and two parsers may read them differently: refused.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{authority, is_valid};
    use crate::refusal::Refusal;

    /// The forms of threat row 10, and the good ones beside them.
    #[test]
    fn only_host_and_port_is_an_authority() {
        for good in ["a", "a.test", "A.test:80", "1.2.3.4:8080", "[::1]", "[2001:db8::1]:443", "a:"]
        {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:80:80",
            "a:b",
            "a:99999",
            "u@a",
            "a b",
            "a#b",
            "a/b",
            "a?b",
            "[::1",
            "[]",
            "[::1]a",
            "[::1]:x",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "[v1.x]",
            "a\\b",
            "a%41",
            "a,b",
            "a\u{e9}",
            "::1",
            "[[::1]]",
            "a:-1",
            "a:+1",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }

    /// An absolute target wins in HTTP/1.1; in HTTP/2 a difference is an error.
    #[test]
    fn absolute_target_wins_and_http2_must_agree() {
        let build = |version, uri: &str, host: &str| {
            Request::builder().version(version).uri(uri).header("host", host).body(())
        };
        let req = build(http::Version::HTTP_11, "http://a.test/x", "b.test").expect("valid");
        assert_eq!(authority(&req), Ok("a.test"));
        let req = build(http::Version::HTTP_2, "http://a.test/x", "A.test").expect("valid");
        assert_eq!(authority(&req), Ok("a.test"));
        let req = build(http::Version::HTTP_2, "http://a.test/x", "b.test").expect("valid");
        assert_eq!(authority(&req), Err(Refusal::HostMismatch));
        let req = build(http::Version::HTTP_11, "/x", "b.test:81").expect("valid");
        assert_eq!(authority(&req), Ok("b.test:81"));
        let req = Request::builder().uri("/x").body(()).expect("valid");
        assert_eq!(authority(&req), Err(Refusal::HostMissing));
    }
}
