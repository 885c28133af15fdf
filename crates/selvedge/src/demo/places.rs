//! Where everything of the demo runs: the usual ports, or others where these are taken, and the
//! regions on addresses of loopback of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// A region of the demo.
pub(super) struct Region {
    /// Its name.
    pub(super) name: &'static str,
    /// Degrees north and east: Frankfurt, Ashburn, Singapore.
    pub(super) at: (f64, f64),
    /// The address of its edge. All of 127/8 is loopback on Linux.
    pub(super) address: Ipv4Addr,
    /// Networks of its clients: those that RFC 5737 and RFC 3849 keep for examples.
    pub(super) clients: [&'static str; 2],
}

/// The first is where the edge stands that takes HTTPS as well.
pub(super) const REGIONS: [Region; 3] = [
    Region {
        name: "eu",
        at: (50.1, 8.7),
        address: Ipv4Addr::new(127, 0, 0, 1),
        clients: ["192.0.2.0/24", "2001:db8:e::/48"],
    },
    Region {
        name: "us",
        at: (39.0, -77.5),
        address: Ipv4Addr::new(127, 0, 0, 2),
        clients: ["198.51.100.0/24", "2001:db8:a::/48"],
    },
    Region {
        name: "asia",
        at: (1.4, 103.8),
        address: Ipv4Addr::new(127, 0, 0, 3),
        clients: ["203.0.113.0/24", "2001:db8:5::/48"],
    },
];

/// An edge beside the first.
pub(super) struct Spare {
    pub(super) region: &'static Region,
    /// Its part of the demo.
    pub(super) part: &'static str,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// Where everything runs.
pub(super) struct Ports {
    pub(super) origin: SocketAddr,
    pub(super) control: SocketAddr,
    pub(super) control_admin: SocketAddr,
    pub(super) parent: SocketAddr,
    pub(super) parent_admin: SocketAddr,
    pub(super) edge: SocketAddr,
    pub(super) edge_tls: SocketAddr,
    pub(super) edge_admin: SocketAddr,
    pub(super) spares: [Spare; 2],
    pub(super) dns: SocketAddr,
    /// The same server by its second name: a zone has two.
    pub(super) dns_second: SocketAddr,
    pub(super) dns_admin: SocketAddr,
}

impl Ports {
    /// Those that are free now, beside the origin's.
    pub(super) fn find(origin: SocketAddr) -> Self {
        let edge = free(8080);
        // An answer of DNS has no port: where it can be, it is the same everywhere.
        let spare = |part, region: &'static Region| {
            let http = free_at(region.address, edge.port(), is_free);
            let admin = free_at(region.address, 9180, is_free);
            Spare { region, part, http, admin }
        };
        let dns = free_at(REGIONS[0].address, 5353, is_free_for_datagrams);
        let dns_second = free_at(REGIONS[1].address, dns.port(), is_free_for_datagrams);
        Self {
            origin,
            control: free(7070),
            control_admin: free(9182),
            parent: free(8180),
            parent_admin: free(9181),
            edge,
            edge_tls: free(8443),
            edge_admin: free(9180),
            spares: [spare("edge-us", &REGIONS[1]), spare("edge-asia", &REGIONS[2])],
            dns,
            dns_second,
            dns_admin: free(9183),
        }
    }
}

/// The wanted port of loopback, or any other if it is taken.
pub(super) fn free(port: u16) -> SocketAddr {
    free_at(Ipv4Addr::LOCALHOST, port, is_free)
}

/// The same of any address, by what can be bound there.
fn free_at(
    address: Ipv4Addr,
    port: u16,
    bind: impl Fn(SocketAddr) -> Option<SocketAddr>,
) -> SocketAddr {
    let wanted = SocketAddr::new(IpAddr::V4(address), port);
    let any = SocketAddr::new(wanted.ip(), 0);
    bind(wanted).or_else(|| bind(any)).unwrap_or(wanted)
}

fn is_free(wanted: SocketAddr) -> Option<SocketAddr> {
    TcpListener::bind(wanted).and_then(|listener| listener.local_addr()).ok()
}

fn is_free_for_datagrams(wanted: SocketAddr) -> Option<SocketAddr> {
    is_free(wanted).filter(|found| UdpSocket::bind(found).is_ok())
}
