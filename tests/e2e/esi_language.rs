//! The elements of the language over HTTP: what is fetched and, above all, what is not.

use crate::esi::{faults, live_page, page, shows};
use crate::support::{HOST, becomes, edge, edge_with};
use selvedge_tests::answer::Step;
use selvedge_tests::{Answer, Node, Origin};

/// An origin with fragments `/a`, `/b` and `/c`, a broken `/bad`, and an edge before it.
fn house() -> (Origin, Node) {
    let (origin, edge) = edge();
    for name in ["a", "b", "c"] {
        origin.on(&format!("/{name}"), Answer::cacheable(name, 600));
    }
    origin.on("/bad", Answer::new(500).body("broken"));
    (origin, edge)
}

#[test]
fn what_is_removed_is_neither_shown_nor_fetched() {
    let (origin, edge) = house();
    let rows = [
        ("/1", "A<esi:remove>x\n<b>y</b>\n</esi:remove>B<esi:remove>z</esi:remove>C", "ABC"),
        ("/2", "A<esi:remove><esi:include src=\"/c\"/></esi:remove>B", "AB"),
        ("/3", "A<esi:comment text=\"<esi:include src='/c'/>\"/>B", "AB"),
        ("/4", "A<!-- <esi:include src=\"/c\"/> -->B", "A<!-- <esi:include src=\"/c\"/> -->B"),
        ("/5", "A<!--esi <esi:include src=\"/a\"/>-->B", "A aB"),
    ];
    for (path, body, expected) in rows {
        shows(&origin, &edge, path, body, expected);
    }
    origin.on("/6", live_page("A<esi:remove>x<esi:include src=\"/c\"/>y"));
    assert_eq!(edge.get(HOST, "/6").text(), "A", "what was to be removed does not leak");
    becomes(1, "blocks that were not closed", || faults(&edge, "unclosed-block"));
    assert_eq!((origin.fetches("/c"), origin.fetches("/a")), (0, 1));
}

/// A comment for surrogates may stand in another; there is an end to that.
#[test]
fn comments_for_surrogates_within_each_other_are_bounded() {
    let (origin, edge) = house();
    origin.on("/two", live_page("A<!--esi 1<!--esi <esi:include src=\"/a\"/>-->2-->B"));
    let text = edge.get(HOST, "/two").text();
    assert!(text.starts_with("A 1") && text.contains('a') && text.ends_with('B'), "{text}");
    let deep = format!("A{}x{}B", "<!--esi ".repeat(5_000), "-->".repeat(5_000));
    origin.on("/deep", live_page(&deep));
    let resp = edge.get(HOST, "/deep");
    assert_eq!(resp.status, 200);
    assert!(resp.text().starts_with('A') && resp.text().ends_with('B'));
}

#[test]
fn only_the_branch_that_is_taken_is_fetched() {
    let (origin, edge) = house();
    let when = |test: &str, src: &str| {
        format!("<esi:when test=\"{test}\"><esi:include src=\"{src}\"/></esi:when>")
    };
    let other = "<esi:otherwise><esi:include src=\"/b\"/></esi:otherwise>";
    let one = format!("<esi:choose>{}{}{other}</esi:choose>", when("1==1", "/a"), when("1", "/c"));
    let two = format!("<esi:choose>{}{other}</esi:choose>", when("1==2", "/c"));
    let none = format!("<esi:choose>{}</esi:choose>", when("1==2", "/c"));
    let odd = format!("<esi:choose>{}{other}</esi:choose>", when("'a' 'b'", "/c"));
    shows(&origin, &edge, "/one", &one, "a");
    shows(&origin, &edge, "/two", &two, "b");
    shows(&origin, &edge, "/none", &format!("A{none}B"), "AB");
    shows(&origin, &edge, "/odd", &format!("A{odd}B"), "AbB");
    assert_eq!((origin.fetches("/a"), origin.fetches("/b"), origin.fetches("/c")), (1, 1, 0));
    becomes(2, "tests that nobody can read", || faults(&edge, "bad-expression"));
    let inner = format!("<esi:choose><esi:when test=\"1\">{one}</esi:when></esi:choose>");
    let nested = format!("<esi:choose><esi:when test=\"1\">{inner}</esi:when></esi:choose>");
    shows(&origin, &edge, "/nested", &format!("A{nested}B"), "AaB");
    let wrong = format!("A<esi:choose>stray{other}{other}</esi:choose>B");
    shows(&origin, &edge, "/wrong", &wrong, "AbB");
    becomes(2, "text between branches", || faults(&edge, "stray-text"));
    becomes(4, "a branch missing and one too many", || faults(&edge, "bad-branches"));
}

#[test]
fn what_stands_in_for_an_attempt_is_fetched_only_if_that_fails() {
    let (origin, edge) = house();
    let both = |attempt: &str, except: &str| {
        format!(
            "A<esi:try><esi:attempt>{attempt}</esi:attempt><esi:except>{except}</esi:except>\
             </esi:try>B"
        )
    };
    let include = |src: &str| format!("<esi:include src=\"{src}\"/>");
    let good = both(&format!("1{}2", include("/a")), &include("/c"));
    shows(&origin, &edge, "/good", &good, "A1a2B");
    assert_eq!(origin.fetches("/c"), 0, "nobody needed it");
    let bad = both(&format!("1{}2{}3", include("/a"), include("/bad")), &include("/b"));
    shows(&origin, &edge, "/failed", &bad, "AbB");
    becomes(2, "fragments that failed", || faults(&edge, "fragment-server-error"));
    let patient = both("1<esi:include src=\"/bad\" onerror=\"continue\"/>2", "no");
    shows(&origin, &edge, "/patient", &patient, "A12B");
    let nested = both(&both(&include("/bad"), &include("/b")), "no");
    shows(&origin, &edge, "/nested", &nested, "AAbBB");
    let deaf = "A<esi:try><esi:attempt>x</esi:attempt><esi:attempt>y</esi:attempt></esi:try>B";
    origin.on("/deaf", live_page(deaf));
    assert_eq!(edge.get(HOST, "/deaf").status, 200);
    becomes(1, "branches that are missing or too many", || faults(&edge, "bad-branches").min(1));
}

#[test]
fn what_a_visitor_sent_is_put_in_as_text() {
    let (origin, edge) = house();
    let body = "[$(HTTP_COOKIE)]<esi:vars>[$(HTTP_COOKIE{id})][$(HTTP_COOKIE{none}|'d')]\
                [$(QUERY_STRING{q})][$(HTTP_HOST)][$(HTTP_ACCEPT_LANGUAGE{en-gb})]\
                [$(HTTP_HEADER{X-Odd})]</esi:vars>";
    origin.on("/vars", live_page(body));
    let evil = "%3Cesi:include%20src=/bad%3E%3Cscript%3E";
    let fields = "Cookie: a=1; id=7\r\nAccept-Language: de, en-gb;q=0.5\r\n\
                  X-Odd: <esi:include src=\"/bad\"/>&$(HTTP_COOKIE)\r\n";
    let resp = edge.get_with(HOST, &format!("/vars?q={evil}"), fields);
    let text = resp.text();
    let expected = "[$(HTTP_COOKIE)][7][d]";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("[www.shop.test][true]"), "{text}");
    assert!(!text.contains('<'), "nothing becomes markup: {text}");
    assert!(text.ends_with("$(HTTP_COOKIE)]"), "nor a variable: {text}");
    assert_eq!(origin.fetches("/bad"), 0);
}

/// A fragment that echoes what it was sent, and a page that stores such a thing.
#[test]
fn what_a_visitor_sent_is_no_markup_in_an_address_either() {
    let (origin, edge) = house();
    origin.on_fn("/f", |req, _| Answer::uncacheable(&req.target));
    origin.on("/p", live_page("<esi:include src=\"/f?$(QUERY_STRING)\"/>"));
    assert_eq!(edge.get(HOST, "/p?x=1&y=a%20b").text(), "/f?x=1&y=a%20b");
    let src = "<esi:include src=\"/f?n=$(HTTP_COOKIE{n})&v=$(QUERY_STRING{v})\"/>";
    origin.on("/q", live_page(src));
    let resp = edge.get_with(HOST, "/q?v=1%262", "Cookie: n=../x?&y=\"<z> w#\r\n");
    let target = &origin.last("/f").target;
    assert_eq!(&resp.text(), target);
    let value = target.strip_prefix("/f?n=").expect("the page's own part stays");
    let (name, rest) = value.split_once("&v=").expect("and the next one");
    assert!(!name.contains(['&', '#', '"', '<', '>', ' ']), "{target}");
    assert!(!rest.contains('&'), "one parameter stays one: {target}");
    // A value at the beginning of an address names no host.
    origin.on("/r", live_page("A<esi:include src=\"$(QUERY_STRING{u})\" onerror=\"continue\"/>B"));
    for evil in ["http://evil.test/", "//evil.test/", "/%5C/evil.test", "javascript:x"] {
        let resp = edge.get(HOST, &format!("/r?u={evil}"));
        assert_eq!(resp.status, 200, "{evil}");
        let hosts: Vec<String> =
            origin.requests().iter().map(|r| r.header("host").unwrap_or("").into()).collect();
        assert!(hosts.iter().all(|host| host == HOST), "{evil}: {hosts:?}");
    }
}

#[test]
fn cookies_that_are_secret_stay_so() {
    let (origin, edge) = edge_with(|site| site.set("esi_secret_cookies", vec!["sid"]));
    origin.on("/f", Answer::uncacheable("f"));
    let body = "<esi:vars>[$(HTTP_COOKIE{sid}|'none')][$(HTTP_COOKIE)][$(HTTP_HEADER{Cookie})]\
                [$(HTTP_HEADER{Authorization})]</esi:vars><esi:include src=\"/f\"/>";
    origin.on("/p", live_page(body));
    let fields = "Cookie: a=1; sid=topsecret; b=2\r\nAuthorization: Basic topsecret\r\n";
    let text = edge.get_with(HOST, "/p", fields).text();
    assert!(text.starts_with("[none][") && text.contains("a=1"), "{text}");
    assert!(!text.contains("topsecret"), "{text}");
    let sent = origin.last("/f");
    assert!(sent.header("cookie").is_some_and(|line| line.contains("sid=topsecret")), "{sent:?}");
}

/// Tags and pieces of tags in any order: what is read while it comes, in two pieces, is what is
/// made of the stored page, and no heap of them ends the node.
#[test]
fn heaps_of_tags_mean_the_same_live_and_stored() {
    let (origin, edge) = house();
    origin.on("/n", page("n<esi:include src=\"a\"/>"));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for number in 0..300 {
        let count = 1 + random(30);
        let body: String = (0..count).map(|_| HEAP[random(HEAP.len())]).collect();
        let cut = random(body.len() + 1);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store\r\n\
                    Surrogate-Control: content=\"ESI/1.0\"\r\n";
        let one = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        let (start, rest) = body.as_bytes().split_at(cut);
        let steps = vec![Step::Send([&one, start].concat()), Step::Send(rest.to_vec())];
        origin.on(&format!("/live-{number}"), Answer::steps(steps));
        origin.on(&format!("/kept-{number}"), page(&body));
        let ask = |kind: &str| {
            let path = format!("/{kind}-{number}?q=%3Cesi:vars%3E&x=1");
            let resp = edge.get_with(HOST, &path, "Cookie: id=7\r\n");
            assert_eq!(resp.status, 200, "{body}");
            resp.text()
        };
        let live = ask("live");
        assert_eq!(ask("kept"), live, "cold: {body}");
        assert_eq!(ask("kept"), live, "stored: {body}");
    }
    assert!(faults(&edge, "stray-end") > 0);
}

const HEAP: [&str; 36] = [
    "<esi:include src=\"/a\"/>",
    "<esi:include src='/b' alt=\"/c\" onerror=\"continue\"/>",
    "<esi:include src=\"/bad\" onerror=\"continue\"/>",
    "<esi:include src=\"/bad\" alt=\"/c\"/>",
    "<esi:include src=\"/n\"/>",
    "<esi:include src=\"$(QUERY_STRING{q})\" onerror=\"continue\"/>",
    "<esi:include src=\"/a?$(HTTP_COOKIE{id})\"></esi:include>",
    "<esi:include",
    "<esi:include src=\"",
    "<esi:remove>",
    "</esi:remove>",
    "<esi:comment text=\"<esi:include src='/c'/>\"/>",
    "<!--esi ",
    "-->",
    "<!-- ",
    "<![CDATA[",
    "]]>",
    "<esi:vars>",
    "</esi:vars>",
    "$(HTTP_COOKIE{id})",
    "$(QUERY_STRING{q}|'d')",
    "$(QUERY_STRING",
    "<esi:choose>",
    "</esi:choose>",
    "<esi:when test=\"$(QUERY_STRING{x})==1\">",
    "<esi:when test=\"1==\">",
    "</esi:when>",
    "<esi:otherwise>",
    "</esi:otherwise>",
    "<esi:try>",
    "</esi:try>",
    "<esi:attempt>",
    "</esi:attempt>",
    "<esi:except>",
    "</esi:except>",
    "text <b>\u{e9}</b>\n",
];
