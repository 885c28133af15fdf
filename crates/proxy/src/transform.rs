//! Content codings for clients that want one the origin did not send (RFC 9110 12.5.3).
//!
//! An encoded copy is a variant of the object, filled like any other: the first client that wants
//! it begins the fill, all others join, and it is stored beside the form it was made from. Encoding
//! runs in the blocking pool, a chunk at a time, so that no core's connections wait for it.

use crate::encode::Encoder;
use crate::fill::push;
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::{Served, Trail, What};
use crate::rescue::{self, Failure};
use crate::slice_reader::SliceReader;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use selvedge_policy::Coding;
use selvedge_policy::validate::weaken;
use selvedge_store::{
    Begin, FillError, FillOutcome, FillReader, FillWriter, Head, Object, Question, Wanted,
};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// The coding in which this answer should be made here, if any.
pub(crate) fn coding_for(ask: &Ask, served: &Served) -> Option<Coding> {
    let head = served.shared_head()?;
    if ask.encodings.is_plain_only() || ask.carries.range || !is_encodable(ask, head) {
        return None;
    }
    ask.site.compress.codings.iter().copied().find(|coding| ask.encodings.accepts(*coding))
}

/// Whether this node offers codings of the response: then the answer varies by Accept-Encoding even
/// where this client gets the form it was stored in. Other nodes get that form and encode it
/// themselves, so that one stored form serves all.
pub(crate) fn is_encodable(ask: &Ask, head: &Head) -> bool {
    // Remembered with the head: asking anew cost each hit 1000 instructions.
    !ask.arrival.from_node
        && head.memo.decided(Question::Encode, ask.plan.revision, || {
            head.status == StatusCode::OK
                && head.derived.is_none()
                && !head.meta.no_transform()
                && head.headers.first("content-encoding").is_none()
                && ask.site.compress.wants(head.headers.first("content-type"), head.length)
        })
}

/// The same answer in `coding`: stored, being made, or begun now. When no more fills can be begun
/// the answer stays as it is.
pub(crate) async fn encode(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    served: Served,
    coding: Coding,
) -> Result<Served, Failure> {
    let Served { what, trail } = served;
    let (source, head) = match what {
        What::Object(object) => {
            if let Some(encoded) = encoded(core, ask, &object, coding) {
                return Ok(Served::stored(encoded, trail));
            }
            let head = Arc::clone(&object.head);
            let all = 0..object.body.len();
            match SliceReader::new(core, ask, &object, all) {
                Some(reader) => (Plain::Sliced(Box::new(reader)), head),
                None => (Plain::Object(object), head),
            }
        }
        What::Fill(reader, head) => (Plain::Fill(reader), head),
        // Not before there is something to read.
        What::Sliced(reader) => return Ok(Served { what: What::Sliced(reader), trail }),
        what => return Ok(Served { what, trail }),
    };
    let wanted = Wanted::Encoding { source: &head, coding };
    let store = &core.node.store;
    let reader = match store.begin(ask.key, &ask.full_key, wanted, core.node.now()) {
        Begin::Full => return Ok(Served { what: source.what(head), trail }),
        Begin::Stored(object) => return Ok(Served::stored(object, trail)),
        Begin::Join(reader) => reader,
        Begin::Lead(mut writer, reader) => {
            let Ok(turn) = Arc::clone(&core.node.encoders).try_acquire_owned() else {
                return Ok(Served { what: source.what(head), trail });
            };
            ask.site.counters.here().encoded.inc();
            let headers = encoded_headers(&head.headers, coding);
            writer.head_encoded(&head, coding, &headers);
            core.tasks.spawn(async move {
                fill(source, writer, coding).await;
                drop(turn);
            });
            reader
        }
    };
    as_served(reader, trail).await
}

async fn as_served(reader: FillReader, trail: Trail) -> Result<Served, Failure> {
    match reader.head().await {
        FillOutcome::Head(head) => Ok(Served { what: What::Fill(reader, head), trail }),
        FillOutcome::Object(object) => Ok(Served::stored(object, trail)),
        FillOutcome::Pass => Err(Failure::Encode),
        FillOutcome::Failed(error) => Err(rescue::of_fill(&error)),
    }
}

fn encoded(core: &Core, ask: &Ask, object: &Object, coding: Coding) -> Option<Arc<Object>> {
    let entry = core.node.store.lookup(ask.key, &ask.full_key)?;
    entry.encoded(&object.head, coding).cloned()
}

/// The fields of an encoded copy. Its entity tag is weak: the bytes differ, the meaning does not
/// (RFC 9110 8.8.1). Byte ranges and digests of the other form do not apply.
fn encoded_headers(plain: &HeaderMap, coding: Coding) -> HeaderMap {
    let mut headers = plain.clone();
    for name in ["content-length", "accept-ranges", "content-md5", "content-digest", "digest"] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    match headers.get(header::ETAG).map(weaken) {
        Some(Some(weak)) => drop(headers.insert(header::ETAG, weak)),
        Some(None) => drop(headers.remove(header::ETAG)),
        None => {}
    }
    headers
}

/// The form an encoding is made from.
enum Plain {
    Object(Arc<Object>),
    Sliced(Box<SliceReader>),
    Fill(FillReader),
}

impl Plain {
    fn what(self, head: Arc<Head>) -> What {
        match self {
            Self::Object(object) => What::Object(object),
            Self::Sliced(reader) => What::Object(Arc::clone(reader.object())),
            Self::Fill(reader) => What::Fill(reader, head),
        }
    }
}

/// The next bytes to encode.
enum Next {
    Bytes(Bytes),
    Pause,
    End,
    Failed(FillError),
}

async fn fill(mut source: Plain, mut writer: FillWriter, coding: Coding) {
    let mut place = 0;
    let mut held_back = false;
    let Ok(mut encoder) = Encoder::new(coding) else {
        return writer.fail(FillError::Source(Arc::new(Failure::Encode)));
    };
    loop {
        let next = match poll_once(next(&mut source, &mut place)).await {
            Some(next) => next,
            // The source pauses: its clients get what there is.
            None if held_back => Next::Pause,
            None => next(&mut source, &mut place).await,
        };
        held_back = matches!(next, Next::Bytes(_));
        let stepped = match next {
            Next::Bytes(bytes) => off_core(encoder, move |encoder| encoder.push(&bytes)).await,
            Next::Pause => off_core(encoder, Encoder::flush).await,
            Next::End => break,
            Next::Failed(error) => return writer.fail(error),
        };
        let Some((back, out)) = stepped else {
            return writer.fail(FillError::Source(Arc::new(Failure::Encode)));
        };
        encoder = back;
        if !out.is_empty() && push(&mut writer, Bytes::from(out)).await.is_err() {
            return;
        }
    }
    let ended = tokio::task::spawn_blocking(move || encoder.finish()).await;
    let Ok(Ok(out)) = ended else {
        return writer.fail(FillError::Source(Arc::new(Failure::Encode)));
    };
    if out.is_empty() || push(&mut writer, Bytes::from(out)).await.is_ok() {
        // What became of the copy is for the store to count; its readers have been told.
        let _ = writer.finish(None);
    }
}

async fn next(source: &mut Plain, place: &mut u64) -> Next {
    match source {
        Plain::Object(object) => match object.body.slices(*place..u64::MAX).next() {
            Some(bytes) => {
                *place += bytes.len() as u64;
                Next::Bytes(bytes)
            }
            None => Next::End,
        },
        Plain::Sliced(reader) => match reader.next().await {
            Some(Ok(bytes)) => Next::Bytes(bytes),
            Some(Err(error)) => Next::Failed(FillError::of_source(Failure::Broken(error))),
            None => Next::End,
        },
        Plain::Fill(reader) => match reader.chunk().await {
            Some(Ok(bytes)) => Next::Bytes(bytes),
            Some(Err(error)) => Next::Failed(error),
            None => Next::End,
        },
    }
}

/// What a future gives without waiting.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Runs one step of an encoder in the blocking pool.
async fn off_core(
    mut encoder: Encoder,
    step: impl FnOnce(&mut Encoder) -> io::Result<Vec<u8>> + Send + 'static,
) -> Option<(Encoder, Vec<u8>)> {
    let done = tokio::task::spawn_blocking(move || {
        let out = step(&mut encoder);
        out.map(|out| (encoder, out))
    });
    done.await.ok()?.ok()
}
