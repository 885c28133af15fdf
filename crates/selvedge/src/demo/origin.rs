//! The sample origin: a server that answers what `pages.rs` and `video/` say, and counts.

use super::pages;
use super::video::{Gallery, Video};
use crate::problem::Problem;
use http::{Method, Request, Response};
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
pub(super) fn start(address: SocketAddr, video: Video) -> Result<Origin, Problem> {
    let settings =
        Settings { name: "origin".to_owned(), http: vec![address], ..Settings::default() };
    Ok(Origin(Server::bind(settings)?.run(move |_| Samples::new(video.clone()))?))
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

#[derive(Clone)]
struct Samples {
    counts: Rc<RefCell<HashMap<String, u64>>>,
    /// Whether it answers nothing but that it is out of order.
    stopped: Rc<Cell<bool>>,
    gallery: Gallery,
}

impl Samples {
    fn new(video: Video) -> Self {
        let gallery = Gallery::new(video);
        Self { counts: Rc::default(), stopped: Rc::default(), gallery }
    }

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

    async fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        _connection: Rc<Connection>,
    ) -> Response<OutgoingBody> {
        // Encoders go on while it is out of order.
        let req = match self.gallery.take(req).await {
            Ok(taken) => return taken,
            Err(req) => req,
        };
        let path = req.uri().path();
        if req.method() == Method::POST && matches!(path, "/stop" | "/go") {
            self.stopped.set(path == "/stop");
        }
        let is_head = req.method() == Method::HEAD;
        let is_read = is_head || req.method() == Method::GET;
        let query = req.uri().query().unwrap_or_default();
        let video = self.gallery.answer(path, query).await.filter(|_| is_read);
        let answer = match video {
            _ if self.stopped.get() && path != "/stop" => pages::out_of_order(),
            Some(video) => {
                return if is_head { video.map(|_| OutgoingBody::empty()) } else { video };
            }
            None => pages::answer(req.method(), path, req.headers(), self.count(path)),
        };
        answer
            .into_response()
            .map(|body| if is_head { OutgoingBody::empty() } else { OutgoingBody::full(body) })
    }
}
