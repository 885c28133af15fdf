//! Rows of `[data]`: what a control plane keeps, and where.

use std::path::PathBuf;

use crate::key::{Kind, Shape, count, section, size};
use crate::units::ByteSize;

section! {
    /// What a control plane keeps: for the process that nodes follow, and no other.
    Data = "data", Shape::One;

    folder: Option<PathBuf> = Kind::Folder,
        (none "this is not the file of a control plane"), Restart,
        "Folder of the change log, its snapshots, and the secrets that go with it.",
        "It is made if it is not there. The first start writes a token with every right to \
         `admin.token` in it. Back it up whole: `seal.key` opens the private keys of sites, and \
         without `log.db` nothing is known. A folder belongs to one process.";

    objects: Option<PathBuf> = Kind::Folder, (none "`objects` in `folder`"), Restart,
        "Folder of pushed bodies.",
        "Named by their SHA-256. Best on a disk with room for `objects_size`.";

    object_max: ByteSize = size("1KiB", "16TiB"), (= "64GiB"), Restart,
        "Largest pushed object.",
        "A larger one is refused before it is read, where its length is known.";

    objects_size: ByteSize = size("1MiB", "1024TiB"), (= "1TiB"), Restart,
        "Size of all pushed bodies together.",
        "A push that would go beyond it is refused. Bodies that several paths share count once.";

    history: usize = count(100, 10_000_000), (= 100_000), Restart,
        "Changes that are kept for nodes that come back.",
        "A node that is further behind reads everything anew, and takes what it has stored for \
         purged. At most 64 MiB of them are held in memory.";

    snapshot_every: usize = count(10, 10_000_000), (= 20_000), Restart,
        "Changes between two snapshots.",
        "A start reads the newest snapshot and what came after it.";
}
