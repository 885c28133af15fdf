//! Any bytes as a database of places: read or refused, and every address can be looked up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_geo::address::Client;
use selvedge_geo::places::Places;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(places) = Places::from_mmdb(bytes) {
        for address in ["0.0.0.0", "203.0.113.7", "255.255.255.255", "::", "2001:db8::1"] {
            let address: std::net::IpAddr = address.parse().expect("an address");
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let _ = places.place(&Client::new(address, bits));
        }
    }
});
