//! The language, as pages that go in and pages that come out.

mod blocks;
mod bounds;
mod expressions;
mod includes;
mod properties;
mod references;
mod scanning;
mod surrogates;
mod variables;

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    Evaluator, FaultKind, Faults, Include, Limits, Node, OnError, Piece, Place, Template, Visitor,
};

/// Who asks.
pub(crate) struct Client {
    pub(crate) query: Option<&'static str>,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
}

impl Default for Client {
    fn default() -> Self {
        let headers = [
            ("cookie", &b"id=571; a=b\"<x>; session=s3cret; l=u=test&t=13"[..]),
            ("accept-language", b"da, en-gb;q=0.8, fr;q=0"),
            ("referer", b"http://roberts.xyz/"),
            ("user-agent", b"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"),
            ("authorization", b"Basic c2VjcmV0"),
            ("x-host", b"127.0.0.1:80"),
            ("x-evil", b"evil.example/"),
            ("x-bytes", b"\xff\xfe"),
        ];
        let headers = headers.map(|(name, value)| (name, value.to_vec())).into();
        Self { query: Some("first=Robin&n=10&q=a%20b%26c&empty="), path: "/foo/bar", headers }
    }
}

impl Client {
    pub(crate) fn asking(query: &'static str) -> Self {
        Self { query: Some(query), ..Self::default() }
    }
}

impl Visitor for Client {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        "www.example.com:8080"
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        self.query
    }
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let header = self.headers.iter().find(|(known, _)| *known == name);
        header.map(|(_, value)| (&**value).into())
    }
    fn place(&self, what: Place) -> Option<&str> {
        (what == Place::Country).then_some("DK")
    }
    fn is_secret_cookie(&self, name: &str) -> bool {
        name == "session"
    }
}

/// What a page comes to.
#[derive(Debug)]
pub(crate) struct Page {
    /// With `[src]` where a fragment is asked for, and `{attempt|except}`.
    pub(crate) text: String,
    pub(crate) asked: Vec<Include>,
    pub(crate) faults: Faults,
}

impl Page {
    pub(crate) fn count(&self, kind: FaultKind) -> u32 {
        self.faults.count(kind)
    }
}

/// What a page comes to for somebody.
pub(crate) fn page_for(client: &Client, source: &[u8], limits: Limits) -> Page {
    let template = Template::parse([Bytes::copy_from_slice(source)], limits);
    let mut faults = template.faults().clone();
    let (pieces, more) = plan(client, template.nodes(), limits);
    faults.merge(&more);
    let (mut text, mut asked) = (Vec::new(), Vec::new());
    write(&pieces, &mut text, &mut asked);
    Page { text: String::from_utf8_lossy(&text).into_owned(), asked, faults }
}

pub(crate) fn page(source: &str) -> Page {
    page_for(&Client::default(), source.as_bytes(), Limits::default())
}

/// The text of a page that has no faults.
pub(crate) fn text(source: &str) -> String {
    let page = page(source);
    assert!(page.faults.is_empty(), "{source}: {:?}", page.faults);
    page.text
}

pub(crate) fn plan(client: &Client, nodes: &[Node], limits: Limits) -> (Vec<Piece>, Faults) {
    let (mut evaluator, mut pieces) = (Evaluator::new(client, limits), Vec::new());
    for node in nodes {
        evaluator.eval(node, &mut pieces);
    }
    let faults = evaluator.faults().clone();
    (pieces, faults)
}

pub(crate) fn write(pieces: &[Piece], text: &mut Vec<u8>, asked: &mut Vec<Include>) {
    for piece in pieces {
        match piece {
            Piece::Text(more) => text.extend_from_slice(more),
            Piece::Include(include) => {
                text.extend_from_slice(format!("[{}]", include.src).as_bytes());
                asked.push((**include).clone());
            }
            Piece::Try(tag) => {
                text.push(b'{');
                write(&tag.attempt, text, asked);
                text.push(b'|');
                write(&tag.except, text, asked);
                text.push(b'}');
            }
        }
    }
}

#[test]
fn a_page_without_tags_is_plain_and_one_slice() {
    let source = Bytes::from_static(b"<html><!-- c --><p>a < b</p><![CDATA[x]]></html>");
    let template = Template::parse([source.clone()], Limits::default());
    assert!(template.is_plain());
    assert!(template.faults().is_empty());
    let [Node::Text(text)] = template.nodes() else { panic!("{:?}", template.nodes()) };
    assert_eq!((text, text.as_ptr()), (&source, source.as_ptr()), "copied");
    assert!(
        !Template::parse([Bytes::from("a<esi:comment text='x'/>")], Limits::default()).is_plain()
    );
    assert!(!Template::parse([Bytes::from("a<!--esi b-->")], Limits::default()).is_plain());
}

#[test]
fn what_a_page_does_not_say_of_a_fragment_is_the_default() {
    let page = page("A<esi:include src=\"/f\"/>B");
    let expected = Include { src: "/f".into(), tag_number: 1, offset: 1, ..Include::default() };
    assert_eq!(page.asked, [expected]);
    assert_eq!(page.asked[0].on_error, OnError::Fail);
}

#[test]
fn what_is_kept_between_pieces_goes_from_thread_to_thread() {
    fn moves<T: Send + 'static>() {}
    fn shared<T: Send + Sync + 'static>() {}
    moves::<crate::Parser>();
    moves::<crate::State>();
    shared::<Template>();
    shared::<Piece>();
}

#[test]
fn a_template_weighs_more_with_what_it_must_remember() {
    let weight = |source: &str| {
        Template::parse([Bytes::copy_from_slice(source.as_bytes())], Limits::default())
            .weight_bytes()
    };
    let plain = weight("<p>text</p>");
    assert!((11..1000).contains(&plain));
    assert!(weight("<esi:include src='/f'/>") > plain + 100);
    let pattern = "<esi:choose><esi:when test=\"'a' matches 'b'\">x</esi:when></esi:choose>";
    assert!(weight(pattern) > plain + 10_000);
}
