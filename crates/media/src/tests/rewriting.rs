//! Manifests led elsewhere.

use super::{LIVE_TIME, LOW_LATENCY, LOW_LATENCY_MPD, MULTIVARIANT, VOD_BASE, VOD_REPEAT};
use crate::{DashForm, HlsForm, Kind, Limits, Rewrite, Unreadable, rewrite};

const HLS: Kind = Kind::Hls(HlsForm::Unknown);
const MPD: Kind = Kind::Dash(DashForm::Unknown);
const LED: Rewrite<'_> =
    Rewrite { from: &["origin.example"], to: "https://cdn.example", token: None };
const SIGNED: Rewrite<'_> = Rewrite { token: Some("t=1.k.x"), ..LED };

fn of(kind: Kind, text: &str, how: &Rewrite<'_>) -> Option<String> {
    let bytes = rewrite(kind, text.as_bytes(), how, &Limits::default()).expect("a manifest");
    bytes.map(|bytes| String::from_utf8(bytes).expect("text"))
}

#[test]
fn absolute_addresses_of_the_origin_lead_to_the_cdn() {
    let expected = MULTIVARIANT.replace("https://origin.example/", "https://cdn.example/");
    assert_eq!(of(HLS, MULTIVARIANT, &LED), Some(expected));
    let expected = VOD_BASE.replace("https://origin.example/", "https://cdn.example/");
    assert_eq!(of(MPD, VOD_BASE, &LED), Some(expected));
    assert_eq!(of(HLS, LOW_LATENCY, &LED), None, "nothing to be changed");
    assert_eq!(of(MPD, LIVE_TIME, &LED), None);
}

#[test]
fn a_token_goes_behind_each_address_of_a_playlist() {
    let text = of(HLS, LOW_LATENCY, &SIGNED).expect("changed");
    for name in ["init.mp4", "filePart268.0.mp4", "filePart269.2.mp4", "../1M/waitForMSN.php"] {
        assert!(text.contains(&format!("URI=\"{name}?t=1.k.x\"")), "{name}");
    }
    assert!(text.contains("\nfileSequence266.mp4?t=1.k.x\n"));
    assert_eq!(text.matches("t=1.k.x").count(), 10);
    let text = of(HLS, MULTIVARIANT, &SIGNED).expect("changed");
    assert!(text.contains("https://cdn.example/show/v9/prog_index.m3u8?t=1.k.x\n"));
    assert!(text.contains("URI=\"skd://key65\""), "another scheme");
}

#[test]
fn a_token_goes_behind_each_address_of_a_description() {
    let text = of(MPD, LIVE_TIME, &SIGNED).expect("changed");
    assert!(text.contains("initialization=\"init-stream$RepresentationID$.m4s?t=1.k.x\""));
    assert!(text.contains("media=\"chunk-stream$RepresentationID$-$Time$.m4s?t=1.k.x\""));
    assert_eq!(text.matches("t=1.k.x").count(), 2);
    let text = of(MPD, VOD_BASE, &SIGNED).expect("changed");
    assert!(text.contains("https://cdn.example/vod/h264_720p.mp4?a=1&amp;b=2&amp;t=1.k.x<"));
    assert!(of(MPD, VOD_REPEAT, &SIGNED).expect("changed").contains("\"p2/b.m4s?t=1.k.x\""));
    assert!(of(MPD, LOW_LATENCY_MPD, &SIGNED).expect("changed").contains("value=\"https://time."));
}

#[test]
fn addresses_of_others_get_no_token() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
    let one = |uri: &str| of(HLS, &format!("{head}#EXTINF:4,\n{uri}\n"), &SIGNED);
    for uri in ["https://ads.example/a.ts", "//ads.example/a.ts", "data:,x"] {
        assert_eq!(one(uri), None, "{uri}");
    }
    for (uri, expected) in [
        ("https://ORIGIN.example/a.ts#x", "https://cdn.example/a.ts?t=1.k.x#x"),
        ("//origin.example/a.ts?b", "https://cdn.example/a.ts?b&t=1.k.x"),
        ("https://cdn.example/a.ts", "https://cdn.example/a.ts?t=1.k.x"),
        ("/a.ts", "/a.ts?t=1.k.x"),
        ("a/b:c.ts", "a/b:c.ts?t=1.k.x"),
    ] {
        assert_eq!(one(uri), Some(format!("{head}#EXTINF:4,\n{expected}\n")), "{uri}");
    }
}

#[test]
fn a_token_that_would_end_its_place_goes_nowhere() {
    for token in ["t=\"", "t=1&u=2", "t=<", "t= ", ""] {
        assert_eq!(of(HLS, LOW_LATENCY, &Rewrite { token: Some(token), ..LED }), None, "{token}");
    }
    let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a,URI=\",NAME=\"b\"\n\
                #EXT-X-STREAM-INF:BANDWIDTH=1\nv\n";
    let out = of(HLS, text, &SIGNED).expect("changed");
    assert_eq!(out, text.replace("\nv\n", "\nv?t=1.k.x\n"), "a name within a value is none");
}

#[test]
fn what_is_not_understood_or_grows_too_long_is_left_alone() {
    let limits = Limits::default();
    let odd = rewrite(HLS, b"#EXTM3U\na.ts", &SIGNED, &limits);
    assert_eq!(odd, Err(Unreadable::Missing));
    assert_eq!(rewrite(Kind::Init, b"", &SIGNED, &limits), Err(Unreadable::NotManifest));
    let tight = Limits { manifest_bytes_max: LOW_LATENCY.len() + 20, ..limits };
    let grown = rewrite(HLS, LOW_LATENCY.as_bytes(), &SIGNED, &tight);
    assert_eq!(grown, Err(Unreadable::RewriteTooLong));
}
