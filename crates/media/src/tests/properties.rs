//! What holds for any bytes.

use proptest::prelude::*;

use super::{BASE, LIVE_TIME, LIVE_TS, LOW_LATENCY, LOW_LATENCY_MPD, MULTIVARIANT, VOD_REPEAT};
use crate::hls::Playlist;
use crate::token::{Grant, Key, Keys, Shown, sign, verify};
use crate::{
    Cmcd, Directives, Facts, Kind, Limits, Rewrite, Scope, SkipMode, Track, UnixMs, kind, rewrite,
};

/// A manifest of the fixtures with bytes cut out, put in and changed.
fn damaged(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0_usize..40, prop::sample::select(WORDS));
    let text = prop::sample::select(texts);
    (text, prop::collection::vec(edit, 0..4)).prop_map(|(text, edits)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, length, word) in edits {
            let at = at.index(bytes.len() + 1);
            let end = bytes.len().min(at + length);
            bytes.splice(at..end, word.bytes());
        }
        bytes
    })
}

const WORDS: &[&str] = &[
    "",
    "\n",
    "\"",
    ",",
    ":",
    "=",
    "<",
    ">",
    "&amp;",
    "&x;",
    "#EXTINF:4,\n",
    "a.ts\n",
    "../",
    "//h/",
    "18446744073709551615",
    "-1",
    "0",
    "$Number$",
    "$Time%05d$",
    "$",
    "r=\"-1\"",
    "\u{e6}",
    "@",
    "https://cdn.example/show/live/x9.ts\n",
    "<S d='9' r='99999999999'/>",
    "</Period>",
    "%2e%2e",
];

/// Everything that is done with a manifest; panics if something leads out.
fn exercise(bytes: &[u8]) {
    let limits = Limits::default();
    let found = kind("", "/a.m3u8", bytes);
    let scope = Scope::folder_of(&BASE);
    let how = Rewrite { from: &["h"], to: "https://cdn.example", token: Some("t=1") };
    let mut tracks = Vec::new();
    if let Ok(playlist) = crate::hls::parse(bytes, &limits) {
        let facts = Facts::of_hls(&playlist);
        if let Ok(Some(out)) = rewrite(found, bytes, &how, &limits) {
            let again = crate::hls::parse(&out, &limits).expect("still a playlist");
            assert_eq!(Facts::of_hls(&again), facts);
        }
        if let Playlist::Media(media) = &playlist {
            tracks.push(Track::of_hls(media, &BASE, &scope));
        }
    }
    if let Ok(mpd) = crate::dash::parse(bytes, &limits) {
        let facts = Facts::of_mpd(&mpd);
        if let Ok(Some(out)) = rewrite(facts.kind, bytes, &how, &limits) {
            let again = crate::dash::parse(&out, &limits).expect("still an MPD");
            assert_eq!(Facts::of_mpd(&again), facts);
        }
        tracks.extend(Track::of_mpd(&mpd, &BASE, &scope, 32));
    }
    for track in tracks {
        for ahead in track.start(UnixMs(1_795_444_211_000), 4) {
            track.available_at(&ahead.path);
            let next = track.next(&ahead.path, None, usize::MAX);
            assert!(next.len() <= crate::AHEAD_MAX);
            for one in next.iter().chain([&ahead]) {
                assert!(one.path.starts_with("/show/live/"), "{}", one.path);
                let path = one.path.split('?').next().unwrap_or_default();
                assert!(crate::address::is_plain_path(path), "{path}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_playlist_is_read_or_refused(
        bytes in damaged(&[LIVE_TS, LOW_LATENCY, MULTIVARIANT]),
    ) {
        exercise(&bytes);
    }

    #[test]
    fn any_description_is_read_or_refused(
        bytes in damaged(&[LIVE_TIME, LOW_LATENCY_MPD, VOD_REPEAT]),
    ) {
        exercise(&bytes);
    }

    #[test]
    fn any_bytes_are_something(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
        let after = [b"#EXTM3U\n", &bytes[..]].concat();
        exercise(&after);
        prop_assert!(matches!(kind("", "/", &after), Kind::Hls(_)));
    }

    #[test]
    fn any_times_and_queries_are_read_or_none(text in "\\PC*") {
        crate::time::date(&text);
        crate::time::duration(&text);
        crate::time::seconds(&text);
        Cmcd::from_query(&text);
        prop_assert_eq!(Cmcd::from_query(&Cmcd::strip(&text)), None);
        let _ = crate::resolve(&BASE, &text);
    }

    #[test]
    fn directives_survive_their_key(msn: u64, part: Option<u32>, skips: bool) {
        let skip = skips.then_some(SkipMode::Segments);
        let directives = Directives { msn: Some(msn), part, skip };
        prop_assert_eq!(Directives::parse(&directives.key()), Ok(Some(directives)));
    }

    #[test]
    fn what_is_signed_is_believed(
        audience in "[a-z.]{1,20}",
        folder in "[a-zA-Z0-9_-]{1,20}",
        expires_s: u64,
        bound: bool,
        octets: [u8; 16],
    ) {
        let key = Key::new("k", b"0123456789abcdef").expect("a key");
        let keys = Keys { current: key, other: None };
        let client = std::net::IpAddr::from(octets);
        let path_prefix = format!("/{folder}/");
        let grant = Grant {
            audience: &audience,
            expires_s,
            path_prefix: &path_prefix,
            client: bound.then_some(client),
        };
        let token = sign(&keys, &grant).expect("a token");
        let path = format!("{path_prefix}x");
        let shown = Shown { audience: &audience, path: &path, client, now_s: 0 };
        prop_assert_eq!(verify(&keys, &token, &shown).is_ok(), expires_s > 0);
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        prop_assert!(token.chars().all(fine), "it stands in a query as it is");
    }

    #[test]
    fn any_token_is_refused_with_a_word(token in "\\PC*") {
        let key = Key::new("k", b"0123456789abcdef").expect("a key");
        let keys = Keys { current: key, other: None };
        let client = std::net::Ipv4Addr::LOCALHOST.into();
        let shown = Shown { audience: "a", path: "/", client, now_s: 0 };
        let denied = verify(&keys, &token, &shown).expect_err("a guess");
        prop_assert!(denied.word().starts_with("token-"));
    }
}
