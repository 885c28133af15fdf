//! `selvedge explain`: which site owns a URL, and what each node does when it is asked for it. The
//! nodes are asked with a HEAD like a client's; where something is missing they fetch it.

mod decode;
mod dns;
mod rules;

use super::api::Call;
use super::fault::{Fault, Kind};
use super::table::{cell, plain};
use super::{Common, Session, site};
use crate::process;
use decode::Member;
use http::{HeaderMap, Method, StatusCode, Uri};
use selvedge_policy::{QueryRules, Scheme, normalize_host, normalize_path};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) const EXAMPLE: &str = "Examples:\n  \
    selvedge explain https://www.shop.test/film.mp4\n  \
    selvedge explain https://www.shop.test/ --node edge-1 --header 'Accept-Language: de'\n\n\
    Each node is asked with a HEAD as a client would ask it: what it lacks it may fetch.";

/// Fields of an answer that say something about its way.
const FIELDS: [&str; 14] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "expires",
    "date",
    "etag",
    "last-modified",
    "vary",
    "content-type",
    "content-length",
    "content-encoding",
    "location",
    "cache-status",
    "x-request-id",
];

/// What `explain` needs.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ExplainArgs {
    #[command(subcommand)]
    of: Option<Of>,
    #[command(flatten)]
    pub(super) common: Common,
    /// The URL as a client asks for it
    #[arg(value_name = "URL", required = true)]
    url: Option<String>,
    /// Only this node; may be given several times
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// A field of the request, `Name: value`; may be given several times
    #[arg(long, short = 'H', value_name = "FIELD")]
    header: Vec<String>,
}

/// What else can be explained.
#[derive(Debug, clap::Subcommand)]
enum Of {
    /// Why a client is sent where it is: asks a DNS server
    #[command(after_help = dns::EXAMPLE)]
    Dns(dns::DnsArgs),
}

impl ExplainArgs {
    /// The URL: required wherever this is asked.
    fn url(&self) -> &str {
        self.url.as_deref().unwrap_or_default()
    }

    /// Explains what needs no control, if that is asked for.
    pub(super) fn without_control(&self) -> Option<Result<(), Fault>> {
        let Some(Of::Dns(args)) = &self.of else { return None };
        Some(dns::run(args))
    }
}

/// A URL in parts.
struct Asked {
    scheme: String,
    /// With its port, if it has one.
    authority: String,
    host: String,
    target: String,
    query: Option<String>,
}

/// What the URL is stored under, by the rules of its site: requests that have the same share what
/// is stored, but for `Vary`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Key {
    site: String,
    scheme: String,
    host: String,
    path: String,
    query: Option<String>,
}

/// What one node did.
#[derive(Debug, Serialize)]
struct Report {
    node: String,
    tier: String,
    region: String,
    /// Where it was asked.
    url: Option<String>,
    status: Option<u16>,
    fields: BTreeMap<String, String>,
    /// What each cache on the way did, the nearest to the origin first.
    caches: Vec<Member>,
    /// Keys of the site that lead to it, as far as the answer shows.
    rules: Vec<String>,
    /// Why it may not be what a client of that URL gets.
    note: Option<String>,
    error: Option<String>,
}

/// Explains.
pub(super) async fn run(session: &Session, args: &ExplainArgs) -> Result<(), Fault> {
    let asked = Asked::read(args.url())?;
    let sites = session.api.list("/v1/sites", &[], None).await?;
    let site = match owner(&sites, &asked.host) {
        Some(name) => Some(session.api.get(&site::of(&name)).await?.json()?),
        None => None,
    };
    let key = site.as_ref().and_then(|site| Key::of(&asked, site));
    let nodes = session.api.list("/v1/nodes", &[], None).await?;
    let nodes = chosen(&nodes, &args.node)?;
    let mut reports = Vec::new();
    for node in nodes {
        let document = site.as_ref().map_or(&Value::Null, |site| &site["document"]);
        reports.push(ask(session, node, &asked, &args.header, document).await?);
    }
    if session.json {
        let site =
            site.as_ref().map(|site| json!({ "name": site["name"], "version": site["version"] }));
        let all = json!({ "url": args.url(), "site": site, "key": key, "nodes": reports });
        process::print(&all.to_string());
    } else {
        process::print(&shown(args, site.as_ref(), key.as_ref(), &reports));
    }
    let answered = reports.iter().filter(|report| report.status.is_some()).count();
    match (site.is_some(), answered) {
        (false, _) => Err(Fault::wrong(format!("no site of control answers for {}", asked.host))),
        (true, 0) => Err(Fault::new(Kind::Unavailable, "no node could be asked")),
        _ => Ok(()),
    }
}

impl Key {
    fn of(asked: &Asked, site: &Value) -> Option<Self> {
        let name = site["name"].as_str()?;
        let rules = selvedge_config::site_from_json(name, &site["document"]).ok()?;
        let ignore = rules.query_ignore.iter().map(|it| it.as_str().to_owned()).collect();
        let rules = QueryRules { ignore, sort: rules.query_sort };
        let scheme = if asked.scheme == "https" { Scheme::Https } else { Scheme::Http };
        let path = asked.target.split('?').next().unwrap_or_default();
        Some(Self {
            site: name.to_owned(),
            scheme: asked.scheme.clone(),
            host: normalize_host(&asked.authority, scheme).ok()?.into_owned(),
            path: normalize_path(path).ok()?.into_owned(),
            query: rules.apply_to(asked.query.as_deref()).map(Cow::into_owned),
        })
    }

    fn shown(&self) -> String {
        let Self { site, scheme, host, path, query } = self;
        let query = match query {
            Some(query) => format!("query {query}"),
            None => "no query".to_owned(),
        };
        format!("key {site}, {scheme}, {host}, {path}, {query}\n")
    }
}

impl Asked {
    fn read(url: &str) -> Result<Self, Fault> {
        let bad = || Fault::usage(format!("{url:?} is not http://HOST/PATH or https://HOST/PATH"));
        let uri = url.parse::<Uri>().map_err(|_| bad())?;
        let scheme = uri.scheme_str().filter(|it| matches!(*it, "http" | "https"));
        let authority = uri.authority().filter(|it| !it.as_str().contains('@')).ok_or_else(bad)?;
        Ok(Self {
            scheme: scheme.ok_or_else(bad)?.to_owned(),
            authority: authority.as_str().to_owned(),
            host: authority.host().to_ascii_lowercase(),
            target: match uri.query() {
                Some(query) => format!("{}?{query}", uri.path()),
                None => uri.path().to_owned(),
            },
            query: uri.query().map(str::to_owned),
        })
    }
}

/// The site that answers for a host: the one that names it, else the longest `*.` that covers it,
/// else `*`.
fn owner(sites: &[Value], host: &str) -> Option<String> {
    let mut best: Option<(usize, &Value)> = None;
    for site in sites {
        for pattern in site["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let pattern = pattern.to_ascii_lowercase();
            let bare = pattern.rsplit_once(':').map_or(pattern.as_str(), |(bare, _)| bare);
            let covers = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
            let weight = match bare.strip_prefix('*') {
                None if bare == host || pattern == host => usize::MAX,
                Some("") => 1,
                Some(suffix) if covers(suffix) => 1 + suffix.len(),
                _ => continue,
            };
            if best.is_none_or(|(other, _)| weight > other) {
                best = Some((weight, &site["name"]));
            }
        }
    }
    best.and_then(|(_, name)| name.as_str().map(str::to_owned))
}

/// Those that were named, or all that live: edges first, as a client meets them.
fn chosen<'a>(nodes: &'a [Value], names: &[String]) -> Result<Vec<&'a Value>, Fault> {
    for name in names {
        if !nodes.iter().any(|node| node["name"].as_str() == Some(name)) {
            return Err(Fault::new(Kind::NotFound, format!("there is no node {name:?}")));
        }
    }
    let wanted = |node: &&Value| match names {
        [] => node["live"].as_bool() != Some(false),
        names => node["name"].as_str().is_some_and(|name| names.iter().any(|it| it == name)),
    };
    let mut found: Vec<&Value> = nodes.iter().filter(wanted).collect();
    found.sort_by_key(|node| (cell(&node["tier"]), cell(&node["name"])));
    Ok(found)
}

async fn ask(
    session: &Session,
    node: &Value,
    asked: &Asked,
    fields: &[String],
    document: &Value,
) -> Result<Report, Fault> {
    let mut report = Report {
        node: cell(&node["name"]),
        tier: cell(&node["tier"]),
        region: cell(&node["region"]),
        url: None,
        status: None,
        fields: BTreeMap::new(),
        caches: Vec::new(),
        rules: Vec::new(),
        note: None,
        error: Some("it has no URL".to_owned()),
    };
    let mut call = Call::new(Method::HEAD, asked.target.as_str());
    for field in fields {
        let (name, value) = field
            .split_once(':')
            .ok_or_else(|| Fault::usage(format!("{field:?} is not `Name: value`")))?;
        call = call.any_field(name.trim(), value.trim())?;
    }
    let is_other = |url: &str| !url.starts_with(&format!("{}://", asked.scheme));
    let urls = node["urls"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut urls: Vec<&str> = urls.collect();
    // As a client would ask it, if it can be asked so.
    urls.sort_by_key(|url| is_other(url));
    for url in urls {
        let mut call = call.clone();
        if is_other(url) {
            call = call.field("x-forwarded-proto", asked.scheme.as_str());
        }
        match session.api.ask_node(url, &asked.authority, &asked.host, &call).await {
            Ok(answer) => {
                report.url = Some(url.to_owned());
                report.error = None;
                report.note = is_other(url).then(|| other_scheme(&asked.scheme));
                report.take(answer.status, &answer.headers, document, asked.query.as_deref());
                break;
            }
            Err(fault) => report.error = Some(format!("{url}: {fault}")),
        }
    }
    Ok(report)
}

fn other_scheme(scheme: &str) -> String {
    format!(
        "it has no {scheme}:// address: unless it trusts this one (listen.trust), it takes the \
         request for one of the other scheme, which has another key"
    )
}

impl Report {
    fn take(
        &mut self,
        status: StatusCode,
        head: &HeaderMap,
        document: &Value,
        query: Option<&str>,
    ) {
        self.status = Some(status.as_u16());
        for name in FIELDS {
            let values = head.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let value = values.collect::<Vec<_>>().join(", ");
            if !value.is_empty() {
                self.fields.insert(name.to_owned(), value);
            }
        }
        let chain = self.fields.get("cache-status").map(String::as_str).unwrap_or_default();
        self.caches = decode::members(chain);
        self.rules = rules::rules(document, &self.caches, head, query);
    }
}

fn shown(
    args: &ExplainArgs,
    site: Option<&Value>,
    key: Option<&Key>,
    reports: &[Report],
) -> String {
    let mut out = format!("{}\n", plain(args.url()));
    if let Some(site) = site {
        let (name, version) = (cell(&site["name"]), cell(&site["version"]));
        out.push_str(&format!("site {name}, version {version}\n"));
    }
    out.push_str(&key.map_or_else(String::new, Key::shown));
    for report in reports {
        out.push_str(&format!("\n{} ({}, {})", report.node, report.tier, report.region));
        match (&report.url, report.status) {
            (Some(url), Some(status)) => out.push_str(&format!(" at {url}: {status}\n")),
            _ => out.push('\n'),
        }
        if let Some(error) = &report.error {
            out.push_str(&format!("  not asked: {}\n", plain(error)));
        }
        if let Some(note) = &report.note {
            out.push_str(&format!("  note: {note}\n"));
        }
        // As a client meets them: the node that was asked is the last of the field.
        for member in report.caches.iter().rev() {
            out.push_str(&format!("  {}\n", plain(&member.cache)));
            for sentence in member.sentences() {
                out.push_str(&format!("    {}\n", plain(&sentence)));
            }
        }
        for rule in &report.rules {
            out.push_str(&format!("  rule: {}\n", plain(rule)));
        }
        for (name, value) in &report.fields {
            out.push_str(&format!("  < {name}: {}\n", plain(value)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_what_the_rules_of_the_site_leave_of_the_url() {
        let site = json!({ "name": "shop", "document": {
            "hosts": ["www.shop.test"], "origin": ["http://127.0.0.1:1"],
            "query_ignore": ["utm_*"], "query_sort": true,
        }});
        let key = |url: &str| {
            let asked = Asked::read(url).expect("a URL");
            Key::of(&asked, &site).expect("a key").shown()
        };
        assert_eq!(
            key("https://WWW.shop.test:443/%61?b=2&utm_x=1&a=1"),
            "key shop, https, www.shop.test, /a, query a=1&b=2\n"
        );
        assert_eq!(
            key("http://www.shop.test?utm_x=1"),
            "key shop, http, www.shop.test, /, no query\n"
        );
    }

    #[test]
    fn the_most_exact_host_owns_a_url() {
        let sites = [
            json!({ "name": "any", "hosts": ["*"] }),
            json!({ "name": "wild", "hosts": ["*.shop.test"] }),
            json!({ "name": "deep", "hosts": ["*.eu.shop.test"] }),
            json!({ "name": "exact", "hosts": ["WWW.shop.test"] }),
        ];
        for (host, name) in [
            ("www.shop.test", "exact"),
            ("a.shop.test", "wild"),
            ("a.eu.shop.test", "deep"),
            ("shop.test", "any"),
            ("else.test", "any"),
        ] {
            assert_eq!(owner(&sites, host).as_deref(), Some(name), "{host}");
        }
        assert_eq!(owner(&sites[1..], "else.test"), None);
    }

    #[test]
    fn a_url_is_taken_apart() {
        let asked = Asked::read("https://WWW.shop.test:8443/a%20b?c=d").unwrap();
        assert_eq!(asked.authority, "WWW.shop.test:8443");
        assert_eq!((asked.host.as_str(), asked.target.as_str()), ("www.shop.test", "/a%20b?c=d"));
        for bad in ["/a", "www.shop.test/a", "ftp://a/", "http://u:p@a/", "http://a b/"] {
            assert!(Asked::read(bad).is_err(), "{bad}");
        }
    }
}
