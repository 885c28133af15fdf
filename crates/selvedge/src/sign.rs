//! `selvedge sign`: signed URLs and cookies, made and checked with the keys that nodes have. It
//! asks nobody. A key is never printed.

use crate::client::{Fault, Kind};
use crate::prepare;
use crate::process;
use crate::sign_keys;
use http::Uri;
use selvedge_config::{HostPattern, Profile, Signed, Site};
use selvedge_media::query;
use selvedge_media::token::{self, Denied, Grant, Key, Keys, Shown};
use selvedge_net::Clock;
use selvedge_policy::target::normalize_path;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const EXAMPLE: &str = "Examples:\n  \
    selvedge sign new-key /etc/selvedge/keys/2026a.key\n  \
    selvedge sign https://video.example/live/a.m3u8 --prefix /live/ --expires 2h -c edge.toml\n  \
    selvedge sign https://video.example/a.mp4 --expires 1h --key 2026a.key --site video\n  \
    selvedge sign https://video.example/live/ --expires 1d --cookie -c edge.toml\n  \
    selvedge sign check 'https://video.example/a.mp4?selvedge-token=...' -c edge.toml\n\n\
    Without --prefix the token is for the path of the URL; one that ends in / is all below it.";

/// What `sign` needs.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct SignArgs {
    /// The URL to sign
    #[arg(value_name = "URL", required = true)]
    url: Option<Uri>,
    #[command(flatten)]
    with: With,
    #[command(flatten)]
    until: Until,
    /// All paths that begin so, if it ends in /; else that path alone [default: the URL's path]
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Only for this client
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// Print the value of a Set-Cookie field, not a URL
    #[arg(long)]
    cookie: bool,
    #[command(subcommand)]
    command: Option<SignCommand>,
}

/// What else there is to do with keys and tokens.
#[derive(Debug, clap::Subcommand)]
enum SignCommand {
    /// Make a key: a file that only its owner can read
    NewKey {
        /// The file, which is not there yet: the name of the key, and `.key`
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say whether a signed URL is good, and if not why; exit code 1 then
    Check {
        /// The signed URL
        #[arg(value_name = "URL")]
        url: Uri,
        #[command(flatten)]
        with: With,
        /// The client that shows it
        #[arg(long, value_name = "ADDRESS")]
        client: Option<IpAddr>,
    },
}

/// Where site and keys come from.
#[derive(Debug, clap::Args)]
struct With {
    /// The configuration of a node: it has the site of the URL's host, and says where its keys are
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["key", "site", "name"])]
    config: Option<PathBuf>,
    /// The file of a key; its name, without `.key`, is that of the key
    #[arg(long, value_name = "FILE", requires = "site", required_unless_present = "config")]
    key: Option<PathBuf>,
    /// The site's name
    #[arg(long, value_name = "NAME", requires = "key")]
    site: Option<String>,
    /// Name of the token in the query, and of the cookie
    #[arg(long, value_name = "NAME", default_value = token::NAME)]
    name: String,
}

/// When a token is over.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Until {
    /// For how long it holds, such as 2h
    #[arg(long, value_name = "TIME", value_parser = selvedge_config::duration)]
    expires: Option<Duration>,
    /// The second since 1970 at which it is over
    #[arg(long, value_name = "SECOND")]
    until: Option<u64>,
}

/// A site, as far as its tokens go.
struct Signer {
    keys: Keys,
    site: String,
    name: String,
}

/// Does what `sign` was asked for.
pub(crate) fn run(args: &SignArgs) -> Result<(), Fault> {
    let now_s = u64::try_from(Clock::start().now_wall_s()).unwrap_or_default();
    match (&args.command, &args.url) {
        (Some(SignCommand::NewKey { file }), _) => new_key(file),
        (Some(SignCommand::Check { url, with, client }), _) => check(url, with, *client, now_s),
        (None, Some(url)) => {
            process::print(&signed(args, url, now_s)?);
            Ok(())
        }
        (None, None) => Err(Fault::usage("there is no URL to sign")),
    }
}

/// The signed URL, or the cookie.
fn signed(args: &SignArgs, url: &Uri, now_s: u64) -> Result<String, Fault> {
    let signer = Signer::of(&args.with, url)?;
    let expires_s = match (args.until.expires, args.until.until) {
        (Some(span), _) => now_s.saturating_add(span.as_secs()),
        (None, until) => until.unwrap_or(now_s),
    };
    let prefix = path(args.prefix.as_deref().unwrap_or_else(|| url.path()))?;
    let grant =
        Grant { audience: &signer.site, expires_s, path_prefix: &prefix, client: args.client };
    let odd = || Fault::usage(format!("{prefix}: servers could read this path in two ways"));
    let token = token::sign(&signer.keys, &grant).ok_or_else(odd)?;
    let name = &signer.name;
    if args.cookie {
        let seconds = expires_s.saturating_sub(now_s);
        // Pages of another site send it only so, and only over TLS.
        let is_tls = url.scheme_str() == Some("https");
        let how = if is_tls { "Secure; SameSite=None" } else { "SameSite=Lax" };
        return Ok(format!("{name}={token}; Path={prefix}; Max-Age={seconds}; HttpOnly; {how}"));
    }
    let (text, kept) = (url.to_string(), query::without(url.query().unwrap_or_default(), &[name]));
    let base = text.split('?').next().unwrap_or_default();
    let between = if kept.is_empty() { "" } else { "&" };
    Ok(format!("{base}?{kept}{between}{name}={token}"))
}

fn check(url: &Uri, with: &With, client: Option<IpAddr>, now_s: u64) -> Result<(), Fault> {
    let signer = Signer::of(with, url)?;
    let path = path(url.path())?;
    let client = client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let shown = Shown { audience: &signer.site, path: &path, client, now_s };
    let found = token::find(&signer.name, url.query().unwrap_or_default(), []);
    match found.and_then(|token| token::verify(&signer.keys, token, &shown)) {
        Ok(expires_s) => {
            process::print(&format!("good for another {} s", expires_s.saturating_sub(now_s)));
            Ok(())
        }
        Err(denied) => Err(Fault::wrong(format!("{denied}: {}", explained(denied)))),
    }
}

const fn explained(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing => "there is none in the query",
        Denied::Malformed => "it is not of the form of a token, or is there twice",
        Denied::UnknownKey => "it was signed with a key that is not given here",
        Denied::Signature => {
            "it is for another site, was changed, or is for another client than --client says"
        }
        Denied::Expired => "it is over",
        Denied::Path => "it is for other paths",
    }
}

fn new_key(file: &Path) -> Result<(), Fault> {
    key_name(file)?;
    sign_keys::make(file).map_err(|error| Fault::file(file, &error))?;
    process::say(&format!("{}: a new key; give it to all nodes of the site", file.display()));
    Ok(())
}

/// The name of the key in a file.
fn key_name(file: &Path) -> Result<&str, Fault> {
    let is_key = file.extension().is_some_and(|extension| extension == "key");
    let name = file.file_stem().and_then(|stem| stem.to_str()).filter(|name| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        is_key && name.len() <= 32 && name.bytes().all(plain)
    });
    name.ok_or_else(|| {
        let shown = file.display();
        Fault::usage(format!(
            "{shown}: is not named NAME.key, with at most 32 letters, digits, \"-\" and \"_\""
        ))
    })
}

/// A path in the form in which nodes compare it.
fn path(text: &str) -> Result<String, Fault> {
    let wrong = |_| Fault::usage(format!("{text:?} is not a path"));
    normalize_path(text).map(std::borrow::Cow::into_owned).map_err(wrong)
}

impl Signer {
    fn of(with: &With, url: &Uri) -> Result<Self, Fault> {
        let (Some(host), Some(_)) = (url.host(), url.scheme()) else {
            return Err(Fault::usage(format!("{url}: is not a URL with a scheme and a host")));
        };
        match (&with.config, &with.key, &with.site) {
            (Some(file), _, _) => Self::of_config(file, &host.to_ascii_lowercase()),
            (None, Some(file), Some(site)) => {
                let name = key_name(file)?;
                let secret = sign_keys::read(file).map_err(|it| Fault::usage(it.to_string()))?;
                let key = Key::new(name, &secret);
                let current = key.ok_or_else(|| Fault::usage(format!("{name}: is no key")))?;
                let keys = Keys { current, other: None };
                Ok(Self { keys, site: site.clone(), name: with.name.clone() })
            }
            _ => Err(Fault::usage("--config, or --key and --site, must be given")),
        }
    }

    fn of_config(file: &Path, host: &str) -> Result<Self, Fault> {
        let wrong = |problem: crate::problem::Problem| Fault::usage(problem.to_string());
        let (config, files) = prepare::read_config(file, Profile::Facing).map_err(wrong)?;
        let site = config.sites.iter().max_by_key(|site| fit(site, host));
        let site = site.filter(|site| fit(site, host).is_some()).ok_or_else(|| {
            let shown = file.display();
            Fault::new(Kind::NotFound, format!("{shown}: has no site for {host}"))
        })?;
        if site.signed == Signed::Off {
            return Err(Fault::usage(format!("the site {} asks for no tokens", site.name)));
        }
        let known = sign_keys::SignKeys::default();
        let mut keys = site.signed_keys.iter().map(|name| {
            let loaded = known.load(&config, &files, name.as_str());
            loaded.map_err(|fault| Fault::usage(fault.to_string()))
        });
        let none = || Fault::usage(format!("the site {} names no keys", site.name));
        let current = keys.next().ok_or_else(none)??;
        let keys = Keys { current, other: keys.next().transpose()? };
        Ok(Self { keys, site: site.name.to_string(), name: site.signed_name.to_string() })
    }
}

/// How closely a site names a host; none if it does not answer for it.
fn fit(site: &Site, host: &str) -> Option<usize> {
    let fits = site.hosts.iter().filter_map(|pattern| match pattern {
        HostPattern::Exact(name) => (name == host).then_some(usize::MAX),
        HostPattern::Below(name) => {
            let rest = host.strip_suffix(name.as_str())?;
            rest.ends_with('.').then_some(name.len())
        }
        HostPattern::Any => Some(0),
    });
    fits.max()
}
