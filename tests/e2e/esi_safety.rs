//! Pages and visitors that mean harm: addresses that must not be asked, credentials that must not
//! leave, and pages made to cost as much as they can.

use crate::esi::{broken, faults, live_page, page};
use crate::support::{HOST, becomes, edge, edge_with};
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Site};

/// Every way to write an address of this machine, its network or its cloud, and other schemes.
#[test]
fn no_address_that_a_page_names_is_asked_unless_its_site_lists_it() {
    let (origin, edge) = edge_with(|site| site.set("esi_private", true));
    let port = origin.addr().port();
    origin.on("*", Answer::cacheable("reached", 600));
    let rows = [
        ("http://127.0.0.1:PORT/x", "fragment-address"),
        ("http://10.0.0.1/x", "fragment-address"),
        ("http://169.254.169.254/latest/meta-data/", "fragment-address"),
        ("http://[::1]:PORT/x", "fragment-address"),
        ("http://[::ffff:10.0.0.1]/x", "fragment-address"),
        ("http://[64:ff9b::7f00:1]:PORT/x", "fragment-address"),
        ("http://2130706433:PORT/x", "fragment-address"),
        ("http://0x7f000001:PORT/x", "fragment-address"),
        ("http://017700000001:PORT/x", "fragment-address"),
        ("http://127.1:PORT/x", "fragment-address"),
        ("http://localhost:PORT/x", "fragment-address"),
        ("http://localhost.:PORT/x", "fragment-address"),
        ("http://foo.localhost:PORT/x", "fragment-address"),
        ("//127.0.0.1:PORT/x", "fragment-address"),
        ("http://[fe80::1%25eth0]/x", "src-host"),
        ("http://user@127.0.0.1:PORT/x", "src-user"),
        ("http://www.shop.test@127.0.0.1:PORT/x", "src-user"),
        ("gopher://127.0.0.1:PORT/x", "src-scheme"),
        ("file:///etc/passwd", "src-scheme"),
        ("http:127.0.0.1/x", "src-host"),
        ("http://other.test/x", "fragment-host"),
        ("http://www.shop.test:PORT/x", "fragment-host"),
    ];
    for (src, word) in rows {
        let src = src.replace("PORT", &port.to_string());
        let before = faults(&edge, word);
        let tag = format!("A<esi:include src=\"{src}\" onerror=\"continue\"/>B");
        origin.on("/p", live_page(&tag));
        assert_eq!(edge.get(HOST, "/p").text(), "AB", "{src}");
        becomes(before + 1, &src, || faults(&edge, word));
    }
    assert_eq!(origin.requests().len(), rows.len(), "the pages and nothing else");
}

/// The address is looked at as it is after its variables are filled in.
#[test]
fn a_visitor_cannot_lead_a_page_elsewhere() {
    let (origin, edge) = edge();
    let port = origin.addr().port();
    origin.on("/x", Answer::cacheable("reached", 600));
    let body = "A<esi:include src=\"http://$(HTTP_HEADER{X-Host})/x\" onerror=\"continue\"/>B";
    origin.on("/p", live_page(body));
    for host in ["127.0.0.1", "localhost", "evil.test", "www.shop.test@127.0.0.1", "[::1]"] {
        let fields = format!("X-Host: {host}:{port}\r\n");
        assert_eq!(edge.get_with(HOST, "/p", &fields).text(), "AB", "{host}");
    }
    assert_eq!(origin.fetches("/x"), 0);
}

/// A name that is listed and leads to a private address: refused where the connection is made.
#[test]
fn a_listed_name_that_leads_to_this_machine_is_refused_when_it_is_connected_to() {
    for (private, expected) in [(false, "AB"), (true, "AXB")] {
        let other = Origin::start();
        other.on("/x", Answer::cacheable("X", 600));
        let url = format!("http://localhost:{}", other.addr().port());
        let (origin, edge) = edge_with(|site| {
            site.set("esi_origins", vec![url.clone()]).set("esi_private", private)
        });
        let tag = format!("A<esi:include src=\"{url}/x\" onerror=\"continue\"/>B");
        origin.on("/p", live_page(&tag));
        assert_eq!(edge.get(HOST, "/p").text(), expected);
        assert_eq!(other.connections() > 0, private);
    }
}

/// Another server learns nothing of who asks; the page's own gets what clients send.
#[test]
fn credentials_stay_with_the_host_of_the_page() {
    let other = Origin::start();
    other.on("/x", Answer::cacheable("X", 600).header("set-cookie", "theirs=1"));
    let url = other.url();
    let (origin, edge) =
        edge_with(|site| site.set("esi_origins", vec![url.clone()]).set("esi_private", true));
    origin.on("/own", Answer::uncacheable("O"));
    let body = format!("<esi:include src=\"{url}/x\"/><esi:include src=\"/own\"/>");
    origin.on("/p", live_page(&body));
    let secret = "Cookie: sid=secret\r\nAuthorization: Bearer secret\r\n\
                  Referer: http://www.shop.test/secret\r\nX-Api-Key: kept\r\n\
                  Connection: x-hop\r\nX-Hop: secret\r\n";
    let length = "Content-Length: 7\r\nContent-Type: text/plain\r\n";
    let fields = format!("Host: {HOST}\r\n{secret}{length}Range: bytes=0-3\r\nIf-Match: \"q\"\r\n");
    let request = format!("POST /p HTTP/1.1\r\n{fields}\r\nsecrets");
    let resp = Client::http(edge.http()).request(&request);
    assert_eq!((resp.status, resp.text().as_str()), (200, "XO"));
    assert_eq!(resp.header("set-cookie"), None);
    let (theirs, ours) = (other.last("/x"), origin.last("/own"));
    for req in [&theirs, &ours] {
        assert_eq!((req.method.as_str(), req.body_length), ("GET", 0));
        for name in ["range", "if-match", "content-type", "content-length"] {
            assert_eq!(req.header(name), None, "{name}");
        }
    }
    assert!(!format!("{:?}", theirs.headers).contains("secret"), "{theirs:?}");
    assert_eq!(theirs.header("host"), Some(other.addr().to_string().as_str()));
    assert_eq!(ours.header("x-hop"), None, "what Connection names is of one hop");
    assert_eq!(ours.header("cookie"), Some("sid=secret"));
    assert_eq!(ours.header("authorization"), Some("Bearer secret"));
}

/// What a client asks for under the name of a listed server is not what pages get from there.
#[test]
fn nobody_can_put_something_in_the_place_of_another_servers_fragment() {
    let other = Origin::start();
    other.on("/x", Answer::cacheable("right", 600));
    let url = other.url();
    let (origin, edge) =
        edge_with(|site| site.set("esi_origins", vec![url.clone()]).set("esi_private", true));
    origin.on("/x", Answer::cacheable("wrong", 600));
    origin.on("/p", live_page(&format!("<esi:include src=\"{url}/x\"/>")));
    let host = other.addr().to_string();
    edge.get(&host, "/x");
    assert_eq!(edge.get(HOST, "/p").text(), "right");
    assert_eq!(edge.get(&host, "/x").text(), "wrong", "nor the other way round");
}

/// Fields that a tag sets cannot end early, and hold nothing that another visitor would get.
#[test]
fn a_variable_in_a_field_cannot_begin_another_one() {
    let (origin, edge) = edge();
    origin.on_fn("/f", |req, _| Answer::uncacheable(req.header("x-from").unwrap_or("none")));
    let tag = "<esi:include src=\"/f\" setheader=\"X-From: $(QUERY_STRING{v})\"/>";
    origin.on("/p", live_page(tag));
    let smuggled = "a%0d%0a%0d%0aGET%20/%20HTTP/1.1";
    for evil in ["a%0d%0aX-Evil:%201", "a%0aX-Evil:1", "a%00b", smuggled] {
        let resp = edge.get(HOST, &format!("/p?v={evil}"));
        assert_eq!(resp.status, 200, "{evil}");
        assert!(origin.requests().iter().all(|req| req.header("x-evil").is_none()), "{evil}");
    }
    assert_eq!(edge.get(HOST, "/p?v=fine").text(), "fine");
    let tag = "<esi:include src=\"/f\" setheader=\"Host: evil.test\" \
               appendheader=\"Content-Length: 5\" removeheader=\"CDN-Loop\"/>";
    origin.on("/q", live_page(tag));
    assert_eq!(edge.get(HOST, "/q").text(), "none");
    let sent = origin.last("/f");
    assert_eq!((sent.header("host"), sent.header("content-length")), (Some(HOST), None));
    assert!(sent.header("cdn-loop").is_some());
}

/// A gibibyte of zeros in a megabyte: as page and as fragment it ends at a limit.
#[test]
fn a_bomb_in_a_coding_is_cut_off() {
    let (origin, edge) = edge();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..64 {
        std::io::Write::write_all(&mut packer, &zeros).expect("memory takes bytes");
    }
    let bomb = packer.finish().expect("memory takes bytes");
    // Members one after the other are one stream: a gibibyte.
    let bomb = bomb.repeat(16);
    let coded = |answer: Answer| answer.header("content-encoding", "gzip").body(bomb.clone());
    origin.on("/f", coded(Answer::uncacheable("")));
    origin.on("/g", Answer::cacheable("fine", 600));
    let before = edge.rss_bytes();
    origin.on(
        "/try",
        live_page(
            "A<esi:try><esi:attempt><esi:include src=\"/f\"/></esi:attempt><esi:except>\
         <esi:include src=\"/g\"/></esi:except></esi:try>B",
        ),
    );
    assert_eq!(edge.get(HOST, "/try").text(), "AfineB");
    origin.on("/p", live_page("A<esi:include src=\"/f\"/>B"));
    assert!(broken(&edge, "/p").body.len() <= 16 << 20);
    origin.on("/bomb", coded(page("")));
    let resp = broken(&edge, "/bomb");
    assert!(resp.body.len() <= 16 << 20);
    let growth = edge.rss_bytes().saturating_sub(before);
    assert!(growth < 64 << 20, "{growth} bytes");
}

/// Attempts within attempts, in fragments within fragments, as deep as can be written.
#[test]
fn blocks_within_blocks_cannot_exhaust_the_stack() {
    let (origin, edge) = edge_with(|site| site.set("esi_depth", 10).set("esi_fragments", 500));
    let nested = |inner: &str| {
        let begin = "<esi:try><esi:attempt>".repeat(15);
        let end = "</esi:attempt><esi:except>e</esi:except></esi:try>".repeat(15);
        format!("{begin}{inner}{end}")
    };
    for level in 0..12 {
        let body = nested(&format!("{level}<esi:include src=\"/{}\"/>", level + 1));
        origin.on(&format!("/{level}"), live_page(&body));
    }
    let resp = edge.get(HOST, "/0");
    assert_eq!((resp.status, resp.text().as_str()), (200, "012345678910"));
    assert_eq!((origin.fetches("/10"), origin.fetches("/11")), (1, 0), "it is that deep");
    let shallow = "<esi:try><esi:attempt>".repeat(4)
        + "x"
        + &"</esi:attempt><esi:except>e</esi:except></esi:try>".repeat(4);
    origin.on("/shallow", live_page(&shallow));
    assert_eq!(edge.get(HOST, "/shallow").text(), "x");
    let deep = "<esi:choose><esi:when test=\"1\">".repeat(20_000);
    origin.on("/deep", live_page(&deep));
    assert_eq!(edge.get(HOST, "/deep").status, 200);
    let parens = format!(
        "<esi:choose><esi:when test=\"{}1{}\">x</esi:when></esi:choose>",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    origin.on("/parens", live_page(&parens));
    assert_eq!(edge.get(HOST, "/parens").text(), "");
}

/// Tags without end: dropped beyond the limit of a page, which goes out all the same.
#[test]
fn a_page_with_more_tags_than_may_be_goes_out_without_them() {
    let (origin, edge) = edge();
    let body = format!("A{}B", "<esi:vars>$(QUERY_STRING{q})</esi:vars>".repeat(20_000));
    origin.on("/p", page(&body));
    for _ in 0..2 {
        let resp = edge.get(HOST, "/p?q=x");
        assert_eq!(resp.status, 200);
        let text = resp.text();
        assert!(text.starts_with('A') && text.ends_with('B'));
        assert!((1_000..=16_384 + 2).contains(&text.len()), "{}", text.len());
    }
    assert!(faults(&edge, "too-many-nodes") > 0);
    // One reference to what a visitor may make long, many times.
    let body = format!("A{}B", "<esi:vars>$(HTTP_COOKIE{q})</esi:vars>".repeat(10_000));
    origin.on("/q", page(&body));
    let fields = format!("Cookie: q={}\r\n", "x".repeat(8_000));
    let resp = edge.get_with(HOST, "/q", &fields);
    assert!(resp.status == 200 && resp.body.len() <= (4 << 20) + 2, "{}", resp.body.len());
}

/// Another CDN in front is no node of ours: it gets pages, not tags.
#[test]
fn who_has_been_through_another_cdn_gets_the_page() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600));
    for path in ["/p", "/live"] {
        let body = "A<esi:include src=\"/f\"/>B";
        origin.on(path, if path == "/p" { page(body) } else { live_page(body) });
        for _ in 0..2 {
            assert_eq!(edge.get_with(HOST, path, "CDN-Loop: othercdn\r\n").text(), "AXB");
        }
        let told = origin.last(path).all("surrogate-capability").count();
        assert_eq!(told, 1, "{path}");
    }
}

/// A site of its own on this node that a page lists is asked under its own rules.
#[test]
fn a_fragment_of_another_site_of_this_node_is_that_sites() {
    let (shop, ads) = (Origin::start(), Origin::start());
    let url = "http://ads.test";
    let config = NodeConfig::new("edge-1")
        .site(Site::new("shop", &[HOST], &[&shop.url()]).set("esi_origins", vec![url]))
        .site(Site::new("ads", &["ads.test"], &[&ads.url()]));
    let edge = Node::edge(&config);
    shop.on("/p", live_page("A<esi:include src=\"http://ads.test/banner\"/>B"));
    ads.on("/banner", Answer::cacheable("ad", 600));
    assert_eq!(edge.get_with(HOST, "/p", "Cookie: sid=secret\r\n").text(), "AadB");
    assert_eq!(ads.last("/banner").header("cookie"), None);
    assert_eq!(edge.get("ads.test", "/banner").text(), "ad");
    assert_eq!(ads.fetches("/banner"), 1, "one object, whoever asks");
}

/// A request that changes something goes to the origin once, whatever that answers.
#[test]
fn a_post_is_never_sent_a_second_time() {
    let (origin, edge) = edge();
    origin.on("/f", Answer::cacheable("X", 600));
    let part = Answer::new(206).header("content-range", "bytes 0-2/9");
    let part = part.header("content-type", "text/html");
    let part = part.header("surrogate-control", "content=\"ESI/1.0\"");
    origin.on("/p", part.body("A<esi:include src=\"/f\"/>B"));
    let fields = format!("Host: {HOST}\r\nContent-Length: 4\r\nRange: bytes=0-2\r\n");
    let _ = Client::http(edge.http()).try_request(&format!("POST /p HTTP/1.1\r\n{fields}\r\nbody"));
    assert_eq!(origin.fetches("/p"), 1);
}

/// A visitor who fills in an address gets another fragment, and never changes that of others.
#[test]
fn what_one_visitor_puts_into_an_address_is_no_other_visitors_fragment() {
    let (origin, edge) = edge();
    origin.on_fn("*", |req, _| Answer::cacheable(&format!("[{}]", req.target), 600));
    let tag = "<esi:include src=\"/f/$(QUERY_STRING{u})?k=$(HTTP_COOKIE{k})\" \
               onerror=\"continue\"/>";
    origin.on("/p", page(tag));
    let evil = ["a%3Fk=1%23", "a%2523", "..%2F..%2Fadmin", "a%26b", "a%20b", "%0d%0aX:1", "a%00"];
    for value in evil {
        let resp = edge.get_with(HOST, &format!("/p?u={value}"), "Cookie: k=x\r\n");
        assert_eq!(resp.status, 200, "{value}");
        let text = resp.text();
        assert!(text.is_empty() || text.starts_with("[/f/"), "{value}: {text}");
        assert!(text.is_empty() || text.ends_with("?k=x]"), "{value}: {text}");
    }
    assert_eq!(edge.get_with(HOST, "/p?u=a", "Cookie: k=1\r\n").text(), "[/f/a?k=1]");
    assert_eq!(edge.get_with(HOST, "/p?u=a", "Cookie: k=2\r\n").text(), "[/f/a?k=2]");
}

/// A form that a tag posts to another server touches nothing that clients have of the same name.
#[test]
fn a_post_to_another_server_invalidates_nothing_here() {
    let other = Origin::start();
    let url = other.url();
    other.on("/x", Answer::uncacheable("posted").header("location", "/y"));
    let (origin, edge) =
        edge_with(|site| site.set("esi_origins", vec![url.clone()]).set("esi_private", true));
    origin.on("*", Answer::cacheable("ours", 600));
    let host = other.addr().to_string();
    for path in ["/x", "/y"] {
        assert_eq!(edge.get(&host, path).text(), "ours");
    }
    let tag = format!("<esi:include src=\"{url}/x\" method=\"POST\" entity=\"a=$(HTTP_COOKIE)\"/>");
    origin.on("/p", live_page(&tag));
    let resp = edge.get_with(HOST, "/p", "Cookie: k=1&2\r\n");
    assert_eq!(resp.text(), "posted");
    let sent = other.last("/x");
    assert_eq!((sent.method.as_str(), sent.body.as_slice()), ("POST", &b"a=k%3D1%262"[..]));
    for path in ["/x", "/y"] {
        assert!(edge.get(&host, path).is_hit("edge-1"), "{path}");
    }
}
