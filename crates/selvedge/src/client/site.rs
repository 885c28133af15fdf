//! `selvedge site`: the sites that control has, their versions, and what differs between these.

use super::api::{Call, Payload};
use super::escape::{segment, with_query};
use super::fault::{Fault, Kind};
use super::table::{Table, cell, moment};
use super::{Common, Session, context};
use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) const EXAMPLE: &str = "Examples:\n  \
    selvedge site add shop --host www.shop.test --origin https://origin.shop.test\n  \
    selvedge site put shop.toml\n  \
    selvedge site diff shop 2 3\n  \
    selvedge site rollback shop 2\n\n\
    A file has the keys of a [[site]] table, see `selvedge keys`, as TOML or JSON.";

/// Largest document.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// What `site` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct SiteArgs {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: SiteCommand,
}

/// What to do with sites.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SiteCommand {
    /// All sites
    List,
    /// One site: its document and version
    Show {
        /// The site
        name: String,
        /// An older version
        #[arg(long, value_name = "N")]
        version: Option<u64>,
    },
    /// Make a site of a host and an origin
    Add {
        /// The site
        name: String,
        /// A host it answers for; may be given several times
        #[arg(long, value_name = "HOST", required = true)]
        host: Vec<String>,
        /// Where it comes from; may be given several times
        #[arg(long, value_name = "URL", required_unless_present = "push")]
        origin: Vec<String>,
        /// Content is pushed to it
        #[arg(long)]
        push: bool,
    },
    /// Put a document (TOML or JSON) in force, new or in place of the one before
    Put {
        /// The document; `-` is standard input
        file: PathBuf,
        /// The site, if neither the document nor the name of its file says it
        #[arg(long, value_name = "SITE")]
        name: Option<String>,
        /// Only if this is still the ETag
        #[arg(long, value_name = "ETAG", conflicts_with = "new")]
        if_match: Option<String>,
        /// Only if there is no such site yet
        #[arg(long)]
        new: bool,
    },
    /// Change some keys: KEY=VALUE sets one (VALUE as TOML, or text), KEY= takes one away
    Patch {
        /// The site
        name: String,
        /// What to change
        #[arg(value_name = "KEY=VALUE", required = true)]
        changes: Vec<String>,
        /// Only if this is still the ETag
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
    },
    /// Remove a site
    Remove {
        /// The site
        name: String,
        /// Only if this is still the ETag
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
    },
    /// All versions of a site
    Versions {
        /// The site
        name: String,
    },
    /// What differs between two versions
    Diff {
        /// The site
        name: String,
        /// The older version
        from: u64,
        /// The newer version
        to: u64,
    },
    /// Put an older version in force again, as a new one
    Rollback {
        /// The site
        name: String,
        /// The version to go back to
        version: u64,
    },
}

/// Does what `site` was asked for.
pub(super) async fn run(session: &Session, command: &SiteCommand) -> Result<(), Fault> {
    match command {
        SiteCommand::List => {
            let items = session.api.list("/v1/sites", &[], None).await?;
            session.show_list(&items, list, "there are no sites; `selvedge site add` makes one");
            Ok(())
        }
        SiteCommand::Show { name, version } => {
            let path = match version {
                Some(version) => format!("{}/versions/{version}", of(name)),
                None => of(name),
            };
            session.show(&session.api.get(&path).await?, show)
        }
        SiteCommand::Add { name, host, origin, push } => {
            let mut document = json!({ "name": name, "hosts": host });
            if !origin.is_empty() {
                document["origin"] = json!(origin);
            }
            if *push {
                document["push"] = json!(true);
            }
            let call = Call::new(Method::POST, "/v1/sites").json(document);
            session.done(&session.api.call(&call).await?, &format!("{name} is there"))
        }
        SiteCommand::Put { file, name, if_match, new } => {
            put(session, file, name.as_deref(), if_match.as_deref(), *new).await
        }
        SiteCommand::Patch { name, changes, if_match } => {
            let call = Call::new(Method::PATCH, of(name)).json(patch(changes)?);
            let call = call.field("content-type", "application/merge-patch+json");
            let answer = session.api.call(&conditional(call, if_match.as_deref())).await?;
            session.done(&answer, &format!("{name} is changed"))
        }
        SiteCommand::Remove { name, if_match } => {
            let call = conditional(Call::new(Method::DELETE, of(name)), if_match.as_deref());
            session.done(&session.api.call(&call).await?, &format!("{name} is removed"))
        }
        SiteCommand::Versions { name } => {
            let path = format!("{}/versions", of(name));
            let items = session.api.list(&path, &[], None).await?;
            session.show_list(&items, versions, "there are no versions");
            Ok(())
        }
        SiteCommand::Diff { name, from, to } => {
            let (from, to) = (from.to_string(), to.to_string());
            let pairs = [("from", Some(from.as_str())), ("to", Some(to.as_str()))];
            let path = with_query(&format!("{}/diff", of(name)), &pairs);
            session.show(&session.api.get(&path).await?, diff)
        }
        SiteCommand::Rollback { name, version } => {
            let path = format!("{}/rollback", of(name));
            let call = Call::new(Method::POST, path).json(json!({ "version": version }));
            let sentence = format!("{name} is as it was in version {version}");
            session.done(&session.api.call(&call).await?, &sentence)
        }
    }
}

/// The path of a site in the API.
pub(super) fn of(name: &str) -> String {
    format!("/v1/sites/{}", segment(name))
}

fn conditional(call: Call, if_match: Option<&str>) -> Call {
    match if_match {
        Some(etag) if etag.starts_with('"') || etag == "*" => call.field("if-match", etag),
        Some(etag) => call.field("if-match", format!("\"{etag}\"")),
        None => call,
    }
}

async fn put(
    session: &Session,
    file: &Path,
    name: Option<&str>,
    if_match: Option<&str>,
    new: bool,
) -> Result<(), Fault> {
    let text = read(file)?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| *stem != "-");
    let document = Document::read(&text, file)?;
    let name = name.or(document.name.as_deref()).or(stem).ok_or_else(|| {
        Fault::usage("what is the site called? --name NAME, or `name = ..` in the document")
    })?;
    let call = Call::new(Method::PUT, of(name)).payload(document.payload);
    let call = if new { call.field("if-none-match", "*") } else { conditional(call, if_match) };
    let answer = session.api.call(&call).await?;
    let version = answer.json()?.get("version").map(cell).unwrap_or_default();
    session.done(&answer, &format!("{name} is in force, version {version}"))
}

fn read(file: &Path) -> Result<String, Fault> {
    if file != Path::new("-") {
        return context::read_file(file);
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(DOCUMENT_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Fault::file(file, &error))?;
    Ok(text)
}

/// A document as it goes to control.
struct Document {
    name: Option<String>,
    payload: Payload,
}

impl Document {
    /// JSON begins with `{`; anything else is TOML. TOML that is nothing but the keys goes as it
    /// is, so that control can name lines; a `name`, or a whole `[[site]]`, is taken out here.
    fn read(text: &str, file: &Path) -> Result<Self, Fault> {
        let shown = file.display();
        let is_json = text.trim_start().starts_with('{');
        let value: Value = if is_json {
            serde_json::from_str(text).map_err(|error| Fault::usage(format!("{shown}: {error}")))?
        } else {
            toml::from_str(text).map_err(|error| Fault::usage(format!("{shown}: {error}")))?
        };
        let Value::Object(mut keys) = value else {
            return Err(Fault::usage(format!("{shown}: not a table of keys")));
        };
        let was_wrapped = unwrap_site(&mut keys, &shown.to_string())?;
        let name = match keys.remove("name") {
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(Fault::usage(format!("{shown}: `name` is not text"))),
            None => None,
        };
        let payload = match is_json || was_wrapped || name.is_some() {
            true => Payload::Json(Value::Object(keys)),
            false => Payload::Bytes("application/toml", Bytes::copy_from_slice(text.as_bytes())),
        };
        Ok(Self { name, payload })
    }
}

/// Takes the keys out of a `[[site]]` of a configuration file.
fn unwrap_site(keys: &mut Map<String, Value>, shown: &str) -> Result<bool, Fault> {
    let Some(site) = keys.get_mut("site").map(Value::take) else { return Ok(false) };
    let found = match site {
        Value::Array(mut sites) if sites.len() == 1 => sites.remove(0),
        Value::Array(sites) => {
            let count = sites.len();
            return Err(Fault::usage(format!("{shown}: {count} sites; put them one by one")));
        }
        other => other,
    };
    match found {
        Value::Object(inner) => {
            *keys = inner;
            Ok(true)
        }
        _ => Err(Fault::new(Kind::Usage, format!("{shown}: `site` is not a table"))),
    }
}

/// A merge patch (RFC 7396) of `KEY=VALUE`; dots lead into tables.
fn patch(changes: &[String]) -> Result<Value, Fault> {
    let mut patch = json!({});
    for change in changes {
        let (key, text) = change
            .split_once('=')
            .ok_or_else(|| Fault::usage(format!("{change:?} is not KEY=VALUE")))?;
        let value = match text {
            "" => Value::Null,
            text => toml::from_str::<Map<String, Value>>(&format!("value = {text}"))
                .ok()
                .filter(|table| table.len() == 1)
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| json!(text)),
        };
        let mut at = &mut patch;
        for part in key.split('.') {
            if at.is_null() {
                *at = json!({});
            }
            if !at.is_object() {
                return Err(Fault::usage(format!("{key:?} is changed as a whole and in part")));
            }
            at = &mut at[part];
        }
        *at = value;
    }
    Ok(patch)
}

fn list(items: &[Value]) -> Table {
    let mut table = Table::new(&["name", ">version", ">revision", "updated", "hosts"]);
    for item in items {
        table.row(vec![
            cell(&item["name"]),
            cell(&item["version"]),
            cell(&item["revision"]),
            moment(item, "updated"),
            cell(&item["hosts"]),
        ]);
    }
    table
}

fn show(site: &Value) -> String {
    let document = &site["document"];
    // What TOML cannot hold, such as null, JSON can.
    let document = toml::to_string(document).unwrap_or_else(|_| format!("{document:#}\n"));
    format!(
        "# {}, version {}, revision {}, {}\n{document}",
        cell(&site["name"]),
        cell(&site["version"]),
        cell(&site["revision"]),
        moment(site, "updated")
    )
}

fn versions(items: &[Value]) -> Table {
    let mut table = Table::new(&[">version", ">revision", "updated", "by", ""]);
    for item in items {
        let removed = item["removed"].as_bool().unwrap_or(false);
        table.row(vec![
            cell(&item["version"]),
            cell(&item["revision"]),
            moment(item, "updated"),
            cell(&item["by"]),
            if removed { "removed".to_owned() } else { String::new() },
        ]);
    }
    table
}

fn diff(value: &Value) -> String {
    let changes = value["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    if changes.is_empty() {
        return "no key differs".to_owned();
    }
    let mut out = String::new();
    for change in changes {
        let key = cell(&change["key"]);
        for (mark, side) in [("-", &change["from"]), ("+", &change["to"])] {
            if !side.is_null() {
                out.push_str(&format!("{mark} {key} = {side}\n"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> (Option<String>, String) {
        let document = Document::read(text, Path::new("a.toml")).unwrap();
        let sent = match document.payload {
            Payload::Json(value) => value.to_string(),
            Payload::Bytes(media_type, bytes) => {
                format!("{media_type}: {}", String::from_utf8_lossy(&bytes))
            }
            _ => String::new(),
        };
        (document.name, sent)
    }

    #[test]
    fn a_document_is_found_in_toml_json_and_a_configuration_file() {
        let keys = "# mine\nhosts = [\"a\"]\n";
        assert_eq!(document(keys), (None, format!("application/toml: {keys}")));
        let found = (Some("shop".to_owned()), r#"{"hosts":["a"]}"#.to_owned());
        assert_eq!(document("name = \"shop\"\nhosts = [\"a\"]"), found);
        assert_eq!(document("[[site]]\nname = \"shop\"\nhosts = [\"a\"]"), found);
        assert_eq!(document(r#" {"name": "shop", "hosts": ["a"]}"#), found);
        for bad in ["hosts = ", "{\"a\": ", "[[site]]\n[[site]]", "name = 1", "site = 1"] {
            assert_eq!(Document::read(bad, Path::new("a")).err().unwrap().exit_code(), 64, "{bad}");
        }
    }

    #[test]
    fn changes_become_a_merge_patch() {
        let changes =
            ["ttl_default=60s", "heuristic=false", "hosts=[\"a\"]", "ttl_min=", "read_ahead=3"];
        let changes = changes.map(str::to_owned);
        let expected = json!({
            "ttl_default": "60s", "heuristic": false, "hosts": ["a"], "ttl_min": null,
            "read_ahead": 3
        });
        assert_eq!(patch(&changes).unwrap(), expected);
        let nested = ["response_headers.set.X-A=1", "response_headers.set.X-B=\"2\""];
        let expected = json!({ "response_headers": { "set": { "X-A": 1, "X-B": "2" } } });
        assert_eq!(patch(&nested.map(str::to_owned)).unwrap(), expected);
        assert!(patch(&["a".to_owned()]).is_err());
        assert!(patch(&["a=1".to_owned(), "a.b=1".to_owned()]).is_err());
    }

    #[test]
    fn a_difference_is_shown_key_by_key() {
        let value = json!({ "changes": [
            { "key": "ttl_default", "from": "60s", "to": "5m" },
            { "key": "push", "from": null, "to": true },
        ]});
        assert_eq!(
            diff(&value),
            "- ttl_default = \"60s\"\n+ ttl_default = \"5m\"\n+ push = true\n"
        );
    }
}
