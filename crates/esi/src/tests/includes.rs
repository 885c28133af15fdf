//! `include` and `inline`: what is asked for, and what is dropped.

use std::time::Duration;

use super::{page, text};
use crate::{Assembly, FaultKind, HeaderChange, Method, OnError};

#[test]
fn an_include_stands_where_its_tag_stood() {
    assert_eq!(text("A<esi:include src=\"/f\"/>B"), "A[/f]B");
}

#[test]
fn an_include_with_an_end_tag_is_one_include() {
    assert_eq!(text("A<esi:include src=\"/f\"></esi:include>B"), "A[/f]B");
}

#[test]
fn includes_keep_the_order_of_the_document() {
    assert_eq!(
        text("<esi:include src='/1'/><esi:include src='/2'/>x<esi:include src='/3'/>"),
        "[/1][/2]x[/3]"
    );
}

#[test]
fn a_tag_may_stand_on_many_lines() {
    assert_eq!(text("A<esi:include\n\tsrc = \"/f\"\r\n  alt\n=\n'/g'\n/>B"), "A[/f]B");
}

#[test]
fn values_have_quotes_of_either_kind_or_the_tag_is_dropped() {
    assert_eq!(text("<esi:include src='/a?\"'/><esi:include src=\"/b?'\"/>"), "[/a?\"][/b?']");
    for source in [
        "<esi:include src=/f/>",
        "<esi:include src=/f />",
        "<esi:include src/>",
        "<esi:include src='/f'alt='/g'/>",
        "<esi:include src='/f' / x/>",
        "<esi:include/src='/f'>",
    ] {
        let page = page(&format!("A{source}B"));
        assert_eq!(page.text, "AB", "{source}");
        assert_eq!(page.faults.total(), 1, "{source}");
        assert_eq!(page.faults.first()[0].offset, 1);
    }
}

#[test]
fn entities_in_values_are_decoded_once() {
    let source =
        "<esi:include src=\"/a?x=1&amp;y=&lt;&gt;&apos;&quot;&#65;&#x42;&amp;lt;&z=1&nosuch;\"/>";
    assert_eq!(page(source).asked[0].src, "/a?x=1&y=<>'\"AB&lt;&z=1&nosuch;");
}

#[test]
fn an_include_without_one_src_is_dropped() {
    for (source, kind) in [
        ("<esi:include/>", FaultKind::MissingAttribute),
        ("<esi:include src=\"\"/>", FaultKind::MissingAttribute),
        ("<esi:include alt='/a'/>", FaultKind::MissingAttribute),
        ("<esi:include src='/a' src='/b'/>", FaultKind::DuplicateAttribute),
    ] {
        let page = page(&format!("A{source}B"));
        assert_eq!((&*page.text, page.count(kind)), ("AB", 1), "{source}");
    }
}

#[test]
fn an_include_says_how_it_is_asked_for() {
    let page = page(
        "<esi:include src='/f' alt='/g' onerror='continue' maxwait='250' ttl='2h' no-store='on' \
         method='POST' entity='a=1' dca='esi' setheader='X-A: b' setheader='X-B:c' \
         appendheader='Accept: */*' removeheader='Referer'/>",
    );
    assert!(page.faults.is_empty(), "{:?}", page.faults);
    let include = &page.asked[0];
    assert_eq!(include.alt.as_deref(), Some("/g"));
    assert_eq!(include.on_error, OnError::Continue);
    assert_eq!(include.max_wait, Some(Duration::from_millis(250)));
    assert_eq!(include.ttl, Some(Duration::from_secs(7200)));
    assert!(include.no_store);
    assert_eq!((include.method, include.assembly), (Method::Post, Some(Assembly::Esi)));
    assert_eq!(include.entity.as_deref(), Some(&b"a=1"[..]));
    assert_eq!(
        include.headers,
        [
            HeaderChange::Set("x-a".into(), "b".into()),
            HeaderChange::Set("x-b".into(), "c".into()),
            HeaderChange::Append("accept".into(), "*/*".into()),
            HeaderChange::Remove("referer".into()),
        ]
    );
}

#[test]
fn attributes_for_headers_may_be_in_the_plural() {
    let source = "<esi:include src='/f' setheaders='A: b' appendheaders='C: d' \
                  removeheaders='E, F,Host'/>";
    let page = page(source);
    assert_eq!(
        page.asked[0].headers,
        [
            HeaderChange::Set("a".into(), "b".into()),
            HeaderChange::Append("c".into(), "d".into()),
            HeaderChange::Remove("e".into()),
            HeaderChange::Remove("f".into()),
        ]
    );
    assert_eq!(page.count(FaultKind::BadHeader), 1);
}

#[test]
fn what_an_include_says_without_sense_is_not_heeded_and_counted() {
    let bad = page(
        "<esi:include src='/f' onerror='ignore' maxwait='soon' ttl='1y' no-store='?' dca='x'/>",
    );
    assert_eq!(bad.count(FaultKind::BadAttribute), 5);
    let include = &bad.asked[0];
    assert_eq!((include.on_error, include.max_wait, include.ttl), (OnError::Fail, None, None));
    assert!(!include.no_store);
    assert_eq!(page("<esi:include src='/f' colour='red'/>").count(FaultKind::UnknownAttribute), 1);
    let page = page("A<esi:include src='/f' method='DELETE'/>B");
    assert_eq!((&*page.text, page.count(FaultKind::BadAttribute)), ("AB", 1));
}

#[test]
fn headers_that_frame_or_route_a_message_are_not_changed() {
    for header in [
        "Host: x",
        "Content-Length: 1",
        "Transfer-Encoding: chunked",
        "a b: c",
        ": x",
        "Proxy-Authorization: x",
        "X: a&#13;&#10;Y: b",
        "$(X): y",
    ] {
        let page = page(&format!("<esi:include src='/f' setheader='{header}'/>"));
        assert_eq!(page.count(FaultKind::BadHeader), 1, "{header}");
        assert!(page.asked[0].headers.is_empty());
    }
}

#[test]
fn headers_and_bodies_take_values() {
    let page = page(
        "<esi:include src='/f' setheader='X-Id: <$(HTTP_COOKIE{id})>' removeheader='$(X)' \
         entity='q=$(QUERY_STRING{q})&amp;$(QUERY_STRING)'/>",
    );
    assert_eq!(page.asked[0].headers, [HeaderChange::Set("x-id".into(), "<571>".into())]);
    assert_eq!(page.count(FaultKind::BadHeader), 1);
    let entity = page.asked[0].entity.as_deref().map(String::from_utf8_lossy);
    assert_eq!(entity.as_deref(), Some("q=a%20b%26c&first=Robin&n=10&q=a%20b%26c&empty="));
}

#[test]
fn a_value_adds_no_line_to_a_request() {
    let client = super::Client::asking("q=a%0d%0aX-Evil:%201");
    let source = b"<esi:include src='/f' setheader='X-Q: $(QUERY_STRING{q})'/>";
    let page = super::page_for(&client, source, crate::Limits::default());
    assert!(page.asked[0].headers.is_empty());
    assert_eq!(page.count(FaultKind::BadHeader), 1);
}

#[test]
fn an_inline_fragment_is_used_by_includes_of_its_name() {
    let source = "<esi:inline name=\"/news\" fetchable=\"no\">N<esi:include src='/n'/></esi:inline>\
                  A<esi:include src=\"/news\"/>B<esi:include src='/$(HTTP_NONE|news)'/>";
    assert_eq!(text(source), "AN[/n]BN[/n]");
}

#[test]
fn an_inline_fragment_is_not_known_before_it_stands_in_the_page() {
    assert_eq!(text("<esi:include src='/x'/><esi:inline name='/x'>X</esi:inline>"), "[/x]");
}

#[test]
fn inline_fragments_do_not_include_themselves() {
    let page = page(
        "<esi:inline name='a'>A<esi:include src='b'/></esi:inline>\
         <esi:inline name='b'>B<esi:include src='a'/></esi:inline><esi:include src='a'/>",
    );
    assert_eq!((&*page.text, page.count(FaultKind::InlineLoop)), ("AB", 1));
}

#[test]
fn an_inline_fragment_without_an_end_or_a_name_comes_to_nothing() {
    let unclosed = page("A<esi:inline name='x'>B<esi:include src='/y'/>");
    assert_eq!((&*unclosed.text, unclosed.count(FaultKind::UnclosedBlock)), ("A", 1));
    let nameless = page("A<esi:inline>B</esi:inline>C");
    assert_eq!((&*nameless.text, nameless.count(FaultKind::MissingAttribute)), ("AC", 1));
}

#[test]
fn every_tag_has_its_number_and_its_place() {
    let page = page("ab<esi:comment text='x'/><esi:include src='/1'/>");
    assert_eq!((page.asked[0].tag_number, page.asked[0].offset), (2, 25));
}
