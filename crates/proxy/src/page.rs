//! The short error answers this node gives in its own name, as HTML, plain text or JSON by the
//! request's Accept (RFC 9110 12.5.1), branded with the node's name and carrying the request id
//! that the access log has.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// The media type of errors that programs read.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The forms a page can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
}

/// What a page says.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// The status it explains.
    pub(crate) status: StatusCode,
    /// The stable word for the reason, as in the log and the counters.
    pub(crate) word: &'static str,
    /// One sentence for the person who sees it.
    pub(crate) sentence: &'static str,
    /// This node's name.
    pub(crate) node: &'a str,
    /// The request's id.
    pub(crate) id: &'a str,
}

impl Page<'_> {
    /// Renders the page in the form the client prefers: body and content type.
    pub(crate) fn render(&self, request: &HeaderMap) -> (Bytes, HeaderValue) {
        let code = self.status.as_u16();
        let title = self.status.canonical_reason().unwrap_or("Error");
        let Self { word, sentence, node, id, .. } = self;
        match preferred(request) {
            Form::Html => (
                Bytes::from(format!(
                    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
                     <title>{code} {title}</title>\n<h1>{code} {title}</h1>\n<p>{sentence}</p>\n\
                     <hr>\n<p><small>{node} &middot; {word} &middot; request {id}</small></p>\
                     </html>\n"
                )),
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            Form::Json => (
                Bytes::from(format!(
                    "{{\"status\":{code},\"title\":\"{title}\",\"reason\":\"{word}\",\
                     \"detail\":\"{sentence}\",\"node\":\"{node}\",\"request_id\":\"{id}\"}}\n"
                )),
                JSON,
            ),
            Form::Text => (
                Bytes::from(format!("{code} {title}: {sentence}\n{node} {word} request {id}\n")),
                HeaderValue::from_static("text/plain; charset=utf-8"),
            ),
        }
    }
}

/// The form with the highest weight; a more specific range outweighs a wildcard, and plain text is
/// what a client gets that states no preference.
fn preferred(request: &HeaderMap) -> Form {
    let mut best = (Form::Text, 0_u16);
    let mut consider = |form, weight| {
        if weight > best.1 {
            best = (form, weight);
        }
    };
    for value in request.get_all(header::ACCEPT).iter().take(8) {
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',').take(32) {
            let mut parts = range.split(';');
            let media = parts.next().unwrap_or("").trim().to_ascii_lowercase();
            let quality = parts
                .filter_map(|part| part.trim().strip_prefix("q="))
                .find_map(|q| q.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            let weight = |specific: u16| ((quality.clamp(0.0, 1.0) * 1000.0) as u16 * 4) + specific;
            if quality <= 0.0 {
                continue;
            }
            match media.as_str() {
                "text/html" | "application/xhtml+xml" => consider(Form::Html, weight(2)),
                "application/json" | "application/problem+json" => {
                    consider(Form::Json, weight(2));
                }
                "text/plain" => consider(Form::Text, weight(2)),
                "text/*" => consider(Form::Text, weight(1)),
                "application/*" => consider(Form::Json, weight(1)),
                "*/*" => consider(Form::Text, weight(0)),
                _ => {}
            }
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(accept: Option<&str>) -> (String, String) {
        let mut request = HeaderMap::new();
        if let Some(accept) = accept {
            request.insert(header::ACCEPT, HeaderValue::from_str(accept).expect("a header value"));
        }
        let page = Page {
            status: StatusCode::BAD_GATEWAY,
            word: "connect",
            sentence: "The origin could not be reached.",
            node: "edge-1",
            id: "0123abcd",
        };
        let (body, kind) = page.render(&request);
        let body = String::from_utf8(body.to_vec()).expect("pages are UTF-8");
        (kind.to_str().expect("ASCII").to_owned(), body)
    }

    #[test]
    fn the_form_follows_accept() {
        for (accept, kind) in [
            (None, "text/plain; charset=utf-8"),
            (Some("*/*"), "text/plain; charset=utf-8"),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), "text/html; charset=utf-8"),
            (Some("application/json"), "application/json"),
            (Some("text/html;q=0.3, application/json;q=0.9"), "application/json"),
            (Some("text/html;q=0, */*"), "text/plain; charset=utf-8"),
            (Some("image/png"), "text/plain; charset=utf-8"),
            (Some(";;;q=,=,/"), "text/plain; charset=utf-8"),
        ] {
            assert_eq!(render(accept).0, kind, "{accept:?}");
        }
    }

    #[test]
    fn every_form_names_the_node_the_reason_and_the_request() {
        for accept in ["text/html", "application/json", "text/plain"] {
            let body = render(Some(accept)).1;
            for part in ["502", "edge-1", "connect", "0123abcd", "could not be reached"] {
                assert!(body.contains(part), "{accept}: {body}");
            }
        }
        let json: serde_json::Value =
            serde_json::from_str(&render(Some("application/json")).1).expect("valid JSON");
        assert_eq!(json["status"], 502);
    }
}
