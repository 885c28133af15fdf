//! The command line: what can be asked of the binary.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// A CDN that one team can run: one binary, one role per process.
#[derive(Debug, Parser)]
#[command(name = "selvedge", version, about, max_term_width = 100)]
#[command(after_help = "Exit codes:\n  \
    0   well\n  \
    1   it is not what it should be: damaged, not applied everywhere, changed meanwhile\n  \
    64  bad usage or configuration, or something control does not take\n  \
    66  not found: a file, a site, a node\n  \
    69  control cannot be reached, or its storage is full\n  \
    70  a bug of ours\n  \
    75  try again: an address is taken, too many requests, a time limit\n  \
    77  the token is missing, wrong, or may not do this\n\n\
    Every configuration key: configs/README.md, or `selvedge keys`.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an edge: the cache that clients talk to
    Edge(RoleArgs),
    /// Run a parent: the cache that edges ask before anyone asks an origin
    Parent(RoleArgs),
    /// Run control: what nodes follow, with the API for sites, content, purges and nodes
    Control(RoleArgs),
    /// Run a DNS server: it sends each client to a near, healthy, unloaded edge
    Dns(RoleArgs),
    /// Show and roll the keys of signed zones
    Dnssec(DnssecArgs),
    /// Run a whole CDN on loopback: a sample origin, a parent and an edge, until Ctrl-C
    Demo(DemoArgs),
    /// Show what a node has stored, and why it is or is not served
    Cache(CacheArgs),
    /// Show who watches which video at a running node, and what the cache made of it
    Streams(StreamsArgs),
    /// Run a page with fragments (ESI) and show what each of its tags comes to, costs, and why
    Esi(EsiArgs),
    /// Sign URLs and cookies for sites that ask for tokens, and make the keys
    #[command(after_help = crate::sign::EXAMPLE)]
    Sign(crate::sign::SignArgs),
    #[command(flatten)]
    Client(crate::client::Verb),
    /// Check a configuration file: all that a start does, except bind
    Check(CheckArgs),
    /// Print every configuration key with its type, bounds, default and meaning (Markdown)
    Keys,
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
}

/// What a role needs.
#[derive(Debug, clap::Args)]
pub(crate) struct RoleArgs {
    /// The configuration file (TOML). SIGHUP reads it again, SIGTERM drains and ends
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    pub(crate) die_with_starter: bool,
}

/// What `esi` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct EsiArgs {
    /// The page; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where fragments come from: the URL of the page at an origin, or a folder
    #[arg(long, value_name = "URL|FOLDER")]
    pub(crate) base: String,
    /// Path and query of the page, if not those of the URL
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// A field of the request, as `Cookie: user=ada`; more than one may be given
    #[arg(long, short = 'H', value_name = "FIELD")]
    pub(crate) header: Vec<String>,
    /// How deep fragments may be within fragments
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    pub(crate) depth: usize,
    /// Print the page that comes of it, and the tree to standard error
    #[arg(long)]
    pub(crate) page: bool,
}

/// What `dnssec` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct DnssecArgs {
    /// The configuration of the DNS server
    #[arg(long, short, global = true, value_name = "FILE", default_value = "dns.toml")]
    pub(crate) config: PathBuf,
    /// Only this zone
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) zone: Option<String>,
    #[command(subcommand)]
    pub(crate) command: DnssecCommand,
}

/// What to do about the keys of zones.
#[derive(Debug, Subcommand)]
pub(crate) enum DnssecCommand {
    /// The keys, how far each is, and what comes next
    List,
    /// The DS of the newest key, for the zone above
    Ds,
    /// The CDS of the newest key, as it is answered (RFC 7344)
    Cds,
    /// The DNSKEY of the newest key
    Dnskey,
    /// Make a new key that takes over without a gap, step by step
    Roll,
    /// The zone above has the DS of this key, and of no other of this zone
    DsSeen {
        /// The tag of the key, as `list` shows it
        tag: u16,
    },
    /// Ask the zone above, by CDS, to delete its DS: before a zone is signed no more
    Leave,
    /// Take that back
    Stay,
    /// Delete a key that nothing needs any more
    Prune,
}

/// What `cache` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {
    #[command(flatten)]
    pub(crate) at: CacheWhere,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

/// Whose cache to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheWhere {
    /// The admin listener of a running node [default: 127.0.0.1:9180]
    #[arg(long, global = true, value_name = "ADDRESS", conflicts_with = "config")]
    pub(crate) admin: Option<String>,
    /// The configuration of a node: it is asked if it runs, else its disks are read
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What `streams` needs.
#[derive(Debug, clap::Args)]
#[command(after_help = STREAMS)]
pub(crate) struct StreamsArgs {
    /// The admin listener of the node [default: 127.0.0.1:9180]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

const STREAMS: &str = "\
VIEWERS asked for something in the last 15 to 30 seconds. HITS of REQUESTS came from the store.
AHEAD are objects fetched before a player asked, USED those of them that a player asked for.
EDGE is the time since a live manifest said something new; BUFFER and STALLS are what players say
of themselves (CMCD).";

/// What to show of a cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Totals by tier and by site
    Stat,
    /// What is stored, a line an entry
    List {
        /// Only this site
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
        /// Only URLs that begin so, scheme included
        #[arg(long, value_name = "URL")]
        prefix: Option<String>,
        /// Lines at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// All that is stored under a URL: variants, age, lifetime, tags, parts, tier
    Inspect {
        /// The URL as a client asks for it; without a scheme, both are shown
        #[arg(value_name = "URL")]
        url: String,
    },
    /// Read everything on the disks and compare every checksum; exit code 1 if any is wrong
    Verify,
}

/// What `check` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration file (TOML)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Check it as this role's; edge and parent differ only in whom they trust when
    /// `listen.trust` is absent [default: control for a file with `[data]`, else edge]
    #[arg(long, value_enum)]
    pub(crate) role: Option<CheckAs>,
}

/// What a file may be checked as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CheckAs {
    /// The file of an edge
    Edge,
    /// The file of a parent
    Parent,
    /// The file of a control plane
    Control,
    /// The file of a DNS server
    Dns,
}

/// What `demo` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Show the access log of both caches
    #[arg(long)]
    pub(crate) log: bool,
    /// A folder in which npm has installed players for the page /player: hls.js, dashjs or
    /// shaka-player
    #[arg(long, value_name = "DIR")]
    pub(crate) players: Option<PathBuf>,
}
