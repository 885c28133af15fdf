//! What a configuration says of pages that are assembled, made ready.

use super::rules::{Mode, Rules, private_networks, scheme_of};
use crate::plan::{FieldRules, Ingredients, Site, Trust, health_rules, target};
use crate::upstream::{HopKey, OriginPolicy, Origins, Tier};
use ipnet::IpNet;
use selvedge_config as config;
use selvedge_net::TlsError;
use std::collections::HashMap;
use std::sync::Arc;

/// How the pages of a site are assembled. Each other server that fragments may come from is a site
/// of its own within it, that no client reaches: its keys have another host.
pub(crate) fn compile(
    config: &config::Config,
    from: &config::Site,
    site: &Site,
    with: &Ingredients<'_>,
) -> Result<Option<Rules>, TlsError> {
    let mode = match from.esi {
        config::Esi::Off => return Ok(None),
        config::Esi::SurrogateControl => Mode::SurrogateControl,
        config::Esi::Always => Mode::Always,
    };
    let file = config.upstream.ca_file.as_deref();
    let trust = file.map(|file| (with.load_trust)(file, Trust::Beside)).transpose()?;
    let denied = config.upstream.origin_deny.iter().copied();
    let denied: Arc<[IpNet]> = match from.esi_private {
        true => denied.collect(),
        false => denied.chain(private_networks()).collect(),
    };
    let mut others = HashMap::new();
    for url in &from.esi_origins {
        let target = target(url, trust.as_ref(), None).with_denied(Arc::clone(&denied));
        let (scheme, host) = (scheme_of(url.scheme), target.authority());
        let key = HopKey { tier: Tier::Origin, target, probe: None };
        let hop = with.hops.hop(key, &url.to_string(), health_rules(&config.upstream));
        let origins = Origins { hops: vec![(hop, 1)], policy: OriginPolicy::Ordered };
        let other = Site {
            origins,
            pushed: None,
            origin_host: None,
            request_rules: FieldRules::default(),
            https_redirect: false,
            access: None,
            cors: None,
            esi: None,
            is_apart: true,
            ..site.clone()
        };
        others.insert((scheme, host), Arc::new(other));
    }
    let types = from.esi_types.iter().map(|kind| kind.as_str().to_ascii_lowercase()).collect();
    let secret = from.esi_secret_cookies.iter().map(|name| name.as_str().to_owned()).collect();
    Ok(Some(Rules {
        mode,
        types,
        others,
        depth_max: from.esi_depth,
        fragments_max: from.esi_fragments,
        parallel_max: from.esi_parallel,
        timeout: from.esi_timeout,
        secret_cookies: secret,
    }))
}
