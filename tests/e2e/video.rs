//! What a node makes of HLS and MPEG-DASH (crates/media/README.md): lifetimes, keys, errors at the
//! live edge, what is fetched ahead, manifests that are rewritten or cannot be read.

use crate::support::{HOST, becomes, edge_with, site_count};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Client, Gate, Node, NodeConfig, Origin, Response, Site, eventually};
use serde_json::{Value, json};
use std::process::Command;

const HLS: &str = "application/vnd.apple.mpegurl";
const MPD: &str = "application/dash+xml";

/// A live playlist of four segments of 4 s from this number on.
fn live(first: u64) -> String {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"init.mp4\"\n";
    let list = (first..first + 4).map(|n| format!("#EXTINF:4,\n{n}.m4s\n")).collect::<String>();
    format!("{head}#EXT-X-MEDIA-SEQUENCE:{first}\n{list}")
}

fn vod() -> String {
    let list = (0..6).map(|n| format!("#EXTINF:4,\nv{n}.ts\n")).collect::<String>();
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{list}#EXT-X-ENDLIST\n")
}

fn multivariant(playlist: &str) -> String {
    format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{playlist}\n")
}

fn dynamic(period: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"dynamic\" \
         availabilityStartTime=\"2026-01-01T00:00:00Z\" minimumUpdatePeriod=\"{period}\" \
         minBufferTime=\"PT2S\"><Period start=\"PT0S\"><AdaptationSet><SegmentTemplate \
         timescale=\"1\" duration=\"4\" startNumber=\"1\" media=\"d$Number$.m4s\" \
         initialization=\"dinit.mp4\"/><Representation id=\"1\" bandwidth=\"1\"/>\
         </AdaptationSet></Period></MPD>"
    )
}

fn of(kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::new(200).header("content-type", kind).body(body)
}

/// The lifetime that is left, in seconds, of what is answered from the store.
fn ttl(edge: &Node, path: &str) -> i64 {
    drop(edge.get(HOST, path));
    let status = edge.get(HOST, path).cache_status("edge-1");
    let ttl = status.split("; ").find_map(|part| part.strip_prefix("ttl="));
    ttl.and_then(|ttl| ttl.parse().ok()).unwrap_or_else(|| panic!("{path}: {status}"))
}

#[track_caller]
fn about(found: i64, expected: i64) {
    assert!((expected - 2..=expected).contains(&found), "{found}, not {expected}");
}

fn streams(edge: &Node) -> Vec<Value> {
    let text = edge.admin_get("/streams").text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn of_silent_origin() -> (Origin, Node) {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 0));
    origin.on("/v/list.m3u8", of(HLS, vod()));
    origin.on("/v/v0.ts", of("video/mp2t", "segment"));
    origin.on("/l/list.m3u8", of(HLS, live(7)));
    origin.on("/l/top.m3u8", of(HLS, multivariant("list.m3u8")));
    origin.on("/l/7.m4s", of("video/iso.segment", "segment"));
    origin.on("/l/init.mp4", of("video/mp4", "init"));
    origin.on("/d/live.mpd", of(MPD, dynamic("PT6S")));
    (origin, edge)
}

#[test]
fn what_an_origin_does_not_say_the_manifest_does() {
    let (_origin, edge) = of_silent_origin();
    about(ttl(&edge, "/v/list.m3u8"), 86_400);
    about(ttl(&edge, "/v/v0.ts"), 14 * 86_400);
    about(ttl(&edge, "/l/list.m3u8"), 2);
    about(ttl(&edge, "/l/top.m3u8"), 2);
    about(ttl(&edge, "/l/7.m4s"), 3600);
    about(ttl(&edge, "/l/init.mp4"), 3600);
    about(ttl(&edge, "/d/live.mpd"), 3);
    let answer = edge.get(HOST, "/l/7.m4s");
    assert!(answer.age().is_some(), "players compute with it: {:?}", answer.headers);
}

/// An origin that asks for a cookie, and does not say that its answer is for one client.
#[test]
fn a_key_that_was_given_for_a_cookie_is_for_nobody_else() {
    let (origin, edge) = of_silent_origin();
    origin.on("/v/a.key", of("application/octet-stream", "0123456789abcdef"));
    drop(edge.get(HOST, "/v/list.m3u8"));
    for _ in 0..2 {
        drop(edge.get_with(HOST, "/v/a.key", "Cookie: session=paid\r\n"));
    }
    assert_eq!(origin.fetches("/v/a.key"), 2);
    origin.on("/v/a.key", Answer::new(403));
    assert_eq!(edge.get(HOST, "/v/a.key").status, 403);
    origin.on("/v/b.key", of("application/octet-stream", "fedcba9876543210"));
    about(ttl(&edge, "/v/b.key"), 14 * 86_400);
}

#[test]
fn the_word_of_the_origin_counts_unless_the_site_says_otherwise() {
    let rows = [("silent", 60, None), ("shorter", 2, None), ("ours", 2, Some(2))];
    for (whose, stated, no_cache) in rows {
        let (origin, edge) = edge_with(|site| site.set("media_lifetimes", whose));
        let said = |value| of(HLS, live(7)).header("cache-control", value);
        origin.on("/a/list.m3u8", said("max-age=60"));
        origin.on("/b/list.m3u8", said("no-cache"));
        origin.on("/c/list.m3u8", said("no-store"));
        about(ttl(&edge, "/a/list.m3u8"), stated);
        if let Some(seconds) = no_cache {
            about(ttl(&edge, "/b/list.m3u8"), seconds);
        }
        let fetches = |path| {
            drop((edge.get(HOST, path), edge.get(HOST, path)));
            origin.fetches(path)
        };
        if no_cache.is_none() {
            assert_eq!(fetches("/b/list.m3u8"), 2, "{whose}");
        }
        assert_eq!(fetches("/c/list.m3u8"), 2, "{whose}: no-store is heeded by all");
    }
}

#[test]
fn rules_say_what_paths_are_and_a_site_may_want_none_of_it() {
    let rules = json!([
        { "path": "/x/*.bin", "kind": "segment", "ttl": "30s" },
        { "path": "/x/other.ts", "kind": "other" },
    ]);
    let (origin, edge) = edge_with(|site| site.set("media_rules", rules));
    origin.on("/x/1.bin", of("image/png", "x").header("cache-control", "no-cache"));
    origin.on("/x/other.ts", of("video/mp2t", "x"));
    about(ttl(&edge, "/x/1.bin"), 30);
    let twice = |edge: &Node, path| drop((edge.get(HOST, path), edge.get(HOST, path)));
    twice(&edge, "/x/other.ts");
    assert_eq!(origin.fetches("/x/other.ts"), 2, "an origin that says nothing of what is no video");
    let (origin, edge) = edge_with(|site| site.set("media", "off"));
    origin.on("/l/list.m3u8", of(HLS, live(7)));
    twice(&edge, "/l/list.m3u8?CMCD=bs");
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(streams(&edge).len(), 0);
}

/// An MPD of numbers stays as it is while segments come.
#[test]
fn the_edge_that_moves_by_the_clock_has_no_age() {
    let (_origin, edge) = of_silent_origin();
    for (path, has_age) in [("/d/live.mpd", false), ("/l/list.m3u8", true)] {
        drop(edge.get(HOST, path));
        let folder = &path[..3];
        let all = streams(&edge);
        let view = all.iter().find(|view| view["folder"] == folder).expect("it is known");
        assert_eq!((&view["live"], view["edge_age_ms"].is_u64()), (&json!(true), has_age));
    }
}

/// TypeScript has the name of a transport stream.
#[test]
fn a_name_alone_makes_no_stream() {
    let (origin, edge) = edge_with(|site| site);
    origin.on("/app/main.ts", of("text/javascript", "let x = 1"));
    drop((edge.get(HOST, "/app/main.ts"), edge.get(HOST, "/app/main.ts")));
    assert_eq!(origin.fetches("/app/main.ts"), 2);
    assert_eq!(streams(&edge).len(), 0);
}

#[test]
fn content_tells_what_neither_type_nor_name_does() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 0));
    origin.on("/s/play", of("application/octet-stream", vod()));
    origin.on("/s/v0.ts", of("application/octet-stream", "x"));
    origin.on("/s/none", Answer::new(200).body(dynamic("PT8S")));
    about(ttl(&edge, "/s/play"), 86_400);
    about(ttl(&edge, "/s/v0.ts"), 14 * 86_400);
    about(ttl(&edge, "/s/none"), 4);
}

/// What was live is cut to a film of its best part, and live again under the same name.
#[test]
fn a_stream_that_ends_shorter_has_ended_and_one_that_begins_anew_is_live() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 0));
    let now = |text: String| of(HLS, text).header("cache-control", "max-age=0");
    let steps = [(live(4), true), (vod(), false), (live(0), true)];
    for (text, is_live) in steps {
        origin.on("/l/list.m3u8", now(text));
        drop(edge.get(HOST, "/l/list.m3u8"));
        assert_eq!(streams(&edge)[0]["live"], is_live);
    }
    origin.on("/l/0.m4s", of("video/iso.segment", "segment"));
    about(ttl(&edge, "/l/0.m4s"), 3600);
}

/// The manifest holds for a day: the origin is not asked for it, and it is not sent again.
#[test]
fn a_manifest_that_outlived_a_restart_is_read_again() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().expect("a temporary folder"));
    origin.on("/s/list.m3u8", of(HLS, vod()));
    for n in 0..6 {
        origin.on(&format!("/s/v{n}.ts"), of("application/octet-stream", "x"));
    }
    let disk = json!([{ "path": folder.path().display().to_string(), "size": "256MiB" }]);
    let site = Site::any(&origin.url()).set("media_prefetch", 0);
    let config = NodeConfig::new("edge-1").set("cache", "disk", disk).site(site);
    let mut edge = Node::edge(&config);
    drop(edge.get(HOST, "/s/list.m3u8"));
    assert!(edge.terminate().success());
    let edge = Node::edge(&config);
    assert!(edge.get(HOST, "/s/list.m3u8").is_hit("edge-1"));
    about(ttl(&edge, "/s/v0.ts"), 14 * 86_400);
    assert_eq!(streams(&edge)[0]["live"], false);
    assert_eq!(origin.fetches("/s/list.m3u8"), 1);
}

#[test]
fn what_is_not_there_yet_is_asked_for_again_as_soon_as_a_manifest_names_it() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 0).set("ttl_error", "1h"));
    let aged = |first| of(HLS, live(first)).header("cache-control", "max-age=0").etag("\"x\"");
    origin.on("/l/list.m3u8", of(HLS, live(1)).header("cache-control", "max-age=0"));
    origin.on("/l/5.m4s", Answer::new(404).header("cache-control", "max-age=600"));
    drop(edge.get(HOST, "/l/list.m3u8"));
    let first = edge.get(HOST, "/l/5.m4s");
    assert_eq!(first.status, 404);
    let status = first.cache_status("edge-1");
    let ttl = status.split("; ").find_map(|part| part.strip_prefix("ttl="));
    assert!(matches!(ttl, None | Some("0" | "1")), "a second at most: {status}");
    origin.on("/l/5.m4s", of("video/iso.segment", "segment"));
    origin.on("/l/list.m3u8", aged(2));
    drop(edge.get(HOST, "/l/list.m3u8"));
    let second = edge.get(HOST, "/l/5.m4s");
    assert_eq!(second.status, 200, "{:?}", second.headers);
}

#[test]
fn directives_are_in_the_key_in_one_form_and_what_players_say_is_not() {
    let (origin, edge) =
        edge_with(|site| site.set("query_ignore", vec!["*"]).set("media_prefetch", 0));
    let path = "/l/list.m3u8?_HLS_msn=9&_HLS_part=1";
    origin.on("/l/list.m3u8", of(HLS, live(7)));
    drop(edge.get(HOST, "/l/list.m3u8?_HLS_part=1&_HLS_msn=9&CMCD=bs%2Csid%3D%22a%22"));
    let again = edge.get_with(HOST, path, "CMCD-Session: sid=\"b\"\r\n");
    let targets = || origin.requests().into_iter().map(|req| req.target).collect::<Vec<_>>();
    assert_eq!(targets(), [path]);
    assert!(again.is_hit("edge-1"), "{:?}", again.headers);
    let sent = &origin.requests()[0].headers;
    assert!(sent.iter().all(|(name, _)| !name.starts_with("cmcd")), "{sent:?}");
    origin.on("/l/list.m3u8", Answer::new(400).header("cache-control", "max-age=60"));
    for _ in 0..2 {
        let answer = edge.get(HOST, "/l/list.m3u8?_HLS_part=1");
        let status = answer.cache_status("edge-1");
        assert!(answer.status == 400 && status.contains("directive-part-without-msn"), "{status}");
    }
    assert_eq!(targets().len(), 3, "a refusal is kept for nobody");
    let view = &streams(&edge)[0];
    assert_eq!((view["reports"].as_u64(), view["stalls"].as_u64()), (Some(2), Some(1)), "{view}");
    assert_eq!(view["viewers"], 3, "two sessions, and one who said nothing: {view}");
}

/// A site that ignores queries is not to be led past its store by these.
#[test]
fn directives_of_what_is_no_playlist_are_pairs_like_others() {
    let (origin, edge) = edge_with(|site| site.set("query_ignore", vec!["*"]));
    for path in ["/l/logo.png", "/l/7.m4s", "/l/live.mpd"] {
        origin.on(path, Answer::cacheable("x", 60));
        for query in ["", "?_HLS_msn=1", "?_HLS_msn=2", "?_HLS_part=1", "?_HLS_skip=NO"] {
            assert_eq!(edge.get(HOST, &format!("{path}{query}")).status, 200);
        }
        assert_eq!(origin.fetches(path), 1, "{path}");
    }
}

#[test]
fn what_comes_next_is_there_before_it_is_asked_for() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 2));
    origin.on("/v/list.m3u8", of(HLS, vod()));
    for n in 0..6 {
        origin.on(&format!("/v/v{n}.ts"), of("video/mp2t", format!("segment {n}")));
    }
    drop(edge.get(HOST, "/v/list.m3u8"));
    becomes(2, "objects fetched ahead", || site_count(&edge, "media_prefetches"));
    becomes(2, "fills", || site_count(&edge, "fills_stored") - 1);
    let first = edge.get(HOST, "/v/v0.ts");
    assert!(first.is_hit("edge-1"), "{:?}", first.headers);
    becomes(3, "objects fetched ahead", || site_count(&edge, "media_prefetches"));
    becomes(1, "of use", || site_count(&edge, "media_prefetch_used"));
    becomes(3, "fills", || site_count(&edge, "fills_stored") - 1);
    for n in 0..6 {
        drop(edge.get(HOST, &format!("/v/v{n}.ts")));
    }
    for n in 0..6 {
        assert_eq!(origin.fetches(&format!("/v/v{n}.ts")), 1, "{n}");
    }
    let view = &streams(&edge)[0];
    assert_eq!(view["folder"], "/v/", "{view}");
    assert_eq!(
        (view["live"].as_bool(), view["viewers"].as_u64()),
        (Some(false), Some(1)),
        "{view}"
    );
    assert!(view["segment_hits"].as_u64() >= Some(3), "{view}");
    let shown = Command::new(selvedge_tests::node::binary())
        .args(["streams", "--admin", &edge.admin().to_string()])
        .output()
        .expect("the command runs");
    let table = String::from_utf8_lossy(&shown.stdout);
    assert!(table.contains("/v/") && table.contains("on demand"), "{table}");
    let metrics = edge.metrics();
    let label = format!("stream=\"{HOST}/v/\"");
    assert!(metrics.sum("selvedge_stream_requests_total", &[&label]) >= 7.0);
}

#[test]
fn players_say_what_they_will_ask_for_and_cannot_lead_astray() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 1));
    origin.on("/v/a.m4s", of("video/iso.segment", "a"));
    origin.on("/v/b.m4s", of("video/iso.segment", "b"));
    drop(edge.get(HOST, "/v/a.m4s?CMCD=nor%3D%22b.m4s%22"));
    becomes(1, "objects fetched ahead", || site_count(&edge, "media_prefetches"));
    becomes(2, "fills", || site_count(&edge, "fills_stored"));
    assert!(edge.get(HOST, "/v/b.m4s").is_hit("edge-1"));
    for nor in ["http%3A%2F%2Fother.test%2Fx", "%2F%2Fother.test%2Fx"] {
        drop(edge.get(HOST, &format!("/v/a.m4s?CMCD=nor%3D%22{nor}%22")));
    }
    assert_eq!(site_count(&edge, "media_prefetches"), 1);
    assert!(origin.requests().iter().all(|req| !req.target.contains("/x")));
}

#[test]
fn what_is_not_there_is_not_fetched_ahead_again() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 2));
    origin.on("/v/list.m3u8", of(HLS, vod()));
    origin.on("/v/v0.ts", of("video/mp2t", "0"));
    origin.on("/v/v1.ts", Answer::new(404));
    drop(edge.get(HOST, "/v/list.m3u8"));
    let skipped = || {
        let word = "reason=\"not-there\"";
        let metrics = edge.metrics();
        metrics.sum("selvedge_media_prefetch_skipped_total", &[word])
            + metrics.sum("selvedge_media_prefetch_skipped_total", &["reason=\"not-kept\""])
    };
    becomes(1, "objects that are not there", || skipped() as u64);
    drop(edge.get(HOST, "/v/list.m3u8"));
    assert_eq!(origin.fetches("/v/v1.ts"), 1);
}

#[test]
fn addresses_of_the_origin_are_led_here() {
    let (origin, edge) =
        edge_with(|site| site.set("media_rewrite", vec!["origin.test"]).set("media_prefetch", 0));
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttps://origin.test/a.ts\n\
                #EXTINF:4,\nhttp://other.test/b.ts\n#EXT-X-ENDLIST\n";
    origin.on("/r/list.m3u8", of(HLS, text).etag("\"o\"").header("cache-control", "max-age=60"));
    let first = edge.get(HOST, "/r/list.m3u8");
    let expected = text.replace("https://origin.test", &format!("http://{HOST}"));
    assert_eq!(first.text(), expected);
    let second = edge.get(HOST, "/r/list.m3u8");
    assert_eq!((second.text(), origin.fetches("/r/list.m3u8")), (expected, 1));
    let tag = second.header("etag").expect("a tag of its own").to_owned();
    assert_ne!(tag, "\"o\"");
    let same = edge.get_with(HOST, "/r/list.m3u8", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(same.status, 304);
    let node = edge.get_with(HOST, "/r/list.m3u8", "CDN-Loop: other.test\r\n");
    assert_eq!(node.text(), text, "other nodes get what the origin sent");
}

#[test]
fn a_manifest_that_only_its_content_tells_is_led_here_too() {
    let (origin, edge) =
        edge_with(|site| site.set("media_rewrite", vec!["origin.test"]).set("media_prefetch", 0));
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttps://origin.test/a.ts\n";
    origin.on("/r/play", of("application/octet-stream", text));
    let expected = text.replace("https://origin.test", &format!("http://{HOST}"));
    for _ in 0..2 {
        assert_eq!(edge.get(HOST, "/r/play").text(), expected);
    }
    assert_eq!(origin.fetches("/r/play"), 1);
}

#[test]
fn what_cannot_be_read_goes_on_as_it_came() {
    let (origin, edge) = edge_with(|site| site.set("media_rewrite", vec!["origin.test"]));
    let numbers = "#EXTM3U\n#EXT-X-TARGETDURATION:99999999999999999999\n#EXTINF:4,\na.ts\n";
    let deep = format!("<MPD>{}</MPD>", "<Period>".repeat(100_000));
    let entities = "<?xml version=\"1.0\"?><!DOCTYPE MPD [<!ENTITY a \"aaaaaaaa\">]><MPD>&a;</MPD>";
    let many = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{}", "#EXTINF:4,\na.ts\n".repeat(60_000));
    let dots = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n../../../%2e%2e/a.ts\n";
    let huge = vec![b'#'; 5 << 20];
    let rows: [(&str, &str, Vec<u8>); 7] = [
        ("/b/numbers.m3u8", HLS, numbers.into()),
        ("/b/deep.mpd", MPD, deep.into()),
        ("/b/entities.mpd", MPD, entities.into()),
        ("/b/many.m3u8", HLS, many.into()),
        ("/b/dots.m3u8", HLS, dots.into()),
        ("/b/huge.m3u8", HLS, huge),
        ("/b/binary.mpd", MPD, (0..=255).collect()),
    ];
    for (path, kind, body) in rows {
        origin.on(path, of(kind, body.clone()).header("cache-control", "max-age=60"));
        for _ in 0..2 {
            let answer: Response = edge.get(HOST, path);
            assert!(answer.status == 200 && answer.body == body, "{path}");
        }
        assert_eq!(origin.fetches(path), 1, "{path}");
    }
    assert_eq!(site_count(&edge, "media_unread"), 6, "all but the one with dots");
    assert_eq!(site_count(&edge, "media_prefetches"), 0);
}

#[test]
fn a_manifest_that_breaks_off_is_none_and_the_last_one_stands_in() {
    let (origin, edge) = edge_with(|site| site.set("media_prefetch", 0));
    let cut = || of(HLS, live(7)).content_length("10000");
    origin.on("/l/new.m3u8", cut());
    assert_eq!(edge.get(HOST, "/l/new.m3u8").status, 502, "nothing was sent of it yet");
    let second = of(HLS, live(7)).header("cache-control", "max-age=1").header("age", "1");
    origin.on_each("/l/list.m3u8", vec![second, cut()]);
    drop(edge.get(HOST, "/l/list.m3u8"));
    let stale = edge.get(HOST, "/l/list.m3u8");
    assert_eq!((stale.status, stale.text()), (200, live(7)), "{:?}", stale.headers);
    assert_eq!(origin.fetches("/l/list.m3u8"), 2);
}

/// It has the name of a manifest and may be anything: a stream of text without an end.
#[test]
fn a_manifest_that_trickles_goes_on_as_it_comes() {
    let (origin, edge) = edge_with(|site| site);
    let end = Gate::shut();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {HLS}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let steps = vec![
        Step::Send(head.into()),
        Step::Send(b"8\r\n#EXTM3U\n\r\n".into()),
        Step::Wait(end.clone()),
        Step::Send(b"0\r\n\r\n".into()),
    ];
    origin.on("/l/slow.m3u8", Answer::steps(steps));
    let mut client = Client::http(edge.http());
    client.send(format!("GET /l/slow.m3u8 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    becomes(1, "manifests that are too slow", || site_count(&edge, "media_unread"));
    end.open();
    assert_eq!(client.read("GET").expect("all of it").text(), "#EXTM3U\n");
}

/// Players that get an old playlist again and again stand still all the same.
#[test]
fn a_live_playlist_outlives_its_origin_by_a_target_duration_at_most() {
    let (origin, edge) = edge_with(|site| site.set("stale_if_error", "1d"));
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n#EXTINF:2,\n2.ts\n";
    origin.on("/l/list.m3u8", of(HLS, list));
    assert_eq!(edge.get(HOST, "/l/list.m3u8").status, 200);
    origin.stop();
    let answer = || edge.get(HOST, "/l/list.m3u8");
    let is_stale = |it: &Response| it.status == 200 && it.cache_status("edge-1").contains("ttl=-");
    assert!(eventually(|| is_stale(&answer())), "it stands in for a while");
    assert!(eventually(|| answer().status == 502), "and no longer");
}

/// Parts of low-latency video that are ranges of one growing segment.
#[test]
fn a_range_of_a_growing_body_is_exact_as_soon_as_it_is_there() {
    let (origin, edge) = edge_with(|site| site);
    let (half, end) = (Gate::shut(), Gate::shut());
    let chunk = |text: &str| Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: video/iso.segment\r\nCache-Control: max-age=60\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let steps = vec![
        Step::Send(head.into()),
        chunk("0123456789"),
        Step::Wait(half.clone()),
        chunk("abcdefghij"),
        Step::Wait(end.clone()),
        Step::Send(b"0\r\n\r\n".into()),
    ];
    origin.on("/l/1.m4s", Answer::steps(steps));
    let mut first = Client::http(edge.http());
    first.send(format!("GET /l/1.m4s HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let range = |of: &str| edge.get_with(HOST, "/l/1.m4s", &format!("Range: bytes={of}\r\n"));
    becomes(1, "fills", || site_count(&edge, "fills"));
    let is_there = range("2-5");
    let place = |answer: &Response| answer.header("content-range").map(str::to_owned);
    assert_eq!((is_there.status, is_there.text().as_str()), (206, "2345"));
    assert_eq!(place(&is_there).as_deref(), Some("bytes 2-5/*"));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| range("8-13"));
        becomes(2, "ranges", || site_count(&edge, "ranges"));
        half.open();
        let came = waits.join().expect("an answer");
        assert_eq!((came.status, came.text().as_str()), (206, "89abcd"));
        let (rest, beyond) = (scope.spawn(|| range("15-")), scope.spawn(|| range("50-60")));
        let all = scope.spawn(|| range("18-9007199254740991"));
        becomes(5, "ranges", || site_count(&edge, "ranges"));
        end.open();
        let rest = rest.join().expect("an answer");
        assert_eq!((rest.status, rest.text().as_str()), (206, "fghij"));
        assert_eq!(place(&rest).as_deref(), Some("bytes 15-19/20"));
        assert_eq!(beyond.join().expect("an answer").status, 416);
        let all = all.join().expect("an answer");
        assert_eq!((all.status, all.text().as_str()), (206, "ij"));
        assert_eq!(place(&all).as_deref(), Some("bytes 18-9007199254740991/*"));
    });
    assert_eq!(first.read("GET").expect("the whole").text(), "0123456789abcdefghij");
    assert_eq!(origin.fetches("/l/1.m4s"), 1);
}
