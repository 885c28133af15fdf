//! Tests over real sockets: the whole listening side against raw bytes, the whole sending side
//! against an origin that misbehaves by script, and both against each other.

mod client;
mod http2;
mod rig;
mod serve;
mod streams;
mod tls;
mod upgrade;
