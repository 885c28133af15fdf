//! The plan of a page: what it is made of for one visitor, in the order of the document.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// To be sent as it is. It is never looked at for markup again.
    Text(Bytes),
    /// A fragment to be asked for. One without variables is the template's own, and shared.
    Include(Arc<Include>),
    /// Two ways to go on.
    Try(Box<Try>),
}

/// What is sent if all its fragments come, and what is sent instead if not. Nothing of `except`
/// may be asked for before a fragment of `attempt` has failed, and nothing of an attempt that
/// failed may be sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Try {
    /// What is wanted.
    pub attempt: Vec<Piece>,
    /// What is sent if that fails.
    pub except: Vec<Piece>,
}

/// A fragment that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Include {
    /// Its reference, variables filled in; [`resolve`](crate::resolve) says what it means.
    pub src: String,
    /// The reference to ask for if that fails.
    pub alt: Option<String>,
    /// What happens if all fails.
    pub on_error: OnError,
    /// How long the page waits for it.
    pub max_wait: Option<Duration>,
    /// How long it may be kept, whatever it says itself.
    pub ttl: Option<Duration>,
    /// Whether it may not be kept at all.
    pub no_store: bool,
    /// Whether its own tags are heeded, if the tag says so.
    pub assembly: Option<Assembly>,
    /// How it is asked for.
    pub method: Method,
    /// What is changed in the fields of its request, in this order.
    pub headers: Vec<HeaderChange>,
    /// The body of its request.
    pub entity: Option<Bytes>,
    /// The how manyth tag of the page it is, from 1.
    pub tag_number: u32,
    /// Where in the page its tag begins, in bytes.
    pub offset: u64,
}

/// What happens if neither a fragment nor its alternative comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnError {
    /// The attempt it is in fails, or the page.
    #[default]
    Fail,
    /// Nothing is in its place.
    Continue,
}

/// How a fragment is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// POST
    Post,
}

/// What `dca` says of the tags in a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assembly {
    /// They are sent as they are.
    None,
    /// They are heeded.
    Esi,
}

/// A change to the fields of a fragment's request. Names are tokens in lower case, none of those
/// that frame a message or name a connection; values have no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// One more line.
    Append(String, Bytes),
    /// One line in place of all of that name.
    Set(String, Bytes),
    /// None of that name.
    Remove(String),
}

impl HeaderChange {
    /// Makes the change. A name or a value that no field can have changes nothing.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let (Self::Append(name, _) | Self::Set(name, _) | Self::Remove(name)) = self;
        let Ok(name) = HeaderName::try_from(name.as_str()) else { return };
        let value = |bytes: &Bytes| HeaderValue::from_bytes(bytes).ok();
        match self {
            Self::Append(_, bytes) => {
                if let Some(value) = value(bytes) {
                    headers.append(name, value);
                }
            }
            Self::Set(_, bytes) => {
                if let Some(value) = value(bytes) {
                    headers.insert(name, value);
                }
            }
            Self::Remove(_) => drop(headers.remove(name)),
        }
    }
}
