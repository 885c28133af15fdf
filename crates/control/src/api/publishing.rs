//! From bodies in storage to objects that nodes serve: one change of a site's objects, decided at
//! once and made at once.
//!
//! Nodes ask for a path only if it is pushed, so a folder and its index are two paths of one
//! object: whoever publishes `/docs/index.html` publishes `/docs/` with it, and whoever removes the
//! one removes the other, unless `/docs/` has become something else. An index wins over what was
//! published as `/docs/` before; in one change, what is put as `/docs/` itself wins.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use axum::body::Body;
use http::StatusCode;
use serde::Serialize;

use super::bodies;
use super::metadata::Metadata;
use super::paths::folder_of_index;
use super::{App, REVISION};
use crate::blobs::{Incoming, KEEP_MS, Stored};
use crate::desk::{Asker, Decision, Moment, Reply};
use crate::problem::{Kind, Problem};
use crate::state::digest::Digest;
use crate::state::record::{Deed, Object};
use crate::state::{Site, State};

/// Objects of all sites at most.
const OBJECTS_MAX: u64 = 10_000_000;

/// An object that is to be published.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) path: String,
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
    pub(crate) metadata: Metadata,
}

/// What is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Nothing.
    Nothing,
    /// These paths, as far as they are there.
    Paths(Vec<String>),
    /// Everything below this folder that is not put.
    Rest(String),
}

/// A change of the objects of a site.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    site: String,
    put: BTreeMap<String, Put>,
    removal: Removal,
}

#[derive(Clone, Debug)]
struct Put {
    object: Arc<Object>,
    /// It was asked for, and does not come with its index.
    is_asked: bool,
}

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Published {
    /// Objects that are new or different now.
    pub(crate) put: u64,
    /// Objects that were so already.
    pub(crate) unchanged: u64,
    /// Paths that are gone.
    pub(crate) removed: u64,
    /// The revision at which all of it is so.
    pub(crate) revision: u64,
}

impl Change {
    /// Puts these, the last one of each path, and removes those.
    pub(crate) fn new(site: &str, drafts: Vec<Draft>, removal: Removal, now_ms: i64) -> Self {
        let mut put = BTreeMap::new();
        for draft in drafts {
            let object = Arc::new(Object {
                sha256: draft.sha256,
                bytes: draft.bytes,
                content_type: draft.metadata.content_type,
                cache_control: draft.metadata.cache_control,
                tags: draft.metadata.tags,
                at_ms: now_ms,
            });
            put.insert(draft.path, Put { object, is_asked: true });
        }
        let index = |(path, put): (&String, &Put)| {
            Some((folder_of_index(path)?.to_owned(), Arc::clone(&put.object)))
        };
        let folders: Vec<_> = put.iter().filter_map(index).collect();
        for (folder, object) in folders {
            put.entry(folder).or_insert(Put { object, is_asked: false });
        }
        Self { site: site.to_owned(), put, removal }
    }

    /// The deed that makes it so, unless it is so already.
    pub(crate) fn decide(
        self,
        state: &State,
        moment: Moment<'_>,
        bytes_max: u64,
    ) -> Result<(Option<Deed>, Published), Problem> {
        let site = pushable(state, &self.site)?;
        let removed = self.removed(site);
        let (mut put, mut asked, mut unchanged) = (Vec::new(), 0, 0);
        let (mut bytes, mut bodies) = (0_u64, HashSet::new());
        for (path, Put { object, is_asked }) in self.put {
            if site.objects.get(path.as_str()).is_some_and(|known| is_same(known, &object)) {
                unchanged += u64::from(is_asked);
                continue;
            }
            if !state.blobs.contains_key(&object.sha256) && bodies.insert(object.sha256) {
                bytes = bytes.saturating_add(object.bytes);
            }
            asked += u64::from(is_asked);
            put.push((path, object));
        }
        room(state, bytes, bytes_max)?;
        if state.objects.saturating_add(put.len() as u64) > OBJECTS_MAX && !put.is_empty() {
            let detail = format!("there can be {OBJECTS_MAX} objects at most");
            return Err(Problem::new(Kind::Quota, detail));
        }
        let is_nothing = put.is_empty() && removed.is_empty();
        let published = Published {
            put: asked,
            unchanged,
            removed: removed.len() as u64,
            revision: if is_nothing { state.revision } else { moment.revision },
        };
        let deed = Deed::Published { site: self.site, put, removed };
        Ok(((!is_nothing).then_some(deed), published))
    }

    fn removed(&self, site: &Site) -> Vec<String> {
        let mut removed = Vec::new();
        match &self.removal {
            Removal::Nothing => {}
            Removal::Rest(folder) => {
                removed.extend(below(site, folder).map(|(path, _)| path.to_string()));
            }
            Removal::Paths(paths) => {
                for path in paths {
                    let Some(object) = site.objects.get(path.as_str()) else { continue };
                    let folder = folder_of_index(path).filter(|folder| {
                        site.objects.get(*folder).is_some_and(|it| it.sha256 == object.sha256)
                    });
                    removed.extend(folder.map(str::to_owned));
                    removed.push(path.clone());
                }
                removed.sort_unstable();
                removed.dedup();
            }
        }
        removed.retain(|path| !self.put.contains_key(path));
        removed
    }
}

/// The objects whose paths begin so, in their order.
pub(crate) fn below<'s>(
    site: &'s Site,
    prefix: &'s str,
) -> impl Iterator<Item = (&'s Arc<str>, &'s Arc<Object>)> {
    let bounds = (Bound::Included(prefix), Bound::Unbounded);
    let from = site.objects.range::<(Bound<&str>, Bound<&str>), str>(bounds);
    from.take_while(move |(path, _)| path.starts_with(prefix))
}

/// Whether an object is served the same, whenever it was put.
fn is_same(known: &Object, object: &Object) -> bool {
    let at = |object: &Object| Object { at_ms: 0, ..object.clone() };
    known.sha256 == object.sha256 && at(known) == at(object)
}

/// The site, if objects can be pushed to it.
pub(crate) fn pushable<'s>(state: &'s State, name: &str) -> Result<&'s Site, Problem> {
    let site = state.site(name).ok_or_else(|| Problem::not_found("site", name))?;
    let pushes = site.current().and_then(|(_, document)| document.get("push")?.as_bool());
    if pushes == Some(true) {
        return Ok(site);
    }
    let detail = format!("the site {name:?} has no pushed content: set `push = true` in it first");
    Err(Problem::new(Kind::Conflict, detail))
}

/// Whether there is room for so many more bytes.
pub(crate) fn room(state: &State, bytes: u64, bytes_max: u64) -> Result<(), Problem> {
    room_beside(state, 0, bytes, bytes_max)
}

/// Whether there is room for so many more bytes beside what open uploads have.
pub(crate) fn room_beside(
    state: &State,
    open: u64,
    bytes: u64,
    bytes_max: u64,
) -> Result<(), Problem> {
    let published = state.bytes;
    let taken = published.saturating_add(open);
    if bytes == 0 || taken.saturating_add(bytes) <= bytes_max {
        return Ok(());
    }
    let uploads = match open {
        0 => String::new(),
        open => format!(", {open} by what has come of uploads that are open"),
    };
    let detail = format!(
        "{taken} of {bytes_max} bytes are taken: {published} by what is published{uploads}; \
         {bytes} more were asked for"
    );
    Err(Problem::new(Kind::Quota, detail))
}

/// Receives a whole body into storage, if it is the one that was announced.
pub(crate) async fn receive(
    app: &App,
    mut body: Body,
    expected: Option<Digest>,
) -> Result<Stored, Problem> {
    let mut incoming = Incoming::begin(&app.blobs, app.settings.object_bytes_max)?;
    let is_known = expected.is_some_and(|digest| app.desk.state().blobs.contains_key(&digest));
    let mut bytes = 0_u64;
    while let Some(piece) = bodies::piece(&mut body).await {
        let piece = piece?;
        bytes = bytes.saturating_add(piece.len() as u64);
        // What is there already takes no more room. Nothing is left of what is dropped here.
        room(&app.desk.state(), if is_known { 0 } else { bytes }, app.settings.bytes_max)?;
        incoming.write(piece).await?;
    }
    incoming.finish(expected, app.clock.now_mono_ms()).await
}

/// The length of a body, as far as it is known before it is read; refused if it is too large.
pub(crate) fn length(app: &App, body: &Body) -> Result<u64, Problem> {
    let length = http_body::Body::size_hint(body).lower();
    if length > app.settings.object_bytes_max {
        return Err(crate::blobs::too_large(app.settings.object_bytes_max));
    }
    Ok(length)
}

/// Has a change decided and made whose bodies have just been stored. If it is refused, those that
/// nothing else wants are removed again.
pub(crate) async fn submit(
    app: &App,
    asker: Asker,
    stored: Vec<Stored>,
    decide: impl FnOnce(&State, Moment<'_>) -> Result<Decision, Problem> + Send + 'static,
) -> Result<Reply, Problem> {
    let until_ms = app.clock.now_mono_ms() + KEEP_MS;
    // Whoever asked may go away: the change is made all the same.
    stored.iter().for_each(|stored| stored.hold.keep(until_ms));
    let made = app.desk.submit(asker, decide).await;
    if made.as_ref().is_err_and(|problem| was_refused(problem.kind)) {
        discard(app, stored).await;
    }
    made
}

/// Removes bodies that nothing else wants.
pub(crate) async fn discard(app: &App, mut stored: Vec<Stored>) {
    // One hold of each that is new: a body that is held once more would stay.
    let mut seen = HashSet::new();
    stored.retain(|stored| stored.is_new && seen.insert(stored.digest));
    for stored in stored {
        let digest = stored.digest;
        let is_used = || app.desk.state().blobs.contains_key(&digest);
        app.blobs.discard(stored, is_used).await;
    }
}

/// Whether a change was surely not made. Nobody knows that if the log failed.
const fn was_refused(kind: Kind) -> bool {
    !matches!(kind, Kind::StorageFull | Kind::Unavailable | Kind::Internal)
}

/// A change and its answer.
pub(crate) fn decision(deed: Option<Deed>, reply: Reply) -> Decision {
    match deed {
        Some(deed) => Decision::Do(deed, reply),
        None => Decision::Nothing(reply),
    }
}

/// The answer to a change of several objects.
pub(crate) fn reply(published: &Published) -> Reply {
    let mut reply = bodies::reply(StatusCode::OK, published);
    reply.fields.push((REVISION.to_string(), published.revision.to_string()));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::record::Record;
    use serde_json::json;

    const MOMENT: Moment<'_> = Moment { revision: 2, now_ms: 7, by: "" };

    fn record(revision: u64, deed: Deed) -> Record {
        Record {
            revision,
            at_ms: 0,
            by: String::new(),
            from: String::new(),
            request_id: String::new(),
            deed,
            once: None,
        }
    }

    fn site(push: bool) -> State {
        let mut state = State::default();
        let document = json!({ "hosts": ["a.test"], "push": push });
        state.apply(&record(1, Deed::SitePut { name: "a".into(), document }));
        state
    }

    fn draft(path: &str, body: &str) -> Draft {
        let metadata = Metadata::checked(path, None, None, Vec::new()).expect("valid");
        let (path, bytes) = (path.to_owned(), body.len() as u64);
        Draft { path, sha256: Digest::of(body.as_bytes()), bytes, metadata }
    }

    fn change(drafts: &[(&str, &str)], removal: Removal) -> Change {
        let drafts = drafts.iter().map(|(path, body)| draft(path, body)).collect();
        Change::new("a", drafts, removal, 7)
    }

    fn made(state: &mut State, drafts: &[(&str, &str)], removal: Removal) -> Published {
        let change = change(drafts, removal);
        let (deed, published) = change.decide(state, MOMENT, 1_000).expect("it can be made");
        if let Some(deed) = deed {
            state.apply(&record(state.revision + 1, deed));
        }
        published
    }

    fn paths(state: &State) -> Vec<String> {
        state.sites["a"].objects.keys().map(ToString::to_string).collect()
    }

    fn remove(paths: &[&str]) -> Removal {
        Removal::Paths(paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn a_folder_comes_and_goes_with_its_index() {
        let mut state = site(true);
        let put = [("/docs/index.html", "1"), ("/docs/a", "2")];
        let published = made(&mut state, &put, Removal::Nothing);
        assert_eq!((published.put, published.unchanged), (2, 0));
        assert_eq!(paths(&state), ["/docs/", "/docs/a", "/docs/index.html"]);
        let objects = &state.sites["a"].objects;
        assert_eq!(objects["/docs/"], objects["/docs/index.html"]);
        assert_eq!(made(&mut state, &put, Removal::Nothing).unchanged, 2);
        made(&mut state, &[], remove(&["/docs/index.html"]));
        assert_eq!(paths(&state), ["/docs/a"]);
    }

    #[test]
    fn a_folder_that_is_something_else_stays() {
        let mut state = site(true);
        made(&mut state, &[("/index.html", "1"), ("/", "own")], Removal::Nothing);
        let root = |state: &State| state.sites["a"].objects["/"].sha256;
        assert_eq!(root(&state), Digest::of(b"own"));
        made(&mut state, &[], remove(&["/index.html"]));
        assert_eq!(paths(&state), ["/"]);
        made(&mut state, &[("/index.html", "2")], Removal::Nothing);
        assert_eq!(root(&state), Digest::of(b"2"));
    }

    #[test]
    fn the_rest_goes_and_what_is_put_stays() {
        let mut state = site(true);
        let put = [("/a/1", "1"), ("/a/2", "2"), ("/ab", "3"), ("/b", "4")];
        made(&mut state, &put, Removal::Nothing);
        let published = made(&mut state, &[("/a/2", "2")], Removal::Rest("/a/".into()));
        assert_eq!((published.put, published.unchanged, published.removed), (0, 1, 1));
        assert_eq!(paths(&state), ["/a/2", "/ab", "/b"]);
        let both = made(&mut state, &[("/b", "5")], remove(&["/b", "/none"]));
        assert_eq!((both.put, both.removed), (1, 0));
    }

    #[test]
    fn each_new_body_counts_once_against_the_quota() {
        let mut state = site(true);
        made(&mut state, &[("/1", "same"), ("/2", "same")], Removal::Nothing);
        assert_eq!(state.bytes, 4);
        let decide = |drafts: &[(&str, &str)], bytes_max| {
            change(drafts, Removal::Nothing).decide(&state, MOMENT, bytes_max).map(|_| ())
        };
        assert!(decide(&[("/3", "same")], 4).is_ok());
        assert!(decide(&[("/3", "new"), ("/4", "new")], 7).is_ok());
        let refused = decide(&[("/3", "new"), ("/4", "old")], 9).map_err(|it| it.kind);
        assert_eq!(refused, Err(Kind::Quota));
    }

    #[test]
    fn only_a_site_that_says_so_takes_objects() {
        let refused = |state: &State| {
            let change = change(&[("/a", "1")], Removal::Nothing);
            change.decide(state, MOMENT, 1_000).map(|_| ()).map_err(|problem| problem.kind)
        };
        assert_eq!(refused(&State::default()), Err(Kind::NotFound));
        assert_eq!(refused(&site(false)), Err(Kind::Conflict));
        assert_eq!(refused(&site(true)), Ok(()));
    }
}
