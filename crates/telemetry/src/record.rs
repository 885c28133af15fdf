//! One line of the access log: what is known about a finished request, and its two forms.
//!
//! The caller decides what may be logged: cookies, credentials and, unless a site asks for it, the
//! query are not in a `Record`.

use std::net::IpAddr;

use crate::escape;
use crate::time::{write_clf, write_rfc3339_ms};

/// A finished request. Words are stable; empty text and `None` are written as absent.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When the request head was complete: seconds since 1970.
    pub wall_s: i64,
    /// Milliseconds of that second.
    pub wall_ms: u16,
    /// The id that the client was told.
    pub request_id: &'a str,
    /// The site; empty when none was found.
    pub site: &'a str,
    /// The client.
    pub client_ip: IpAddr,
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: &'a str,
    /// `TLSv1.3`; none on plain HTTP.
    pub tls_version: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The authority asked for.
    pub host: &'a str,
    /// The path, with its query only where that may be logged.
    pub path: &'a str,
    /// The status sent.
    pub status: u16,
    /// Body bytes sent to the client.
    pub sent_bytes: u64,
    /// Body bytes received from the client.
    pub received_bytes: u64,
    /// How the cache took part: a word of [`crate::CacheResult`].
    pub cache: &'a str,
    /// Why it did not answer, or why the node refused: a word of the reason tables.
    pub reason: Option<&'a str>,
    /// Time spent waiting for a fill or a connection.
    pub wait_us: Option<u64>,
    /// Time until the head of the answer came from the next hop.
    pub first_byte_us: Option<u64>,
    /// Time until the last byte was handed to the connection.
    pub total_us: u64,
    /// The next hop that answered.
    pub upstream: Option<&'a str>,
    /// How many times a next hop was asked.
    pub upstream_attempts: u32,
    /// The Age sent.
    pub age_s: Option<u32>,
    /// Content coding sent.
    pub encoding: Option<&'a str>,
    /// The Range field of the request.
    pub range: Option<&'a [u8]>,
    /// The Referer field.
    pub referer: Option<&'a [u8]>,
    /// The User-Agent field.
    pub user_agent: Option<&'a [u8]>,
    /// Whether the whole answer was handed over.
    pub completed: bool,
}

/// Fields longer than this are cut: a client cannot fill the disk with one header.
const FIELD_BYTES_MAX: usize = 2048;

/// Appends one JSON object and a line feed. `node` is already escaped.
pub(crate) fn write_json(out: &mut Vec<u8>, node: &[u8], record: &Record<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    write_rfc3339_ms(out, record.wall_s, record.wall_ms);
    out.extend_from_slice(b"\",\"node\":\"");
    out.extend_from_slice(node);
    out.push(b'"');
    text(out, b",\"id\":\"", record.request_id.as_bytes());
    text(out, b",\"site\":\"", record.site.as_bytes());
    out.extend_from_slice(b",\"client\":\"");
    ip(out, record.client_ip);
    out.push(b'"');
    text(out, b",\"protocol\":\"", record.protocol.as_bytes());
    optional(out, b",\"tls\":\"", record.tls_version.map(str::as_bytes));
    text(out, b",\"method\":\"", record.method.as_bytes());
    text(out, b",\"scheme\":\"", record.scheme.as_bytes());
    text(out, b",\"host\":\"", record.host.as_bytes());
    text(out, b",\"path\":\"", record.path.as_bytes());
    number(out, b",\"status\":", u64::from(record.status));
    number(out, b",\"sent_bytes\":", record.sent_bytes);
    number(out, b",\"received_bytes\":", record.received_bytes);
    text(out, b",\"cache\":\"", record.cache.as_bytes());
    optional(out, b",\"reason\":\"", record.reason.map(str::as_bytes));
    optional_number(out, b",\"wait_us\":", record.wait_us);
    optional_number(out, b",\"first_byte_us\":", record.first_byte_us);
    number(out, b",\"total_us\":", record.total_us);
    optional(out, b",\"upstream\":\"", record.upstream.map(str::as_bytes));
    if record.upstream_attempts > 0 {
        number(out, b",\"upstream_attempts\":", u64::from(record.upstream_attempts));
    }
    optional_number(out, b",\"age_s\":", record.age_s.map(u64::from));
    optional(out, b",\"encoding\":\"", record.encoding.map(str::as_bytes));
    optional(out, b",\"range\":\"", record.range);
    optional(out, b",\"referer\":\"", record.referer);
    optional(out, b",\"user_agent\":\"", record.user_agent);
    let completed: &[u8] = if record.completed { b"true" } else { b"false" };
    out.extend_from_slice(b",\"completed\":");
    out.extend_from_slice(completed);
    out.extend_from_slice(b"}\n");
}

/// Appends one line of the combined format of Apache and nginx.
pub(crate) fn write_combined(out: &mut Vec<u8>, record: &Record<'_>) {
    ip(out, record.client_ip);
    out.extend_from_slice(b" - - [");
    write_clf(out, record.wall_s);
    out.extend_from_slice(b"] \"");
    escape::combined(out, cut(record.method.as_bytes()));
    out.push(b' ');
    escape::combined(out, cut(record.path.as_bytes()));
    out.push(b' ');
    let protocol = if record.protocol == "HTTP/2" { "HTTP/2.0" } else { record.protocol };
    escape::combined(out, protocol.as_bytes());
    out.extend_from_slice(b"\" ");
    decimal(out, u64::from(record.status));
    out.push(b' ');
    decimal(out, record.sent_bytes);
    for field in [record.referer, record.user_agent] {
        out.extend_from_slice(b" \"");
        escape::combined(out, cut(field.unwrap_or(b"-")));
        out.push(b'"');
    }
    out.push(b'\n');
}

fn text(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    escape::json(out, cut(value));
    out.push(b'"');
}

fn optional(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    if let Some(value) = value {
        text(out, name, value);
    }
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    decimal(out, value);
}

fn optional_number(out: &mut Vec<u8>, name: &[u8], value: Option<u64>) {
    if let Some(value) = value {
        number(out, name, value);
    }
}

fn cut(value: &[u8]) -> &[u8] {
    &value[..value.len().min(FIELD_BYTES_MAX)]
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => out.extend_from_slice(v6.to_string().as_bytes()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record with every field set.
    pub(crate) fn full() -> Record<'static> {
        Record {
            wall_s: 1_000_000_000,
            wall_ms: 42,
            request_id: "0a1b",
            site: "shop",
            client_ip: IpAddr::from([192, 0, 2, 10]),
            protocol: "HTTP/2",
            tls_version: Some("TLSv1.3"),
            method: "GET",
            scheme: "https",
            host: "www.shop.test",
            path: "/a\"b",
            status: 200,
            sent_bytes: u64::MAX,
            received_bytes: 0,
            cache: "miss",
            reason: Some("no-store"),
            wait_us: Some(3),
            first_byte_us: Some(1_200),
            total_us: 5_000,
            upstream: Some("127.0.0.1:8180"),
            upstream_attempts: 2,
            age_s: Some(7),
            encoding: Some("br"),
            range: Some(b"bytes=0-1"),
            referer: Some(b"https://ref.test/\r\nforged"),
            user_agent: Some(b"agent \x1b[31m\xff"),
            completed: true,
        }
    }

    #[test]
    fn json_carries_every_field_on_one_line() {
        let mut out = Vec::new();
        write_json(&mut out, b"edge-1", &full());
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({
            "time": "2001-09-09T01:46:40.042Z", "node": "edge-1", "id": "0a1b", "site": "shop",
            "client": "192.0.2.10", "protocol": "HTTP/2", "tls": "TLSv1.3", "method": "GET",
            "scheme": "https", "host": "www.shop.test", "path": "/a\"b", "status": 200,
            "sent_bytes": u64::MAX, "received_bytes": 0, "cache": "miss", "reason": "no-store",
            "wait_us": 3, "first_byte_us": 1200, "total_us": 5000, "upstream": "127.0.0.1:8180",
            "upstream_attempts": 2, "age_s": 7, "encoding": "br", "range": "bytes=0-1",
            "referer": "https://ref.test/\r\nforged", "user_agent": "agent \u{1b}[31m\u{fffd}",
            "completed": true,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let record = Record {
            tls_version: None,
            reason: None,
            wait_us: None,
            first_byte_us: None,
            upstream: None,
            upstream_attempts: 0,
            age_s: None,
            encoding: None,
            range: None,
            referer: None,
            user_agent: None,
            ..full()
        };
        let mut out = Vec::new();
        write_json(&mut out, b"edge-1", &record);
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        for name in ["tls", "reason", "wait_us", "upstream", "upstream_attempts", "age_s"] {
            assert!(read.get(name).is_none(), "{name}");
        }
        assert_eq!(read["site"], "shop");
    }

    #[test]
    fn combined_is_what_apache_and_nginx_write() {
        let mut out = Vec::new();
        write_combined(&mut out, &Record { sent_bytes: 12, ..full() });
        let expected = "192.0.2.10 - - [09/Sep/2001:01:46:40 +0000] \"GET /a\\x22b HTTP/2.0\" \
            200 12 \"https://ref.test/\\x0d\\x0aforged\" \"agent \\x1b[31m\\xff\"\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        write_combined(&mut out, &Record { referer: None, user_agent: None, ..full() });
        assert!(out.ends_with(b" \"-\" \"-\"\n"));
    }

    #[test]
    fn a_huge_field_is_cut() {
        let huge = vec![b'a'; 1 << 20];
        let mut out = Vec::new();
        write_json(&mut out, b"n", &Record { user_agent: Some(&huge), ..full() });
        assert!(out.len() < FIELD_BYTES_MAX + 1024);
    }

    #[test]
    fn addresses_are_written_in_their_usual_form() {
        let mut out = Vec::new();
        for address in ["::ffff:192.0.2.1", "2001:db8::1", "10.200.0.255"] {
            ip(&mut out, address.parse().unwrap());
            out.push(b' ');
        }
        assert_eq!(out, b"192.0.2.1 2001:db8::1 10.200.0.255 ");
    }
}
