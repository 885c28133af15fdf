//! All that a DNS server reads: its file, its zones, and the maps of who is where. Whole or not at
//! all: `selvedge check` is this and no more.

use super::keys::{self, Missing};
use crate::prepare::{self, Files};
use crate::problem::Problem;
use selvedge_authority::{
    AddressSet, Alpn, CookieSecrets, MasterFile, Name, RateLimits, Responder, ServerText,
    Signatures, SubnetTrust, Zones,
};
use selvedge_config::{Config, Profile, Site};
use selvedge_geo::config::{Config as GeoConfig, Families, NodeConfig, SiteConfig};
use selvedge_geo::coverage::Coverage;
use selvedge_geo::hash::HashKey;
use selvedge_geo::health::Thresholds;
use selvedge_geo::load::{Law, Limits};
use selvedge_geo::places::{Coordinates, Places};
use selvedge_geo::ranking::RulesConfig;
use selvedge_geo::regions::{RegionConfig, Regions};
use selvedge_net::CertificatePem;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The largest file of a map.
const MAP_BYTES_MAX: u64 = 1 << 30;
/// The largest file of a secret.
const SECRET_BYTES_MAX: u64 = 4096;
/// More likely a copy that failed than meant.
const EMPTY: &str = "is empty: put the map there again, or take the key out of [dns]; a coverage \
                     map of nothing is a line with a #";
/// What nodes speak over TLS.
const PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// See the module.
pub(crate) struct Material {
    pub(crate) file: PathBuf,
    pub(crate) config: Config,
    pub(crate) files: Files,
    pub(crate) certificates: Vec<CertificatePem>,
    pub(crate) responder: Arc<Responder>,
    pub(crate) rates: Arc<RateLimits>,
    /// Kept through reloads: what has not changed is not signed again.
    pub(crate) signatures: Arc<Signatures>,
    pub(crate) maps: Maps,
    pub(crate) warnings: Vec<String>,
    records: usize,
}

/// The maps of who is where, and which files they were.
#[derive(Clone)]
pub(crate) struct Maps {
    pub(crate) coverage: Arc<Coverage>,
    pub(crate) places: Arc<Places>,
    seen: Vec<Seen>,
}

/// A file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    changed: Option<SystemTime>,
    bytes: u64,
}

impl Material {
    /// Reads everything that the file names.
    pub(crate) fn read(
        file: &Path,
        signatures: &Arc<Signatures>,
        missing: Missing,
    ) -> Result<Self, Problem> {
        let (config, files) = prepare::read_config(file, Profile::Facing)?;
        if !config.is_dns() {
            return Err(Problem::NotDns(file.to_owned()));
        }
        let certificates = prepare::certificates(&config, &files)?;
        let mut warnings = Vec::new();
        let zones = read_zones(&config, &files, &mut warnings)?;
        let signers = keys::signers(&config, &files, &zones, signatures, missing)?;
        for (child, parent) in zones.undelegated() {
            let (child, parent) = (child.apex(), parent.apex());
            warnings.push(format!("{parent} does not delegate to {child}: validators doubt it"));
        }
        let names = zones.iter().map(|zone| zone.nodes().count()).sum();
        let responder = Responder::new(zones, manner(&config, &files)?).with_signers(signers);
        let maps = Maps::read(&config, &files)?;
        let rates = rates(&config);
        Ok(Self {
            file: file.to_owned(),
            responder: Arc::new(responder),
            rates: Arc::new(rates),
            signatures: Arc::clone(signatures),
            config,
            files,
            certificates,
            maps,
            warnings,
            records: names,
        })
    }

    /// What there is to say of it.
    pub(crate) fn summary(&self) -> String {
        let config = &self.config;
        let zones: Vec<String> = config.zones.iter().map(|zone| zone.name.to_string()).collect();
        let mut text = format!(
            "{}: valid, a DNS server for {} ({} names in files)\n",
            config.node.name,
            zones.join(", "),
            self.records,
        );
        let (networks, spans) = (self.maps.coverage.len(), self.maps.places.spans());
        text.push_str(&format!(
            "{} regions, {} nodes, {} sites here; {networks} networks in the coverage map, {spans} \
             spans in the database\n",
            config.regions.len(),
            config.edges.len(),
            config.sites.len(),
        ));
        self.warnings.iter().for_each(|warning| text.push_str(&format!("warning: {warning}\n")));
        text
    }

    /// When nodes count as up and down.
    pub(crate) fn thresholds(&self) -> Thresholds {
        let health = &self.config.health;
        Thresholds { rise: health.rise as u32, fall: health.fall as u32 }
    }

    /// What an atlas is made of, with these sites and nodes.
    pub(crate) fn geo(&self, sites: Vec<SiteConfig>, nodes: Vec<NodeConfig>) -> GeoConfig {
        let config = &self.config;
        let (regions, default_region) = regions(config);
        let mut rules = RulesConfig::default();
        for region in &config.regions {
            let name = || region.name.to_string();
            rules.country.extend(region.countries.iter().map(|it| (it.to_string(), name())));
            rules.continent.extend(region.continents.iter().map(|it| (it.word().into(), name())));
            rules.asn.extend(region.operators.iter().map(|it| (*it as u32, name())));
        }
        let (soft, hard) = (config.health.load_soft, config.health.load_hard);
        let law = Law::default().for_sites(sites.iter().map(|site| site.ttl_s));
        GeoConfig {
            regions,
            default_region,
            rules,
            nodes,
            sites,
            limits: Limits { soft, hard },
            key: hash_key(config),
            last_good_s: config.health.last_good.as_secs_f64(),
            law,
        }
    }

    /// A site, as clients are sent to it.
    pub(crate) fn site(&self, site: &Site) -> SiteConfig {
        // Control does not know which regions there are here: those that are not are left out.
        let is_known = |name: &selvedge_config::Name| {
            let found = self.config.regions.iter().any(|region| region.name == *name);
            if !found {
                let (site, region) = (&site.name, name);
                tracing::warn!(%site, %region, "the site names a region that is not there");
            }
            found
        };
        let shares: Vec<&selvedge_config::RegionShare> =
            site.dns_regions.iter().filter(|share| is_known(&share.region)).collect();
        let weight = |share: &&selvedge_config::RegionShare| {
            Some((share.region.to_string(), u8::try_from(share.weight?).ok()?))
        };
        SiteConfig {
            name: site.name.as_str().to_ascii_lowercase(),
            regions: shares.iter().map(|share| share.region.to_string()).collect(),
            pinned: site.dns_region.as_ref().filter(|it| is_known(it)).map(ToString::to_string),
            weights: shares.iter().filter_map(weight).collect(),
            ttl_s: site.dns_ttl.as_secs().max(1) as u32,
            answers: site.dns_answers as u8,
            // As many as are answered: control takes each of the two keys alone.
            spread: site.dns_spread.max(site.dns_answers) as u8,
            families: if site.dns_ipv6 { Families::Both } else { Families::V4 },
            https: site.dns_https,
            fallback: self.config.health.fallback.clone(),
        }
    }
}

/// A node as clients are sent to it: one address of each family.
pub(crate) fn node(name: &str, region: &str, addresses: &[IpAddr], weight: u16) -> NodeConfig {
    let v4 = addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let v6 = addresses.iter().find_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    NodeConfig { name: name.to_owned(), region: region.to_owned(), v4, v6, weight }
}

impl Maps {
    /// Reads the files that the configuration names.
    pub(crate) fn read(config: &Config, files: &Files) -> Result<Self, Problem> {
        let mut seen = Vec::new();
        let mut open = |path: &PathBuf| {
            let path = files.resolve(path);
            // Before it is read: what is put in its place meanwhile is read next time.
            seen.push(Seen::of(&path));
            let bytes = prepare::read_file(&path, MAP_BYTES_MAX)?;
            if bytes.is_empty() {
                return Err(Problem::Map(path, EMPTY.to_owned()));
            }
            Ok::<_, Problem>((path, bytes))
        };
        let mut coverage = Coverage::empty();
        if let Some(path) = &config.dns.coverage {
            let (path, bytes) = open(path)?;
            let wrong = |why: String| Problem::Map(path.clone(), why);
            let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
            let (list, default) = regions(config);
            let known = Regions::new(&list, &default).map_err(|error| wrong(error.to_string()))?;
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            let read = if is_toml { Coverage::from_toml } else { Coverage::from_csv };
            coverage = read(&text, &known).map_err(|error| wrong(error.to_string()))?;
        }
        let mut places = Places::none();
        if let Some(path) = &config.dns.mmdb {
            let (path, bytes) = open(path)?;
            places =
                Places::from_mmdb(&bytes).map_err(|error| Problem::Map(path, error.to_string()))?;
        }
        Ok(Self { coverage: Arc::new(coverage), places: Arc::new(places), seen })
    }

    /// Whether a file is another one than was read.
    pub(crate) fn is_old(&self) -> bool {
        self.seen.iter().any(|seen| Seen::of(&seen.path) != *seen)
    }

    /// Does not look at these files again until they change once more.
    pub(crate) fn note_as_seen(&mut self) {
        self.seen.iter_mut().for_each(|seen| *seen = Seen::of(&seen.path));
    }
}

impl Seen {
    fn of(path: &Path) -> Self {
        let meta = std::fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            changed: meta.as_ref().and_then(|meta| meta.modified().ok()),
            bytes: meta.map_or(0, |meta| meta.len()),
        }
    }
}

/// All regions, and the one for those of whom nothing is known.
fn regions(config: &Config) -> (Vec<RegionConfig>, String) {
    let list: Vec<RegionConfig> = config
        .regions
        .iter()
        .map(|region| RegionConfig {
            name: region.name.to_string(),
            coordinates: Coordinates::new(region.latitude, region.longitude),
            fallback: region.fallback.iter().map(ToString::to_string).collect(),
        })
        .collect();
    let first = list.first().map(|region| region.name.clone()).unwrap_or_default();
    let default = config.dns.default_region.as_ref().map_or(first, ToString::to_string);
    // A server of nothing but files sends nobody anywhere, and still needs a place to say so.
    let nowhere = RegionConfig { name: "none".to_owned(), ..RegionConfig::default() };
    if list.is_empty() { (vec![nowhere], "none".to_owned()) } else { (list, default) }
}

/// Reads all zones, or tells all that is wrong with them.
pub(crate) fn read_zones(
    config: &Config,
    files: &Files,
    warnings: &mut Vec<String>,
) -> Result<Zones, Problem> {
    let mut zones = Vec::with_capacity(config.zones.len());
    let mut faults = Vec::new();
    for zone in &config.zones {
        let apex = Name::from_text(zone.name.as_str(), &Name::root());
        let Ok(apex) = apex else {
            faults.push(format!("{}: is not a name that a zone can have", zone.name));
            continue;
        };
        let path = files.resolve(&zone.file);
        let bytes = prepare::read_file(&path, selvedge_authority::TEXT_BYTES_MAX as u64)?;
        let name = path.display().to_string();
        let file = MasterFile { apex: &apex, has_sites: zone.sites, file: &name, bytes: &bytes };
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut include = |name: &str| {
            let path = folder.join(name);
            let read = prepare::read_file(&path, selvedge_authority::TEXT_BYTES_MAX as u64);
            read.map_err(|problem| problem.to_string())
        };
        match file.read(&mut include) {
            Ok(loaded) => {
                warnings.extend(loaded.warnings.iter().map(ToString::to_string));
                zones.push(Arc::new(loaded.zone));
            }
            Err(list) => faults.extend(list.iter().map(ToString::to_string)),
        }
    }
    if faults.is_empty() { Ok(Zones::new(zones)) } else { Err(Problem::Zones(faults)) }
}

/// How queries are answered.
fn manner(config: &Config, files: &Files) -> Result<selvedge_authority::Settings, Problem> {
    let dns = &config.dns;
    // A name of a node is a text that can be told.
    let text = |name: &selvedge_config::Name| ServerText::new(name.as_str()).ok();
    let everybody = ["0.0.0.0/0", "::/0"].map(str::to_owned);
    let all = everybody.iter().all(|net| dns.ecs.iter().any(|own| own.to_string() == *net));
    let subnet_trust = match () {
        () if all => SubnetTrust::Everybody,
        () if dns.ecs.is_empty() => SubnetTrust::Nobody,
        () => SubnetTrust::Of(AddressSet::new(&dns.ecs)),
    };
    Ok(selvedge_authority::Settings {
        udp_bytes_max: dns.udp_bytes_max,
        identity: dns.nsid.as_ref().and_then(text),
        version: dns.version.as_ref().and_then(text),
        subnet_trust,
        cookies: Some(cookies(config, files)?),
        alpn: Alpn::new(PROTOCOLS).unwrap_or_default(),
        transfers_to: AddressSet::new(&dns.transfer),
        ..selvedge_authority::Settings::default()
    })
}

/// The secrets of cookies: those of the file, or one of this process.
fn cookies(config: &Config, files: &Files) -> Result<CookieSecrets, Problem> {
    let Some(path) = &config.dns.cookie_secret_file else {
        return Ok(CookieSecrets::new(&super::random_key()?, None));
    };
    let path = files.resolve(path);
    let bytes = prepare::read_file(&path, SECRET_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let secrets: Option<Vec<[u8; 16]>> = text.split_whitespace().map(secret).collect();
    match secrets.as_deref() {
        Some([current]) => Ok(CookieSecrets::new(current, None)),
        Some([current, previous]) => Ok(CookieSecrets::new(current, Some(previous))),
        _ => Err(Problem::Keys(path, "holds no secrets: one or two lines of 32 digits".to_owned())),
    }
}

fn secret(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut secret = [0; 16];
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(secret)
}

fn rates(config: &Config) -> RateLimits {
    let rate = config.dns.rate as u32;
    RateLimits {
        answers_per_second: rate,
        nxdomains_per_second: rate,
        errors_per_second: rate,
        slip: config.dns.rate_slip as u32,
        ..RateLimits::default()
    }
}

/// What all servers of these zones spread clients by: the same for each of them.
fn hash_key(config: &Config) -> HashKey {
    let mut key = [0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f];
    for byte in config.zones.iter().flat_map(|zone| zone.name.as_str().bytes()) {
        key[0] = (key[0] ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        key[1] = key[1].rotate_left(5) ^ key[0];
    }
    HashKey(key)
}
