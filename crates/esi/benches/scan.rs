//! How fast pages are read, and how long it takes to evaluate one.
//! `cargo bench -p selvedge-esi`
#![allow(clippy::print_stdout, reason = "a benchmark is for reading")]
#![allow(missing_docs, reason = "a program")]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use selvedge_esi::{Base, Evaluator, Limits, Place, Scheme, Template, Visitor, resolve};

fn main() {
    for (name, bytes) in [("32 KiB", 32 << 10), ("1 MiB", 1 << 20)] {
        scan(&format!("plain, {name}"), &html(bytes, ""));
        scan(&format!("a comment each 500 B, {name}"), &html(bytes, "<!-- a comment -->"));
        scan(&format!("CDATA each 500 B, {name}"), &html(bytes, "<![CDATA[ x < y ]]>"));
        scan(&format!("an include each 500 B, {name}"), &html(bytes, INCLUDE));
    }
    let page = html(1 << 20, "");
    let chunks: Vec<_> = page.chunks(16 << 10).map(Bytes::copy_from_slice).collect();
    time("plain, 1 MiB by 16 KiB", page.len(), || {
        black_box(Template::parse(chunks.iter().cloned(), Limits::default()));
    });
    let text = "<p>some text</p>";
    let fixed = format!("{text}{INCLUDE}").repeat(10);
    let values = "<esi:include src='/f?id=$(HTTP_COOKIE{id})'/>".repeat(10);
    let branches = "<esi:choose><esi:when test=\"$(HTTP_COOKIE{id}) matches '^5(.)'\">x</esi:when>\
                    <esi:otherwise>y</esi:otherwise></esi:choose>"
        .repeat(10);
    evaluate("evaluate 10 includes", &fixed);
    evaluate("evaluate 10 includes with a cookie", &values);
    evaluate("evaluate 10 choices by a pattern", &branches);
    let base = Base { scheme: Scheme::Https, host: "www.example.com", path: "/a/b", query: None };
    time("resolve", 0, || {
        black_box(resolve(&base, black_box("../fragments/menu?user=571")).is_ok());
    });
}

const INCLUDE: &str = "<esi:include src=\"/fragments/menu\" onerror=\"continue\"/>";

/// A page of so many bytes with something in it each 500 bytes.
fn html(bytes: usize, mark: &str) -> Bytes {
    let line = "<li class=\"item\"><a href=\"/products/1234?colour=red&amp;size=m\">Wool</a> and \
                <span>linen</span>, from 12.50 &euro;</li>\n<div id='x'><img src='/i.png'></div>\n";
    let mut page = String::with_capacity(bytes);
    let mut marked = 0;
    while page.len() < bytes {
        page.push_str(line);
        if page.len() - marked > 500 {
            page.push_str(mark);
            marked = page.len();
        }
    }
    page.into()
}

fn scan(what: &str, page: &Bytes) {
    time(what, page.len(), || {
        black_box(Template::parse([black_box(page.clone())], Limits::default()));
    });
}

fn evaluate(what: &str, page: &str) {
    let template = Template::parse([Bytes::copy_from_slice(page.as_bytes())], Limits::default());
    assert!(template.faults().is_empty());
    time(what, 0, || {
        let mut pieces = Vec::with_capacity(template.nodes().len());
        let mut evaluator = Evaluator::new(&Client, Limits::default());
        for node in template.nodes() {
            evaluator.eval(node, &mut pieces);
        }
        black_box(pieces);
    });
}

/// The median of many short rounds: others use the machine too.
fn time(what: &str, bytes: usize, mut each: impl FnMut()) {
    let mut rounds = Vec::new();
    let repeats = if bytes > 100_000 { 1 } else { 100 };
    for _ in 0..300 {
        let start = Instant::now();
        for _ in 0..repeats {
            each();
        }
        rounds.push(start.elapsed().as_nanos() as f64 / f64::from(repeats));
    }
    rounds.sort_by(f64::total_cmp);
    let median = rounds[rounds.len() / 2];
    if bytes > 0 {
        println!("{what:36} {:7.2} GB/s", bytes as f64 / median);
    } else {
        println!("{what:36} {median:7.0} ns");
    }
}

struct Client;

impl Visitor for Client {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        "www.example.com"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name == "cookie").then_some(Cow::Borrowed(b"theme=dark; id=571; lang=da"))
    }
    fn place(&self, _: Place) -> Option<&str> {
        None
    }
    fn is_secret_cookie(&self, _: &str) -> bool {
        false
    }
}
