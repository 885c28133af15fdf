//! Signed addresses and cookies.

use std::net::IpAddr;

use crate::query::without;
use crate::token::{Denied, Grant, Key, Keys, NAME, Shown, find, sign, verify};

fn key(id: &str) -> Key {
    Key::new(id, format!("a secret of some length, {id}").as_bytes()).expect("a key")
}

fn keys(current: &str, other: Option<&str>) -> Keys {
    Keys { current: key(current), other: other.map(key) }
}

fn client() -> IpAddr {
    "192.0.2.7".parse().expect("an address")
}

const GRANT: Grant<'_> =
    Grant { audience: "video", expires_s: 1000, path_prefix: "/show/", client: None };

fn shown(path: &str) -> Shown<'_> {
    Shown { audience: "video", path, client: client(), now_s: 999 }
}

#[test]
fn a_token_opens_what_is_below_its_path_until_it_expires() {
    let keys = keys("k1", None);
    let token = sign(&keys, &GRANT).expect("a token");
    assert_eq!(verify(&keys, &token, &shown("/show/live/a.ts")), Ok(1000));
    let late = Shown { now_s: 1000, ..shown("/show/live/a.ts") };
    assert_eq!(verify(&keys, &token, &late), Err(Denied::Expired));
    let odd = [
        "/other/a.ts",
        "/show",
        "/show/../other/a.ts",
        "/show/%2e%2e/other",
        "/show/..%2fother",
        "/show/a\\..\\b",
        "/show/./a",
        "/show/..;/other",
        "/show/..;x=1/other",
        "/show/..%3B/other",
    ];
    for path in odd {
        assert_eq!(verify(&keys, &token, &shown(path)), Err(Denied::Path), "{path}");
    }
    for path in ["/show/a;x=1/b..;c", "/show/...;/b", "/show/a..%3Bb", "/show//b"] {
        assert_eq!(verify(&keys, &token, &shown(path)), Ok(1000), "{path}");
    }
    let one = sign(&keys, &Grant { path_prefix: "/show/a.ts", ..GRANT }).expect("a token");
    assert_eq!(verify(&keys, &one, &shown("/show/a.ts")), Ok(1000));
    assert_eq!(verify(&keys, &one, &shown("/show/a.ts2")), Err(Denied::Path));
}

#[test]
fn a_token_is_of_one_site_and_one_client() {
    let keys = keys("k1", None);
    let bound = Grant { client: Some(client()), ..GRANT };
    let token = sign(&keys, &bound).expect("a token");
    assert!(!token.contains("192"), "the address is not in it");
    let here = shown("/show/a");
    assert_eq!(verify(&keys, &token, &here), Ok(1000));
    let mapped = Shown { client: "::ffff:192.0.2.7".parse().expect("an address"), ..here };
    assert_eq!(verify(&keys, &token, &mapped), Ok(1000));
    let other = Shown { client: "192.0.2.8".parse().expect("an address"), ..here };
    assert_eq!(verify(&keys, &token, &other), Err(Denied::Signature));
    let site = Shown { audience: "shop", ..here };
    assert_eq!(verify(&keys, &token, &site), Err(Denied::Signature));
    let free = token.replace(".a.", ".n.");
    assert_eq!(verify(&keys, &free, &other), Err(Denied::Signature));
}

#[test]
fn two_keys_live_while_one_is_replaced() {
    let (old, both, new) = (keys("k1", None), keys("k2", Some("k1")), keys("k2", None));
    let token = sign(&old, &GRANT).expect("a token");
    assert_eq!(verify(&both, &token, &shown("/show/a")), Ok(1000));
    assert_eq!(verify(&new, &token, &shown("/show/a")), Err(Denied::UnknownKey));
    let token = sign(&both, &GRANT).expect("a token");
    assert_eq!(verify(&new, &token, &shown("/show/a")), Ok(1000));
}

#[test]
fn a_token_that_was_changed_anywhere_is_none() {
    let keys = keys("k1", None);
    let token = sign(&keys, &GRANT).expect("a token");
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        assert!(verify(&keys, &changed, &shown("/show/a")).is_err(), "{at}");
    }
    let of = |token: &str| verify(&keys, token, &shown("/show/a"));
    assert_eq!(of(""), Err(Denied::Missing));
    for odd in ["x", "1.2.3.4.5.6", "1.k1.1000.L3Nob3cv.n.", "1.k1.1000.L3Nob3cv.x.AA", "......"] {
        assert!(of(odd).is_err(), "{odd}");
    }
    assert_eq!(of(&"x".repeat(2000)), Err(Denied::Malformed));
    assert_eq!(of(&token.replacen('1', "2", 1)), Err(Denied::Malformed), "another version");
}

#[test]
fn what_cannot_be_verified_is_not_signed() {
    let keys = keys("k1", None);
    for path_prefix in ["", "show/", "/a/../b/", "/a b/", "/%2e/", "/æ/"] {
        assert_eq!(sign(&keys, &Grant { path_prefix, ..GRANT }), None, "{path_prefix}");
    }
    assert_eq!(sign(&keys, &Grant { audience: "", ..GRANT }), None);
    assert!(Key::new("k", b"short").is_none());
    assert!(Key::new("k.1", b"0123456789abcdef").is_none());
    assert!(!format!("{keys:?}").contains("secret"));
}

#[test]
fn the_query_goes_before_the_cookie_and_twice_is_none() {
    let query = format!("a=1&{NAME}=q&b=2");
    let cookie = format!("x=y; {NAME}=c");
    assert_eq!(find(NAME, &query, [cookie.as_str()]), Ok("q"));
    assert_eq!(find(NAME, "a=1", [cookie.as_str()]), Ok("c"));
    assert_eq!(find(NAME, "a=1", ["x=y"]), Err(Denied::Missing));
    assert_eq!(find(NAME, &format!("{query}&{NAME}=r"), []), Err(Denied::Malformed));
    assert_eq!(find(NAME, "", [cookie.as_str(), cookie.as_str()]), Err(Denied::Malformed));
    assert_eq!(without(&query, &[NAME]), "a=1&b=2");
}
