//! Files that are written from tables in the code, and the check that they are fresh.

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::say;

/// Where the table of configuration keys is written to.
pub(crate) const REFERENCE: &str = "configs/README.md";

/// Writes all generated files.
pub(crate) fn write() -> Result<(), Failure> {
    let path = Path::new(REFERENCE);
    fs::write(path, selvedge_config::reference()).map_err(Failure::at(path))?;
    say(&format!("wrote {REFERENCE}"));
    Ok(())
}

/// Whether the generated file is what would be written now.
pub(crate) fn is_fresh() -> bool {
    fs::read_to_string(REFERENCE).is_ok_and(|text| text == selvedge_config::reference())
}
