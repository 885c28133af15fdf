//! `selvedge status` and `selvedge audit`: how it is, and who made it so.

use super::fault::Fault;
use super::table::{Table, cell, moment, size};
use super::{Common, Session};
use serde_json::Value;

/// What `status` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(super) common: Common,
}

/// What `audit` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// Entries at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Only what was before this revision
    #[arg(long, value_name = "REVISION")]
    before: Option<u64>,
}

/// Shows how control and the nodes are.
pub(super) async fn run(session: &Session) -> Result<(), Fault> {
    session.show(&session.api.get("/v1/status").await?, |status| {
        let nodes = &status["nodes"];
        let number = |name: &str| nodes[name].as_u64().unwrap_or(0);
        let behind = number("live").saturating_sub(number("current"));
        Table::pairs(&[
            ("control", format!("{} at {}", cell(&status["name"]), session.api.control())),
            ("revision", format!("{} of log {}", cell(&status["revision"]), cell(&status["log"]))),
            (
                "nodes",
                format!(
                    "{} live of {}, {} ready, {behind} behind",
                    number("live"),
                    number("total"),
                    number("ready")
                ),
            ),
            ("sites", cell(&status["sites"])),
            ("pushed", format!("{} objects, {}", cell(&status["objects"]), size(&status["bytes"]))),
        ])
    })
}

/// Shows who changed what.
pub(super) async fn audit(session: &Session, args: &AuditArgs) -> Result<(), Fault> {
    // The list begins with the newest, so what comes after a revision in it is older.
    let before = args.before.map(|before| before.to_string());
    let pairs = [("after", before.as_deref())];
    let items = session.api.list("/v1/audit", &pairs, Some(args.limit)).await?;
    session.show_list(&items, table, "nothing was changed");
    Ok(())
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&[">revision", "at", "by", "from", "what", "request"]);
    for item in items {
        let what = match &item["what"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.row(vec![
            cell(&item["revision"]),
            moment(item, "at"),
            cell(&item["by"]),
            cell(&item["from"]),
            what,
            cell(&item["request_id"]),
        ]);
    }
    table
}
