//! What is refused, and where questions lead.

use proptest::prelude::*;

use super::*;

/// A name.
pub(crate) fn name(text: &str) -> Name {
    Name::from_text(text, &Name::root()).expect("a name")
}

/// A sound zone with name servers elsewhere, and what else is put in.
pub(crate) fn zone(apex: &str, fill: impl FnOnce(&mut ZoneBuilder)) -> Zone {
    let mut builder = builder(apex, false);
    fill(&mut builder);
    builder.finish().expect("a sound zone")
}

fn builder(apex: &str, has_sites: bool) -> ZoneBuilder {
    let mut builder = ZoneBuilder::new(name(apex), has_sites);
    let mut soa = Vec::new();
    soa.extend_from_slice(name("ns.invalid.").as_wire());
    soa.extend_from_slice(name("hostmaster.invalid.").as_wire());
    for number in [7_u32, 3_600, 600, 86_400, 300] {
        soa.extend_from_slice(&number.to_be_bytes());
    }
    builder.add(&name(apex), kind::SOA, 900, &soa).expect("a SOA");
    add(&mut builder, apex, kind::NS, name("ns.invalid.").as_wire());
    builder
}

fn add(builder: &mut ZoneBuilder, owner: &str, kind: u16, data: &[u8]) {
    builder.add(&name(owner), kind, 60, data).expect("a record");
}

fn faults(has_sites: bool, fill: impl FnOnce(&mut ZoneBuilder)) -> Vec<String> {
    let mut builder = builder("example.", has_sites);
    fill(&mut builder);
    let faults = builder.finish().expect_err("a fault");
    faults.into_iter().map(|fault| fault.to_string()).collect()
}

/// A zone with one of everything.
fn varied(has_sites: bool) -> Zone {
    let mut builder = builder("example.", has_sites);
    let target = name("t.invalid.");
    for (owner, kind, data) in [
        ("www.example.", kind::A, &[192, 0, 2, 1][..]),
        ("a.b.c.example.", kind::A, &[192, 0, 2, 2]),
        ("*.example.", kind::TXT, b"\x01x"),
        ("*.wild.example.", kind::CNAME, target.as_wire()),
        ("x.*.deep.example.", kind::A, &[192, 0, 2, 3]),
        ("old.example.", kind::DNAME, target.as_wire()),
        ("sub.example.", kind::NS, name("ns.sub.example.").as_wire()),
        ("sub.example.", kind::DS, &[0; 36]),
        ("ns.sub.example.", kind::A, &[192, 0, 2, 4]),
    ] {
        add(&mut builder, owner, kind, data);
    }
    builder.finish().expect("a sound zone")
}

#[test]
fn a_zone_tells_its_serial_and_how_long_nothing_is_remembered() {
    let zone = zone("example.", |_| {});
    assert_eq!((zone.serial(), zone.soa().ttl, zone.negative_ttl()), (7, 900, 300));
}

#[test]
fn what_is_there_is_found() {
    let zone = varied(false);
    let find = |asked: &str| match zone.find(name(asked).as_wire(), kind::A) {
        Found::Exact(node) => Some(node.sets.len()),
        _ => None,
    };
    assert_eq!(find("example."), Some(2));
    assert_eq!(find("www.example."), Some(1));
    assert_eq!(find("old.example."), Some(1));
    assert_eq!(find("*.example."), Some(1), "RFC 4592 2.3: a wildcard is a name too");
    assert_eq!(find("c.example."), Some(0), "RFC 4592 2.2.2: an empty non-terminal");
    assert_eq!(find("b.c.example."), Some(0));
}

#[test]
fn a_wildcard_answers_below_its_encloser_only() {
    let zone = varied(false);
    let encloser = |asked: &str| match zone.find(name(asked).as_wire(), kind::A) {
        Found::Wildcard { node, encloser } => {
            Some((Name::from_wire(encloser).expect("a name").to_string(), node.sets.len()))
        }
        _ => None,
    };
    let of = |text: &str, sets| Some((text.to_owned(), sets));
    assert_eq!(encloser("new.example."), of("example.", 1));
    assert_eq!(encloser("a.new.example."), of("example.", 1));
    assert_eq!(encloser("a.wild.example."), of("wild.example.", 1));
    assert_eq!(encloser("b.a.wild.example."), of("wild.example.", 1));
    assert_eq!(encloser("a.deep.example."), of("deep.example.", 0), "RFC 4592 4.9");
    assert_eq!(encloser("a.www.example."), None, "the encloser is www.example.");
    assert_eq!(encloser("z.c.example."), None, "the encloser is an empty non-terminal");
}

#[test]
fn what_is_missing_tells_its_closest_encloser() {
    let zone = varied(false);
    let asked = name("x.y.b.c.example.");
    let found = zone.find(asked.as_wire(), kind::A);
    assert_eq!(found, Found::Missing { encloser: name("b.c.example.").as_wire() });
}

#[test]
fn a_cut_is_found_at_and_below_it_but_for_its_ds() {
    let zone = varied(false);
    for (asked, kind) in [
        ("sub.example.", kind::A),
        ("sub.example.", kind::NS),
        ("ns.sub.example.", kind::A),
        ("x.y.sub.example.", kind::DS),
    ] {
        let asked = name(asked);
        let Found::Delegated { cut, ns, ds, node } = zone.find(asked.as_wire(), kind) else {
            panic!("{asked} is delegated");
        };
        assert_eq!(cut, name("sub.example.").as_wire());
        assert_eq!((ns.kind, ds.map(|ds| ds.kind)), (kind::NS, Some(kind::DS)));
        assert_eq!(node.sets.len(), 2);
    }
    let cut = name("sub.example.");
    assert!(matches!(zone.find(cut.as_wire(), kind::DS), Found::Exact(_)));
    assert!(zone.node(name("ns.sub.example.").as_wire()).is_some(), "glue is kept");
}

#[test]
fn a_dname_renames_what_is_below_it_only() {
    let zone = varied(false);
    let (at, below) = (name("old.example."), name("a.b.old.example."));
    assert!(matches!(zone.find(at.as_wire(), kind::A), Found::Exact(_)));
    match zone.find(below.as_wire(), kind::A) {
        Found::Renamed { owner, dname } => {
            assert_eq!((owner, dname.kind), (at.as_wire(), kind::DNAME));
        }
        found => panic!("{found:?}"),
    }
}

#[test]
fn a_name_one_below_the_apex_may_be_a_sites() {
    let zone = varied(true);
    let (new, below, empty) = (name("shop.example."), name("a.shop.example."), name("c.example."));
    match zone.find(new.as_wire(), kind::A) {
        Found::SiteName { label: b"shop", otherwise: Otherwise::Wildcard(node) } => {
            assert!(node.set(kind::TXT).is_some());
        }
        found => panic!("{found:?}"),
    }
    assert!(matches!(
        zone.find(below.as_wire(), kind::A),
        Found::BelowSiteName { label: b"shop", .. }
    ));
    assert!(matches!(
        zone.find(empty.as_wire(), kind::A),
        Found::SiteName { label: b"c", otherwise: Otherwise::EmptyNonTerminal(_) }
    ));
    for there in ["www.example.", "example.", "*.example.", "b.c.example."] {
        assert!(matches!(zone.find(name(there).as_wire(), kind::A), Found::Exact(_)), "{there}");
    }
    let plain = builder("example.", true).finish().expect("a sound zone");
    let found = plain.find(new.as_wire(), kind::A);
    assert_eq!(found, Found::SiteName { label: b"shop", otherwise: Otherwise::Missing });
    let found = plain.find(below.as_wire(), kind::A);
    assert_eq!(found, Found::Missing { encloser: name("example.").as_wire() });
}

#[test]
fn what_is_no_name_of_the_zone_is_outside() {
    let zone = varied(false);
    let long = [1_u8; 300];
    for wire in [&b""[..], b"\0", b"\x03com\0", b"\x08axample.\0", b"\x40", b"\xc0\x0c", &long] {
        assert_eq!(zone.find(wire, kind::A), Found::Outside);
    }
    // The bytes of the apex stand at the end, but a label reaches into them.
    assert_eq!(zone.find(b"\x02a\x07example\0", kind::A), Found::Outside);
    assert_eq!(zone.find(name("xexample.").as_wire(), kind::A), Found::Outside);
}

#[test]
fn a_record_that_is_wrong_alone_is_refused_at_once() {
    let mut builder = builder("example.", false);
    let target = name("t.invalid.");
    let soa = zone("example.", |_| {}).soa().data[0].clone();
    for (owner, kind, ttl, data, what) in [
        ("a.com.", kind::A, 60, &[0; 4][..], "not in the zone"),
        ("a.example.", kind::ANY, 60, &[], "stands in no zone"),
        ("a.example.", kind::A, 1 << 31, &[0; 4], "to live"),
        ("a.example.", 65_280, 60, &[0; 65_001], "fit into an answer"),
        ("a.example.", kind::SOA, 60, &soa, "own name only"),
        ("*.example.", kind::NS, 60, target.as_wire(), "wildcard"),
        ("*.example.", kind::DNAME, 60, target.as_wire(), "wildcard"),
        ("example.", kind::DS, 60, &[0; 36], "zone above"),
    ] {
        let fault = builder.add(&name(owner), kind, ttl, data).expect_err(what);
        assert!(fault.to_string().contains(what), "{fault}");
    }
    add(&mut builder, "c.example.", kind::CNAME, target.as_wire());
    let other = builder.add(&name("c.example."), kind::CNAME, 60, name("u.").as_wire());
    assert!(other.expect_err("two").to_string().contains("only one"));
    assert!(builder.add_site(&name("a.com."), "shop").is_err());
    assert!(builder.add_site(&name("a.example."), "a b").is_err());
    assert!(builder.add_site(&name("s.example."), "Shop").is_ok());
    assert!(builder.add_site(&name("s.example."), "shop").is_ok());
    assert!(builder.add_site(&name("s.example."), "other").is_err());
    let zone = builder.finish().expect("nothing refused is in the zone");
    assert_eq!(zone.nodes().count(), 3);
}

#[test]
fn records_too_many_for_an_answer_are_refused() {
    let mut builder = builder("example.", false);
    let owner = name("many.example.");
    let taken = (0_u32..10_000)
        .take_while(|number| builder.add(&owner, kind::A, 60, &number.to_be_bytes()).is_ok());
    assert_eq!(taken.count(), 65_000 / 16);
}

#[test]
fn a_duplicate_is_dropped_and_the_least_time_to_live_taken() {
    let zone = zone("example.", |builder| {
        for (ttl, data) in [(60, [0; 4]), (60, [0; 4]), (30, [1; 4]), (90, [2; 4])] {
            builder.add(&name("a.example."), kind::A, ttl, &data).expect("a record");
        }
    });
    let set = zone.node(name("a.example.").as_wire()).and_then(|node| node.set(kind::A));
    assert_eq!(set.map(|set| (set.ttl, set.data.len())), Some((30, 3)));
    assert_eq!(zone.warnings().len(), 2);
}

#[test]
fn a_zone_without_soa_or_name_servers_is_refused() {
    let faults = ZoneBuilder::new(name("example."), false).finish().expect_err("empty");
    assert_eq!(faults.len(), 2);
    let mut builder = ZoneBuilder::new(name("example."), false);
    add(&mut builder, "a.example.", kind::A, &[0; 4]);
    assert_eq!(builder.finish().expect_err("no apex").len(), 2);
}

#[test]
fn what_must_not_stand_together_is_refused() {
    let target = name("t.invalid.");
    let target = target.as_wire();
    for (records, site, what) in [
        (&[(kind::CNAME, target), (kind::TXT, b"\x01x")][..], false, "stands alone"),
        (&[(kind::CNAME, target), (kind::DNAME, target)], false, "stands alone"),
        (&[(kind::A, &[0; 4])], true, "SITE"),
        (&[(kind::CNAME, target)], true, "SITE"),
        (&[(kind::NS, target)], true, "SITE is at a delegation"),
        (&[(kind::DS, &[0; 36])], false, "DS stands at"),
        (&[(kind::NS, target), (kind::TXT, b"\x01x")], false, "is delegated"),
        (&[(kind::NS, target), (kind::DNAME, target)], false, "is delegated"),
    ] {
        let faults = faults(false, |builder| {
            for (kind, data) in records {
                add(builder, "a.example.", *kind, data);
            }
            if site {
                builder.add_site(&name("a.example."), "shop").expect("a site");
            }
        });
        assert!(faults.len() == 1 && faults[0].contains(what), "{faults:?}");
    }
    zone("example.", |builder| {
        builder.add_site(&name("example."), "shop").expect("a site");
        add(builder, "example.", kind::MX, &[0, 0, 0]);
        add(builder, "c.example.", kind::CNAME, target);
        add(builder, "c.example.", kind::KEY, &[0, 0, 3, 8, 1]);
    });
}

#[test]
fn what_is_below_a_delegation_or_dname_is_refused() {
    let target = name("t.invalid.");
    for (above, below, what) in [
        (kind::NS, kind::TXT, "below the delegation of x.example."),
        (kind::NS, kind::NS, "below the delegation"),
        (kind::DNAME, kind::A, "below the DNAME of x.example."),
    ] {
        let faults = faults(false, |builder| {
            add(builder, "x.example.", above, target.as_wire());
            let data = match below {
                kind::TXT => &b"\x01x"[..],
                kind::A => &[0; 4],
                _ => target.as_wire(),
            };
            add(builder, "a.b.x.example.", below, data);
        });
        assert!(faults.len() == 1 && faults[0].contains(what), "{faults:?}");
    }
    let at_apex = |builder: &mut ZoneBuilder| {
        add(builder, "example.", kind::DNAME, target.as_wire());
    };
    assert!(faults(true, at_apex)[0].contains("names of the sites"));
    zone("example.", at_apex);
}

#[test]
fn a_target_in_the_zone_must_be_a_host() {
    let in_zone = |kind, target: &str| {
        let mut data = match kind {
            kind::MX => vec![0, 10],
            kind::SRV => vec![0; 6],
            _ => Vec::new(),
        };
        data.extend_from_slice(name(target).as_wire());
        let mut builder = builder("example.", false);
        add(&mut builder, "alias.example.", kind::CNAME, name("t.invalid.").as_wire());
        add(&mut builder, "old.example.", kind::DNAME, name("t.invalid.").as_wire());
        add(&mut builder, "host.example.", kind::AAAA, &[0; 16]);
        add(&mut builder, "sub.example.", kind::NS, name("ns.invalid.").as_wire());
        add(&mut builder, "glued.sub.example.", kind::A, &[0; 4]);
        let owner = if kind == kind::NS { "sub.example." } else { "o.example." };
        add(&mut builder, owner, kind, &data);
        builder.finish().map(|zone| zone.warnings().len()).map_err(|faults| faults.len())
    };
    for (target, ns, other) in [
        ("host.example.", Ok(0), Ok(0)),
        ("elsewhere.invalid.", Ok(0), Ok(0)),
        ("alias.example.", Err(1), Err(1)),
        ("a.old.example.", Err(1), Err(1)),
        ("missing.example.", Err(1), Ok(1)),
        ("glued.sub.example.", Ok(0), Ok(0)),
        ("other.sub.example.", Err(1), Ok(0)),
        (".", Ok(0), Ok(0)),
    ] {
        assert_eq!(in_zone(kind::NS, target), ns, "NS {target}");
        assert_eq!(in_zone(kind::MX, target), other, "MX {target}");
        assert_eq!(in_zone(kind::SRV, target), other, "SRV {target}");
    }
}

#[test]
fn faults_are_listed_up_to_a_hundred_in_the_order_of_names() {
    let faults = faults(false, |builder| {
        for number in 0..300 {
            add(builder, &format!("n{number:03}.example."), kind::DS, &[0; 36]);
        }
    });
    assert_eq!(faults.len(), 100);
    assert!(faults[0].starts_with("n000.example. DS: ") && faults.is_sorted());
}

#[test]
fn names_come_in_canonical_order() {
    let zone = varied(false);
    let names: Vec<_> = zone.nodes_in_order().iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names[..4], ["example.", "*.example.", "c.example.", "b.c.example."]);
}

/// Labels enough to make wildcards, cuts and names between.
fn labels() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 0..5)
}

/// The name of these labels below the apex.
fn below_apex(labels: &[&str]) -> Name {
    labels
        .iter()
        .rev()
        .fold(name("example."), |name, label| name.child(label.as_bytes()).expect("a short name"))
}

/// What is to be found, by the words of the RFCs and not by a walk: `(outcome, name it is about)`.
fn expected(owners: &[(Name, u16)], asked: &Name, kind: u16) -> (&'static str, Name) {
    let apex = name("example.");
    let exists = |name: &Name| *name == apex || owners.iter().any(|(owner, _)| owner.is_in(name));
    let has = |name: &Name, kind: u16| owners.contains(&(name.clone(), kind));
    let mut above: Vec<Name> = std::iter::successors(Some(asked.clone()), Name::parent)
        .take_while(|n| n.is_in(&apex))
        .collect();
    above.reverse();
    let hides = |name: &&Name| {
        let is_cut = has(name, kind::NS) && **name != apex && (*name != asked || kind != kind::DS);
        is_cut || (has(name, kind::DNAME) && *name != asked)
    };
    if let Some(name) = above.iter().find(hides) {
        let outcome = if has(name, kind::DNAME) { "renamed" } else { "delegated" };
        return (outcome, name.clone());
    }
    if exists(asked) {
        return ("exact", asked.clone());
    }
    let encloser = above.iter().rfind(|name| exists(name)).expect("the apex exists").clone();
    let wildcard = encloser.child(b"*").expect("a short name");
    (if exists(&wildcard) { "wildcard" } else { "missing" }, encloser)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn every_name_is_found_as_the_rfcs_say(
        owners in prop::collection::vec(
            (labels(), prop::sample::select(vec![kind::A, kind::A, kind::NS, kind::DNAME])),
            0..8,
        ),
        asked in labels(),
        kind in prop::sample::select(vec![kind::A, kind::DS]),
    ) {
        let mut builder = builder("example.", false);
        let mut taken = Vec::new();
        for (owner, kind) in owners {
            let owner = below_apex(&owner);
            let target = name("t.invalid.");
            let data = if kind == kind::A { &[0; 4] } else { target.as_wire() };
            let mut tried = builder.clone();
            if tried.add(&owner, kind, 60, data).is_ok() && tried.clone().finish().is_ok() {
                builder = tried;
                taken.push((owner, kind));
            }
        }
        let zone = builder.finish().expect("every step was sound");
        let asked = below_apex(&asked);
        let (outcome, about) = match zone.find(asked.as_wire(), kind) {
            Found::Exact(_) => ("exact", asked.as_wire()),
            Found::Wildcard { encloser, .. } => ("wildcard", encloser),
            Found::Delegated { cut, .. } => ("delegated", cut),
            Found::Renamed { owner, .. } => ("renamed", owner),
            Found::Missing { encloser } => ("missing", encloser),
            found => panic!("{found:?}"),
        };
        let about = Name::from_wire(about).expect("a name");
        prop_assert_eq!((outcome, about), expected(&taken, &asked, kind));
    }

    #[test]
    fn any_bytes_lead_somewhere(wire in prop::collection::vec(any::<u8>(), 0..40), apex in 0..2) {
        let zone = if apex == 0 { varied(true) } else { varied(false) };
        let mut asked = wire;
        prop_assert!(matches!(zone.find(&asked, kind::A), Found::Outside));
        asked.extend_from_slice(b"\x07example\0");
        let is_in_zone = Name::from_wire(&asked).is_ok_and(|asked| asked.is_in(zone.apex()));
        prop_assert_eq!(matches!(zone.find(&asked, kind::A), Found::Outside), !is_in_zone);
    }
}
