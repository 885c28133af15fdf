//! What a `Cache-Status` field says (RFC 9211), in sentences. Pure: it claims nothing that the
//! field does not say.

use serde::Serialize;
use sfv::{BareItem, List, ListEntry, Parser};

/// What one cache on the way did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Member {
    /// The name of the cache.
    pub(super) cache: String,
    pub(super) hit: bool,
    /// Why it asked onward.
    pub(super) fwd: Option<String>,
    /// What the next hop answered, if that is not the status sent.
    pub(super) fwd_status: Option<i64>,
    /// What is left of the lifetime in seconds; negative once it is stale.
    pub(super) ttl: Option<i64>,
    pub(super) stored: bool,
    pub(super) collapsed: bool,
    pub(super) key: Option<String>,
    /// A word of the cache's own.
    pub(super) detail: Option<String>,
}

/// The caches of an answer, the nearest to the origin first. A field that cannot be read has none.
pub(super) fn members(field: &str) -> Vec<Member> {
    let Ok(list) = Parser::new(field.as_bytes()).parse::<List>() else { return Vec::new() };
    let mut members = Vec::new();
    for entry in list {
        let ListEntry::Item(item) = entry else { continue };
        let Some(cache) = text(&item.bare_item) else { continue };
        let mut member = Member { cache, ..Member::default() };
        for (name, value) in &item.params {
            let number = value.as_integer().map(i64::from);
            match name.as_str() {
                "hit" => member.hit = is_set(value),
                "fwd" => member.fwd = text(value),
                "fwd-status" => member.fwd_status = number,
                "ttl" => member.ttl = number,
                "stored" => member.stored = is_set(value),
                "collapsed" => member.collapsed = is_set(value),
                "key" => member.key = text(value),
                "detail" => member.detail = text(value),
                _ => {}
            }
        }
        members.push(member);
    }
    members
}

fn text(value: &BareItem) -> Option<String> {
    match value {
        BareItem::Token(token) => Some(token.as_str().to_owned()),
        BareItem::String(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

fn is_set(value: &BareItem) -> bool {
    matches!(value, BareItem::Boolean(true))
}

impl Member {
    /// What it did, a sentence a fact.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut out = Vec::new();
        match (&self.fwd, self.hit) {
            (_, true) => out.push("answered from what it has stored".to_owned()),
            (Some(fwd), false) => out.push(format!("asked onward ({fwd}): {}", forward(fwd))),
            (None, false) => out.push("answered without its cache".to_owned()),
        }
        if self.collapsed {
            out.push("waited for a fetch that another client had caused".to_owned());
        }
        if let Some(status) = self.fwd_status {
            let what = if status == 304 { ": what was stored is still good" } else { "" };
            out.push(format!("the next hop answered {status}{what}"));
        }
        if self.fwd.is_some() {
            let stored = if self.stored { "stored the answer" } else { "did not store the answer" };
            out.push(stored.to_owned());
        }
        match self.ttl {
            Some(ttl @ 0..) => out.push(format!("fresh for another {}", seconds(ttl))),
            Some(ttl) => out.push(format!("stale for {}", seconds(-ttl))),
            None => {}
        }
        if let Some(word) = &self.detail {
            match detail(word) {
                Some(meaning) => out.push(format!("{meaning} ({word})")),
                None => out.push(format!("its own word for it: {word}")),
            }
        }
        if let Some(key) = &self.key {
            out.push(format!("key {key}"));
        }
        out
    }
}

/// Why a request went forward (RFC 9211 2.2).
fn forward(word: &str) -> &'static str {
    match word {
        "bypass" => "it was told not to use its cache for this",
        "method" => "this method has to go forward",
        "uri-miss" => "nothing is stored for this URL",
        "vary-miss" => "what is stored is for other request fields (Vary)",
        "miss" => "nothing that is stored could answer it",
        "request" => "the request wanted it so",
        "stale" => "what is stored is stale",
        "partial" => "only parts of it are stored",
        _ => "for a reason that RFC 9211 does not have",
    }
}

/// Words of Selvedge's own tables.
fn detail(word: &str) -> Option<&'static str> {
    Some(match word {
        "method" => "only answers to GET and HEAD are stored",
        "partial" => "a part of an object is not stored as the whole",
        "not-modified-unasked" => "the origin sent 304 although nobody had asked for that",
        "not-modified-mismatch" => "the 304 was about another version",
        "no-store" => "the answer says no-store",
        "request-no-store" => "the request says no-store",
        "private" => "the answer says private",
        "authorization" => "the request had Authorization, and the answer does not allow sharing",
        "set-cookie" => "the answer sets a cookie",
        "must-understand" => "must-understand, and the status is not one we know",
        "vary-star" => "Vary: * (or a Vary that is no list): it is good for one request only",
        "vary-wide" => "Vary names more fields than are kept",
        "no-lifetime" => "the answer has no lifetime, and none may be guessed",
        "unusable" => "no lifetime left and nothing to validate with",
        "no-cache" => "the answer says no-cache: it is validated each time",
        "request-no-cache" => "the request says no-cache",
        "request-max-age" => "the request's max-age is less than the age",
        "request-min-fresh" => "the request's min-fresh is more than what is left",
        "hit-for-miss" => "it is remembered that this URL could not be cached a while ago",
        "request-body" => "the request has a body",
        "fills-full" => "as many answers as may be were arriving already",
        "too-large" => "it is larger than what may be stored",
        "peer-keeps-it" => "the peer that owns this URL keeps it",
        "while-revalidate" => "served stale while a fresh one is fetched behind it",
        "upstream-failed" => "served stale, as the next hop could not be reached",
        "upstream-error" => "served stale, as the next hop answered with an error",
        "token-missing" => "the site asks for a token, and the URL has none",
        "token-malformed" => "the token is not whole, or there twice",
        "token-unknown-key" => "the token was signed with a key that this node does not know",
        "token-signature" => "the token is for another site or client, or was changed",
        "token-expired" => "the token is over",
        "token-path" => "the token is for other paths",
        _ => return None,
    })
}

/// A time as people say it.
fn seconds(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_the_nearest_to_the_origin_first() {
        let field = "parent-1; fwd=uri-miss; ttl=59; stored, \"edge 1\"; hit; ttl=-412; \
                     detail=while-revalidate";
        let found = members(field);
        assert_eq!(found.len(), 2);
        let parent = Member {
            cache: "parent-1".to_owned(),
            fwd: Some("uri-miss".to_owned()),
            ttl: Some(59),
            stored: true,
            ..Member::default()
        };
        assert_eq!(found[0], parent);
        let sentences = [
            "asked onward (uri-miss): nothing is stored for this URL",
            "stored the answer",
            "fresh for another 59 s",
        ];
        assert_eq!(parent.sentences(), sentences);
        assert_eq!(found[1].cache, "edge 1");
        let sentences = [
            "answered from what it has stored",
            "stale for 6 min 52 s",
            "served stale while a fresh one is fetched behind it (while-revalidate)",
        ];
        assert_eq!(found[1].sentences(), sentences);
    }

    #[test]
    fn a_reason_is_given_for_what_is_not_stored() {
        let found =
            members("e; fwd=stale; fwd-status=304; collapsed; detail=set-cookie; key=\"k\"");
        let sentences = [
            "asked onward (stale): what is stored is stale",
            "waited for a fetch that another client had caused",
            "the next hop answered 304: what was stored is still good",
            "did not store the answer",
            "the answer sets a cookie (set-cookie)",
            "key k",
        ];
        assert_eq!(found[0].sentences(), sentences);
        let found = members("e; detail=host-unknown");
        let sentences = ["answered without its cache", "its own word for it: host-unknown"];
        assert_eq!(found[0].sentences(), sentences);
    }

    #[test]
    fn what_is_no_list_has_no_members() {
        for bad in ["", "a; =", "(a b); hit", "1;hit", "a,", "\u{e4}"] {
            assert!(members(bad).is_empty(), "{bad}");
        }
    }
}
