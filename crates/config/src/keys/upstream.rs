//! Rows of `[upstream]`: who is asked for what is not here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::key::{Kind, Shape, count, decimal, duration, list, section};
use crate::keys::node::Listen;
use crate::text::ProbePath;
use crate::url::{Url, UrlScheme};

section! {
    /// Who is asked for what is not in the cache: peers, then parents, then the site's origin.
    Upstream = "upstream", Shape::One;

    parents: Vec<Url> = list(&Kind::Url, 64), (= []), Reload,
        "Nodes of the tier above.",
        "Each object belongs to one of them, found by consistent hashing, so that the tier keeps \
         one copy of it; the next one takes over when that one is down or busy. Without parents \
         the site's origin is asked.";

    peers: Vec<Url> = list(&Kind::Url, 256), (= []), Reload,
        "Nodes of the same region, this one included.",
        "A miss first asks the peer that owns the object. All peers must have the same list, or \
         they disagree about owners and fetch more than once; nothing else breaks.";

    self_url as "self": Option<Url> = Kind::Url,
        (none "the peer whose address and port are in `listen`"), Reload,
        "Which of the peers is this node.",
        "As it is written in `peers`. Needed when `peers` has names, or addresses that `listen` \
         does not have (`0.0.0.0`).";

    peer_copy: bool = Kind::Flag, (= true), Reload,
        "Whether what a peer owns is kept here as well.",
        "With it, what is popular is answered by every peer at once. Without it, the memory of \
         the region adds up, and each request for another peer's object is one hop more.";

    origin_fallback: bool = Kind::Flag, (= true), Reload,
        "Whether the site's origin is asked directly when all parents are down.",
        "Switch it off when the origin lets only the parents in, or could not bear the requests \
         of all nodes at once. A site without `origin` has nothing to fall back to.";

    origin_deny: Vec<IpNet> = list(&Kind::Network, 1024),
        (= ["169.254.0.0/16", "fe80::/10"]), Reload,
        "Networks in which no origin may be.",
        "Looked at when a connection is made, whatever name led there. Whoever may change a site \
         chooses its origins: list what nodes reach and sites must not, such as `127.0.0.0/8` and \
         `::1/128`, and the networks of what is yours. Link-local is where clouds keep the \
         credentials of their machines. Parents, peers and control are not meant.";

    ca_file: Option<PathBuf> = Kind::File, (none "only the certificates of the system"), Reload,
        "File with certificates to trust beside those of the system, in PEM.",
        "For parents and peers, and for origins whose site names no `ca_file` of its own. There is \
         no way to switch verification off.";

    connect_timeout: Duration = duration("10ms", "5m"), (= "3s"), Reload,
        "How long a connection may take to be set up, TLS included.",
        "After it the next address, parent or origin is tried.";

    first_byte_timeout: Duration = duration("10ms", "1h"), (= "30s"), Reload,
        "How long the first byte of a response may take.",
        "Counted from the end of the request. Give parents a little more than what they give the \
         origin, or the lower tier gives up first.";

    idle_timeout: Duration = duration("10ms", "1h"), (= "30s"), Reload,
        "How long a response may pause.",
        "Between any two pieces of a body. Also the time after which a tunnel without traffic is \
         closed.";

    connections_max: usize = count(1, 65_536), (= 512), Restart,
        "Most connections to one next hop, over all workers.",
        "When they are in use, requests wait for one within `connect_timeout`. HTTP/2 carries many \
         requests on each. Tunnels are counted apart, up to the same number.";

    keepalive: Duration = duration("0s", "1h"), (= "50s"), Restart,
        "How long an unused connection is kept.",
        "Keep it below what the other side allows (nginx: 75 seconds), or requests meet \
         connections that are being closed. `0s` uses each connection once.";

    health_path: Option<ProbePath> = Kind::Path, (none "a probe only connects"), Reload,
        "Path that is asked for to see whether a parent or peer is well.",
        "Any answer below 500 within `first_byte_timeout` is well.";

    health_interval: Duration = duration("0s", "1h"), (= "5s"), Reload,
        "Time between two probes of a parent or peer; `0s` sends none.",
        "Failed requests mark a next hop down without probes, too; a probe lets it come back \
         before a client has to try.";

    fail_count: usize = count(1, 100), (= 3), Reload,
        "How many failures in a row mark a next hop down.",
        "A refused connection, a time limit or a broken response is a failure. A status is none: a \
         parent that says 502 speaks of its origin. A failed probe marks it down by itself.";

    mark_down: Duration = duration("100ms", "1h"), (= "1s"), Reload,
        "How long a next hop stays down the first time.",
        "The time doubles with each further failure, up to `mark_down_max`.";

    mark_down_max: Duration = duration("100ms", "24h"), (= "60s"), Reload,
        "How long a next hop stays down at most.",
        "Then one request or probe tries it again.";

    load_factor: f64 = decimal(1.05, 10.0), (= 1.25), Reload,
        "How much more than the average a parent or peer may have to do.",
        "When the one that owns an object has more requests running than this times the average, \
         the next on the ring is asked. Lower spreads a popular object sooner; higher keeps fewer \
         copies.";
}

impl Upstream {
    /// The position in `peers` of this node: as `self` says, or the peer at an address it listens
    /// on.
    #[must_use]
    pub fn own_peer(&self, listen: &Listen) -> Option<usize> {
        let own = |url: &Url| match &self.self_url {
            Some(own) => own == url,
            None => listens_at(listen, url),
        };
        self.peers.iter().position(own)
    }
}

/// Whether `url` leads to an address of `listen`.
pub(crate) fn listens_at(listen: &Listen, url: &Url) -> bool {
    let Some(ip) = url.ip() else { return false };
    let addresses = match url.scheme {
        UrlScheme::Http | UrlScheme::H2c => &listen.http,
        UrlScheme::Https => &listen.https,
    };
    addresses.contains(&SocketAddr::new(ip, url.port))
}
