//! Any bytes as a query, over UDP and over TCP: an answer or none, never longer than it may be.

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use selvedge_authority::{
    Asker, CookieSecrets, Located, MasterFile, Name, Reply, Request, Responder, Scratch, Settings,
    SiteIndex, Sites, SubnetTrust, Transport, Zones,
};

const ZONE: &[u8] = include_bytes!("../../fixtures/zones/mixed.zone");

/// One site for everybody, another address for each network.
struct OneSite;

impl Sites for OneSite {
    fn find(&self, site: &[u8]) -> Option<SiteIndex> {
        (site == b"shop").then_some(SiteIndex(0))
    }

    fn locate(&self, _: SiteIndex, asker: &Asker, located: &mut Located) {
        located.v4.push(Ipv4Addr::new(192, 0, 2, asker.prefix));
        located.v6.push(Ipv6Addr::LOCALHOST);
        (located.ttl, located.scope, located.https) = (30, asker.prefix.min(24), true);
    }
}

static RESPONDER: LazyLock<Responder> = LazyLock::new(|| {
    let apex = Name::from_text("mixed.example", &Name::root()).expect("a name");
    let file = MasterFile { apex: &apex, has_sites: true, file: "mixed.zone", bytes: ZONE };
    let zone = file.read(&mut |_| Err("nothing is included".to_owned())).expect("a zone").zone;
    let settings = Settings {
        subnet_trust: SubnetTrust::Everybody,
        cookies: Some(CookieSecrets::new(&[7; 16], None)),
        ..Settings::default()
    };
    Responder::new(Zones::new([Arc::new(zone)]), settings)
});

fuzz_target!(|packet: &[u8]| {
    let mut scratch = Scratch::new();
    let mut out = vec![0; 65_535];
    let from = SocketAddr::from(([198, 51, 100, 7], 5353));
    for transport in [Transport::Udp, Transport::Stream] {
        let request = Request { packet, from, transport, now: 1_700_000_000 };
        let (reply, outcome) = RESPONDER.respond(&request, &OneSite, &mut scratch, &mut out);
        let Reply::Bytes(bytes) = reply else { continue };
        let most = if transport == Transport::Udp { 1232 } else { 65_535 };
        assert!((12..=most).contains(&bytes), "{bytes} bytes");
        assert!(out[2] & 0x80 != 0, "no reply");
        // Who forges a sender gets nothing for what cannot be read.
        assert!(outcome.rcode != 1 || bytes <= packet.len().max(12), "{bytes} for a fault");
    }
});
