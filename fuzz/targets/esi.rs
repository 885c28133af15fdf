//! Any bytes as a page with Edge Side Includes, whole and cut; what a client sends is taken from
//! the same bytes. Cut anyhow it comes to the same, and what values bring is never markup.

#![no_main]

use std::borrow::Cow;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use selvedge_esi::surrogate::{SurrogateControl, capability_has_esi};
use selvedge_esi::{
    Base, Evaluator, Faults, Limits, Piece, Place, Scheme, Template, Visitor, host_form, resolve,
};

struct Client<'a> {
    bytes: &'a [u8],
    text: &'a str,
}

impl Visitor for Client<'_> {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        "www.example.com"
    }
    fn path(&self) -> &str {
        self.text
    }
    fn query(&self) -> Option<&str> {
        Some(self.text)
    }
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (!name.is_empty()).then_some(Cow::Borrowed(self.bytes))
    }
    fn place(&self, what: Place) -> Option<&str> {
        (what == Place::Country).then_some("DK")
    }
    fn is_secret_cookie(&self, name: &str) -> bool {
        name == "s"
    }
}

fn limits() -> Limits {
    Limits { expanded_bytes_max: 1 << 18, steps_max: 4096, ..Limits::default() }
}

/// All that a page comes to, and what was wrong with it.
fn evaluate(template: &Template, client: &Client<'_>) -> (String, Faults) {
    let (mut evaluator, mut pieces) = (Evaluator::new(client, limits()), Vec::new());
    for node in template.nodes() {
        evaluator.eval(node, &mut pieces);
    }
    let mut out = String::new();
    write(&pieces, &mut out);
    (out, evaluator.faults().clone())
}

fn write(pieces: &[Piece], out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend(text.iter().copied().map(char::from)),
            Piece::Include(include) => {
                *out += &format!("\0{include:?}\0");
                let base = Base {
                    scheme: Scheme::Https,
                    host: "www.example.com",
                    path: "/a/b",
                    query: Some("q"),
                };
                for reference in [Some(&include.src), include.alt.as_ref()].into_iter().flatten() {
                    let Ok(target) = resolve(&base, reference) else { continue };
                    assert!(target.path_and_query.starts_with('/'));
                    assert!(target.path_and_query.bytes().all(|byte| byte.is_ascii_graphic()));
                    if let Some(authority) = target.authority {
                        host_form(&authority);
                    }
                }
            }
            Piece::Try(tag) => {
                out.push('\u{1}');
                write(&tag.attempt, out);
                out.push('\u{2}');
                write(&tag.except, out);
                out.push('\u{3}');
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    // The first byte says how it is cut, what follows a zero is the client's.
    let Some((&step, data)) = data.split_first() else { return };
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (page, sent) = data.split_at(end);
    let client = Client { bytes: sent, text: std::str::from_utf8(sent).unwrap_or("x=1") };
    let page = Bytes::copy_from_slice(page);
    let whole = Template::parse([page.clone()], limits());
    let step = usize::from(step).max(1);
    let chunks = (0..page.len()).step_by(step).map(|at| page.slice(at..page.len().min(at + step)));
    let cut = Template::parse(chunks, limits());
    assert_eq!(whole.faults(), cut.faults());
    assert_eq!(whole.is_plain(), cut.is_plain());
    let (out, faults) = evaluate(&whole, &client);
    assert_eq!((&out, &faults), (&evaluate(&cut, &client).0, &evaluate(&cut, &client).1));
    if whole.is_plain() {
        assert!(out.chars().map(|c| c as u8).eq(page.iter().copied()));
    }

    // The same bytes as values of a page that has no other markup.
    let source = Bytes::from_static(
        b"<esi:vars>\
            $(QUERY_STRING)$(HTTP_HEADER{x})$(HTTP_COOKIE{a})$url_decode($(REQUEST_PATH))\
            </esi:vars>",
    );
    let (out, _) = evaluate(&Template::parse([source], limits()), &client);
    assert!(!out.contains(['<', '>', '"', '\'']));
    SurrogateControl::parse([data], "cdn");
    capability_has_esi(data);
});
