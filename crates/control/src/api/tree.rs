//! A whole tree in one request: a tar archive, published all at once.

use std::collections::HashSet;

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use http::{HeaderMap, header};
use serde::Deserialize;
use tokio::sync::mpsc::{self, Receiver, Sender};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::metadata::{Metadata, refuse_coding};
use super::paths::folder_path;
use super::publishing::{
    self, Change, Draft, Published, Removal, decision, discard, pushable, room,
};
use super::tarball::{self, Found, Rules, Stop};
use super::{App, bodies};
use crate::blobs::{self, Incoming, Stored};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::state::digest::{Digest, Hasher};
use crate::state::record::Scope;

/// Pieces of the body, and of files, that wait.
const QUEUE: usize = 8;
/// Small files that are stored at once.
const STORING: usize = 32;
/// Bytes of what is said of the files of a tree, beside their bodies.
const SAID_BYTES_MAX: usize = 32 << 20;

/// Where a tree goes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Where {
    /// The folder it is put below, with its slash; `/` if not given.
    prefix: Option<String>,
    /// Whether what is below the folder and not in the tree is removed.
    #[serde(default)]
    delete: bool,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(push))
}

/// Push a whole tree, published all at once.
///
/// A tar archive of regular files, 100,000 at most. `Cache-Control` and `Surrogate-Key` or
/// `Cache-Tag` are what each of its objects is served with. Either all of it is published or
/// nothing; what is the same already is left as it is. An `index.html` is published as its folder
/// as well.
#[utoipa::path(post, path = "/v1/sites/{site}/tree", tag = "publish",
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    params(("site" = String, Path, description = "The name of the site"), Where),
    responses((status = 200, body = Published),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = 507, body = ProblemBody, content_type = "application/problem+json",
        description = "There is no room left")))]
pub(crate) async fn push(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(site): Path<String>,
    Query(place): Query<Where>,
    mut headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Push, Some(&site))?;
    let folder = folder_path(place.prefix.as_deref().unwrap_or("/"))?;
    refuse_coding(&headers)?;
    let media_type = bodies::media_type(&headers);
    if media_type.is_some_and(|it| !matches!(&*it, "application/x-tar" | "application/tar")) {
        return Err(Problem::new(Kind::Unsupported, "a tree is an application/x-tar"));
    }
    // That is the type of the archive, and each file has its own.
    headers.remove(header::CONTENT_TYPE);
    pushable(&app.desk.state(), &site)?;
    let metadata = Metadata::of_request(&folder, &headers)?;
    let _batch = app.blobs.batch()?;
    let removal = if place.delete { Removal::Rest(folder.clone()) } else { Removal::Nothing };
    let mut tree = Tree::new(&app, metadata);
    if let Err(problem) = tree.receive(folder, body).await {
        discard(&app, tree.stored).await;
        return Err(problem);
    }
    let Tree { drafts, stored, .. } = tree;
    let asker = caller.asker(&asked(&drafts));
    let change = Change::new(&site, drafts, removal, app.clock.now_wall_ms());
    let bytes_max = app.settings.bytes_max;
    let reply = publishing::submit(&app, asker, stored, move |state, moment| {
        let (deed, published) = change.decide(state, moment, bytes_max)?;
        Ok(decision(deed, publishing::reply(&published)))
    });
    Ok(reply.await?.into_response())
}

/// What the request asks for, to know it again.
fn asked(drafts: &[Draft]) -> Vec<u8> {
    let mut hasher = Hasher::new();
    for draft in drafts {
        hasher.update(format!("{} {} {:?}\n", draft.path, draft.sha256, draft.metadata).as_bytes());
    }
    hasher.finish().0.to_vec()
}

/// A tree that is arriving.
struct Tree {
    app: App,
    /// What all of its files are served with.
    metadata: Metadata,
    drafts: Vec<Draft>,
    /// Bytes of what is said of them, beside their bodies.
    said_bytes: usize,
    /// Their bodies; each is held once.
    stored: Vec<Stored>,
    /// Those that were not there before, each once, and their bytes.
    new: HashSet<Digest>,
    new_bytes: u64,
}

/// A file that is stored, or not: where it stands in the archive, and its path.
type Kept = Result<(Draft, Stored), Problem>;

impl Tree {
    fn new(app: &App, metadata: Metadata) -> Self {
        let (drafts, stored) = (Vec::new(), Vec::new());
        let (app, new) = (app.clone(), HashSet::new());
        Self { app, metadata, drafts, said_bytes: 0, stored, new, new_bytes: 0 }
    }

    /// Stores the files of an archive. The last one of a path counts.
    async fn receive(&mut self, folder: String, body: Body) -> Result<(), Problem> {
        let (pieces, read) = mpsc::channel(QUEUE);
        let (give, mut found) = mpsc::channel(QUEUE);
        let rules = Rules { folder, file_bytes_max: self.app.settings.object_bytes_max };
        let reading = tokio::task::spawn_blocking(move || tarball::read(read, &give, &rules));
        let storing = async {
            let stored = self.store(&mut found).await;
            // If it was refused, the archive need not be read to its end.
            found.close();
            stored
        };
        let ((), stored) = tokio::join!(forward(body, pieces), storing);
        let read = reading.await.map_err(|error| {
            Problem::new(Kind::Internal, format!("an archive could not be read: {error}"))
        })?;
        match (stored, read) {
            (Err(refused), Ok(()) | Err(Stop::Nobody)) => Err(refused),
            // A file that ends too early is the fault of the archive.
            (_, Err(Stop::Broken(problem))) => Err(problem),
            (Ok(()), Ok(())) => Ok(()),
            (Ok(()), Err(Stop::Nobody)) => Err(cut_off()),
        }
    }

    async fn store(&mut self, found: &mut Receiver<Found>) -> Result<(), Problem> {
        let app = self.app.clone();
        let (mut small, mut result) = (FuturesOrdered::new(), Ok(()));
        while result.is_ok() {
            let one = tokio::select! {
                Some(stored) = small.next() => {
                    result = self.add(stored);
                    continue;
                }
                one = found.recv(), if small.len() < STORING => one,
            };
            match one {
                None => break,
                Some(Found::Small(path, body)) => {
                    let (app, metadata) = (&app, self.metadata.at(&path));
                    small.push_back(async move {
                        let now_ms = app.clock.now_mono_ms();
                        let stored = blobs::put(&app.blobs, vec![body], None, now_ms).await?;
                        Ok((draft(path, metadata, &stored), stored))
                    });
                }
                Some(Found::Large(path)) => {
                    // In the order of the archive.
                    while let Some(stored) = small.next().await {
                        let added = self.add(stored);
                        result = result.and(added);
                    }
                    let stored = large(&app, found).await;
                    let metadata = self.metadata.at(&path);
                    let kept = stored.map(|stored| (draft(path, metadata, &stored), stored));
                    let added = self.add(kept);
                    result = result.and(added);
                }
                Some(Found::Piece(_) | Found::End) => result = Err(cut_off()),
            }
        }
        // What is on its way is waited for: nothing of it is left if the tree is refused.
        while let Some(stored) = small.next().await {
            let added = self.add(stored);
            result = result.and(added);
        }
        result
    }

    fn add(&mut self, stored: Kept) -> Result<(), Problem> {
        let (draft, stored) = stored?;
        if stored.is_new && self.new.insert(stored.digest) {
            self.new_bytes += stored.bytes;
        }
        self.said_bytes += draft.path.len() + draft.metadata.bytes();
        self.drafts.push(draft);
        self.stored.push(stored);
        if self.said_bytes > SAID_BYTES_MAX {
            let detail = format!(
                "the paths, types, cache rules and tags of a tree may have {SAID_BYTES_MAX} bytes \
                 at most: publish it in parts"
            );
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        room(&self.app.desk.state(), self.new_bytes, self.app.settings.bytes_max)
    }
}

fn draft(path: String, metadata: Metadata, stored: &Stored) -> Draft {
    Draft { path, sha256: stored.digest, bytes: stored.bytes, metadata }
}

/// Stores a file that comes in pieces.
async fn large(app: &App, found: &mut Receiver<Found>) -> Result<Stored, Problem> {
    let mut incoming = Incoming::begin(&app.blobs, app.settings.object_bytes_max)?;
    loop {
        match found.recv().await {
            Some(Found::Piece(piece)) => incoming.write(piece).await?,
            Some(Found::End) => return incoming.finish(None, app.clock.now_mono_ms()).await,
            _ => return Err(cut_off()),
        }
    }
}

/// Hands the body of the request to whoever reads the archive.
async fn forward(mut body: Body, pieces: Sender<Result<Bytes, Problem>>) {
    while let Some(piece) = bodies::piece(&mut body).await {
        let is_last = piece.is_err();
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

fn cut_off() -> Problem {
    Problem::new(Kind::Incomplete, "the archive ends within a file")
}
