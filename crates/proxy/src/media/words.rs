//! What a request says of a stream: directives of low-latency HLS, which belong to the key in one
//! form, and what a player tells of itself (CMCD), which does not.

use crate::carries::Carries;
use crate::plan::Site;
use http::Request;
use selvedge_media::{Cmcd, Directives, DirectivesFault, query};
use std::borrow::Cow;

/// What a request says beside its path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    /// The playlist that is waited for.
    pub(super) directives: Option<Directives>,
    /// Directives that make no sense: the origin is to say so, to this client alone.
    pub(crate) fault: Option<DirectivesFault>,
    pub(super) cmcd: Option<Box<Cmcd>>,
    /// Nobody has sent it: it is fetched before a player asks.
    pub(super) is_ahead: bool,
}

impl Words {
    /// Those of a request, and its query as it counts.
    pub(crate) fn of<'q, B>(
        site: &Site,
        carries: Carries,
        req: &'q Request<B>,
    ) -> (Self, Option<Cow<'q, str>>) {
        let fields = carries.cmcd.then_some(req.headers());
        Self::counted(site, req.uri().path(), req.uri().query(), fields)
    }

    /// Those of a request that a player will send, and its query as it will count.
    pub(crate) fn ahead<'q>(
        site: &Site,
        path: &str,
        query: Option<&'q str>,
    ) -> (Self, Option<Cow<'q, str>>) {
        let (words, query) = Self::counted(site, path, query, None);
        (Self { cmcd: None, is_ahead: true, ..words }, query)
    }

    fn counted<'q>(
        site: &Site,
        path: &str,
        query: Option<&'q str>,
        fields: Option<&http::HeaderMap>,
    ) -> (Self, Option<Cow<'q, str>>) {
        let Some(media) = &site.media else {
            return (Self::default(), site.query.apply_to(query));
        };
        let (words, rest) = Self::take(query, fields, || media.may_be_playlist(path));
        let rest = match rest {
            Some(Cow::Borrowed(rest)) => site.query.apply_to(Some(rest)),
            rest => site.query.apply_to(rest.as_deref()).map(|it| Cow::Owned(it.into_owned())),
        };
        let query = words.complete(rest);
        (words, query)
    }

    /// Those of a request, and its query without them. `fields` are asked for if the request has
    /// some of CMCD. Of what is no playlist directives are pairs of a query like any others: the
    /// site may ignore them.
    fn take<'q>(
        query: Option<&'q str>,
        fields: Option<&http::HeaderMap>,
        is_playlist: impl FnOnce() -> bool,
    ) -> (Self, Option<Cow<'q, str>>) {
        let mut words = Self::default();
        if let Some(fields) = fields {
            let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            words.cmcd = Cmcd::from_headers(fields).map(Box::new);
        }
        let Some(text) = query else { return (words, None) };
        let mut rest = Cow::Borrowed(text);
        match Directives::parse(text) {
            Ok(None) => {}
            _ if !is_playlist() => {}
            Ok(directives) => {
                words.directives = directives;
                rest = Cow::Owned(query::without(&rest, &Directives::NAMES).into_owned());
            }
            Err(fault) => words.fault = Some(fault),
        }
        if text.contains(selvedge_media::cmcd::QUERY_NAME) || text.contains('%') {
            words.cmcd = Cmcd::from_query(text).map(Box::new).or(words.cmcd);
            if let Cow::Owned(without) = Cmcd::strip(&rest) {
                rest = Cow::Owned(without);
            }
        }
        // A query that was empty from the start stays one.
        let is_gone = rest.is_empty() && !text.is_empty();
        (words, (!is_gone).then_some(rest))
    }

    /// Whether a next hop may hold the request back for long.
    pub(crate) fn may_be_held(&self) -> bool {
        self.directives.as_ref().is_some_and(Directives::may_block)
    }

    /// A target without the directives that are at its end.
    pub(crate) fn plain<'t>(&self, path_and_query: &'t str) -> &'t str {
        let Some(directives) = &self.directives else { return path_and_query };
        let plain = path_and_query.strip_suffix(&*directives.key());
        plain.map_or(path_and_query, |plain| plain.trim_end_matches(['?', '&']))
    }

    /// A query with the directives at its end.
    fn complete<'q>(&self, query: Option<Cow<'q, str>>) -> Option<Cow<'q, str>> {
        let Some(directives) = &self.directives else { return query };
        let own = directives.key();
        Some(match query {
            Some(query) if !query.is_empty() => format!("{query}&{own}").into(),
            _ => own.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Words;
    use http::HeaderMap;

    fn query(text: &str) -> Option<String> {
        let (words, rest) = Words::take(Some(text), None, || true);
        words.complete(rest).map(std::borrow::Cow::into_owned)
    }

    #[test]
    fn directives_have_one_form_at_the_end() {
        let one = query("_HLS_part=2&a=1&_HLS_msn=07");
        assert_eq!(one.as_deref(), Some("a=1&_HLS_msn=7&_HLS_part=2"));
        assert_eq!(query("a=1&_HLS_msn=7&%5fHLS_part=2"), one);
        assert_eq!(query("_HLS_skip=YES").as_deref(), Some("_HLS_skip=YES"));
        assert_eq!(query("").as_deref(), Some(""));
        assert_eq!(query("a").as_deref(), Some("a"));
    }

    #[test]
    fn directives_without_sense_stay_as_they_are() {
        let (words, rest) = Words::take(Some("_HLS_part=2"), None, || true);
        assert!(words.fault.is_some() && words.directives.is_none());
        assert_eq!(rest.as_deref(), Some("_HLS_part=2"));
    }

    #[test]
    fn directives_are_for_playlists_alone() {
        for text in ["_HLS_msn=7", "_HLS_part=2", "_HLS_msn=7&_HLS_msn=8"] {
            let (words, rest) = Words::take(Some(text), None, || false);
            assert!(words.fault.is_none() && words.directives.is_none(), "{text}");
            assert_eq!(rest.as_deref(), Some(text));
        }
    }

    #[test]
    fn what_players_say_is_in_no_key() {
        let (words, rest) = Words::take(Some("a=1&CMCD=bs%2Csid%3D%22x%22"), None, || true);
        assert_eq!(rest.as_deref(), Some("a=1"));
        assert!(words.cmcd.is_some_and(|cmcd| cmcd.starved));
        assert_eq!(query("CMCD=bs"), None);
        let mut headers = HeaderMap::new();
        headers.insert("cmcd-status", "bs".parse().expect("a value"));
        let (words, rest) = Words::take(None, Some(&headers), || true);
        assert!(rest.is_none() && words.cmcd.is_some_and(|cmcd| cmcd.starved));
    }
}
