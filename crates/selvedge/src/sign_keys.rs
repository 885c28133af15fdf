//! Files of keys that sign tokens: one line of hexadecimal digits. What is in them is never shown.

use crate::prepare::Files;
use selvedge_config::{Config, Signed, Site};
use selvedge_media::token::{Key, SECRET_BYTES_MIN};
use selvedge_proxy::KeyFault;
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No secret is longer.
const SECRET_BYTES_MAX: usize = 128;
/// Bytes of a file of a key at most: its digits, and some white space.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// The secrets of keys by their files, as they were read: between two reloads a key is the same
/// for all sites.
#[derive(Default)]
pub(crate) struct SignKeys {
    known: Mutex<HashMap<PathBuf, Vec<u8>>>,
}

impl SignKeys {
    /// The key of this name, read unless it was before.
    pub(crate) fn load(&self, config: &Config, files: &Files, name: &str) -> Result<Key, KeyFault> {
        let Some(folder) = &config.node.sign_keys else {
            let why = format!("is missing, and a site asks for the key {name}");
            return Err(KeyFault { file: "node.sign_keys".into(), why });
        };
        let file = files.resolve(folder).join(format!("{name}.key"));
        let mut known = self.known();
        let secret = match known.get(&file) {
            Some(secret) => secret.clone(),
            None => read(&file)?,
        };
        let key = Key::new(name, &secret).ok_or_else(|| malformed(&file))?;
        known.insert(file, secret);
        Ok(key)
    }

    /// Whether all keys of a site can be used.
    pub(crate) fn check(
        &self,
        config: &Config,
        files: &Files,
        site: &Site,
    ) -> Result<(), KeyFault> {
        if site.signed == Signed::Off {
            return Ok(());
        }
        site.signed_keys
            .iter()
            .try_for_each(|name| self.load(config, files, name.as_str()).map(drop))
    }

    /// Has all of them read again.
    pub(crate) fn refresh(&self) {
        self.known().clear();
    }

    /// Each entry is whole at any time.
    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, Vec<u8>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the secret in a file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, KeyFault> {
    let fault = |why: String| KeyFault { file: file.to_owned(), why };
    let text = selvedge_net::read_file_up_to(file, FILE_BYTES_MAX);
    let text = text.map_err(|error| fault(format!("cannot be read: {error}")))?;
    let secret = secret(text.trim_ascii());
    let is_sound = |secret: &Vec<u8>| (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len());
    secret.filter(is_sound).ok_or_else(|| malformed(file))
}

fn malformed(file: &Path) -> KeyFault {
    let (min, max) = (SECRET_BYTES_MIN * 2, SECRET_BYTES_MAX * 2);
    let why = format!(
        "is not one line of {min} to {max} hexadecimal digits: `selvedge sign new-key` makes one"
    );
    KeyFault { file: file.to_owned(), why }
}

/// Makes the file of a new key, which only its owner can read; one that is there stays.
pub(crate) fn make(file: &Path) -> std::io::Result<()> {
    let mut secret = [0; 32];
    let nothing = |_| std::io::Error::other("the system gives no random bytes");
    aws_lc_rs::rand::fill(&mut secret).map_err(nothing)?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    let mut key = options.write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(key, "{digits}")?;
    key.sync_all()
}

/// The bytes that hexadecimal digits stand for.
fn secret(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok();
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_pairs_of_digits() {
        assert_eq!(secret(b"00fFa9"), Some(vec![0, 0xff, 0xa9]));
        for wrong in [&b"0"[..], b"0g", b"0x00", b"00 00", "\u{ff}".as_bytes()] {
            assert_eq!(secret(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_its_text_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.key");
        for text in ["", "00112233", "secret-secret-secret-secret-secret", &"00".repeat(129)] {
            std::fs::write(&file, text).expect("written");
            let fault = read(&file).expect_err("it is no key").to_string();
            assert!(fault.contains("a.key: is not one line of 32 to 256"), "{fault}");
            assert!(!fault.contains("secret-"), "{fault}");
        }
        std::fs::write(&file, format!("{}\n", "ab".repeat(16))).expect("written");
        assert_eq!(read(&file).expect("it is one"), vec![0xab; 16]);
        let missing = read(&folder.path().join("b.key")).expect_err("there is none").to_string();
        assert!(missing.contains("b.key: cannot be read"), "{missing}");
    }
}
