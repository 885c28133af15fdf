//! The client of the control API: `selvedge site`, `push`, `purge` and the others. It asks control
//! and shows what it says; it decides nothing that control decides, and never reads a node's files.

mod api;
mod certificate;
mod context;
mod contexts;
mod escape;
mod explain;
mod fault;
mod file_body;
mod node;
mod prefetch;
mod progress;
mod purge;
mod push;
mod site;
mod status;
mod table;
mod token;

use crate::process;
use api::{Answer, Api};
use context::{Env, Where, choose};
pub(crate) use fault::{Fault, Kind};
use serde_json::{Value, json};
use std::path::PathBuf;
pub(crate) use table::Table;

/// The verbs that ask control.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Sites: list, show, put, compare, roll back
    #[command(after_help = site::EXAMPLE)]
    Site(site::SiteArgs),
    /// Send a file or a folder to a site: what changed, published at once
    #[command(after_help = push::EXAMPLE)]
    Push(push::PushArgs),
    /// Take something out of every cache
    #[command(after_help = purge::EXAMPLE)]
    Purge(purge::PurgeArgs),
    /// Fetch URLs into the caches before clients ask for them
    #[command(after_help = prefetch::EXAMPLE)]
    Prefetch(prefetch::PrefetchArgs),
    /// Nodes: list, drain, bring back, remove, let new ones join
    #[command(after_help = node::EXAMPLE)]
    Node(node::NodeArgs),
    /// Tokens of people and scripts: create, list, revoke
    #[command(after_help = token::EXAMPLE)]
    Token(token::TokenArgs),
    /// Certificates of sites
    #[command(after_help = certificate::EXAMPLE)]
    Certificate(certificate::CertificateArgs),
    /// How control and the nodes are
    #[command(after_help = "Example:\n  selvedge status --json | jq .nodes.live")]
    Status(status::StatusArgs),
    /// Who changed what and when, the newest first
    #[command(after_help = "Example:\n  selvedge audit --limit 20")]
    Audit(status::AuditArgs),
    /// Ask the nodes for a URL, and say what each tier did and why
    #[command(after_help = explain::EXAMPLE)]
    Explain(explain::ExplainArgs),
    /// Which controls there are, and which is meant
    #[command(after_help = contexts::EXAMPLE)]
    Context(contexts::ContextArgs),
}

/// What every verb that asks control takes.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    at: Where,
    /// Print JSON instead of tables, as control sent it where it is one answer
    #[arg(long, global = true)]
    json: bool,
}

/// Does what a verb was asked for.
pub(crate) fn run(verb: &Verb) -> Result<(), Fault> {
    let common = match verb {
        Verb::Context(args) => return contexts::run(args),
        Verb::Explain(args) if let Some(done) = args.without_control() => return done,
        Verb::Site(args) => &args.common,
        Verb::Push(args) => &args.common,
        Verb::Purge(args) => &args.common,
        Verb::Prefetch(args) => &args.common,
        Verb::Node(args) => &args.common,
        Verb::Token(args) => &args.common,
        Verb::Certificate(args) => &args.common,
        Verb::Status(args) => &args.common,
        Verb::Audit(args) => &args.common,
        Verb::Explain(args) => &args.common,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new(Kind::TryAgain, format!("cannot start: {error}")))?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let session = Session::open(common)?;
        match verb {
            Verb::Site(args) => site::run(&session, &args.command).await,
            Verb::Push(args) => push::run(session, args).await,
            Verb::Purge(args) => purge::run(&session, args).await,
            Verb::Prefetch(args) => prefetch::run(&session, args).await,
            Verb::Node(args) => node::run(&session, &args.command).await,
            Verb::Token(args) => token::run(&session, &args.command).await,
            Verb::Certificate(args) => certificate::run(&session, &args.command).await,
            Verb::Status(_) => status::run(&session).await,
            Verb::Audit(args) => status::audit(&session, args).await,
            Verb::Explain(args) => explain::run(&session, args).await,
            Verb::Context(_) => Ok(()),
        }
    })
}

/// One run of a verb: whom to ask and how to show it.
struct Session {
    api: Api,
    json: bool,
}

impl Session {
    fn open(common: &Common) -> Result<Self, Fault> {
        let file = context::file();
        let contexts = match &file {
            Some(file) => context::read(file)?,
            None => context::Contexts::default(),
        };
        let shown = file.unwrap_or_else(|| PathBuf::from("contexts.toml")).display().to_string();
        let chosen = choose(&common.at, &Env::read(), &contexts, &shown)?;
        Ok(Self { api: Api::new(&chosen)?, json: common.json })
    }

    /// Prints one answer: as it came, or as `show` has it.
    fn show(&self, answer: &Answer, show: impl FnOnce(&Value) -> String) -> Result<(), Fault> {
        match self.json {
            true if answer.body.is_empty() => process::print("{}"),
            true => process::print(&answer.text()),
            false => process::print(&show(&answer.json()?)),
        }
        Ok(())
    }

    /// Prints a list that came in pages.
    fn show_list(&self, items: &[Value], table: impl FnOnce(&[Value]) -> table::Table, none: &str) {
        if self.json {
            process::print(&json!({ "items": items, "next": null }).to_string());
            return;
        }
        let table = table(items);
        match table.is_empty() {
            true => process::say(none),
            false => process::print(&table.text()),
        }
    }

    /// Prints an answer of a change: as it came, or a sentence.
    fn done(&self, answer: &Answer, sentence: &str) -> Result<(), Fault> {
        self.show(answer, |value| match revision(answer, value) {
            Some(revision) => format!("{sentence} (revision {revision})"),
            None => sentence.to_owned(),
        })
    }
}

/// The revision of a change: in the body, or in the head where there is no body.
fn revision(answer: &Answer, value: &Value) -> Option<String> {
    let of_body = value.get("revision").filter(|it| !it.is_null()).map(table::cell);
    of_body.or_else(|| answer.field("selvedge-revision").map(str::to_owned))
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
