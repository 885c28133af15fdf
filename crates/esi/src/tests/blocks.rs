//! `remove`, `comment`, `choose`, `try`, `vars` as blocks, and blocks that are wrong.

use super::{page, text};
use crate::FaultKind;

#[test]
fn what_is_removed_is_gone_and_asks_for_nothing() {
    let source = "A<esi:remove>\nx\n<esi:include src='/f'/></esi:remove>B<esi:remove/>\
        C<esi:remove>y</esi:remove>D";
    assert_eq!(text(source), "ABCD");
}

#[test]
fn a_remove_without_an_end_removes_the_rest() {
    let page = page("A<esi:remove>B<esi:include src='/f'/>C<esi:choose>");
    assert_eq!(page.text, "A");
    assert!(page.asked.is_empty());
    assert_eq!(page.count(FaultKind::UnclosedBlock), 2);
}

#[test]
fn the_end_of_a_remove_is_not_looked_for_in_cdata_or_comments() {
    assert_eq!(text("A<esi:remove><![CDATA[</esi:remove>]]>x</esi:remove>B"), "AB");
    assert_eq!(text("A<esi:remove><!-- </esi:remove> -->x</esi:remove>B"), "AB");
}

#[test]
fn comments_of_the_language_are_removed() {
    assert_eq!(text("A<esi:comment text=\"x > y\"/>B<esi:comment text='x'></esi:comment>C"), "ABC");
    assert_eq!(text("A<esi:comment>x<esi:include src='/f'/></esi:comment>B"), "AB");
}

#[test]
fn the_first_branch_that_holds_is_taken_and_no_other() {
    let choose = |first, second| {
        format!(
            "A<esi:choose>\n <esi:when test=\"{first}\">1<esi:include src='/1'/></esi:when>\
             <esi:when test=\"{second}\">2<esi:include src='/2'/></esi:when>\
             <esi:otherwise>3<esi:include src='/3'/></esi:otherwise> </esi:choose>B"
        )
    };
    assert_eq!(text(&choose("1==1", "1==1")), "A1[/1]B");
    assert_eq!(text(&choose("1==2", "1==1")), "A2[/2]B");
    assert_eq!(text(&choose("1==2", "2==1")), "A3[/3]B");
    assert_eq!(text("A<esi:choose><esi:when test='1==2'>x</esi:when></esi:choose>B"), "AB");
}

#[test]
fn a_test_that_nobody_can_read_is_false_and_the_page_goes_on() {
    let page = page(
        "A<esi:choose><esi:when test=\"'a' 'b'\">x</esi:when><esi:otherwise>y</esi:otherwise>\
            </esi:choose>B",
    );
    assert_eq!((&*page.text, page.count(FaultKind::BadExpression)), ("AyB", 1));
}

#[test]
fn a_choose_that_is_wrong_keeps_what_makes_sense() {
    let source = "A<esi:choose>stray<esi:include src='/s'/><esi:when test='1==2'>x</esi:when>\
                  <esi:otherwise>y</esi:otherwise><esi:otherwise>z</esi:otherwise></esi:choose>B";
    let wrong = page(source);
    assert_eq!(wrong.text, "AyB");
    assert!(wrong.asked.is_empty());
    assert_eq!(wrong.count(FaultKind::StrayText), 1);
    assert_eq!(wrong.count(FaultKind::Misplaced), 1);
    assert_eq!(wrong.count(FaultKind::BadBranches), 1);
    let empty = page("A<esi:choose></esi:choose>B<esi:choose/>C");
    assert_eq!((&*empty.text, empty.count(FaultKind::BadBranches)), ("ABC", 2));
    let testless = page("A<esi:choose><esi:when>x</esi:when></esi:choose>B");
    assert_eq!((&*testless.text, testless.count(FaultKind::MissingAttribute)), ("AB", 1));
    let alone = page("A<esi:when test='1==1'>x</esi:when>B<esi:otherwise>y</esi:otherwise>C");
    assert_eq!((&*alone.text, alone.count(FaultKind::Misplaced)), ("ABC", 2));
}

#[test]
fn a_comment_between_branches_is_dropped() {
    assert_eq!(text("<esi:choose><!-- n --><esi:when test='1==1'>x</esi:when></esi:choose>"), "x");
}

#[test]
fn blocks_nest_and_close_at_the_right_depth() {
    let source = "<esi:choose><esi:when test='1==1'>a<esi:choose><esi:when test='1==1'>b\
        <esi:choose><esi:when test='1==2'>x</esi:when><esi:otherwise>c</esi:otherwise></esi:choose>\
        d</esi:when></esi:choose>e</esi:when><esi:otherwise>y</esi:otherwise></esi:choose>f";
    assert_eq!(text(source), "abcdef");
}

#[test]
fn a_try_is_planned_both_ways() {
    let source = "A<esi:try> <esi:attempt>x<esi:include src='/1'/></esi:attempt>\
                  <esi:except>y<esi:include src='/2'/></esi:except> </esi:try>B";
    assert_eq!(text(source), "A{x[/1]|y[/2]}B");
}

#[test]
fn a_try_that_is_wrong_keeps_what_makes_sense() {
    let lone = page("A<esi:try><esi:attempt>x</esi:attempt></esi:try>B");
    assert_eq!((&*lone.text, lone.count(FaultKind::BadBranches)), ("A{x|}B", 1));
    let twice = page(
        "A<esi:try><esi:attempt>x</esi:attempt><esi:attempt>z</esi:attempt>s<esi:except>\
            y</esi:except></esi:try>B",
    );
    assert_eq!((&*twice.text, twice.count(FaultKind::BadBranches)), ("A{x|y}B", 1));
    assert_eq!(twice.count(FaultKind::StrayText), 1);
    let none = page("A<esi:try><esi:except>y</esi:except></esi:try>B");
    assert_eq!((&*none.text, none.count(FaultKind::BadBranches)), ("AB", 1));
}

#[test]
fn what_one_way_of_a_try_names_the_other_does_not_know() {
    let source = "<esi:try><esi:attempt><esi:assign name='a' value='1'/></esi:attempt>\
        <esi:except><esi:assign name='b' value='2'/><esi:vars>$(a)$(b)</esi:vars></esi:except>\
        </esi:try>\
        <esi:vars>$(a)$(b)</esi:vars>";
    assert_eq!(text(source), "{|2}1");
}

#[test]
fn an_element_that_is_not_known_is_dropped_and_what_it_encloses_stays() {
    let page = page("A<esi:frobnicate x='1'>B<esi:include src='/f'/></esi:frobnicate>C<esi:>D");
    assert_eq!(page.text, "AB[/f]CD");
    assert_eq!(page.count(FaultKind::UnknownTag), 2);
    assert_eq!(page.count(FaultKind::MalformedTag), 1);
}

#[test]
fn names_in_capitals_are_text_or_not_known() {
    assert_eq!(text("<ESI:include src='/f'/><!--ESI x-->"), "<ESI:include src='/f'/><!--ESI x-->");
    assert_eq!(page("A<esi:INCLUDE src='/f'/>B").text, "AB");
}

#[test]
fn ends_without_a_beginning_are_dropped() {
    let page = page("A</esi:choose>B</esi:remove>C</esi:vars x>D");
    assert_eq!(page.text, "ABCD");
    assert_eq!(page.count(FaultKind::StrayEnd), 2);
    assert_eq!(page.count(FaultKind::MalformedTag), 1);
}

#[test]
fn blocks_that_were_not_closed_end_with_their_parent_or_the_page() {
    let inner = page(
        "<esi:choose><esi:when test='1==1'>a<esi:vars>$(HTTP_HOST)</esi:when></esi:choose>\
            $(HTTP_HOST)",
    );
    assert_eq!(inner.text, "awww.example.com:8080$(HTTP_HOST)");
    assert_eq!(inner.count(FaultKind::UnclosedBlock), 1);
    let outer = page("A<esi:try><esi:attempt>x");
    assert_eq!((&*outer.text, outer.count(FaultKind::UnclosedBlock)), ("A{x|}", 2));
}

#[test]
fn a_branch_within_a_branch_that_was_not_closed_is_dropped() {
    let source =
        "<esi:choose><esi:when test='1==1'>a<esi:otherwise>b</esi:otherwise></esi:choose>c";
    let page = page(source);
    assert_eq!((&*page.text, page.count(FaultKind::Misplaced)), ("ac", 1));
}
