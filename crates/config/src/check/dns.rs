//! What must hold between the values of a DNS server.

use std::collections::HashSet;

use super::{paths, unique};
use crate::read::Context;
use crate::{Config, Signing};

/// Whether the file is that of a DNS server, as far as can be read.
pub(super) fn is_server(config: &Config, cx: &Context<'_>) -> bool {
    config.is_dns() || cx.is_faulty("dns.listen") || cx.is_faulty("dns.tls")
}

/// Reports every relation that does not hold.
pub(super) fn check(config: &Config, cx: &mut Context<'_>) {
    if is_server(config, cx) {
        server(config, cx);
    } else {
        let tables = [
            ("zone", config.zones.is_empty()),
            ("region", config.regions.is_empty()),
            ("edge", config.edges.is_empty()),
        ];
        for (table, _) in tables.iter().filter(|(_, is_empty)| !is_empty) {
            let problem = "is for a DNS server, and this is none".to_owned();
            cx.conflict(&[&format!("{table}[0]"), table], problem, "addresses in dns.listen");
        }
    }
    if config.health.load_soft >= config.health.load_hard {
        cx.conflict(
            &["health.load_soft", "health.load_hard"],
            "load_soft is not below load_hard".to_owned(),
            "a load_soft below load_hard",
        );
    }
}

fn server(config: &Config, cx: &mut Context<'_>) {
    if config.data.folder.is_some() {
        let problem = "makes this a control plane, which answers no DNS".to_owned();
        cx.conflict(&["data.folder", "data"], problem, "either [data] or [dns]");
    }
    if config.zones.is_empty() {
        let problem = "there is no zone to answer for".to_owned();
        cx.conflict(
            &["zone", "dns.listen", "dns.tls"],
            problem,
            "at least one [[zone]] with name and file",
        );
    }
    if !config.dns.tls.is_empty() && config.certificates.is_empty() {
        cx.conflict(
            &["dns.tls", "certificate"],
            "DNS over TLS needs a certificate and there is none".to_owned(),
            "dns.tls with at least one [[certificate]] of cert and key",
        );
    }
    if !config.edges.is_empty() && config.control.url.is_some() {
        cx.conflict(
            &["edge", "edge[0]", "control.url"],
            "is there as well as control.url, which says which nodes there are".to_owned(),
            "either [[edge]] or control.url",
        );
    }
    for (at, zone) in config.zones.iter().enumerate() {
        if zone.dnssec != Signing::Off && config.dns.keys.is_none() {
            let (path, problem) = (format!("zone[{at}].dnssec"), "needs keys".to_owned());
            cx.conflict(&[&path, "dns.keys"], problem, "a folder in dns.keys");
        }
    }
    let listen = paths("dns.listen", &config.dns.listen);
    let listen = listen.chain(paths("dns.tls", &config.dns.tls));
    unique(listen.filter(|(_, address)| address.port() != 0), cx);
    let names = config.zones.iter().enumerate();
    unique(names.map(|(at, zone)| (format!("zone[{at}].name"), zone.name.to_string())), cx);
    let names = config.edges.iter().enumerate();
    unique(names.map(|(at, edge)| (format!("edge[{at}].name"), &edge.name)), cx);
    regions(config, cx);
}

/// Every region that is named is there.
fn regions(config: &Config, cx: &mut Context<'_>) {
    let names = config.regions.iter().enumerate();
    unique(names.map(|(at, region)| (format!("region[{at}].name"), &region.name)), cx);
    let countries = config.regions.iter().enumerate();
    unique(
        countries.flat_map(|(at, it)| paths(&format!("region[{at}].countries"), &it.countries)),
        cx,
    );
    let known: HashSet<&str> = config.regions.iter().map(|region| region.name.as_str()).collect();
    if known.is_empty() && (config.zones.iter().any(|zone| zone.sites) || !config.edges.is_empty())
    {
        let problem = "there is no region to send clients to".to_owned();
        cx.conflict(&["region", "edge", "zone"], problem, "at least one [[region]]");
        return;
    }
    let mut wanted: Vec<(String, &str)> = Vec::new();
    wanted.extend(
        config.dns.default_region.iter().map(|it| ("dns.default_region".into(), it.as_str())),
    );
    for (at, edge) in config.edges.iter().enumerate() {
        wanted.push((format!("edge[{at}].region"), edge.region.as_str()));
    }
    for (at, region) in config.regions.iter().enumerate() {
        let of = paths(&format!("region[{at}].fallback"), &region.fallback);
        wanted.extend(of.map(|(path, name)| (path, name.as_str())));
    }
    for (at, site) in config.sites.iter().enumerate() {
        let pinned =
            site.dns_region.iter().map(|it| (format!("site[{at}].dns_region"), it.as_str()));
        wanted.extend(pinned);
        let of = paths(&format!("site[{at}].dns_regions"), &site.dns_regions);
        wanted.extend(of.map(|(path, share)| (path, share.region.as_str())));
    }
    for (path, name) in wanted {
        if !known.contains(name) && !name.is_empty() {
            cx.conflict(&[&path], format!("{name:?} is not a region"), "the name of a [[region]]");
        }
    }
}
