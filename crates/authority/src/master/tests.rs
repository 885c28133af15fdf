//! Every directive, every fault, and what must hold of any file.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::kind;
use crate::zone::tests::name;
use crate::zone::{Found, Node};

const HEAD: &str = "@ 1h IN SOA ns hostmaster 1 2h 10m 4w 5m\n@ 1h NS ns\nns 1h A 192.0.2.53\n";
/// Lines of `HEAD`.
const HEAD_LINES: u32 = 3;

/// Reads a file of the zone `example.`, with others beside it.
fn read_with(text: &[u8], others: &[(&str, &str)]) -> Result<Loaded, Vec<Fault>> {
    let others: HashMap<&str, &str> = others.iter().copied().collect();
    let apex = name("example.");
    let master = MasterFile { apex: &apex, has_sites: false, file: "example.zone", bytes: text };
    master.read(&mut |path| match others.get(path) {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Err("no such file".to_owned()),
    })
}

/// Reads what stands behind `HEAD`.
fn read(rest: &str) -> Result<Loaded, Vec<Fault>> {
    read_with(format!("{HEAD}{rest}").as_bytes(), &[])
}

/// The records and sites of a sound file behind `HEAD`, as they are written.
fn lines(rest: &str) -> Vec<String> {
    lines_with(rest, &[])
}

fn lines_with(rest: &str, others: &[(&str, &str)]) -> Vec<String> {
    let loaded = read_with(format!("{HEAD}{rest}").as_bytes(), others);
    let text = zone_text(&loaded.expect("a sound zone").zone);
    let is_head = |line: &&str| !line.starts_with("example. ") && !line.starts_with("ns.");
    text.lines().filter(is_head).map(str::to_owned).collect()
}

/// The faults of what stands behind `HEAD`, with lines counted behind it.
fn faults(rest: &str) -> Vec<String> {
    let faults = read(rest).expect_err("a fault");
    let told = |fault: &Fault| {
        let line = fault.line.saturating_sub(HEAD_LINES);
        format!("{line}:{}: {}", fault.column, fault.what)
    };
    faults.iter().map(told).collect()
}

#[track_caller]
fn assert_fault(rest: &str, at: &str, what: &str) {
    let faults = faults(rest);
    assert!(faults.len() == 1, "{rest}: {faults:?}");
    assert!(faults[0].starts_with(at) && faults[0].contains(what), "{rest}: {faults:?}");
}

#[test]
fn the_example_of_rfc_1035_is_read() {
    let text = r"
@   IN  SOA     VENERA      Action\.domains (
                                 20     ; SERIAL
                                 7200   ; REFRESH
                                 600    ; RETRY
                                 3600000; EXPIRE
                                 60)    ; MINIMUM

        NS      A.ISI.EDU.
        NS      VENERA
        NS      VAXA
        MX      10      VENERA
        MX      20      VAXA

A       A       26.3.0.103

VENERA  A       10.1.0.52
        A       128.9.0.32

VAXA    A       10.2.0.27
        A       128.9.0.33


$INCLUDE <SUBSYS>ISI-MAILBOXES.TXT
";
    let mailboxes = "
MOE     MB      A.ISI.EDU.
"
    .replace("MB ", r"TYPE7 \# 11 01 41 03 49 53 49 03 45 44 55 00 ;")
    .replace('\t', " ");
    let apex = name("isi.edu.");
    let text = format!("$TTL 1d\n{text}");
    let bytes = text.as_bytes();
    let master = MasterFile { apex: &apex, has_sites: false, file: "isi", bytes };
    let loaded = master.read(&mut |path| match path {
        "<SUBSYS>ISI-MAILBOXES.TXT" => Ok(mailboxes.clone().into_bytes()),
        _ => Err("no such file".to_owned()),
    });
    let zone = loaded.expect("a sound zone").zone;
    assert_eq!((zone.serial(), zone.negative_ttl()), (20, 60));
    let text = zone_text(&zone);
    let soa =
        r"isi.edu. 86400 IN SOA venera.isi.edu. action\.domains.isi.edu. 20 7200 600 3600000 60";
    assert_eq!(text.lines().next(), Some(soa));
    assert!(text.contains("\nvaxa.isi.edu. 86400 IN A 128.9.0.33\n"), "{text}");
    assert_eq!(text.lines().count(), 12);
}

#[test]
fn time_to_live_and_class_come_in_either_order_or_from_before() {
    for (record, ttl) in [
        ("a 60 IN A 192.0.2.1", 60),
        ("a IN 60 A 192.0.2.1", 60),
        ("a 1m A 192.0.2.1", 60),
        ("a in a 192.0.2.1", 3_600),
        ("a CLASS1 TYPE1 192.0.2.1", 3_600),
        ("$TTL 1h30m\na A 192.0.2.1", 5_400),
        ("$ttl 5\nb 7 A 192.0.2.2\na A 192.0.2.1", 5),
        ("b 7 A 192.0.2.2\na A 192.0.2.1", 7),
    ] {
        let line = format!("a.example. {ttl} IN A 192.0.2.1");
        assert!(lines(record).contains(&line), "{record}");
    }
    assert_fault("a 60 60 A 192.0.2.1", "1:6", "after one time to live");
    assert_fault("a IN IN A 192.0.2.1", "1:6", "after one class");
    assert_fault("a CH A 192.0.2.1", "1:3", "IN, which is the only class");
    assert_fault("a CLASS3 A 192.0.2.1", "1:3", "only class");
    assert_fault("a 2147483648 A 192.0.2.1", "1:3", "up to 2147483647");
    assert_fault("a 1y A 192.0.2.1", "1:3", "1h30m");
    assert_fault("$TTL 2147483648", "1:6", "up to 2147483647");
    let faults = read_with(b"@ IN NS ns.invalid.\n", &[]).expect_err("no time to live");
    assert_eq!(
        faults[0].to_string(),
        "example.zone:1:6: write a time to live before the type, or $TTL before the record"
    );
}

#[test]
fn an_owner_is_the_last_one_where_the_line_begins_with_a_space() {
    assert_eq!(
        lines("a A 192.0.2.1\n\n ; nothing\n\tTXT x ; last\n( \n b ) TXT y\n"),
        [
            "a.example. 3600 IN A 192.0.2.1",
            "a.example. 3600 IN TXT \"x\"",
            "b.example. 3600 IN TXT \"y\"",
        ]
    );
    let faults = read_with(b" 1h NS ns.invalid.\n", &[]).expect_err("no owner");
    assert!(faults[0].what.contains("write a name"), "{faults:?}");
    // What follows a name that was not read is looked at, but told to be nobody's.
    assert_eq!(faults_places("a..b A 192.0.2.1\n A 192.0.2.2\n A x\n"), ["1:1", "3:4"]);
}

fn faults_places(rest: &str) -> Vec<String> {
    let place = |fault: &String| fault.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
    faults(rest).iter().map(place).collect()
}

#[test]
fn quotes_escapes_parentheses_and_comments_are_read() {
    assert_eq!(
        lines("a TXT \"b;c (\\\"d\\\") \\100\" ( e ; f\n g\\;h \n) i\\ j\r\n\"k\" TXT l"),
        [
            r#"a.example. 3600 IN TXT "b;c (\"d\") d" "e" "g;h" "i j""#,
            r#"k.example. 3600 IN TXT "l""#,
        ]
    );
    assert_eq!(lines(r#"a HTTPS 1 . alpn="h2,h3" port=1"#).len(), 1);
    assert_fault("a TXT \"b\n", "1:7", "close this quote");
    assert_fault("a TXT b\"c\n", "1:8", "before this quote");
    assert_fault("a TXT x=\"b\n", "1:7", "close this quote");
    assert_fault("a TXT x=\"b\"\n", "1:7", "quotes around the whole string");
    assert_fault("a TXT (b\n", "1:7", "add the ) of this");
    assert_fault("a TXT b)\n", "1:8", "no ( is before it");
    assert_fault("a TXT (((((((((b)))))))))\n", "1:15", "( stands in many");
    assert_fault("a TXT b\\", "1:8", "after \\");
    assert_fault("a TXT b\\\nc TXT d\n", "1:8", "after \\");
    assert_fault("a TXT \\12x\n", "1:7", "quotes around");
    assert_fault("a TXT \u{1}\n", "1:7", "control character");
    assert_fault("é TXT x\n", "1:1", "xn--");
    assert_fault("a TXT é )\n", "1:9", "no ( is");
    assert_fault(&format!("a TXT {}", "b".repeat(140_000)), "1:135008", "too many bytes");
    assert_fault(&format!("a TXT {}", "b ".repeat(70_000)), "1:140003", "too many parts");
}

#[test]
fn an_origin_is_for_what_follows() {
    assert_eq!(
        lines("$ORIGIN b\na CNAME c\n$ORIGIN example.\nd CNAME @\n"),
        ["a.b.example. 3600 IN CNAME c.b.example.", "d.example. 3600 IN CNAME example."]
    );
    assert_fault("$ORIGIN", "1:8", "add the origin");
    assert_fault("$ORIGIN a b", "1:11", "delete this");
    assert_fault("$ORIGIN a..", "1:9", "empty");
    assert_fault("$TTL", "1:5", "add a time");
    assert_fault("$UNKNOWN x", "1:1", "$ORIGIN, $TTL, $INCLUDE or $GENERATE");
    assert_fault("$ORIGIN com.\na A 192.0.2.1", "2:3", "a.com.: the name is not in the zone");
}

#[test]
fn a_file_is_included_and_sets_nothing_for_the_one_around_it() {
    let others = [
        ("one", "$ORIGIN b\n$TTL 5\na TXT one\n$INCLUDE two c\nd TXT three\n"),
        ("two", " TXT of-a\ne TXT two\n"),
    ];
    assert_eq!(
        lines_with("x TXT y\n$INCLUDE \"one\"\n TXT of-x\nf TXT four\n", &others),
        [
            r#"a.b.example. 5 IN TXT "one""#,
            r#"a.b.example. 5 IN TXT "of-a""#,
            r#"e.c.b.example. 5 IN TXT "two""#,
            r#"d.b.example. 5 IN TXT "three""#,
            r#"f.example. 3600 IN TXT "four""#,
            r#"x.example. 3600 IN TXT "y""#,
            r#"x.example. 3600 IN TXT "of-x""#,
        ]
    );
    assert_fault("$INCLUDE nowhere", "1:10", "no such file");
    assert_fault("$INCLUDE", "1:9", "add the file");
    assert_fault("$INCLUDE a b c", "1:14", "delete this");
    let faults = read_with(HEAD.as_bytes(), &[]).map(|_| ());
    assert_eq!(faults, Ok(()));
}

#[test]
fn faults_name_the_file_they_are_in() {
    let others = [("inner", "a A 192.0.2.1\nb A x\n"), ("self", "$INCLUDE self\n")];
    let told = |text: &str| {
        let faults = read_with(format!("{HEAD}{text}").as_bytes(), &others).expect_err("a fault");
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let one = told("$INCLUDE inner\nc A y\n");
    assert_eq!(one.len(), 2);
    assert!(one[0].starts_with("inner:2:5: write an IPv4 address instead of"), "{one:?}");
    assert!(one[1].starts_with("example.zone:5:5: write an IPv4 address"), "{one:?}");
    let endless = told("$INCLUDE self\n");
    assert_eq!(endless, ["self:1:10: delete this: files are included 8 deep at most"]);
}

#[test]
fn records_are_generated() {
    assert_eq!(
        lines("$GENERATE 1-2 h$ 5 IN A 192.0.2.$\n$GENERATE 0-4/4 ${0,2,x} CNAME h\\$$\n"),
        [
            r"00.example. 5 IN CNAME h\$0.example.",
            r"04.example. 5 IN CNAME h\$4.example.",
            "h1.example. 5 IN A 192.0.2.1",
            "h2.example. 5 IN A 192.0.2.2",
        ]
    );
    assert_eq!(
        lines("$GENERATE 1-1 a TXT \"$ ; $\" x$\n$GENERATE 2-2 b MX \"1$ c\"\n"),
        [r#"a.example. 3600 IN TXT "1 ; 1" "x1""#, "b.example. 3600 IN MX 12 c.example."]
    );
    assert_eq!(
        lines("$GENERATE 1-1 a TXT \"$ \\\"b $\\\"\"\n"),
        [r#"a.example. 3600 IN TXT "1" "b 1""#]
    );
    assert_fault("$GENERATE 1-1 a TXT \"b)\"\n", "1:21", "no ( is before it");
    assert_fault("$GENERATE 1-1 a TXT \"\"\n", "1:23", "add a string");
    let many = "$GENERATE 0-65535 ${0,4,x} A 192.0.2.1\n";
    assert_eq!(lines(many).len(), 65_536);
    assert_fault("$GENERATE 0-65536 h$ A 192.0.2.1", "1:11", "divide the range");
    assert_fault("$GENERATE 2-1 h$ A 192.0.2.1", "1:11", "a range like");
    assert_fault("$GENERATE 1-2 ${x} A 192.0.2.1", "1:15", "${offset,width,base}");
    assert_fault("$GENERATE 1-2 ${-2} A 192.0.2.1", "1:15", "below zero");
    assert_fault("$GENERATE 250-260 h$ A 192.0.2.$", "1:24", "192.0.2.256");
    assert_fault("$GENERATE", "1:10", "add a range");
    assert_fault("$GENERATE 1-2", "1:14", "add a range, and a record");
    assert_fault("$GENERATE 1-2 a", "1:16", "add a type");
}

#[test]
fn what_is_included_or_generated_counts_as_text() {
    let apex = name("example.");
    for (rest, place) in [
        ("$GENERATE 1-1000 h$ A 192.0.2.1\n", "4:11"),
        ("$INCLUDE long\n", "1:1"),
        ("$INCLUDE one\n$INCLUDE one\n", "1:1"),
    ] {
        let text = format!("{HEAD}{rest}");
        let bytes = text.as_bytes();
        let master = MasterFile { apex: &apex, has_sites: false, file: "example.zone", bytes };
        let mut include = |path: &str| Ok(vec![b' '; if path == "long" { 20_000 } else { 6_000 }]);
        let faults = reader::read_within(10_000, &master, &mut include).expect_err("too long");
        let fault = faults[0].to_string();
        assert!(fault.contains(&format!(":{place}: divide the zone")), "{fault}");
    }
}

#[test]
fn a_name_is_a_sites() {
    let loaded = read("@ SITE Shop\n@ 1h MX 0 .\n*.w IN SITE other\n").expect("a sound zone");
    let site = |asked: &str| loaded.zone.node(name(asked).as_wire()).and_then(|n| n.site.clone());
    assert_eq!(site("example.").as_deref(), Some("shop"));
    match loaded.zone.find(name("a.w.example.").as_wire(), kind::A) {
        Found::Wildcard { node: Node { site: Some(site), .. }, .. } => assert_eq!(&**site, "other"),
        found => panic!("{found:?}"),
    }
    assert_fault("a SITE", "1:7", "add the name of a site");
    assert_fault("a SITE b c", "1:10", "delete this");
    assert_fault("a SITE \"b c\"", "1:8", "SITE takes the name of a site");
    assert_fault("a 60 SITE b", "1:3", "the site says");
    assert_fault("a SITE b\na SITE c", "2:8", "two SITE records");
    assert_fault("a SITE b\n\na A 192.0.2.1", "3:3", "SITE answers in place of this");
}

#[test]
fn faults_of_the_zone_are_told_where_its_records_stand() {
    assert_fault("a TXT x\na CNAME b\n", "2:3", "a.example.: a CNAME stands alone, and TXT");
    assert_fault("a CNAME b\na CNAME c\n", "2:3", "may have only one");
    assert_fault("a NS ns.a\n", "1:3", "ns.a.example. is below and has no glue");
    assert_fault("a ANY x\n", "1:3", "the type stands in no zone");
    assert_fault("a OPT \\# 0\n", "1:3", "stands in no zone");
    assert_fault("a XYZ x\n", "1:3", "a type instead of \"XYZ\"");
    let faults = read_with(b"; nothing", &[]).expect_err("an empty zone");
    assert_eq!(
        faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "example.zone:1:1: example.: the zone has no SOA: add one at its own name",
            "example.zone:1:1: example.: the zone has no NS at its own name: add its name servers",
        ]
    );
    let loaded = read("a 60 A 192.0.2.1\na 30 A 192.0.2.2\nb MX 1 c\n").expect("a sound zone");
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].starts_with("example.zone:4:6: a.example.: records"), "{warnings:?}");
    assert!(warnings[1].contains("c.example. has no A or AAAA"), "{warnings:?}");
}

#[test]
fn all_faults_are_told_up_to_a_hundred() {
    assert_eq!(faults_places("a A x\nb TXT \"\nc TXT )\nd\n\u{7f}\n").len(), 5);
    assert_eq!(faults(&"a A x\n".repeat(300)).len(), 100);
}

#[test]
fn bytes_that_are_no_utf8_are_told() {
    let faults = read_with(b"a TXT \"\xc3\xa9\xff\"\n", &[]).expect_err("a fault");
    let fault = faults[0].to_string();
    assert!(fault.starts_with("example.zone:1:9: write this byte as \\DDD"), "{fault}");
    let loaded = read_with(format!("\u{feff}{HEAD}").as_bytes(), &[]);
    assert!(loaded.is_ok(), "a mark of the byte order is no fault");
}

macro_rules! fixture {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/zones/", $file))
    };
}

#[test]
fn the_fixtures_are_read_and_written() {
    let expected = [
        ("small.zone", fixture!("small.zone"), "example.com.", 1, 2),
        ("mixed.zone", fixture!("mixed.zone"), "example.com.", 62, 77),
        ("sites.zone", fixture!("sites.zone"), "example.com.", 9, 12),
        ("reverse.zone", fixture!("reverse.zone"), "0.0.8.b.d.0.1.0.0.2.ip6.arpa.", 296, 261),
    ];
    for (file, text, apex, names, records) in expected {
        let apex = name(apex);
        let read = |text: &str| {
            let has_sites = file == "sites.zone";
            let master = MasterFile { apex: &apex, has_sites, file, bytes: text.as_bytes() };
            master.read(&mut |_| Err("no such file".to_owned())).expect("a sound zone")
        };
        let loaded = read(text);
        assert_eq!(loaded.warnings, [], "{file}");
        let written = zone_text(&loaded.zone);
        assert_eq!(
            (loaded.zone.nodes().count(), written.lines().count()),
            (names, records),
            "{file}"
        );
        assert_eq!(zone_text(&read(&written).zone), written, "{file}");
    }
}

#[test]
fn each_line_of_the_broken_fixture_is_told() {
    let faults = read_with(fixture!("broken.zone").as_bytes(), &[]).expect_err("faults");
    let lines: Vec<u32> = faults.iter().map(|fault| fault.line).collect();
    let expected = [2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23];
    assert_eq!(lines, expected, "{faults:?}");
}

/// Lines that are sound, or nearly.
fn line() -> impl Strategy<Value = String> {
    let owner =
        prop_oneof!["[a-c]{1,2}", "\\*(\\.[a-c])?", "[a-b]\\.[a-b]\\.[a-c]", Just(String::new())];
    let record = prop_oneof![
        "A 192\\.0\\.2\\.[0-9]",
        "AAAA 2001:db8::[0-9a-f]{1,4}",
        "TXT \"[ -!#-\\[\\]-~]{0,20}\" [a-z]{1,5}",
        "MX [0-9] [a-c]{1,2}",
        "HTTPS 1 \\. alpn=h2,h3 port=[1-9]{1,4}",
        "CAA 0 issue \"[a-z.]{0,9}\"",
        "TYPE65280 \\\\# 2 [0-9a-f]{4}",
        "CNAME [a-c]{1,2}",
        "NS [a-c]{1,2}\\.invalid\\.",
        "DNAME [a-c]{1,2}\\.invalid\\.",
        "SITE [a-c]{1,3}",
    ];
    (owner, record).prop_map(|(owner, record)| format!("{owner} {record}\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_of_a_zone_is_read_as_the_same_zone(
        rest in prop::collection::vec(line(), 0..6).prop_map(|lines| lines.concat())
    ) {
        if let Ok(loaded) = read(&rest) {
            let text = zone_text(&loaded.zone);
            let again = read_with(text.as_bytes(), &[]).expect("what was written").zone;
            prop_assert_eq!(again.nodes_in_order(), loaded.zone.nodes_in_order());
            prop_assert_eq!(zone_text(&again), text);
        }
    }

    #[test]
    fn a_damaged_zone_is_a_zone_or_faults(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..4)
    ) {
        let mut bytes = fixture!("mixed.zone").as_bytes().to_vec();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at + 4),
                _ => drop(bytes.remove(at)),
            }
        }
        match read_with(&bytes, &[]) {
            Ok(loaded) => {
                let text = zone_text(&loaded.zone);
                let again = read_with(text.as_bytes(), &[]).expect("what was written").zone;
                prop_assert_eq!(zone_text(&again), text);
            }
            Err(faults) => prop_assert!((1..=100).contains(&faults.len())),
        }
    }

    #[test]
    fn any_bytes_are_a_zone_or_faults(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let read = read_with(&bytes, &[("a", "b TXT c")]);
        prop_assert!(read.is_err_and(|faults| (1..=100).contains(&faults.len())));
    }

    #[test]
    fn any_text_is_a_zone_or_faults(
        rest in "([a-c@*$ \t\n();\"\\\\./={}0-9-]|TXT | A |\\$(GENERATE|INCLUDE|TTL) ){0,80}"
    ) {
        let others = [("a", "$INCLUDE a\n$INCLUDE a\n")];
        match read_with(format!("{HEAD}{rest}").as_bytes(), &others) {
            Ok(loaded) => prop_assert!(loaded.zone.nodes().count() >= 2),
            Err(faults) => prop_assert!((1..=100).contains(&faults.len())),
        }
    }
}
