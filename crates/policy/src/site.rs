//! What a site may decide about caching, with safe defaults.
//!
//! The defaults follow RFC 9111 to the letter where it says MUST; where it leaves a choice they
//! take the careful one. Whoever writes a configuration may loosen them; nothing here can make a
//! response reusable that says `no-store` or `private`.

use std::time::Duration;

/// Whether `Cache-Control` of requests is obeyed. RFC 9111 5.2.1 calls it advisory.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// `max-age`, `min-fresh`, `max-stale`, `no-cache`, `no-store`, `only-if-cached` and
    /// `stale-if-error` of clients count.
    Honour,
    /// They do not: a client cannot make a shared cache fetch. The default, as on other CDNs.
    #[default]
    Ignore,
}

/// What becomes of a response with `Set-Cookie`. Every choice leaves `no-cache="set-cookie"`
/// alone: there the field is cut and the rest stored.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum SetCookie {
    /// Stored with its cookie if the response itself gives a lifetime above zero (`s-maxage`,
    /// `max-age`, `Expires`, a targeted field) or says `public`; never with `no-cache`, by
    /// heuristics or by a site's default (RFC 9111 7.3 leaves it to explicit directives).
    #[default]
    WhenExplicit,
    /// Stored only if it says `public` or `s-maxage`, or a targeted field governs it.
    WhenShared,
    /// Stored by the ordinary rules, without the field.
    Strip,
    /// Never stored.
    Never,
}

/// What to make of an `Age` that is not one non-negative integer (RFC 9111 5.1).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum OddAge {
    /// The age is unknown, so the response is taken for stale: it is revalidated once more than
    /// needed, where the RFC's SHOULD could let an old one pass as new. A list that was written as
    /// one value without space (`0,7200`) counts by its first member; a value with `, ` in it is
    /// what joining several field lines gives, and is treated as several lines are.
    #[default]
    Stale,
    /// To the letter of RFC 9111 5.1: the first member counts, an invalid one is ignored.
    Ignore,
}

/// What to make of a 304 to our own conditional request whose strong validator is not the stored
/// one (RFC 9111 4.3.4: such a 304 must not update anything).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum OddNotModified {
    /// No field is updated, but the stored response was validated (RFC 9111 4.2.3 counts its age
    /// from there), so its own lifetime starts again.
    #[default]
    Restart,
    /// It counts as no answer: the proxy fetches again without conditions.
    Refetch,
}

/// Rules of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRules {
    /// Lifetime of a success (200, 203, 204, 300, 301, 308) whose origin gives none.
    pub ttl_default: Option<Duration>,
    /// Lifetime of 404, 405, 410, 414, 451 and 501 whose origin gives none.
    pub ttl_error: Option<Duration>,
    /// Lifetime of 429, 500, 502, 503 and 504 whose origin gives none.
    pub ttl_failure: Option<Duration>,
    /// The longest a 400, 408, 413, 414, 429, 431 or 5xx is kept whatever its origin says, so that
    /// a provoked error cannot stand for long.
    pub ttl_failure_max: Duration,
    /// Shorter lifetimes are raised to this, explicit ones too. Leave at zero to obey the origin.
    pub ttl_min: Duration,
    /// Longer lifetimes are cut to this.
    pub ttl_max: Duration,
    /// Whether a lifetime may be guessed from `Last-Modified` (RFC 9111 4.2.2: a tenth).
    pub heuristic: bool,
    /// The longest guess.
    pub heuristic_max: Duration,
    /// Whether responses to requests with `Cookie` may live by a guess or a site default. Explicit
    /// lifetimes always count.
    pub cookie_heuristic: bool,
    /// Window after expiry in which a stale response answers while it is refreshed (RFC 5861 3),
    /// for responses that do not say.
    pub stale_while_revalidate: Duration,
    /// Window after expiry in which a stale response answers when the origin fails (RFC 5861 4),
    /// for responses that do not say. Neither window applies beside `s-maxage`, nor to a response
    /// that has no lifetime from anybody.
    pub stale_if_error: Duration,
    /// Neither window is longer, whoever gives it.
    pub stale_max: Option<Duration>,
    /// Whether `no-cache`, `must-revalidate` and `proxy-revalidate` of responses do not count: what
    /// the site says of lifetimes is to be believed instead.
    pub overrides_no_cache: bool,
    /// Whether request directives count.
    pub client_directives: ClientDirectives,
    /// The languages the site is made in, lower-case (`en`, `de-ch`). When given, two
    /// `Accept-Language` fields are the same if they lead to the same one of these.
    pub vary_languages: Vec<String>,
    /// Whether a stored response in the one language a client likes best may answer it, though it
    /// was made for another `Accept-Language`.
    pub vary_content_language: bool,
    /// What becomes of responses with `Set-Cookie`.
    pub set_cookie: SetCookie,
    /// What to make of odd `Age` fields.
    pub odd_age: OddAge,
    /// What to make of a 304 with another validator.
    pub odd_not_modified: OddNotModified,
    /// Whether a POST response with its own URL in `Content-Location` and an explicit lifetime is
    /// stored for later GETs (RFC 9110 9.3.3).
    pub store_post: bool,
    /// How long the proxy remembers that a key gave an uncacheable answer.
    pub hit_for_miss: Duration,
}

impl Default for SiteRules {
    fn default() -> Self {
        Self {
            ttl_default: None,
            ttl_error: None,
            ttl_failure: None,
            ttl_failure_max: Duration::from_secs(300),
            ttl_min: Duration::ZERO,
            ttl_max: Duration::from_secs(365 * 24 * 3600),
            heuristic: true,
            heuristic_max: Duration::from_secs(24 * 3600),
            cookie_heuristic: false,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_max: None,
            overrides_no_cache: false,
            client_directives: ClientDirectives::Ignore,
            vary_languages: Vec::new(),
            vary_content_language: true,
            set_cookie: SetCookie::WhenExplicit,
            odd_age: OddAge::Stale,
            odd_not_modified: OddNotModified::Restart,
            store_post: true,
            hit_for_miss: Duration::from_secs(120),
        }
    }
}

impl SiteRules {
    /// Whether request directives count.
    pub fn honours_clients(&self) -> bool {
        self.client_directives == ClientDirectives::Honour
    }
}
