//! Content codings made here, as streams: gzip, brotli and zstd (RFC 9110 8.4.1, RFC 7932,
//! RFC 8878).
//!
//! An encoder is plain: bytes in, bytes out. Who runs it, and where, is decided by its user; it may
//! take milliseconds for a chunk, so that user is never the task that serves a core's connections.

use selvedge_policy::encodings::Coding;
use std::io::{self, Write};

/// brotli's levels above 5 cost several times the CPU for a few per cent of size.
const BROTLI_LEVEL: u32 = 5;
/// The window of 2^19 bytes keeps an encoder below 3 MiB of memory.
const BROTLI_WINDOW_BITS: u32 = 19;
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// Of brotli and gzip, where speed counts most.
const QUICK_LEVEL: u32 = 1;
const BUFFER_BYTES: usize = 16 << 10;

/// A running encoder.
pub(crate) enum Encoder {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// Starts an encoder for what is stored and given to many.
    pub(crate) fn new(coding: Coding) -> io::Result<Self> {
        Self::at(coding, BROTLI_LEVEL, GZIP_LEVEL, ZSTD_LEVEL)
    }

    /// Starts an encoder for what is given to one client only: it takes a tenth of the CPU.
    pub(crate) fn quick(coding: Coding) -> io::Result<Self> {
        Self::at(coding, QUICK_LEVEL, QUICK_LEVEL, 1)
    }

    fn at(coding: Coding, brotli: u32, gzip: u32, zstd: i32) -> io::Result<Self> {
        Ok(match coding {
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BUFFER_BYTES,
                brotli,
                BROTLI_WINDOW_BITS,
            ))),
            Coding::Gzip => Self::Gzip(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::new(gzip),
            )),
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), zstd)?),
        })
    }

    /// Takes in `bytes`; gives what is ready to be sent, perhaps nothing.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli(encoder) => {
                encoder.write_all(bytes)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Zstd(encoder) => {
                encoder.write_all(bytes)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// Gives all that was taken in so far, at some cost in size: for a source that has paused.
    pub(crate) fn flush(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli(encoder) => {
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Gzip(encoder) => {
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Zstd(encoder) => {
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// Ends the stream and gives its last bytes.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            Coding::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out).expect("brotli")
            }
            Coding::Gzip => {
                flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip")
            }
            Coding::Zstd => {
                out = zstd::stream::decode_all(bytes).expect("zstd");
                out.len()
            }
        };
        out
    }

    #[test]
    fn what_goes_in_comes_out_however_it_is_cut_and_flushed() {
        let text = "the selvedge runs along both edges of the cloth; ".repeat(2_000);
        for coding in [Coding::Brotli, Coding::Gzip, Coding::Zstd] {
            for piece in [7, 1_000, text.len()] {
                let mut encoder = Encoder::new(coding).expect("an encoder");
                let mut encoded = Vec::new();
                for (n, bytes) in text.as_bytes().chunks(piece).enumerate() {
                    encoded.extend(encoder.push(bytes).expect("push"));
                    if n % 5 == 4 && piece > 100 {
                        encoded.extend(encoder.flush().expect("flush"));
                    }
                }
                encoded.extend(encoder.finish().expect("finish"));
                assert_eq!(decode(coding, &encoded), text.as_bytes(), "{coding:?} {piece}");
                assert!(encoded.len() < text.len() / 4, "{coding:?} {piece} {}", encoded.len());
            }
        }
    }

    #[test]
    fn a_flush_gives_everything_that_went_in() {
        for coding in [Coding::Brotli, Coding::Gzip, Coding::Zstd] {
            let mut encoder = Encoder::new(coding).expect("an encoder");
            let mut encoded = encoder.push(b"first words").expect("push");
            encoded.extend(encoder.flush().expect("flush"));
            let mut out = [0_u8; 11];
            let mut decoder: Box<dyn Read> = match coding {
                Coding::Brotli => Box::new(brotli::Decompressor::new(&encoded[..], 64)),
                Coding::Gzip => Box::new(flate2::read::GzDecoder::new(&encoded[..])),
                Coding::Zstd => {
                    Box::new(zstd::stream::read::Decoder::new(&encoded[..]).expect("zstd"))
                }
            };
            decoder.read_exact(&mut out).expect("all that went in");
            assert_eq!(&out, b"first words", "{coding:?}");
        }
    }
}
