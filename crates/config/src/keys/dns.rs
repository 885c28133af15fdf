//! Rows of a DNS server: `[dns]`, `[health]`, `[[zone]]`, `[[region]]` and `[[edge]]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::host::HostName;
use crate::key::{Kind, Shape, count, decimal, duration, list, section};
use crate::text::{Continent, Country, Name, Signing};
use crate::url::Url;

section! {
    /// The DNS server: for the process that customers' names lead to, and no other.
    Dns = "dns", Shape::One;

    listen: Vec<SocketAddr> = list(&Kind::Address, 64), (= []), Restart,
        "Addresses for UDP and TCP.",
        "Usually port 53 of each address that the parent zone names. With addresses here the file \
         is that of a DNS server; DNS over HTTPS is answered at `listen.https`, under \
         `/dns-query`.";

    tls: Vec<SocketAddr> = list(&Kind::Address, 64), (= []), Restart,
        "Addresses for DNS over TLS.",
        "Usually port 853 (RFC 7858). The certificates are those of `[[certificate]]`.";

    nsid: Option<Name> = Kind::Name, (none "nobody is told which server answered"), Reload,
        "Name of this server for those who ask for it.",
        "Sent in answer to NSID (RFC 5001) and as `id.server` in class CHAOS.";

    version: Option<Name> = Kind::Name, (none "such questions are refused"), Reload,
        "What `version.bind` in class CHAOS is answered with.",
        "Any word; the real version is told nobody.";

    udp_bytes_max: usize = count(512, 4096), (= 1232), Reload,
        "Bytes of a UDP reply at most.",
        "What does not fit is asked for again over TCP. A client may ask for less.";

    ecs: Vec<IpNet> = list(&Kind::Network, 10_000), (= ["0.0.0.0/0", "::/0"]), Reload,
        "Resolvers whose word about their clients' subnets is believed.",
        "RFC 7871. For all others the address of the resolver decides.";

    transfer: Vec<IpNet> = list(&Kind::Network, 1000), (= []), Reload,
        "Who may transfer zones (AXFR, over TCP).",
        "Only what stands in zone files: answers that depend on who asks are not in a transfer.";

    cookie_secret_file: Option<PathBuf> = Kind::File,
        (none "one of its own, made at each start"), Reload,
        "File with the secret of server cookies (RFC 9018): 32 hexadecimal digits.",
        "Servers behind one address need the same. A second line is an older secret that is still \
         believed, so that it can be changed without a gap.";

    rate: usize = count(0, 1_000_000), (= 200), Reload,
        "Equal replies over UDP to one network in a second.",
        "A network is a /24, or a /56 of IPv6. Beyond it most are dropped, so that nobody can be \
         flooded with replies that he did not ask for. Clients with a cookie, and those that use \
         TCP, are not limited. 0: no limit.";

    rate_slip: usize = count(0, 10), (= 2), Reload,
        "Each so many-th reply that is too many goes out truncated instead.",
        "An honest client then asks again over TCP. 0: none does, 1: all do.";

    tcp_connections_max: usize = count(1, 1_000_000), (= 4096), Restart,
        "Connections at most, of TCP and of TLS each.",
        "When there are more, the one that was idle longest is closed.";

    tcp_idle: Duration = duration("100ms", "1h"), (= "10s"), Restart,
        "How long a connection may be idle.",
        "Also the time that a query may take to arrive, and a reply to be taken.";

    log_share: f64 = decimal(0.0, 1.0), (= 0.0), Reload,
        "Share of the queries that are logged.",
        "One line each, in `log.access`: who asked for what, what was answered, and why.";

    keys: Option<PathBuf> = Kind::Folder, (none "no zone can be signed"), Reload,
        "Folder of the keys of signed zones.",
        "One file a zone, made when it is missing: `selvedge dnssec` shows and rolls them. All \
         servers of a zone need the same files, and nobody else may read them.";

    coverage: Option<PathBuf> = Kind::File, (none "there is no map of one's own"), Reload,
        "File that says which networks belong to which region.",
        "It goes before everything else. CSV with a network and a region on each line, or TOML \
         with a list of networks for each region. Read again when it changes; a broken one is \
         refused and the last good one stays.";

    mmdb: Option<PathBuf> = Kind::File, (none "only `coverage` and the default decide"), Reload,
        "File with countries, cities or networks of operators, in the MMDB format.",
        "Such as those of MaxMind, DB-IP or IPLocate. Read again when it changes; a broken one is \
         refused and the last good one stays.";

    default_region: Option<Name> = Kind::Name, (none "the first region of the file"), Reload,
        "Region for clients of whom nothing is known.",
        "Also where the order of the others begins for them.";

    monitors: Vec<Url> = list(&Kind::Url, 64), (= []), Restart,
        "Admin listeners of the other DNS servers.",
        "A node is down only when most of those that can see see it down, this server included. A \
         server that sees no node at all does not count.";
}

section! {
    /// How a DNS server looks after the nodes it sends clients to.
    Health = "health", Shape::One;

    interval: Duration = duration("100ms", "5m"), (= "1s"), Reload,
        "How often each node is asked.",
        "For `/health` at its admin listener: whether it is well, and how busy.";

    timeout: Duration = duration("10ms", "1m"), (= "1s"), Reload,
        "How long its answer may take.",
        "A later one counts as none.";

    rise: usize = count(1, 100), (= 2), Reload,
        "Good answers one after the other until a node is up again.",
        "Counted while it is down.";

    fall: usize = count(1, 100), (= 3), Reload,
        "Bad ones one after the other until it is down.",
        "Counted while it is up.";

    load_soft: f64 = decimal(0.01, 1.0), (= 0.7), Reload,
        "Load from which on a node is sent less.",
        "The greatest of what it uses of its processor, its bandwidth and its connections, each \
         as a share of what it has.";

    load_hard: f64 = decimal(0.01, 1.0), (= 0.95), Reload,
        "Load from which on it is sent nothing new.",
        "Unless all others are as busy. In between its share falls evenly.";

    last_good: Duration = duration("0s", "7d"), (= "1h"), Reload,
        "How long the nodes of a region that were up last are answered when none is up any more.",
        "Then `fallback`, where there is one. Monitors that see nothing up may be the ones that \
         are cut off: clients may still reach what they do not.";

    fallback: Vec<IpAddr> = list(&Kind::Ip, 64), (= []), Reload,
        "Addresses that are answered when no node has been up for `last_good`.",
        "Until then, and without them, the nodes that were up last are answered: an answer is \
         never empty.";
}

section! {
    /// A zone that the DNS server answers for.
    Zone = "zone", Shape::Many(10_000);

    name: HostName = Kind::HostName, (required), Reload,
        "Name of the zone.",
        "Such as `cdn.example`.";

    file: PathBuf = Kind::File, (required), Reload,
        "Its master file (RFC 1035 5).",
        "With at least SOA and NS. `SITE name` in the place of a type gives a name the answers of \
         a site, also at the top of the zone. Read again with a reload; a broken one is refused \
         with all that is wrong with it, and the last good one stays.";

    dnssec: Signing = Kind::Choice(Signing::WORDS), (= "off"), Reload,
        "Whether its answers are signed, and how.",
        "DNSSEC with keys in `dns.keys`: ECDSA P-256 or Ed25519. The zone above needs the DS that \
         `selvedge dnssec ds` prints.";

    sites: bool = Kind::Flag, (= false), Reload,
        "Whether each site has a name in it.",
        "The site `shop` then answers as `shop.cdn.example`, unless the file says something else \
         of that name.";
}

section! {
    /// A region: where nodes stand, and who is near.
    Region = "region", Shape::Many(1_000);

    name: Name = Kind::Name, (required), Reload,
        "Name of the region.",
        "As nodes give it in `control.region`, or `[[edge]]` does.";

    latitude: f64 = decimal(-90.0, 90.0), (required), Reload,
        "Where it is: degrees north.",
        "Clients are sent to the nearest region that may serve them.";

    longitude: f64 = decimal(-180.0, 180.0), (required), Reload,
        "Where it is: degrees east.",
        "Negative in the west.";

    countries: Vec<Country> = list(&Kind::Country, 300), (= []), Reload,
        "Countries that are served from here, however near another region is.",
        "Codes of two letters (ISO 3166-1), found by `dns.mmdb`.";

    continents: Vec<Continent> = list(&Kind::Choice(Continent::WORDS), 7), (= []), Reload,
        "Continents that are served from here, unless a region has the country.",
        "As `dns.mmdb` names them.";

    operators: Vec<usize> = list(&ASN, 10_000), (= []), Reload,
        "Networks of operators that are served from here, before their country is asked for.",
        "Their AS numbers, found by `dns.mmdb`.";

    fallback: Vec<Name> = list(&Kind::Name, 1_000), (= []), Reload,
        "Regions that take over, in this order.",
        "After them come the others, the nearest first.";
}

section! {
    /// A node that clients are sent to, where no control says which there are.
    Edge = "edge", Shape::Many(100_000);

    name: Name = Kind::Name, (required), Reload,
        "Name of the node.",
        "In explanations, metrics and logs.";

    region: Name = Kind::Name, (required), Reload,
        "Region it stands in.",
        "One of the `[[region]]`.";

    addresses: Vec<IpAddr> = list(&Kind::Ip, 16), (required), Reload,
        "Addresses at which clients reach it.",
        "IPv4 and IPv6.";

    health: Option<Url> = Kind::Url, (none "it counts as up"), Reload,
        "Its admin listener.",
        "`/health` is asked for there.";

    weight: usize = count(1, 1000), (= 100), Reload,
        "Its share of the sites of its region, beside the others.",
        "A node of 200 gets twice what one of 100 gets.";
}

/// Bounds of the number of an operator's network.
const ASN: Kind = count(1, 4_294_967_295);
