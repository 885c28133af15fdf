//! A batch of datagrams: received together, answered one by one, sent together. Its memory is
//! allocated once. It belongs to one thread and is used with one socket at a time.

use std::io;
use std::net::SocketAddr;

use crate::kernel::Headers;
use crate::slot::{BATCH, Slot};
use crate::socket::Socket;

/// Fewest datagrams asked for: so few headers cost nothing to prepare.
const ASKED_MIN: usize = 8;

/// Whether to wait for datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For the first one, as long as the socket's [`crate::Options::patience`]; the others must be
    /// there.
    ForOne,
    /// All must be there.
    Never,
}

/// Up to [`BATCH`] datagrams and their replies.
pub struct Batch {
    slots: Vec<Slot>,
    headers: Headers,
    received: usize,
}

/// One received datagram.
#[derive(Debug)]
pub struct Message<'a> {
    /// What it says, whole.
    pub bytes: &'a [u8],
    /// Who says so.
    pub from: SocketAddr,
    /// Where the reply goes; empty now, and left empty if there is none.
    pub reply: &'a mut Vec<u8>,
}

/// What became of the replies of a batch.
#[derive(Debug, Default)]
pub struct Sent {
    /// Taken by the kernel.
    pub replies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Not taken, and dropped.
    pub failed: u64,
    /// The last reason for that.
    pub error: Option<io::Error>,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("received", &self.received).finish_non_exhaustive()
    }
}

impl Batch {
    /// Allocates all that it needs, some 200 KiB.
    #[must_use]
    pub fn new() -> Self {
        let mut slots = Vec::new();
        slots.resize_with(BATCH, Slot::new);
        Self { slots, headers: Headers::new(), received: 0 }
    }

    /// Receives what is there, and says how many datagrams came: none if the wait was in vain or
    /// was interrupted. What the batch held before is gone.
    ///
    /// # Errors
    /// Whatever the kernel says of the socket. It is usable still, unless that goes on.
    pub fn receive(&mut self, socket: &Socket, wait: Wait) -> io::Result<usize> {
        // Headers are prepared for as many as may come: somewhat more than came the last time.
        let asked = (self.received * 2).clamp(ASKED_MIN, BATCH);
        for slot in &mut self.slots[..self.received] {
            slot.clear();
        }
        self.received = 0;
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        match self.headers.receive(socket, &mut self.slots[..asked], flags) {
            Ok(received) => {
                self.received = received;
                Ok(received)
            }
            Err(error) if is_nothing(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The datagrams received, but those that were truncated or came from no internet address.
    pub fn messages(&mut self) -> impl Iterator<Item = Message<'_>> {
        self.slots[..self.received].iter_mut().filter(|slot| !slot.is_truncated).filter_map(
            |slot| {
                let from = slot.peer.address(slot.peer_length)?;
                let bytes = slot.bytes.get(..slot.length)?;
                Some(Message { bytes, from, reply: &mut slot.reply })
            },
        )
    }

    /// How many datagrams of the batch were longer than [`crate::DATAGRAM_BYTES_MAX`].
    #[must_use]
    pub fn truncated(&self) -> usize {
        self.slots[..self.received].iter().filter(|slot| slot.is_truncated).count()
    }

    /// Sends the replies that there are, each to where its datagram came from. One that the kernel
    /// will not take (no route, a firewall, too long) is dropped, and so is all that is left when
    /// the socket has had no room for the time of its patience: whoever asks will ask again, and
    /// the datagrams that wait meanwhile are worth more.
    pub fn send(&mut self, socket: &Socket) -> Sent {
        let slots = &mut self.slots[..self.received];
        let (mut sent, mut total) = (Sent::default(), 0);
        for slot in &mut *slots {
            slot.control_length = match slot.reply.is_empty() {
                true => 0,
                false => {
                    total += 1;
                    slot.control.turn_around(slot.control_length)
                }
            };
        }
        let mut done = 0;
        while done < total {
            match self.headers.send(socket, slots, done) {
                // The kernel takes one at least or says why not.
                Ok(0) => break,
                Ok(taken) => {
                    let replies = slots.iter().map(|slot| slot.reply.len()).filter(|it| *it > 0);
                    sent.bytes += replies.skip(done).take(taken).sum::<usize>() as u64;
                    sent.replies += taken as u64;
                    done += taken;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let is_full = error.kind() == io::ErrorKind::WouldBlock;
                    sent.error = Some(error);
                    done = if is_full { total } else { done + 1 };
                }
            }
        }
        sent.failed = total as u64 - sent.replies;
        sent
    }
}

/// Nothing came in time, or a signal did.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
