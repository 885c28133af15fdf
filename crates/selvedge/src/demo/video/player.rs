//! The page that plays, and the players' libraries, which are not ours: they come from npm, into a
//! folder that `--players` names.

use super::answer;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use selvedge_net::OutgoingBody;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The libraries that were found, as (path, script).
#[derive(Clone, Default)]
pub(in crate::demo) struct Libraries(Arc<[(&'static str, Bytes)]>);

/// Where the page finds a library, and where npm puts it.
const LIBRARIES: [(&str, &str); 3] = [
    ("/player/hls.js", "node_modules/hls.js/dist/hls.min.js"),
    ("/player/dash.js", "node_modules/dashjs/dist/modern/umd/dash.all.min.js"),
    ("/player/shaka.js", "node_modules/shaka-player/dist/shaka-player.compiled.js"),
];

impl Libraries {
    /// Reads those that npm has put into a folder; none of them is an error.
    pub(in crate::demo) fn read(folder: &Path) -> io::Result<Self> {
        let mut found = Vec::new();
        for (path, file) in LIBRARIES {
            match std::fs::read(folder.join(file)) {
                Ok(script) => found.push((path, Bytes::from(script))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if found.is_empty() {
            let hint = format!(
                "there are no players in it: npm install --prefix {} {NAMES}",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, hint));
        }
        Ok(Self(found.into()))
    }

    /// Their names, for people.
    pub(in crate::demo) fn names(&self) -> String {
        let names = self.0.iter().map(|(path, _)| path.trim_start_matches("/player/"));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// What npm calls them.
pub(in crate::demo) const NAMES: &str = "hls.js dashjs shaka-player";

/// The page, its script, or a library.
pub(super) fn file(path: &str, libraries: &Libraries) -> Option<Response<OutgoingBody>> {
    let (content_type, body) = match path {
        "/player" => ("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes())),
        "/player/player.js" => ("text/javascript", Bytes::from_static(SCRIPT.as_bytes())),
        _ => {
            let (_, script) = libraries.0.iter().find(|(known, _)| *known == path)?;
            ("text/javascript", script.clone())
        }
    };
    let mut response = answer(StatusCode::OK, OutgoingBody::full(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    Some(response)
}

const PAGE: &str = include_str!("player.html");
const SCRIPT: &str = include_str!("player.js");
