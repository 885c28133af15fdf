//! `/cache/...` on the admin listener: what the store holds, as JSON. A stopped node's disks are
//! asked through the same function, without a listener.

use super::report::{Inspection, Line, List, Stat, Verification};
use http::{Method, StatusCode};
use selvedge_proxy::Node;
use selvedge_store::disk::{Cursor, Verified};
use serde::Serialize;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries that one page of a list gives at most.
const LIMIT_MAX: usize = 1_000;
/// Records that are looked at for one page: a page of a site with few entries ends too.
const LOOK_AT: usize = 20_000;

/// Answers questions about a node's store.
#[derive(Clone)]
pub(crate) struct Inspector {
    node: Arc<Node>,
    verification: Arc<Mutex<Verification>>,
}

/// A status and what is said with it.
type Answer = (StatusCode, String);

/// The paths that are answered here, for the index page.
pub(crate) const PATHS: &str = "/cache/stat\n/cache/list\n/cache/inspect?url=\n/cache/verify\n";

impl Inspector {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, verification: Arc::default() }
    }

    /// Answers a request below `/cache/`; `None` if there is no such path.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &str,
    ) -> Option<(StatusCode, String)> {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        match path {
            "/cache/verify" if *method == Method::POST => Some(self.verify()),
            "/cache/verify" if is_read => Some(ok(&*self.verification())),
            "/cache/stat" if is_read => Some(ok(&Stat::of(&self.node))),
            "/cache/list" if is_read => Some(self.list(query).await),
            "/cache/inspect" if is_read => Some(self.inspect(query).await),
            "/cache/verify" | "/cache/stat" | "/cache/list" | "/cache/inspect" => Some(fault(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "GET, and POST to begin a verification",
            )),
            _ => None,
        }
    }

    async fn inspect(&self, query: &str) -> Answer {
        let Some(url) = value(query, "url") else {
            return fault(StatusCode::BAD_REQUEST, "no-url", "say which: ?url=https://host/path");
        };
        match self.node.resources(&url) {
            Ok(resources) => {
                let mut found = Vec::new();
                for resource in &resources {
                    found.push(Inspection::of(&self.node, resource).await);
                }
                ok(&found)
            }
            Err(sentence) => fault(StatusCode::BAD_REQUEST, "url", sentence),
        }
    }

    async fn list(&self, query: &str) -> Answer {
        let limit = match value(query, "limit").map(|text| text.parse::<usize>()) {
            None => 100,
            Some(Ok(limit)) => limit.clamp(1, LIMIT_MAX),
            Some(Err(_)) => return fault(StatusCode::BAD_REQUEST, "limit", "limit is a number"),
        };
        let from = match value(query, "from").map(|text| text.parse::<Cursor>()) {
            None => None,
            Some(Ok(cursor)) => Some(cursor),
            Some(Err(())) => {
                return fault(StatusCode::BAD_REQUEST, "from", "from is what a page gave as next");
            }
        };
        let (site, prefix) = (value(query, "site"), value(query, "prefix"));
        let wanted = |line: &Line| {
            site.as_ref().is_none_or(|site| *site == line.site)
                && prefix.as_ref().is_none_or(|prefix| line.url.starts_with(prefix))
        };
        let store = self.node.store();
        let mut list = List { entries: Vec::new(), looked_at: 0, next: None };
        let mut cursor = from;
        if from.is_none() {
            // What is on disk too comes with the pages of the disk.
            let page = store.memory_page(usize::MAX);
            let alone = page.entries.iter().filter(|found| !found.on_disk);
            let lines = alone.filter_map(|found| Line::of(&self.node, found)).filter(&wanted);
            list.entries.extend(lines.take(LIMIT_MAX));
            list.looked_at += page.looked_at;
            cursor = store.disk_totals().map(|_| Cursor::default());
        }
        while let Some(at) = cursor
            && list.entries.len() < limit
            && list.looked_at < LOOK_AT as u64
        {
            let page = store.disk_page(at, limit).await;
            let lines = page.entries.iter().filter_map(|found| Line::of(&self.node, found));
            list.entries.extend(lines.filter(&wanted));
            list.looked_at += page.looked_at;
            cursor = page.next;
        }
        list.next = cursor.map(|cursor| cursor.to_string());
        ok(&list)
    }

    /// Begins to read everything on the disks; the state is asked for by GET.
    fn verify(&self) -> Answer {
        let mut state = self.verification();
        if state.running {
            return fault(StatusCode::CONFLICT, "running", "a verification runs already");
        }
        let of_bytes = self.node.store().disk_totals().map_or(0, |totals| totals.bytes);
        *state = Verification { running: true, of_bytes, ..Verification::default() };
        let this = self.clone();
        let named = std::thread::Builder::new().name("verify".to_owned());
        if let Err(error) = named.spawn(move || this.read_all()) {
            state.running = false;
            return fault(StatusCode::SERVICE_UNAVAILABLE, "no-thread", &error.to_string());
        }
        (StatusCode::ACCEPTED, text(&*state))
    }

    fn read_all(&self) {
        let note = |so_far: Verified, running| {
            let mut state = self.verification();
            (state.good, state.bad, state.bytes) = (so_far.good, so_far.bad, so_far.bytes);
            state.running = running;
        };
        let all = self.node.store().verify(&mut |so_far| {
            note(so_far, true);
            true
        });
        note(all, false);
    }

    fn verification(&self) -> MutexGuard<'_, Verification> {
        self.verification.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value of a query.
fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

fn ok(report: &impl Serialize) -> Answer {
    (StatusCode::OK, text(report))
}

fn fault(status: StatusCode, word: &str, detail: &str) -> Answer {
    (status, text(&json!({ "error": word, "detail": detail })))
}

fn text(report: &impl Serialize) -> String {
    // Strings, numbers and lists of them cannot fail to be written.
    let mut text = serde_json::to_string(report).unwrap_or_default();
    text.push('\n');
    text
}
