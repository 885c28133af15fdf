//! A live channel through the CDN: the newest is there when it is published and not before, each
//! object is fetched once, and what is no manifest is left alone.

use crate::low_latency::{Watcher, live};
use crate::support::HOST;
use selvedge_tests::live::{LiveOrigin, Name, Plan};
use selvedge_tests::{Client, Node, eventually};
use serde_json::json;

fn get(edge: &Node, name: Name) -> selvedge_tests::Response {
    edge.get(HOST, &name.to_string())
}

/// Whatever was said before it was there.
#[test]
fn a_segment_is_there_as_soon_as_it_is_published() {
    let (origin, edge) = live(Plan::plain());
    let name = Name::Segment(0, 100);
    assert_eq!(get(&edge, name).status, 404);
    origin.change(|channel| channel.finish_segment());
    assert!(eventually(|| get(&edge, name).status == 200));
    assert!(get(&edge, name).body == origin.bytes(name));
    // So is the playlist that lists it, soon.
    assert!(eventually(|| get(&edge, Name::Playlist(0)).text().contains("\ns100.m4s\n")));
}

#[test]
fn a_channel_is_the_same_for_hls_and_dash() {
    let (origin, edge) = live(Plan::low_latency());
    for (name, form) in [
        (Name::NumberMpd, "startNumber=\"0\""),
        (Name::TimelineMpd, "<S t=\"180\" d=\"2\" r=\"9\"/>"),
    ] {
        let text = get(&edge, name).text();
        assert!(text.contains(form) && text.contains("availabilityTimeOffset"), "{text}");
    }
    for name in [Name::Init(0), Name::Segment(0, 99), Name::Part(0, 99, 5)] {
        for _ in 0..2 {
            assert!(get(&edge, name).body == origin.bytes(name), "{name}");
        }
        assert_eq!(origin.gets(&name.to_string()), 1, "{name}");
    }
}

/// An encoder begins anew under the same names: what is kept is of the old take, until a purge.
#[test]
fn a_purge_by_prefix_clears_what_an_encoder_that_began_anew_left() {
    let (origin, edge) = live(Plan::plain());
    let names: Vec<Name> = (90..100).map(|msn| Name::Segment(1, msn)).collect();
    let old: Vec<Vec<u8>> = names.iter().map(|name| get(&edge, *name).body).collect();
    assert!(names.iter().all(|name| eventually(|| get(&edge, *name).is_hit("edge-1"))));
    origin.change(|channel| channel.restart(100));
    assert!(get(&edge, names[0]).body == old[0], "documented: nothing tells it of that");
    let text = json!({ "prefix": format!("{HOST}/live/") }).to_string();
    let length = text.len();
    let purged = Client::http(edge.admin()).request(&format!(
        "POST /purge HTTP/1.1\r\nHost: admin.test\r\nContent-Length: {length}\r\n\r\n{text}"
    ));
    assert_eq!(purged.status, 200, "{}", purged.text());
    for (name, old) in names.iter().zip(old) {
        let body = get(&edge, *name).body;
        assert!(body == origin.bytes(*name) && body != old, "{name}");
    }
}

/// A body that was being made of the old take ends; the new one is fetched whole.
#[test]
fn a_segment_never_has_bytes_of_two_takes() {
    let (origin, edge) = live(Plan::low_latency());
    let name = Name::Segment(0, 100);
    origin.change(|channel| channel.make(2));
    let mut watcher = Watcher::ask(&edge, &name.to_string(), "");
    watcher.sees(b"moof");
    origin.change(|channel| channel.restart(100));
    assert!(watcher.rest().is_err(), "the rest would be of another take");
    origin.change(|channel| channel.finish_segment());
    assert!(get(&edge, name).body == origin.bytes(name));
}

/// Manifests that nothing can be made of, or that try to be more than they should.
fn odd_manifests() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let hls = "application/vnd.apple.mpegurl";
    let dash = "application/dash+xml";
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:";
    let huge = format!("{media}1\n{}", "#EXTINF:2.0,\ns1.m4s\n".repeat(300_000));
    let binary: Vec<u8> =
        (0..50_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let entities = "<?xml version=\"1.0\"?><!DOCTYPE MPD [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \
                    \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]><MPD \
                    type=\"dynamic\">&c;&c;&c;&c;</MPD>";
    let deep = format!("<MPD type=\"dynamic\">{}", "<Period>".repeat(100_000));
    let many = "<MPD type=\"dynamic\"><Period><AdaptationSet><SegmentTemplate \
                media=\"s$Number$.m4s\" \
                timescale=\"1\"><SegmentTimeline><S t=\"0\" d=\"1\" r=\"1000000000\"/>\
                </SegmentTimeline>\
                </SegmentTemplate><Representation id=\"a\"/></AdaptationSet></Period></MPD>";
    let beyond =
        format!("{media}18446744073709551615\n#EXTINF:2.0,\ns1.m4s\n#EXTINF:2.0,\ns2.m4s\n");
    let out = format!(
        "{media}1\n#EXTINF:2.0,\n/live/%2e%2e/secret\n#EXTINF:2.0,\n//elsewhere.test/secret\n\
         #EXTINF:2.0,\nfile:///secret\n#EXTINF:2.0,\n..\\secret\n"
    );
    vec![
        ("/odd/huge.m3u8", hls, huge.into_bytes()),
        ("/odd/binary.m3u8", hls, binary.clone()),
        ("/odd/binary.mpd", dash, binary),
        (
            "/odd/cyclic.m3u8",
            hls,
            b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ncyclic.m3u8\n".to_vec(),
        ),
        ("/odd/entities.mpd", dash, entities.into()),
        ("/odd/deep.mpd", dash, deep.into_bytes()),
        ("/odd/many.mpd", dash, many.into()),
        ("/odd/beyond.m3u8", hls, beyond.into_bytes()),
        ("/odd/out.m3u8", hls, out.into_bytes()),
        ("/odd/empty.m3u8", hls, Vec::new()),
    ]
}

#[test]
fn odd_manifests_are_passed_on_as_they_are() {
    let (origin, edge) = live(Plan::plain());
    for (path, media_type, body) in odd_manifests() {
        origin.change(|channel| channel.put(path, media_type, body.clone()));
        for _ in 0..2 {
            let resp = edge.get(HOST, path);
            assert_eq!((resp.status, resp.body == body), (200, true), "{path}");
            assert_eq!(resp.header("content-type"), Some(media_type), "{path}");
        }
    }
    assert_eq!(get(&edge, Name::Segment(0, 99)).status, 200, "and it serves on");
    let elsewhere: Vec<String> = strangers(&origin);
    assert!(elsewhere.is_empty(), "nobody asked for these: {elsewhere:?}");
}

/// What was asked of the origin beside the odd manifests and one segment.
fn strangers(origin: &LiveOrigin) -> Vec<String> {
    // A segment that a manifest truly names may be fetched before anybody asks.
    let wanted = |target: &String| {
        target.starts_with("/odd/s")
            || odd_manifests().iter().any(|(path, ..)| path == target)
            || Name::parse(target).is_some()
    };
    origin.all_gets().into_keys().filter(|target| !wanted(target)).collect()
}
