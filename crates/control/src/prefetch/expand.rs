//! From a sitemap or a manifest to URLs. Pure: text in, URLs out; the fetching is done elsewhere.

use quick_xml::Reader;
use quick_xml::events::Event;
use url::Url;

use super::URL_BYTES_MAX;

/// Characters of a URL that are shown in a message.
const SHOWN_CHARS: usize = 200;

/// What a document names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// URLs to fetch.
    pub(crate) urls: Vec<String>,
    /// Documents of the same kind, to be looked into.
    pub(crate) more: Vec<String>,
    /// URLs that are too long, cut.
    pub(crate) dropped: Vec<String>,
    /// Bytes of all of them.
    pub(crate) bytes: usize,
}

/// How much a document may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// URLs of all kinds.
    pub(crate) urls: usize,
    /// Bytes of all of them.
    pub(crate) bytes: usize,
}

impl Named {
    pub(crate) fn add(&mut self, url: &str) {
        if let Some(url) = self.fitting(url) {
            self.urls.push(url);
        }
    }

    fn add_document(&mut self, url: &str) {
        if let Some(url) = self.fitting(url) {
            self.more.push(url);
        }
    }

    /// The URL, unless it is too long: then it is noted.
    fn fitting(&mut self, url: &str) -> Option<String> {
        let is_long = url.len() > URL_BYTES_MAX;
        let kept = if is_long { shown(url) } else { url.to_owned() };
        self.bytes += kept.len();
        if is_long {
            self.dropped.push(kept);
            return None;
        }
        Some(kept)
    }

    fn check(&self, limits: Limits) -> Result<(), String> {
        if self.urls.len() + self.more.len() + self.dropped.len() > limits.urls {
            return Err(format!("names more than {} URLs", limits.urls));
        }
        if self.bytes > limits.bytes {
            return Err(format!("names URLs of more than {} bytes", limits.bytes));
        }
        Ok(())
    }
}

/// The beginning of a URL, for messages.
pub(crate) fn shown(url: &str) -> String {
    match url.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}...", &url[..at]),
        None => url.to_owned(),
    }
}

/// Reads a sitemap or an index of them (sitemaps.org, 0.9).
pub(crate) fn sitemap(base: &str, text: &str, limits: Limits) -> Result<Named, String> {
    let mut reader = Reader::from_str(text);
    let mut named = Named::default();
    let (mut is_index, mut in_loc, mut loc) = (false, false, String::new());
    loop {
        match reader.read_event().map_err(|error| format!("is no XML: {error}"))? {
            Event::Start(tag) => match tag.local_name().as_ref() {
                "sitemapindex" => is_index = true,
                "loc" => (in_loc, loc) = (true, String::new()),
                _ => {}
            },
            Event::Text(piece) if in_loc => {
                loc.push_str(&piece);
            }
            Event::GeneralRef(name) if in_loc => loc.push_str(entity(name.as_ref())),
            Event::CData(piece) if in_loc => {
                loc.push_str(&piece);
            }
            Event::End(tag) if tag.local_name().as_ref() == "loc" => {
                in_loc = false;
                let url = joined(base, loc.trim())?;
                if is_index {
                    named.add_document(&url);
                } else {
                    named.add(&url);
                }
                named.check(limits)?;
            }
            Event::Eof => return Ok(named),
            _ => {}
        }
    }
}

fn entity(name: &str) -> &'static str {
    match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => "",
    }
}

/// Reads a manifest: an HLS playlist (RFC 8216), a JSON list of URLs, or a URL on each line.
pub(crate) fn manifest(base: &str, text: &str, limits: Limits) -> Result<Named, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut named = Named::default();
    if text.trim_start().starts_with('[') {
        let list: Vec<String> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for url in &list {
            named.add(&joined(base, url)?);
            named.check(limits)?;
        }
    } else {
        let is_playlist = text.starts_with("#EXTM3U");
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix('#') {
                Some(tag) if is_playlist => hls_tag(base, tag, &mut named)?,
                Some(_comment) => {}
                None => hls_uri(base, line, &mut named)?,
            }
            named.check(limits)?;
        }
    }
    Ok(named)
}

/// The URI in a tag: of a key, an init segment, another rendition.
fn hls_tag(base: &str, tag: &str, named: &mut Named) -> Result<(), String> {
    let Some((_, rest)) = tag.split_once("URI=\"") else { return Ok(()) };
    let uri = rest.split('"').next().unwrap_or_default();
    hls_uri(base, uri, named)
}

fn hls_uri(base: &str, uri: &str, named: &mut Named) -> Result<(), String> {
    let url = joined(base, uri)?;
    let path = url.split(['?', '#']).next().unwrap_or_default();
    if path.ends_with(".m3u8") {
        named.add_document(&url);
    }
    named.add(&url);
    Ok(())
}

/// A reference, resolved (RFC 3986 5).
fn joined(base: &str, reference: &str) -> Result<String, String> {
    let wrong = |error: url::ParseError| format!("{:?}: {error}", shown(reference));
    let base = Url::parse(base).map_err(wrong)?;
    let mut url = base.join(reference).map_err(wrong)?;
    url.set_fragment(None);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://a.test/dir/index.xml";
    const TEN: Limits = Limits { urls: 10, bytes: 1 << 20 };
    const ONE: Limits = Limits { urls: 1, bytes: 1 << 20 };

    #[test]
    fn long_urls_are_left_out_and_all_are_bounded_together() {
        let long = "x".repeat(URL_BYTES_MAX);
        let lines = manifest(BASE, &format!("/a\n/{long}\n"), TEN).expect("lines");
        assert_eq!((lines.urls.len(), lines.dropped.len()), (1, 1));
        assert!(lines.dropped[0].len() < 1_000 && lines.dropped[0].ends_with("..."));
        let text = format!("<urlset><url><loc>/{long}</loc></url></urlset>");
        assert_eq!(sitemap(BASE, &text, TEN).expect("a sitemap").dropped.len(), 1);
        let text = format!("<sitemapindex><sitemap><loc>/{long}</loc></sitemap></sitemapindex>");
        assert_eq!(sitemap(BASE, &text, TEN).expect("an index").more.len(), 0);
        let few = Limits { urls: 10, bytes: 40 };
        assert!(manifest(BASE, "/a\n/b\n", few).is_ok());
        let error = manifest(BASE, "/a\n/b\n/c\n", few).expect_err("it is too much");
        assert!(error.contains("more than 40 bytes"), "{error}");
        let wrong = manifest(BASE, &format!("https://[{long}\n"), TEN).expect_err("no URL");
        assert!(wrong.len() < 1_000, "{wrong}");
    }

    #[test]
    fn sitemaps_and_indexes_of_them() {
        let text = "<?xml version='1.0'?>\
            <urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
            <url><loc> https://a.test/x?a=1&amp;b=2 </loc></url><url><loc>/y</loc></url></urlset>";
        let named = sitemap(BASE, text, TEN).expect("a sitemap");
        assert_eq!(named.urls, ["https://a.test/x?a=1&b=2", "https://a.test/y"]);
        let text = "<sitemapindex><sitemap><loc>two.xml</loc></sitemap></sitemapindex>";
        assert_eq!(
            sitemap(BASE, text, TEN).expect("an index").more,
            ["https://a.test/dir/two.xml"]
        );
        assert!(
            sitemap(BASE, "<urlset><url><loc>/1</loc><loc>/2</loc></url></urlset>", ONE).is_err()
        );
        assert!(sitemap(BASE, "<a></b>", ONE).is_err());
    }

    #[test]
    fn playlists_lists_and_lines() {
        let text = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\nseg1.m4s\n\
                    #EXTINF:4,\n/seg2.m4s\n";
        let named = manifest("https://a.test/v/main.m3u8", text, TEN).expect("a playlist");
        let segments =
            ["https://a.test/v/init.mp4", "https://a.test/v/seg1.m4s", "https://a.test/seg2.m4s"];
        assert_eq!((named.urls, named.more), (segments.map(str::to_owned).to_vec(), vec![]));
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8?x\n";
        let named = manifest("https://a.test/v/main.m3u8", text, TEN).expect("a playlist");
        assert_eq!(named.more, ["https://a.test/v/low.m3u8?x"]);
        assert_eq!(manifest(BASE, "[\"/a\"]", TEN).expect("a list").urls, ["https://a.test/a"]);
        let lines = manifest(BASE, "# mine\n/a\n\nb\n", TEN).expect("lines").urls;
        assert_eq!(lines, ["https://a.test/a", "https://a.test/dir/b"]);
        assert!(manifest(BASE, "/a\n/b\n", ONE).is_err());
    }
}
