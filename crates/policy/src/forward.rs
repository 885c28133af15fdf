//! Who asks, passed on to the next hop: `X-Forwarded-*`, `Forwarded` (RFC 7239) and `Via`
//! (RFC 9110 7.6.3).
//!
//! What a client says about itself is worth nothing: unless the sender is trusted (another node, a
//! configured proxy), its fields are replaced by what the connection shows. From a trusted sender
//! they are continued.

use crate::key::Scheme;
use http::header::{FORWARDED, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use std::net::{IpAddr, Ipv6Addr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Values longer than this are started anew rather than continued.
const CHAIN_BYTES_MAX: usize = 4096;

/// What the connection shows of a request.
#[derive(Copy, Clone, Debug)]
pub struct Sender<'a> {
    /// The address the request came from.
    pub address: IpAddr,
    /// The scheme it came by.
    pub scheme: Scheme,
    /// The host it asked for, in normal form.
    pub host: &'a str,
    /// Whether what it says about earlier hops is believed.
    pub trusted: bool,
}

/// Sets `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` on a request to the next hop. From a
/// trusted sender proto and host are kept if they are there, the others continued.
pub fn set_forwarded(headers: &mut HeaderMap, sender: &Sender<'_>) {
    let address = canonical(sender.address);
    let plain = address.to_string();
    extend(headers, X_FORWARDED_FOR, &plain, sender.trusted);
    let node = match address {
        IpAddr::V4(_) => plain,
        IpAddr::V6(_) => format!("\"[{plain}]\""),
    };
    let scheme = sender.scheme.as_str();
    let element = format!("for={node};host=\"{}\";proto={scheme}", sender.host);
    extend(headers, FORWARDED, &element, sender.trusted);
    set(headers, X_FORWARDED_PROTO, scheme, sender.trusted);
    set(headers, X_FORWARDED_HOST, sender.host, sender.trusted);
}

/// The address a trusted sender says the request came from first, else the sender's own: for logs
/// and limits. Reads the leftmost address of `X-Forwarded-For`.
pub fn client_address(headers: &HeaderMap, sender: &Sender<'_>) -> IpAddr {
    let told = headers
        .get(X_FORWARDED_FOR)
        .filter(|_| sender.trusted)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(',').next()?.trim().parse().ok());
    canonical(told.unwrap_or(sender.address))
}

/// Appends this node to `Via`, of a request or a response. `name` is a pseudonym: a token.
pub fn append_via(headers: &mut HeaderMap, version: Version, name: &str) {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        _ => "3",
    };
    let mut text = String::with_capacity(version.len() + 1 + name.len());
    text.push_str(version);
    text.push(' ');
    text.extend(name.bytes().map(|byte| match byte {
        byte if crate::list::is_token_byte(byte) => char::from(byte),
        _ => '-',
    }));
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(VIA, value);
    }
}

// An IPv4 client on a dual-stack socket is an IPv4 client.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => Ipv6Addr::to_canonical(&six),
        IpAddr::V4(_) => address,
    }
}

fn extend(headers: &mut HeaderMap, name: HeaderName, element: &str, trusted: bool) {
    let mut chain = Vec::new();
    if trusted {
        for value in headers.get_all(&name) {
            if chain.len() + value.len() > CHAIN_BYTES_MAX {
                chain.clear();
                break;
            }
            chain.extend_from_slice(value.as_bytes());
            chain.extend_from_slice(b", ");
        }
    }
    chain.extend_from_slice(element.as_bytes());
    match HeaderValue::try_from(chain) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str, trusted: bool) {
    if trusted && headers.contains_key(&name) {
        return;
    }
    match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(address: &str, trusted: bool) -> Sender<'_> {
        Sender {
            address: address.parse().unwrap(),
            scheme: Scheme::Https,
            host: "shop.test:8443",
            trusted,
        }
    }

    fn claimed() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("9.9.9.9"));
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("8.8.8.8"));
        headers.append(FORWARDED, HeaderValue::from_static("for=9.9.9.9"));
        headers.append(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        headers.append(X_FORWARDED_HOST, HeaderValue::from_static("www.test"));
        headers
    }

    #[test]
    fn what_a_stranger_claims_is_replaced() {
        let mut headers = claimed();
        set_forwarded(&mut headers, &sender("192.0.2.1", false));
        assert_eq!(headers[X_FORWARDED_FOR], "192.0.2.1");
        assert_eq!(headers[FORWARDED], "for=192.0.2.1;host=\"shop.test:8443\";proto=https");
        assert_eq!(headers[X_FORWARDED_PROTO], "https");
        assert_eq!(headers[X_FORWARDED_HOST], "shop.test:8443");
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn what_a_trusted_sender_says_is_continued() {
        let mut headers = claimed();
        let sender = sender("2001:db8::1", true);
        assert_eq!(client_address(&headers, &sender), "9.9.9.9".parse::<IpAddr>().unwrap());
        set_forwarded(&mut headers, &sender);
        assert_eq!(headers[X_FORWARDED_FOR], "9.9.9.9, 8.8.8.8, 2001:db8::1");
        let element = "for=9.9.9.9, for=\"[2001:db8::1]\";host=\"shop.test:8443\";proto=https";
        assert_eq!(headers[FORWARDED], element);
        assert_eq!(headers[X_FORWARDED_PROTO], "http");
        assert_eq!(headers[X_FORWARDED_HOST], "www.test");
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let mut headers = claimed();
        let sender = sender("::ffff:192.0.2.1", false);
        assert_eq!(client_address(&headers, &sender).to_string(), "192.0.2.1");
        set_forwarded(&mut headers, &sender);
        assert_eq!(headers[X_FORWARDED_FOR], "192.0.2.1");
    }

    #[test]
    fn via_names_version_and_node() {
        let mut headers = HeaderMap::new();
        headers.insert(VIA, HeaderValue::from_static("1.1 parent"));
        append_via(&mut headers, Version::HTTP_2, "edge 1");
        let lines: Vec<_> = headers.get_all(VIA).iter().collect();
        assert_eq!(lines, ["1.1 parent", "2 edge-1"]);
    }
}
