//! What is to be purged, read from the words of whoever asks. Pure.
//!
//! Hosts, paths and queries are brought into the form that keys have, by the rules of the site that
//! serves them: what a client asks for by a URL is what a purge of that URL covers.

use super::Refused;
use crate::plan::Plan;
use crate::route;
use http::{HeaderMap, Uri};
use selvedge_feed::Target;
use selvedge_policy::Scheme;
use selvedge_policy::tags;
use selvedge_policy::target::{normalize_host, normalize_path};
use selvedge_store::{PurgeKind, Scope, Strength};
use serde_json::{Map, Value};

/// Things that one request may purge at most.
pub(super) const COUNT_MAX: usize = 1_000;

/// What one request wants purged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) kind: PurgeKind,
    pub(super) strength: Strength,
    pub(super) list: Vec<Wish>,
}

/// One thing to purge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Url { host: String, path: String, query: Option<String> },
    Tag { site: String, tag: Vec<u8> },
    Prefix { host: String, path: String },
    Host(String),
    Site(String),
    Path { site: String, path: String },
    Everything,
}

impl Wish {
    pub(super) fn scope(&self) -> Scope<'_> {
        match self {
            Self::Url { host, path, query } => Scope::Url { host, path, query: query.as_deref() },
            Self::Tag { site, tag } => Scope::Tag { site, tag },
            Self::Prefix { host, path } => Scope::Prefix { host, path },
            Self::Host(host) => Scope::Host(host),
            Self::Site(site) => Scope::Site(site),
            Self::Path { site, path } => Scope::Path { site, path },
            Self::Everything => Scope::Everything,
        }
    }
}

/// What a PURGE with these fields wants of a site: the tags they name, else its own URL.
pub(super) fn of_fields(
    site: &str,
    headers: &HeaderMap,
    own: impl FnOnce() -> Result<Wish, Refused>,
) -> Result<Wishes, Refused> {
    let is_set = |name: &str| {
        headers.get(name).is_some_and(|value| matches!(value.as_bytes(), b"1" | b"true"))
    };
    let soft = is_set("soft-purge") || is_set("fastly-soft-purge");
    let strength = if soft { Strength::Soft } else { Strength::Hard };
    if !tags::FIELDS.iter().any(|name| headers.contains_key(name)) {
        return Ok(Wishes { kind: PurgeKind::Url, strength, list: vec![own()?] });
    }
    let (names, ignored) = tags::names(headers);
    if names.is_empty() || ignored > 0 {
        return Err(Refused::Syntax("The field names no tag, or more or longer ones than may be."));
    }
    let tag = |tag: &[u8]| Wish::Tag { site: site.to_owned(), tag: tag.to_vec() };
    Ok(Wishes { kind: PurgeKind::Tag, strength, list: names.into_iter().map(tag).collect() })
}

/// What a JSON text wants.
pub(super) fn of_json(plan: &Plan, text: &[u8]) -> Result<Wishes, Refused> {
    let Ok(Value::Object(mut map)) = serde_json::from_slice(text) else {
        return Err(Refused::Syntax("The body is not a JSON object."));
    };
    let strength = match map.remove("soft") {
        None | Some(Value::Bool(false)) => Strength::Hard,
        Some(Value::Bool(true)) => Strength::Soft,
        Some(_) => return Err(Refused::Syntax("`soft` is neither true nor false.")),
    };
    let named = if map.contains_key("tag") || map.contains_key("tags") {
        Some(tagged_site(plan, map.remove("site"))?)
    } else {
        None
    };
    let (Some((key, value)), true) = (map.iter().next(), map.len() == 1) else {
        return Err(Refused::Syntax(ONE_OF));
    };
    let (kind, list) = match (key.as_str(), named) {
        ("url" | "urls", _) => (PurgeKind::Url, texts(&map, key, |text| url(plan, text))?),
        ("tag" | "tags", Some(site)) => {
            (PurgeKind::Tag, texts(&map, key, |text| tag(&site, text))?)
        }
        ("prefix", _) => (PurgeKind::Prefix, vec![prefix(plan, one_text(value)?)?]),
        ("host", _) => (PurgeKind::Host, vec![host(plan, one_text(value)?).map(Wish::Host)?]),
        ("site", _) => (PurgeKind::Site, vec![Wish::Site(site(plan, one_text(value)?)?)]),
        ("everything", _) if *value == Value::Bool(true) => {
            (PurgeKind::Everything, vec![Wish::Everything])
        }
        _ => return Err(Refused::Syntax(ONE_OF)),
    };
    Ok(Wishes { kind, strength, list })
}

const ONE_OF: &str = "Name exactly one of url, urls, tag, tags (with site), prefix, host, site, or \
                      everything (true), and soft if wanted.";

/// What control wants purged; `None` if it cannot be read. A site need not be known: what
/// is stored of it would answer again if it came back.
pub(super) fn of_target(plan: &Plan, target: &Target) -> Option<Wish> {
    match target {
        Target::Url(text) => match url(plan, text) {
            Err(Refused::UnknownSite) => any_query(text),
            known => known.ok(),
        },
        Target::Tag { site, tag: text } => tag(site, text).ok(),
        Target::Prefix(text) => {
            let (scheme, authority, path) = prefix_parts(text).ok()?;
            let host = normalize_host(&authority, scheme).ok()?.into_owned();
            Some(Wish::Prefix { host, path })
        }
        Target::Host(text) => {
            let host = normalize_host(text, Scheme::Http).ok()?;
            Some(Wish::Host(host.into_owned()))
        }
        Target::Site(name) => Some(Wish::Site(name.clone())),
        Target::Path { site, path } => {
            Some(Wish::Path { site: site.clone(), path: path_of(path).ok()? })
        }
        Target::Everything => Some(Wish::Everything),
    }
}

/// A URL of a host that no site has now, whatever rules for queries its site had when it was there.
fn any_query(text: &str) -> Option<Wish> {
    let (scheme, uri) = absolute(text).ok()?;
    let host = normalize_host(uri.authority()?.as_str(), scheme).ok()?.into_owned();
    Some(Wish::Prefix { host, path: path_of(uri.path()).ok()? })
}

/// The texts under a key of one text (`url`) or of several (`urls`).
fn texts(
    map: &Map<String, Value>,
    key: &str,
    read: impl Fn(&str) -> Result<Wish, Refused>,
) -> Result<Vec<Wish>, Refused> {
    match &map[key] {
        Value::String(text) if !key.ends_with('s') => Ok(vec![read(text)?]),
        Value::Array(list) if key.ends_with('s') && list.len() > COUNT_MAX => {
            Err(Refused::TooLarge)
        }
        Value::Array(list) if key.ends_with('s') && !list.is_empty() => {
            list.iter().map(|value| read(one_text(value)?)).collect()
        }
        _ => {
            Err(Refused::Syntax("`url` and `tag` are a string, `urls` and `tags` a list of some."))
        }
    }
}

fn one_text(value: &Value) -> Result<&str, Refused> {
    value.as_str().ok_or(Refused::Syntax("What to purge is not a string."))
}

fn tag(site: &str, text: &str) -> Result<Wish, Refused> {
    let separated = text.contains([' ', '\t', ',']);
    if text.is_empty() || text.len() > tags::TAG_BYTES_MAX || separated {
        return Err(Refused::Syntax("A tag is empty, too long, or has a space or comma in it."));
    }
    Ok(Wish::Tag { site: site.to_owned(), tag: text.as_bytes().to_vec() })
}

/// The site whose tags are meant: the one named, or the only one.
fn tagged_site(plan: &Plan, named: Option<Value>) -> Result<String, Refused> {
    match (named, &plan.sites[..]) {
        (Some(named), _) => site(plan, one_text(&named)?),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Refused::Syntax("There are several sites: say whose tag, as `site`.")),
    }
}

fn site(plan: &Plan, name: &str) -> Result<String, Refused> {
    plan.sites.iter().find(|site| *site == name).cloned().ok_or(Refused::UnknownSite)
}

/// A host that some site serves.
fn host(plan: &Plan, text: &str) -> Result<String, Refused> {
    host_of(plan, text, Scheme::Http)
}

fn host_of(plan: &Plan, text: &str, scheme: Scheme) -> Result<String, Refused> {
    let host =
        normalize_host(text, scheme).map_err(|_| Refused::Syntax("The host is not valid."))?;
    plan.routes.find(route::host_of(&host)).ok_or(Refused::UnknownSite)?;
    Ok(host.into_owned())
}

fn path_of(text: &str) -> Result<String, Refused> {
    let path = normalize_path(text).map_err(|_| Refused::Syntax("The path is not valid."))?;
    Ok(path.into_owned())
}

fn url(plan: &Plan, text: &str) -> Result<Wish, Refused> {
    let (_, host, path, query) = resource(plan, text)?;
    Ok(Wish::Url { host, path, query })
}

/// Site, host, path and query of a URL in the form that keys have.
pub(super) fn resource(
    plan: &Plan,
    text: &str,
) -> Result<(String, String, String, Option<String>), Refused> {
    let (scheme, uri) = absolute(text)?;
    let host = host_of(plan, uri.authority().map_or("", |authority| authority.as_str()), scheme)?;
    let site = plan.routes.find(route::host_of(&host)).ok_or(Refused::UnknownSite)?;
    let query = site.query.apply_to(uri.query()).map(std::borrow::Cow::into_owned);
    Ok((site.name.clone(), host, path_of(uri.path())?, query))
}

fn prefix(plan: &Plan, text: &str) -> Result<Wish, Refused> {
    let (scheme, authority, path) = prefix_parts(text)?;
    Ok(Wish::Prefix { host: host_of(plan, &authority, scheme)?, path })
}

/// Scheme, host as it was written, and path.
fn prefix_parts(text: &str) -> Result<(Scheme, String, String), Refused> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let (scheme, uri) = absolute(&whole)?;
    let begins_path = whole.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if uri.query().is_some() || !begins_path {
        return Err(Refused::Syntax("A prefix is a host and the beginning of a path."));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    Ok((scheme, authority.to_owned(), path_of(uri.path())?))
}

fn absolute(text: &str) -> Result<(Scheme, Uri), Refused> {
    const WRONG: Refused = Refused::Syntax("A URL is not valid, or not of http or https.");
    let uri: Uri = text.parse().map_err(|_| WRONG)?;
    match uri.scheme_str() {
        Some("http") => Ok((Scheme::Http, uri)),
        Some("https") => Ok((Scheme::Https, uri)),
        _ => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::plan;
    use http::HeaderValue;
    use proptest::prelude::*;

    const SITES: &str = r#"
        [[site]]
        name = "shop"
        hosts = ["www.shop.test", "*.img.test"]
        origin = ["http://127.0.0.1:1"]
        query_ignore = ["utm_*"]
        query_sort = true
    "#;
    const OTHER: &str = r#"
        [[site]]
        name = "blog"
        hosts = ["blog.test"]
        origin = ["http://127.0.0.1:1"]
    "#;

    fn read(text: &str) -> Result<Wishes, Refused> {
        of_json(&plan(&format!("{SITES}{OTHER}")), text.as_bytes())
    }

    fn hard(kind: PurgeKind, list: Vec<Wish>) -> Result<Wishes, Refused> {
        Ok(Wishes { kind, strength: Strength::Hard, list })
    }

    fn url_wish(host: &str, path: &str, query: Option<&str>) -> Wish {
        let query = query.map(str::to_owned);
        Wish::Url { host: host.to_owned(), path: path.to_owned(), query }
    }

    #[test]
    fn every_form_is_read_and_brought_into_the_form_of_keys() {
        let both = vec![
            url_wish("www.shop.test", "/~a", Some("a=1&b=2")),
            url_wish("a.img.test:8443", "/", None),
        ];
        let urls = r#"{"urls": ["HTTPS://WWW.Shop.test:443/%7ea?b=2&utm_x=3&a=1#top",
            "http://a.img.test:8443"]}"#;
        assert_eq!(read(urls), hard(PurgeKind::Url, both));
        let tag = |tag: &str| Wish::Tag { site: "blog".to_owned(), tag: tag.as_bytes().to_vec() };
        let tags = r#"{"tags": ["a", "B"], "site": "blog"}"#;
        assert_eq!(read(tags), hard(PurgeKind::Tag, vec![tag("a"), tag("B")]));
        for text in [r#"{"prefix": "blog.test/a/"}"#, r#"{"prefix": "https://blog.test/a/"}"#] {
            let wish = Wish::Prefix { host: "blog.test".to_owned(), path: "/a/".to_owned() };
            assert_eq!(read(text), hard(PurgeKind::Prefix, vec![wish]));
        }
        let host = Wish::Host("blog.test".to_owned());
        assert_eq!(read(r#"{"host": "Blog.test."}"#), hard(PurgeKind::Host, vec![host]));
        let site = Wish::Site("shop".to_owned());
        assert_eq!(read(r#"{"site": "shop"}"#), hard(PurgeKind::Site, vec![site]));
        let soft = read(r#"{"everything": true, "soft": true}"#);
        let list = vec![Wish::Everything];
        let kind = PurgeKind::Everything;
        assert_eq!(soft, Ok(Wishes { kind, strength: Strength::Soft, list }));
        let only = of_json(&plan(SITES), br#"{"tag": "x"}"#).expect("there is one site");
        assert_eq!(only.list, [Wish::Tag { site: "shop".to_owned(), tag: b"x".to_vec() }]);
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"url": 1}"#,
            r#"{"url": "/a"}"#,
            r#"{"url": "ftp://blog.test/"}"#,
            r#"{"url": "http://u@blog.test/"}"#,
            r#"{"url": "http://blog.test/%zz"}"#,
            r#"{"url": ["http://blog.test/"]}"#,
            r#"{"urls": "http://blog.test/"}"#,
            r#"{"urls": []}"#,
            r#"{"urls": [1]}"#,
            r#"{"url": "http://blog.test/", "site": "shop"}"#,
            r#"{"url": "http://blog.test/", "uri": 1}"#,
            r#"{"tag": "x"}"#,
            r#"{"tag": "a b", "site": "blog"}"#,
            r#"{"tag": "", "site": "blog"}"#,
            r#"{"prefix": "blog.test"}"#,
            r#"{"prefix": "blog.test/a?b"}"#,
            r#"{"everything": false}"#,
            r#"{"everything": true, "soft": 1}"#,
        ] {
            assert!(matches!(read(text), Err(Refused::Syntax(_))), "{text}: {:?}", read(text));
        }
        for text in [
            r#"{"url": "http://unknown.test/"}"#,
            r#"{"host": "unknown.test"}"#,
            r#"{"site": "unknown"}"#,
            r#"{"tag": "x", "site": "unknown"}"#,
        ] {
            assert_eq!(read(text), Err(Refused::UnknownSite), "{text}");
        }
        let many = vec!["\"t\""; COUNT_MAX + 1].join(",");
        let many = format!("{{\"site\": \"blog\", \"tags\": [{many}]}}");
        assert_eq!(read(&many), Err(Refused::TooLarge));
    }

    #[test]
    fn fields_name_tags_or_the_url_itself() {
        let own = || Ok(url_wish("a", "/", None));
        let mut headers = HeaderMap::new();
        let wishes = of_fields("s", &headers, own).expect("its URL");
        assert_eq!((wishes.kind, wishes.strength), (PurgeKind::Url, Strength::Hard));
        headers.insert("fastly-soft-purge", HeaderValue::from_static("1"));
        headers.insert("cache-tag", HeaderValue::from_static("a,b c"));
        let wishes = of_fields("s", &headers, own).expect("three tags");
        assert_eq!((wishes.kind, wishes.strength), (PurgeKind::Tag, Strength::Soft));
        assert_eq!(wishes.list.len(), 3);
        headers.insert("cache-tag", HeaderValue::from_static(" , "));
        assert!(matches!(of_fields("s", &headers, own), Err(Refused::Syntax(_))));
    }

    #[test]
    fn what_control_wants_is_brought_into_the_form_of_keys() {
        let plan = plan(&format!("{SITES}{OTHER}"));
        let site = |name: &str| name.to_owned();
        let text = |text: &str| text.to_owned();
        let of = |target| of_target(&plan, &target);
        let url = Target::Url(text("HTTPS://WWW.Shop.test:443/%7ea?b=2&utm_x=3&a=1#top"));
        assert_eq!(of(url), Some(url_wish("www.shop.test", "/~a", Some("a=1&b=2"))));
        let gone = Wish::Prefix { host: text("gone.test:81"), path: text("/a") };
        assert_eq!(of(Target::Url(text("http://Gone.test:81/a?b"))), Some(gone));
        let prefix = Wish::Prefix { host: text("gone.test"), path: text("/a/") };
        assert_eq!(of(Target::Prefix(text("Gone.test./a/"))), Some(prefix));
        assert_eq!(of(Target::Host(text("Gone.test"))), Some(Wish::Host(text("gone.test"))));
        assert_eq!(of(Target::Site(site("gone"))), Some(Wish::Site(site("gone"))));
        let tag = Wish::Tag { site: site("gone"), tag: b"x".to_vec() };
        assert_eq!(of(Target::Tag { site: site("gone"), tag: text("x") }), Some(tag));
        let path = Wish::Path { site: site("gone"), path: text("/~a") };
        assert_eq!(of(Target::Path { site: site("gone"), path: text("/%7Ea") }), Some(path));
        assert_eq!(of(Target::Everything), Some(Wish::Everything));
        for nonsense in ["", "ftp://blog.test/", "http://blog.test/%zz", "http://[/"] {
            assert_eq!(of(Target::Url(text(nonsense))), None, "{nonsense}");
        }
        assert_eq!(of(Target::Host(text("a b"))), None);
    }

    proptest! {
        #[test]
        fn any_text_is_wishes_or_refused(text in "[ -~]{0,60}", host in "[ -~]{0,20}") {
            let plan = plan(SITES);
            let _ = of_json(&plan, text.as_bytes());
            for key in ["url", "prefix", "host", "tag"] {
                let json = serde_json::json!({ key: format!("http://{host}/{text}") });
                let _ = of_json(&plan, json.to_string().as_bytes());
                let _ = of_target(&plan, &Target::Url(format!("http://{host}/{text}")));
                let _ = of_target(&plan, &Target::Prefix(format!("{host}/{text}")));
            }
        }
    }
}
