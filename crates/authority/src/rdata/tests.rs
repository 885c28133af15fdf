//! Text to wire form and back, for every type that has a form of its own.

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::kind::{self, Kind};
use crate::master::Scanner;
use crate::name::Name;

/// Reads data below the origin `example.`.
fn read(kind: u16, text: &str) -> Result<Vec<u8>, Misread> {
    let origin = Name::from_text("example.", &Name::root()).expect("a name");
    let mut scanner = Scanner::new(text);
    let end = Place { line: 9, column: 9 };
    match scanner.next_entry() {
        None => from_text(kind, &[], &origin, end),
        Some(Ok(entry)) => from_text(kind, &entry.tokens, &origin, end),
        Some(Err(misread)) => Err(misread),
    }
}

/// Each: its type, how it is written, its data in hexadecimal digits, and how we write it.
fn check_rows<W: AsRef<str>>(rows: &[(u16, &str, W, &str)]) {
    for (kind, text, wire, written) in rows {
        let wire = wire.as_ref().replace(' ', "");
        let wire = HEXLOWER.decode(wire.as_bytes()).expect("hexadecimal");
        assert_eq!(read(*kind, text), Ok(wire.clone()), "{} {text}", Kind(*kind));
        assert_eq!(check(*kind, &wire), Ok(()), "{} {text}", Kind(*kind));
        assert_eq!(data_text(*kind, &wire), *written, "{} {text}", Kind(*kind));
    }
}

#[test]
fn every_old_type_is_read_and_written() {
    let example = "076578616d706c6500";
    check_rows::<&str>(&[
        (kind::A, "192.0.2.1", "c0000201", "192.0.2.1"),
        (kind::AAAA, "2001:DB8::1", "20010db8000000000000000000000001", "2001:db8::1"),
        (kind::NS, "A", &format!("0161{example}"), "a.example."),
        (kind::CNAME, "@", example, "example."),
        (kind::PTR, r"a\.b.", "03612e6200", r"a\.b."),
        (kind::DNAME, ".", "00", "."),
        (
            kind::SOA,
            "a. b. 1 1h 2M 3 4w",
            "0161000162000000000100000e1000000078000000030024ea00",
            "a. b. 1 3600 120 3 2419200",
        ),
        (kind::HINFO, r#"RFC8482 """#, "075246433834383200", r#""RFC8482" """#),
        (kind::MX, "10 @", &format!("000a{example}"), "10 example."),
        (kind::MX, "0 .", "000000", "0 ."),
        (kind::TXT, r#"a "b c" \"\065\; """#, "01610362206303224 13b00", r#""a" "b c" "\"A;" """#),
        (kind::TXT, "é", "02c3a9", r#""\195\169""#),
        (kind::RP, "a. b.", "016100016200", "a. b."),
        (kind::AFSDB, "1 a.", "0001016100", "1 a."),
        (kind::SRV, "1 2 443 a.", "0001000201bb016100", "1 2 443 a."),
        (
            kind::NAPTR,
            r#"1 2 "U" SIP "!^.*$!x!" ."#,
            "0001000201550353495008215e2e2a2421782100",
            r#"1 2 "U" "SIP" "!^.*$!x!" ."#,
        ),
    ]);
}

#[test]
fn every_newer_type_is_read_and_written() {
    let example = "076578616d706c6500";
    check_rows::<&str>(&[
        (kind::CERT, "PKIX 1 RSASHA256 aGk=", "00010001086869", "1 1 8 aGk="),
        (kind::DS, "1 13 2 AB cd", "00010d02abcd", "1 13 2 abcd"),
        (kind::CDS, "0 0 0 00", "0000000000", "0 0 0 00"),
        (kind::SSHFP, "4 2 ab", "0402ab", "4 2 ab"),
        (
            kind::RRSIG,
            "A 5 3 86400 20030322173103 20030220173103 2642 @ aG k=",
            &format!("00010503000151803e7c9dd73e5510d70a52{example}6869"),
            "A 5 3 86400 20030322173103 20030220173103 2642 example. aGk=",
        ),
        (
            kind::NSEC,
            "@ RRSIG A TYPE1234 MX",
            &format!("{example}0006400100000002041b{}20", "00".repeat(26)),
            "example. A MX RRSIG TYPE1234",
        ),
        (kind::DNSKEY, "257 3 ED25519 aGk=", "0101030f6869", "257 3 15 aGk="),
        (kind::CDNSKEY, "0 3 0 AA==", "0000030000", "0 3 0 AA=="),
        (kind::NSEC3, "1 0 2 aabb cpnmu A", "0100000202aabb03666f6f000140", "1 0 2 aabb CPNMU A"),
        (kind::NSEC3PARAM, "1 0 0 -", "0100000000", "1 0 0 -"),
        (kind::TLSA, "3 1 1 ab", "030101ab", "3 1 1 ab"),
        (kind::SMIMEA, "3 1 1 ab", "030101ab", "3 1 1 ab"),
        (kind::OPENPGPKEY, "a Gk=", "6869", "aGk="),
        (kind::CSYNC, "66 3 A NS", "0000004200030001 60", "66 3 A NS"),
        (kind::ZONEMD, "1 1 1 ab", "000000010101ab", "1 1 1 ab"),
        (kind::SPF, "v", "0176", r#""v""#),
        (kind::EUI48, "00-00-5E-00-53-2a", "00005e00532a", "00-00-5e-00-53-2a"),
        (kind::EUI64, "00-00-5e-ef-10-00-00-2a", "00005eef1000002a", "00-00-5e-ef-10-00-00-2a"),
        (kind::URI, r#"10 1 "a""#, "000a000161", r#"10 1 "a""#),
        (
            kind::CAA,
            "0 issue ca.example",
            "0005697373756563612e6578616d706c65",
            r#"0 issue "ca.example""#,
        ),
        (kind::CAA, r#"128 issue "" "#, "80056973737565", r#"128 issue """#),
        (kind::LOC, r"\# 2 ab cd", "abcd", r"\# 2 abcd"),
        (65_280, r"\# 0", "", r"\# 0"),
        (kind::A, r"\# 4 c0000201", "c0000201", "192.0.2.1"),
        (kind::MX, r"\# 5 000a 0141 00", "000a016100", "10 a."),
        (kind::SVCB, "0 a.", "0000016100", "0 a."),
    ]);
}

/// The vectors of RFC 9460 D.2.
#[test]
fn services_are_read_as_rfc_9460_has_them() {
    let foo = "03666f6f076578616d706c6503636f6d00";
    for (text, wire) in [
        ("16 foo.example.com. port=53", format!("0010{foo}000300020035")),
        ("1 foo.example.com. key667=hello", format!("0001{foo}029b000568656c6c6f")),
        (
            r#"1 foo.example.com. key667="hello\210qoo""#,
            format!("0001{foo}029b000968656c6c6fd2716f6f"),
        ),
        (
            r#"1 foo.example.com. ipv6hint="2001:db8::1,2001:db8::53:1""#,
            format!(
                "0001{foo}0006002020010db800000000000000000000000120010db8000000000000000000530001"
            ),
        ),
        (
            "16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
            "001003666f6f076578616d706c65036f7267000000000400010004000100090268320568332d3139\
             00040004c0000201"
                .to_owned(),
        ),
        (
            r#"16 foo.example.org. alpn="f\\\\oo\\,bar,h2""#,
            "001003666f6f076578616d706c65036f7267000001000c08665c6f6f2c626172026832".to_owned(),
        ),
        (
            r"16 foo.example.org. alpn=f\\\092oo\092,bar,h2",
            "001003666f6f076578616d706c65036f7267000001000c08665c6f6f2c626172026832".to_owned(),
        ),
    ] {
        let wire = HEXLOWER.decode(wire.as_bytes()).expect("hexadecimal");
        assert_eq!(read(kind::SVCB, text), Ok(wire.clone()), "{text}");
        assert_eq!(read(kind::HTTPS, &data_text(kind::HTTPS, &wire)), Ok(wire), "{text}");
    }
    let text = r#"1 . alpn="h2,h3" no-default-alpn port=8443 ech=aGk= dohpath="/q{?dns}" key9"#;
    let wire = read(kind::HTTPS, text).expect("a service");
    assert_eq!(data_text(kind::HTTPS, &wire), text);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (kind, text, column, what) in [
        (kind::A, "192.0.2", 1, "an IPv4 address instead of \"192.0.2\""),
        (kind::A, "192.0.2.1 x", 11, "delete this"),
        (kind::A, r#""192.0.2.1""#, 1, "quotes"),
        (kind::A, "", 9, "add an IPv4 address"),
        (kind::AAAA, "::1::", 1, "an IPv6 address"),
        (kind::MX, "a.", 1, "a number up to 65535"),
        (kind::MX, "65536 a.", 1, "a number up to 65535"),
        (kind::MX, "+1 a.", 1, "a number up to 65535"),
        (kind::MX, "10", 9, "add a name"),
        (kind::NS, "a..b", 1, "a label of the name is empty"),
        (kind::NS, "é", 1, "xn--"),
        (kind::TXT, "", 9, "add a string"),
        (kind::DS, "1 13 2 abc", 8, "hexadecimal"),
        (kind::DS, "1 13 2", 9, "hexadecimal"),
        (kind::DS, "1 NONE 2 ab", 3, "algorithm"),
        (kind::DNSKEY, "257 3 15 a", 10, "base 64"),
        (kind::NSEC, "@ A XYZ", 5, "a type instead of \"XYZ\""),
        (kind::RRSIG, "A 5 3 1 20231301000000 1 1 @ aGk=", 9, "moment"),
        (kind::CAA, "0 is-sue x", 3, "a tag"),
        (kind::CAA, r#"0 "" x"#, 3, "tag"),
        (kind::URI, r#"1 1 """#, 5, "a string"),
        (kind::EUI48, "00-00-5e-00-53", 1, "six pairs"),
        (kind::LOC, "51 30 N", 1, r"\# LENGTH HEX"),
        (kind::A, r"\# 3 c00002", 1, "ends early"),
        (kind::A, r"\# 5 c000020101", 1, "after its end"),
        (kind::A, r"\# 4 c00002", 4, "3 bytes: write that"),
        (kind::A, r"\#", 9, "the length"),
        (kind::NS, r"\# 2 c00c", 1, "ends early"),
        (kind::NSEC, r"\# 5 00 00 02 40 00", 1, "not in order"),
        (kind::SVCB, "0 a. port=1", 1, "delete the parameters"),
        (kind::SVCB, "1 a. port=1 port=2", 13, "delete this: port is there"),
        (kind::SVCB, "1 a. key3=ab port=2", 14, "delete this: port is there"),
        (kind::SVCB, "1 a. key3=abc", 1, "port does not have two bytes"),
        (kind::SVCB, "1 a. port=65536", 6, "port=NUMBER"),
        (kind::SVCB, "1 a. port", 6, "port=NUMBER"),
        (kind::SVCB, "1 a. no-default-alpn", 1, "add alpn"),
        (kind::SVCB, "1 a. alpn=h2 no-default-alpn=x", 14, "without a value"),
        (kind::SVCB, "1 a. alpn=h2,,h3", 6, "alpn=h2,h3"),
        (kind::SVCB, "1 a. alpn=", 6, "alpn=h2,h3"),
        (kind::SVCB, "1 a. mandatory=port", 1, "that mandatory names"),
        (kind::SVCB, "1 a. mandatory=port,port port=1", 6, "each once"),
        (kind::SVCB, "1 a. mandatory=mandatory", 6, "each once"),
        (kind::SVCB, "1 a. ipv4hint=192.0.2.1,", 6, "ipv4hint"),
        (kind::SVCB, "1 a. ipv6hint=192.0.2.1", 6, "ipv6hint"),
        (kind::SVCB, "1 a. ech=", 6, "ech="),
        (kind::SVCB, "1 a. key65535=x", 6, "a parameter"),
        (kind::SVCB, "1 a. key03=x", 6, "a parameter"),
        (kind::SVCB, "1 a. pork=1", 6, "a parameter"),
    ] {
        let misread = read(kind, text).expect_err(text);
        assert!(misread.what.contains(what), "{} {text}: {}", Kind(kind), misread.what);
        assert_eq!(misread.place.column, column, "{} {text}", Kind(kind));
    }
    let long = read(kind::TXT, &"a".repeat(256)).expect_err("too long");
    assert!(long.what.contains("255"), "{}", long.what);
    let strings = "aaaaaaaaaaaaaaa ".repeat(4_097);
    assert!(read(kind::TXT, &strings).expect_err("too long").what.contains("65535"));
}

/// The types with a layout, and one without.
fn kinds() -> impl Strategy<Value = u16> {
    let kinds: Vec<u16> = (0..300).filter(|kind| layout(*kind).is_some()).chain([65_280]).collect();
    prop::sample::select(kinds)
}

/// Bytes that are data of some type more often than any bytes are.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..9),
        prop::collection::vec(0_u8..4, 0..9),
        Just(b"\x01a\0".to_vec()),
        Just(b"\0\x01\x40".to_vec()),
        Just(b"\0\x01\0\x03\x02h2".to_vec()),
        Just(b"\0\x03\0\x02\x01\xbb".to_vec()),
        Just(b"\x05issue".to_vec()),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn what_is_written_is_read_back(kind in kinds(), data in data()) {
        let text = data_text(kind, &data);
        match check(kind, &data) {
            // Names that came in capitals are read back in lowercase.
            Ok(()) => {
                let again = read(kind, &text).expect("what was written");
                prop_assert!(again.eq_ignore_ascii_case(&data), "{} {text}", Kind(kind));
                let text_again = data_text(kind, &again);
                prop_assert_eq!(read(kind, &text_again), Ok(again));
            }
            Err(_) => {
                prop_assert!(text.starts_with("\\# "));
                prop_assert!(read(kind, &text).is_err());
            }
        }
    }

    #[test]
    fn any_text_is_data_or_none(kind in kinds(), text in r"[ -~]{0,60}|[0-9a-f. =,]{0,60}") {
        if let Ok(data) = read(kind, &text) {
            prop_assert_eq!(check(kind, &data), Ok(()));
            prop_assert_eq!(read(kind, &data_text(kind, &data)), Ok(data));
        }
    }
}
