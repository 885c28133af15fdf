//! What `selvedge cache` shows, as it goes over the wire: the admin listener writes these as JSON,
//! the client reads them, and a stopped node's disks are shown through the same.

use selvedge_policy::{KeyParts, RequestDirectives, Reuse, Scheme, reuse, tags};
use selvedge_proxy::{Node, Resource};
use selvedge_store::{Inspected, Object, Store, site_number};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Ranges of one body that are listed.
const EXTENTS_MAX: usize = 64;

/// Totals of a node's store.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stat {
    pub(super) node: String,
    /// The number of the last purge.
    pub(super) revision: u64,
    pub(super) memory_entries: u64,
    pub(super) memory_bytes: u64,
    pub(super) fills: u64,
    /// None without a disk.
    pub(super) disk: Option<DiskStat>,
    pub(super) sites: Vec<SiteStat>,
}

/// Totals over all disks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DiskStat {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) capacity_bytes: u64,
}

/// What one site has.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SiteStat {
    /// Its name; a number in the form `#12` for one that is not in the configuration any more.
    pub(super) site: String,
    pub(super) memory_entries: u64,
    pub(super) memory_bytes: u64,
    pub(super) disk_records: u64,
    pub(super) disk_bytes: u64,
}

/// A page of a list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct List {
    pub(super) entries: Vec<Line>,
    /// Records looked at for it.
    pub(super) looked_at: u64,
    /// What to give as `from` for the next page.
    pub(super) next: Option<String>,
}

/// An entry in a list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) url: String,
    pub(super) site: String,
    pub(super) tier: Tier,
    pub(super) variants: usize,
    /// Bytes of all bodies, stored or not.
    pub(super) bytes: u64,
    /// What a plain GET would get of the newest variant.
    pub(super) served: String,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Tier {
    Memory,
    Disk,
    Both,
}

/// All that is stored under a URL.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Inspection {
    pub(super) url: String,
    pub(super) site: String,
    /// The key in hexadecimal.
    pub(super) key: String,
    /// None when nothing is stored.
    pub(super) tier: Option<Tier>,
    /// Whether requests go on without waiting for each other, as the last answer was not for
    /// sharing.
    pub(super) passing: bool,
    pub(super) variants: Vec<Variant>,
}

/// A stored response.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Variant {
    pub(super) status: u16,
    /// What a plain GET that selects it would get, and why.
    pub(super) served: String,
    pub(super) age_s: u32,
    pub(super) lifetime_s: u64,
    /// Negative once it is stale.
    pub(super) left_s: i64,
    /// Names in `Vary`, and what the request it was stored for said.
    pub(super) vary: Vec<String>,
    pub(super) selected_by: String,
    /// Set when it was encoded here.
    pub(super) encoded: Option<String>,
    pub(super) length: u64,
    pub(super) stored_bytes: u64,
    /// First and last byte of each stored part, like in Content-Range.
    pub(super) extents: Vec<(u64, u64)>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) tags: Vec<String>,
    /// The purge revision at which its fetch began.
    pub(super) revision: u64,
}

/// How far a verification is.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Verification {
    pub(super) running: bool,
    pub(super) good: u64,
    pub(super) bad: u64,
    pub(super) bytes: u64,
    /// What there was to read when it began.
    pub(super) of_bytes: u64,
}

impl Stat {
    /// What a node stores now.
    pub(super) fn of(node: &Node) -> Self {
        let store = node.store();
        let stats = store.stats();
        let disk = store.disk_totals().map(|totals| DiskStat {
            records: totals.records,
            bytes: totals.bytes,
            capacity_bytes: totals.capacity_bytes,
        });
        Self {
            node: node.name().to_owned(),
            revision: store.revision(),
            memory_entries: stats.entries,
            memory_bytes: stats.bytes,
            fills: stats.fills,
            disk,
            sites: sites(node, store),
        }
    }
}

fn sites(node: &Node, store: &Store) -> Vec<SiteStat> {
    let mut sites: BTreeMap<String, SiteStat> = BTreeMap::new();
    let names = node.site_names();
    for name in &names {
        sites.entry(name.clone()).or_default();
    }
    for Inspected { entry, .. } in store.memory_page(usize::MAX).entries {
        let name = KeyParts::read(entry.full_key()).map_or("", |parts| parts.site);
        let site = sites.entry(name.to_owned()).or_default();
        site.memory_entries += 1;
        site.memory_bytes += entry.weight();
    }
    for on_disk in store.disk_bytes_by_site() {
        let known = names.iter().find(|name| site_number(name) == on_disk.site);
        let name = known.cloned().unwrap_or_else(|| format!("#{}", on_disk.site));
        let site = sites.entry(name).or_default();
        site.disk_records += on_disk.records;
        site.disk_bytes += on_disk.bytes;
    }
    let named = |(name, stat)| SiteStat { site: name, ..stat };
    sites.into_iter().map(named).collect()
}

impl Line {
    /// An entry as a line of a list; `None` for one whose key makes no sense.
    pub(super) fn of(node: &Node, found: &Inspected) -> Option<Self> {
        let parts = KeyParts::read(found.entry.full_key())?;
        let variants = found.entry.variants();
        let newest = variants.first();
        Some(Self {
            url: url(&parts),
            site: parts.site.to_owned(),
            tier: Tier::of(found),
            variants: variants.len(),
            bytes: variants.iter().map(|object| object.body.len()).sum(),
            served: newest.map_or_else(|| "nothing".to_owned(), |object| served(node, object)),
        })
    }
}

impl Inspection {
    /// All that is stored of a resource.
    pub(super) async fn of(node: &Node, resource: &Resource) -> Self {
        let store = node.store();
        let found = store.inspect(resource.key, &resource.full_key).await;
        let parts = KeyParts::read(&resource.full_key);
        let mut variants = Vec::new();
        if let Some(Inspected { entry, .. }) = &found {
            for object in entry.variants().iter().chain(entry.encoded_copies()) {
                variants.push(Variant::of(node, object).await);
            }
        }
        Self {
            url: parts.as_ref().map(url).unwrap_or_default(),
            site: parts.map_or("", |parts| parts.site).to_owned(),
            key: format!("{:032x}", resource.key.0),
            tier: found.as_ref().map(Tier::of),
            passing: found.is_some_and(|found| found.entry.passing(node.clock_now())),
            variants,
        }
    }
}

impl Variant {
    async fn of(node: &Node, object: &Object) -> Self {
        let now = node.clock_now();
        let text = |name: &str| {
            let value = object.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let extents = node.store().extents(object, EXTENTS_MAX).await;
        let (names, _) = tags::names(&object.headers);
        Self {
            status: object.status.as_u16(),
            served: served(node, object),
            age_s: object.meta.age_s(now),
            lifetime_s: object.meta.lifetime().as_secs(),
            left_s: object.meta.ttl_s(now),
            vary: object.vary().fields().iter().map(ToString::to_string).collect(),
            selected_by: object.selecting.key().as_bytes().escape_ascii().to_string(),
            encoded: object.derived.map(|derived| derived.coding.token().to_owned()),
            length: object.body.len(),
            stored_bytes: extents.iter().map(|range| range.end - range.start).sum(),
            extents: extents.into_iter().map(|range| (range.start, range.end - 1)).collect(),
            etag: text("etag"),
            last_modified: text("last-modified"),
            content_type: text("content-type"),
            tags: names.iter().map(|tag| String::from_utf8_lossy(tag).into_owned()).collect(),
            revision: object.revision,
        }
    }
}

/// What a GET without fields of its own that selects this response would get.
fn served(node: &Node, object: &Object) -> String {
    let rules = selvedge_policy::SiteRules::default();
    let now = node.clock_now();
    let left_s = object.meta.ttl_s(now);
    match reuse(&object.meta, &RequestDirectives::default(), &rules, now) {
        Reuse::Fresh => format!("fresh, for {left_s} s more"),
        Reuse::Stale | Reuse::StaleWhileRevalidate => {
            format!("stale for {} s, served while it is refreshed", -left_s)
        }
        Reuse::Revalidate(why) => match object.meta.has_validator() {
            true => format!("validated with the origin first: {}", why.word()),
            false => format!("fetched anew: {}", why.word()),
        },
        Reuse::OnlyIfCachedMiss => "not served".to_owned(),
    }
}

fn url(parts: &KeyParts<'_>) -> String {
    let scheme = match parts.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let query = parts.query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{}{}{query}", parts.host, parts.path)
}

impl Tier {
    fn of(found: &Inspected) -> Self {
        match (found.in_memory, found.on_disk) {
            (true, true) => Self::Both,
            (true, false) => Self::Memory,
            (false, _) => Self::Disk,
        }
    }

    /// For people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Both => "memory+disk",
        }
    }
}
