//! Which disks belong together.
//!
//! A disk that was away while others were changed must not come back with what it had: removals
//! and newer records went elsewhere. So all disks in use carry the same epoch, which rises when one
//! leaves or joins; at opening, one with a lower epoch is emptied. A disk whose removals could not
//! be written is not in use in that sense: its superblock is taken away before a removal is
//! reported as not written, and comes back with the epoch 0, or with the next one when all was
//! written.

use std::sync::Arc;

use selvedge_policy::KeySeed;
use tracing::{error, warn};

use super::superblock::{self, Superblock};
use super::volume::Disk;
use crate::lock::lock;

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
        if self.disks.iter().all(Member::is_settled) {
            return;
        }
        self.epoch += 1;
        for member in &mut self.disks {
            member.trusted = member.disk.is_trustworthy();
        }
        let trusted = self.disks.iter().filter(|member| member.trusted);
        let members = hash_of(trusted.map(|member| member.block.identity));
        for member in &mut self.disks {
            member.save(self.epoch, members);
        }
    }
}

impl Member {
    /// Whether the superblock says what is so.
    fn is_settled(&self) -> bool {
        let trustworthy = self.disk.is_trustworthy();
        self.trusted == trustworthy && *lock(&self.disk.vouched) == trustworthy
    }

    fn save(&mut self, epoch: u64, members: u64) {
        let mut vouched = lock(&self.disk.vouched);
        // It may have become worse since the others were told of the new epoch.
        self.trusted = self.trusted && self.disk.is_trustworthy();
        self.block.members = members;
        self.block.epoch = if self.trusted { epoch } else { DISTRUSTED };
        *vouched = self.trusted;
        if let Err(error) = self.block.save(&self.disk.folder, &*self.disk.io) {
            let disk = self.disk.folder.display();
            warn!(%disk, %error, "a cache disk will be emptied when it is opened again");
            if let Err(error) = superblock::remove(&self.disk.folder, &*self.disk.io) {
                error!(%disk, %error, "a cache disk may come back with what was removed");
            }
        }
    }
}
