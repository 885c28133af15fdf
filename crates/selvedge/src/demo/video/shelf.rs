//! What the encoders put and players get: objects in memory that can be read while they grow.
//!
//! ```text
//!   PUT, chunk after chunk --> Object --> any number of readers, each from its first byte
//! ```
//! An object that replaces another one is seen when it is whole: no manifest is ever half of one.
//! It must never hold more than it may: an encoder that puts too much is refused.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use selvedge_net::{BodyError, OutgoingBody, RequestBody};
use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// Bytes of one object.
const OBJECT_BYTES_MAX: u64 = 4 << 20;
/// Objects: the clip, and a window of the channel.
const OBJECTS_MAX: usize = 500;

/// All objects, by their path.
#[derive(Clone, Default)]
pub(in crate::demo) struct Shelf {
    objects: Rc<RefCell<HashMap<String, Rc<Object>>>>,
    /// Told of every chunk that comes.
    news: Rc<Notify>,
}

impl Shelf {
    /// Takes an object from an encoder; `false` if it did not come whole or is too much.
    pub(in crate::demo) async fn put(&self, path: &str, mut body: RequestBody) -> bool {
        body.set_bytes_max(OBJECT_BYTES_MAX);
        let growing = Growing { object: Rc::default(), shelf: self, path };
        if !self.objects.borrow().contains_key(path) {
            if self.objects.borrow().len() >= OBJECTS_MAX {
                return false;
            }
            self.objects.borrow_mut().insert(path.to_owned(), growing.object.clone());
        }
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            if let Ok(data) = frame.into_data() {
                growing.object.change(|content| content.chunks.push(data));
                self.news.notify_waiters();
            }
        }
        growing.object.change(|content| content.end = End::Whole);
        self.objects.borrow_mut().insert(path.to_owned(), growing.object.clone());
        self.news.notify_waiters();
        true
    }

    /// Takes an object away; whoever reads it reads on.
    pub(in crate::demo) fn delete(&self, path: &str) {
        self.objects.borrow_mut().remove(path);
    }

    /// The body of an object: with its length if it is whole, else as it comes.
    pub(in crate::demo) fn get(&self, path: &str) -> Option<OutgoingBody> {
        let object = self.objects.borrow().get(path)?.clone();
        Some(OutgoingBody::boxed(Reader { object, next: 0 }))
    }
}

/// What low-latency HLS is made of.
impl Shelf {
    /// What there is of an object, and whether that is all.
    pub(super) fn bytes(&self, path: &str) -> Option<(Bytes, bool)> {
        let object = self.objects.borrow().get(path)?.clone();
        let content = object.0.borrow();
        Some((content.chunks.concat().into(), content.end == End::Whole))
    }

    /// The numbers of a rendition's segments in the channel, in order.
    pub(super) fn numbers(&self, rendition: char) -> Vec<u64> {
        let begins = format!("/live/{rendition}-");
        let number = |path: &String| path.strip_prefix(&begins)?.strip_suffix(".m4s")?.parse().ok();
        let mut numbers: Vec<u64> = self.objects.borrow().keys().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Looks for something now and whenever anything has come, until it is found.
    pub(super) async fn watch<T>(&self, find: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let news = self.news.notified();
            match find(self) {
                Some(found) => return found,
                None => news.await,
            }
        }
    }
}

/// An object, whole or not yet.
#[derive(Default)]
struct Object(RefCell<Content>);

#[derive(Default)]
struct Content {
    chunks: Vec<Bytes>,
    end: End,
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Whole,
    Broken,
}

impl Object {
    fn change(&self, change: impl FnOnce(&mut Content)) {
        let mut content = self.0.borrow_mut();
        change(&mut content);
        content.waiting.drain(..).for_each(Waker::wake);
    }
}

/// An object that is being put. If the encoder goes away before its end, its readers are told and
/// it is taken away.
struct Growing<'a> {
    object: Rc<Object>,
    shelf: &'a Shelf,
    path: &'a str,
}

impl Drop for Growing<'_> {
    fn drop(&mut self) {
        if self.object.0.borrow().end == End::Open {
            self.object.change(|content| content.end = End::Broken);
            let mut all = self.shelf.objects.borrow_mut();
            if all.get(self.path).is_some_and(|seen| Rc::ptr_eq(seen, &self.object)) {
                all.remove(self.path);
            }
        }
    }
}

/// One reader of an object.
struct Reader {
    object: Rc<Object>,
    /// The chunk that it reads next.
    next: usize,
}

impl Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut content = self.object.0.borrow_mut();
        let chunk = content.chunks.get(self.next).cloned();
        let answer = match (chunk, content.end) {
            (Some(chunk), _) => Some(Ok(Frame::data(chunk))),
            (None, End::Whole) => None,
            (None, End::Broken) => Some(Err(BodyError::ClientGone)),
            (None, End::Open) => {
                if !content.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    content.waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
        };
        drop(content);
        self.next += 1;
        Poll::Ready(answer)
    }

    fn size_hint(&self) -> SizeHint {
        let content = self.object.0.borrow();
        let left: usize = content.chunks.iter().skip(self.next).map(Bytes::len).sum();
        match content.end {
            End::Whole => SizeHint::with_exact(left as u64),
            _ => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        let content = self.object.0.borrow();
        content.end == End::Whole && self.next >= content.chunks.len()
    }
}

#[cfg(test)]
impl Shelf {
    /// Has an object there, all of it or not.
    pub(super) fn hold(&self, path: &str, bytes: &[u8], is_whole: bool) {
        let end = if is_whole { End::Whole } else { End::Open };
        let chunks = vec![Bytes::copy_from_slice(bytes)];
        let object = Object(RefCell::new(Content { chunks, end, waiting: Vec::new() }));
        self.objects.borrow_mut().insert(path.to_owned(), Rc::new(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn text(body: OutgoingBody) -> Option<String> {
        let bytes = now(body.collect())?.ok()?.to_bytes();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn full(text: &'static str) -> RequestBody {
        RequestBody::full(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn what_was_put_is_there_until_it_is_deleted_or_replaced() {
        let shelf = Shelf::default();
        assert!(shelf.get("/live/1.m4s").is_none());
        assert_eq!(now(shelf.put("/live/1.m4s", full("one"))), Some(true));
        let body = shelf.get("/live/1.m4s").expect("it is there");
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(text(body).as_deref(), Some("one"));
        assert_eq!(now(shelf.put("/live/1.m4s", full("another"))), Some(true));
        let before = shelf.get("/live/1.m4s").expect("it is there");
        shelf.delete("/live/1.m4s");
        assert!(shelf.get("/live/1.m4s").is_none());
        assert_eq!(text(before).as_deref(), Some("another"), "it is read to its end");
    }

    #[test]
    fn a_reader_gets_each_chunk_as_it_comes_and_the_end_when_it_comes() {
        let object = Rc::new(Object::default());
        let mut reader = Reader { object: object.clone(), next: 0 };
        assert!(now(reader.frame()).is_none());
        object.change(|content| content.chunks.push(Bytes::from_static(b"moof")));
        assert_eq!(reader.size_hint().exact(), None, "nobody knows how long it will be");
        let frame = now(reader.frame()).flatten().expect("a chunk").expect("no error");
        assert_eq!(frame.into_data().expect("data"), "moof");
        assert!(now(reader.frame()).is_none());
        let shelf = Shelf::default();
        shelf.objects.borrow_mut().insert("/x".to_owned(), object.clone());
        drop(Growing { object, shelf: &shelf, path: "/x" });
        assert!(matches!(now(reader.frame()), Some(Some(Err(_)))), "it broke off");
        assert!(shelf.get("/x").is_none(), "nobody else gets a part of it");
    }

    #[test]
    fn too_many_are_refused() {
        let shelf = Shelf::default();
        for n in 0..OBJECTS_MAX {
            assert_eq!(now(shelf.put(&format!("/live/{n}"), full("x"))), Some(true));
        }
        assert_eq!(now(shelf.put("/live/more", full("x"))), Some(false));
        assert_eq!(now(shelf.put("/live/7", full("y"))), Some(true), "what is there may change");
    }
}
