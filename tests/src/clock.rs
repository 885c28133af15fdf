//! A wall clock that steps when a test says so, by libfaketime (Debian: faketime). The monotonic
//! clock stays the machine's.

use std::path::Path;

/// The library, as the loader spells the folder of the machine's architecture, and as Debian does.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// A clock that one process is started with.
#[derive(Debug)]
pub struct FakeClock {
    file: tempfile::NamedTempFile,
}

impl FakeClock {
    /// One that is right.
    #[must_use]
    #[track_caller]
    pub fn right() -> Self {
        assert!(Path::new("/usr/bin/faketime").exists(), "faketime is missing (apt install it)");
        let clock = Self { file: tempfile::NamedTempFile::new().expect("a temporary file") };
        clock.step_to(0);
        clock
    }

    /// From now on it is so many seconds ahead.
    #[track_caller]
    pub fn step_to(&self, ahead_s: i64) {
        // Put in place whole: the process reads it at each look at its clock.
        let beside = self.file.path().with_extension("new");
        std::fs::write(&beside, format!("{ahead_s:+}\n")).expect("it can be written");
        std::fs::rename(&beside, self.file.path()).expect("it can be put in place");
    }

    /// What the process is started with.
    pub(crate) fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", LIBRARY.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.path().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
