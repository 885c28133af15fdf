//! What is stored, for how long, and what clients are told about it (RFC 9111, 9211, 9213).

use crate::support::{HOST, answered, becomes, edge, edge_with, site_count};
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Site};

/// Asks twice; gives both answers and how often the origin was asked.
fn twice(origin: &Origin, edge: &Node, path: &str, fields: &str) -> (String, String, usize) {
    let first = edge.get_with(HOST, path, fields);
    let second = edge.get_with(HOST, path, fields);
    assert_eq!((first.status, second.status), (200, 200), "{path}");
    assert_eq!(first.body, second.body, "{path}");
    (first.cache_status("edge-1"), second.cache_status("edge-1"), origin.fetches(path))
}

/// Each row: what the origin says, and whether a second request is answered from the store.
#[test]
fn what_the_origin_says_decides_what_is_reused() {
    let (origin, edge) = edge();
    let hour_ago = selvedge_tests::tools::http_date(-3600);
    let in_an_hour = selvedge_tests::tools::http_date(3600);
    let rows = [
        ("max-age", vec![("cache-control", "max-age=60")], true),
        ("upper-case", vec![("cache-control", "MAX-AGE=60")], true),
        ("s-maxage-wins", vec![("cache-control", "max-age=0, s-maxage=60")], true),
        ("s-maxage-zero", vec![("cache-control", "max-age=60, s-maxage=0")], false),
        ("expires", vec![("expires", &in_an_hour)], true),
        ("expired", vec![("expires", &hour_ago)], false),
        ("expires-0", vec![("expires", "0"), ("etag", "\"e\"")], false),
        (
            "max-age-over-expires",
            vec![("expires", &hour_ago), ("cache-control", "max-age=9")],
            true,
        ),
        ("no-store", vec![("cache-control", "no-store")], false),
        (
            "no-store-last",
            vec![("cache-control", "max-age=60"), ("cache-control", "No-Store")],
            false,
        ),
        ("private", vec![("cache-control", "private, max-age=60")], false),
        ("private-upper", vec![("cache-control", "PRIVATE, max-age=60")], false),
        ("no-cache", vec![("cache-control", "no-cache, max-age=60"), ("etag", "\"e\"")], false),
        ("quoted", vec![("cache-control", "max-age=\"60\"")], true),
        ("in-a-string", vec![("cache-control", "ext=\"no-store\", max-age=60")], true),
        ("nothing", vec![], false),
        ("huge", vec![("cache-control", "max-age=99999999999999999999")], true),
        ("negative", vec![("cache-control", "max-age=-60")], false),
        ("aged", vec![("cache-control", "max-age=60"), ("age", "61")], false),
        ("aged-not-out", vec![("cache-control", "max-age=60"), ("age", "30")], true),
        (
            "cdn-wins",
            vec![("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")],
            true,
        ),
        (
            "cdn-no-store",
            vec![("cache-control", "max-age=60"), ("cdn-cache-control", "no-store")],
            false,
        ),
        (
            "cdn-bad",
            vec![("cache-control", "max-age=60"), ("cdn-cache-control", "max-age=(")],
            true,
        ),
        ("vary-star", vec![("cache-control", "max-age=60"), ("vary", "*")], false),
    ];
    for (name, fields, reused) in rows {
        let path = format!("/{name}");
        let mut answer = Answer::new(200).body("x");
        for (field, value) in fields {
            answer = answer.header(field, value);
        }
        origin.on(&path, answer);
        let (first, second, fetches) = twice(&origin, &edge, &path, "");
        assert_eq!(fetches, if reused { 1 } else { 2 }, "{name}: {first} then {second}");
        assert!(first.starts_with("fwd="), "{name}: {first}");
        assert_eq!(second.split("; ").any(|part| part == "hit"), reused, "{name}: {second}");
    }
}

/// RFC 9111 5.1: Age says how old it is, never less than the origin said.
#[test]
fn a_hit_carries_an_age_that_adds_to_the_one_it_came_with() {
    let (origin, edge) = edge();
    origin.on("/old", Answer::cacheable("x", 600).header("age", "100"));
    assert_eq!(edge.get(HOST, "/old").status, 200);
    let hit = edge.get(HOST, "/old");
    assert!(hit.is_hit("edge-1"));
    let age = hit.age().expect("a hit has an Age");
    assert!((100..160).contains(&age), "{age}");
    let ttl = hit.cache_status("edge-1");
    let ttl = ttl.split("ttl=").nth(1).and_then(|rest| rest.split(';').next()).expect("a ttl");
    let ttl: i64 = ttl.parse().expect("a number");
    assert!((440..=500).contains(&ttl), "{ttl}");
}

/// RFC 9111 5.1 and 4.2.3: an Age beyond what fits is "very old", not zero and not a panic.
#[test]
fn a_huge_age_makes_a_response_stale_and_stays_huge() {
    let (origin, edge) = edge();
    for (number, age) in ["2147483648", "4294967296", "99999999999999999999"].iter().enumerate() {
        let path = format!("/huge-{number}");
        origin.on(&path, Answer::cacheable("x", 600).header("age", age).etag("\"v\""));
        let (_, second, fetches) = twice(&origin, &edge, &path, "");
        assert_eq!(fetches, 2, "{age}: {second}");
    }
}

/// RFC 9111 3.5 and threat 35: what belongs to one client is not given to another.
#[test]
fn responses_to_authorized_requests_are_shared_only_when_the_origin_says_so() {
    let (origin, edge) = edge();
    for (path, control, shared) in [
        ("/plain", "max-age=60", false),
        ("/public", "public, max-age=60", true),
        ("/s-maxage", "s-maxage=60", true),
        ("/must", "must-revalidate, max-age=60", true),
    ] {
        origin.on(path, Answer::new(200).header("cache-control", control).body("secret"));
        let mine = edge.get_with(HOST, path, "Authorization: Basic bWU6bWU=\r\n");
        assert_eq!(mine.status, 200);
        assert_eq!(origin.last(path).header("authorization"), Some("Basic bWU6bWU="));
        assert_eq!(edge.get(HOST, path).is_hit("edge-1"), shared, "{path}");
        assert_eq!(origin.fetches(path), if shared { 1 } else { 2 }, "{path}");
    }
}

/// A field the origin marks as not for sharing is cut from what is shared, and only there.
#[test]
fn fields_named_by_private_or_no_cache_do_not_reach_other_clients() {
    let (origin, edge) = edge();
    for (path, control) in
        [("/p", "max-age=60, private=\"x-user\""), ("/n", "max-age=60, no-cache=\"x-user\"")]
    {
        let answer = Answer::new(200).header("cache-control", control);
        origin.on(path, answer.header("x-user", "alice").header("x-all", "1").body("x"));
        assert_eq!(edge.get(HOST, path).status, 200);
        let other = edge.get(HOST, path);
        if other.is_hit("edge-1") {
            assert_eq!(other.header("x-user"), None, "{path}");
            assert_eq!(other.header("x-all"), Some("1"), "{path}");
        } else {
            assert_eq!(origin.fetches(path), 2, "{path}");
        }
    }
}

/// Hit-for-miss: the second request does not wait in line for the first one's answer.
#[test]
fn an_uncacheable_answer_is_remembered_and_never_shared() {
    let (origin, edge) = edge();
    origin.on_fn("/me", |_, nth| Answer::uncacheable(&format!("answer {nth}")));
    for nth in 0..3 {
        let resp = edge.get(HOST, "/me");
        assert_eq!(resp.text(), format!("answer {nth}"));
        assert!(!resp.is_hit("edge-1"));
        assert!(!resp.cache_status("edge-1").contains("stored"), "{:?}", resp.headers);
    }
    assert_eq!(origin.fetches("/me"), 3);
    becomes(2, "requests that went on without waiting", || answered(&edge, "hit-for-miss"));
}

/// The memory of an uncacheable answer ends when the answer becomes cacheable.
#[test]
fn what_becomes_cacheable_is_cached_again() {
    let (origin, edge) = edge();
    let answers = vec![Answer::uncacheable("no"), Answer::cacheable("yes", 60)];
    origin.on_each("/turn", answers);
    assert_eq!(edge.get(HOST, "/turn").text(), "no");
    assert_eq!(edge.get(HOST, "/turn").text(), "yes");
    let third = edge.get(HOST, "/turn");
    assert!(third.is_hit("edge-1") || origin.fetches("/turn") == 3, "{:?}", third.headers);
    let fourth = edge.get(HOST, "/turn");
    assert!(fourth.is_hit("edge-1"), "{:?}", fourth.headers);
}

/// RFC 9111 5.2.1: what a client may ask of the cache, and a site that does not listen to it.
#[test]
fn a_site_may_ignore_what_clients_ask_of_the_cache() {
    for (mode, fetches) in [("honour", 2), ("ignore", 1)] {
        let (origin, edge) = edge_with(|site| site.set("client_cache_control", mode));
        origin.on("/x", Answer::cacheable("x", 60));
        assert_eq!(edge.get(HOST, "/x").status, 200);
        let forced = edge.get_with(HOST, "/x", "Cache-Control: no-cache\r\n");
        assert_eq!(forced.status, 200);
        assert_eq!(origin.fetches("/x"), fetches, "{mode}: {:?}", forced.headers);
        let nothing = edge.get_with(HOST, "/cold", "Cache-Control: only-if-cached\r\n");
        assert_eq!(nothing.status, if mode == "honour" { 504 } else { 404 }, "{mode}");
        assert_eq!(origin.fetches("/cold"), usize::from(mode == "ignore"), "{mode}");
    }
}

/// RFC 9111 4 and RFC 9110 9.3.2: HEAD is answered from a stored GET.
#[test]
fn head_is_answered_from_a_stored_get() {
    let (origin, edge) = edge();
    origin.on("/h", Answer::cacheable("0123456789", 60).header("x-kind", "get"));
    assert_eq!(edge.get(HOST, "/h").status, 200);
    let mut client = Client::http(edge.http());
    let head = client.request(&format!("HEAD /h HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
    assert!(head.is_hit("edge-1"));
    assert_eq!(client.get(HOST, "/h", "").text(), "0123456789", "the connection goes on");
    assert_eq!(origin.fetches("/h"), 1);
}

/// RFC 9110 15.2: interim responses are no final ones; they are neither stored nor mistaken.
#[test]
fn interim_responses_before_the_final_one_do_no_harm() {
    let (origin, edge) = edge();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let interim = format!("{hints}{hints}HTTP/1.1 102 Processing\r\n\r\n");
    origin.on("/hinted", Answer::cacheable("page", 60).before(&interim));
    let (first, second, fetches) = twice(&origin, &edge, "/hinted", "");
    assert_eq!(fetches, 1, "{first} {second}");
    assert_eq!(edge.get(HOST, "/hinted").text(), "page");
}

/// RFC 9211: each tier adds a member, the one nearest to the client last.
#[test]
fn cache_status_tells_what_each_tier_did() {
    let origin = Origin::start();
    origin.on("/t", Answer::cacheable("x", 60));
    let parent = Node::parent(&NodeConfig::new("parent-1").site(Site::any(&origin.url())));
    let tier = |name: &str| {
        let config = NodeConfig::new(name).set("upstream", "parents", vec![parent.url()]);
        Node::edge(&config.site(Site::any(&origin.url())))
    };
    let (one, two) = (tier("edge-1"), tier("edge-2"));
    let cold = one.get(HOST, "/t");
    assert!(cold.is_stored_miss("parent-1") && cold.is_stored_miss("edge-1"), "{cold:?}");
    let order = cold.joined("cache-status");
    assert!(order.find("parent-1") < order.find("edge-1"), "{order}");
    let half = two.get(HOST, "/t");
    assert!(half.is_hit("parent-1"), "{:?}", half.headers);
    assert!(half.is_stored_miss("edge-2"), "{:?}", half.headers);
    let warm = two.get(HOST, "/t");
    assert!(warm.is_hit("edge-2"), "{:?}", warm.headers);
    assert_eq!(origin.fetches("/t"), 1);
    becomes(2, "what the parent stored or served", || {
        answered(&parent, "hit") + answered(&parent, "miss")
    });
}

/// RFC 9110 7.6.3 and 8.8.6: Via both ways, and the client's address for the origin.
#[test]
fn the_origin_learns_who_asks_and_through_whom() {
    let (origin, edge) = edge();
    origin.on("/v", Answer::cacheable("x", 60));
    let resp = edge.get_with(HOST, "/v", "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n");
    assert!(resp.joined("via").contains("edge-1"), "{:?}", resp.headers);
    let seen = origin.last("/v");
    assert_eq!(seen.header("host"), Some(HOST));
    assert!(seen.header("via").is_some_and(|via| via.contains("edge-1")), "{seen:?}");
    assert!(seen.header("cdn-loop").is_some_and(|cdn| cdn.contains("edge-1")), "{seen:?}");
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{seen:?}");
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "{seen:?}");
    assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"), "{seen:?}");
}

/// RFC 9110 6.5: trailers of a stored response reach the clients that ask for them.
#[test]
fn trailers_do_not_break_a_response_and_never_carry_framing() {
    let (origin, edge) = edge();
    let fields = [("x-sum", "42"), ("content-length", "3"), ("host", "evil.test")];
    let answer = Answer::cacheable("body", 60).header("trailer", "x-sum").trailers(&fields);
    origin.on("/tr", answer);
    for is_hit in [false, true] {
        let resp = edge.get_with(HOST, "/tr", "TE: trailers\r\nConnection: TE\r\n");
        assert_eq!((resp.status, resp.text().as_str()), (200, "body"));
        assert_eq!(resp.is_hit("edge-1"), is_hit);
        assert_eq!(resp.trailers, [("x-sum".to_owned(), "42".to_owned())], "hit: {is_hit}");
    }
    assert!(site_count(&edge, "fills") <= 2);
}
