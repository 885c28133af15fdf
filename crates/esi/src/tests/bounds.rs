//! Nothing grows without a limit, and nothing is searched again and again.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Client, page, page_for, plan};
use crate::{FaultKind, Limits, Parser, Template};

#[test]
fn blocks_too_deep_are_dropped_with_what_they_enclose() {
    let nested =
        |depth: usize| format!("A{}x{}B", "<esi:vars>".repeat(depth), "</esi:vars>".repeat(depth));
    assert_eq!(page(&nested(32)).text, "AxB");
    let deep = page(&nested(33));
    assert_eq!((&*deep.text, deep.count(FaultKind::NestingTooDeep)), ("AB", 1));
    assert_eq!(page(&nested(100_000)).text, "AB");
}

#[test]
fn tags_beyond_the_limit_are_dropped() {
    let limits = Limits { nodes_max: 3, ..Limits::default() };
    let source = "<esi:include src='/f'/>".repeat(10);
    let page = page_for(&Client::default(), source.as_bytes(), limits);
    assert_eq!((page.asked.len(), page.count(FaultKind::TooManyNodes)), (3, 7));
    let source = format!("<esi:vars>{}</esi:vars>", "$(GEO{country})".repeat(10));
    let page = page_for(&Client::default(), source.as_bytes(), limits);
    assert_eq!((&*page.text, page.count(FaultKind::TooManyNodes)), ("DKDK", 8));
}

#[test]
fn fragments_of_the_page_do_not_multiply_without_end() {
    let mut source = String::from("<esi:inline name='0'>x<esi:include src='/f'/></esi:inline>");
    for level in 1..8 {
        let uses = format!("<esi:include src='{}'/>", level - 1).repeat(100);
        source.push_str(&format!("<esi:inline name='{level}'>{uses}</esi:inline>"));
    }
    source.push_str("<esi:include src='7'/>");
    let page = page(&source);
    assert_eq!(page.count(FaultKind::TooManySteps), 1);
    assert!(page.asked.len() <= Limits::default().steps_max);
}

#[test]
fn values_together_come_to_no_more_than_a_page_may() {
    let double = "<esi:assign name='a' value=\"$replace($(a), 'x', 'xx')\"/>".repeat(40);
    let source = format!(
        "<esi:assign name='a' value=\"'x'\"/>{double}<esi:vars>{}</esi:vars>",
        "$(a)".repeat(5_000)
    );
    let page = page(&source);
    assert!(page.text.len() <= Limits::default().expanded_bytes_max);
    assert!(page.count(FaultKind::ValueTooLong) > 0);
    assert!(page.count(FaultKind::PageTooLong) > 0);
}

#[test]
fn a_long_address_stays_too_long_to_be_asked_for() {
    let client = Client {
        headers: vec![("cookie", [&b"a="[..], &[b'x'; 12_000]].concat())],
        ..Client::default()
    };
    let page = page_for(&client, b"<esi:include src='/$(HTTP_COOKIE{a})'/>", Limits::default());
    assert_eq!(page.asked[0].src.len(), crate::URL_BYTES_MAX + 1);
}

#[test]
fn variables_are_not_more_than_may_be() {
    let source: String = (0..300).map(|n| format!("<esi:assign name='v{n}' value='1'/>")).collect();
    assert_eq!(page(&source).count(FaultKind::TooManyVariables), 44);
}

#[test]
fn an_evaluator_goes_on_where_it_was_taken_from() {
    let source = "<esi:assign name='a' value='1'/><esi:vars>$(a)</esi:vars>";
    let template = Template::parse([Bytes::from(source)], Limits::default());
    let client = Client::default();
    let (mut state, mut pieces) = (crate::State::new(Limits::default()), Vec::new());
    for node in template.nodes() {
        let mut evaluator = crate::Evaluator::resume(&client, state);
        evaluator.eval(node, &mut pieces);
        state = evaluator.into_state();
    }
    assert_eq!(pieces, plan(&client, template.nodes(), Limits::default()).0);
    assert_eq!(pieces.len(), 1);
}

/// What a clever page would have to do to be searched many times over.
#[test]
fn no_page_is_searched_in_more_than_linear_time() {
    let bytes = 1 << 18;
    for part in [
        "<esi:",
        "<!--",
        "<![CDATA[",
        "<!--esi",
        "$(A{",
        "<",
        "-",
        "<!",
        "esi:",
        "</esi:x>",
        "<esi:vars>",
        "<esi:x a='",
        "$lower(",
        "<esi:x '>'",
        "$",
        "]]>",
        "-->",
        "$len(1,",
        "<esi:remove>",
    ] {
        for before in ["", "<esi:vars>", "<!--esi "] {
            let source = Bytes::from(format!("{before}{}", part.repeat(bytes / part.len())));
            for chunk in [source.len(), 1] {
                let start = Instant::now();
                let (mut parser, mut nodes) = (Parser::new(Limits::default()), Vec::new());
                for from in (0..source.len()).step_by(chunk) {
                    parser.push(source.slice(from..source.len().min(from + chunk)), &mut nodes);
                    nodes.clear();
                }
                parser.finish(&mut nodes);
                // To search it for each of its tags would take hours.
                let taken = start.elapsed();
                assert!(taken < Duration::from_secs(20), "{before}{part} by {chunk}: {taken:?}");
            }
        }
    }
}
