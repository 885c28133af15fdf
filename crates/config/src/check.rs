//! What must hold between values: each alone is right when this is asked.
//!
//! A relation is not judged when one of its values already has a fault of its own, so that one
//! mistake is reported once.

mod access;
mod dns;

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use crate::keys::upstream::listens_at;
use crate::read::Context;
use crate::{Config, OriginPolicy, Site};

/// Reports every relation that does not hold.
pub(crate) fn check(config: &Config, cx: &mut Context<'_>) {
    listen(config, cx);
    certificates(config, cx);
    cache(config, cx);
    disks(config, cx);
    upstream(config, cx);
    peers(config, cx);
    limits(config, cx);
    control(config, cx);
    data(config, cx);
    dns::check(config, cx);
    sites(config, cx);
    for (index, site) in config.sites.iter().enumerate() {
        let path = |key: &str| format!("site[{index}].{key}");
        if !config.is_dns() {
            origins(Some(config), site, cx, path);
        }
        lifetimes(site, cx, path);
        delivery(site, cx, path);
        access::check(Some(config), site, cx, path);
        redirects(config, site, cx, path);
    }
}

/// Reports every relation of a site that came by itself and does not hold, whatever the node is.
pub(crate) fn check_site(site: &Site, cx: &mut Context<'_>) {
    let path = |key: &str| format!("site[0].{key}");
    let hosts = path("hosts");
    unique(paths(&hosts, &site.hosts), cx);
    has_hosts(site, cx, &hosts);
    shares(site, cx, path);
    origins(None, site, cx, path);
    lifetimes(site, cx, path);
    delivery(site, cx, path);
    access::check(None, site, cx, path);
}

fn listen(config: &Config, cx: &mut Context<'_>) {
    let listen = &config.listen;
    if listen.http.is_empty() && listen.https.is_empty() && !dns::is_server(config, cx) {
        cx.conflict(
            &["listen.http", "listen.https", "listen"],
            "this node listens nowhere".to_owned(),
            "at least one address in listen.http or listen.https",
        );
    }
    let brings_certificates = config.control.url.is_some();
    if !listen.https.is_empty() && config.certificates.is_empty() && !brings_certificates {
        cx.conflict(
            &["listen.https", "certificate"],
            "HTTPS needs a certificate and there is none".to_owned(),
            "HTTPS with at least one [[certificate]] of cert and key",
        );
    }
    let http = listen.http.iter().enumerate().map(|(at, a)| (format!("listen.http[{at}]"), a));
    let https = listen.https.iter().enumerate().map(|(at, a)| (format!("listen.https[{at}]"), a));
    let admin = config.admin.listen.iter().map(|a| ("admin.listen".to_owned(), a));
    // Port 0 is another port each time.
    unique(http.chain(https).chain(admin).filter(|(_, address)| address.port() != 0), cx);
}

fn certificates(config: &Config, cx: &mut Context<'_>) {
    let files = config.certificates.iter().enumerate();
    unique(
        files.map(|(at, c)| (format!("certificate[{at}].cert"), c.cert.display().to_string())),
        cx,
    );
}

fn cache(config: &Config, cx: &mut Context<'_>) {
    let cache = &config.cache;
    let (object_max, fill_max) = (cache.object_max(), cache.fill_max());
    if object_max > cache.memory {
        cx.conflict(
            &["cache.object_max", "cache.memory"],
            format!("an object of {object_max} does not fit into a memory of {}", cache.memory),
            "object_max at most memory",
        );
    }
    if object_max > fill_max {
        cx.conflict(
            &["cache.object_max", "cache.fill_max", "cache.memory"],
            format!("an object of {object_max} cannot arrive when fill_max is {fill_max}"),
            "object_max at most fill_max",
        );
    }
}

fn disks(config: &Config, cx: &mut Context<'_>) {
    let disks = &config.cache.disk;
    for (at, disk) in disks.iter().enumerate() {
        let path = format!("cache.disk[{at}]");
        for other in &disks[..at] {
            if disk.path.starts_with(&other.path) || other.path.starts_with(&disk.path) {
                let (one, two) = (disk.path.display(), other.path.display());
                let problem = format!("the folders {one} and {two} are one inside the other");
                cx.conflict(&[&path], problem, "a folder of its own for each disk");
            }
        }
    }
    let total: u64 = disks.iter().map(|disk| disk.size.bytes()).sum();
    let mut promised = 0_u64;
    for (at, site) in config.sites.iter().enumerate() {
        let path = |key: &str| format!("site[{at}].{key}");
        let (min, max) = (path("cache_min"), path("cache_max"));
        if disks.is_empty() && (site.cache_min.bytes() > 0 || site.cache_max.is_some()) {
            cx.conflict(
                &[if site.cache_max.is_some() { &max } else { &min }, "cache.disk"],
                "is about disk space, and there is no disk".to_owned(),
                "a folder in cache.disk, or neither cache_min nor cache_max",
            );
            continue;
        }
        shares(site, cx, path);
        let before = promised;
        promised = promised.saturating_add(site.cache_min.bytes());
        // All promises together must leave room to move in.
        if site.cache_min.bytes() > 0 && before <= total / 10 * 8 && promised > total / 10 * 8 {
            cx.conflict(
                &[&min, "cache.disk"],
                "with that of the sites before it promises more than 80 % of the disks".to_owned(),
                "a sum of cache_min of at most 80 % of the disks' sizes",
            );
        }
    }
}

fn shares(site: &Site, cx: &mut Context<'_>, path: impl Fn(&str) -> String) {
    if site.cache_max.is_some_and(|max| max < site.cache_min) {
        cx.conflict(
            &[&path("cache_min"), &path("cache_max")],
            "is more than cache_max".to_owned(),
            "cache_min at most cache_max",
        );
    }
}

fn upstream(config: &Config, cx: &mut Context<'_>) {
    let upstream = &config.upstream;
    if upstream.mark_down > upstream.mark_down_max {
        cx.conflict(
            &["upstream.mark_down", "upstream.mark_down_max"],
            "is longer than mark_down_max".to_owned(),
            "mark_down at most mark_down_max",
        );
    }
    if upstream.health_path.is_some() && upstream.health_interval.is_zero() {
        cx.conflict(
            &["upstream.health_path", "upstream.health_interval"],
            "is never asked for: health_interval is \"0s\"".to_owned(),
            "a health_interval above \"0s\", or no health_path",
        );
    }
    for (path, url) in paths("upstream.parents", &upstream.parents) {
        if listens_at(&config.listen, url) {
            cx.conflict(&[&path], format!("{url} is this node itself"), "another node");
        }
    }
}

fn peers(config: &Config, cx: &mut Context<'_>) {
    let upstream = &config.upstream;
    // A peer that is a parent as well would be asked twice on the way up.
    let parents = paths("upstream.parents", &upstream.parents);
    unique(parents.chain(paths("upstream.peers", &upstream.peers)), cx);
    if upstream.peers.is_empty() {
        if upstream.self_url.is_some() {
            cx.conflict(
                &["upstream.self", "upstream.peers"],
                "says which of the peers is this node, but there are no peers".to_owned(),
                "peers with this URL among them, or no self",
            );
        }
        return;
    }
    if upstream.own_peer(&config.listen).is_some() {
        return;
    }
    if let Some(own) = &upstream.self_url {
        cx.conflict(
            &["upstream.self", "upstream.peers"],
            format!("{own} is not among the peers"),
            "one of the URLs in upstream.peers, as it is written there",
        );
    } else {
        cx.conflict(
            &["upstream.peers", "listen.http", "listen.https"],
            "none of the peers is this node".to_owned(),
            "list this node as well, and name its URL in upstream.self unless its address and \
             port are in [listen]",
        );
    }
}

fn limits(config: &Config, cx: &mut Context<'_>) {
    let limits = &config.limits;
    if limits.url_bytes > limits.header_bytes {
        cx.conflict(
            &["limits.url_bytes", "limits.header_bytes"],
            format!(
                "a URL of {} does not fit into a head of {}",
                limits.url_bytes, limits.header_bytes
            ),
            "url_bytes at most header_bytes",
        );
    }
}

fn control(config: &Config, cx: &mut Context<'_>) {
    let control = &config.control;
    if control.url.is_none() {
        if control.state.is_some() || control.token_file.is_some() {
            cx.conflict(
                &["control.url", "control.state", "control.token_file"],
                "is missing, and without it the other keys of [control] say nothing".to_owned(),
                "the URL of control, such as \"https://control.example\"",
            );
        }
        return;
    }
    if control.state.is_none() {
        cx.conflict(
            &["control.state", "control.url"],
            "is missing, and what control says has to be kept somewhere".to_owned(),
            "a folder, such as \"/var/lib/selvedge\"",
        );
    }
    if !config.sites.is_empty() {
        cx.conflict(
            &["site", "site[0]", "control.url"],
            "is there as well as control.url, which takes the place of all sites".to_owned(),
            "either [[site]] or control.url",
        );
    }
}

fn data(config: &Config, cx: &mut Context<'_>) {
    if config.data.folder.is_some() && !(config.sites.is_empty() && config.control.url.is_none()) {
        cx.conflict(
            &["data.folder", "data"],
            "makes this a control plane, which serves no site and follows nobody".to_owned(),
            "[data] without [[site]] and [control]",
        );
    }
}

fn sites(config: &Config, cx: &mut Context<'_>) {
    let has_none = config.sites.is_empty() && config.control.url.is_none();
    let is_control = config.data.folder.is_some() || cx.is_faulty("data.folder");
    let is_dns = dns::is_server(config, cx);
    if has_none && !is_control && !is_dns && !cx.is_faulty("control.url") {
        cx.conflict(
            &["site"],
            "there is no site to serve".to_owned(),
            "at least one [[site]] with name, hosts and origin, or [control] with url",
        );
    }
    let sites = || config.sites.iter().enumerate();
    unique(
        sites()
            .filter(|(_, site)| !site.name.as_str().is_empty())
            .map(|(at, site)| (format!("site[{at}].name"), &site.name)),
        cx,
    );
    unique(sites().flat_map(|(at, site)| paths(&format!("site[{at}].hosts"), &site.hosts)), cx);
    for (index, site) in sites() {
        has_hosts(site, cx, &format!("site[{index}].hosts"));
        let push = format!("site[{index}].push");
        if site.push && config.control.url.is_none() {
            cx.conflict(
                &[&push],
                "asks control for what was pushed, and there is no control".to_owned(),
                "false for a site of this file",
            );
        }
    }
}

fn has_hosts(site: &Site, cx: &mut Context<'_>, path: &str) {
    if site.hosts.is_empty() && cx.mentions(path) {
        cx.conflict(&[path], "is empty".to_owned(), "at least one host, or \"*\" for any");
    }
}

/// A site that came by itself knows no node.
fn origins(
    node: Option<&Config>,
    site: &Site,
    cx: &mut Context<'_>,
    path: impl Fn(&str) -> String,
) {
    let origin = path("origin");
    let table = origin.trim_end_matches(".origin");
    match node {
        _ if !site.origin.is_empty() => {}
        // It fetches nothing.
        Some(node) if node.is_dns() => {}
        Some(node) if node.upstream.parents.is_empty() => cx.conflict(
            &[&origin, "upstream.parents", table],
            "is missing, and there are no upstream.parents to ask instead".to_owned(),
            "a list of URLs, such as [\"http://127.0.0.1:9000\"]",
        ),
        None if !site.push => cx.conflict(
            &[&origin, &path("push"), table],
            "is missing, and the site has no pushed content instead".to_owned(),
            "a list of URLs, such as [\"http://127.0.0.1:9000\"], or push = true",
        ),
        Some(_) | None => {}
    }
    if cx.is_faulty(&origin) {
        return;
    }
    unique(site.origin.iter().enumerate().map(|(at, o)| (format!("{origin}[{at}]"), &o.url)), cx);
    for (at, one) in site.origin.iter().enumerate() {
        let one_path = format!("{origin}[{at}]");
        let policy = path("origin_policy");
        match (site.origin_policy, one.weight) {
            (OriginPolicy::Weighted, None) => cx.conflict(
                &[&one_path, &policy],
                format!("{} has no weight, which origin_policy = \"weighted\" needs", one.url),
                &format!("{{ url = \"{}\", weight = 1 }}", one.url),
            ),
            (OriginPolicy::Ordered, Some(_)) => cx.conflict(
                &[&one_path, &policy],
                format!("{} has a weight, which origin_policy = \"ordered\" does not use", one.url),
                "origin_policy = \"weighted\", or no weights",
            ),
            (OriginPolicy::Weighted, Some(_)) | (OriginPolicy::Ordered, None) => {}
        }
        if node.is_some_and(|node| listens_at(&node.listen, &one.url)) {
            cx.conflict(&[&one_path], format!("{} is this node itself", one.url), "the origin");
        }
    }
    if site.health_path.is_some() && site.health_interval.is_zero() {
        cx.conflict(
            &[&path("health_path"), &path("health_interval")],
            "is never asked for: health_interval is \"0s\"".to_owned(),
            "a health_interval above \"0s\", or no health_path",
        );
    }
}

fn lifetimes(site: &Site, cx: &mut Context<'_>, path: impl Fn(&str) -> String) {
    let (min, max) = (path("ttl_min"), path("ttl_max"));
    if site.ttl_min > site.ttl_max {
        cx.conflict(&[&min, &max], "is longer than ttl_max".to_owned(), "ttl_min at most ttl_max");
        return;
    }
    let Some(default) = site.ttl_default else { return };
    if default < site.ttl_min {
        cx.conflict(
            &[&path("ttl_default"), &min],
            "is shorter than ttl_min".to_owned(),
            "ttl_default at least ttl_min",
        );
    }
    if default > site.ttl_max {
        cx.conflict(
            &[&path("ttl_default"), &max],
            "is longer than ttl_max".to_owned(),
            "ttl_default at most ttl_max",
        );
    }
}

fn delivery(site: &Site, cx: &mut Context<'_>, path: impl Fn(&str) -> String) {
    if site.compress_min > site.compress_max {
        cx.conflict(
            &[&path("compress_min"), &path("compress_max")],
            "is more than compress_max".to_owned(),
            "compress_min at most compress_max",
        );
    }
}

fn redirects(config: &Config, site: &Site, cx: &mut Context<'_>, path: impl Fn(&str) -> String) {
    // Someone else may end TLS in front of this node and say so in X-Forwarded-Proto.
    if site.https_redirect && config.listen.https.is_empty() && config.listen.trust.is_empty() {
        cx.conflict(
            &[&path("https_redirect"), "listen.https", "listen.trust"],
            "would redirect for ever: nothing here answers HTTPS".to_owned(),
            "addresses in listen.https, or the network of what ends TLS in listen.trust",
        );
    }
}

/// The values of a list with their paths.
fn paths<'v, T>(list: &str, values: &'v [T]) -> impl Iterator<Item = (String, &'v T)> + use<'v, T> {
    let list = list.to_owned();
    values.iter().enumerate().map(move |(at, value)| (format!("{list}[{at}]"), value))
}

/// Reports each value that has been there before.
fn unique<T: Hash + Eq + Display>(values: impl Iterator<Item = (String, T)>, cx: &mut Context<'_>) {
    let mut seen: HashMap<T, String> = HashMap::new();
    for (path, value) in values {
        if let Some(first) = seen.get(&value) {
            let line = if cx.is_full() { 0 } else { cx.line(first) };
            let problem = format!("{value} is there twice, first on line {line}");
            cx.conflict(&[&path], problem, "each once");
        } else {
            seen.insert(value, path);
        }
    }
}
