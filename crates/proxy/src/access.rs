//! Who may have what a site protects: tokens of clients, and the grants by which nodes vouch for
//! what they ask of each other. What is in a token is `selvedge_media::token`; it is pure.
//!
//! ```text
//! client -- ?selvedge-token=... or a cookie -->  edge: verified, taken off
//!                                                  |  Selvedge-Grant: a token of its own
//!                                                  v
//!                                                parent: verified, taken off
//!                                                  |  nothing
//!                                                  v
//!                                                origin
//! ```
//!
//! Every node checks every request, whoever sends it: a grant is signed like any token, so a field
//! that a client makes up is worth nothing. Refreshes and prefetches need no client for theirs.

use crate::rescue::Failure;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use selvedge_config::{self as config, Signed};
use selvedge_media::address::is_plain_path;
use selvedge_media::query;
use selvedge_media::token::{self, Grant, Key, Keys, Shown};
use selvedge_net::Refusal;
use selvedge_policy::target::normalize_path;
use std::borrow::Cow;
use std::net::IpAddr;

/// The field that carries a grant from node to node. No client and no origin sees it.
pub(crate) const SELVEDGE_GRANT: HeaderName = HeaderName::from_static("selvedge-grant");

/// For how long a grant holds: one request, and what the clocks of two nodes may differ.
const GRANT_S: u64 = 60;

/// What a site says of tokens, with its keys.
#[derive(Debug)]
pub(crate) struct Access {
    /// The site's name.
    audience: String,
    keys: Keys,
    /// Name in the query and of the cookie.
    name: String,
    in_query: bool,
    in_cookie: bool,
    /// In lower case. Empty: all of the site.
    paths: Vec<String>,
}

/// A request, as far as it matters who sends it.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// As it came.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: IpAddr,
    pub(crate) wall_s: i64,
}

impl Access {
    /// The rule of a site; none if it asks for no tokens. `load` gives a key by its name.
    pub(crate) fn new<E>(
        site: &config::Site,
        load: impl Fn(&str) -> Result<Key, E>,
    ) -> Result<Option<Self>, E> {
        let mut keys = site.signed_keys.iter().map(|name| load(name.as_str()));
        let (Some(current), true) = (keys.next(), site.signed != Signed::Off) else {
            return Ok(None);
        };
        let keys = Keys { current: current?, other: keys.next().transpose()? };
        let lower = |path: &config::PathPrefix| path.as_str().to_ascii_lowercase();
        Ok(Some(Self {
            audience: site.name.to_string(),
            keys,
            name: site.signed_name.as_str().to_owned(),
            in_query: matches!(site.signed, Signed::Query | Signed::Both),
            in_cookie: matches!(site.signed, Signed::Cookie | Signed::Both),
            paths: site.signed_paths.iter().map(lower).collect(),
        }))
    }

    /// Refuses a request without a token that is good for it.
    pub(crate) fn admit(&self, asked: &Asked<'_>) -> Result<(), Failure> {
        let path = normalize_path(asked.path).map_err(|_| Failure::Refused(Refusal::Target))?;
        if !self.guards(&path) || is_preflight(asked.method, asked.headers) {
            return Ok(());
        }
        let shown = Shown {
            audience: &self.audience,
            path: &path,
            client: asked.client,
            now_s: seconds(asked.wall_s),
        };
        let grant = asked.headers.get(&SELVEDGE_GRANT).and_then(|grant| grant.to_str().ok());
        if grant.is_some_and(|grant| token::verify(&self.keys, grant, &shown).is_ok()) {
            return Ok(());
        }
        let query = asked.query.filter(|_| self.in_query).unwrap_or_default();
        let cookies = asked.headers.get_all(header::COOKIE).iter().filter(|_| self.in_cookie);
        let cookies = cookies.filter_map(|line| str::from_utf8(line.as_bytes()).ok());
        let found = token::find(&self.name, query, cookies);
        let verified = found.and_then(|token| token::verify(&self.keys, token, &shown));
        verified.map(drop).map_err(Failure::Denied)
    }

    /// The pair of a query that has the token, as it stands there.
    pub(crate) fn token_of(&self, query: &str) -> Option<Box<str>> {
        if !self.in_query {
            return None;
        }
        let (name, value) = query::pairs(query).find(|(name, _)| *name == self.name)?;
        Some(format!("{name}={value}").into())
    }

    /// A query as it may be written down.
    pub(crate) fn without_token<'q>(&self, query: &'q str) -> Cow<'q, str> {
        match query::without(query, &[&self.name]) {
            Cow::Borrowed(query) => self.blank(query),
            Cow::Owned(query) => Cow::Owned(self.blank(&query).into_owned()),
        }
    }

    /// A text with nothing behind the token's name, however deep it is encoded: the address of the
    /// page that asks, or what a player says that it will ask for next.
    fn blank<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains(&self.name) {
            return Cow::Borrowed(text);
        }
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find(&self.name) {
            let (before, named) = rest.split_at(at);
            let (name, after) = named.split_at(self.name.len());
            out.push_str(before);
            let value = after_equals(after).filter(|_| begins_pair(&out));
            let value = value.unwrap_or(after);
            out.push_str(name);
            out.push_str(&after[..after.len() - value.len()]);
            let is_token = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let is_pair = value.len() < after.len();
            rest = if is_pair { value.trim_start_matches(is_token) } else { after };
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// The address of the page that asks, as others may see it; none if nobody can read it.
    pub(crate) fn referer(&self, value: &[u8]) -> Option<Vec<u8>> {
        let text = str::from_utf8(value).ok()?;
        Some(self.blank(text).into_owned().into_bytes())
    }

    /// Whether a path, in normal form, needs a token. An origin may take one that is not plain for
    /// one that does, and so may one that tells no capitals from small letters.
    fn guards(&self, path: &str) -> bool {
        if self.paths.is_empty() {
            return true;
        }
        let path = path.to_ascii_lowercase();
        let covers = |guarded: &String| match guarded.ends_with('/') {
            true => path.starts_with(guarded),
            false => path == *guarded,
        };
        let is_odd = || !is_plain_path(&path) || path.contains("//");
        self.paths.iter().any(covers) || is_odd()
    }

    /// Takes what is for this CDN alone off the fields of a request.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        headers.remove(&SELVEDGE_GRANT);
        if let Some(page) = headers.remove(header::REFERER)
            && let Some(page) = self.referer(page.as_bytes())
            && let Ok(page) = HeaderValue::try_from(page)
        {
            headers.insert(header::REFERER, page);
        }
        let header::Entry::Occupied(cookies) = headers.entry(header::COOKIE) else { return };
        if !cookies.iter().any(|line| self.is_in(line)) {
            return;
        }
        let lines: Vec<HeaderValue> = cookies.iter().filter_map(|it| self.without(it)).collect();
        cookies.remove();
        for line in lines {
            headers.append(header::COOKIE, line);
        }
    }

    /// What another node is shown with a request for a path that needs a token. Making one costs
    /// about a microsecond, so none is kept.
    pub(crate) fn grant(&self, path: &str, wall_s: i64) -> Option<HeaderValue> {
        let expires_s = seconds(wall_s) + GRANT_S;
        let audience = &self.audience;
        let grant = Grant { audience, expires_s, path_prefix: "/", client: None };
        let token = self.guards(path).then(|| token::sign(&self.keys, &grant))??;
        let mut value = HeaderValue::try_from(token).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn is_in(&self, line: &HeaderValue) -> bool {
        line.as_bytes().split(|byte| *byte == b';').any(|pair| self.is_own(pair))
    }

    /// A Cookie field without the token; none if nothing is left.
    fn without(&self, line: &HeaderValue) -> Option<HeaderValue> {
        let mut left = Vec::with_capacity(line.len());
        let pairs = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        for pair in pairs.filter(|pair| !pair.is_empty() && !self.is_own(pair)) {
            if !left.is_empty() {
                left.extend_from_slice(b"; ");
            }
            left.extend_from_slice(pair);
        }
        HeaderValue::from_bytes(&left).ok().filter(|line| !line.is_empty())
    }

    fn is_own(&self, pair: &[u8]) -> bool {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii() == self.name.as_bytes()
    }
}

/// Whether it asks what a page may do (Fetch standard, CORS-preflight request): browsers send no
/// cookies with it, and it brings nothing of the site.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn seconds(wall_s: i64) -> u64 {
    u64::try_from(wall_s).unwrap_or_default()
}

/// Whether a name that stands behind this text is not the end of a longer one.
fn begins_pair(text: &str) -> bool {
    let is_named = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let plain = text.trim_end_matches(|c: char| c.is_ascii_hexdigit());
    !text.ends_with(is_named) || (plain.ends_with('%') && text.len() >= plain.len() + 2)
}

/// What stands behind an equals sign, as it is or in percent-encoding.
fn after_equals(text: &str) -> Option<&str> {
    text.strip_prefix('=').or_else(|| {
        let digits = text.strip_prefix('%')?.trim_start_matches("25");
        digits.strip_prefix("3D").or_else(|| digits.strip_prefix("3d"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_S: i64 = 1_700_000_000;

    fn access(keys: &str) -> Access {
        let text = format!(
            "[node]\nname = \"n\"\nsign_keys = \"/keys\"\n[listen]\nhttp = [\"127.0.0.1:1\"]\n\
             [[site]]\nname = \"video\"\nhosts = [\"*\"]\norigin = [\"http://127.0.0.1:2\"]\n\
             signed = \"both\"\nsigned_keys = [\"a\"]\n{keys}"
        );
        let config = config::parse(&text, "test.toml", config::Profile::Facing);
        let config = config.unwrap_or_else(|faults| panic!("{faults}"));
        let load = |name: &str| Key::new(name, &[7; 16]).ok_or("a secret of 16 bytes");
        Access::new(&config.sites[0], load).expect("its key is there").expect("it is signed")
    }

    fn asked<'a>(path: &'a str, headers: &'a HeaderMap) -> Asked<'a> {
        let client = IpAddr::from([192, 0, 2, 1]);
        let method = &Method::GET;
        Asked { method, path, query: None, headers, client, wall_s: NOW_S }
    }

    fn word(result: Result<(), Failure>) -> &'static str {
        result.map_or_else(|failure| crate::rescue::answer(&failure).word, |()| "let in")
    }

    #[test]
    fn a_grant_is_good_for_a_minute_at_any_node_of_the_site() {
        let access = access("");
        let grant = access.grant("/x", NOW_S).expect("it has a key");
        assert!(grant.is_sensitive());
        let headers = HeaderMap::from_iter([(SELVEDGE_GRANT, grant)]);
        assert_eq!(word(access.admit(&asked("/y", &headers))), "let in");
        let late = Asked { wall_s: NOW_S + 60, ..asked("/y", &headers) };
        assert_eq!(word(access.admit(&late)), "token-missing");
        assert_eq!(word(access.admit(&asked("/../y", &headers))), "token-missing");
        let other = self::access("signed_name = \"t\"");
        assert_eq!(word(other.admit(&asked("/y", &headers))), "let in", "the same site");
    }

    #[test]
    fn what_needs_no_token_needs_no_grant() {
        let access = access("signed_paths = [\"/live/\"]");
        assert_eq!(access.grant("/open", NOW_S), None);
        assert!(access.grant("/live/x", NOW_S).is_some());
        let headers = HeaderMap::new();
        assert_eq!(word(access.admit(&asked("/open", &headers))), "let in");
        assert_eq!(word(access.admit(&asked("/%6Cive/x", &headers))), "token-missing");
        assert_eq!(word(access.admit(&asked("/%zz", &headers))), Refusal::Target.word());
    }

    #[test]
    fn no_token_is_written_down() {
        let query = "a=1&selvedge-token=1.a.2&selvedge%2dtoken=3&b";
        assert_eq!(access("").without_token(query), "a=1&b");
        let said = |value: &str| format!("CMCD=nor%3D%22b.ts%3Fselvedge-token{value}%26x%22");
        for sign in ["%3D", "%253D", "%25253d", "="] {
            let query = said(&format!("{sign}1.a.9_-"));
            assert_eq!(access("").without_token(&query), said(sign));
        }
        for other in ["s%3D1", "", "%3B1"] {
            assert_eq!(access("").without_token(&said(other)), said(other), "another name");
        }
        let short = access("signed_name = \"t\"");
        assert_eq!(short.without_token("start=1&x=%26t%3D1"), "start=1&x=%26t%3D");
    }

    fn cookies(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().filter_map(|line| HeaderValue::from_str(line).ok());
        lines.map(|line| (header::COOKIE, line)).collect()
    }

    #[test]
    fn the_token_goes_from_the_cookies_and_the_others_stay() {
        let access = access("");
        for (before, after) in [
            (&["a=1; b=2"][..], &["a=1; b=2"][..]),
            (&["selvedge-token=x"], &[]),
            (&["a=1;selvedge-token=x ;b=2"], &["a=1; b=2"]),
            (&["selvedge-token=x", "a=selvedge-token"], &["a=selvedge-token"]),
            (&["selvedge-token; selvedge-token = y; selvedge-tokens=1"], &["selvedge-tokens=1"]),
        ] {
            let mut headers = cookies(before);
            access.strip(&mut headers);
            let left: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
            assert_eq!(left, after, "{before:?}");
        }
    }

    const FIELD: &str = ".{0,20}(;? ?selvedge-token=[a-z;=]{0,9}){0,3}.{0,9}";

    proptest! {
        /// Whatever a client sends as cookies: none by the token's name is left, and no other goes.
        #[test]
        fn no_cookie_field_keeps_a_token(line in FIELD) {
            let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) else { return Ok(()) };
            let access = access("");
            let mut headers = HeaderMap::from_iter([(header::COOKIE, value)]);
            access.strip(&mut headers);
            let pairs = |text: &[u8]| -> Vec<Vec<u8>> {
                let pairs = text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
                let others = pairs.filter(|pair| !pair.is_empty() && !access.is_own(pair));
                others.map(<[u8]>::to_vec).collect()
            };
            let left = headers.get(header::COOKIE).map(HeaderValue::as_bytes).unwrap_or_default();
            let found = token::find(&access.name, "", str::from_utf8(left).ok());
            prop_assert_eq!(found, Err(token::Denied::Missing));
            prop_assert_eq!(pairs(line.as_bytes()), pairs(left));
        }
    }
}
