//! HTTP/2 used as a weapon (threat 56): the abuser's connection ends, memory stays bounded, and an
//! honest client beside it is served.

use crate::support::{HOST, alone, edge_config};
use selvedge_tests::h2::{
    END_HEADERS, END_STREAM, Ending, H2, field, frame, get_block, integer, kind,
};
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Client, Node, Origin};

struct Stage {
    origin: Origin,
    edge: Node,
    authority: Authority,
    before: u64,
}

fn stage() -> Stage {
    let origin = Origin::start();
    origin.on("/hot", Answer::cacheable("hot", 600));
    origin.on("/slow", Answer::steps(vec![selvedge_tests::answer::Step::Silence]));
    let authority = Authority::new();
    let config = edge_config(&origin).certificate(&authority.issue(&[HOST])).set(
        "limits",
        "send_timeout",
        "2s",
    );
    let edge = Node::edge(&config);
    assert_eq!(edge.get(HOST, "/hot").text(), "hot");
    let before = edge.rss_bytes();
    Stage { origin, edge, authority, before }
}

impl Stage {
    fn connect(&self, settings: &[(u16, u32)]) -> H2 {
        H2::connect(self.edge.https(), HOST, &self.authority, settings)
    }

    /// Sends pieces until the connection takes no more or `count` were sent; tells whether the
    /// node ended it, and how.
    fn flood(
        &self,
        client: &mut H2,
        count: usize,
        mut piece: impl FnMut(usize) -> Vec<u8>,
    ) -> Ending {
        for number in 0..count {
            if !client.raw(&piece(number)) {
                break;
            }
            if number % 200 == 0 {
                self.honest();
            }
        }
        client.last_words()
    }

    /// Somebody else is served meanwhile.
    fn honest(&self) {
        let mut client = Client::https(self.edge.https(), HOST, &self.authority);
        assert_eq!(client.get(HOST, "/hot", "").text(), "hot");
    }

    fn bounded(&self) {
        let growth = self.edge.rss_bytes().saturating_sub(self.before);
        assert!(growth < 64 << 20, "{growth} bytes more");
        self.honest();
    }
}

#[track_caller]
fn ended(ending: &Ending) {
    assert!(matches!(ending, Ending::GoAway(1..) | Ending::Closed), "{ending:?}");
}

/// CVE-2023-44487: requests that are taken back at once.
#[test]
fn rapid_reset_ends_the_connection() {
    let _alone = alone();
    let stage = stage();
    let mut client = stage.connect(&[]);
    let block = get_block(HOST, "/slow");
    let ending = stage.flood(&mut client, 2000, |number| {
        let mut bytes = Vec::new();
        for within in 0..10 {
            let stream = u32::try_from((number * 10 + within) * 2 + 1).expect("small");
            bytes.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block));
            bytes.extend(frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        bytes
    });
    ended(&ending);
    stage.bounded();
    assert!(stage.origin.fetches("/slow") < 2000, "{}", stage.origin.fetches("/slow"));
}

/// CVE-2025-8671: the client makes the server reset its own streams.
#[test]
fn resets_that_the_server_is_made_to_send_end_the_connection() {
    let _alone = alone();
    let stage = stage();
    let mut client = stage.connect(&[]);
    let block = get_block(HOST, "/slow");
    let ending = stage.flood(&mut client, 2000, |number| {
        let mut bytes = Vec::new();
        for within in 0..10 {
            let stream = u32::try_from((number * 10 + within) * 2 + 1).expect("small");
            bytes.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block));
            bytes.extend(frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4]));
        }
        bytes
    });
    ended(&ending);
    stage.bounded();
}

/// VU#421644: a header block that never ends.
#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let _alone = alone();
    let stage = stage();
    let mut client = stage.connect(&[]);
    client.frame(kind::HEADERS, END_STREAM, 1, &get_block(HOST, "/hot"));
    let ending = stage.flood(&mut client, 4000, |number| {
        let mut block = Vec::new();
        field(&mut block, format!("x-{number}").as_bytes(), &[b'v'; 8000]);
        frame(kind::CONTINUATION, 0, 1, &block)
    });
    ended(&ending);
    stage.bounded();
}

/// The same with nothing in it.
#[test]
fn a_flood_of_empty_continuations_ends_the_connection() {
    let _alone = alone();
    let stage = stage();
    let mut client = stage.connect(&[]);
    client.frame(kind::HEADERS, END_STREAM, 1, &get_block(HOST, "/hot"));
    let ending =
        stage.flood(&mut client, 2000, |_| frame(kind::CONTINUATION, 0, 1, &[]).repeat(50));
    ended(&ending);
    stage.bounded();
}

/// CVE-2019-9512 and -9515: questions without end.
#[test]
fn floods_of_pings_and_settings_end_the_connection() {
    let _alone = alone();
    for (kind, payload) in [(kind::PING, &[7; 8][..]), (kind::SETTINGS, &[0, 4, 0, 1, 0, 0])] {
        let stage = stage();
        let mut client = stage.connect(&[]);
        let one = frame(kind, 0, 0, payload);
        let ending = stage.flood(&mut client, 4000, |_| one.repeat(50));
        ended(&ending);
        stage.bounded();
    }
}

/// CVE-2019-9518: DATA with nothing in it, PRIORITY without end.
#[test]
fn floods_of_frames_that_do_nothing_end_the_connection() {
    let _alone = alone();
    let stage = stage();
    let mut client = stage.connect(&[]);
    let block = selvedge_tests::h2::request_block(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/slow"),
    ]);
    client.frame(kind::HEADERS, END_HEADERS, 1, &block);
    let one = frame(kind::DATA, 0, 1, &[]);
    let ending = stage.flood(&mut client, 4000, |_| one.repeat(50));
    ended(&ending);
    stage.bounded();
}

/// CVE-2026-49975: a large field in the table once, and thousands of one-byte references to it.
#[test]
fn a_header_bomb_is_refused() {
    let _alone = alone();
    let stage = stage();
    let mut block = get_block(HOST, "/hot");
    // Literal with incremental indexing, new name: index 62 from then on.
    block.push(0x40);
    integer(&mut block, 6, 7, 0);
    block.extend_from_slice(b"cookie");
    integer(&mut block, 3000, 7, 0);
    block.extend_from_slice(&[b'c'; 3000]);
    block.extend_from_slice(&[0x80 | 62; 12_000]);
    let mut client = stage.connect(&[]);
    for stream in (1..200).step_by(2) {
        if !client.frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block) {
            break;
        }
    }
    let ending = client.ending(1);
    let refused = match &ending {
        Ending::Answered(status, _) => *status == 431,
        Ending::Silent => false,
        _ => true,
    };
    assert!(refused, "{ending:?}");
    stage.bounded();
}

/// More streams than allowed are refused, not queued without end.
#[test]
fn more_streams_than_allowed_are_refused() {
    let _alone = alone();
    let stage = stage();
    let mut client = stage.connect(&[]);
    let block = get_block(HOST, "/slow");
    let mut bytes = Vec::new();
    for number in 0..1000_u32 {
        bytes.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &block));
    }
    client.raw(&bytes);
    let ending = client.ending(1999);
    assert!(
        matches!(ending, Ending::Reset(7 | 11) | Ending::GoAway(_) | Ending::Closed),
        "{ending:?}"
    );
    stage.bounded();
    let asked = stage.origin.fetches("/slow");
    assert!(asked <= 160, "{asked}");
}

/// A connection that says nothing after its preface, or half a preface, is closed in time.
#[test]
fn connections_that_never_speak_are_closed() {
    let _alone = alone();
    let origin = Origin::start();
    let authority = Authority::new();
    let config = edge_config(&origin)
        .certificate(&authority.issue(&[HOST]))
        .set("limits", "header_timeout", "500ms")
        .set("limits", "keepalive_timeout", "500ms");
    let edge = Node::edge(&config);
    let mut silent = H2::connect(edge.https(), HOST, &authority, &[]);
    assert_ne!(silent.last_words(), Ending::Silent);
    let mut half = authority.connect(edge.https(), HOST, &["h2"]).expect("the handshake");
    std::io::Write::write_all(&mut half, b"PRI * HT").expect("bytes go out");
    let mut rest = Vec::new();
    let read = std::io::Read::read_to_end(&mut half, &mut rest);
    let timed_out = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out, "it waits for ever");
}
