//! Which part of a query belongs to the cache key.
//!
//! Parameters are what stands between `&`; `;` separates nothing, because origins disagree on it
//! and two requests that an origin may read differently must not share a key. Names are compared
//! byte by byte and never decoded, for the same reason. The proxy forwards what
//! [`QueryRules::apply`] returns: a parameter that is not in the key must not reach the origin, or
//! one client could poison what all others get.

use std::borrow::Cow;

/// A site's rules about queries. The default keeps the query as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRules {
    /// Names to leave out, exact or with a trailing `*` as a prefix (`utm_*`).
    pub ignore: Vec<String>,
    /// Whether to sort the parameters that remain; stable, so `a=2&a=1` keeps its order.
    pub sort: bool,
}

impl QueryRules {
    /// The query with ignored parameters left out and, if asked, sorted by name.
    pub fn apply<'a>(&self, query: &'a str) -> Cow<'a, str> {
        if query.is_empty() || (self.ignore.is_empty() && !self.sort) {
            return Cow::Borrowed(query);
        }
        let mut kept: Vec<&str> =
            query.split('&').filter(|parameter| !self.ignores(name_of(parameter))).collect();
        if self.sort {
            kept.sort_by_key(|parameter| name_of(parameter));
        }
        let joined = kept.join("&");
        if joined == query { Cow::Borrowed(query) } else { Cow::Owned(joined) }
    }

    /// As [`QueryRules::apply`], where a query of which nothing remains is no query: `/a?utm_x=1`
    /// has the key of `/a`. A query that was empty from the start stays one.
    pub fn apply_to<'a>(&self, query: Option<&'a str>) -> Option<Cow<'a, str>> {
        let query = query?;
        let applied = self.apply(query);
        if applied.is_empty() && !query.is_empty() { None } else { Some(applied) }
    }

    fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|rule| match rule.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => rule == name,
        })
    }
}

fn name_of(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(ignore: &[&str], sort: bool) -> QueryRules {
        QueryRules { ignore: ignore.iter().map(|&name| name.to_owned()).collect(), sort }
    }

    #[test]
    fn ignored_names_are_left_out_exactly_or_by_prefix() {
        let rules = rules(&["utm_*", "fbclid"], false);
        assert_eq!(rules.apply("utm_source=x&a=1&fbclid=2&fbclid2=3"), "a=1&fbclid2=3");
        assert_eq!(rules.apply("a=utm_x"), "a=utm_x");
    }

    #[test]
    fn sorting_is_by_name_and_keeps_the_order_of_equal_names() {
        assert_eq!(rules(&[], true).apply("b=1&a=2&a=1"), "a=2&a=1&b=1");
    }

    #[test]
    fn a_semicolon_separates_nothing() {
        assert_eq!(rules(&["b"], true).apply("a=1;b=2"), "a=1;b=2");
    }

    #[test]
    fn a_query_of_which_nothing_remains_is_no_query() {
        let rules = rules(&["*"], false);
        assert_eq!(rules.apply_to(Some("a=1")), None);
        assert_eq!(rules.apply_to(Some("")), Some(Cow::Borrowed("")));
        assert_eq!(rules.apply_to(None), None);
    }
}
