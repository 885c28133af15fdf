//! The tour of video: the demo's clip and channel, through the edge, and what becomes of ffmpeg.

use selvedge_tests::demo::Demo;
use selvedge_tests::eventually;
use selvedge_tests::node::binary;
use selvedge_tests::tools::{curl, run};
use std::path::Path;

/// The edge of a demo.
fn edge(demo: &Demo) -> String {
    demo.line("  edge eu").split_whitespace().nth(2).expect("a URL").to_owned()
}

/// What curl gets, head and body.
#[track_caller]
fn get(url: &str) -> String {
    let got = curl(&["-i", url]);
    assert!(got.ok, "{url}: {}", got.stderr);
    got.stdout
}

/// The bytes of a URL, in a file.
#[track_caller]
fn bytes(url: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("got").display().to_string();
    assert!(curl(&["-f", "-o", &file, url]).ok, "{url}");
    std::fs::read(file).expect("curl has written it")
}

/// The last segment that a playlist names.
fn newest(playlist: &str) -> Option<&str> {
    playlist.lines().rfind(|line| line.ends_with(".m4s"))
}

/// HLS and DASH of the same segments, a channel that moves on, and no encoder without a demo.
#[test]
fn a_clip_and_a_channel_come_through_the_edge_and_end_with_the_demo() {
    let mut demo = Demo::start();
    let (edge, origin) = (edge(&demo), demo.place("origin"));
    let ready = demo.says().wait(0, |line| line.ends_with("video: the clip is ready"));
    assert!(ready.is_some(), "{:#?}", demo.says().all());
    let mpd = get(&format!("{edge}/video/manifest.mpd"));
    assert!(mpd.contains("type=\"static\"") && mpd.contains("application/dash+xml"), "{mpd}");
    let playlist = get(&format!("{edge}/video/media_0.m3u8"));
    assert!(playlist.contains("application/vnd.apple.mpegurl"), "{playlist}");
    assert!(playlist.contains("#EXT-X-ENDLIST"), "{playlist}");
    assert_eq!(newest(&playlist), Some("0-00032.m4s"), "{playlist}");
    let head = get(&format!("{origin}/video/master.m3u8"));
    assert!(!head.contains("cache-control"), "{head}");
    for name in ["init-0.mp4", "0-00032.m4s", "2-00007.m4s"] {
        let [got, is] = [&edge, &origin].map(|at| bytes(&format!("{at}/video/{name}")));
        assert!(got == is && got.len() > 500, "{name}: {} and {}", got.len(), is.len());
    }

    for_members(&demo, &edge);
    let line = demo.line("  edge eu");
    let admin = line.split_whitespace().last().expect("its admin listener");
    let streams = run(&binary().display().to_string(), &["streams", "--admin", admin]);
    assert!(streams.stdout.contains("/video/"), "{}", streams.stdout);

    let playlist = || get(&format!("{edge}/live/media_1.m3u8"));
    let before = playlist();
    let moved = eventually(|| newest(&playlist()) != newest(&before));
    assert!(moved, "{before} {}", playlist());
    let parts = get(&format!("{edge}/live/ll_0.m3u8"));
    let hint = parts.lines().rfind(|line| line.starts_with("#EXT-X-PRELOAD-HINT:"));
    let hint = hint.and_then(|line| line.split('"').nth(1)).expect("it names the next part");
    let part = bytes(&format!("{edge}/live/{hint}"));
    assert!(part.windows(4).any(|kind| kind == b"moof"), "it came when it was whole");
    let now = get(&format!("{edge}/now"));
    assert!(now.contains("no-store") && now.trim_end().ends_with('Z'), "{now}");
    assert!(get(&format!("{edge}/player")).contains("/player/player.js"));
    let library = get(&format!("{edge}/player/hls.js"));
    assert!(library.starts_with("HTTP/1.1 404"), "{library}");

    let encoders = demo.parts_called("ffmpeg");
    assert_eq!(encoders.len(), 1, "that of the channel; the clip's has ended");
    demo.kill();
    let process = format!("/proc/{}/exe", encoders[0]);
    let ended = eventually(|| std::fs::read_link(&process).is_err());
    assert!(ended, "ffmpeg runs on after the demo was killed");
}

/// What is for members is had by a signed URL, and all that its playlists name with it.
#[track_caller]
fn for_members(demo: &Demo, edge: &str) {
    let url = format!("{edge}/members/master.m3u8");
    assert!(get(&url).starts_with("HTTP/1.1 403"));
    let files = demo.line("  files").split_whitespace().nth(1).expect("a folder").to_owned();
    let key = format!("{files}/sign/demo.key");
    let how = ["--prefix", "/members/", "--expires", "1h", "--key", &key, "--site", "news"];
    let how: Vec<&str> = ["sign", &url].into_iter().chain(how).collect();
    let signed = run(&binary().display().to_string(), &how).stdout;
    let master = get(signed.trim());
    let playlist = master.lines().rfind(|line| line.starts_with("media_")).expect("a playlist");
    let playlist = get(&format!("{edge}/members/{playlist}"));
    let segment = playlist.lines().rfind(|line| line.contains(".m4s")).expect("a segment");
    assert!(get(&format!("{edge}/members/{segment}")).starts_with("HTTP/1.1 200"), "{segment}");
}

#[test]
fn without_ffmpeg_the_demo_says_so_and_does_the_rest() {
    let demo = Demo::start_with(|command| command.env("PATH", "/nowhere"));
    assert!(demo.line("Video: ").contains("apt-get install ffmpeg"));
    let edge = edge(&demo);
    assert!(get(&format!("{edge}/hello")).starts_with("HTTP/1.1 200"));
    let clip = get(&format!("{edge}/video/manifest.mpd"));
    assert!(clip.starts_with("HTTP/1.1 503"), "{clip}");
    assert!(get(&format!("{edge}/live/manifest.mpd")).starts_with("HTTP/1.1 404"));
}

#[test]
fn players_are_read_from_a_folder_of_npm_and_a_wrong_one_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    let refused = run(&binary().display().to_string(), &["demo", "--players", &at]);
    assert!(!refused.ok && refused.stderr.contains("npm install --prefix"), "{}", refused.stderr);
    let file = Path::new("node_modules/hls.js/dist/hls.min.js");
    let file = folder.path().join(file);
    std::fs::create_dir_all(file.parent().expect("it has one")).expect("a folder");
    std::fs::write(&file, "let hls;").expect("a file");
    let demo = Demo::start_with(|command| command.args(["--players", &at]));
    let library = get(&format!("{}/player/hls.js", edge(&demo)));
    assert!(library.ends_with("let hls;") && library.contains("text/javascript"), "{library}");
}
