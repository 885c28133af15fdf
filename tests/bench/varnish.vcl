# Varnish with its built-in rules. Storage, thread pools and listeners are on its command line (see
# `peers.rs`): malloc storage, one pool with threads for all connections of the benchmark.
# The open edition of Varnish has no TLS to clients. Its log in shared memory stays on: it cannot
# be switched off, and nothing reads it here.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "{origin}";
}
