//! Tests over real sockets, with something that answers what the query itself says.

mod datagrams;
mod https;
mod rig;
mod siege;
mod streams;
mod tls;
