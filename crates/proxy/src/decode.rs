//! Content codings taken off here, as streams: gzip, brotli and zstd (RFC 9110 8.4.1, RFC 7932,
//! RFC 8878).
//!
//! A decoder is plain: bytes in, bytes out, no more of them than it was given leave for. Nothing
//! that it is fed makes it give more, or panic.

use flate2::write::MultiGzDecoder;
use std::io::{self, Write};
use zstd::stream::{raw, zio};

/// What a coding is called in `Content-Encoding`. `None` is one that nobody here can take off.
pub(crate) fn is_known(coding: &[u8]) -> bool {
    Decoder::new(coding, 0).is_some()
}

/// Input is taken in steps of this many bytes, so that no step makes very much of it.
const STEP_BYTES: usize = 4 << 10;

/// A running decoder.
pub(crate) struct Decoder(Kind);

enum Kind {
    Brotli(Box<brotli::DecompressorWriter<Output>>),
    Gzip(Box<MultiGzDecoder<Output>>),
    Zstd(Box<zio::Writer<Output, raw::Decoder<'static>>>),
}

/// What came out and was not taken yet, and how much more may.
struct Output {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            return Err(io::Error::other("more than may come out of it"));
        };
        self.left = left;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    /// A decoder of this coding, which gives `bytes_max` at most. `None` if it is not known.
    pub(crate) fn new(coding: &[u8], bytes_max: usize) -> Option<Self> {
        const BUFFER_BYTES: usize = 16 << 10;
        let output = Output { bytes: Vec::new(), left: bytes_max };
        let coding = coding.trim_ascii().to_ascii_lowercase();
        Some(Self(match &coding[..] {
            b"br" => Kind::Brotli(Box::new(brotli::DecompressorWriter::new(output, BUFFER_BYTES))),
            b"gzip" | b"x-gzip" => Kind::Gzip(Box::new(MultiGzDecoder::new(output))),
            b"zstd" => {
                let decoder = raw::Decoder::new().ok()?;
                Kind::Zstd(Box::new(zio::Writer::new(output, decoder)))
            }
            _ => return None,
        }))
    }

    /// Takes in `bytes`; gives what they come to, perhaps nothing.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        for step in bytes.chunks(STEP_BYTES) {
            match &mut self.0 {
                Kind::Brotli(decoder) => decoder.write_all(step)?,
                Kind::Gzip(decoder) => decoder.write_all(step)?,
                Kind::Zstd(decoder) => decoder.write_all(step)?,
            }
        }
        match &mut self.0 {
            // These keep a little back until they are told to give it.
            Kind::Brotli(decoder) => decoder.flush()?,
            Kind::Gzip(decoder) => decoder.flush()?,
            Kind::Zstd(decoder) => decoder.flush()?,
        }
        Ok(std::mem::take(&mut self.output().bytes))
    }

    /// The stream has ended: an error if it was cut off.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        match &mut self.0 {
            Kind::Brotli(decoder) => decoder.close()?,
            Kind::Gzip(decoder) => decoder.try_finish()?,
            Kind::Zstd(decoder) => decoder.finish()?,
        }
        Ok(std::mem::take(&mut self.output().bytes))
    }

    fn output(&mut self) -> &mut Output {
        match &mut self.0 {
            Kind::Brotli(decoder) => decoder.get_mut(),
            Kind::Gzip(decoder) => decoder.get_mut(),
            Kind::Zstd(decoder) => decoder.writer_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Encoder;
    use proptest::prelude::*;
    use selvedge_policy::Coding;

    const CODINGS: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Zstd];

    fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(coding).expect("an encoder");
        let mut out = encoder.push(text).expect("push");
        out.extend(encoder.finish().expect("finish"));
        out
    }

    fn decoded(coding: Coding, bytes: &[u8], step: usize, max: usize) -> io::Result<Vec<u8>> {
        let mut decoder = Decoder::new(coding.token().as_bytes(), max).expect("a known coding");
        let mut out = Vec::new();
        for bytes in bytes.chunks(step) {
            out.extend(decoder.push(bytes)?);
        }
        out.extend(decoder.finish()?);
        Ok(out)
    }

    #[test]
    fn what_was_encoded_comes_out_however_it_is_cut() {
        let text = "the selvedge runs along both edges of the cloth; ".repeat(2_000);
        for coding in CODINGS {
            let bytes = encoded(coding, text.as_bytes());
            for step in [1, 100, bytes.len()] {
                let out = decoded(coding, &bytes, step, text.len()).expect("well-formed");
                assert!(out == text.as_bytes(), "{coding:?} {step}");
            }
        }
    }

    #[test]
    fn what_is_given_is_there_before_the_end() {
        for coding in CODINGS {
            let mut encoder = Encoder::new(coding).expect("an encoder");
            let mut bytes = encoder.push(b"first words").expect("push");
            bytes.extend(encoder.flush().expect("flush"));
            let mut decoder = Decoder::new(coding.token().as_bytes(), 100).expect("known");
            assert_eq!(decoder.push(&bytes).expect("well-formed"), b"first words", "{coding:?}");
        }
    }

    #[test]
    fn a_stream_that_was_cut_off_is_an_error() {
        for coding in CODINGS {
            let bytes = encoded(coding, &b"some words ".repeat(100));
            for length in [bytes.len() - 1, bytes.len() / 2] {
                assert!(decoded(coding, &bytes[..length], 7, 10_000).is_err(), "{coding:?}");
            }
        }
    }

    #[test]
    fn no_more_comes_out_than_may() {
        for coding in CODINGS {
            let bytes = encoded(coding, &vec![0; 8 << 20]);
            assert!(decoded(coding, &bytes, 4096, 1 << 20).is_err(), "{coding:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_decoded(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 1_usize..50,
        ) {
            for coding in CODINGS {
                let _ = decoded(coding, &bytes, cut, 1 << 16);
                let mut spoiled = encoded(coding, b"some words and some more words");
                for (at, byte) in bytes.iter().enumerate().take(3) {
                    let at = (at * 13 + usize::from(*byte)) % spoiled.len();
                    spoiled[at] ^= byte;
                }
                let _ = decoded(coding, &spoiled, cut, 1 << 16);
            }
        }
    }
}
