//! Which site a host belongs to.

use crate::plan::Site;
use selvedge_config::HostPattern;
use std::collections::HashMap;
use std::sync::Arc;

/// Sites by the hosts they answer for.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    exact: HashMap<String, Arc<Site>>,
    below: HashMap<String, Arc<Site>>,
    any: Option<Arc<Site>>,
}

impl Routes {
    /// Adds a pattern. The configuration has seen to it that none is added twice.
    pub(crate) fn add(&mut self, pattern: &HostPattern, site: &Arc<Site>) {
        match pattern {
            HostPattern::Exact(name) => {
                self.exact.insert(name.clone(), Arc::clone(site));
            }
            HostPattern::Below(name) => {
                self.below.insert(name.clone(), Arc::clone(site));
            }
            HostPattern::Any => self.any = Some(Arc::clone(site)),
        }
    }

    /// The site of a host in lower case, without its port: an exact name goes before a pattern, a
    /// longer pattern before a shorter one, and `*` comes last.
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Site>> {
        self.named(host).or(self.any.as_ref())
    }

    /// The same, of those that name the host or what it is below: `*` names nobody.
    pub(crate) fn named(&self, host: &str) -> Option<&Arc<Site>> {
        if let Some(site) = self.exact.get(host) {
            return Some(site);
        }
        if !self.below.is_empty() {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(site) = self.below.get(parent) {
                    return Some(site);
                }
                rest = parent;
            }
        }
        None
    }
}

/// The host of an authority, without its port; an IPv6 address without its brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::plan;

    #[test]
    fn the_most_particular_pattern_wins() {
        let plan = plan(
            r#"
            [[site]]
            name = "exact"
            hosts = ["www.shop.test"]
            origin = ["http://127.0.0.1:1"]
            [[site]]
            name = "below"
            hosts = ["*.shop.test"]
            origin = ["http://127.0.0.1:1"]
            [[site]]
            name = "deeper"
            hosts = ["*.img.shop.test"]
            origin = ["http://127.0.0.1:1"]
            [[site]]
            name = "any"
            hosts = ["*"]
            origin = ["http://127.0.0.1:1"]
            "#,
        );
        for (host, site) in [
            ("www.shop.test", "exact"),
            ("m.shop.test", "below"),
            ("a.b.shop.test", "below"),
            ("x.img.shop.test", "deeper"),
            ("shop.test", "any"),
            ("127.0.0.1", "any"),
            ("notshop.test", "any"),
        ] {
            assert_eq!(plan.routes.find(host).expect("a site").name, site, "{host}");
        }
    }

    #[test]
    fn ports_and_brackets_are_no_part_of_the_host() {
        assert_eq!(host_of("a.test:8080"), "a.test");
        assert_eq!(host_of("[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(host_of("a.test"), "a.test");
    }
}
