//! Which certificate answers for a server name.
//!
//! ```text
//! 1  the node's own, with this very name
//! 2  that of the site the name belongs to, with this very name
//! 3  the node's own, with a wildcard
//! 4  that of the site the name belongs to, with a wildcard
//! 5  that of a site whose own pattern is above the name: nobody else has one for it
//! 6  the first of all, which is for no name and will be refused by who checks it
//! ```
//! What it must never do: give out a certificate that was brought for one site for a name that is
//! another site's. A name belongs to the site with the nearest pattern, as requests for it do,
//! whether that site has a certificate or not.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::tls::{CertificatePem, Expiry, Parsed, TlsError, TlsWarning};

/// A site as far as TLS goes: the names that are its own, and what it has for them.
#[derive(Clone)]
pub struct SiteNames {
    /// Its host patterns: `name`, `*.name` for all below it, or `*` for what is nobody's.
    pub hosts: Vec<String>,
    /// The certificate that was brought for it.
    pub pem: Option<CertificatePem>,
}

#[derive(Default)]
pub(crate) struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
    /// Whose each host pattern is: of a site without a certificate, nobody's.
    patterns: HashMap<String, Option<Arc<OfSite>>>,
    /// The names of certificates of sites, in their order.
    site_names: Vec<String>,
    /// The first certificate of a site, where the node has none of its own.
    site_default: Option<Arc<OfSite>>,
    pub(crate) expiries: Vec<Expiry>,
}

/// A certificate that was brought for a site.
struct OfSite {
    key: Arc<CertifiedKey>,
    /// As in the certificate, in lower case.
    names: HashSet<String>,
}

impl OfSite {
    fn has(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.names.contains(name).then_some(&self.key)
    }

    fn has_wildcard_for(&self, host: &str) -> Option<&Arc<CertifiedKey>> {
        let (label, parent) = host.split_once('.')?;
        if label.is_empty() { None } else { self.has(&format!("*.{parent}")) }
    }
}

impl Names {
    /// `own` are the node's; the first one of a name keeps it.
    pub(crate) fn build(
        own: &[CertificatePem],
        sites: &[SiteNames],
        now_wall_s: i64,
    ) -> Result<(Self, Vec<TlsWarning>), TlsError> {
        let (mut names, mut warnings) = (Self::default(), Vec::new());
        for pem in own {
            let one = Parsed::read(pem)?;
            names.describe(&pem.cert_name, &one, now_wall_s, &mut warnings);
            names.default.get_or_insert_with(|| one.key.clone());
            names.insert(&pem.cert_name, one, &mut warnings);
        }
        for site in sites {
            let mut certificate = None;
            if let Some(pem) = &site.pem {
                let one = Parsed::read(pem)?;
                names.describe(&pem.cert_name, &one, now_wall_s, &mut warnings);
                names.site_names.extend_from_slice(&one.names);
                let one = OfSite { key: one.key, names: one.names.into_iter().collect() };
                let one = certificate.insert(Arc::new(one));
                names.site_default.get_or_insert_with(|| one.clone());
            }
            for host in &site.hosts {
                let entry = names.patterns.entry(host.clone());
                entry.or_insert_with(|| certificate.clone());
            }
        }
        Ok((names, warnings))
    }

    fn describe(
        &mut self,
        file: &str,
        one: &Parsed,
        now_wall_s: i64,
        warnings: &mut Vec<TlsWarning>,
    ) {
        let (file, not_after_wall_s) = (file.to_owned(), one.not_after_wall_s);
        if not_after_wall_s < now_wall_s {
            warnings.push(TlsWarning::Expired { file: file.clone(), not_after_wall_s });
        }
        if one.names.is_empty() {
            warnings.push(TlsWarning::NoNames { file: file.clone() });
        }
        let name = one.names.first().unwrap_or(&file).clone();
        self.expiries.push(Expiry { file, name, not_after_wall_s });
    }

    fn insert(&mut self, file: &str, one: Parsed, warnings: &mut Vec<TlsWarning>) {
        for name in one.names {
            let (map, key) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent.to_owned()),
                None => (&mut self.exact, name.clone()),
            };
            match map.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(one.key.clone());
                }
                Entry::Occupied(_) => {
                    warnings.push(TlsWarning::NameTaken { file: file.to_owned(), name });
                }
            }
        }
    }

    /// The certificate for a client that names this host, or none.
    pub(crate) fn resolve(&self, host: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(host) = host else { return self.default_for(None) };
        let lower;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            lower.as_str()
        } else {
            host
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        self.find(host).or_else(|| self.default_for(Some(host)))
    }

    fn find(&self, host: &str) -> Option<&Arc<CertifiedKey>> {
        let own_wildcard = || {
            let (label, parent) = host.split_once('.')?;
            if label.is_empty() { None } else { self.wildcard.get(parent) }
        };
        let owner = self.owner(host);
        self.exact
            .get(host)
            .or_else(|| owner?.has(host))
            .or_else(own_wildcard)
            .or_else(|| owner?.has_wildcard_for(host))
            .or_else(|| {
                let mut above = above(host).filter_map(|pattern| self.patterns.get(&pattern));
                above.find_map(|site| {
                    let site = site.as_ref()?;
                    site.has(host).or_else(|| site.has_wildcard_for(host))
                })
            })
    }

    /// The certificate of the site that a host belongs to: the nearest pattern says which.
    fn owner(&self, host: &str) -> Option<&OfSite> {
        let above = || above(host).find_map(|pattern| self.patterns.get(&pattern));
        let nearest = self.patterns.get(host).or_else(above).or_else(|| self.patterns.get("*"));
        nearest?.as_deref()
    }

    /// The certificate for whoever names nothing that is known. That of a site does not stand in
    /// for a name it has: here such a name is another site's.
    fn default_for(&self, host: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        self.default.as_ref().or_else(|| {
            let site = self.site_default.as_ref()?;
            let has = |host| site.has(host).or_else(|| site.has_wildcard_for(host)).is_some();
            if host.is_some_and(has) { None } else { Some(&site.key) }
        })
    }

    /// All names, in order; a wildcard of one level as `*.name`.
    pub(crate) fn all(&self) -> Vec<String> {
        let wildcards = self.wildcard.keys().map(|name| format!("*.{name}"));
        let own = self.exact.keys().cloned().chain(wildcards);
        let mut all: Vec<String> = own.chain(self.site_names.iter().cloned()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The patterns above a host, the nearest first.
fn above(host: &str) -> impl Iterator<Item = String> {
    let parents = std::iter::successors(host.split_once('.'), |(_, rest)| rest.split_once('.'));
    parents.map(|(_, parent)| format!("*.{parent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(label: &str, names: &[&str]) -> CertificatePem {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("valid names");
        CertificatePem {
            cert_name: label.to_owned(),
            cert: made.cert.pem().into_bytes(),
            key_name: format!("key of {label}"),
            key: made.signing_key.serialize_pem().into_bytes(),
        }
    }

    fn site(hosts: &[&str], pem: Option<&CertificatePem>) -> SiteNames {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        SiteNames { hosts, pem: pem.cloned() }
    }

    /// Which of these certificates answers for a name.
    fn asked<'p>(names: &Names, pems: &[&'p CertificatePem], host: Option<&str>) -> &'p str {
        let Some(found) = names.resolve(host) else { return "none" };
        let is_it = |pem: &&&'p CertificatePem| {
            let parsed = Parsed::read(pem).expect("it was read before");
            parsed.key.cert == found.cert
        };
        pems.iter().find(is_it).map_or("unknown", |pem| &pem.cert_name)
    }

    fn built(own: &[CertificatePem], sites: &[SiteNames]) -> Names {
        Names::build(own, sites, 0).expect("valid").0
    }

    #[test]
    fn the_certificate_of_a_site_answers_for_its_own_names_only() {
        let (a, b) = (pem("a", &["a.test", "b.test", "*.b.test"]), pem("b", &["b.test"]));
        let sites = [site(&["a.test"], Some(&a)), site(&["b.test", "*.b.test"], Some(&b))];
        let names = built(&[], &sites);
        let pems = [&a, &b];
        let served = |host: &str| asked(&names, &pems, Some(host));
        assert_eq!(served("a.test"), "a");
        assert_eq!(served("B.test."), "b");
        assert_eq!(served("x.b.test"), "none", "only a has one for it, and it is not a's");
        assert_eq!(served("c.test"), "a", "who is unknown gets the first one");
        assert_eq!(asked(&names, &pems, None), "a");
    }

    #[test]
    fn a_site_without_a_certificate_keeps_its_names_from_others() {
        let (all, own) = (pem("all", &["b.test", "c.test"]), pem("own", &["*.test"]));
        let sites = [site(&["*"], Some(&all)), site(&["b.test"], None)];
        let names = built(std::slice::from_ref(&own), &sites);
        let pems = [&all, &own];
        let served = |host: &str| asked(&names, &pems, Some(host));
        assert_eq!(served("b.test"), "own");
        assert_eq!(served("c.test"), "all", "what is nobody's is of the site for the rest");
        assert_eq!(served("d.test"), "own");
    }

    #[test]
    fn the_nearest_pattern_says_whose_a_name_is() {
        let wide = pem("wide", &["*.shop.test", "www.shop.test"]);
        let near = pem("near", &["*.shop.test"]);
        let sites = [
            site(&["*.shop.test"], Some(&wide)),
            site(&["www.shop.test"], Some(&near)),
            site(&["api.shop.test"], None),
        ];
        let names = built(&[], &sites);
        let pems = [&wide, &near];
        let served = |host: &str| asked(&names, &pems, Some(host));
        assert_eq!(served("www.shop.test"), "near");
        assert_eq!(served("img.shop.test"), "wide");
        assert_eq!(served("api.shop.test"), "wide", "nobody else has one, and it is below");
        assert_eq!(names.all(), ["*.shop.test", "www.shop.test"]);
    }

    #[test]
    fn the_nodes_own_certificates_come_first() {
        let (own, theirs) = (pem("own", &["a.test", "*.w.test"]), pem("theirs", &["a.test"]));
        let exact = pem("exact", &["x.w.test", "*.w.test"]);
        let sites = [site(&["a.test"], Some(&theirs)), site(&["*.w.test"], Some(&exact))];
        let names = built(std::slice::from_ref(&own), &sites);
        let pems = [&own, &theirs, &exact];
        let served = |host: &str| asked(&names, &pems, Some(host));
        assert_eq!(served("a.test"), "own");
        assert_eq!(served("x.w.test"), "exact", "a very name comes before a wildcard");
        assert_eq!(served("y.w.test"), "own");
        assert_eq!(served("none.test"), "own");
    }
}
