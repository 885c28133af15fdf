//! The caching proxy: the life of a request (`request.rs`) and of a fetch (`fetch.rs`), for edges
//! and parents alike. They differ in their configuration only.
//!
//! What it must never do: decide what may be stored or how fresh it is (`policy` does), parse bytes
//! from the network (`net` does), or turn an error into an answer anywhere but in `rescue.rs`.

mod access;
mod admit;
mod body;
mod carries;
mod cors;
mod decode;
mod deliver;
mod encode;
mod esi;
mod exchange;
mod fetch;
mod fill;
mod flow;
mod followed;
mod growing;
mod health;
mod ledger;
mod made;
mod media;
mod names;
mod node;
mod normalize;
mod numbers;
mod outgoing;
mod page;
mod plan;
mod probe;
mod purge;
mod request;
mod request_id;
mod rescue;
mod resource;
mod revision;
mod route;
mod slice_reader;
mod slices;
mod transform;
mod unready;
mod upgrade;
mod upstream;

pub use body::Body;
pub use followed::{Followed, Storage};
pub use media::{ManifestView, StreamView};
pub use node::{Handler, Node, Parts, Serving};
pub use plan::{KeyLoader, Plan, Trust, TrustLoader};
pub use purge::Token;
pub use resource::Resource;
pub use unready::{KeyFault, Unready};
