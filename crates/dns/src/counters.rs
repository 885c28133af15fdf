//! What is counted: plain atomics, one set a transport, and for UDP one set a thread, so that the
//! cores do not fight for a cache line. Whoever exports them walks them with [`Counters::each`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use selvedge_net::StreamCounters;

use crate::Transport;

macro_rules! tally {
    ($($field:ident, $name:literal, $help:literal;)*) => {
        /// What is counted of a transport, or of one thread of it.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Tally {
            $(#[doc = $help] pub $field: AtomicU64,)*
        }

        /// Name, help and place of each.
        const FIELDS: &[(&str, &str, fn(&Tally) -> &AtomicU64)] =
            &[$(($name, $help, |tally| &tally.$field)),*];
    };
}

tally! {
    queries, "queries_total", "Messages received, whatever they say.";
    replies, "replies_total", "Replies given to the kernel.";
    unanswered, "unanswered_total", "Messages that got no reply because they deserve none.";
    reflections, "reflections_total",
        "Datagrams dropped because they came from a port that answers whatever it is sent.";
    truncated, "truncated_total", "Datagrams dropped because they were too long for a query.";
    overflows, "overflows_total", "Datagrams dropped by the kernel because too many waited.";
    receive_errors, "receive_errors_total", "Times that the kernel would not receive datagrams.";
    send_errors, "send_errors_total", "Replies dropped because they could not be sent.";
    bytes_in, "received_bytes_total", "Bytes of messages received.";
    bytes_out, "sent_bytes_total", "Bytes of replies sent.";
    malformed, "malformed_total",
        "Connections or requests ended because what came cannot hold a query.";
    idle, "idle_total", "Connections closed because no query came in time.";
    slow, "slow_total", "Connections closed because the client did not take its replies.";
    panics, "panics_total", "Queries dropped because of a bug of this program.";
    broken, "broken_total", "Connections that failed.";
}

impl Tally {
    pub(crate) fn add(counter: &AtomicU64, number: u64) {
        // Most of them do not change at all.
        if number > 0 {
            counter.fetch_add(number, Ordering::Relaxed);
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Counters {
    udp: Vec<Arc<Tally>>,
    tcp: Arc<Tally>,
    tls: Arc<Tally>,
    https: Arc<Tally>,
    /// Connections in clear, and how many connections of both kinds were displaced.
    pub tcp_connections: Arc<StreamCounters>,
    /// Connections over TLS.
    pub tls_connections: Arc<StreamCounters>,
    /// Connections and requests of DNS over HTTPS.
    pub https_connections: Arc<selvedge_net::Counters>,
}

impl Counters {
    /// With so many threads that receive datagrams.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            udp: (0..threads).map(|_| Arc::default()).collect(),
            tcp: Arc::default(),
            tls: Arc::default(),
            https: Arc::default(),
            tcp_connections: Arc::default(),
            tls_connections: Arc::default(),
            https_connections: Arc::default(),
        }
    }

    /// What is counted of a transport, thread by thread.
    #[must_use]
    pub fn of(&self, transport: Transport) -> &[Arc<Tally>] {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => std::slice::from_ref(&self.tcp),
            Transport::Tls => std::slice::from_ref(&self.tls),
            Transport::Https => std::slice::from_ref(&self.https),
        }
    }

    /// The sum of one counter over the threads of a transport.
    pub fn sum(&self, transport: Transport, field: impl Fn(&Tally) -> &AtomicU64) -> u64 {
        self.of(transport).iter().map(|tally| field(tally).load(Ordering::Relaxed)).sum()
    }

    /// Calls `f` with name, help text, transport and present value of every counter, the
    /// connections' excepted.
    pub fn each(&self, f: &mut dyn FnMut(&'static str, &'static str, Transport, u64)) {
        for (name, help, field) in FIELDS {
            for transport in Transport::ALL {
                f(name, help, transport, self.sum(transport, field));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_one_name_and_is_the_sum_of_its_threads() {
        let counters = Counters::new(3);
        for tally in counters.of(Transport::Udp) {
            Tally::add(&tally.replies, 2);
        }
        let mut seen = Vec::new();
        counters.each(&mut |name, help, transport, value| {
            assert!(help.ends_with('.'), "{help}");
            let is_it = (name, transport) == ("replies_total", Transport::Udp);
            assert_eq!(value, if is_it { 6 } else { 0 }, "{name}");
            seen.push((name, transport.word()));
        });
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
