//! What holds for every page, however it is cut and whatever is in it.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Client, plan, write};
use crate::{Base, Limits, Node, Piece, Scheme, Template, host_form, resolve};

/// Nodes with adjacent text joined, within blocks too.
fn shape(nodes: &[Node]) -> String {
    let mut joined: Vec<Node> = Vec::new();
    for node in nodes {
        match (joined.last_mut(), node) {
            (Some(Node::Text(last)), Node::Text(text)) => {
                *last = [&**last, &**text].concat().into();
            }
            _ => joined.push(node.clone()),
        }
    }
    format!("{joined:?}")
}

/// Templates are the same, and what they come to is too.
fn assert_same(whole: &Template, cut: &Template) {
    assert_eq!(whole.faults(), cut.faults());
    assert_eq!(whole.is_plain(), cut.is_plain());
    let client = Client::default();
    let limits = Limits::default();
    let [one, other] = [whole, cut].map(|template| {
        let (pieces, faults) = plan(&client, template.nodes(), limits);
        let (mut text, mut asked) = (Vec::new(), Vec::new());
        write(&pieces, &mut text, &mut asked);
        (String::from_utf8_lossy(&text).into_owned(), asked, faults)
    });
    assert_eq!(one, other);
}

const PAGE: &str = "\u{feff}<html><!-- c <esi:include src='/no'/> --><p>$(HTTP_HOST)</p>\
    <esi:include src=\"/a?x=1&amp;y=2\" alt='/b' /><!--esi <esi:vars>\
    $(HTTP_COOKIE{id}) <!-- $(X) -->\
    $(QUERY_STRING{q}|'d')</esi:vars> -- - --><![CDATA[ ]] ]><esi:x>]]><esi:remove>\
    x<![CDATA[</esi:remove>]]>\
    </esi:remove><esi:choose>\n<esi:when test=\"$(HTTP_HOST) matches '''^w'''\" matchname='m'>A<b>\
    </esi:when>stray<esi:otherwise>B</esi:otherwise></esi:choose><esi:try><esi:attempt>\
    <esi:include src='/t'></esi:include></esi:attempt><esi:except>E</esi:except></esi:try>\
    <esi:assign name='v'>'x' </esi:assign><esi:vars name='$(v)$lower(\"Y\")'/><esi:bad =/>\
    <esi:include src='/z' <p>\
    <esi:inline name='n'>N</esi:inline><esi:include src='n'/><!----><!-->--<<esi:comment text='>\
    '/></esi:vars>end<esi:inc";

#[test]
fn a_page_cut_in_two_anywhere_is_the_same() {
    let page = Bytes::from(PAGE);
    let whole = Template::parse([page.clone()], Limits::default());
    assert!(whole.faults().total() >= 5);
    for at in 0..=page.len() {
        let cut = Template::parse([page.slice(..at), page.slice(at..)], Limits::default());
        assert_same(&whole, &cut);
    }
    let bytes = (0..page.len()).map(|at| page.slice(at..=at));
    assert_same(&whole, &Template::parse(bytes, Limits::default()));
}

#[test]
fn a_page_cut_in_three_around_its_tags_is_the_same() {
    let page = Bytes::from(PAGE);
    let whole = Template::parse([page.clone()], Limits::default());
    for at in 0..page.len() {
        for width in 1..12 {
            let end = page.len().min(at + width);
            let parts = [page.slice(..at), page.slice(at..end), page.slice(end..)];
            let cut = Template::parse(parts, Limits::default());
            assert_eq!(whole.faults(), cut.faults());
            assert_eq!(shape(whole.nodes()), shape(cut.nodes()), "{at} {width}");
        }
    }
}

/// Parts of which pages that go wrong are made.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop_oneof![
        8 => prop::sample::select(PARTS).prop_map(|part| part.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

const PARTS: &[&str] = &[
    "<esi:include src='/f'/>",
    "<esi:include src=\"$(QUERY_STRING{q})\"",
    " alt='/g?$(X|'d')'",
    "/>",
    ">",
    "<esi:",
    "</esi:",
    "include",
    "<esi:vars>",
    "</esi:vars>",
    "$(HTTP_COOKIE{id})",
    "$(HTTP_COOKIE)",
    "$",
    "$(",
    "{",
    "}",
    "|",
    ")",
    "<esi:choose>",
    "</esi:choose>",
    "<esi:when test='1==1'>",
    "<esi:when test=\"$(A)",
    "\">",
    "</esi:when>",
    "<esi:otherwise>",
    "</esi:otherwise>",
    "<esi:try>",
    "</esi:try>",
    "<esi:attempt>",
    "</esi:attempt>",
    "<esi:except>",
    "</esi:except>",
    "<esi:remove>",
    "</esi:remove>",
    "<!--",
    "-->",
    "-",
    "--",
    "<!--esi",
    "<!--e",
    "<![CDATA[",
    "]]>",
    "]]",
    "<!",
    "<",
    "'",
    "\"",
    "&amp;",
    "&#0;",
    " ",
    "\n",
    "<esi:assign name='a' value=\"$replace($(a|'x'),'x','xx')\"/>",
    "$(a)",
    "<esi:assign name='b'>",
    "</esi:assign>",
    "<esi:inline name='/f'>",
    "</esi:inline>",
    "<esi:comment text='x'/>",
    "<esi:vars name='$(a)'/>",
    "==",
    "&",
    "!",
    "$substr('abc', -1)",
    "matches '(a+)+$'",
    " matchname='m'",
    "$(m{1})",
    "text",
];

proptest! {
    #[test]
    fn any_page_cut_anyhow_is_the_same(
        page in soup(),
        cuts in prop::collection::vec(0usize..600, 0..8),
    ) {
        let page = Bytes::from(page);
        let whole = Template::parse([page.clone()], Limits::default());
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(page.len())).collect();
        cuts.extend([0, page.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| page.slice(cut[0]..cut[1]));
        let cut = Template::parse(chunks, Limits::default());
        prop_assert_eq!(shape(whole.nodes()), shape(cut.nodes()));
        assert_same(&whole, &cut);
        let bytes = (0..page.len()).map(|at| page.slice(at..=at));
        assert_same(&whole, &Template::parse(bytes, Limits::default()));
    }

    #[test]
    fn no_page_comes_to_more_than_it_may(page in soup()) {
        let limits = Limits { expanded_bytes_max: 1000, ..Limits::default() };
        let template = Template::parse([Bytes::from(page.clone())], limits);
        let (pieces, _) = plan(&Client::default(), template.nodes(), limits);
        let (mut text, mut asked) = (Vec::new(), Vec::new());
        write(&pieces, &mut text, &mut asked);
        let addresses: usize = asked.iter().map(|include| include.src.len()).sum();
        // Named fragments of the page may come many times over; nothing else does.
        let most = limits.steps_max + page.len() * (asked.len() + 2) + 1000 + addresses;
        prop_assert!(text.len() <= most);
    }

    #[test]
    fn text_without_tags_is_the_same_bytes(page in prop::collection::vec(any::<u8>(), 0..400)) {
        let page = Bytes::from(page);
        let template = Template::parse([page.clone()], Limits::default());
        if template.is_plain() {
            let (pieces, _) = plan(&Client::default(), template.nodes(), Limits::default());
            let (mut text, mut asked) = (Vec::new(), Vec::new());
            write(&pieces, &mut text, &mut asked);
            prop_assert_eq!(&text[..], &page[..]);
        }
    }

    #[test]
    fn markup_that_a_client_sends_is_never_executed(value in soup()) {
        let source = Bytes::from_static(
            b"<esi:vars>\
                $(HTTP_HEADER{x})$url_decode($(HTTP_HEADER{x}))$html_decode($(HTTP_HEADER{x}))\
                </esi:vars>\
              <esi:include src='/a/$(HTTP_HEADER{x})?b=$(HTTP_HEADER{x})'/>",
        );
        let template = Template::parse([source], Limits::default());
        let client = Client { headers: vec![("x", value)], ..Client::default() };
        let (pieces, _) = plan(&client, template.nodes(), Limits::default());
        let (mut includes, mut text) = (Vec::new(), Vec::new());
        for piece in &pieces {
            match piece {
                Piece::Text(more) => text.extend_from_slice(more),
                Piece::Include(include) => includes.push(include.src.clone()),
                Piece::Try(_) => prop_assert!(false, "a try came from nowhere"),
            }
        }
        prop_assert!(!text.iter().any(|byte| b"<>\"'".contains(byte)));
        prop_assert_eq!(includes.len(), 1);
        let base = Base { scheme: Scheme::Https, host: "h", path: "/", query: None };
        let target = resolve(&base, &includes[0]).expect("well-formed");
        prop_assert_eq!(target.authority, None);
        prop_assert!(target.path_and_query.starts_with("/a/"));
        prop_assert_eq!(target.path_and_query.matches(['?', '&', '#']).count(), 1);
    }

    #[test]
    fn any_reference_is_resolved_or_refused(reference in "\\PC*", host in "[0-9a-fx.:%\\[\\]]*") {
        let base = Base { scheme: Scheme::Http, host: "h", path: "/x/y", query: None };
        host_form(&host);
        for reference in [reference, format!("http://{host}/x")] {
            let Ok(target) = resolve(&base, &reference) else { continue };
            prop_assert!(target.path_and_query.starts_with('/'));
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
            prop_assert!(target.path_and_query.bytes().all(plain), "{}", target.path_and_query);
            prop_assert_eq!(target.scheme.is_some(), target.authority.is_some());
        }
    }
}
