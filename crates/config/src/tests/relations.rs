//! What must hold between values, and what a reload may change.

use super::Document;
use crate::{
    ByteSize, Coding, Config, HostPattern, Origin, Profile, SECTIONS, Url, UrlScheme, parse,
};

/// Parses a document with the given lines for `[site]` and the given other tables.
fn document(before: &str, site: &str) -> Result<Config, crate::Faults> {
    let text = format!(
        "[node]\nname = \"n\"\n[listen]\nhttp = [\"10.0.0.1:80\"]\n{before}\n[[site]]\n\
         name = \"s\"\nhosts = [\"a.test\"]\norigin = [\"http://127.0.0.1:9000\"]\n{site}\n"
    );
    parse(&text, "test.toml", Profile::Facing)
}

/// The single fault of a document: its key and its text.
fn only_fault(before: &str, site: &str) -> (String, String) {
    let faults = document(before, site).expect_err("a relation does not hold");
    assert_eq!(faults.list.len(), 1, "{faults}");
    assert!(faults.list[0].line > 1, "{faults}");
    (faults.list[0].key.clone(), faults.list[0].problem.clone())
}

const DISK: &str = "[cache]\ndisk = [{ path = \"/a\", size = \"1GiB\" }]";
const TWO_DISKS: &str = "[cache]\ndisk = [{ path = \"/a/b\", size = \"1GiB\" }, \
    { path = \"/a\", size = \"1GiB\" }]";

/// Each relation, broken alone, is reported alone.
#[test]
fn every_relation_is_checked() {
    let second = "[[site]]\nname = \"t\"\nhosts = [\"A.test.\"]\norigin = [\"http://b\"]";
    let twin = "[[site]]\nname = \"s\"\nhosts = [\"b.test\"]\norigin = [\"http://b\"]";
    let weights = "origin_policy = \"weighted\"";
    for (before, site, key, problem) in [
        ("https = [\"10.0.0.1:443\"]", "", "listen.https", "needs a certificate"),
        ("[admin]\nlisten = \"10.0.0.1:80\"", "", "admin.listen", "twice, first on line 4"),
        ("[cache]\nobject_max = \"1GiB\"", "", "cache.object_max", "does not fit"),
        ("[cache]\nfill_max = \"1MiB\"", "", "cache.object_max", "cannot arrive"),
        ("[upstream]\nmark_down = \"2m\"", "", "upstream.mark_down", "longer than mark_down_max"),
        ("[upstream]\nparents = [\"http://10.0.0.1\"]", "", "upstream.parents", "itself"),
        ("[upstream]\npeers = [\"http://10.0.0.2\"]", "", "upstream.peers", "none of the peers"),
        ("[upstream]\nself = \"http://a\"", "", "upstream.self", "there are no peers"),
        (
            "[upstream]\npeers = [\"http://a\"]\nself = \"http://b\"",
            "",
            "upstream.self",
            "not among the peers",
        ),
        (
            "[upstream]\nhealth_path = \"/\"\nhealth_interval = \"0s\"",
            "",
            "upstream.health_path",
            "never asked for",
        ),
        (TWO_DISKS, "", "cache.disk", "one inside the other"),
        ("", "signed = \"query\"\nsigned_keys = [\"a\"]", "site.signed", "node.sign_keys"),
        ("", "signed_keys = [\"a\", \"a\"]", "site.signed_keys", "a is there twice"),
        ("", "cors = [\"*\", \"https://a.test\"]", "site.cors", "which are all in it"),
        ("", "cors_credentials = true", "site.cors_credentials", "cors names none"),
        ("", "cors = [\"*\"]\ncors_credentials = true", "site.cors_credentials", "names none"),
        ("", "cache_max = \"1GiB\"", "site.cache_max", "there is no disk"),
        ("", "cache_min = \"1GiB\"", "site.cache_min", "there is no disk"),
        (
            DISK,
            "cache_min = \"3MiB\"\ncache_max = \"2MiB\"",
            "site.cache_min",
            "more than cache_max",
        ),
        (DISK, "cache_min = \"900MiB\"", "site.cache_min", "more than 80 % of the disks"),
        (
            "[control]\nurl = \"http://c\"\nstate = \"/s\"",
            "",
            "site",
            "takes the place of all sites",
        ),
        ("[control]\nstate = \"/s\"", "", "control.url", "say nothing"),
        ("", "push = true", "site.push", "there is no control"),
        ("[limits]\nurl_bytes = \"64KiB\"", "", "limits.url_bytes", "does not fit"),
        ("", second, "site.hosts", "a.test is there twice, first on line 8"),
        ("", twin, "site.name", "s is there twice, first on line 7"),
        ("", weights, "site.origin", "has no weight"),
        ("", "ttl_min = \"2d\"\nttl_max = \"1d\"", "site.ttl_min", "longer than ttl_max"),
        ("", "ttl_min = \"2m\"\nttl_default = \"1m\"", "site.ttl_default", "shorter than ttl_min"),
        ("", "ttl_max = \"2m\"\nttl_default = \"3m\"", "site.ttl_default", "longer than ttl_max"),
        ("", "compress_min = \"9MiB\"", "site.compress_min", "more than compress_max"),
        ("", "https_redirect = true", "site.https_redirect", "redirect for ever"),
        ("", "health_path = \"/\"", "site.health_path", "never asked for"),
    ] {
        let (fault_key, fault_problem) = only_fault(before, site);
        assert_eq!(fault_key, key, "{fault_problem}");
        assert!(fault_problem.contains(problem), "{key}: {fault_problem}");
    }
}

/// A relation with a value that is wrong by itself is not a second fault.
#[test]
fn one_mistake_is_reported_once() {
    for site in ["ttl_min = \"2d\"\nttl_max = \"1\"", "ttl_min = \"9999d\"\nttl_max = \"1d\""] {
        let faults = document("", site).expect_err("a value is wrong");
        assert_eq!(faults.list.len(), 1, "{faults}");
    }
    let faults = parse("node = 1\n", "a", Profile::Facing).expect_err("nearly all is missing");
    assert!(faults.list.iter().all(|fault| fault.key != "upstream.peers"), "{faults}");
}

/// A node without addresses, sites or anyone to ask is of no use.
#[test]
fn a_node_must_listen_and_serve() {
    let faults = parse("[node]\nname = \"n\"\n", "a", Profile::Facing).expect_err("empty").list;
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["listen.http", "site"]);

    let text = "[node]\nname = \"n\"\n[listen]\nhttp = [\"[::]:80\"]\n[[site]]\n\
                name = \"s\"\nhosts = [\"*\"]\n";
    let faults = parse(text, "a", Profile::Facing).expect_err("nobody to ask").list;
    assert_eq!((faults[0].key.as_str(), faults[0].line), ("site.origin", 5));
    let parents = format!("{text}[upstream]\nparents = [\"http://parent.test:8180\"]\n");
    assert!(parse(&parents, "a", Profile::Facing).is_ok());
}

/// Control brings sites and certificates; what it says has to be kept.
#[test]
fn a_node_that_follows_control_needs_a_folder_and_nothing_else() {
    let listen = "[node]\nname = \"n\"\n[listen]\nhttps = [\"[::]:443\"]\n[control]\n";
    let url = format!("{listen}url = \"https://control.test\"\n");
    let config = parse(&format!("{url}state = \"/s\"\n"), "a", Profile::Facing).expect("right");
    assert!(config.sites.is_empty());
    assert_eq!(config.control.region.as_str(), "default");
    let faults = parse(&url, "a", Profile::Facing).expect_err("nothing is kept").list;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].key, "control.state");
    let faults = parse(listen, "a", Profile::Facing).expect_err("no control").list;
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["site", "listen.https"]);
}

/// The peer that this node is can be told from the addresses, or is named.
#[test]
fn the_own_peer_is_found() {
    let own = |upstream: &str| {
        let config = document(&format!("[upstream]\n{upstream}"), "").expect("right");
        config.upstream.own_peer(&config.listen)
    };
    assert_eq!(own("peers = [\"http://10.0.0.9\", \"http://10.0.0.1:80/\"]"), Some(1));
    assert_eq!(own("peers = [\"h2c://10.0.0.1\", \"http://10.0.0.2\"]"), Some(0));
    assert_eq!(own("self = \"http://B\"\npeers = [\"http://a\", \"http://b\"]"), Some(1));
    assert_eq!(own(""), None);
}

/// URLs, hosts and sizes arrive in one form, however they were written.
#[test]
fn values_are_brought_into_their_normal_form() {
    let site = "origin_host = \"Shop.Example:81\"\ncompress = [\"gzip\", \"br\"]";
    let config = document("[upstream]\nparents = [\"HTTPS://[2001:DB8::1]/\"]", site)
        .unwrap_or_else(|faults| panic!("{faults}"));
    let parent = &config.upstream.parents[0];
    assert_eq!((parent.scheme, parent.port), (UrlScheme::Https, 443));
    assert_eq!(parent.host, "2001:db8::1");
    assert_eq!(parent.authority(), "[2001:db8::1]");
    assert_eq!(parent.to_string(), "https://[2001:db8::1]");
    let site = &config.sites[0];
    assert_eq!(site.hosts, [HostPattern::Exact("a.test".to_owned())]);
    let url = Url { scheme: UrlScheme::Http, host: "127.0.0.1".to_owned(), port: 9000 };
    assert_eq!(url.authority(), "127.0.0.1:9000");
    assert_eq!(site.origin, [Origin { url, weight: None }]);
    assert_eq!(
        site.origin_host.as_ref().map(ToString::to_string).as_deref(),
        Some("shop.example:81")
    );
    assert_eq!(site.compress.0, [Coding::Gzip, Coding::Brotli]);
}

/// What follows from other keys follows them.
#[test]
fn derived_values_follow_what_they_are_derived_from() {
    let config = document("[cache]\nmemory = \"1GiB\"", "idle_timeout = \"5s\"").expect("right");
    assert_eq!(config.cache.object_max(), ByteSize::new(128 << 20));
    assert_eq!(config.cache.fill_max(), ByteSize::new(256 << 20));
    let (site, upstream) = (&config.sites[0], &config.upstream);
    assert_eq!(site.timeouts(upstream).idle.as_secs(), 5);
    assert_eq!(site.timeouts(upstream).connect, upstream.timeouts().connect);
    assert_eq!(site.request_body_max(&config.limits), config.limits.request_body_max);

    let large = "[cache]\nmemory = \"1GiB\"\nobject_max = \"512MiB\"";
    assert_eq!(document(large, "").expect("right").cache.fill_max(), ByteSize::new(512 << 20));
    let huge = document("[cache]\nmemory = \"64GiB\"", "").expect("right");
    assert_eq!(huge.cache.object_max(), ByteSize::new(1 << 30));
}

/// A reload that cannot take effect is named by its keys; one that can is not hindered.
#[test]
fn a_change_that_needs_a_start_is_named() {
    let old = Document::new().parse().expect("right");
    assert!(old.restart_needed(&old).is_empty());
    let new = Document::new()
        .with("node", "name", "\"edge-2\"")
        .with("cache", "memory", "\"1GiB\"")
        .with("limits", "streams", "100")
        .with("site", "ttl_min", "\"1s\"")
        .with("upstream", "parents", "[\"http://parent.test\"]")
        .with("certificate", "cert", "\"new.pem\"")
        .parse()
        .expect("right");
    assert_eq!(old.restart_needed(&new), ["cache.memory", "limits.streams", "node.name"]);

    let new = Document::new()
        .with("site", "name", "\"other\"")
        .with("listen", "trust", "[\"10.0.0.0/8\"]")
        .with("upstream", "self", "\"http://a\"")
        .with("upstream", "peers", "[\"http://a\"]")
        .parse()
        .expect("right");
    assert!(old.restart_needed(&new).is_empty());
    assert!(SECTIONS.iter().flat_map(|section| section.keys).count() > 80);
}

/// The fault of a DNS server's file: its key and its text.
fn dns_fault(more: &str) -> Option<(String, String)> {
    let text = format!(
        "[node]\nname = \"n\"\n[dns]\nlisten = [\"127.0.0.1:53\"]\n[[zone]]\nname = \"cdn.test\"\n\
         file = \"zone\"\nsites = true\n[[region]]\nname = \"eu\"\nlatitude = 1.0\n\
         longitude = 2.0\n{more}\n"
    );
    let faults = parse(&text, "test.toml", Profile::Facing).err()?;
    assert_eq!(faults.list.len(), 1, "{faults}");
    Some((faults.list[0].key.clone(), faults.list[0].problem.clone()))
}

#[test]
fn a_dns_server_names_what_is_there() {
    assert_eq!(dns_fault(""), None, "it needs no site and listens nowhere else");
    let edge = |region| {
        format!("[[edge]]\nname = \"e\"\nregion = \"{region}\"\naddresses = [\"192.0.2.1\"]\n")
    };
    let site = |key| format!("[[site]]\nname = \"s\"\nhosts = [\"a.test\"]\n{key}\n");
    let region = "[[region]]\nname = \"us\"\nlatitude = 1.0\nlongitude = 2.0\n";
    for (more, key, problem) in [
        (edge("asia"), "edge.region", "is not a region"),
        (format!("{}{}", edge("eu"), edge("eu")), "edge.name", "twice"),
        (site("dns_region = \"asia\""), "site.dns_region", "is not a region"),
        (site("dns_regions = [\"eu\", \"asia\"]"), "site.dns_regions", "is not a region"),
        (format!("{region}fallback = [\"asia\"]"), "region.fallback", "is not a region"),
        (region.replace("us", "eu"), "region.name", "twice"),
        ("[health]\nload_soft = 0.9\nload_hard = 0.5".into(), "health.load_soft", "not below"),
        ("[data]\nfolder = \"a\"".into(), "data.folder", "answers no DNS"),
        (
            format!("{}[control]\nurl = \"http://c\"\nstate = \"s\"", edge("eu")),
            "edge",
            "which nodes there are",
        ),
    ] {
        let (found, text) = dns_fault(&more).expect("a relation does not hold");
        assert!(found == key && text.contains(problem), "{more}: {found}: {text}");
    }
    assert_eq!(only_fault(region, "").0, "region", "the file of another process");
}
