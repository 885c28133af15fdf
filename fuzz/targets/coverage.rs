//! Any text as a coverage map, CSV and TOML: a map or faults.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use selvedge_geo::coverage::Coverage;
use selvedge_geo::regions::{RegionConfig, Regions};

static REGIONS: LazyLock<Regions> = LazyLock::new(|| {
    let region = |name: &str| RegionConfig { name: name.to_owned(), ..RegionConfig::default() };
    Regions::new(&[region("eu"), region("us")], "eu").expect("regions")
});

fuzz_target!(|text: &str| {
    for read in [Coverage::from_csv, Coverage::from_toml] {
        if let Err(error) = read(text, &REGIONS) {
            assert!(!error.to_string().is_empty());
        }
    }
});
