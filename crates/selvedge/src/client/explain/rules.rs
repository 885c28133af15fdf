//! Which keys of the site lead to what a node did, as far as the answer shows it. Pure; where the
//! answer leaves it open nothing is said.

use super::decode::Member;
use http::HeaderMap;
use serde_json::Value;

/// Sentences that name a key of the site.
pub(super) fn rules(
    document: &Value,
    members: &[Member],
    head: &HeaderMap,
    query: Option<&str>,
) -> Vec<String> {
    let mut out = Vec::new();
    for member in members {
        if let Some(sentence) = member.detail.as_deref().and_then(|word| by_word(document, word)) {
            push(&mut out, sentence);
        }
        if member.hit && member.ttl.is_some_and(|ttl| ttl < 0) {
            for key in ["stale_while_revalidate", "stale_if_error"] {
                if let Some(value) = shown(document, key) {
                    push(&mut out, format!("{key} = {value} lets it be served stale"));
                }
            }
        }
    }
    if members.iter().any(|member| member.ttl.is_some()) {
        push(&mut out, lifetime(document, head));
    }
    if let (Some(query), Some(ignored)) = (query, document["query_ignore"].as_array())
        && ignored.iter().filter_map(Value::as_str).any(|name| has_parameter(query, name))
    {
        let ignored = shown(document, "query_ignore").unwrap_or_default();
        push(&mut out, format!("query_ignore = {ignored}: these are not in the key"));
    }
    if document["push"].as_bool() == Some(true) {
        push(&mut out, "push = true: pushed paths are served from control".to_owned());
    }
    out
}

fn push(out: &mut Vec<String>, sentence: String) {
    if !sentence.is_empty() && !out.contains(&sentence) {
        out.push(sentence);
    }
}

/// The key behind a word of Cache-Status.
fn by_word(document: &Value, word: &str) -> Option<String> {
    let (key, default) = match word {
        "set-cookie" => ("store_set_cookie", "false"),
        "request-no-store" | "request-no-cache" | "request-max-age" | "request-min-fresh" => {
            ("client_cache_control", "\"honour\"")
        }
        "hit-for-miss" => ("hit_for_miss", "\"2m\""),
        "no-lifetime" => ("ttl_default", "none"),
        "while-revalidate" => ("stale_while_revalidate", "\"0s\""),
        "upstream-failed" | "upstream-error" => ("stale_if_error", "\"0s\""),
        _ => return None,
    };
    Some(match shown(document, key) {
        Some(value) => format!("{key} = {value} ({word})"),
        None => format!("{key} is not set, its default is {default} ({word})"),
    })
}

/// Where the lifetime comes from: the answer, or else what the site says of answers without one.
fn lifetime(document: &Value, head: &HeaderMap) -> String {
    for name in ["cdn-cache-control", "cache-control"] {
        let values = head.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let directives: Vec<String> =
            values.flat_map(|value| value.split(',')).map(|it| it.trim().to_lowercase()).collect();
        for directive in ["s-maxage=", "max-age="] {
            if let Some(found) = directives.iter().find(|it| it.starts_with(directive)) {
                let bounds = bounds(document);
                return format!("the answer states its lifetime: {name}: {found}{bounds}");
            }
        }
    }
    if head.contains_key("expires") {
        return format!("the answer states its lifetime: expires{}", bounds(document));
    }
    match shown(document, "ttl_default") {
        Some(value) => format!(
            "the answer that came here states no lifetime; for such the site has ttl_default = \
             {value}"
        ),
        None => String::new(),
    }
}

fn bounds(document: &Value) -> String {
    let found = ["ttl_min", "ttl_max"].into_iter().filter_map(|key| {
        let value = shown(document, key)?;
        Some(format!("{key} = {value}"))
    });
    let found = found.collect::<Vec<_>>().join(", ");
    if found.is_empty() { found } else { format!(" (the site bounds it: {found})") }
}

fn shown(document: &Value, key: &str) -> Option<String> {
    document.get(key).filter(|value| !value.is_null()).map(Value::to_string)
}

/// Whether a query has a parameter of this name; `utm_*` stands for all that begin so.
fn has_parameter(query: &str, name: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(found, _)| match name.strip_suffix('*') {
        Some(beginning) => found.starts_with(beginning),
        None => found == name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member(ttl: Option<i64>, hit: bool, detail: Option<&str>) -> Member {
        Member { ttl, hit, detail: detail.map(str::to_owned), ..Member::default() }
    }

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_lifetime_is_the_answers_own_or_the_sites() {
        let document = json!({ "ttl_default": "60s" });
        let fresh = [member(Some(59), true, None)];
        let none = rules(&document, &fresh, &HeaderMap::new(), None);
        let sentence = "the answer that came here states no lifetime; for such the site has \
                        ttl_default = \"60s\"";
        assert_eq!(none, [sentence]);
        let own = head(&[("cache-control", "public, max-age=30")]);
        let sentence = "the answer states its lifetime: cache-control: max-age=30";
        assert_eq!(rules(&document, &fresh, &own, None), [sentence]);
        assert!(rules(&json!({}), &fresh, &HeaderMap::new(), None).is_empty());
    }

    #[test]
    fn a_word_leads_to_its_key() {
        let found = |document: &Value, word| {
            rules(document, &[member(None, false, Some(word))], &HeaderMap::new(), None)
        };
        let sentence = "store_set_cookie is not set, its default is false (set-cookie)";
        assert_eq!(found(&json!({}), "set-cookie"), [sentence]);
        let document = json!({ "hit_for_miss": "5m" });
        assert_eq!(found(&document, "hit-for-miss"), ["hit_for_miss = \"5m\" (hit-for-miss)"]);
        assert!(found(&document, "private").is_empty());
    }

    #[test]
    fn ignored_parameters_and_stale_windows_are_named() {
        let document = json!({ "query_ignore": ["utm_*"], "stale_if_error": "1h", "push": true });
        let stale = [member(Some(-5), true, None)];
        let found = rules(&document, &stale, &HeaderMap::new(), Some("utm_source=x&b=1"));
        let expected = [
            "stale_if_error = \"1h\" lets it be served stale",
            "query_ignore = [\"utm_*\"]: these are not in the key",
            "push = true: pushed paths are served from control",
        ];
        assert_eq!(found, expected);
    }
}
