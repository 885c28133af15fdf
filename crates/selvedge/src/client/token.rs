//! `selvedge token`: who may do what. A token is printed once, alone on standard output, and is
//! never in a list.

use super::api::Call;
use super::escape::segment;
use super::fault::Fault;
use super::table::{Table, cell, moment};
use super::{Common, Session};
use crate::process;
use http::Method;
use serde_json::{Value, json};

pub(super) const EXAMPLE: &str = "Example:\n  \
    selvedge token create --name ci --scope push,purge --site docs --expires 30d > ci.token\n\n\
    Scopes: read, config, purge, push, node, admin (which is all of them).";

/// What `token` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token
    Create {
        /// What it is for
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may do: read, config, purge, push, node, admin
        #[arg(long, value_name = "SCOPE", required = true, value_delimiter = ',')]
        scope: Vec<String>,
        /// Only for these sites
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        site: Vec<String>,
        /// For how long, such as 30d; without it until it is revoked
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// All tokens, without what makes them valid
    List,
    /// End a token at once
    Revoke {
        /// Its id
        id: String,
    },
}

/// Does what `token` was asked for.
pub(super) async fn run(session: &Session, command: &TokenCommand) -> Result<(), Fault> {
    match command {
        TokenCommand::Create { name, scope, site, expires } => {
            let mut body = json!({ "name": name, "scopes": scope, "sites": null });
            if !site.is_empty() {
                body["sites"] = json!(site);
            }
            if let Some(expires) = expires {
                body["expires"] = json!(expires);
            }
            let call = Call::new(Method::POST, "/v1/tokens").json(body);
            let answer = session.api.call(&call).await?;
            if !session.json {
                let id = cell(&answer.json()?["id"]);
                process::say(&format!("{id} is made; the token is not shown again"));
            }
            session.show(&answer, |value| cell(&value["token"]))
        }
        TokenCommand::List => {
            let items = session.api.list("/v1/tokens", &[], None).await?;
            session.show_list(&items, list, "there are no tokens");
            Ok(())
        }
        TokenCommand::Revoke { id } => {
            let path = format!("/v1/tokens/{}", segment(id));
            let answer = session.api.call(&Call::new(Method::DELETE, path)).await?;
            session.done(&answer, &format!("{id} is revoked"))
        }
    }
}

fn list(items: &[Value]) -> Table {
    let mut table = Table::new(&["id", "name", "kind", "scopes", "sites", "expires"]);
    for token in items {
        let is_api = token["scopes"].as_array().is_some_and(|scopes| !scopes.is_empty());
        let sites = match token["sites"].is_null() {
            true if is_api => "all".to_owned(),
            _ => cell(&token["sites"]),
        };
        table.row(vec![
            cell(&token["id"]),
            cell(&token["name"]),
            cell(&token["kind"]),
            cell(&token["scopes"]),
            sites,
            moment(token, "expires"),
        ]);
    }
    table
}
