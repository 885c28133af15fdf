//! HTTP/2 messages that are none (RFC 9113 8; threats 18 and 19): the stream or the connection
//! ends, and the origin never sees a complete request made of them.

use crate::support::{HOST, edge_config};
use selvedge_tests::h2::{END_HEADERS, END_STREAM, Ending, H2, get_block, kind, request_block};
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Node, Origin};

struct Stage {
    origin: Origin,
    edge: Node,
    authority: Authority,
}

fn stage() -> Stage {
    let origin = Origin::start();
    origin.on("*", Answer::uncacheable("reached"));
    let authority = Authority::new();
    let config = edge_config(&origin).certificate(&authority.issue(&[HOST, "other.test"]));
    let edge = Node::edge(&config);
    Stage { origin, edge, authority }
}

impl Stage {
    fn connect(&self) -> H2 {
        H2::connect(self.edge.https(), HOST, &self.authority, &[])
    }

    /// Sends HEADERS with these fields that end the stream, on a connection of its own.
    fn ask(&self, fields: &[(&str, &str)]) -> Ending {
        let mut client = self.connect();
        client.frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &request_block(fields));
        client.ending(1)
    }

    /// The usual four fields with others behind them.
    fn ask_with(&self, more: &[(&str, &str)]) -> Ending {
        let mut fields =
            vec![(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/x")];
        fields.extend_from_slice(more);
        self.ask(&fields)
    }
}

fn is_refused(ending: &Ending) -> bool {
    match ending {
        Ending::Answered(status, _) => matches!(status, 400 | 405 | 414 | 421 | 431 | 501),
        Ending::Reset(_) | Ending::GoAway(_) | Ending::Closed => true,
        Ending::Silent => false,
    }
}

/// The plain case, so that the refusals below mean something.
#[test]
fn a_plain_request_is_answered() {
    let stage = stage();
    assert_eq!(stage.ask_with(&[]), Ending::Answered(200, b"reached".to_vec()));
    let mut client = stage.connect();
    for stream in [1, 3, 5] {
        client.get(stream, HOST, "/x");
    }
    for stream in [1, 3, 5] {
        assert!(matches!(client.ending(stream), Ending::Answered(200, _)));
    }
    assert_eq!(stage.origin.fetches("/x"), 4);
}

/// Threat 18: the declared length and the DATA must agree; what does not is never complete.
#[test]
fn a_body_that_is_not_as_long_as_it_says_never_becomes_a_request() {
    let stage = stage();
    for (length, pieces) in [
        ("5", &[&b"abc"[..]][..]),
        ("5", &[b"abcdefg"]),
        ("0", &[b"x"]),
        ("5", &[b"abc", b"defg"]),
        ("3", &[b"abc", b"d"]),
        ("5", &[]),
        ("5, 5", &[b"abcde"]),
        ("+5", &[b"abcde"]),
        ("five", &[b"abcde"]),
        ("18446744073709551621", &[b"abcde"]),
    ] {
        let mut client = stage.connect();
        let block = request_block(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", HOST),
            (":path", "/length"),
            ("content-length", length),
        ]);
        let flags = if pieces.is_empty() { END_HEADERS | END_STREAM } else { END_HEADERS };
        client.frame(kind::HEADERS, flags, 1, &block);
        for (number, piece) in pieces.iter().enumerate() {
            let last = number + 1 == pieces.len();
            client.frame(kind::DATA, if last { END_STREAM } else { 0 }, 1, piece);
        }
        let ending = client.ending(1);
        // The announced bytes may have been answered before the surplus came.
        let early = matches!(length, "0" | "3") && matches!(ending, Ending::Answered(200, _));
        assert!(early || is_refused(&ending), "{length:?} with {pieces:?}: {ending:?}");
    }
    // What is too long may be noticed when the announced length has gone on already; what reached
    // the origin was then exactly that, and nothing of the surplus.
    for seen in stage.origin.requests_for("/length") {
        let announced = seen.header("content-length").and_then(|length| length.parse().ok());
        assert!(matches!(announced, Some(0 | 3)), "{seen:?}");
        assert_eq!(announced, Some(seen.body_length), "{seen:?}");
    }
    let mut client = stage.connect();
    client.get(1, HOST, "/after");
    assert!(matches!(client.ending(1), Ending::Answered(200, _)));
}

/// Threat 19: fields of HTTP/1, and what could become a line of one.
#[test]
fn fields_that_have_no_place_in_http_2_are_refused() {
    let stage = stage();
    for field in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "5"),
        ("proxy-connection", "close"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("X-Upper", "a"),
        ("x y", "a"),
        ("x:y", "a"),
        ("", "a"),
        ("x\r\ny", "a"),
        ("x-a", "b\r\nx-c: d"),
        ("x-a", "b\nc"),
        ("x-a", "b\0c"),
        ("x-a", "\rb"),
        (":unknown", "a"),
        (":status", "200"),
        (":path", "/twice"),
        (":protocol", "websocket"),
        ("host", "other.test"),
        ("host", ""),
        ("content-length", "-1"),
    ] {
        let ending = stage.ask_with(&[field]);
        assert!(is_refused(&ending), "{field:?}: {ending:?}");
    }
    assert!(stage.origin.requests().is_empty(), "{:?}", stage.origin.requests());
}

/// Threat 19: pseudo-fields missing, empty, malformed, or in the wrong place.
#[test]
fn pseudo_fields_that_make_no_request_are_refused() {
    let stage = stage();
    let (method, scheme) = ((":method", "GET"), (":scheme", "https"));
    let (host, path) = ((":authority", HOST), (":path", "/x"));
    let rows: Vec<Vec<(&str, &str)>> = vec![
        vec![scheme, host, path],
        vec![method, host, path],
        vec![method, scheme, host],
        vec![method, scheme, path],
        vec![method, method, scheme, host, path],
        vec![("x-first", "1"), method, scheme, host, path],
        vec![method, scheme, host, ("x-between", "1"), path],
        vec![(":method", ""), scheme, host, path],
        vec![(":method", "GE T"), scheme, host, path],
        vec![(":method", "GET / HTTP/1.1\r\nX: y"), scheme, host, path],
        vec![method, (":scheme", "ht tp"), host, path],
        vec![method, scheme, (":authority", ""), path],
        vec![method, scheme, (":authority", "user@www.shop.test"), path],
        vec![method, scheme, (":authority", "a b"), path],
        vec![method, scheme, (":authority", "www.shop.test:80:80"), path],
        vec![method, scheme, host, (":path", "")],
        vec![method, scheme, host, (":path", "x")],
        vec![method, scheme, host, (":path", "/a b")],
        vec![method, scheme, host, (":path", "/a HTTP/1.1\r\nX: y")],
        vec![method, scheme, host, (":path", "/a\nb")],
        vec![method, scheme, host, (":path", "/a\0")],
        vec![method, scheme, host, (":path", "*")],
        vec![method, scheme, host, (":path", "http://other.test/")],
        vec![(":method", "CONNECT"), host],
    ];
    for fields in rows {
        let ending = stage.ask(&fields);
        assert!(is_refused(&ending), "{fields:?}: {ending:?}");
    }
    assert!(stage.origin.requests().is_empty(), "{:?}", stage.origin.requests());
}

/// Trailers that carry pseudo-fields or framing.
#[test]
fn trailers_of_http_2_carry_no_routing() {
    let stage = stage();
    for field in [(":path", "/other"), ("content-length", "9"), ("host", "other.test")] {
        let mut client = stage.connect();
        let block = request_block(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", HOST),
            (":path", "/tr"),
        ]);
        client.frame(kind::HEADERS, END_HEADERS, 1, &block);
        client.frame(kind::DATA, 0, 1, b"hi");
        client.frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &request_block(&[field]));
        let ending = client.ending(1);
        assert!(is_refused(&ending) || matches!(ending, Ending::Answered(200, _)), "{ending:?}");
    }
    for seen in stage.origin.requests() {
        assert!(seen.trailers.is_empty() && seen.path() == "/tr", "{seen:?}");
    }
}

/// The crumbs of a split Cookie (RFC 9113 8.2.3) reach an HTTP/1 origin as one field.
#[test]
fn cookie_crumbs_are_joined_for_the_origin() {
    let stage = stage();
    let ending = stage.ask_with(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
    assert!(matches!(ending, Ending::Answered(200, _)), "{ending:?}");
    let seen = stage.origin.last("/x");
    assert_eq!(seen.all("cookie").collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
}

/// Another host on the same connection is another server name than the handshake's (threat 52).
#[test]
fn a_coalesced_request_for_another_host_is_misdirected() {
    let stage = stage();
    let mut client = stage.connect();
    client.get(1, "other.test", "/x");
    assert!(matches!(client.ending(1), Ending::Answered(421, _)));
    client.get(3, HOST, "/x");
    assert!(matches!(client.ending(3), Ending::Answered(200, _)));
}

/// Frames that break the protocol end the connection with the right code, never the process.
#[test]
fn frames_that_break_the_protocol_end_the_connection() {
    let stage = stage();
    let block = get_block(HOST, "/x");
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("DATA on stream 0", selvedge_tests::h2::frame(kind::DATA, 0, 0, b"x")),
        ("HEADERS on stream 2", selvedge_tests::h2::frame(kind::HEADERS, 5, 2, &block)),
        ("SETTINGS of 5 bytes", selvedge_tests::h2::frame(kind::SETTINGS, 0, 0, &[0; 5])),
        ("PING of 7 bytes", selvedge_tests::h2::frame(kind::PING, 0, 0, &[0; 7])),
        ("WINDOW_UPDATE of 0", selvedge_tests::h2::frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("CONTINUATION alone", selvedge_tests::h2::frame(kind::CONTINUATION, 4, 1, &block)),
        ("a frame of 16 MiB", [&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &[0; 100]].concat()),
        (
            "bad HPACK",
            selvedge_tests::h2::frame(kind::HEADERS, 5, 1, &[0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("index 0", selvedge_tests::h2::frame(kind::HEADERS, 5, 1, &[0x80])),
        (
            "padding beyond the frame",
            selvedge_tests::h2::frame(kind::HEADERS, 0xd, 1, &[200, 0x82]),
        ),
    ];
    for (name, bytes) in rows {
        let mut client = stage.connect();
        client.raw(&bytes);
        let ending = client.last_words();
        assert!(matches!(ending, Ending::GoAway(1..) | Ending::Closed), "{name}: {ending:?}");
    }
    assert!(matches!(stage.ask_with(&[]), Ending::Answered(200, _)), "others are served");
}
