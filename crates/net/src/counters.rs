//! What this crate counts. Plain atomics: telemetry walks them with [`Counters::each`], so that
//! this file does not know how they are exported. Traffic is added in batches per worker (see
//! `watch.rs`), not per read, so that the cores do not fight for a cache line.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::refusal::Refusal;

macro_rules! counters {
    ($($(#[gauge $gauge:tt])? $field:ident, $name:literal, $help:literal;)*) => {
        /// Counters of the listening side and of the upstream side, shared by all workers.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $help] pub $field: AtomicU64,)*
            refused: [AtomicU64; Refusal::COUNT],
        }

        impl Counters {
            /// Calls `f` with name, help text and present value of every counter except
            /// the refusals, which carry a word: [`Counters::each_refusal`].
            pub fn each(&self, f: &mut dyn FnMut(&'static str, &'static str, u64)) {
                $(f($name, $help, self.$field.load(Ordering::Relaxed));)*
            }
        }
    };
}

counters! {
    connections_accepted, "connections_accepted_total", "Connections accepted from clients.";
    connections_active, "connections_active", "Client connections open now (a gauge).";
    connections_over_limit, "connections_over_limit_total",
        "Connections closed at once because the connection limit was reached.";
    accept_backoffs, "accept_backoffs_total",
        "Times accepting paused because the process or system ran out of descriptors.";
    connections_parked, "connections_parked_total",
        "Times an idle HTTP/1.x connection gave its buffers back.";
    connections_http2, "connections_http2_total", "Client connections that spoke HTTP/2.";
    tls_handshakes, "tls_handshakes_total", "TLS handshakes with clients that completed.";
    tls_resumed, "tls_resumed_total", "Completed TLS handshakes that resumed a session.";
    tls_failed, "tls_failed_total", "TLS handshakes with clients that failed.";
    tls_timeouts, "tls_timeouts_total", "TLS handshakes with clients that ran out of time.";
    requests, "requests_received_total", "Requests handed to the handler, refused ones included.";
    timeouts_idle, "timeouts_idle_total", "Client connections closed after being idle.";
    timeouts_head, "timeouts_head_total",
        "Client connections closed because a request head did not arrive in time.";
    timeouts_send, "timeouts_send_total",
        "Client connections closed because the client did not read its response in time.";
    floods, "floods_total", "HTTP/2 connections closed because of a flood of control frames.";
    bytes_in, "wire_received_bytes_total", "Bytes received from clients, after TLS.";
    bytes_out, "wire_sent_bytes_total", "Bytes sent to clients, before TLS.";
    upgrades, "upgrades_total", "Client connections that left HTTP after a 101.";
    upstream_connects, "upstream_connections_total", "Connections to upstreams that were begun.";
    upstream_connect_failures, "upstream_connect_failures_total",
        "Attempts to connect to an upstream that failed, resolving and TLS included.";
    upstream_reuses, "upstream_reuses_total", "Requests sent on a pooled upstream connection.";
    upstream_requests, "upstream_exchanges_total", "Requests sent to upstreams.";
    upstream_pool_full, "upstream_pool_full_total",
        "Requests turned away because an upstream's connection limit was reached.";
    upstream_bytes_in, "upstream_body_bytes_total", "Body bytes received from upstreams.";
}

impl Counters {
    /// Counts one refused request.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refused[refusal.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Calls `f` with the word of every refusal and how often it happened.
    pub fn each_refusal(&self, f: &mut dyn FnMut(&'static str, u64)) {
        for refusal in Refusal::ALL {
            f(refusal.word(), self.refused[refusal.index()].load(Ordering::Relaxed));
        }
    }

    /// Adds one.
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::Counters;
    use crate::refusal::Refusal;

    /// Names are unique, and a refusal is found under its own word.
    #[test]
    fn every_counter_has_one_name() {
        let counters = Counters::default();
        counters.requests.store(3, Ordering::Relaxed);
        counters.refuse(Refusal::HostMissing);
        let mut names = Vec::new();
        counters.each(&mut |name, help, value| {
            assert!(help.ends_with('.') || help.ends_with(").") || help.ends_with(')'), "{help}");
            assert_eq!(value, if name == "requests_received_total" { 3 } else { 0 });
            names.push(name);
        });
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        counters.each_refusal(&mut |word, value| {
            assert_eq!(value, u64::from(word == "host-missing"), "{word}");
        });
    }
}
