//! Sealing what only nodes may read: private keys, in the log, in the stream and on the disks of
//! nodes. AES-256-GCM with a random nonce (NIST SP 800-38D 8.2.2) and the site as associated data,
//! so that a key cannot be moved to another site.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};

/// Bytes of a seal key.
pub const SEAL_KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The key that seals and opens.
pub struct SealKey(RandomizedNonceKey);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// A sealed text that could not be opened: damaged, for another site, or of another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsealed;

impl std::fmt::Display for Unsealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the sealed key cannot be opened with this node's seal key")
    }
}

impl std::error::Error for Unsealed {}

impl SealKey {
    /// A key of these bytes; they must be random.
    ///
    /// # Panics
    /// Never: every key of this length is a key.
    #[must_use]
    pub fn new(bytes: &[u8; SEAL_KEY_BYTES]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("32 bytes are a key"))
    }

    /// Reads a key from hexadecimal digits.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes: [u8; SEAL_KEY_BYTES] = from_hex(text.trim())?.try_into().ok()?;
        Some(Self::new(&bytes))
    }

    /// Seals a text for a site, as hexadecimal digits.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(&self, site: &str, text: &str) -> Result<String, Unsealed> {
        let mut sealed = text.as_bytes().to_vec();
        let aad = Aad::from(site.as_bytes());
        let nonce = self.0.seal_in_place_append_tag(aad, &mut sealed).map_err(|_| Unsealed)?;
        let mut all = nonce.as_ref().to_vec();
        all.append(&mut sealed);
        Ok(to_hex(&all))
    }

    /// Opens what was sealed for a site.
    ///
    /// # Errors
    /// When it is damaged, for another site, or sealed with another key.
    pub fn open(&self, site: &str, sealed: &str) -> Result<String, Unsealed> {
        let all = from_hex(sealed).filter(|all| all.len() >= NONCE_BYTES + TAG_BYTES);
        let mut all = all.ok_or(Unsealed)?;
        let mut sealed = all.split_off(NONCE_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(&all).map_err(|_| Unsealed)?;
        let aad = Aad::from(site.as_bytes());
        let text = self.0.open_in_place(nonce, aad, &mut sealed).map_err(|_| Unsealed)?;
        String::from_utf8(text.to_vec()).map_err(|_| Unsealed)
    }
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_site_and_key_only() {
        let key = SealKey::new(&[7; SEAL_KEY_BYTES]);
        let sealed = key.seal("shop", "secret").expect("random bytes");
        assert!(!sealed.contains(&to_hex(b"secret")));
        assert_eq!(key.open("shop", &sealed).as_deref(), Ok("secret"));
        assert_eq!(key.open("other", &sealed), Err(Unsealed));
        assert_eq!(SealKey::new(&[8; 32]).open("shop", &sealed), Err(Unsealed));
        for damaged in ["", "zz", "00", &sealed[2..], &sealed[..sealed.len() - 2]] {
            assert_eq!(key.open("shop", damaged), Err(Unsealed));
        }
        assert_ne!(sealed, key.seal("shop", "secret").expect("random bytes"), "another nonce");
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        let text = "0f".repeat(32);
        let key = SealKey::read(&text).expect("a key");
        let sealed = SealKey::new(&[15; 32]).seal("a", "b").expect("random bytes");
        assert_eq!(key.open("a", &sealed).as_deref(), Ok("b"));
        assert!(SealKey::read("0f").is_none());
        assert!(SealKey::read(&"zz".repeat(32)).is_none());
    }
}
