//! The sample origin: a server that answers what `pages.rs` says, and counts.

use super::pages;
use crate::problem::Problem;
use http::{Request, Response};
use selvedge_net::{Connection, Handler, OutgoingBody, RequestBody, Running, Server, Settings};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Paths that are counted; a demo that is asked for more forgets to count them.
const PATHS_MAX: usize = 1000;

/// A running origin.
pub(super) struct Origin(Running);

/// Starts the origin.
pub(super) fn start(address: SocketAddr) -> Result<Origin, Problem> {
    let settings =
        Settings { name: "origin".to_owned(), http: vec![address], ..Settings::default() };
    Ok(Origin(Server::bind(settings)?.run(|_| Samples::default())?))
}

impl Origin {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.0.http_addresses()[0]
    }

    /// Ends it.
    pub(super) fn stop(self) {
        self.0.drain(Duration::ZERO);
        // Nothing is lost when a demo's origin is cut off.
        let _ = self.0.join();
    }
}

#[derive(Clone, Default)]
struct Samples {
    counts: Rc<RefCell<HashMap<String, u64>>>,
    /// Whether it answers nothing but that it is out of order.
    stopped: Rc<Cell<bool>>,
}

impl Samples {
    fn count(&self, path: &str) -> u64 {
        let mut counts = self.counts.borrow_mut();
        if counts.len() >= PATHS_MAX && !counts.contains_key(path) {
            return 1;
        }
        let count = counts.entry(path.to_owned()).or_default();
        *count += 1;
        *count
    }
}

impl Handler for Samples {
    type Body = OutgoingBody;

    fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        _connection: Rc<Connection>,
    ) -> impl Future<Output = Response<OutgoingBody>> {
        let path = req.uri().path();
        if req.method() == http::Method::POST && matches!(path, "/stop" | "/go") {
            self.stopped.set(path == "/stop");
        }
        let answer = match self.stopped.get() && path != "/stop" {
            true => pages::out_of_order(),
            false => pages::answer(req.method(), path, req.headers(), self.count(path)),
        };
        let is_head = req.method() == http::Method::HEAD;
        async move {
            answer
                .into_response()
                .map(|body| if is_head { OutgoingBody::empty() } else { OutgoingBody::full(body) })
        }
    }
}
