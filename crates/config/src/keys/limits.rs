//! Rows of `[limits]`: what a client may ask of this node.
//!
//! Every queue, map and buffer that the network can fill has its maximum here or as a constant
//! beside the code that owns it.

use std::time::Duration;

use crate::key::{Shape, count, duration, section, size};
use crate::units::{ByteSize, size_bytes};

/// Least memory for a head: below it the HTTP/1.1 parser does not start.
const HEADER_BYTES_MIN: &str = "8KiB";
/// Most memory for a head.
const HEADER_BYTES_MAX: &str = "1MiB";
/// Most memory for a URL.
const URL_BYTES_MAX: &str = "256KiB";
/// Fewest bytes a URL must be allowed (RFC 9110 4.1 recommends 8000).
const URL_BYTES_MIN: &str = "256B";
/// Most fields of a head.
const HEADER_COUNT_MAX: u64 = 1000;

// A URL is part of a head, and a head of the most fields must fit (each is `a:` and a line end).
const _: () = assert!(size_bytes(URL_BYTES_MAX) < size_bytes(HEADER_BYTES_MAX));
const _: () = assert!(size_bytes(URL_BYTES_MIN) < size_bytes(HEADER_BYTES_MIN));
const _: () = assert!(HEADER_COUNT_MAX * 4 < size_bytes(HEADER_BYTES_MIN));

section! {
    /// What clients may ask of this node at most.
    Limits = "limits", Shape::One;

    connections: usize = count(1, 4_000_000), (= 20_000), Restart,
        "Most client connections, over all workers.",
        "Beyond it new connections are closed at once. Each needs a file descriptor, and so may \
         each request that misses: allow the process twice as many.";

    header_bytes: ByteSize = size(HEADER_BYTES_MIN, HEADER_BYTES_MAX), (= "32KiB"), Restart,
        "Largest head of a request: its line and its fields.",
        "A larger one is answered 431. Over HTTP/2 each field counts 32 bytes more than it has.";

    header_count: usize = count(8, HEADER_COUNT_MAX), (= 100), Restart,
        "Most fields of a request.",
        "More are answered 431. Each piece of a Cookie that HTTP/2 splits counts.";

    url_bytes: ByteSize = size(URL_BYTES_MIN, URL_BYTES_MAX), (= "16KiB"), Restart,
        "Longest URL.",
        "A longer one is answered 414. It must fit into `header_bytes`.";

    header_timeout: Duration = duration("100ms", "5m"), (= "10s"), Restart,
        "How long the head of a request may take to arrive.",
        "From its first byte, or from the start of the connection. Stops clients that send a byte \
         now and then.";

    tls_handshake_timeout: Duration = duration("100ms", "5m"), (= "10s"), Restart,
        "How long a TLS handshake may take.",
        "Then the connection is closed without an answer.";

    keepalive_timeout: Duration = duration("0s", "1h"), (= "60s"), Restart,
        "How long a connection may wait for its next request.",
        "Longer saves handshakes, shorter saves memory.";

    body_timeout: Duration = duration("100ms", "1h"), (= "30s"), Restart,
        "How long a request body may pause.",
        "Between any two pieces; then the request ends with 408.";

    send_timeout: Duration = duration("100ms", "1h"), (= "30s"), Restart,
        "How long a client may take nothing of a response.",
        "Then, or a quarter later, the connection is closed. What counts is what the client's \
         system acknowledges: a slow client that takes something is not cut off, however little.";

    request_body_max: ByteSize = size("0B", "1TiB"), (= "100MiB"), Reload,
        "Largest request body.",
        "A larger one is answered 413. Bodies are passed on as they arrive and never kept, so this \
         protects the origin rather than this node. A site may say otherwise.";

    streams: usize = count(1, 10_000), (= 128), Restart,
        "Most requests at a time on one HTTP/2 connection.",
        "RFC 9113 asks for at least 100.";

    ranges: usize = count(1, 1000), (= 16), Reload,
        "Most ranges in one request.",
        "A request for more gets the whole object, as if it had asked for no range.";

    variants: usize = count(1, 10_000), (= 64), Restart,
        "Most variants of one URL.",
        "What Vary tells apart, and what was compressed here. The oldest one goes first.";

    fills: usize = count(1, 1_000_000), (= 10_000), Restart,
        "Most responses that arrive for the cache at a time.",
        "Beyond it requests are passed on, each for itself.";
}
