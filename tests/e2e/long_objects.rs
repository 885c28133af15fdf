//! Objects too long to be held in memory whole, on a node with a disk: stored slice by slice as
//! they come, for as long as somebody reads.

use crate::slices::{MIB, Version, asked, count, is_part, ranged};
use crate::support::{HOST, becomes};
use selvedge_tests::answer::pattern_bytes;
use selvedge_tests::{Client, Gate, Node, NodeConfig, Origin, Site, eventually};

/// A node with a disk: what is too long to be held in memory whole is stored slice by slice.
fn edge_with_disk(origin: &Origin, folder: &std::path::Path) -> Node {
    let disk = serde_json::json!({ "path": folder.display().to_string(), "size": "256MiB" });
    let config = NodeConfig::new("edge-1")
        .set("cache", "disk", vec![disk])
        .set("cache", "object_max", "1MiB")
        .site(Site::any(&origin.url()));
    Node::edge(&config)
}

/// A whole object beyond `object_max`: stored as it comes, and fetched once for all who read along.
#[test]
fn a_long_object_is_stored_on_disk_as_it_comes() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let edge = edge_with_disk(&origin, folder.path());
    let body = pattern_bytes(13 * MIB + 5);
    let gate = Gate::shut();
    let version = Version::tagged(body.clone(), "\"v1\"");
    let (scripted, shut) = (version, gate.clone());
    origin.on_fn("/long", move |req, _| scripted.answer(req).body_gate(&shut));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| edge.get(HOST, "/long"))).collect();
        assert!(eventually(|| count(&edge, "store_slice_joins_total") >= 3));
        gate.open();
        for client in clients {
            let resp = client.join().unwrap();
            assert!(resp.status == 200 && resp.body == body);
        }
    });
    becomes(14, "slices", || count(&edge, "store_slices_stored_total"));
    let again = edge.get(HOST, "/long");
    assert!(again.is_hit("edge-1"), "{:?}", again.headers);
    let other = again.body.iter().zip(&body).position(|(one, other)| one != other);
    assert_eq!((again.body.len(), other), (body.len(), None));
    is_part(&ranged(&edge, "/long", "bytes=13000000-13000009"), &body, 13_000_000, 13_000_010);
    assert_eq!(asked(&origin, "/long"), ["whole"]);
}

/// A client that leaves half way: the fetch ends soon after, and the next one fetches the rest.
#[test]
fn a_long_object_that_nobody_reads_is_not_fetched_further() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let edge = edge_with_disk(&origin, folder.path());
    let body = pattern_bytes(60 * MIB);
    Version::tagged(body.clone(), "\"v1\"").serve(&origin, "/left");
    let mut client = Client::http(edge.http());
    client.small_window();
    client.send(format!("GET /left HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert!(!client.read_some().is_empty());
    client.reset();
    becomes(0, "fills", || count(&edge, "store_fills_active"));
    let stored = count(&edge, "store_slices_stored_total");
    let whole = edge.get(HOST, "/left");
    assert!(whole.body == body);
    assert!(origin.fetches("/left") <= 1 + 60_usize.div_ceil(8), "{:?}", asked(&origin, "/left"));
    assert!(stored >= 1, "{stored}");
}

/// A range far ahead of what has come is fetched by itself.
#[test]
fn a_range_far_ahead_does_not_wait() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let edge = edge_with_disk(&origin, folder.path());
    let body = pattern_bytes(20 * MIB);
    let gate = Gate::shut();
    let version = Version::tagged(body.clone(), "\"v1\"");
    let shut = gate.clone();
    origin.on_fn("/ahead", move |req, nth| match nth {
        0 => version.answer(req).body_gate(&shut),
        _ => version.answer(req),
    });
    std::thread::scope(|scope| {
        let whole = scope.spawn(|| edge.get(HOST, "/ahead"));
        assert!(eventually(|| count(&edge, "store_slice_joins_total") >= 1));
        is_part(
            &ranged(&edge, "/ahead", "bytes=18874368-18874377"),
            &body,
            18 * MIB,
            18 * MIB + 10,
        );
        gate.open();
        assert!(whole.join().unwrap().body == body);
    });
    assert_eq!(asked(&origin, "/ahead"), ["whole", "bytes=18874368-19922943"]);
}

/// Without a strong validator a long object could not be completed: it passes, as without a disk.
#[test]
fn a_long_object_without_strong_validator_passes() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let edge = edge_with_disk(&origin, folder.path());
    let body = pattern_bytes(3 * MIB);
    Version { body: body.clone(), validator: None }.serve(&origin, "/p");
    for _ in 0..2 {
        assert!(edge.get(HOST, "/p").body == body);
    }
    assert_eq!(origin.fetches("/p"), 2);
}

/// After a restart slices come from disk: of a whole object all of them, of one that is stored in
/// part those that were there, and the rest is fetched once.
#[test]
fn slices_outlive_the_process() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let body = pattern_bytes(5 * MIB + 77);
    for path in ["/whole", "/part"] {
        Version::tagged(body.clone(), "\"v1\"").serve(&origin, path);
    }
    let mut edge = edge_with_disk(&origin, folder.path());
    assert!(edge.get(HOST, "/whole").body == body);
    is_part(&ranged(&edge, "/part", "bytes=2097152-2097161"), &body, 2 * MIB, 2 * MIB + 10);
    becomes(7, "slices", || count(&edge, "store_slices_stored_total"));
    assert!(edge.terminate().success());

    let edge = edge_with_disk(&origin, folder.path());
    let whole = edge.get(HOST, "/whole");
    assert!(whole.is_hit("edge-1") && whole.body == body, "{}", whole.cache_status("edge-1"));
    let part = ranged(&edge, "/part", "bytes=2500000-3000000");
    assert!(part.is_hit("edge-1"), "{}", part.cache_status("edge-1"));
    is_part(&part, &body, 2_500_000, 3_000_001);
    assert!(edge.get(HOST, "/part").body == body);
    assert_eq!(asked(&origin, "/whole"), ["whole"]);
    let expected = ["bytes=2097152-3145727", "bytes=0-2097151", "bytes=3145728-"];
    assert_eq!(asked(&origin, "/part"), expected);
}
