//! What variables stand for, and what their values may not do.

use super::{Client, page, page_for, text};
use crate::{FaultKind, Limits};

fn vars(inner: &str) -> String {
    text(&format!("<esi:vars>{inner}</esi:vars>"))
}

fn src(query: &'static str, reference: &str) -> String {
    let source = format!("<esi:include src=\"{reference}\"/>");
    let page = page_for(&Client::asking(query), source.as_bytes(), Limits::default());
    page.asked[0].src.clone()
}

#[test]
fn references_within_vars_are_replaced() {
    assert_eq!(
        vars("$(HTTP_COOKIE{id}) $(QUERY_STRING{first}) $(HTTP_HOST)"),
        "571 Robin www.example.com:8080"
    );
    assert_eq!(
        vars("$(REQUEST_METHOD) $(REQUEST_PATH) $(HTTP_REFERER)"),
        "GET /foo/bar http://roberts.xyz/"
    );
    assert_eq!(
        vars("$(HTTP_HEADER{X-Host}) $(GEO{country_code})$(GEO{'country'})$(GEO{city})"),
        "127.0.0.1:80 DKDK"
    );
    assert_eq!(
        text("A<esi:vars name=\"$(HTTP_COOKIE{id})-$(HTTP_HOST)\"/>B"),
        "A571-www.example.com:8080B"
    );
    assert_eq!(text("A<esi:vars name='$(GEO{country})'></esi:vars>B"), "ADKB");
}

#[test]
fn references_outside_of_vars_are_text() {
    let source =
        "$(HTTP_COOKIE)<esi:choose><esi:when test='1==1'>$(HTTP_HOST)</esi:when></esi:choose>";
    assert_eq!(text(source), "$(HTTP_COOKIE)$(HTTP_HOST)");
}

#[test]
fn blocks_within_vars_are_within_vars() {
    let source = "<esi:vars><esi:choose><esi:when test='1==1'>\
        $(GEO{country})<esi:include src='/f'/>\
                  </esi:when></esi:choose></esi:vars>$(GEO{country})";
    assert_eq!(text(source), "DK[/f]$(GEO{country})");
}

#[test]
fn references_in_comments_and_cdata_are_text() {
    let source = "<!-- $(HTTP_HOST) -->$(GEO{country})<![CDATA[$(HTTP_HOST)]]>";
    assert_eq!(vars(source), "<!-- $(HTTP_HOST) -->DK<![CDATA[$(HTTP_HOST)]]>");
}

#[test]
fn what_is_not_there_is_its_default_or_nothing() {
    assert_eq!(vars("[$(HTTP_COOKIE{none})]"), "[]");
    assert_eq!(
        vars("$(HTTP_COOKIE{none}|'d') $(HTTP_COOKIE{none}|d e) $(none|$(GEO{country}))"),
        "d d e DK"
    );
    assert_eq!(vars("$(QUERY_STRING{empty}|'d') $(HTTP_COOKIE{'id'}|'d')"), "d 571");
}

#[test]
fn what_is_no_reference_stays_as_it_is() {
    for source in [
        "$",
        "$(",
        "$()",
        "$(A",
        "$(A{)",
        "$(A{x)",
        "$(#id)",
        "$('a')",
        "$5.00",
        "$lower",
        "$nosuch('a')",
        "$(A|'x)",
        "$(A B)",
    ] {
        assert_eq!(vars(source), source);
    }
}

#[test]
fn keys_may_be_references() {
    let source =
        "<esi:assign name='k' value=\"'first'\"/><esi:vars>$(QUERY_STRING{$(k)})</esi:vars>";
    assert_eq!(text(source), "Robin");
}

#[test]
fn a_cookie_may_be_a_list_itself() {
    assert_eq!(
        vars("$(HTTP_COOKIE{l;u}) $(HTTP_COOKIE{'l;t'}) [$(HTTP_COOKIE{l;x})]"),
        "test 13 []"
    );
}

#[test]
fn a_list_says_whether_something_is_in_it() {
    assert_eq!(vars("$(HTTP_ACCEPT_LANGUAGE{en-gb}) $(HTTP_ACCEPT_LANGUAGE{EN-GB})"), "true true");
    assert_eq!(vars("$(HTTP_ACCEPT_LANGUAGE{en}) $(HTTP_ACCEPT_LANGUAGE{fr})"), "false false");
    assert_eq!(vars("$(HTTP_ACCEPT_LANGUAGE)"), "da, en-gb;q=0.8, fr;q=0");
}

#[test]
fn a_browser_is_known_by_the_words_of_the_note() {
    let source = "$(HTTP_USER_AGENT{browser}) $(HTTP_USER_AGENT{version}) $(HTTP_USER_AGENT{os})";
    assert_eq!(vars(source), "MOZILLA 5.0 UNIX");
}

#[test]
fn values_are_escaped_where_they_are_text() {
    let client = Client::asking("evil=%3Cscript%3E&amp;\"'");
    let source = b"<esi:vars>$(QUERY_STRING{evil}) $(QUERY_STRING) $(HTTP_COOKIE{a})</esi:vars>";
    let page = page_for(&client, source, Limits::default());
    assert_eq!(page.text, "&lt;script&gt; evil=%3Cscript%3E&amp;amp;&quot;&#39; b&quot;&lt;x&gt;");
}

#[test]
fn markup_in_a_value_is_never_executed() {
    let client = Client::asking("evil=<esi:include src=/bad/>&e=%3Cesi:include%20src='/bad'/%3E");
    let source =
        b"<esi:vars>$(QUERY_STRING{evil})$(QUERY_STRING{e})$url_decode($(QUERY_STRING{e}))\
        $html_decode($html_encode($(QUERY_STRING{e})))</esi:vars>";
    let page = page_for(&client, source, Limits::default());
    assert!(page.asked.is_empty());
    assert!(!page.text.contains('<'), "{}", page.text);
}

#[test]
fn secrets_have_no_name() {
    assert_eq!(
        vars("[$(HTTP_COOKIE{session})$(HTTP_HEADER{authorization})$(HTTP_COOKIE{session;x})]"),
        "[]"
    );
    assert_eq!(vars("$(HTTP_COOKIE)"), "id=571; a=b&quot;&lt;x&gt;; l=u=test&amp;t=13");
    assert!(!vars("$(HTTP_HEADER{Cookie}) $(HTTP_HEADER{COOKIE})").contains("s3cret"));
}

#[test]
fn values_in_addresses_are_encoded() {
    assert_eq!(src("q=a%20b%26c%2Fd%23e", "/f?x=$(QUERY_STRING{q})"), "/f?x=a%20b%26c%2Fd%23e");
    assert_eq!(src("a=1&b=%20#\"<", "/f?$(QUERY_STRING)"), "/f?a=1&b=%20%23%22%3C");
    assert_eq!(src("a=1&b=2", "/f/$(QUERY_STRING)"), "/f/a%3D1%26b%3D2");
    assert_eq!(src("", "/x$(REQUEST_PATH)?p=$(REQUEST_PATH)"), "/x/foo/bar?p=/foo/bar");
    assert_eq!(src("", "http://$(HTTP_HOST)/f"), "http://www.example.com:8080/f");
}

#[test]
fn a_value_does_not_leave_its_part_of_an_address() {
    assert_eq!(src("q=http://evil.example/", "$(QUERY_STRING{q})"), "http%3A%2F%2Fevil.example%2F");
    assert_eq!(src("q=//evil.example/", "$(QUERY_STRING{q})"), "%2F%2Fevil.example%2F");
    assert_eq!(src("q=..", "/a/$(QUERY_STRING{q})/b"), "/a/%2E%2E/b");
    assert_eq!(src("q=a?b#c", "/a/$(QUERY_STRING{q})"), "/a/a%3Fb%23c");
    assert_eq!(src("", "http://$(HTTP_HEADER{x-evil})f"), "http://evil.example%2Ff");
    let client = Client { path: "//evil.example/", ..Client::default() };
    let page = page_for(&client, b"<esi:include src='$(REQUEST_PATH)x'/>", Limits::default());
    assert_eq!(page.asked[0].src, "/%2Fevil.example/x");
    let client = Client { path: "/../../admin/.", ..Client::default() };
    let page = page_for(&client, b"<esi:include src='/f$(REQUEST_PATH)'/>", Limits::default());
    assert_eq!(page.asked[0].src, "/f/%2E%2E/%2E%2E/admin/%2E");
}

#[test]
fn what_the_page_says_itself_stands_in_an_address_as_it_is() {
    let source =
        "<esi:assign name='base' value=\"'/frag/a?b=c'\"/><esi:include src='$(base)&amp;d'/>";
    assert_eq!(text(source), "[/frag/a?b=c&d]");
    assert_eq!(src("q=a%26b", "/f?x=$url_encode($(QUERY_STRING{q}))"), "/f?x=a%26b");
}

#[test]
fn an_alternative_takes_values_as_well() {
    let page = page("<esi:include src='/f' alt='/g?$(QUERY_STRING{first})'/>");
    assert_eq!(page.asked[0].alt.as_deref(), Some("/g?Robin"));
    assert!(page.faults.is_empty());
}

#[test]
fn variables_are_assigned_in_both_forms() {
    let source = "<esi:assign name='a' value=\"'x&lt;y'\"/><esi:assign name='b'>\n 'z>\
        ' </esi:assign>\
                  <esi:assign name='c' value='12'/><esi:vars>$(a) $(b) $(c)$(d)</esi:vars>";
    assert_eq!(text(source), "x<y z> 12");
    assert_eq!(
        text("<esi:assign name='a' value='$(HTTP_COOKIE{a})'/><esi:vars>$(a)</esi:vars>"),
        "b&quot;&lt;x&gt;"
    );
    assert_eq!(text("<esi:assign name='a' value='1==1'/><esi:vars>$(a)</esi:vars>"), "true");
}

#[test]
fn an_assignment_that_makes_no_sense_is_dropped() {
    for (source, kind) in [
        ("<esi:assign name='HTTP_HOST' value='1'/>", FaultKind::BadAttribute),
        ("<esi:assign name='a b' value='1'/>", FaultKind::BadAttribute),
        ("<esi:assign value='1'/>", FaultKind::MissingAttribute),
        ("<esi:assign name='a'/>", FaultKind::MissingAttribute),
        ("<esi:assign name='a' value='x y'/>", FaultKind::BadExpression),
        ("<esi:assign name='a'>x</esi:assign>", FaultKind::BadExpression),
        ("<esi:assign name='a'>'x'<esi:include src='/f'/></esi:assign>", FaultKind::Misplaced),
    ] {
        let page = page(&format!("A{source}B"));
        assert_eq!((&*page.text, page.count(kind)), ("AB", 1), "{source}");
    }
}

#[test]
fn groups_of_a_pattern_are_variables_of_the_branch() {
    let source = "<esi:choose>\
        <esi:when test=\"$(HTTP_COOKIE{l;u}) matches '''t(.)(x)?(.*)'''\" matchname='m'>\
        <esi:vars>$(m{0}) $(m{1})[$(m{2})]$(m{3})$(m{9})</esi:vars></esi:when></esi:choose>";
    assert_eq!(text(source), "test e[]st");
    let source = "<esi:choose><esi:when test=\"$(HTTP_HOST) matches '^(w+)'\"><esi:vars>\
        $(MATCHES{1})</esi:vars></esi:when></esi:choose>";
    assert_eq!(text(source), "www");
}
