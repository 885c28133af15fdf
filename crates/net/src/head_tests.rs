//! Tables of heads with their verdicts, and properties that hold for all bytes.

use proptest::prelude::*;

use super::{
    BodyFraming, Framing, Head, field_parts, is_plain_request_line, is_valid_path_and_query,
    plain_field,
};
use crate::refusal::Refusal;
use crate::scan::{Scanner, Then};
use crate::settings::Limits;

fn check(head: &str) -> Result<Framing, Refusal> {
    check_bytes(head.as_bytes(), &Limits::default())
}

fn check_bytes(head: &[u8], limits: &Limits) -> Result<Framing, Refusal> {
    match Head::default().advance(head, limits)? {
        Some((bytes, framing)) => {
            assert_eq!(bytes, head.len(), "{}", head.escape_ascii());
            Ok(framing)
        }
        None => panic!("unfinished: {}", head.escape_ascii()),
    }
}

fn with_fields(fields: &str) -> Result<Framing, Refusal> {
    check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"))
}

fn body(framing: Result<Framing, Refusal>) -> Result<BodyFraming, Refusal> {
    framing.map(|framing| framing.body)
}

/// What browsers, curl and proxies send is let through, with its framing.
#[test]
fn ordinary_heads_pass() {
    let none = Framing { body: BodyFraming::None, upgrade: false };
    for head in [
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET /a/b;c=d^?x=%20&y=[1]{2}|`\\ HTTP/1.1\r\nhost:a.test:8080\r\n\r\n",
        "GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n",
        "GET HTTPS://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET http://a.test?x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET http://[::1]:80/ HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \tvalue \u{e9}\t \r\nY:\r\nExpect: 100-Continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ] {
        assert_eq!(check(head), Ok(none), "{head:?}");
    }
    assert_eq!(body(with_fields("Content-Length: 5")), Ok(BodyFraming::Length(5)));
    assert_eq!(body(with_fields("Content-Length:007")), Ok(BodyFraming::Length(7)));
    assert_eq!(body(with_fields("Content-Length: 0")), Ok(BodyFraming::None));
    assert_eq!(body(with_fields("transfer-encoding: Chunked")), Ok(BodyFraming::Chunked));
    let upgrade = with_fields("Upgrade: websocket\r\nConnection: keep-alive, Upgrade");
    assert_eq!(upgrade, Ok(Framing { body: BodyFraming::None, upgrade: true }));
}

/// Threat rows 1 to 4 and 17: one framing, said plainly, or none.
#[test]
fn conflicting_or_obfuscated_framing_is_refused() {
    use Refusal::{
        CodingRepeated, CodingUnknown, CodingVersion, FieldFolded, FieldName, LengthAndCoding,
        LengthInvalid, LengthRepeated, LengthRequired,
    };
    for (fields, refusal) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", LengthAndCoding),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", LengthAndCoding),
        ("Content-Length: 5\r\nContent-Length: 6", LengthRepeated),
        ("Content-Length: 5\r\nContent-Length: 5", LengthRepeated),
        ("Content-Length: 5, 6", LengthInvalid),
        ("Content-Length: 5, 5", LengthInvalid),
        ("Content-Length: +5", LengthInvalid),
        ("Content-Length: -1", LengthInvalid),
        ("Content-Length: 0x5", LengthInvalid),
        ("Content-Length: 5 ", LengthInvalid),
        ("Content-Length:  5", LengthInvalid),
        ("Content-Length: \t5", LengthInvalid),
        ("Content-Length:", LengthInvalid),
        ("Content-Length: 5;", LengthInvalid),
        ("Content-Length: 12345678901234567890", LengthInvalid),
        ("Content-Length : 5", FieldName),
        (" Content-Length: 5", FieldFolded),
        ("Content-Length: 5\r\n 6", FieldFolded),
        ("Transfer-Encoding: identity, chunked", CodingUnknown),
        ("Transfer-Encoding: chunked, identity", CodingUnknown),
        ("Transfer-Encoding: chunked, chunked", CodingUnknown),
        ("Transfer-Encoding: ,chunked", CodingUnknown),
        ("Transfer-Encoding: chunked,", CodingUnknown),
        ("Transfer-Encoding: \tchunked", CodingUnknown),
        ("Transfer-Encoding: chunked ", CodingUnknown),
        ("Transfer-Encoding: \"chunked\"", CodingUnknown),
        ("Transfer-Encoding: xchunked", CodingUnknown),
        ("Transfer-Encoding: chunked;q=1", CodingUnknown),
        ("Transfer-Encoding:", CodingUnknown),
        ("Transfer-Encoding: gzip", CodingUnknown),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", CodingRepeated),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", CodingRepeated),
        ("Transfer-Encoding\t: chunked", Refusal::FieldName),
        ("Transfer-Encoding: ch\u{fc}nked", CodingUnknown),
        ("Transfer-Encoding\r\n: chunked", FieldName),
    ] {
        assert_eq!(with_fields(fields), Err(refusal), "{fields:?}");
    }
    let coded = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(check(coded), Err(CodingVersion));
    assert_eq!(check("POST / HTTP/1.0\r\nHost: a\r\n\r\n"), Err(LengthRequired));
}

/// Threat rows 6 and 7: the shape of lines and fields.
#[test]
fn malformed_lines_and_fields_are_refused() {
    for (head, refusal) in [
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", Refusal::LineEnd),
        ("GET / HTTP/1.1\nHost: a\n\n", Refusal::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Refusal::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", Refusal::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n", Refusal::LineEnd),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refusal::LineEnd),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::LineEnd),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", Refusal::ControlByte),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\u{7f}\r\n\r\n", Refusal::ControlByte),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{b}: y\r\n\r\n", Refusal::ControlByte),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::ControlByte),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refusal::FieldFolded),
        ("GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", Refusal::FieldFolded),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refusal::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", Refusal::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", Refusal::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", Refusal::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: z\r\n\r\n", Refusal::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n(x): z\r\n\r\n", Refusal::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", Refusal::Expectation),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", Refusal::Expectation),
    ] {
        assert_eq!(check(head), Err(refusal), "{head:?}");
    }
}

/// Threat rows 8 and 12: the request line.
#[test]
fn malformed_request_lines_are_refused() {
    for (line, refusal) in [
        ("GET  / HTTP/1.1", Refusal::RequestLine),
        ("GET /  HTTP/1.1", Refusal::RequestLine),
        ("GET / HTTP/1.1 ", Refusal::RequestLine),
        ("GET\t/ HTTP/1.1", Refusal::ControlByte),
        ("GET /a b HTTP/1.1", Refusal::RequestLine),
        ("GET /", Refusal::RequestLine),
        ("GET", Refusal::RequestLine),
        ("GET / http/1.1", Refusal::RequestLine),
        ("GET / HTTP/1.10", Refusal::Version),
        ("GET / HTTP/1.32", Refusal::Version),
        ("GET / HTTP/9.9", Refusal::Version),
        ("GET / HTTP/2.0", Refusal::Version),
        ("GET / HTTP/2", Refusal::Version),
        ("GET / HTTP/0.9", Refusal::Version),
        ("GET / HTTP/", Refusal::RequestLine),
        ("GET / HTTPS/1.1", Refusal::RequestLine),
        (" GET / HTTP/1.1", Refusal::Method),
        ("G=\"x\" / HTTP/1.1", Refusal::Method),
        ("\u{16}\u{3}\u{1} / HTTP/1.1", Refusal::Method),
        ("SELVEDGE-REFUSED / HTTP/1.1", Refusal::Method),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHI / HTTP/1.1", Refusal::Method),
        ("GET /a#b HTTP/1.1", Refusal::Target),
        ("GET /\u{e9} HTTP/1.1", Refusal::Target),
        ("GET /a\\b HTTP/1.1", Refusal::Target),
        ("GET /<x> HTTP/1.1", Refusal::Target),
        ("GET http://a/b#c HTTP/1.1", Refusal::Target),
        ("GET http://a#c HTTP/1.1", Refusal::Target),
        ("GET a/b HTTP/1.1", Refusal::TargetForm),
        ("GET * HTTP/1.1", Refusal::TargetForm),
        ("GET a:80 HTTP/1.1", Refusal::TargetForm),
        ("GET ftp://a/ HTTP/1.1", Refusal::TargetForm),
        ("GET http:/a HTTP/1.1", Refusal::TargetForm),
        ("GET http:///a HTTP/1.1", Refusal::HostInvalid),
        ("GET http://u@a/ HTTP/1.1", Refusal::HostInvalid),
        ("GET http://a:80:80/ HTTP/1.1", Refusal::HostInvalid),
        ("CONNECT a:443 HTTP/1.1", Refusal::Connect),
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(check(&head), Err(refusal), "{line:?}");
    }
}

/// Threat row 10: exactly one authority.
#[test]
fn one_valid_host_is_needed() {
    for (fields, refusal) in [
        ("", Refusal::HostMissing),
        ("Host:\r\n", Refusal::HostInvalid),
        ("Host: \r\n", Refusal::HostInvalid),
        ("Host: a\r\nHost: a\r\n", Refusal::HostRepeated),
        ("Host: a:80:80\r\n", Refusal::HostInvalid),
        ("Host: u@a\r\n", Refusal::HostInvalid),
        ("Host: a b\r\n", Refusal::HostInvalid),
        ("Host: a#b\r\n", Refusal::HostInvalid),
        ("Host: a,b\r\n", Refusal::HostInvalid),
        ("Host: [::1\r\n", Refusal::HostInvalid),
        ("Host: http://a\r\n", Refusal::HostInvalid),
    ] {
        for version in ["1.0", "1.1"] {
            let head = format!("GET / HTTP/{version}\r\n{fields}\r\n");
            assert_eq!(check(&head), Err(refusal), "{head:?}");
        }
    }
    assert_eq!(check("GET http://a/ HTTP/1.1\r\n\r\n"), Err(Refusal::HostMissing));
}

fn small() -> Limits {
    Limits {
        head_bytes_max: 300,
        field_bytes_max: 100,
        fields_max: 5,
        url_bytes_max: 40,
        ..Limits::default()
    }
}

/// Threat row 9: what is too large is refused before it is complete.
#[test]
fn sizes_and_counts_are_bounded() {
    let host = "GET / HTTP/1.1\r\nHost: a\r\n";
    let long = "x".repeat(200);
    for (head, refusal) in [
        (format!("GET /{long}"), Refusal::UrlTooLong),
        (format!("GET /{} HTTP/1.1\r\n", &long[..50]), Refusal::UrlTooLong),
        (format!("{host}X: {long}"), Refusal::FieldTooLarge),
        (format!("{host}X: {long}\r\n"), Refusal::FieldTooLarge),
        (format!("{host}{}", "A: b\r\n".repeat(5)), Refusal::TooManyFields),
        (format!("{host}{}", format!("A: {}\r\n", &long[..80]).repeat(4)), Refusal::HeadTooLarge),
    ] {
        let verdict = Head::default().advance(head.as_bytes(), &small());
        assert_eq!(verdict, Err(refusal), "{head:?}");
    }
}

/// Whatever the guard lets through as a target, the library behind it understands the same way.
#[test]
fn every_accepted_target_is_a_uri() {
    for byte in 0..=255_u8 {
        for prefix in [&b"/a"[..], b"/a?b"] {
            let mut target = prefix.to_vec();
            target.push(byte);
            target.push(b'z');
            if is_valid_path_and_query(&target) {
                let uri = http::Uri::try_from(&target[..]);
                let found = uri.as_ref().ok().and_then(|uri| uri.path_and_query());
                assert_eq!(
                    found.map(|found| found.as_str().as_bytes()),
                    Some(&target[..]),
                    "{}",
                    target.escape_ascii()
                );
            }
        }
    }
}

/// What is taken for plain is what the rules let through, whatever byte stands wherever, and the
/// rules have nothing to add to it.
#[test]
fn plain_lines_obey_every_rule() {
    let limits = Limits { url_bytes_max: 12, ..Limits::default() };
    let (mut plain, mut fields) = (0, 0);
    let mut look = |line: &[u8]| {
        if is_plain_request_line(line, &limits) {
            let mut head = Head::default();
            assert_eq!(head.any_request_line(line, &limits), Ok(()), "{}", line.escape_ascii());
            assert!(!head.is_http10 && !head.needs_length && !head.is_absolute);
            plain += 1;
        }
        match plain_field(line) {
            Some(parts) => {
                assert_eq!(field_parts(line), Ok(parts), "{}", line.escape_ascii());
                fields += 1;
            }
            None => assert!(field_parts(line).is_err() || line.contains(&b'\t')),
        }
    };
    for line in [
        &b"GET /a?b=c HTTP/1.1"[..],
        b"GET /1234567890 HTTP/1.1",
        b"GET /12345678901 HTTP/1.1",
        b"GET / HTTP/1.1",
        b"a:",
        b"a: b",
        b"Accept-Language: de, en;q=0.9, *;q=0.8",
    ] {
        for place in 0..line.len() {
            for byte in 0..=255 {
                let mut line = line.to_vec();
                line[place] = byte;
                look(&line);
            }
        }
    }
    assert!(plain > 1000 && fields > 1000, "{plain} {fields}");
}

/// Everything a connection said, byte by byte: how much was approved, and what came then.
fn verdict(bytes: &[u8], cuts: &[usize], limits: &Limits) -> (usize, Then) {
    let mut scanner = Scanner::new();
    let mut approved = 0;
    let mut then = Then::More;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        if end > approved {
            let (more, next) = scanner.scan(&bytes[approved..end], limits);
            approved += more;
            then = next;
            if then != Then::More {
                break;
            }
        }
    }
    (approved, then)
}

/// Pieces from which streams are put together that come close to the interesting cases.
const PIECES: [&str; 32] = [
    "GET / HTTP/1.1\r\n",
    "POST /x HTTP/1.1\r\n",
    "POST /x HTTP/1.0\r\n",
    "Host: a\r\n",
    "Host: a\r\n\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\tchunked\r\n",
    "Upgrade: x\r\nConnection: upgrade\r\n",
    "\r\n",
    "\n",
    "\r",
    "5\r\n",
    "hello",
    "hello\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "0",
    "x: y\r\n",
    "5;a=\"b\"\r\n",
    "5;a=\"\r\n",
    " ",
    "\t",
    ":",
    "\0",
    "http://a/",
    "*",
    "/?a=b#c",
    "HTTP/1.1",
    "GET",
    "long-long-long-long-long-long-long-long-long-long",
    "Expect: 100-continue\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The verdict and the approved bytes do not depend on how the bytes were split.
    #[test]
    fn verdicts_do_not_depend_on_splits(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..14),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
        use_small in any::<bool>(),
    ) {
        let text: String = pieces.iter().map(|&index| PIECES[index]).collect();
        let bytes = text.as_bytes();
        let limits = if use_small { small() } else { Limits::default() };
        let whole = verdict(bytes, &[], &limits);
        prop_assert_eq!(verdict(bytes, &cuts, &limits), whole);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(verdict(bytes, &every, &limits), whole);
    }

    /// A complete request of several parts, with a second one behind it, cut at every byte.
    #[test]
    fn good_streams_are_approved_whole(cuts in proptest::collection::vec(any::<usize>(), 0..12)) {
        let stream = b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
            5;x=\"y\"\r\nhello\r\n00\r\nt: u\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\n\
            Content-Length: 7\r\n\r\nGET / H\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n";
        let whole = (stream.len(), Then::More);
        prop_assert_eq!(verdict(stream, &cuts, &Limits::default()), whole);
    }

    /// Arbitrary bytes never panic, and what is approved never holds a bare LF in a head.
    #[test]
    fn arbitrary_bytes_do_no_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let whole = verdict(&bytes, &[], &small());
        prop_assert_eq!(verdict(&bytes, &cuts, &small()), whole);
    }
}
