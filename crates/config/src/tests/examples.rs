//! The files in `configs/`, and the file every script relies on.

use std::path::{Path, PathBuf};

use crate::{HostPattern, LogTarget, Profile, parse, reference};

/// The commented example of a node that clients reach.
pub(super) const EDGE: &str = include_str!("../../../../configs/edge.toml");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

/// A file in the folder of examples that does not load misleads whoever copies it.
#[test]
fn every_example_loads() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).expect("the folder of examples is there") {
        let path = entry.expect("its entries can be read").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("an example can be read");
        for profile in [Profile::Facing, Profile::Inner] {
            let name = path.display().to_string();
            let config = parse(&text, &name, profile).unwrap_or_else(|faults| panic!("{faults}"));
            let has_sites = !config.sites.is_empty() || config.control.url.is_some();
            assert!(has_sites || config.data.folder.is_some(), "{name}");
        }
        seen += 1;
    }
    assert!(seen >= 4);
}

/// `cargo xtask gen` writes it; whoever changes a row and forgets is told here.
#[test]
fn the_reference_is_fresh() {
    let kept = std::fs::read_to_string(folder().join("README.md")).unwrap_or_default();
    assert!(kept == reference(), "configs/README.md is stale: run `cargo xtask gen`");
    assert!(kept.contains("### `cache.memory`") && kept.contains("### `upstream.self`"));
}

/// Scripts write this shape. It must keep its meaning.
#[test]
fn the_shape_that_scripts_rely_on_is_read() {
    let text = r#"
[node]
name = "edge-1"
[listen]
http  = ["127.0.0.1:8080"]
https = ["127.0.0.1:8443"]
[admin]
listen = "127.0.0.1:9180"          # /livez /readyz /metrics
[cache]
memory = "256MiB"
[[certificate]]
cert = "edge.pem"
key  = "edge.key"
[upstream]
parents = ["http://127.0.0.1:8180"]  # omitted: fetch from the site's origin
peers   = []                         # edges of the same region, this one included
[[site]]
name   = "shop"
hosts  = ["www.shop.test", "*.shop.test"]   # "*" alone: any host
origin = ["http://127.0.0.1:9000"]
# per site also: default lifetimes, stale windows, query keys to ignore, header rules, timeouts
"#;
    let config = parse(text, "edge.toml", Profile::Facing).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(config.node.name.as_str(), "edge-1");
    assert_eq!(config.listen.http, ["127.0.0.1:8080".parse().expect("an address")]);
    assert_eq!(config.listen.https, ["127.0.0.1:8443".parse().expect("an address")]);
    assert_eq!(config.admin.listen, Some("127.0.0.1:9180".parse().expect("an address")));
    assert_eq!(config.cache.memory.bytes(), 256 << 20);
    assert_eq!(config.certificates[0].cert, Path::new("edge.pem"));
    assert_eq!(config.certificates[0].key, Path::new("edge.key"));
    assert_eq!(config.upstream.parents[0].to_string(), "http://127.0.0.1:8180");
    assert!(config.upstream.peers.is_empty());
    let site = &config.sites[0];
    assert_eq!(site.name.as_str(), "shop");
    assert_eq!(
        site.hosts,
        [
            HostPattern::Exact("www.shop.test".to_owned()),
            HostPattern::Below("shop.test".to_owned())
        ]
    );
    assert_eq!(site.origin[0].url.to_string(), "http://127.0.0.1:9000");
    assert_eq!(config.log.access, LogTarget::Stdout);
}
