//! `CDN-Loop` (RFC 8586): which nodes a request has been through.
//!
//! A member of ours is `selvedge; node="edge-1"`, with `; hop=peer` when an edge asks its peer. The
//! field is only ever appended to. Anybody can write it, so it proves nothing: who is found in it
//! answers 508, and who claims to be a peer is only kept from this node's peers.

use crate::list;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The name of this CDN in the field.
pub const CDN_ID: &str = "selvedge";

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Members beyond this many are not looked at; whoever limits the depth refuses such requests.
const MEMBERS_MAX: usize = 256;

/// How a request reaches the next node.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// Up: to a parent or the origin.
    Up,
    /// Sideways: to a peer of the region.
    Peer,
}

/// Whether the request has been through this node.
pub fn contains(headers: &HeaderMap, node: &str) -> bool {
    ours(headers).any(|member| node_of(member).as_deref() == Some(node.as_bytes()))
}

/// How many members the field has, of any CDN, up to a bound: limit it to stop long detours.
pub fn depth(headers: &HeaderMap) -> usize {
    list::all_members(headers, CDN_LOOP).take(MEMBERS_MAX).count()
}

/// Whether the last node was an edge that asks us as its peer.
pub fn came_from_peer(headers: &HeaderMap) -> bool {
    last(headers).is_some_and(|member| {
        is_ours(member)
            && list::parameters(member).skip(1).any(|parameter| parameter == b"hop=peer")
    })
}

/// Whether the last node was one of this CDN, and not of another that stands in front of it.
pub fn came_from_ours(headers: &HeaderMap) -> bool {
    last(headers).is_some_and(is_ours)
}

/// Appends this node before the request goes on.
pub fn append(headers: &mut HeaderMap, node: &str, hop: Hop) {
    headers.append(CDN_LOOP, member(node, hop));
}

/// The member of a node.
fn member(node: &str, hop: Hop) -> HeaderValue {
    let mut text = format!("{CDN_ID}; node=\"");
    for c in node.chars().filter(|c| (' '..='~').contains(c)) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    if hop == Hop::Peer {
        text.push_str("; hop=peer");
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(CDN_ID))
}

fn last(headers: &HeaderMap) -> Option<&[u8]> {
    list::all_members(headers, CDN_LOOP).take(MEMBERS_MAX).last()
}

fn ours(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    list::all_members(headers, CDN_LOOP).take(MEMBERS_MAX).filter(|member| is_ours(member))
}

fn is_ours(member: &[u8]) -> bool {
    list::parameters(member).next().is_some_and(|id| id.eq_ignore_ascii_case(CDN_ID.as_bytes()))
}

fn node_of(member: &[u8]) -> Option<Vec<u8>> {
    let value =
        list::parameters(member).skip(1).find_map(|parameter| parameter.strip_prefix(b"node="))?;
    list::unquote(value).or_else(|| list::is_token(value).then(|| value.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_finds_itself_and_nobody_else() {
        let mut headers = HeaderMap::new();
        assert!(!contains(&headers, "edge-1"));
        headers.append(CDN_LOOP, HeaderValue::from_static("other; node=\"edge-2\", a.example"));
        append(&mut headers, "edge-1", Hop::Up);
        append(&mut headers, "od\"d, \\name", Hop::Peer);
        assert!(contains(&headers, "edge-1"));
        assert!(contains(&headers, "od\"d, \\name"));
        assert!(!contains(&headers, "edge-2"));
        assert!(!contains(&headers, "edge"));
        assert_eq!(depth(&headers), 4);
    }

    #[test]
    fn only_the_last_member_tells_of_a_peer() {
        let mut headers = HeaderMap::new();
        assert!(!came_from_peer(&headers));
        append(&mut headers, "edge-1", Hop::Peer);
        assert!(came_from_peer(&headers));
        append(&mut headers, "edge-2", Hop::Up);
        assert!(!came_from_peer(&headers));
        assert!(came_from_ours(&headers));
        headers.append(CDN_LOOP, HeaderValue::from_static("other; hop=peer"));
        assert!(!came_from_peer(&headers));
        assert!(!came_from_ours(&headers));
    }

    #[test]
    fn a_node_is_found_however_its_member_is_spelled() {
        for spelled in
            ["SELVEDGE;node=a", "x,selvedge ; hop=peer ; node=\"a\"", "selvedge;node=\"\\a\""]
        {
            let mut headers = HeaderMap::new();
            headers.append(CDN_LOOP, HeaderValue::from_static(spelled));
            assert!(contains(&headers, "a"), "{spelled}");
        }
    }
}
