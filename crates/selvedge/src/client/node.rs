//! `selvedge node`: the nodes that control knows, whether they take traffic, and who may join.

use super::api::Call;
use super::escape::segment;
use super::fault::Fault;
use super::table::{Table, cell, moment, size};
use super::{Common, Session};
use crate::process;
use http::Method;
use serde_json::{Value, json};

pub(super) const EXAMPLE: &str = "Examples:\n  \
    selvedge node list\n  \
    selvedge node drain edge-1\n  \
    selvedge node join-token --expires 1h > token";

/// What `node` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: NodeCommand,
}

/// What to do with nodes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum NodeCommand {
    /// All nodes: where they stand, what is wanted of them, how far behind they are
    List,
    /// All about one node
    Show {
        /// The node
        name: String,
    },
    /// Send it no more traffic; what comes is still served
    Drain {
        /// The node
        name: String,
    },
    /// Let it take traffic
    Online {
        /// The node
        name: String,
    },
    /// Let it take no traffic
    Offline {
        /// The node
        name: String,
    },
    /// Forget a node; its token is dead at once
    Remove {
        /// The node
        name: String,
    },
    /// A token with which new nodes may join; it is printed once, alone on standard output
    JoinToken {
        /// For how long
        #[arg(long, value_name = "TIME", default_value = "24h")]
        expires: String,
        /// For how many nodes
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,
    },
}

/// Does what `node` was asked for.
pub(super) async fn run(session: &Session, command: &NodeCommand) -> Result<(), Fault> {
    match command {
        NodeCommand::List => {
            let items = session.api.list("/v1/nodes", &[], None).await?;
            session.show_list(
                &items,
                list,
                "no node has joined; `selvedge node join-token` lets one",
            );
            Ok(())
        }
        NodeCommand::Show { name } => session.show(&session.api.get(&of(name)).await?, show),
        NodeCommand::Drain { name } => intent(session, name, "draining").await,
        NodeCommand::Online { name } => intent(session, name, "online").await,
        NodeCommand::Offline { name } => intent(session, name, "offline").await,
        NodeCommand::Remove { name } => {
            let answer = session.api.call(&Call::new(Method::DELETE, of(name))).await?;
            session.done(&answer, &format!("{name} is removed"))
        }
        NodeCommand::JoinToken { expires, uses } => {
            let call = Call::new(Method::POST, "/v1/join-tokens");
            let call = call.json(json!({ "expires": expires, "uses": uses }));
            let answer = session.api.call(&call).await?;
            let value = answer.json()?;
            if !session.json {
                let (id, until) = (cell(&value["id"]), moment(&value, "expires"));
                process::say(&format!("{id}, until {until}, for {uses}; it is not shown again"));
            }
            session.show(&answer, |value| cell(&value["token"]))
        }
    }
}

fn of(name: &str) -> String {
    format!("/v1/nodes/{}", segment(name))
}

async fn intent(session: &Session, name: &str, intent: &str) -> Result<(), Fault> {
    let call = Call::new(Method::PUT, format!("{}/intent", of(name)));
    let answer = session.api.call(&call.json(json!({ "intent": intent }))).await?;
    session.done(&answer, &format!("{name} shall be {intent}"))
}

/// Nodes as a table.
fn list(items: &[Value]) -> Table {
    let headings = [
        "name", "tier", "region", "intent", "live", "ready", ">applied", ">behind", ">req/s",
        ">hits", "version",
    ];
    let mut table = Table::new(&headings);
    for node in items {
        table.row(vec![
            cell(&node["name"]),
            cell(&node["tier"]),
            cell(&node["region"]),
            cell(&node["intent"]),
            cell(&node["live"]),
            cell(&node["ready"]),
            cell(&node["applied"]),
            cell(&node["behind"]),
            per_second(&node["load"]["requests_per_s"]),
            hits(&node["cache"]),
            cell(&node["version"]),
        ]);
    }
    table
}

fn per_second(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{number:.0}"))
}

/// The part of requests that the cache answered.
fn hits(cache: &Value) -> String {
    match (cache["hits"].as_f64(), cache["requests"].as_f64()) {
        (Some(hits), Some(requests)) if requests > 0.0 => {
            format!("{:.0}%", 100.0 * hits / requests)
        }
        _ => "-".to_owned(),
    }
}

fn show(node: &Value) -> String {
    let mut out = Table::pairs(&[
        ("name", cell(&node["name"])),
        ("tier", cell(&node["tier"])),
        ("region", cell(&node["region"])),
        ("urls", cell(&node["urls"])),
        ("addresses", cell(&node["addresses"])),
        ("health", cell(&node["health"])),
        ("intent", cell(&node["intent"])),
        ("live", cell(&node["live"])),
        ("ready", cell(&node["ready"])),
        ("why not", cell(&node["why"])),
        ("applied", cell(&node["applied"])),
        ("behind", cell(&node["behind"])),
        ("seen", moment(node, "seen")),
        ("version", cell(&node["version"])),
        ("requests/s", per_second(&node["load"]["requests_per_s"])),
        ("connections", cell(&node["load"]["connections"])),
        ("resident", size(&node["load"]["rss_bytes"])),
        ("hits", hits(&node["cache"])),
        ("in memory", size(&node["cache"]["memory_bytes"])),
        ("on disk", size(&node["cache"]["disk_bytes"])),
    ]);
    for refusal in node["refused"].as_array().into_iter().flatten() {
        let (revision, reason) = (cell(&refusal["revision"]), cell(&refusal["reason"]));
        out.push_str(&format!("refused revision {revision}: {reason}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_row_whatever_it_has_said_so_far() {
        let nodes = [
            json!({ "name": "edge-1", "tier": "edge", "region": "eu", "intent": "online",
                    "live": true, "ready": true, "applied": 7, "behind": 0, "version": "0.1.0",
                    "load": { "requests_per_s": 12.4 }, "cache": { "hits": 3, "requests": 4 } }),
            json!({ "name": "edge-2", "live": false }),
        ];
        let text = list(&nodes).text();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        let first =
            ["edge-1", "edge", "eu", "online", "yes", "yes", "7", "0", "12", "75%", "0.1.0"];
        assert_eq!(rows[1], first);
        assert_eq!(rows[2], ["edge-2", "-", "-", "-", "no", "-", "-", "-", "-", "-", "-"]);
    }
}
