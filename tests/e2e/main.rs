//! The end-to-end suite: the real binary between a scripted origin and clients that believe
//! nothing. Each test names a promise; it asserts what the client got, what the origin saw, and
//! what the node counted, so that a right answer for a wrong reason fails.

mod caching;
mod cdn;
mod client;
mod client_support;
mod coherence;
mod collapse;
mod control;
mod control_faults;
mod crash;
mod cutting;
mod disk;
mod drain;
mod encoding;
mod errors_logs;
mod fds;
mod framing;
mod h2_abuse;
mod h2_messages;
mod hosts;
mod long_objects;
mod look;
mod memory;
mod methods;
mod origin_faults;
mod origin_limits;
mod peers;
mod poisoning;
mod purge;
mod push;
mod ranges;
mod reload;
mod slices;
mod slow;
mod smoke;
mod smuggling;
mod stale;
mod support;
mod tiers;
mod tls;
mod tour;
mod upgrade;
mod validation;
mod vary;
