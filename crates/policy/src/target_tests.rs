//! Tests of `target.rs`.

use super::*;

fn host(text: &str) -> Result<Cow<'_, str>, HostError> {
    normalize_host(text, Scheme::Http)
}

#[test]
fn spellings_of_one_host_become_one() {
    for (text, normal) in [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("example.com.", "example.com"),
        ("example.com:80", "example.com"),
        ("example.com:", "example.com"),
        ("example.com.:080", "example.com"),
        ("Example.com:8080", "example.com:8080"),
        ("example.com:08080", "example.com:8080"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0::0:1]:80", "[::1]"),
        ("[2001:DB8::1]:8080", "[2001:db8::1]:8080"),
        ("a_b.example", "a_b.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(host(text).as_deref(), Ok(normal), "{text}");
        assert_eq!(host(normal).as_deref(), Ok(normal), "{normal}");
    }
    assert_eq!(normalize_host("a:443", Scheme::Https).as_deref(), Ok("a"));
    assert_eq!(normalize_host("a:80", Scheme::Https).as_deref(), Ok("a:80"));
    assert!(matches!(host("a:8080"), Ok(Cow::Borrowed("a:8080"))));
}

#[test]
fn what_is_no_host_is_refused() {
    for (text, error) in [
        ("", HostError::Empty),
        (".", HostError::Empty),
        (":80", HostError::Empty),
        ("a:80:80", HostError::Port),
        ("a:x", HostError::Port),
        ("a:0", HostError::Port),
        ("a:65536", HostError::Port),
        ("a:+80", HostError::Port),
        ("a:000080", HostError::Port),
        ("user@a", HostError::Byte),
        ("a b", HostError::Byte),
        ("a#b", HostError::Byte),
        ("a/b", HostError::Byte),
        ("a%20b", HostError::Byte),
        ("a\u{e4}", HostError::Byte),
        ("a\0", HostError::Byte),
        ("a..b", HostError::Label),
        (".a", HostError::Label),
        ("a..", HostError::Label),
        ("127.1", HostError::Address),
        ("256.0.0.1", HostError::Address),
        ("0x7f.0.0.1", HostError::Address),
        ("127.0.0.0x1", HostError::Address),
        ("2130706433", HostError::Address),
        ("[::1", HostError::Address),
        ("[]", HostError::Address),
        ("[::1%eth0]", HostError::Address),
        ("[1.2.3.4]", HostError::Address),
        ("[v1.a]", HostError::Address),
        ("[::1]x", HostError::Byte),
        ("[::1]:80:80", HostError::Port),
        ("::1", HostError::Port),
    ] {
        assert_eq!(host(text), Err(error), "{text}");
    }
    assert_eq!(host(&"a".repeat(64)), Err(HostError::Label));
    assert_eq!(host(&"a.".repeat(130)), Err(HostError::Label));
}

#[test]
fn the_name_of_a_host_has_no_port() {
    assert_eq!(host_name("a.example:8080"), "a.example");
    assert_eq!(host_name("a.example"), "a.example");
    assert_eq!(host_name("[::1]:8080"), "[::1]");
    assert_eq!(host_name("[::1]"), "[::1]");
}

#[test]
fn equivalent_escapes_become_one_form() {
    for (text, normal) in [
        ("/", "/"),
        ("/a%7eb%2d%2E%5f", "/a~b-._"),
        ("/%c3%a4", "/%C3%A4"),
        ("/%41%42", "/AB"),
        ("/a%2fb", "/a%2Fb"),
        ("/%2541", "/%2541"),
        ("/x.%0a.css", "/x.%0A.css"),
        ("/a%23.css", "/a%23.css"),
        ("/a;x=%61", "/a;x=a"),
    ] {
        assert_eq!(normalize_path(text).as_deref(), Ok(normal), "{text}");
        assert_eq!(normalize_path(normal).as_deref(), Ok(normal), "{normal}");
    }
    assert!(matches!(normalize_path("/plain"), Ok(Cow::Borrowed(_))));
}

#[test]
fn what_origins_tell_apart_stays_apart() {
    let spellings = [
        "/b",
        "/B",
        "/b/",
        "//b",
        "/./b",
        "/a/../b",
        "/a/%2E%2E/b",
        "/a/.%2E/b",
        "/a/..%2Fb",
        "/b;",
        "/b%3B",
        "/b%3F",
    ];
    for text in spellings {
        assert_eq!(normalize_path(text).as_deref(), Ok(text));
    }
    assert_eq!(normalize_path("/a/%2e%2e/b").as_deref(), Ok("/a/%2E%2E/b"));
    assert_eq!(normalize_path("/a/%2e./b").as_deref(), Ok("/a/%2E./b"));
    assert_eq!(normalize_path("/%2e").as_deref(), Ok("/%2E"));
    assert_eq!(normalize_path("/%2ewell-known").as_deref(), Ok("/.well-known"));
}

#[test]
fn what_readers_disagree_on_is_refused() {
    for (text, error) in [
        ("", PathError::NotAbsolute),
        ("*", PathError::NotAbsolute),
        ("a/b", PathError::NotAbsolute),
        ("/%", PathError::Escape),
        ("/%4", PathError::Escape),
        ("/%4%31", PathError::Escape),
        ("/100%25%zz", PathError::Escape),
        ("/%00", PathError::Nul),
        ("/a b", PathError::Byte),
        ("/a\\b", PathError::Byte),
        ("/a#b", PathError::Byte),
        ("/a?b", PathError::Byte),
        ("/a\nb", PathError::Byte),
        ("/\u{e4}", PathError::Byte),
        ("/\u{7f}", PathError::Byte),
        ("/%\u{e4}", PathError::Escape),
    ] {
        assert_eq!(normalize_path(text), Err(error), "{text}");
    }
}
