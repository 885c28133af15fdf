//! Which disks belong together.
//!
//! A disk that was away while others were changed must not come back with what it had: removals
//! and newer records went elsewhere. So all disks in use carry the same epoch, which rises when one
//! leaves or joins; at opening, one with a lower epoch is emptied. A disk whose removals could not
//! be written is not in use in that sense, and if it can be told, its epoch is 0.

use std::sync::Arc;

use selvedge_policy::KeySeed;
use tracing::warn;

use super::superblock::Superblock;
use super::volume::Disk;

/// The epoch of a disk that must be emptied.
pub(crate) const DISTRUSTED: u64 = 0;

/// One number for a set of identities, whatever their order.
pub(crate) fn hash_of(identities: impl Iterator<Item = u128>) -> u64 {
    identities.fold(0, |sum, id| sum.wrapping_add((id >> 64) as u64 ^ id as u64))
}

/// A new identity: no two disks, and no two lives of a disk, have the same.
pub(crate) fn identity(seed: [u8; 16], path: &std::path::Path, now_ms: u64, epoch: u64) -> u128 {
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    bytes.extend_from_slice(&now_ms.to_le_bytes());
    bytes.extend_from_slice(&epoch.to_le_bytes());
    KeySeed::new(seed).hash(&bytes).0
}

/// What decides which keys are those of a disk: the same as long as it has the same path.
pub(crate) fn route(path: &std::path::Path) -> u128 {
    KeySeed::new([0; 16]).hash(path.as_os_str().as_encoded_bytes()).0
}

/// The disks that were opened together.
#[derive(Debug, Default)]
pub(crate) struct Members {
    disks: Vec<Member>,
    epoch: u64,
}

#[derive(Debug)]
struct Member {
    disk: Arc<Disk>,
    block: Superblock,
    trusted: bool,
}

impl Members {
    /// Disks that all carry the same epoch.
    pub(crate) fn new(disks: Vec<(Arc<Disk>, Superblock)>) -> Self {
        let epoch = disks.iter().map(|(_, block)| block.epoch).max().unwrap_or(1);
        let member = |(disk, block)| Member { disk, block, trusted: true };
        Self { disks: disks.into_iter().map(member).collect(), epoch }
    }

    /// Writes a new epoch when a disk left or came back.
    pub(crate) fn review(&mut self) {
        if self.disks.iter().all(|member| member.trusted == member.disk.is_trustworthy()) {
            return;
        }
        self.epoch += 1;
        for member in &mut self.disks {
            member.trusted = member.disk.is_trustworthy();
        }
        let trusted = self.disks.iter().filter(|member| member.trusted);
        let members = hash_of(trusted.map(|member| member.block.identity));
        for member in &mut self.disks {
            member.block.members = members;
            member.block.epoch = if member.trusted { self.epoch } else { DISTRUSTED };
            let saved = member.block.save(&member.disk.folder, &*member.disk.io);
            if let Err(error) = saved {
                let disk = member.disk.folder.display();
                warn!(%disk, %error, "a cache disk will be emptied when it is opened again");
            }
        }
    }
}
