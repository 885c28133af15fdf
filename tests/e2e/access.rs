//! Signed URLs and cookies: who has a token gets what it is for, until it is over; everybody else
//! gets 403, whatever is stored. No origin sees a token, and no key has one.

use crate::client_support::{stderr, stdout};
use crate::support::{HOST, becomes, site_count};
use selvedge_tests::node::{Reload, binary};
use selvedge_tests::tools::curl;
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Response, Site};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The secrets of the keys `a` and `b`.
pub(crate) const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const B: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

/// A site that asks for tokens signed with the key `a`.
pub(crate) fn site(origin: &Origin) -> Site {
    Site::any(&origin.url()).set("signed", "both").set("signed_keys", vec!["a"])
}

/// A node of this name that has both keys.
pub(crate) fn config(name: &str, site: Site) -> NodeConfig {
    let config = NodeConfig::new(name).set("node", "sign_keys", ".").site(site);
    config.file("a.key", A).file("b.key", format!("{B}\n"))
}

fn start() -> (Origin, Node, Signer) {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("secret", 600));
    let edge = Node::edge(&config("edge-1", site(&origin)));
    (origin, edge, Signer::new())
}

/// Whoever makes tokens, with keys of their own.
pub(crate) struct Signer(TempDir);

impl Signer {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, secret) in [("a.key", A), ("b.key", B), ("c.key", &A.replace('0', "c"))] {
            std::fs::write(folder.path().join(name), secret).expect("a key");
        }
        Self(folder)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(binary())
            .current_dir(self.0.path())
            .arg("sign")
            .args(arguments)
            .output()
            .expect("it runs")
    }

    /// What `selvedge sign` prints for a path of the site `any`.
    #[track_caller]
    fn signed(&self, key: &str, path: &str, more: &[&str]) -> String {
        let (url, key) = (format!("http://{HOST}{path}"), format!("{key}.key"));
        let output = self.run(&[&[&url, "--key", &key, "--site", "any"], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim().to_owned()
    }

    /// A token of the key `a` for a prefix.
    pub(crate) fn token(&self, prefix: &str) -> String {
        token_of(&self.signed("a", prefix, &["--expires", "1h"]))
    }
}

pub(crate) fn token_of(url: &str) -> String {
    let (_, token) = url.split_once("selvedge-token=").expect("a token");
    token.to_owned()
}

/// Asserts that an answer is a refusal for this reason.
#[track_caller]
pub(crate) fn is_refused(edge: &Node, resp: &Response, word: &str) {
    assert_eq!(resp.status, 403, "{word}: {}", resp.text());
    assert!(resp.joined("cache-status").contains(&format!("detail={word}")), "{:?}", resp.headers);
    assert_eq!(resp.header("cache-control"), Some("no-store"));
    let id = resp.header("x-request-id").expect("an id");
    assert_eq!(edge.log_line(id)["reason"], word);
}

#[test]
fn a_token_in_the_query_or_a_cookie_opens_what_it_is_for() {
    let (origin, edge, signer) = start();
    let token = signer.token("/live/");
    let miss = edge.get(HOST, &format!("/live/a?x=1&selvedge-token={token}"));
    assert_eq!((miss.status, miss.text().as_str()), (200, "secret"));
    let cookie = format!("Cookie: theme=dark; selvedge-token={token}; lang=en\r\n");
    let hit = edge.get_with(HOST, "/live/a?x=1", &cookie);
    assert!(hit.is_hit("edge-1"), "{:?}", hit.headers);
    let other = signer.token("/");
    let hit = edge.get(HOST, &format!("/live/a?selvedge-token={other}&x=1"));
    assert!(hit.is_hit("edge-1"), "another token, the same key: {:?}", hit.headers);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(origin.last("/live/a").target, "/live/a?x=1");
    let past = edge.get_with(HOST, "/live/b", &cookie);
    assert_eq!(past.status, 200);
    assert_eq!(origin.last("/live/b").header("cookie"), Some("theme=dark; lang=en"));
    let alone = format!("Cookie: selvedge-token={token}\r\n");
    assert_eq!(edge.get_with(HOST, "/live/c", &alone).status, 200);
    assert_eq!(origin.last("/live/c").header("cookie"), None);
    becomes(0, "refusals", || site_count(&edge, "refused"));
}

/// A page that is protected tells its own address in Referer, and a player that of what comes next.
#[test]
fn a_token_goes_nowhere_in_other_addresses_either() {
    let (origin, signer) = (Origin::start(), Signer::new());
    origin.on("*", Answer::cacheable("secret", 600).header("content-type", "video/mp2t"));
    let config = config("edge-1", site(&origin)).set("log", "query", true);
    let edge = Node::edge(&config);
    let token = signer.token("/");
    let next = format!("nor%3D%22b.ts%3Fselvedge-token%3D{token}%22");
    let target = format!("/a.ts?selvedge-token={token}&CMCD={next}");
    let page = format!("Referer: http://{HOST}/page?selvedge-token={token}&a=1\r\n");
    let answer = edge.get_with(HOST, &target, &page);
    assert_eq!(answer.status, 200);
    becomes(2, "fills", || site_count(&edge, "fills_stored"));
    let line = edge.log_line(answer.header("x-request-id").expect("an id"));
    assert!(!line.to_string().contains(&token), "{line}");
    assert_eq!(line["referer"], format!("http://{HOST}/page?selvedge-token=&a=1"));
    let sent = String::from_utf8_lossy(&origin.bytes()).into_owned();
    assert!(!sent.contains(&token), "{sent}");
    assert_eq!(origin.last("/b.ts").target, "/b.ts");
    drop(edge.get(HOST, &format!("/b.ts?selvedge-token={token}")));
    becomes(1, "objects fetched ahead of use", || site_count(&edge, "media_prefetch_used"));
}

#[test]
fn without_a_good_token_nothing_is_given_not_even_a_hit() {
    let (origin, edge, signer) = start();
    let token = signer.token("/live/");
    assert_eq!(edge.get(HOST, &format!("/live/a?selvedge-token={token}")).status, 200);
    let past = token_of(&signer.signed("a", "/live/", &["--until", "1700000000"]));
    let elsewhere = signer.run(&[
        &format!("http://{HOST}/live/"),
        "--key=a.key",
        "--site=other",
        "--expires=1h",
    ]);
    let elsewhere = token_of(stdout(&elsewhere).trim());
    let far = token_of(&signer.signed("a", "/live/", &["--expires=1h", "--client=192.0.2.7"]));
    let near = token_of(&signer.signed("a", "/live/", &["--expires=1h", "--client=127.0.0.1"]));
    let unknown = token_of(&signer.signed("c", "/live/", &["--expires=1h"]));
    let changed = token.replacen(".n.", ".a.", 1);
    // No base64 is of that length.
    let cut = &token[..token.len() - 2];
    let query = |token: &str| edge.get(HOST, &format!("/live/a?selvedge-token={token}"));
    is_refused(&edge, &edge.get(HOST, "/live/a"), "token-missing");
    is_refused(&edge, &query(&past), "token-expired");
    is_refused(&edge, &query(&elsewhere), "token-signature");
    is_refused(&edge, &query(&far), "token-signature");
    assert!(query(&near).is_hit("edge-1"), "it is this client's");
    is_refused(&edge, &query(&unknown), "token-unknown-key");
    is_refused(&edge, &query(&changed), "token-signature");
    is_refused(&edge, &query(cut), "token-malformed");
    is_refused(&edge, &query(&format!("{token}&selvedge-token={token}")), "token-malformed");
    is_refused(&edge, &edge.get(HOST, &format!("/vod/a?selvedge-token={token}")), "token-path");
    for odd in [
        "/live/..;/vod/a",
        "/live/../vod/a",
        "/live/%2e%2e/vod/a",
        "/live/..%2fvod/a",
        "/live/%5cvod",
    ] {
        let resp = edge.get(HOST, &format!("{odd}?selvedge-token={token}"));
        is_refused(&edge, &resp, "token-path");
    }
    let cookie = format!("Cookie: selvedge-token={past}\r\n");
    for fields in [&cookie, &format!("{cookie}Range: bytes=0-1\r\n"), "If-None-Match: *\r\n"] {
        assert_eq!(edge.get_with(HOST, "/live/a", fields).status, 403, "{fields}");
    }
    let head = format!("HEAD /live/a HTTP/1.1\r\nHost: {HOST}\r\n{cookie}\r\n");
    let mut client = Client::http(edge.http());
    client.send(head);
    assert_eq!(client.read("HEAD").expect("an answer").status, 403);
    assert_eq!(client.get(HOST, "/live/a", "").status, 403, "the connection is still good");
    assert_eq!(origin.requests().len(), 1, "nobody else got through");
    becomes(19, "refusals", || site_count(&edge, "refused"));
}

/// Who logs queries logs no tokens.
#[test]
fn a_token_is_not_logged() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("x", 600));
    let edge = Node::edge(&config("edge-1", site(&origin)).set("log", "query", true));
    let token = Signer::new().token("/");
    let resp = edge.get(HOST, &format!("/x?a=1&selvedge-token={token}"));
    let id = resp.header("x-request-id").expect("an id");
    assert_eq!(edge.log_line(id)["path"], "/x?a=1");
}

/// An address in a field counts where its sender is believed, and nowhere else.
#[test]
fn a_token_for_one_client_holds_behind_a_trusted_proxy() {
    let (origin, edge, signer) = start();
    let bound = token_of(&signer.signed("a", "/", &["--expires=1h", "--client=192.0.2.7"]));
    let ask = |node: &Node, client: &str| {
        let field = format!("X-Forwarded-For: {client}\r\n");
        node.get_with(HOST, &format!("/x?selvedge-token={bound}"), &field).status
    };
    assert_eq!(ask(&edge, "192.0.2.7"), 403, "anybody could write that");
    let trusting = config("edge-2", site(&origin)).set("listen", "trust", vec!["127.0.0.0/8"]);
    let trusting = Node::edge(&trusting);
    assert_eq!((ask(&trusting, "192.0.2.7"), ask(&trusting, "192.0.2.8")), (200, 403));
}

#[test]
fn only_the_paths_that_are_named_need_a_token_and_no_spelling_gets_around_it() {
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("x", 600));
    let site = site(&origin).set("signed_paths", vec!["/live/", "/a.mp4"]);
    let edge = Node::edge(&config("edge-1", site.set("signed", "query")));
    for open in ["/", "/index.html", "/live", "/a.mp4.txt", "/b/live/x"] {
        assert_eq!(edge.get(HOST, open).status, 200, "{open}");
    }
    for guarded in [
        "/live/x",
        "/a.mp4",
        "/LIVE/x",
        "/A.mp4",
        "/%6Cive/x",
        "//live/x",
        "/b/../live/x",
        "/live%2Fx",
        "/b/%2e%2e/live/x",
        "/live/x?a=1",
    ] {
        assert_eq!(edge.get(HOST, guarded).status, 403, "{guarded}");
    }
    let signer = Signer::new();
    let token = signer.token("/live/");
    assert_eq!(edge.get(HOST, &format!("/live/x?selvedge-token={token}")).status, 200);
    let cookie = format!("Cookie: selvedge-token={token}\r\n");
    assert_eq!(edge.get_with(HOST, "/live/x", &cookie).status, 403, "only in the query");
}

/// Old and new are good while both are named; nobody has to change in the same second.
#[test]
fn keys_change_without_a_gap() {
    let (origin, edge, signer) = start();
    let old = signer.signed("a", "/x", &["--expires", "1h"]);
    let new = signer.signed("b", "/x", &["--expires", "1h"]);
    let ask = |url: &str| {
        let (_, target) = url.split_once(HOST).expect("the host");
        edge.get(HOST, target).status
    };
    assert_eq!((ask(&old), ask(&new)), (200, 403));
    let with = |keys: &[&str]| config("edge-1", site(&origin).set("signed_keys", keys));
    assert_eq!(edge.reload(&with(&["a", "b"])), Reload::Applied);
    assert_eq!((ask(&old), ask(&new)), (200, 200));
    assert_eq!(edge.reload(&with(&["b", "a"])), Reload::Applied);
    assert_eq!((ask(&old), ask(&new)), (200, 200));
    assert_eq!(edge.reload(&with(&["b"])), Reload::Applied);
    assert_eq!((ask(&old), ask(&new)), (403, 200));
    assert_eq!(origin.fetches("/x"), 1);
    // Another secret under the same name counts from the next reload on.
    assert_eq!(edge.reload(&with(&["b"]).file("b.key", A)), Reload::Applied);
    assert_eq!(ask(&new), 403);
}

#[test]
fn a_key_that_cannot_be_used_is_said_at_a_start_and_refused_at_a_reload() {
    let (origin, edge, signer) = start();
    let url = signer.signed("a", "/x", &["--expires", "1h"]);
    let (_, target) = url.split_once(HOST).expect("the host");
    let missing = config("edge-1", site(&origin).set("signed_keys", vec!["a", "gone"]));
    let short = config("edge-1", site(&origin)).file("a.key", "00112233");
    for (config, word) in [(missing, "gone.key: cannot be read"), (short, "a.key: is not one line")]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("node.toml");
        std::fs::write(&file, config.render(folder.path())).expect("written");
        for verb in [&["check"][..], &["edge", "--config"]] {
            let output = Command::new(binary()).args(verb).arg(&file).output().expect("it runs");
            assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
            assert!(stderr(&output).contains(word), "{}", stderr(&output));
        }
        match edge.reload(&config) {
            Reload::Refused(line) => assert!(line.contains(word), "{line}"),
            Reload::Applied => panic!("{word}: it was taken"),
        }
        assert_eq!(edge.get(HOST, target).status, 200, "what ran goes on");
    }
}

#[test]
fn purges_and_upgrades_and_redirects_have_their_own_rules() {
    let (origin, edge, signer) = start();
    let token = signer.token("/");
    let target = format!("/x?selvedge-token={token}");
    edge.get(HOST, &target);
    let purge = format!("PURGE {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut client = Client::http(edge.http());
    assert_eq!(client.request(&purge).status, 200, "it has a guard of its own");
    assert_eq!(edge.get(HOST, &target).status, 200);
    assert_eq!(origin.fetches("/x"), 2, "the token is in no purge either");
    let upgrade = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\n\r\n"
        )
    };
    assert_eq!(Client::http(edge.http()).request(&upgrade("/chat")).status, 403);
    let post = format!("POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(Client::http(edge.http()).request(&post).status, 403);
    let options = format!("OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    assert_eq!(Client::http(edge.http()).request(&options).status, 403);
    let page = "Origin: https://a.test\r\nAccess-Control-Request-Method: PUT\r\n";
    let preflight = format!("OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\n{page}\r\n");
    assert_eq!(Client::http(edge.http()).request(&preflight).status, 200, "the origin answers");
    assert_eq!(origin.violations(), Vec::<String>::new());
}

/// A redirect to HTTPS gives nothing away, and the cookie may be for HTTPS alone.
#[test]
fn a_redirect_needs_no_token_and_keeps_it() {
    let origin = Origin::start();
    let site = site(&origin).set("https_redirect", true);
    let edge = config("edge-1", site).set("listen", "trust", vec!["127.0.0.0/8"]);
    let edge = Node::edge(&edge);
    let resp = edge.get(HOST, "/x?selvedge-token=abc");
    let to = format!("https://{HOST}/x?selvedge-token=abc");
    assert_eq!((resp.status, resp.header("location")), (308, Some(to.as_str())));
    let tls = edge.get_with(HOST, "/x?selvedge-token=abc", "X-Forwarded-Proto: https\r\n");
    is_refused(&edge, &tls, "token-malformed");
}

/// A page brings its own fragments with it; what belongs to another site needs its own token.
#[test]
fn fragments_come_with_their_page_and_those_of_other_sites_do_not() {
    let (origin, other) = (Origin::start(), Origin::start());
    let esi = |body: &str| {
        Answer::cacheable(body, 600)
            .header("content-type", "text/html")
            .header("surrogate-control", "content=\"ESI/1.0\"")
    };
    let theirs = "http://b.test/secret";
    let tag = |src: &str| format!("<esi:include src=\"{src}\" onerror=\"continue\"/>");
    origin.on("/page", esi(&format!("[{}|{}]", tag("/part"), tag(theirs))));
    origin.on("/part", Answer::cacheable("part", 600));
    other.on("*", Answer::cacheable("theirs", 600));
    let signed = |site: Site| site.set("signed", "query").set("signed_keys", vec!["a"]);
    let own = Site::new("any", &[HOST], &[&origin.url()]).set("esi_private", true);
    let own = signed(own.set("esi_origins", vec!["http://b.test"]));
    let config = config("edge-1", own);
    let edge = Node::edge(&config.site(signed(Site::new("other", &["b.test"], &[&other.url()]))));
    let token = Signer::new().token("/page");
    let page = edge.get(HOST, &format!("/page?selvedge-token={token}"));
    assert_eq!((page.status, page.text().as_str()), (200, "[part|]"));
    let part = edge.get(HOST, &format!("/part?selvedge-token={token}"));
    is_refused(&edge, &part, "token-path");
    assert_eq!(other.requests().len(), 0);
}

/// What `selvedge sign` prints is what a client needs.
#[test]
fn the_command_signs_for_curl_and_says_what_is_wrong() {
    let (_origin, edge, signer) = start();
    let made = signer.run(&["new-key", "new.key"]);
    assert!(made.status.success() && stdout(&made).is_empty(), "{}", stdout(&made));
    let text = std::fs::read_to_string(signer.0.path().join("new.key")).expect("a key");
    assert_eq!(text.trim().len(), 64);
    assert_eq!(signer.run(&["new-key", "new.key"]).status.code(), Some(64), "it is there");
    assert_eq!(signer.run(&["new-key", "no key"]).status.code(), Some(64));
    let file = edge.folder().join("node.toml").display().to_string();
    let base = format!("http://{}", edge.http());
    let url = format!("{base}/live/a.m3u8?x=1");
    let output = signer.run(&[&url, "-c", &file, "--prefix=/live/", "--expires=1h"]);
    let url = stdout(&output).trim().to_owned();
    let got = curl(&["-f", &url]);
    assert_eq!((got.ok, got.stdout.as_str()), (true, "secret"), "{}", got.stderr);
    let output = signer.run(&[&format!("{base}/live/"), "-c", &file, "--expires=1h", "--cookie"]);
    let cookie = stdout(&output);
    let (pair, rest) = cookie.trim().split_once("; ").expect("fields");
    assert_eq!(rest, "Path=/live/; Max-Age=3600; HttpOnly; SameSite=Lax");
    let got = curl(&["-f", "-b", pair, &format!("{base}/live/b")]);
    assert!(got.ok, "{}", got.stderr);
    let good = signer.run(&["check", &url, "-c", &file]);
    assert!(good.status.success(), "{}", stderr(&good));
    for (url, more, word) in [
        (url.as_str(), &["--key=b.key", "--site=any"][..], "token-unknown-key"),
        (&url, &["--key=a.key", "--site=other"], "token-signature"),
        (&url.replace("/live/", "/vod/"), &["--key=a.key", "--site=any"], "token-path"),
        (&base, &["--key=a.key", "--site=any"], "token-missing"),
    ] {
        let output = signer.run(&[&["check", url], more].concat());
        assert_eq!(output.status.code(), Some(1), "{word}");
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
    for wrong in [&["x"][..], &["http://a.test/", "--expires=1h"], &[&base, "--until=1"]] {
        assert_eq!(signer.run(wrong).status.code(), Some(64), "{wrong:?}");
    }
}
