//! Request ids: short, unique over nodes and restarts, made without a lock or a system call.

use http::HeaderValue;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes the ids of one process: a random start and a counter, mixed so that ids do not tell how
/// many requests the node has served.
#[derive(Debug)]
pub(crate) struct RequestIds {
    hasher: RandomState,
    next: AtomicU64,
}

/// One id: sixteen hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId([u8; 16]);

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), next: AtomicU64::new(0) }
    }

    /// The next id.
    pub(crate) fn next(&self) -> RequestId {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(self.next.fetch_add(1, Ordering::Relaxed));
        let mut value = hasher.finish();
        let mut digits = [0_u8; 16];
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(value & 15) as usize];
            value >>= 4;
        }
        RequestId(digits)
    }
}

impl RequestId {
    /// The id another node gave to a request, if it is one of ours by its form.
    pub(crate) fn parse(value: &HeaderValue) -> Option<Self> {
        let digits: [u8; 16] = value.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// The id as a field value. Marked so that HTTP/2 does not put it into its table of fields: it
    /// is never seen again, and the search among earlier ones cost 8000 instructions a response.
    pub(crate) fn value(self) -> HeaderValue {
        let mut value = HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("0"));
        value.set_sensitive(true);
        value
    }

    /// The digits, as bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or("0000000000000000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_sixteen_digits_and_do_not_repeat() {
        let ids = RequestIds::new();
        let seen: HashSet<String> = (0..10_000).map(|_| ids.next().as_str().to_owned()).collect();
        assert_eq!(seen.len(), 10_000);
        assert!(seen.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
