//! What references mean, and which are refused (RFC 3986 5.4 has the examples).

use std::net::IpAddr;

use crate::{Base, HostForm, Refusal, Scheme, Target, URL_BYTES_MAX, host_form, resolve};

const BASE: Base<'static> =
    Base { scheme: Scheme::Http, host: "a:80", path: "/b/c/d;p", query: Some("q") };

fn path(reference: &str) -> String {
    let target = resolve(&BASE, reference).expect(reference);
    assert_eq!((target.scheme, target.authority), (None, None), "{reference}");
    target.path_and_query
}

fn refused(reference: &str) -> Refusal {
    resolve(&BASE, reference).expect_err(reference)
}

#[test]
fn references_resolve_as_the_examples_of_the_rfc() {
    for (reference, expected) in [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"),
        ("g#s", "/b/c/g"),
        ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("./g/.", "/b/c/g/"),
        ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("http://a/x", "/x"),
        ("HTTP://A:80?x", "/?x"),
        ("//a", "/"),
    ] {
        assert_eq!(path(reference), expected, "{reference}");
    }
}

#[test]
fn relative_references_begin_in_the_folder_of_the_page() {
    let base = Base { path: "/foo/bar", query: None, ..BASE };
    assert_eq!(resolve(&base, "body").expect("whole").path_and_query, "/foo/body");
    let root = Base { path: "/", ..base };
    assert_eq!(resolve(&root, "body").expect("whole").path_and_query, "/body");
}

#[test]
fn other_hosts_are_named_with_their_scheme() {
    let target = |scheme, authority: &str, path: &str| {
        let authority = Some(authority.to_owned());
        Ok(Target { scheme: Some(scheme), authority, path_and_query: path.to_owned() })
    };
    assert_eq!(resolve(&BASE, "//H/f"), target(Scheme::Http, "h", "/f"));
    assert_eq!(resolve(&BASE, "http://h"), target(Scheme::Http, "h", "/"));
    assert_eq!(resolve(&BASE, "https://h:443?x"), target(Scheme::Https, "h", "/?x"));
    assert_eq!(resolve(&BASE, "https://a/"), target(Scheme::Https, "a", "/"));
    assert_eq!(resolve(&BASE, "http://a:8080/"), target(Scheme::Http, "a:8080", "/"));
    assert_eq!(resolve(&BASE, "http://[::0001]:81/"), target(Scheme::Http, "[::1]:81", "/"));
}

#[test]
fn what_may_never_be_asked_for_is_refused() {
    for reference in
        ["/body 2", "/a\tb", "/a\r\nX: y", "/a\0", "/a\u{7f}", "\\\\h\\x", "http:\\\\h"]
    {
        assert_eq!(refused(reference), Refusal::Character, "{reference:?}");
    }
    for reference in
        ["gopher://h/", "file:///etc/passwd", "javascript:x", "ftp://h", "a:b", "data:,x"]
    {
        assert_eq!(refused(reference), Refusal::Scheme, "{reference}");
    }
    for reference in ["http://u@h/", "http://u:p@h/", "//@h/", "http://a@b@h/"] {
        assert_eq!(refused(reference), Refusal::User, "{reference}");
    }
    for reference in [
        "http://",
        "http:///x",
        "//",
        "http:x",
        "http:/x",
        "http://h:0/",
        "http://h:x/",
        "http://h:70000/",
        "http://h%2f/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://h_é/",
        "http://a,b/",
        "///x",
        "http://[::1]x/",
    ] {
        assert_eq!(refused(reference), Refusal::Host, "{reference}");
    }
    assert_eq!(refused(""), Refusal::Empty);
}

#[test]
fn what_is_longer_than_may_be_is_refused() {
    assert_eq!(refused(&"x".repeat(33 * 1024)), Refusal::TooLong);
    assert_eq!(refused(&"é".repeat(URL_BYTES_MAX / 4)), Refusal::TooLong);
    assert_eq!(path(&format!("/{}", "x".repeat(URL_BYTES_MAX - 1))).len(), URL_BYTES_MAX);
}

#[test]
fn what_has_no_place_in_an_address_is_encoded() {
    assert_eq!(path("/é?<\"{|}^`>"), "/%C3%A9?%3C%22%7B%7C%7D%5E%60%3E");
    assert_eq!(path("/%zz%20"), "/%zz%20");
}

#[test]
fn every_form_of_an_address_is_known() {
    for (host, expected) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("169.254.169.254", "169.254.169.254"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[::]", "::"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ("[::ffff:a00:1]", "10.0.0.1"),
        ("[::7f00:1]", "127.0.0.1"),
        ("[64:ff9b::127.0.0.1]", "127.0.0.1"),
        ("[64:ff9b:1::7f00:1]", "127.0.0.1"),
        ("[2002:7f00:1::]", "127.0.0.1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ] {
        let address: IpAddr = expected.parse().expect("an address");
        assert_eq!(host_form(host), HostForm::Address(address), "{host}");
        assert!(host_form(host).is_address());
    }
}

#[test]
fn names_that_mean_this_machine_are_known() {
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "foo.localhost",
        "a.b.Localhost.",
        "localhost.localdomain",
    ] {
        assert_eq!(host_form(host), HostForm::Local, "{host}");
    }
}

#[test]
fn what_is_neither_name_nor_address_is_odd() {
    for host in [
        "",
        ".",
        "..",
        "a..b",
        "256.0.0.1.5",
        "1.2.3.4.5",
        "256.1",
        "4294967296",
        "0x1ffffffff",
        "08",
        "1.2.3.256",
        "[::1",
        "[::1%25eth0]",
        "fe80::1%eth0",
        "[1.2.3.4]",
        "::1::",
        "a b",
        "a/b",
        "x@y",
        "a.1",
        "ex.0xff",
        &"x".repeat(300),
    ] {
        assert_eq!(host_form(host), HostForm::Odd, "{host}");
    }
    for host in [
        "example.com",
        "example.com.",
        "a_b.example",
        "xn--p1ai",
        "1.example",
        "0x7f.example",
        "e1",
    ] {
        assert_eq!(host_form(host), HostForm::Name, "{host}");
    }
}
