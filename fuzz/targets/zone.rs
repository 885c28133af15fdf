//! Any bytes as a master file: a zone, whose text is the same zone again, or faults.

#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_authority::{Loaded, MasterFile, Name, zone_text};

fuzz_target!(|bytes: &[u8]| {
    let apex = Name::from_text("mixed.example", &Name::root()).expect("a name");
    let read = |bytes: &[u8]| {
        let file = MasterFile { apex: &apex, has_sites: true, file: "zone", bytes };
        file.read(&mut |_| Err("nothing is included".to_owned()))
    };
    match read(bytes) {
        Ok(Loaded { zone, .. }) => {
            let text = zone_text(&zone);
            let again = read(text.as_bytes()).expect("what was written is read").zone;
            assert_eq!(zone_text(&again), text);
        }
        Err(faults) => assert!(!faults.is_empty() && faults.len() <= 100),
    }
});
