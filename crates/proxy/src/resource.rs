//! What a URL names on this node, for operators who want to look at what is stored.

use crate::node::Node;
use crate::purge::{self, Refused};
use selvedge_policy::{Key, KeyParts, Now, Scheme};
use selvedge_store::Store;
use std::sync::Arc;

/// A resource as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its key.
    pub key: Key,
    /// What the key was made from.
    pub full_key: Vec<u8>,
}

impl Node {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it stores.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The time on its clock.
    pub fn clock_now(&self) -> Now {
        self.now()
    }

    /// The names of its sites.
    pub fn site_names(&self) -> Vec<String> {
        self.plan().sites.clone()
    }

    /// What a URL names, host, path and query brought into the form of keys as a request would be:
    /// one resource, or without a scheme that of each scheme.
    ///
    /// # Errors
    /// A sentence, when it is no URL or no site serves its host.
    pub fn resources(&self, url: &str) -> Result<Vec<Resource>, &'static str> {
        let plan = self.plan();
        let schemes = match url.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => &[Scheme::Https][..],
            Some(_) => &[Scheme::Http],
            None => &[Scheme::Http, Scheme::Https],
        };
        let of = |scheme: &Scheme| {
            let whole = match url.contains("://") {
                true => url.to_owned(),
                false => format!("{}://{url}", scheme.as_str()),
            };
            let (site, host, path, query) =
                purge::named(&plan, &whole).map_err(|refused| match refused {
                    Refused::Syntax(sentence) => sentence,
                    _ => "No site serves this host.",
                })?;
            let mut full_key = Vec::new();
            let query = query.as_deref();
            KeyParts { site: &site, scheme: *scheme, host: &host, path: &path, query }
                .bytes(&mut full_key);
            Ok(Resource { key: self.seed.hash(&full_key), full_key })
        };
        schemes.iter().map(of).collect()
    }
}
