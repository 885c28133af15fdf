//! Counts the frames of an HTTP/2 client that cost us work and it nothing: PING, SETTINGS,
//! PRIORITY, RST_STREAM, empty DATA and unknown types (CVE-2019-9512, -9513, -9515, -9518,
//! CVE-2023-44487). Only headers of frames are looked at (RFC 9113 4.1); what is in them is the
//! library's business.
//!
//! ```text
//!  0       3      4       5           9
//!  | length | type | flags | stream id | payload ...
//! ```

const PREFACE_BYTES: u32 = 24;
const HEADER_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PUSH_PROMISE: u8 = 0x5;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;

/// The allowance of one connection.
#[derive(Clone, Debug)]
pub(crate) struct FrameMeter {
    header: [u8; HEADER_BYTES],
    filled: usize,
    skip: u32,
    allowance_max: u32,
    allowance: u32,
    refilled_ms: u64,
}

impl FrameMeter {
    pub(crate) const fn new(allowance_max: u32, now_ms: u64) -> Self {
        Self {
            header: [0; HEADER_BYTES],
            filled: 0,
            skip: PREFACE_BYTES,
            allowance_max,
            allowance: allowance_max,
            refilled_ms: now_ms,
        }
    }

    /// Counts the frames in the next bytes. `false` once the allowance is used up.
    pub(crate) fn advance(&mut self, mut bytes: &[u8], now_ms: u64) -> bool {
        self.refill(now_ms);
        while !bytes.is_empty() {
            if self.skip > 0 {
                let count = (self.skip as usize).min(bytes.len());
                // `count` is at most `skip`, which is a u32.
                self.skip -= count as u32;
                bytes = &bytes[count..];
                continue;
            }
            let count = (HEADER_BYTES - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
            if self.filled == HEADER_BYTES {
                self.filled = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = u32::from_be_bytes([0, a, b, c]);
                if self.is_idle_work(kind, flags) {
                    let Some(left) = self.allowance.checked_sub(1) else { return false };
                    self.allowance = left;
                }
            }
        }
        true
    }

    const fn is_idle_work(&self, kind: u8, flags: u8) -> bool {
        match kind {
            DATA => self.skip == 0 && flags & END_STREAM == 0,
            HEADERS | PUSH_PROMISE | GOAWAY | WINDOW_UPDATE | CONTINUATION => false,
            _ => true,
        }
    }

    /// A tenth of the allowance comes back every second.
    fn refill(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.refilled_ms);
        let gained = passed.saturating_mul(u64::from(self.allowance_max)) / 10_000;
        if gained > 0 {
            self.refilled_ms = now_ms;
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.allowance = self.allowance.saturating_add(gained).min(self.allowance_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FrameMeter;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    /// Ten control frames are the allowance; requests and data are free; splits do not matter.
    #[test]
    fn control_frames_use_up_the_allowance() {
        for size in [1, 7, 1000] {
            let mut stream = vec![0; 24];
            for _ in 0..5 {
                stream.extend(frame(6, 0, b"12345678"));
                stream.extend(frame(1, 5, b"headers"));
                stream.extend(frame(0, 0, b"data"));
                stream.extend(frame(0, 1, b""));
                stream.extend(frame(8, 0, b"1234"));
                stream.extend(frame(0, 0, b""));
            }
            let mut meter = FrameMeter::new(10, 0);
            assert!(stream.chunks(size).all(|bytes| meter.advance(bytes, 0)));
            let mut later = meter.clone();
            assert!(!meter.advance(&frame(3, 0, b"1234"), 0));
            assert!(later.advance(&frame(3, 0, b"1234"), 1_000));
            assert!(!later.advance(&frame(0xbe, 0, b""), 1_500));
        }
    }
}
