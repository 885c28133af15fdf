//! From a sitemap or a manifest to URLs. Pure: text in, URLs out; the fetching is done elsewhere.

use quick_xml::Reader;
use quick_xml::events::Event;
use url::Url;

/// What a document names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// URLs to fetch.
    pub(crate) urls: Vec<String>,
    /// Documents of the same kind, to be looked into.
    pub(crate) more: Vec<String>,
}

/// Reads a sitemap or an index of them (sitemaps.org, 0.9).
pub(crate) fn sitemap(base: &str, text: &str, max: usize) -> Result<Named, String> {
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
                if is_index { named.more.push(url) } else { named.urls.push(url) }
            }
            Event::Eof => return Ok(named),
            _ => {}
        }
        if named.urls.len() + named.more.len() > max {
            return Err(format!("names more than {max} URLs"));
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
pub(crate) fn manifest(base: &str, text: &str, max: usize) -> Result<Named, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut named = Named::default();
    if text.trim_start().starts_with('[') {
        let list: Vec<String> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for url in list.iter().take(max + 1) {
            named.urls.push(joined(base, url)?);
        }
    } else {
        let is_playlist = text.starts_with("#EXTM3U");
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix('#') {
                Some(tag) if is_playlist => hls_tag(base, tag, &mut named)?,
                Some(_comment) => {}
                None => hls_uri(base, line, &mut named)?,
            }
            if named.urls.len() > max {
                break;
            }
        }
    }
    if named.urls.len() > max {
        return Err(format!("names more than {max} URLs"));
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
        named.more.push(url.clone());
    }
    named.urls.push(url);
    Ok(())
}

/// A reference, resolved (RFC 3986 5).
fn joined(base: &str, reference: &str) -> Result<String, String> {
    let wrong = |error: url::ParseError| format!("{reference:?}: {error}");
    let base = Url::parse(base).map_err(wrong)?;
    let mut url = base.join(reference).map_err(wrong)?;
    url.set_fragment(None);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://a.test/dir/index.xml";

    #[test]
    fn sitemaps_and_indexes_of_them() {
        let text = "<?xml version='1.0'?>\
            <urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
            <url><loc> https://a.test/x?a=1&amp;b=2 </loc></url><url><loc>/y</loc></url></urlset>";
        let named = sitemap(BASE, text, 10).expect("a sitemap");
        assert_eq!(named.urls, ["https://a.test/x?a=1&b=2", "https://a.test/y"]);
        let text = "<sitemapindex><sitemap><loc>two.xml</loc></sitemap></sitemapindex>";
        assert_eq!(sitemap(BASE, text, 10).expect("an index").more, ["https://a.test/dir/two.xml"]);
        assert!(
            sitemap(BASE, "<urlset><url><loc>/1</loc><loc>/2</loc></url></urlset>", 1).is_err()
        );
        assert!(sitemap(BASE, "<a></b>", 1).is_err());
    }

    #[test]
    fn playlists_lists_and_lines() {
        let text = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\nseg1.m4s\n\
                    #EXTINF:4,\n/seg2.m4s\n";
        let named = manifest("https://a.test/v/main.m3u8", text, 10).expect("a playlist");
        let segments =
            ["https://a.test/v/init.mp4", "https://a.test/v/seg1.m4s", "https://a.test/seg2.m4s"];
        assert_eq!((named.urls, named.more), (segments.map(str::to_owned).to_vec(), vec![]));
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8?x\n";
        let named = manifest("https://a.test/v/main.m3u8", text, 10).expect("a playlist");
        assert_eq!(named.more, ["https://a.test/v/low.m3u8?x"]);
        assert_eq!(manifest(BASE, "[\"/a\"]", 10).expect("a list").urls, ["https://a.test/a"]);
        let lines = manifest(BASE, "# mine\n/a\n\nb\n", 10).expect("lines").urls;
        assert_eq!(lines, ["https://a.test/a", "https://a.test/dir/b"]);
        assert!(manifest(BASE, "/a\n/b\n", 1).is_err());
    }
}
