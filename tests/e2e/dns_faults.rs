//! What goes wrong: files that are missing or broken, kills, and changes under load.

use crate::dns_support::{EU, NOBODY, ZONE, at, came_to, config, fixture, placed};
use rustix::process::Signal;
use selvedge_tests::dns::{Perf, Query, Stream, Udp, addresses, addresses_for, kind};
use selvedge_tests::node::{Reload, binary};
use selvedge_tests::tools::{free_port, run};
use selvedge_tests::{Node, NodeConfig, eventually};
use std::time::Instant;

const NAME: &str = "shop.cdn.test";
/// What clients ask for under load.
const NAMES: &str = "shop.cdn.test A\nwww.cdn.test A\ncdn.test SOA\nx.wild.cdn.test TXT\n";
/// A zone of which three lines are wrong.
const BROKEN: &str = "$TTL 300\n@ 900 SOA ns1 host 8 1 1 1 120\n@ NS ns1\nns1 A 192.0.2.1\n\
                      www A 192.0.2.1000\nmail MX ten mail\ntext TXT \"no end\n";

/// Starts a server that must not start; what it said.
#[track_caller]
fn refuses_to_start(config: &NodeConfig) -> String {
    let mut server = Node::dns_not_awaited(config);
    assert_eq!(server.wait().code(), Some(64), "{:?}", server.stderr().all());
    assert!(eventually(|| server.stderr().count() > 0));
    server.stderr().all().join("\n")
}

#[test]
fn a_server_does_not_start_without_what_its_file_names() {
    let missing = config().set("dns", "mmdb", "none.mmdb");
    let said = refuses_to_start(&missing);
    assert!(said.contains("none.mmdb") && said.contains("No such file"), "{said}");
    let corrupt = placed().file("clients.mmdb", &fixture("clients.mmdb")[..900]);
    let said = refuses_to_start(&corrupt);
    assert!(said.contains("clients.mmdb"), "{said}");
    let covered = config().set("dns", "coverage", "c.csv").file("c.csv", "10.0.0.0/8,mars\nx\n");
    let said = refuses_to_start(&covered);
    assert!(said.contains("line 1") && said.contains("mars") && said.contains("line 2"), "{said}");
    for (key, file) in [("coverage", "c.csv"), ("mmdb", "c.mmdb")] {
        let said = refuses_to_start(&config().set("dns", key, file).file(file, ""));
        assert!(said.contains(file) && said.contains("is empty: put the map there"), "{said}");
    }
    let said = refuses_to_start(&config().file("cdn.zone", "x\0y A 192.0.2.1\n"));
    assert!(said.contains("cdn.zone:1:2: write this control character as \\DDD"), "{said}");
    let said = refuses_to_start(&config().file("cdn.zone", BROKEN));
    for line in ["cdn.zone:5", "cdn.zone:6", "cdn.zone:7"] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn a_broken_zone_is_refused_whole_and_the_old_one_goes_on() {
    let server = Node::dns(&config());
    let ask = |name: &str| addresses(at(&server), name);
    let good = ZONE.replace("192.0.2.1\n", "192.0.2.9\n").replace("hostmaster 7", "hostmaster 8");
    let Reload::Refused(first) = server.reload(&config().file("cdn.zone", BROKEN)) else {
        panic!("it is taken: {:?}", server.stderr().all())
    };
    assert!(first.contains("what runs goes on"), "{first}");
    for line in ["cdn.zone:5", "cdn.zone:6", "cdn.zone:7"] {
        let said = server.stderr().wait(0, |said| said.contains(line));
        assert!(said.is_some(), "{line}: {:?}", server.stderr().all());
    }
    assert_eq!(ask("www.cdn.test"), ["192.0.2.1"]);
    assert_eq!(ask("ns1.cdn.test"), ["192.0.2.53"], "nothing of the new one");
    assert_eq!(server.metrics().value("selvedge_config_reloads_refused_total"), 1.0);
    assert_eq!(files_refused(&server, "zones"), 1.0);
    assert_eq!(files_refused(&server, "maps"), 0.0);
    assert_eq!(server.reload(&config().file("cdn.zone", good)), Reload::Applied);
    assert!(eventually(|| ask("www.cdn.test") == ["192.0.2.9"]));
    assert_eq!(server.metrics().value("selvedge_config_reloads_total"), 1.0);
    let moved = config().set("dns", "listen", vec!["127.0.0.1:0", "127.0.0.1:0"]);
    let Reload::Refused(why) = server.reload(&moved) else { panic!("it needs a restart") };
    assert!(why.contains("dns.listen"), "{why}");
    assert_eq!(ask(NAME), EU);
}

#[test]
fn a_zone_may_have_the_line_ends_of_other_systems() {
    let server = Node::dns(&config().file("cdn.zone", ZONE.replace('\n', "\r\n")));
    assert_eq!(addresses(at(&server), "www.cdn.test"), ["192.0.2.1"]);
}

/// How often files of a kind were refused.
pub(crate) fn files_refused(server: &Node, kind: &str) -> f64 {
    let label = format!("kind=\"{kind}\"");
    server.metrics().sum("selvedge_dns_files_refused_total", &[&label])
}

/// Configurations, zones and maps change as fast as they can while clients ask. `cargo xtask
/// reloads` has it done a thousand times and prints the figures.
#[test]
fn no_query_is_lost_while_everything_is_read_again_and_again() {
    let wanted = std::env::var("SELVEDGE_TESTS_RELOADS").ok();
    let wanted: u32 = wanted.map_or(25, |number| number.parse().expect("a number of reloads"));
    let config = placed().set("node", "workers", 1).set("dns", "coverage", "near.csv");
    let changed = |turn: u32| {
        let serial = format!("hostmaster {}", 8 + turn);
        let near = format!("203.0.113.{}/32,ap\n", turn % 256);
        config
            .clone()
            .file("cdn.zone", ZONE.replace("hostmaster 7", &serial))
            .file("near.csv", near)
            .file("clients.mmdb", fixture("clients.mmdb"))
    };
    let server = Node::dns(&changed(0));
    let serial = || Udp::to(at(&server)).ask(&Query::new("cdn.test", kind::SOA)).answer.len();
    let mut load = Perf::start(at(&server), NAMES, 1000, 3600);
    assert!(eventually(|| server.metrics().sum("selvedge_dns_queries_total", &[]) > 100.0));
    assert_eq!(server.reload(&changed(1)), Reload::Applied);
    let (begun, rss_before) = (Instant::now(), server.rss_bytes());
    for turn in 2..=wanted {
        assert_eq!(server.reload(&changed(turn)), Reload::Applied);
        assert_eq!(serial(), 1, "{turn}");
    }
    let (took, rss) = (begun.elapsed().as_secs_f64(), server.rss_bytes());
    assert!(load.is_running(), "it asked all the time");
    let counts = load.stop();
    println!(
        "{wanted} reloads in {took:.1} s, {counts:?}, resident {} KiB after the first and {} KiB \
         after the last",
        rss_before >> 10,
        rss >> 10,
    );
    assert!(counts.sent >= 200, "{counts:?}");
    assert_eq!((counts.lost, counts.noerror), (0, counts.completed), "{counts:?}");
    assert_eq!(counts.completed + counts.interrupted, counts.sent, "{counts:?}");
    assert!(rss < rss_before + (32 << 20), "{rss_before} {rss}");
    assert_eq!(server.metrics().value("selvedge_config_reloads_total"), f64::from(wanted));
    assert_eq!(came_to(&server, "malformed"), 0);
}

#[test]
fn a_server_that_is_killed_is_back_where_it_was() {
    let config = placed().set("dns", "listen", vec![free_port().to_string()]);
    let mut server = Node::dns(&config);
    let address = at(&server);
    assert_eq!(addresses_for(address, NAME, NOBODY), EU);
    server.kill();
    let server = Node::dns(&config);
    assert_eq!(at(&server), address);
    assert_eq!(addresses_for(address, NAME, NOBODY), EU);
}

#[test]
fn a_server_that_is_told_to_end_answers_what_has_come_and_ends_well() {
    let mut server = Node::dns(&config());
    let mut stream = Stream::to(at(&server));
    let together: Vec<u8> =
        (0..50).flat_map(|id| Query::new(NAME, kind::A).id(id).framed()).collect();
    assert!(stream.send(&together));
    let socket = Udp::to(at(&server));
    assert_eq!(socket.ask(&Query::new(NAME, kind::A)).answer.len(), 2);
    assert_eq!(stream.receive().expect("the first").id, 0);
    server.signal(Signal::TERM);
    let mut last = 0;
    while let Ok(reply) = stream.receive() {
        last = reply.id;
    }
    assert_eq!(last, 49, "all that came is answered, and then the connection ends");
    assert_eq!(server.wait().code(), Some(0));
    let said = server.stderr().all();
    assert!(said.iter().any(|line| line == "selvedge: ended"), "{said:?}");
}

#[test]
fn an_address_that_is_taken_is_told_and_can_be_tried_again() {
    let server = Node::dns(&config());
    let taken = config().set("dns", "listen", vec![at(&server).to_string()]);
    let mut second = Node::dns_not_awaited(&taken);
    assert_eq!(second.wait().code(), Some(75), "{:?}", second.stderr().all());
    let said = second.stderr().all().join("\n");
    assert!(said.contains(&at(&server).to_string()), "{said}");
    assert_eq!(addresses(at(&server), NAME), EU);
}

#[test]
fn the_file_of_a_server_is_checked_before_it_runs() {
    let folder = folder();
    let file = folder.path().join("dns.toml");
    let check = |config: &NodeConfig| {
        std::fs::write(&file, config.render(folder.path())).expect("the folder can be written");
        run(&binary().display().to_string(), &["check", &file.display().to_string()])
    };
    let good = check(&placed());
    assert!(good.ok, "{}", good.stderr);
    assert!(good.stdout.contains("a DNS server for cdn.test"), "{}", good.stdout);
    assert!(good.stdout.contains("3 regions, 5 nodes, 1 sites"), "{}", good.stdout);
    let broken = check(&placed().file("cdn.zone", BROKEN));
    assert!(!broken.ok && broken.stderr.contains("cdn.zone:5"), "{}", broken.stderr);
    let unknown = check(&placed().set("dns", "liste", "x"));
    assert!(unknown.stderr.contains("dns.liste"), "{}", unknown.stderr);
    let lost = placed().table(
        "edge",
        serde_json::json!({ "name": "far", "region": "mars", "addresses": ["198.18.7.7"] }),
    );
    let lost = check(&lost);
    assert!(!lost.ok && lost.stderr.contains("mars"), "{}", lost.stderr);
    let twice = check(&placed().table(
        "region",
        serde_json::json!({ "name": "de", "latitude": 1, "longitude": 1, "countries": ["DE"] }),
    ));
    assert!(!twice.ok && twice.stderr.contains("DE"), "{} {}", twice.stdout, twice.stderr);
}

/// The commented example in the repository is right as it stands.
#[test]
fn the_example_of_a_dns_server_is_well() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/dns.toml");
    let checked = run(&binary().display().to_string(), &["check", file]);
    assert!(checked.ok, "{}", checked.stderr);
    assert!(checked.stdout.contains("a DNS server for cdn.example"), "{}", checked.stdout);
    assert!(!checked.stdout.contains("warning"), "{}", checked.stdout);
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
