//! One thread and one socket: receive a batch, answer it, send it, and again.
//!
//! The thread blocks in recvmmsg itself, with MSG_WAITFORONE and the socket's time limit, as
//! gdnsd's do, and does not poll first. That is two calls to the kernel for a batch, not three, and
//! needs no runtime. What the third call costs was less than a busy machine of two cores can show
//! (both took 4 to 9 us of CPU a query at 20,000 queries a second, and 2 us at the most that
//! `dnsperf` could send, with `examples/canned.rs`), so the simpler one it is. The time limit also
//! has the thread look up often enough to end and to refresh. The price is a thread for each
//! address and worker; addresses are few.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use selvedge_datagram::{Batch, Message, Socket, Wait};

use crate::counters::Tally;
use crate::{Answer, Transport};

/// Batches that are answered after the order to end, so that a flood cannot put the end off.
const LAST_BATCHES_MAX: usize = 256;
/// Batches after which the kernel is asked what it dropped, if there is no pause before.
const OVERFLOWS_EVERY: usize = 256;
/// How long receiving pauses when the kernel refuses it.
const BACKOFF: Duration = Duration::from_millis(10);

/// Ports that no resolver asks from, and that answer whatever they are sent, or may: what a
/// datagram that is said to come from there wants is a loop or a victim (CVE-2024-2169). 53 is not
/// among them, since some resolvers ask from it; its loops end because no reply is ever answered.
const REFLECTORS: [u16; 7] = [
    0,  // nobody
    7,  // echo
    11, // systat
    13, // daytime
    17, // qotd
    19, // chargen
    37, // time
];

/// Answers what comes to a socket until it is told to end, and then what is still there.
pub(crate) fn run<A: Answer>(socket: &Socket, answer: &mut A, tally: &Tally, ending: &AtomicBool) {
    let mut batch = Batch::new();
    let (mut batches, mut left) = (0, LAST_BATCHES_MAX);
    loop {
        let is_ending = ending.load(Ordering::Acquire);
        let wait = if is_ending { Wait::Never } else { Wait::ForOne };
        let received = match batch.receive(socket, wait) {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(address = %socket.address(), %error, "receiving pauses");
                Tally::add(&tally.receive_errors, 1);
                std::thread::sleep(BACKOFF);
                0
            }
        };
        // First: it may have waited for long, and what has changed meanwhile holds for these.
        answer.refresh();
        if received > 0 {
            serve(&mut batch, received, socket, answer, tally);
        }
        batches += 1;
        if received == 0 || batches % OVERFLOWS_EVERY == 0 {
            note_overflows(socket, tally);
        }
        if is_ending {
            left -= 1;
            if received == 0 || left == 0 {
                return;
            }
        }
    }
}

fn serve<A: Answer>(
    batch: &mut Batch,
    received: usize,
    socket: &Socket,
    answer: &mut A,
    tally: &Tally,
) {
    let (mut bytes, mut reflections, mut unanswered) = (0, 0, 0);
    for Message { bytes: query, from, reply } in batch.messages() {
        bytes += query.len() as u64;
        if is_reflector(from.port()) {
            reflections += 1;
            continue;
        }
        answer.answer(query, from, Transport::Udp, reply);
        unanswered += u64::from(reply.is_empty());
    }
    let sent = batch.send(socket);
    Tally::add(&tally.queries, received as u64);
    Tally::add(&tally.bytes_in, bytes);
    Tally::add(&tally.reflections, reflections);
    Tally::add(&tally.unanswered, unanswered);
    Tally::add(&tally.truncated, batch.truncated() as u64);
    Tally::add(&tally.replies, sent.replies);
    Tally::add(&tally.bytes_out, sent.bytes);
    Tally::add(&tally.send_errors, sent.failed);
    if let Some(error) = sent.error {
        tracing::debug!(address = %socket.address(), %error, "a reply could not be sent");
    }
}

/// Most ports are above all of these.
fn is_reflector(port: u16) -> bool {
    port <= REFLECTORS[REFLECTORS.len() - 1] && REFLECTORS.contains(&port)
}

fn note_overflows(socket: &Socket, tally: &Tally) {
    if let Ok(dropped) = socket.overflows() {
        tally.overflows.store(u64::from(dropped), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{REFLECTORS, is_reflector};

    /// Resolvers behind old firewalls ask from there.
    #[test]
    fn port_53_is_answered() {
        assert!(!is_reflector(53) && REFLECTORS.is_sorted());
        assert!(REFLECTORS.into_iter().all(is_reflector));
    }
}
