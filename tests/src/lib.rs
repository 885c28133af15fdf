//! The harness of the end-to-end suite: the real binary between a scripted origin that records
//! every byte and clients that send exactly the bytes they are told and believe nothing.
//!
//! It must never sleep for a guessed time: a test waits for an event ([`Gate`]), or polls a fact
//! with a bounded patience ([`eventually`]). Every socket is bound to port 0 on loopback.

pub mod answer;
pub mod api;
pub mod client;
pub mod clock;
pub mod config;
pub mod control;
pub mod crash;
pub mod crowd;
pub mod demo;
pub mod dns;
pub mod h2;
pub mod live;
pub mod log;
pub mod message;
pub mod metrics;
pub mod node;
pub mod origin;
pub mod players;
pub mod response;
mod serving;
pub mod tls;
pub mod tools;
pub mod wait;

pub use answer::Answer;
pub use client::Client;
pub use config::{NodeConfig, Site};
pub use control::Control;
pub use node::Node;
pub use origin::Origin;
pub use response::{ReadError, Response};
pub use wait::{Gate, PATIENCE, eventually};
