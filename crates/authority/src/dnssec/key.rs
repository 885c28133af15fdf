//! A key that signs: made, read, and as DNSKEY, DS, CDS and CDNSKEY say it (RFC 4034 2 and 5,
//! RFC 6605, RFC 8080, RFC 7344).
//!
//! The private part is never shown: neither `Debug` nor an error holds any of it.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};

use crate::name::Name;

/// Bytes of a signature, of either algorithm.
pub(crate) const SIGNATURE_BYTES: usize = 64;
/// A zone's key that is an entry to it too (RFC 4034 2.1.1).
const FLAGS: u16 = 257;
/// The only protocol there is (RFC 4034 2.1.2).
const PROTOCOL: u8 = 3;
/// SHA-256 (RFC 4509).
const DIGEST_KIND: u8 = 2;
/// Bytes of the private part in PKCS#8 at most.
const PRIVATE_BYTES_MAX: usize = 4096;

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256, number 13 (RFC 6605).
    Ecdsa,
    /// Ed25519, number 15 (RFC 8080).
    Ed25519,
}

/// What is wrong with keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text is not what keys are written as.
    Text(String),
    /// An algorithm that we do not sign with.
    Algorithm(String),
    /// A private part is none of its algorithm.
    Private,
    /// There is no key, or there are more than two.
    Count(usize),
    /// Two keys have the same tag, which would make each other's signatures doubtful.
    Tag(u16),
    /// A roll is under way, and only one can be.
    Rolling,
    /// No key could be made.
    Make,
}

/// A key.
pub(crate) struct SigningKey {
    pub(crate) algorithm: Algorithm,
    pair: Pair,
    private: Box<[u8]>,
    /// The data of its DNSKEY and CDNSKEY.
    dnskey: Box<[u8]>,
    pub(crate) tag: u16,
    /// What kept signatures are told apart by.
    pub(crate) ident: [u8; 16],
}

enum Pair {
    Ecdsa(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
}

impl Algorithm {
    /// The number (RFC 8624).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ecdsa => 13,
            Self::Ed25519 => 15,
        }
    }

    /// The word in configuration and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm of a word.
    pub fn from_word(word: &str) -> Result<Self, KeyError> {
        let found = [Self::Ecdsa, Self::Ed25519].into_iter().find(|one| one.word() == word);
        found.ok_or_else(|| KeyError::Algorithm(word.to_owned()))
    }
}

impl SigningKey {
    /// Makes a key.
    pub(crate) fn make(algorithm: Algorithm) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let private = match algorithm {
            Algorithm::Ecdsa => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        Self::read(algorithm, private.map_err(|_| KeyError::Make)?.as_ref())
    }

    /// Reads a private part in PKCS#8 (RFC 5958).
    pub(crate) fn read(algorithm: Algorithm, private: &[u8]) -> Result<Self, KeyError> {
        if private.len() > PRIVATE_BYTES_MAX {
            return Err(KeyError::Private);
        }
        let pair = match algorithm {
            Algorithm::Ecdsa => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private)
                .map(|pair| Pair::Ecdsa(pair, SystemRandom::new())),
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(private).map(Pair::Ed25519),
        };
        let pair = pair.map_err(|_| KeyError::Private)?;
        let public = match &pair {
            // A byte before the two numbers says that they are not compressed; RFC 6605 4 has none.
            Pair::Ecdsa(pair, _) => pair.public_key().as_ref().get(1..).unwrap_or_default(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let mut dnskey = FLAGS.to_be_bytes().to_vec();
        dnskey.extend_from_slice(&[PROTOCOL, algorithm.number()]);
        dnskey.extend_from_slice(public);
        let mut ident = [0; 16];
        ident.copy_from_slice(&digest(&SHA256, &dnskey).as_ref()[..16]);
        let tag = tag(&dnskey);
        Ok(Self { algorithm, pair, private: private.into(), dnskey: dnskey.into(), tag, ident })
    }

    /// The private part in PKCS#8.
    pub(crate) fn private(&self) -> &[u8] {
        &self.private
    }

    /// The data of DNSKEY and CDNSKEY.
    pub(crate) fn dnskey(&self) -> &[u8] {
        &self.dnskey
    }

    /// The data of DS and CDS (RFC 4034 5.1).
    pub(crate) fn ds(&self, apex: &Name) -> Vec<u8> {
        let digest = digest(&SHA256, &[apex.as_wire(), &self.dnskey].concat());
        let mut data = self.tag.to_be_bytes().to_vec();
        data.extend_from_slice(&[self.algorithm.number(), DIGEST_KIND]);
        data.extend_from_slice(digest.as_ref());
        data
    }

    /// Signs; `None`: the library could not.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
        let signature = match &self.pair {
            Pair::Ecdsa(pair, random) => pair.sign(random, message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        signature.ok()?.as_ref().try_into().ok()
    }
}

/// The tag of a key by the data of its DNSKEY (RFC 4034 appendix B).
fn tag(dnskey: &[u8]) -> u16 {
    let words = dnskey
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or_default()));
    let sum: u32 = words.sum();
    (sum + (sum >> 16)) as u16
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of {}", self.tag, self.algorithm.word())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(what) => write!(f, "the keys cannot be read: {what}"),
            Self::Algorithm(word) => {
                write!(f, "nothing signs with {word:?}: write \"ecdsa\" or \"ed25519\"")
            }
            Self::Private => f.write_str("a private key is not PKCS#8 of its algorithm"),
            Self::Count(count) => write!(f, "a zone has one key, or two in a roll; not {count}"),
            Self::Tag(tag) => write!(f, "two keys have the tag {tag}: make another"),
            Self::Rolling => f.write_str("a roll is under way: wait for its end"),
            Self::Make => f.write_str("no key could be made"),
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::name;
    use data_encoding::{BASE64, HEXLOWER};

    #[test]
    fn the_example_of_rfc_8080_has_the_tag_and_digest_that_stand_there() {
        let key = BASE64.decode(b"l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=").expect("base 64");
        let dnskey = [&[1, 1, 3, 15][..], &key].concat();
        assert_eq!(tag(&dnskey), 3613);
        let whole = [name("example.com.").as_wire(), &dnskey].concat();
        assert_eq!(
            HEXLOWER.encode(digest(&SHA256, &whole).as_ref()),
            "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"
        );
    }

    #[test]
    fn a_key_that_was_made_is_read_back_and_shows_nothing_of_itself() {
        for algorithm in [Algorithm::Ecdsa, Algorithm::Ed25519] {
            let made = SigningKey::make(algorithm).expect("a key");
            let read = SigningKey::read(algorithm, made.private()).expect("the key");
            assert_eq!((read.dnskey(), read.tag), (made.dnskey(), made.tag));
            assert_eq!(format!("{read:?}"), format!("key {} of {}", made.tag, algorithm.word()));
            assert!(made.sign(b"a").is_some());
            let other = match algorithm {
                Algorithm::Ecdsa => Algorithm::Ed25519,
                Algorithm::Ed25519 => Algorithm::Ecdsa,
            };
            assert_eq!(SigningKey::read(other, made.private()).err(), Some(KeyError::Private));
            assert_eq!(Algorithm::from_word(algorithm.word()), Ok(algorithm));
        }
        assert!(Algorithm::from_word("rsa").is_err());
    }
}
