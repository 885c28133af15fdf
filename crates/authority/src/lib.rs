//! What an authoritative DNS server knows and says, pure: zones out of master files, packets in,
//! packets out. Sockets, clocks and randomness are handed in by `selvedge-dns`; where the clients
//! of a site are sent is asked of [`Sites`].

mod additional;
mod answer;
mod chaos;
mod compress;
mod cookie;
mod dnssec;
mod edns;
pub mod kind;
mod lead;
mod master;
mod name;
mod opt;
mod outcome;
mod proof;
mod query;
mod rdata;
mod responder;
mod rrl;
mod service;
mod settings;
mod sites;
mod subnet;
mod transfer;
mod wire;
mod writer;
mod zone;
mod zones;

pub use cookie::{CookieProof, CookieSecrets};
pub use dnssec::{
    Algorithm, KeyError, KeyRing, KeyState, KeyStatus, KeyTimes, Next, Plan, SignatureLimits,
    Signatures, Signer, Standing, Timing, plan,
};
pub use master::{Fault, Loaded, MasterFile, TEXT_BYTES_MAX, zone_text};
pub use name::{Name, NameError};
pub use outcome::{Outcome, Reason, SubnetOutcome};
pub use rdata::data_text;
pub use responder::{Reply, Request, Responder, Scratch, Transport};
pub use rrl::{RateClass, RateLimiter, RateLimits, RateVerdict};
pub use settings::{Alpn, CookiePolicy, ServerText, Settings, SettingsError, UDP_BYTES_DEFAULT};
pub use sites::{Asker, Located, SiteIndex, Sites};
pub use subnet::{AddressSet, SubnetTrust};
pub use transfer::Transfer;
pub use wire::rcode;
pub use zone::{Found, Node, Otherwise, Rrset, Zone, ZoneBuilder, ZoneError};
pub use zones::Zones;
