//! Expressions and functions.

use super::{page, text};
use crate::FaultKind;

fn holds(test: &str) -> bool {
    let test = test.replace('<', "&lt;").replace('"', "&quot;");
    let source = format!(
        "<esi:choose><esi:when test=\"{test}\">yes</esi:when><esi:otherwise>no</esi:otherwise>\
            </esi:choose>"
    );
    text(&source) == "yes"
}

fn value(expression: &str) -> String {
    text(&format!("<esi:assign name='x'>{expression}</esi:assign><esi:vars>$(x)</esi:vars>"))
}

#[test]
fn values_are_compared_as_numbers_if_both_are() {
    for test in [
        "1==1",
        "1 == 1.0",
        "'01' == '1'",
        "10 > 9",
        "'10' > '9'",
        "-1 < 0",
        "2<=2",
        "2>=2",
        "1!=2",
        "1.5 < 1.75",
        "$(QUERY_STRING{n}) >= 9",
        "9007199254740993 != 9007199254740992",
    ] {
        assert!(holds(test), "{test}");
    }
    for test in ["1==2", "1 != 1.0", "9 > 10", "2<2", "1>=2"] {
        assert!(!holds(test), "{test}");
    }
}

#[test]
fn other_values_are_compared_as_text() {
    for test in [
        "'a'=='a'",
        "'a'<'b'",
        "'10' < '9a'",
        "'abc' != 'abd'",
        "''==''",
        "'''it's'''=='it\\'s'",
        "\"a\" == 'a'",
        "$(HTTP_ACCEPT_LANGUAGE{en-gb}) == 'true'",
    ] {
        assert!(holds(test), "{test}");
    }
    for test in ["'a'=='A'", "'b'<'a'", "'1 '==1"] {
        assert!(!holds(test), "{test}");
    }
}

#[test]
fn what_is_not_there_compares_false_either_way() {
    for test in [
        "$(none)=='a'",
        "$(none)!='a'",
        "$(none)==$(none)",
        "$(none)<1",
        "'' == $(none)",
        "$(none)",
        "$(none) matches 'a*'",
        "$(none) has ''",
        "$(HTTP_COOKIE{none})",
    ] {
        assert!(!holds(test), "{test}");
    }
    for test in [
        "!$(none)",
        "$(none|'a')=='a'",
        "$(QUERY_STRING{empty})==''",
        "!$exists($(none))",
        "$exists($(QUERY_STRING{empty}))",
        "$is_empty($(none))",
    ] {
        assert!(holds(test), "{test}");
    }
}

#[test]
fn a_value_alone_holds_unless_it_is_empty_or_zero() {
    for test in ["1", "'a'", "$(HTTP_COOKIE{id})", "$(HTTP_ACCEPT_LANGUAGE{da})", "(1)"] {
        assert!(holds(test), "{test}");
    }
    for test in ["0", "''", "0.0", "'0'", "$(HTTP_ACCEPT_LANGUAGE{sv})", "$(QUERY_STRING{empty})"] {
        assert!(!holds(test), "{test}");
    }
}

#[test]
fn comparisons_bind_more_than_not_and_that_more_than_and_and_or() {
    for test in [
        "!1==2",
        "1 > 2 | 3 > 2",
        "1==1 | 1==2 & 1==2",
        "!(1==2) & !(1==3)",
        "(1==1 || 1==2) && 2==2",
        "!!1==1",
        "!1==1|1==1",
    ] {
        assert!(holds(test), "{test}");
    }
    for test in ["!1==1", "(1==1 | 1==2) & 1==2", "1==1 & 1==2", "!(1==1)"] {
        assert!(!holds(test), "{test}");
    }
}

#[test]
fn text_is_searched_and_matched() {
    for test in [
        "'abc' has 'b'",
        "'abc' has ''",
        "'abc' has_i 'B'",
        "'abc' matches '^a.c$'",
        "'ABC' matches_i 'abc'",
        "'a1' matches '''^\\w\\d$'''",
        "$(HTTP_USER_AGENT) has 'Linux'",
    ] {
        assert!(holds(test), "{test}");
    }
    for test in ["'abc' has 'B'", "'abc' matches '^b'", "'ABC' matches 'abc'", "1 has 2"] {
        assert!(!holds(test), "{test}");
    }
}

#[test]
fn expressions_that_nobody_can_read_are_counted() {
    for test in [
        "'a' 'b'",
        "",
        " ",
        "1 ==",
        "== 1",
        "1 = 1",
        "(1==1",
        "1==1)",
        "1==1==1",
        "'a",
        "a == 'a'",
        "1 &&& 2",
        "$(A",
        "$nosuch(1)",
        "$lower()",
        "$lower('a','b')",
        "1 hasx 2",
        "'a' matches $(HTTP_HOST)",
        "5 > -",
        "1..2 == 1",
        "!",
    ] {
        let source = format!("A<esi:choose><esi:when test=\"{test}\">x</esi:when></esi:choose>B");
        let page = page(&source);
        let faults = page.count(FaultKind::BadExpression) + page.count(FaultKind::MissingAttribute);
        assert_eq!((&*page.text, faults), ("AB", 1), "{test}");
    }
    for pattern in ["(", "a{1000}{1000}", "(?P<", "\\p{L}\\x"] {
        let source = format!(
            "A<esi:choose><esi:when test=\"'a' matches '{pattern}'\">x</esi:when></esi:choose>B"
        );
        let page = page(&source);
        assert_eq!((&*page.text, page.count(FaultKind::BadRegex)), ("AB", 1), "{pattern}");
    }
}

#[test]
fn expressions_are_not_deeper_or_longer_than_they_may_be() {
    assert!(holds(&format!("{}1{}", "(".repeat(30), ")".repeat(30))));
    assert!(holds("1|".repeat(100).trim_end_matches('|')));
    for test in [
        format!("{}1", "(".repeat(10_000)),
        "!".repeat(10_000),
        "1&".repeat(10_000),
        format!("{}1", "$lower(".repeat(2_000)),
    ] {
        let page =
            page(&format!("<esi:choose><esi:when test=\"{test}\">x</esi:when></esi:choose>"));
        assert_eq!((&*page.text, page.count(FaultKind::BadExpression)), ("", 1));
    }
}

#[test]
fn functions_change_text() {
    for (expression, expected) in [
        ("$lower('AbC')", "abc"),
        ("$upper('AbC')", "ABC"),
        ("$trim(' a b ')", "a b"),
        ("$strip(' a ')", "a"),
        ("$lstrip(' a ')", "a "),
        ("$rstrip(' a ')", " a"),
        ("$len('abc')", "3"),
        ("$index('abc', 'c')", "2"),
        ("$index('abc', 'x')", "-1"),
        ("$substr('abcdef', 2)", "cdef"),
        ("$substr('abcdef', 1, 2)", "bc"),
        ("$substr('abcdef', -2)", "ef"),
        ("$substr('abcdef', 1, -1)", "bcde"),
        ("$substr('abc', 9, 9)", ""),
        ("$substr('abc', 9223372036854775807, 9223372036854775807)", ""),
        ("$replace('a-b-c', '-', '+')", "a+b+c"),
        ("$replace('a-b-c', '-', '+', 1)", "a+b-c"),
        ("$replace('abc', '', 'x')", "abc"),
        ("$int('12.9')", "12"),
        ("[$int('x')]", ""),
        ("$url_encode('a b/c')", "a%20b%2Fc"),
        ("$url_decode('a%20b%2Fc%zz')", "a b/c%zz"),
        ("$html_encode('a<b')", "a&lt;b"),
        ("$html_decode('a&lt;b&amp;lt;&x')", "a<b&lt;&x"),
        ("$base64_encode('hello')", "aGVsbG8="),
        ("$base64_decode('aGVsbG8=')", "hello"),
        ("$lower($upper($trim(' a')))", "a"),
        ("$html_encode($(HTTP_COOKIE{a}))", "b&quot;&lt;x&gt;"),
        ("$exists($(HTTP_HOST))", "true"),
    ] {
        if expression.starts_with('[') {
            assert_eq!(
                text(&format!("<esi:vars>{}</esi:vars>", &expression[1..expression.len() - 1])),
                expected
            );
        } else {
            assert_eq!(value(expression), expected, "{expression}");
        }
    }
}

#[test]
fn functions_stand_in_text_and_addresses() {
    assert_eq!(text("<esi:vars>a$upper('b')$lower($(HTTP_NONE|'C'))d</esi:vars>"), "aBcd");
    assert_eq!(text("<esi:include src='/$lower(&quot;ABC&quot;)'/>"), "[/abc]");
}
