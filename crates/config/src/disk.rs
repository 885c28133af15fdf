//! A folder of the cache on disk: where it is, and how much of it may be used.

use std::path::PathBuf;

use toml::de::DeValue;

use crate::key::{Kind, size};
use crate::read::{Cell, Context, article, printable};
use crate::suggest;
use crate::units::ByteSize;
use crate::value::Value;

/// A folder for stored responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes of files it may hold.
    pub size: ByteSize,
}

/// Least is what a few segments take, most is what a disk's index can address.
pub(crate) const SIZE: Kind = size("64MiB", "256TiB");

const KEYS: [&str; 2] = ["path", "size"];

impl Value for Disk {
    fn read(cell: &Cell<'_, '_>, cx: &mut Context<'_>) -> Option<Self> {
        let DeValue::Table(table) = cell.value.get_ref() else {
            cx.refuse(cell, format!("is {}", article(cell.value.get_ref())));
            return None;
        };
        for (name, _) in table {
            let name: &str = name.get_ref();
            if !KEYS.contains(&name) {
                let near = suggest::nearest(KEYS.into_iter(), name).map(|it| format!("`{it}`"));
                let problem = format!("has the unknown key \"{}\"", printable(name));
                cx.refuse_with(cell, problem, near);
                return None;
            }
        }
        let (Some(path), Some(size)) = (table.get("path"), table.get("size")) else {
            let missing = if table.get("path").is_none() { "path" } else { "size" };
            cx.refuse(cell, format!("has no {missing}"));
            return None;
        };
        let path = PathBuf::read(&Cell { path: cell.path, kind: &Kind::File, value: path }, cx);
        let size = ByteSize::read(&Cell { path: cell.path, kind: &SIZE, value: size }, cx);
        Some(Self { path: path?, size: size? })
    }
}
