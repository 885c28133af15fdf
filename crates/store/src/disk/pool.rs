//! Buffers that are read into, used again and again.
//!
//! A fresh buffer has to be zeroed before a file can be read into it, and its pages have to be made
//! by the system: for long reads that costs as much as the read itself.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::lock::lock;

/// Shorter buffers are cheap to make.
pub(crate) const POOLED_BYTES_MIN: usize = 16 << 10;

/// Lengths of buffers are multiples of this, so that there are few different ones.
pub(crate) const POOLED_STEP_BYTES: usize = 4 << 10;

/// Buffers kept for later, in number; each is at most a record long.
const SPARE_MAX: usize = 16;

/// Buffers of one disk.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// A buffer of so many bytes, with anything in it. It takes up to a step more memory.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Buffer {
        let length = bytes.next_multiple_of(POOLED_STEP_BYTES);
        let mut spare = lock(&self.spare);
        // The one used last is most likely in the caches still.
        let found = spare.iter().rposition(|buffer| buffer.len() == length);
        let found = found.map(|at| spare.swap_remove(at));
        drop(spare);
        let buffer = found.unwrap_or_else(|| vec![0; length]);
        Buffer { buffer, used: bytes, pool: self.clone() }
    }
}

/// A buffer that goes back when nobody reads it any more.
#[derive(Debug)]
pub(crate) struct Buffer {
    buffer: Vec<u8>,
    used: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    /// Its bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.used]
    }

    /// Its bytes, to be shared.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.used]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut spare = lock(&self.pool.spare);
        // Sizes that are asked for no more leave in time.
        let over = (spare.len() >= SPARE_MAX).then(|| spare.remove(0));
        spare.push(buffer);
        drop(spare);
        drop(over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_reader_is_done() {
        let pool = Arc::<Pool>::default();
        let mut buffer = pool.take(100_000);
        buffer.bytes_mut().fill(7);
        let place = buffer.as_ref().as_ptr();
        let bytes = buffer.freeze();
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_ne!(pool.take(100_000).as_ref().as_ptr(), place);
        assert_eq!(part, [7; 10][..]);
        drop(part);
        let again = pool.take(99_000);
        assert_eq!((again.as_ref().as_ptr(), again.as_ref().len()), (place, 99_000));
        assert_ne!(pool.take(10_000).as_ref().as_ptr(), place);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let pool = Arc::<Pool>::default();
        let buffers: Vec<Buffer> = (0..50).map(|_| pool.take(20_000)).collect();
        drop(buffers);
        assert_eq!(lock(&pool.spare).len(), SPARE_MAX);
    }
}
