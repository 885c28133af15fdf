//! Rows of `[[site]]`: one customer's hosts, origin and caching.

use std::path::PathBuf;
use std::time::Duration;

use crate::header::HeaderRules;
use crate::host::{HostName, HostPattern, HostPort};
use crate::key::{Kind, Shape, Side, count, duration, list, section, size};
use crate::keys::limits::Limits;
use crate::keys::upstream::Upstream;
use crate::media::{Media, MediaLifetimes, MediaRule};
use crate::text::{
    ClientCacheControl, Coding, Compress, Esi, Language, MediaType, Name, OriginPolicy, PathPrefix,
    ProbePath, QueryName, Signed, WebOrigin, Word,
};
use crate::units::ByteSize;
use crate::url::{Origin, RegionShare, Url};

section! {
    /// A site: the hosts it answers for, its origin, and how it is cached.
    Site = "site", Shape::Many(10_000);

    name: Name = Kind::Name, (required), Reload,
        "Name of the site.",
        "It is part of the cache key and in logs and metrics: renaming a site empties its cache.";

    hosts: Vec<HostPattern> = list(&Kind::HostPattern, 1000), (required), Reload,
        "Hosts it answers for.",
        "A name, `*.name` for every name below that one at any depth, or `*` for whatever no other \
         site has. An exact name goes before a pattern and a longer pattern before a shorter one. \
         Each may be in one site only. Ports do not matter.";

    origin: Vec<Origin> = list(&Kind::Origin, 64), (= []), Reload,
        "Where the site comes from.",
        "URLs with the scheme `http`, `https` or `h2c` (HTTP/2 in cleartext), or tables \
         `{ url = \"http://10.0.0.1\", weight = 3 }`. May be left out when \
         `upstream.parents` are asked, or when all of the site is pushed.";

    push: bool = Kind::Flag, (= false), Reload,
        "Whether the site has content that was pushed to control.",
        "What was pushed is fetched from control, and `origin` is asked for the rest; without an \
         origin there is no rest. Only for sites that come from control.";

    origin_policy: OriginPolicy = Kind::Choice(OriginPolicy::WORDS), (= "ordered"), Reload,
        "Which of several origins is asked.",
        "`ordered` asks the first that is not down. `weighted` gives each its share, and needs a \
         weight on each.";

    origin_host: Option<HostPort> = Kind::HostPort, (none "the Host of the client"), Reload,
        "Host that is sent to the origin.",
        "For origins that know the site under another name, such as a bucket.";

    ca_file: Option<PathBuf> = Kind::File, (none "`upstream.ca_file`"), Reload,
        "File with certificates to trust for this origin, in PEM.",
        "Instead of those of the system. Only for sites in the file of a node: one that comes from \
         control names no file, and its origin is trusted by `upstream.ca_file` of the nodes.";

    verify_name: Option<HostName> = Kind::HostName, (none "the host of the origin's URL"), Reload,
        "Name that the origin's certificate must have.",
        "Also sent as the server name in the handshake.";

    connect_timeout: Option<Duration> = duration("10ms", "5m"),
        (none "`upstream.connect_timeout`"), Reload,
        "How long a connection to the origin may take.",
        "TLS included.";

    first_byte_timeout: Option<Duration> = duration("10ms", "1h"),
        (none "`upstream.first_byte_timeout`"), Reload,
        "How long the first byte of a response may take.",
        "Counted from the end of the request.";

    idle_timeout: Option<Duration> = duration("10ms", "1h"),
        (none "`upstream.idle_timeout`"), Reload,
        "How long a response may pause.",
        "Between any two pieces of a body, and in a tunnel.";

    health_path: Option<ProbePath> = Kind::Path, (none "a probe only connects"), Reload,
        "Path that is asked for to see whether an origin is well.",
        "Any answer below 500 within `first_byte_timeout` is well. Host is `origin_host`, or the \
         host of the URL.";

    health_interval: Duration = duration("0s", "1h"), (= "0s"), Reload,
        "Time between two probes of an origin; `0s` sends none.",
        "Worth it with several origins.";

    ttl_default: Option<Duration> = duration("0s", "365d"),
        (none "such a response is not reused without asking the origin"), Reload,
        "Lifetime of a response that neither states one nor allows a guess.",
        "Used for statuses that may be cached by default when the origin sends no lifetime and \
         `heuristic` has nothing to go by.";

    ttl_min: Duration = duration("0s", "365d"), (= "0s"), Reload,
        "Shortest lifetime of what is stored.",
        "Raises what the origin states; it does not make cacheable what must not be stored \
         (`no-store`, `private`) or not be reused (`no-cache`).";

    ttl_max: Duration = duration("0s", "3650d"), (= "365d"), Reload,
        "Longest lifetime of what is stored.",
        "Lowers what the origin states, here and not in what clients are told.";

    ttl_error: Duration = duration("0s", "24h"), (= "0s"), Reload,
        "Lifetime of errors that state none.",
        "For 404, 410 and other errors that may be cached by default, and for 500, 502, 503 and \
         504. A second or two keeps a failing origin from being asked for each request.";

    heuristic: bool = Kind::Flag, (= true), Reload,
        "Whether a lifetime is guessed from Last-Modified.",
        "A tenth of the response's age, as RFC 9111 4.2.2 suggests, when the origin states none.";

    heuristic_max: Duration = duration("0s", "365d"), (= "1d"), Reload,
        "Longest lifetime that is guessed.",
        "Also where a guess ends for files that have not changed for years.";

    stale_while_revalidate: Duration = duration("0s", "365d"), (= "0s"), Reload,
        "How long a stale response is served while a fresh one is fetched.",
        "For responses that do not say so themselves (RFC 5861). With it, clients do not wait for \
         the origin when a lifetime ends.";

    stale_if_error: Duration = duration("0s", "365d"), (= "0s"), Reload,
        "How long a stale response is served when the origin fails.",
        "For responses that do not say so themselves (RFC 5861). `1d` keeps a site up for a day \
         after its origin died. `must-revalidate` and `no-cache` forbid it.";

    hit_for_miss: Duration = duration("0s", "1h"), (= "2m"), Reload,
        "How long it is remembered that a URL cannot be cached.",
        "Requests for it meanwhile go to the origin side by side instead of one after another.";

    cache_min: ByteSize = size("0B", "256TiB"), (= "0B"), Reload,
        "Disk space that other sites cannot take from this one.",
        "Up to here the site keeps on disk what is stored of it, however much others bring.";

    cache_max: Option<ByteSize> = size("1MiB", "256TiB"), (none "no limit but the disks'"), Reload,
        "Most disk space of this site.",
        "Beyond it the site's own oldest responses go first, never those of others.";

    query_ignore: Vec<QueryName> = list(&Kind::QueryName, 256), (= []), Reload,
        "Query parameters that do not change the response.",
        "They are left out of the cache key and of the request to the origin: what does not tell \
         responses apart must not be able to change one. `utm_*` is every name that begins so; `*` \
         is all.";

    query_sort: bool = Kind::Flag, (= false), Reload,
        "Whether the order of query parameters does not matter.",
        "With it, `?a=1&b=2` and `?b=2&a=1` share an object.";

    client_cache_control: ClientCacheControl = Kind::Choice(ClientCacheControl::WORDS),
        (= "honour"), Reload,
        "Whether Cache-Control of a request is followed.",
        "`honour` is RFC 9111: any client can have a response fetched anew. `ignore` protects an \
         origin from that, and is what most public sites want.";

    vary_languages: Vec<Language> = list(&Kind::Language, 256), (= []), Reload,
        "Languages the origin has.",
        "When responses vary by Accept-Language, the field is reduced to the best of these before \
         it selects a variant, so that its thousands of forms do not each fetch one. Without it \
         only order and spelling are evened out.";

    store_set_cookie: bool = Kind::Flag, (= false), Reload,
        "Whether any response with Set-Cookie may be stored, without that field.",
        "Right for origins that set a tracking cookie on every response; wrong if the body depends \
         on who asks. Without it such a response is stored only if it says itself that it may be \
         (`public` or a lifetime of its own, RFC 9111 7.3), and then with the cookie: an origin \
         that sets personal cookies on cacheable responses must say `private`.";

    request_headers: HeaderRules = Kind::HeaderRules(Side::Request), (= {}), Reload,
        "Header fields to change in the request to the origin.",
        "`remove` is a list of names, `set` replaces and `add` appends: \
         `{ remove = [\"x-debug\"], set = { x-cdn = \"selvedge\" } }`. Fields that frame a \
         message, name its target or stop loops cannot be named.";

    response_headers: HeaderRules = Kind::HeaderRules(Side::Response), (= {}), Reload,
        "Header fields to change in the response to the client.",
        "Like `request_headers`. Applied on the way out: what is stored stays as the origin sent \
         it, and a change takes effect at once.";

    show_tags: bool = Kind::Flag, (= false), Reload,
        "Whether clients see Surrogate-Key, Cache-Tag and Cache-Tags.",
        "Responses can be purged by the tags in these fields. With them goes Surrogate-Control. \
         Other nodes always get them.";

    https_redirect: bool = Kind::Flag, (= false), Reload,
        "Whether requests over HTTP are sent to HTTPS.",
        "With 308, to the same host and URL: at port 443, or, when the client named a port, at the \
         first of `listen.https`.";

    compress: Compress = Kind::FlagOrWords(Coding::WORDS), (= true), Reload,
        "Codings that are made here when the origin sent none.",
        "`true` is all, `false` is none, a list is these with the preferred one first. Only for \
         responses that allow it, are of a type in `compress_types`, and go to a client that \
         accepts it.";

    compress_types: Vec<MediaType> = list(&Kind::MediaType, 256),
        (= ["text/html", "text/css", "text/plain", "text/javascript", "text/xml", "text/csv",
            "text/markdown", "text/vtt", "application/javascript", "application/json",
            "application/ld+json", "application/manifest+json", "application/xml",
            "application/xhtml+xml", "application/rss+xml", "application/atom+xml",
            "application/dash+xml", "application/vnd.apple.mpegurl", "application/wasm",
            "image/svg+xml", "image/x-icon", "font/ttf", "font/otf"]), Reload,
        "Media types that are compressed here.",
        "`text/*` is every type that begins so; mind that it includes `text/event-stream`, whose \
         events compression would hold back.";

    compress_min: ByteSize = size("0B", "1GiB"), (= "1KiB"), Reload,
        "Smallest body that is compressed.",
        "Below it the gain is less than the cost.";

    compress_max: ByteSize = size("0B", "1GiB"), (= "8MiB"), Reload,
        "Largest body that is compressed.",
        "Above it the cost of one request would hold up others. A body whose length is not known \
         beforehand is compressed whatever it turns out to be.";

    read_ahead: usize = count(0, 8), (= 0), Reload,
        "Slices of 1 MiB that are fetched before a client gets to them.",
        "For objects that are stored in part, because clients asked for ranges of them. When a \
         client comes to the last slice before a gap, this many of the next ones are fetched. What \
         one answer itself needs is fetched up to 8 slices at a time in any case.";

    websocket: bool = Kind::Flag, (= true), Reload,
        "Whether clients may upgrade to another protocol.",
        "WebSocket and others become a tunnel once the origin agrees with 101; `idle_timeout` \
         closes one without traffic.";

    signed: Signed = Kind::Choice(Signed::WORDS), (= "off"), Reload,
        "Where clients show the token without which they get nothing.",
        "Each node checks it on each request, on hits as well, and answers 403 without a valid \
         one. The token is in no key and goes to no origin. `selvedge sign` makes them; \
         crates/media/README.md says what is in them. PURGE and CORS preflights need none. What \
         Cache-Control of the origin lets browsers and other caches keep, they keep beyond the \
         token's end.";

    signed_keys: Vec<Word> = list(&Kind::Word, 2), (= []), Reload,
        "Names of the keys that sign tokens.",
        "The first one signs, both are believed. To change keys, name the new one second \
         everywhere, then first, and take the old one away when its last token is over. Each node \
         has them in `node.sign_keys`.";

    signed_name: Word = Kind::Word, (= "selvedge-token"), Reload,
        "Name of the token in the query, and of the cookie.",
        "Neither goes on to the origin, wherever tokens are looked for.";

    signed_paths: Vec<PathPrefix> = list(&Kind::PathPrefix, 256), (= []), Reload,
        "Paths that need a token.",
        "`/live/` is all that is below, `/a.mp4` that path alone; upper and lower case are the \
         same here. Empty: all of the site. A path that servers could read in two ways needs a \
         token too, and none is good for it.";

    cors: Vec<WebOrigin> = list(&Kind::WebOrigin, 256), (= []), Reload,
        "Web pages whose scripts may read responses (CORS), by their origins.",
        "Such as `https://player.example`, or `*` for any. With it this node writes the CORS \
         fields of all responses, its own errors as well, in the place of what the origin says, \
         and answers preflights for GET and HEAD; those for other methods are the origin's. The \
         field Origin of a GET or HEAD makes no variants and goes to no origin. Empty: all of it \
         is left to the origin.";

    cors_credentials: bool = Kind::Flag, (= false), Reload,
        "Whether scripts of these pages may send cookies.",
        "Needed for tokens in cookies. Not with `*`.";

    cors_max_age: Duration = duration("0s", "30d"), (= "1d"), Reload,
        "How long browsers may remember the answer to a preflight.",
        "Most have a limit of their own of two hours or a day.";

    esi: Esi = Kind::Choice(Esi::WORDS), (= "surrogate-control"), Reload,
        "Which pages are assembled from fragments here.",
        "`surrogate-control` is those that say `Surrogate-Control: content=\"ESI/1.0\"`, `always` \
         is every page of a type in `esi_types`, `off` is none. What another node asks for is left \
         to that node. The language is in crates/esi/README.md.";

    esi_types: Vec<MediaType> = list(&Kind::MediaType, 64),
        (= ["text/html", "text/xml", "application/xml", "application/xhtml+xml"]), Reload,
        "Media types that are assembled.",
        "Tags in other types stay as they are, whatever the response says.";

    esi_origins: Vec<Url> = list(&Kind::Url, 64), (= []), Reload,
        "Other servers that fragments may come from.",
        "URLs of scheme, host and port. A tag may name the host of its page and these, and no \
         others. They are asked from this node directly and get no cookies and no Authorization.";

    esi_private: bool = Kind::Flag, (= false), Reload,
        "Whether servers in `esi_origins` may have private addresses.",
        "Loopback, link-local and private ones are refused otherwise, whatever name led there.";

    esi_depth: usize = count(1, 10), (= 5), Reload,
        "How deep fragments may be within fragments.",
        "What would be deeper is left out.";

    esi_fragments: usize = count(1, 10_000), (= 256), Reload,
        "Fragments that one page may ask for.",
        "Those of its fragments included. What would be more is left out.";

    esi_parallel: usize = count(1, 64), (= 16), Reload,
        "Fragments of a page that are asked for at a time.",
        "They are sent in the order of the page all the same.";

    esi_timeout: Duration = duration("10ms", "5m"), (= "10s"), Reload,
        "How long a page waits for a fragment.",
        "Unless its tag has a `maxwait`. After that it counts as failed.";

    esi_secret_cookies: Vec<QueryName> = list(&Kind::QueryName, 256), (= []), Reload,
        "Cookies that pages cannot read.",
        "By `$(HTTP_COOKIE)`. They are sent to the origin like all others.";

    media: Media = Kind::Choice(Media::WORDS), (= "auto"), Reload,
        "Which objects are taken for video: HLS and MPEG-DASH.",
        "`auto` is by type, name and content, `rules` only those of `media_rules`, `off` none. Of \
         these the lifetimes are known, low-latency playlists are waited for, and what comes next \
         is fetched ahead. crates/media/README.md says what is understood.";

    media_rules: Vec<MediaRule> = list(&Kind::MediaRule, 256), (= []), Reload,
        "What objects are, by their paths.",
        "Tables `{ path = \"/live/*.bin\", kind = \"segment\", ttl = \"1h\" }`; the first that is \
         for a path counts, before what its type and name say. Kinds are `playlist`, `mpd`, \
         `init`, `segment`, `key` and `other`; with a `ttl` they hold for so long whatever the \
         origin says.";

    media_lifetimes: MediaLifetimes = Kind::Choice(MediaLifetimes::WORDS), (= "silent"), Reload,
        "Whose word on the lifetimes of video counts.",
        "`silent` is the origin's, and what crates/media/README.md lists where it says nothing; \
         `shorter` the shorter of both; `ours` the list, even where the origin says `no-cache` \
         (`no-store` and `private` are heeded all the same). Errors of live streams are never kept \
         for more than a second.";

    media_ttl: Duration = duration("1s", "365d"), (= "14d"), Reload,
        "Lifetime of segments on demand.",
        "And of their init segments and keys. They do not change.";

    media_live_ttl: Duration = duration("1s", "365d"), (= "1h"), Reload,
        "Lifetime of segments of live streams.",
        "An encoder that begins anew may write others under the same names.";

    media_live_manifest_max: Duration = duration("100ms", "1m"), (= "10s"), Reload,
        "Longest lifetime of a live manifest.",
        "It is half a target duration otherwise, and a second with low latency.";

    media_prefetch: usize = count(0, 16), (= 2), Reload,
        "Segments that are fetched before players ask.",
        "Those that come next in the rendition that is watched; 0 fetches none. Never what is not \
         there yet, and nothing outside the manifest's host.";

    media_prefetch_rate: ByteSize = size("64KiB", "100GiB"), (= "256MiB"), Reload,
        "Bytes a second that may be fetched before players ask.",
        "For the site at each node. What is beyond that is left to the players.";

    media_rewrite: Vec<HostPort> = list(&Kind::HostPort, 64), (= []), Reload,
        "Hosts in manifests that are replaced by the host the client asks.",
        "Absolute addresses with one of these (`origin.example`, `origin.example:8080`) lead to \
         this CDN then, with the scheme of the request.";

    media_tokens: bool = Kind::Flag, (= false), Reload,
        "Whether manifests carry on the token they were asked with.",
        "With `signed` in the query: the token is put behind the addresses in a manifest that lead \
         here, so that players send it with all of the stream.";

    dns_ttl: Duration = duration("1s", "1d"), (= "30s"), Reload,
        "How long a resolver may keep where clients of this site are sent.",
        "Whole seconds. Shorter ones follow the load and failures of nodes sooner, and cost more \
         queries.";

    dns_answers: usize = count(1, 16), (= 2), Reload,
        "Addresses of each kind in a DNS answer.",
        "Each is that of another node. A client tries the next one when the first does not answer.";

    dns_spread: usize = count(1, 32), (= 4), Reload,
        "Nodes of a region that the site is spread over.",
        "Fewer keep their caches hotter, more carry more traffic. When they are busy, others help.";

    dns_region: Option<Name> = Kind::Name, (none "each client is sent to a near one"), Reload,
        "Region that all clients are sent to.",
        "As long as a node there is up.";

    dns_regions: Vec<RegionShare> = list(&Kind::RegionShare, 1_000), (= []), Reload,
        "Regions that the site may be served from.",
        "Names, or tables `{ region = \"eu\", weight = 50 }`: such a region gets so many percent \
         of what would come to it, and the rest goes to the next ones. Empty: all of them.";

    dns_https: bool = Kind::Flag, (= false), Reload,
        "Whether HTTPS records (RFC 9460) are answered.",
        "They tell browsers to use TLS and HTTP/2 at once, and lead those that ask for `http://` \
         to `https://`: all hosts of the site need a certificate.";

    dns_ipv6: bool = Kind::Flag, (= true), Reload,
        "Whether clients get IPv6 addresses as well.",
        "Where nodes have any.";

    request_body_max: Option<ByteSize> = size("0B", "1TiB"),
        (none "`limits.request_body_max`"), Reload,
        "Largest request body for this site.",
        "May be more or less than in `[limits]`.";
}

/// Time limits of one exchange with a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be set up, TLS included.
    pub connect: Duration,
    /// For the first byte of a response.
    pub first_byte: Duration,
    /// For the next piece of a response.
    pub idle: Duration,
}

impl Upstream {
    /// The time limits for parents and peers.
    #[must_use]
    pub const fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: self.connect_timeout,
            first_byte: self.first_byte_timeout,
            idle: self.idle_timeout,
        }
    }
}

impl Site {
    /// The time limits for this site's origin, as given or as `[upstream]` has them.
    #[must_use]
    pub fn timeouts(&self, upstream: &Upstream) -> Timeouts {
        Timeouts {
            connect: self.connect_timeout.unwrap_or(upstream.connect_timeout),
            first_byte: self.first_byte_timeout.unwrap_or(upstream.first_byte_timeout),
            idle: self.idle_timeout.unwrap_or(upstream.idle_timeout),
        }
    }

    /// The largest request body, as given or as `[limits]` has it.
    #[must_use]
    pub fn request_body_max(&self, limits: &Limits) -> ByteSize {
        self.request_body_max.unwrap_or(limits.request_body_max)
    }
}

/// Bounds of an origin's weight.
pub(crate) const WEIGHT: Kind = count(1, 1000);
