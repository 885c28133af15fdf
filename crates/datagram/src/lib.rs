//! Datagrams in batches: up to [`BATCH`] are received by one call to the kernel and answered by one
//! (recvmmsg(2), sendmmsg(2)), each reply from the address that its query came to.
//!
//! This crate is apart because it needs `unsafe`: neither the standard library nor socket2, rustix
//! or tokio offer these calls. All of it is in `kernel.rs`; it knows nothing of DNS, makes no
//! threads and allocates nothing for a datagram.

mod batch;
mod kernel;
mod slot;
mod socket;

pub use batch::{Batch, Message, Sent, Wait};
pub use slot::{BATCH, DATAGRAM_BYTES_MAX};
pub use socket::{Options, Socket};

#[cfg(test)]
mod tests;
