//! Where tags are found, and where not.

use super::{Client, page, page_for, text};
use crate::{FaultKind, Limits};

#[test]
fn the_wrapper_is_removed_and_what_it_holds_is_processed() {
    assert_eq!(text("A<!--esi <p><esi:include src='/f'/></p>-->B"), "A <p>[/f]</p>B");
    assert_eq!(text("A<!--esi--->B"), "A-B");
}

#[test]
fn wrappers_may_nest_without_end() {
    assert_eq!(text("A<!--esi B<!--esi C-->D-->E-->F"), "A B CDE-->F");
    let many = "<!--esi".repeat(100_000);
    let page = page(&format!("{many}x"));
    assert_eq!((&*page.text, page.count(FaultKind::UnclosedBlock)), ("x", 1));
}

#[test]
fn a_wrapper_and_a_block_may_overlap() {
    let source =
        "<!--esi <esi:choose><esi:when test='1==1'>-->a<!--esi </esi:when></esi:choose>-->b";
    assert_eq!(text(source), " a b".trim_start_matches(' ').replace("a b", " a b").as_str());
}

#[test]
fn tags_in_ordinary_comments_are_left_alone() {
    let source = "A<!-- <esi:include src='/f'/> --><!---><esi:include src='/g'/><!----><!--->-->B";
    assert_eq!(text(source), "A<!-- <esi:include src='/f'/> --><!--->[/g]<!----><!--->-->B");
}

#[test]
fn a_comment_within_a_wrapper_ends_before_the_wrapper() {
    assert_eq!(
        text("A<!--esi <!-- <esi:include src='/f'/> --><esi:include src='/g'/>-->B"),
        "A <!-- <esi:include src='/f'/> -->[/g]B"
    );
}

#[test]
fn cdata_is_left_alone() {
    let source = "<![CDATA[<esi:include src='/f'/>]]]]><esi:include src='/g'/><![CDATA[x";
    assert_eq!(text(source), "<![CDATA[<esi:include src='/f'/>]]]]>[/g]<![CDATA[x");
}

#[test]
fn what_almost_is_a_tag_is_text() {
    let source =
        "<esi <es:i> </esi> < esi:include src='/f'/> esi:vars <!-x <![CDAT[ <!DOCTYPE html> <";
    assert_eq!(text(source), source);
}

#[test]
fn a_greater_than_sign_in_quotes_ends_no_tag() {
    let source = "<esi:choose><esi:when test=\"2 > 1 & '>' == '>'\">x</esi:when></esi:choose>";
    assert_eq!(text(source), "x");
}

#[test]
fn a_tag_that_is_broken_off_by_another_is_dropped_alone() {
    let page = page("A<esi:include src='/f' <esi:include src='/g'/>B<esi:vars <p>C");
    assert_eq!((&*page.text, page.count(FaultKind::MalformedTag)), ("A[/g]B<p>C", 2));
}

#[test]
fn a_tag_at_the_end_that_is_not_complete_is_dropped() {
    let page = page("A<esi:include src='/f'");
    assert_eq!((&*page.text, page.count(FaultKind::UnfinishedTag)), ("A", 1));
}

#[test]
fn a_tag_that_is_too_long_is_dropped_up_to_the_next_end() {
    let long = "x".repeat(40_000);
    let page = page(&format!("A<esi:include src='/{long}'/>B<esi:include src='/f'/>"));
    assert_eq!((&*page.text, page.count(FaultKind::TagTooLong)), ("AB[/f]", 1));
}

#[test]
fn marks_of_order_and_bytes_of_any_kind_are_kept() {
    let client = Client::default();
    let mut source =
        b"\xef\xbb\xbf\xff\xfe\0<esi:vars>\xff$(HTTP_HEADER{x-bytes})\x80</esi:vars>".to_vec();
    source.extend_from_slice(b"\xc3(<esi:include src='/f'/>\xe2\x82");
    let template = crate::Template::parse([source.into()], Limits::default());
    let (pieces, faults) = super::plan(&client, template.nodes(), Limits::default());
    assert!(faults.is_empty());
    let (mut text, mut asked) = (Vec::new(), Vec::new());
    super::write(&pieces, &mut text, &mut asked);
    assert_eq!(text, b"\xef\xbb\xbf\xff\xfe\0\xff\xff\xfe\x80\xc3([/f]\xe2\x82");
}

#[test]
fn a_tag_with_bytes_that_are_no_text_is_dropped() {
    let page = page_for(&Client::default(), b"A<esi:include src='/\xff'/>B", Limits::default());
    assert_eq!((&*page.text, page.count(FaultKind::NotUtf8)), ("AB", 1));
}
