//! Where the fragments of a page come from: an origin, or the files of a folder.

use super::usage;
use crate::problem::Problem;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use selvedge_esi::surrogate::SurrogateControl;
use selvedge_esi::{Base, Include, Limits, Scheme, Template, resolve};
use selvedge_net::{
    Client, ClientSettings, ClientShared, ClientTls, Counters, Deadlines, OutgoingBody, Reuse,
    Target, Tasks, UpstreamScheme,
};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest fragment that is read.
const BYTES_MAX: usize = 16 << 20;
const CONNECT: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(10);

/// Where fragments come from.
pub(super) enum Source {
    Folder(PathBuf),
    Origin { client: Client, target: Target, path: String },
}

/// A fragment.
pub(super) struct Got {
    pub(super) body: Vec<u8>,
    /// How it came, in words.
    pub(super) status: String,
    /// It has tags itself.
    pub(super) is_page: bool,
    pub(super) uri: Uri,
}

impl Source {
    /// A folder, or the URL of a page. Call it on a `LocalSet`.
    pub(super) fn open(base: &str) -> Result<Self, Problem> {
        if !base.contains("://") {
            let folder = PathBuf::from(base);
            if !folder.is_dir() {
                return Err(usage(format!("{base:?} is neither a URL nor a folder")));
            }
            return Ok(Self::Folder(folder));
        }
        let bad = || usage(format!("{base:?} is no URL of a page: http://host:port/path"));
        let uri: Uri = base.parse().map_err(|_| bad())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(bad());
        };
        let target = Target::parse(&format!("{scheme}://{authority}")).ok_or_else(bad)?;
        let target = match target.scheme() {
            UpstreamScheme::Https => target.with_tls(ClientTls::load(&[])?),
            _ => target,
        };
        let (settings, counters) = (ClientSettings::default(), Arc::new(Counters::default()));
        let shared = ClientShared::new(settings, ClientTls::load(&[])?, counters);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self::Origin { client: Client::new(shared, Tasks::local()), target, path })
    }

    /// The path of the page, if nobody says another one.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Folder(_) => "/",
            Self::Origin { path, .. } => path,
        }
    }

    /// The host that the page sees.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Folder(_) => "localhost".to_owned(),
            Self::Origin { target, .. } => target.authority(),
        }
    }

    fn scheme(&self) -> Scheme {
        match self {
            Self::Origin { target, .. } if target.scheme() == UpstreamScheme::Https => {
                Scheme::Https
            }
            _ => Scheme::Http,
        }
    }

    /// A fragment, or why it is not there.
    pub(super) async fn fetch(
        &self,
        src: &str,
        include: &Include,
        page_path: &str,
        headers: &HeaderMap,
    ) -> Result<Got, String> {
        let host = self.host();
        let base = Base { scheme: self.scheme(), host: &host, path: page_path, query: None };
        let target = resolve(&base, src).map_err(|refusal| refusal.word().to_owned())?;
        if target.authority.as_ref().is_some_and(|authority| *authority != host) {
            return Err("another host: an edge asks only those in esi_origins of the site".into());
        }
        let uri: Uri = target.path_and_query.parse().map_err(|_| "no valid target".to_owned())?;
        match self {
            Self::Folder(folder) => file(folder, uri),
            Self::Origin { client, target, .. } => {
                let limit = include.max_wait.unwrap_or(WAIT);
                let asked = ask(client, target, uri, include, headers);
                let answer = tokio::time::timeout(limit, asked).await;
                answer.unwrap_or_else(|_| Err(format!("no answer in {} ms", limit.as_millis())))
            }
        }
    }
}

/// A file of the folder.
fn file(folder: &Path, uri: Uri) -> Result<Got, String> {
    let named = uri.path().trim_start_matches('/');
    let is_below = Path::new(named).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_below {
        return Err(format!("{named:?} is outside of the folder"));
    }
    let path = match named {
        "" => folder.join("index.html"),
        _ => folder.join(named),
    };
    let body = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = bytes::Bytes::copy_from_slice(&body);
    let is_page = !Template::parse([text], Limits::default()).is_plain();
    Ok(Got { body, status: "file".to_owned(), is_page, uri })
}

/// The answer of the origin.
async fn ask(
    client: &Client,
    target: &Target,
    uri: Uri,
    include: &Include,
    headers: &HeaderMap,
) -> Result<Got, String> {
    let is_post = include.method == selvedge_esi::Method::Post;
    let entity = include.entity.clone().filter(|_| is_post);
    let length = entity.as_ref().map(bytes::Bytes::len);
    let mut request = Request::new(entity.map_or_else(OutgoingBody::empty, OutgoingBody::full));
    *request.method_mut() = if is_post { Method::POST } else { Method::GET };
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers.clone();
    include.headers.iter().for_each(|change| change.apply(request.headers_mut()));
    let host = HeaderValue::try_from(target.authority()).map_err(|error| error.to_string())?;
    request.headers_mut().insert(header::HOST, host);
    let capability = selvedge_esi::surrogate::capability("selvedge");
    if let Ok(capability) = HeaderValue::try_from(capability) {
        request.headers_mut().insert("surrogate-capability", capability);
    }
    if let Some(length) = length {
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let deadlines = Deadlines { connect: CONNECT, first_byte: WAIT, idle: WAIT };
    let sent = client.send(target, request, &deadlines, Reuse::Pooled).await;
    let (head, body) = sent.map_err(|failure| failure.error.to_string())?.response.into_parts();
    let status = head.status;
    if !status.is_success() {
        return Err(format!("status {}", status.as_u16()));
    }
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        return Err("it has a content coding; an edge takes that off, this does not".into());
    }
    let body = Limited::new(body, BYTES_MAX).collect().await;
    let body = body.map_err(|error| format!("it broke off: {error}"))?.to_bytes().to_vec();
    let lines = head.headers.get_all("surrogate-control").iter().map(HeaderValue::as_bytes);
    let is_page = SurrogateControl::parse(lines, "").wants_esi();
    Ok(Got { body, status: format!("status {}", status.as_u16()), is_page, uri })
}
