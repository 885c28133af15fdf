//! Who this node is: what it joined as, and what it got for that. Kept in a file that only its user
//! may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use selvedge_feed::{Join, Joined, SealKey};
use serde::{Deserialize, Serialize};

const FILE: &str = "identity.json";
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Identity {
    /// What it joined as.
    pub join: Join,
    /// What it got for that.
    pub joined: Joined,
}

impl Identity {
    /// The key that opens what is sealed for nodes.
    #[must_use]
    pub fn seal_key(&self) -> Option<SealKey> {
        SealKey::read(&self.joined.seal_key)
    }

    /// Whether a node of this kind would still be this one. Versions come and go.
    #[must_use]
    pub(crate) fn is_still(&self, join: &Join) -> bool {
        Join { version: self.join.version.clone(), ..join.clone() } == self.join
    }

    /// Reads who this node is, if it has joined.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let mut text = Vec::new();
        match File::open(folder.join(FILE)) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&text).map(Some).map_err(io::Error::other)
    }

    /// Writes it down: beside the old one, synced, then in its place.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let beside = folder.join(format!("{FILE}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&beside, folder.join(FILE))?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_feed::Tier;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_identity_is_read_as_it_was_written_and_is_for_its_user_only() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Identity::read(folder.path()).expect("readable"), None);
        let join = Join {
            name: "edge-1".into(),
            tier: Tier::Edge,
            region: "eu".into(),
            urls: vec![],
            addresses: vec![],
            health: None,
            version: "1".into(),
        };
        let joined = Joined {
            name: "edge-1".into(),
            token: "t".into(),
            seal_key: "0f".repeat(32),
            log: "x".into(),
        };
        let identity = Identity { join: join.clone(), joined };
        identity.write(folder.path()).expect("written");
        let read = Identity::read(folder.path()).expect("readable").expect("there");
        assert!(read == identity && read.seal_key().is_some());
        let mode = std::fs::metadata(folder.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(read.is_still(&Join { version: "2".into(), ..join.clone() }));
        assert!(!read.is_still(&Join { region: "us".into(), ..join }));
        std::fs::write(folder.path().join(FILE), b"{").expect("written");
        assert!(Identity::read(folder.path()).is_err());
    }
}
