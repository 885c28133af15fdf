//! Rows of `[node]`, `[listen]`, `[admin]`, `[cache]`, `[[certificate]]` and `[log]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::disk::Disk;
use crate::key::{Kind, Shape, count, duration, list, section, size};
use crate::text::{Admit, LogFormat, LogLevel, LogTarget, Name};
use crate::units::{ByteSize, size_bytes};

section! {
    /// The process itself.
    Node = "node", Shape::One;

    name: Name = Kind::Name, (required), Restart,
        "Name of this node.",
        "It is in Via, CDN-Loop and Cache-Status, on error pages and in logs, so two nodes that \
         can reach each other must not share it: a request that comes back to the same name is \
         answered as a loop.";

    workers: usize = count(0, 1024), (= 0), Restart,
        "Number of worker threads; 0 means one per core.",
        "Each worker accepts and serves its own connections. More workers than cores gain \
         nothing; fewer leave cores to other processes.";

    bandwidth: Option<ByteSize> = size("1KiB", "1TiB"),
        (none "`/health` does not tell how much of it is used"), Restart,
        "Bytes a second that this node can send.",
        "DNS servers send fewer clients here when most of it is used. 10 Gbit/s are `1192MiB`.";

    mmdb: Option<PathBuf> = Kind::File, (none "nothing is known of where clients are"), Reload,
        "Database of where clients are (MMDB), for pages that ask: `$(GEO{country_code})`.",
        "Country, continent, coordinates and AS number. Read again on SIGHUP; a broken one is \
         refused, and what runs goes on.";

    sign_keys: Option<PathBuf> = Kind::Folder,
        (none "no site of this node may be `signed`"), Reload,
        "Folder of the keys that sign tokens.",
        "A file `NAME.key` for each name in `signed_keys` of a site: one line of 32 to 256 \
         hexadecimal digits, as `selvedge sign new-key` makes it. All nodes that serve the site \
         have the same. Read again on SIGHUP.";

    drain_timeout: Duration = duration("0s", "1h"), (= "30s"), Reload,
        "How long requests that run may go on after a stop was asked for.",
        "The process stops accepting at once, lets what runs finish, writes what is for disk, and \
         ends after this time; with a cache on disk it may take two seconds more. Keep it below \
         the time after which the service manager kills.";
}

section! {
    /// Where clients connect.
    Listen = "listen", Shape::One;

    http: Vec<SocketAddr> = list(&Kind::Address, 64), (= []), Restart,
        "Addresses for HTTP in cleartext.",
        "HTTP/1.1, and HTTP/2 from clients that begin with it. `0.0.0.0` is every IPv4 address, \
         `[::]` every IPv6 one. Port 0 lets the system choose.";

    https: Vec<SocketAddr> = list(&Kind::Address, 64), (= []), Restart,
        "Addresses for HTTPS.",
        "TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1. Needs at least one `[[certificate]]`.";

    trust: Vec<IpNet> = list(&Kind::Network, 1024),
        (profile [] ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
            "fc00::/7", "fe80::/10"]), Reload,
        "Networks whose X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded are \
         believed.",
        "From everyone else these fields are dropped and written anew. A node that clients reach \
         directly believes nobody; a node that other nodes ask believes loopback and the private \
         networks. If nodes reach it over public addresses, list theirs, and no others: whoever is \
         on the list can claim any client address.";
}

section! {
    /// The operator's side door: `/livez`, `/readyz`, `/metrics`.
    Admin = "admin", Shape::One;

    listen: Option<SocketAddr> = Kind::Address, (none "there is no side door"), Restart,
        "Address for health and metrics.",
        "It knows no login: give it a loopback or a management address, never a public one.";
}

section! {
    /// The memory and the disks the cache may use.
    Cache = "cache", Shape::One;

    memory: ByteSize = size("1MiB", "16TiB"), (= "256MiB"), Restart,
        "Memory for stored responses, heads and bodies together.",
        "What is asked for least goes first when it is full. The process needs more than this: \
         connections, buffers and bodies in transit come on top.";

    object_max: Option<ByteSize> = size("1KiB", "1TiB"),
        (none "an eighth of `memory`, at most 1GiB"), Restart,
        "Largest response that is stored.",
        "A larger one passes through a small window and is fetched again each time, unless there \
         is a `disk` and it has a strong validator: then it is stored there slice by slice, up to \
         a quarter of all disks. It cannot be larger than `fill_max`.";

    fill_max: Option<ByteSize> = size("64KiB", "16TiB"),
        (none "a quarter of `memory`, or `object_max` if that is more"), Restart,
        "Memory for responses that are arriving.",
        "Bodies that grow while clients read them count here, and only later against what is \
         stored. When it is used up, further responses pass through unstored until one is \
         complete.";

    disk: Vec<Disk> = list(&Kind::Disk, 64), (= []), Restart,
        "Folders in which stored responses outlive memory and restarts.",
        "Tables `{ path = \"/var/cache/selvedge\", size = \"100GiB\" }`, best one for each disk. \
         All that is stored is written there behind the answer, and read back when memory no \
         longer has it. A folder belongs to one process; all files in it are the cache's own. A \
         folder that cannot be used is left out, with an error in the log, and what would be in \
         it is fetched again.";

    admit: Admit = Kind::Choice(Admit::WORDS), (= "always"), Restart,
        "Which responses are written to disk.",
        "`always` writes all. `second-ask` writes what was asked for before when neither memory \
         nor disk had it, which spares a disk that wears the many responses that are asked for \
         once.";
}

section! {
    /// A certificate for `listen.https`; the first one serves clients that send no server name.
    Certificate = "certificate", Shape::Many(1000);

    cert: PathBuf = Kind::File, (required), Reload,
        "File with the certificate and its chain, in PEM.",
        "The host's own certificate first, then the intermediate ones. The names in it decide \
         which clients get it. A relative path begins at the folder of this file. Read again on \
         each reload.";

    key: PathBuf = Kind::File, (required), Reload,
        "File with the private key, in PEM.",
        "PKCS#8, PKCS#1 or SEC1, without a password. Only the user that runs the process should \
         be able to read it.";
}

section! {
    /// What is written down.
    Log = "log", Shape::One;

    access: LogTarget = Kind::LogTarget, (= "stdout"), Restart,
        "Where the access log goes.",
        "One line per request. A path needs a slash in it (`./access.log`), so that a misspelt \
         word does not become a file.";

    format: LogFormat = Kind::Choice(LogFormat::WORDS), (= "json"), Restart,
        "How a line of the access log is written.",
        "`json` carries everything: cache status, time per step, bytes, request id. `combined` is \
         the format that log tools for Apache and nginx read.";

    query: bool = Kind::Flag, (= false), Reload,
        "Whether query strings are logged.",
        "They often hold tokens and personal data; without them a line ends at the question mark.";

    level: LogLevel = Kind::Choice(LogLevel::WORDS), (= "info"), Restart,
        "From which severity on events are logged, on standard error.",
        "`error` wants someone now, `warn` today, `info` says what changed, `debug` follows single \
         requests, `trace` their steps.";

    buffer: ByteSize = size("64KiB", "1GiB"), (= "8MiB"), Restart,
        "Memory for access-log lines that are not written yet.",
        "A request never waits for the log: when the disk or the reader is slower than the \
         traffic, lines beyond this are dropped and counted.";
}

/// The largest `object_max` that is not asked for.
const OBJECT_MAX_BY_DEFAULT: u64 = size_bytes("1GiB");

impl Cache {
    /// Largest response that is stored, as given or by default.
    #[must_use]
    pub fn object_max(&self) -> ByteSize {
        let part = ByteSize::new((self.memory.bytes() / 8).min(OBJECT_MAX_BY_DEFAULT));
        self.object_max.unwrap_or(part)
    }

    /// Memory for responses that are arriving, as given or by default.
    #[must_use]
    pub fn fill_max(&self) -> ByteSize {
        let part = ByteSize::new(self.memory.bytes() / 4);
        self.fill_max.unwrap_or_else(|| part.max(self.object_max()))
    }
}
