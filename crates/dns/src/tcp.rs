//! DNS over a stream, in clear or over TLS (RFC 7766, RFC 7858): messages, each behind its length
//! in two bytes, answered in the order in which they came.
//!
//! ```text
//!        +-- bytes of a query --+
//!        v                      |    a whole query          all are answered
//!     reading ------------------+--> answering --> writing -----------------> reading
//!        |  idle, closed, drain, malformed            |  slow, broken
//!        v                                            v
//!      closed                                       closed
//! ```
//!
//! While a connection waits it has no buffers: what comes is read into one that all connections of
//! the worker share, and only the beginning of a query is kept. While it writes nothing is read, so
//! that whoever does not read his replies can make the worker keep no more than `FLUSH_BYTES` and
//! one reply, and not for longer than `Limits::send`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use selvedge_net::{ByteStream, Guest, StreamHandler, Tasks};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::counters::{Counters, Tally};
use crate::settings::Limits;
use crate::{Answer, HEADER_BYTES, REFRESH, Transfer, Transport};

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// Replies are written when there is so much of them, or no whole query is left.
const FLUSH_BYTES: usize = 16 * 1024;
/// How long a drain waits for what a client that has not asked yet came to ask.
const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// How long it waits for what the others may have asked meanwhile: a look at what is there.
const DRAIN_GLANCE: Duration = Duration::from_millis(10);
/// Buffers that have grown beyond this are given back when they are empty.
const KEPT_BYTES: usize = 512;
/// The same for the buffers that all connections of a worker share.
const SHARED_KEPT_BYTES: usize = 64 * 1024;

/// Why a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client has nothing more to ask.
    Closed,
    /// We drain.
    Drained,
    /// Something had no reply.
    Unanswered,
    Malformed,
    Idle,
    Slow,
    Broken,
}

/// What comes cannot be a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// Serves the connections of one worker.
pub(crate) struct Conversations<A>(Rc<Shared<A>>);

struct Shared<A> {
    answer: RefCell<A>,
    limits: Limits,
    tcp: Arc<Tally>,
    tls: Arc<Tally>,
    tasks: Tasks,
    /// What was just read.
    read: RefCell<Vec<u8>>,
    /// The reply just made.
    reply: RefCell<Vec<u8>>,
    /// For the replies of a connection, while none of them has to wait.
    replies: RefCell<Vec<u8>>,
}

impl<A> Clone for Conversations<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Answer> Conversations<A> {
    pub(crate) fn new(answer: A, limits: Limits, counters: &Counters, tasks: &Tasks) -> Self {
        let tally = |transport| counters.of(transport)[0].clone();
        let shared = Rc::new(Shared {
            answer: RefCell::new(answer),
            limits,
            tcp: tally(Transport::Tcp),
            tls: tally(Transport::Tls),
            tasks: tasks.clone(),
            read: RefCell::new(vec![0; READ_BYTES]),
            reply: RefCell::default(),
            replies: RefCell::default(),
        });
        let refreshed = shared.clone();
        tasks.spawn_background(async move {
            loop {
                tokio::time::sleep(REFRESH).await;
                // Nobody may ask for long: what is old must not be kept for that.
                refreshed.answer.borrow_mut().refresh();
            }
        });
        Self(shared)
    }
}

impl<A: Answer> StreamHandler for Conversations<A> {
    async fn serve(&self, stream: ByteStream, guest: Guest) {
        let (tally, transport) = match guest.is_tls {
            true => (&*self.0.tls, Transport::Tls),
            false => (&*self.0.tcp, Transport::Tcp),
        };
        let pending = Vec::new();
        let shared = &*self.0;
        let mut talk = Conversation { shared, tally, transport, stream, guest, pending };
        let end = talk.run().await;
        match end {
            End::Malformed => Tally::add(&tally.malformed, 1),
            End::Idle => Tally::add(&tally.idle, 1),
            End::Slow => Tally::add(&tally.slow, 1),
            End::Broken => Tally::add(&tally.broken, 1),
            End::Closed | End::Drained | End::Unanswered => {}
        }
        if !matches!(end, End::Slow | End::Broken) {
            // Says that this is the end (and over TLS, that it is the true one).
            let close = talk.stream.shutdown();
            let _ = tokio::time::timeout(shared.limits.send, close).await;
        }
    }
}

/// One connection.
struct Conversation<'a, A> {
    shared: &'a Shared<A>,
    tally: &'a Tally,
    transport: Transport,
    stream: ByteStream,
    guest: Guest,
    /// The beginning of a query; after a read, all that has come.
    pending: Vec<u8>,
}

impl<A: Answer> Conversation<'_, A> {
    async fn run(&mut self) -> End {
        let mut draining = std::pin::pin!(self.shared.tasks.draining());
        // Begun anew by each whole query, and not by parts of one.
        let mut timer = std::pin::pin!(tokio::time::sleep(self.shared.limits.idle));
        let (mut is_draining, mut asked) = (false, 0);
        loop {
            let read = tokio::select! {
                // What has come is answered, whatever else is.
                biased;
                read = self.read() => read,
                () = &mut timer => return if is_draining { End::Drained } else { End::Idle },
                () = &mut draining, if !is_draining => {
                    is_draining = true;
                    let wait = if asked == 0 { DRAIN_GRACE } else { DRAIN_GLANCE };
                    timer.set(tokio::time::sleep(wait));
                    continue;
                }
            };
            match read {
                Ok(0) => return End::Closed,
                Ok(_) => {}
                Err(_) => return End::Broken,
            }
            match self.answer_all().await {
                Ok(0) => {}
                Ok(queries) => {
                    asked += queries;
                    let idle = self.shared.limits.idle;
                    timer.set(tokio::time::sleep(if is_draining { DRAIN_GLANCE } else { idle }));
                }
                Err(end) => return end,
            }
        }
    }

    /// Appends what comes next to `pending`. 0: nothing more will.
    async fn read(&mut self) -> io::Result<usize> {
        let Self { shared, stream, pending, .. } = self;
        poll_fn(|cx| {
            let mut bytes = shared.read.borrow_mut();
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            pending.extend_from_slice(buffer.filled());
            Ok(buffer.filled().len()).into()
        })
        .await
    }

    /// Answers the whole queries among what has come, and says how many they were.
    async fn answer_all(&mut self) -> Result<usize, End> {
        let mut replies = std::mem::take(&mut *self.shared.replies.borrow_mut());
        let pending = std::mem::take(&mut self.pending);
        let (mut at, mut queries) = (0, 0);
        let mut end = None;
        // What has changed while this was on its way holds for it.
        self.shared.answer.borrow_mut().refresh();
        while end.is_none() {
            match next(&pending[at..], self.shared.limits.query_bytes_max) {
                Ok(Some(query)) => {
                    at += 2 + query.len();
                    queries += 1;
                    end = self.answer(query, &mut replies).await.err();
                }
                Ok(None) => break,
                Err(Malformed) => end = Some(End::Malformed),
            }
        }
        self.pending = pending;
        self.pending.drain(..at);
        if self.pending.capacity() > KEPT_BYTES && self.pending.len() <= KEPT_BYTES {
            self.pending.shrink_to(KEPT_BYTES);
        }
        // Whatever the end, what was asked well before it is answered.
        if !matches!(end, Some(End::Slow | End::Broken)) {
            self.write(&mut replies).await?;
        }
        replies.clear();
        if replies.capacity() <= SHARED_KEPT_BYTES {
            *self.shared.replies.borrow_mut() = replies;
        }
        end.map_or(Ok(queries), Err)
    }

    /// Appends what answers one query, and writes when that is much.
    async fn answer(&mut self, query: &[u8], replies: &mut Vec<u8>) -> Result<(), End> {
        let peer = self.guest.peer;
        Tally::add(&self.tally.queries, 1);
        Tally::add(&self.tally.bytes_in, query.len() as u64);
        self.guest.seat.touch();
        let transfer = self.shared.answer.borrow_mut().transfer(query, peer, self.transport);
        if let Some(Transfer(messages)) = transfer {
            for message in messages {
                self.append(&message, replies)?;
                if replies.len() >= FLUSH_BYTES {
                    self.write(replies).await?;
                    self.guest.seat.touch();
                }
            }
            return Ok(());
        }
        {
            let mut reply = self.shared.reply.borrow_mut();
            reply.clear();
            if reply.capacity() > SHARED_KEPT_BYTES {
                reply.shrink_to(0);
            }
            self.shared.answer.borrow_mut().answer(query, peer, self.transport, &mut reply);
            self.append(&reply, replies)?;
        }
        if replies.len() >= FLUSH_BYTES { self.write(replies).await } else { Ok(()) }
    }

    /// Appends a message behind its length.
    fn append(&self, message: &[u8], replies: &mut Vec<u8>) -> Result<(), End> {
        if message.is_empty() {
            Tally::add(&self.tally.unanswered, 1);
            return Err(End::Unanswered);
        }
        let Ok(length) = u16::try_from(message.len()) else {
            // No message can be so long.
            Tally::add(&self.tally.send_errors, 1);
            return Err(End::Unanswered);
        };
        replies.extend_from_slice(&length.to_be_bytes());
        replies.extend_from_slice(message);
        Tally::add(&self.tally.replies, 1);
        Tally::add(&self.tally.bytes_out, message.len() as u64);
        Ok(())
    }

    /// Writes all replies that there are.
    async fn write(&mut self, replies: &mut Vec<u8>) -> Result<(), End> {
        if replies.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(replies).await?;
            self.stream.flush().await
        };
        let written = tokio::time::timeout(self.shared.limits.send, write).await;
        replies.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Broken),
            Err(_) => Err(End::Slow),
        }
    }
}

/// The first message of a stream, without its length, once it is whole.
fn next(bytes: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, Malformed> {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if !(HEADER_BYTES..=bytes_max).contains(&length) {
        return Err(Malformed);
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_that_no_query_has_is_refused_before_the_rest_comes() {
        assert_eq!(next(&[], 100), Ok(None));
        assert_eq!(next(&[0], 100), Ok(None));
        assert_eq!(next(&[0, 11], 100), Err(Malformed));
        assert_eq!(next(&[0, 0], 100), Err(Malformed));
        assert_eq!(next(&[0, 12], 100), Ok(None));
        assert_eq!(next(&[0, 100], 100), Ok(None));
        assert_eq!(next(&[0, 101], 100), Err(Malformed));
        assert_eq!(next(&[255, 255], 100), Err(Malformed));
    }

    /// What is left of a stream after all whole messages, and these.
    fn take(pending: &mut Vec<u8>, out: &mut Vec<Vec<u8>>) -> Result<(), Malformed> {
        while let Some(message) = next(pending, 300)? {
            let length = message.len();
            out.push(message.to_vec());
            pending.drain(..2 + length);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn messages_come_out_the_same_however_the_stream_is_cut(
            messages in prop::collection::vec(
                prop::collection::vec(any::<u8>(), HEADER_BYTES..300), 0..8),
            cuts in prop::collection::vec(1usize..400, 0..40),
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.extend_from_slice(&u16::try_from(message.len()).unwrap_or(0).to_be_bytes());
                stream.extend_from_slice(message);
            }
            let (mut pending, mut out) = (Vec::new(), Vec::new());
            let mut cuts = cuts.into_iter();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (part, left) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                pending.extend_from_slice(part);
                prop_assert_eq!(take(&mut pending, &mut out), Ok(()));
                rest = left;
            }
            prop_assert!(pending.is_empty());
            prop_assert_eq!(out, messages);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
            let _ = take(&mut bytes.clone(), &mut Vec::new());
        }
    }
}
