//! `selvedge explain dns`: why a client is sent where it is. A DNS server is asked at its admin
//! listener; control is not.

use crate::client::fault::{Fault, Kind};
use crate::client::table::{Table, cell};
use crate::look::Remote;
use crate::process;
use http::{Method, StatusCode};
use serde_json::Value;

pub(super) const EXAMPLE: &str = "Examples:\n  \
    selvedge explain dns shop.cdn.example --client 203.0.113.7\n  \
    selvedge explain dns shop.cdn.example --client 2001:db8::/48 --admin 10.0.0.53:9180";

/// What `explain dns` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct DnsArgs {
    /// The name as a resolver asks for it
    #[arg(value_name = "NAME")]
    name: String,
    /// Who asks: an address, or one and how many bits of it are known
    #[arg(long, value_name = "ADDRESS")]
    client: String,
    /// The admin listener of a DNS server
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9180")]
    admin: String,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Asks and shows.
pub(super) fn run(args: &DnsArgs) -> Result<(), Fault> {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("name", &args.name)
        .append_pair("client", &args.client)
        .finish();
    let asked = Remote::new(&args.admin).ask(&Method::GET, &format!("/explain?{query}"));
    let (status, text) = asked.map_err(|problem| {
        let said = problem.to_string();
        let first = said.lines().next().unwrap_or_default();
        Fault::new(Kind::Unavailable, format!("{first}\n--admin names that of a DNS server"))
    })?;
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(Fault::new(Kind::NotFound, text.trim_end())),
        _ => return Err(Fault::new(Kind::Usage, text.trim_end())),
    }
    if args.json {
        process::print(&text);
        return Ok(());
    }
    let answer: Value = serde_json::from_str(&text)
        .map_err(|error| Fault::new(Kind::Bug, format!("the answer is no JSON: {error}")))?;
    process::print(&shown(&answer));
    Ok(())
}

fn shown(answer: &Value) -> String {
    let why = &answer["explanation"];
    let place = &why["place"];
    let mut out = Table::pairs(&[
        ("name", cell(&answer["name"])),
        ("site", cell(&why["site"])),
        ("client", format!("{}, {} bits known", cell(&why["client"]), cell(&why["known"]))),
        ("country", cell(&place["country"])),
        ("operator", cell(&place["asn"])),
        ("in the coverage map", cell(&why["covered"])),
        ("region", cell(&why["region"])),
        ("chosen by", cell(&why["rule"])),
        ("good for", format!("/{} around the client", cell(&why["scope"]))),
        ("kept for", format!("{} s", cell(&why["ttl_s"]))),
    ]);
    let mut regions = Table::new(&["region", "km", "share", "capacity", "used"]);
    for region in why["regions"].as_array().into_iter().flatten() {
        regions.row(vec![
            cell(&region["name"]),
            cell(&region["distance_km"]),
            percent(&region["share"]),
            cell(&region["capacity"]),
            percent(&region["utilisation"]),
        ]);
    }
    let mut nodes =
        Table::new(&["node", "region", "state", "load", "keeps", "turn", "answered", "why"]);
    for node in why["nodes"].as_array().into_iter().flatten() {
        nodes.row(vec![
            cell(&node["name"]),
            cell(&node["region"]),
            cell(&node["state"]),
            percent(&node["utilisation"]),
            percent(&node["share"]),
            cell(&node["turn"]),
            cell(&node["is_named"]),
            cell(&node["why"]),
        ]);
    }
    for table in [regions, nodes] {
        out.push('\n');
        out.push_str(&table.text());
    }
    out
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation_says_who_is_answered_and_why_the_others_are_not() {
        let answer = json!({ "name": "shop.cdn.test.", "explanation": {
            "site": "shop", "client": "192.0.2.7", "known": 24, "covered": null, "rule": "country",
            "region": "eu", "scope": 16, "ttl_s": 30, "place": { "country": "DE", "asn": null },
            "regions": [{ "name": "eu", "distance_km": 42, "share": 1.0, "capacity": 200.0,
                "utilisation": null }],
            "nodes": [{ "name": "eu-1", "region": "eu", "state": "up", "utilisation": 0.5,
                "share": 1.0, "turn": 1, "is_named": true, "why": "named" },
                { "name": "eu-2", "region": "eu", "state": "down", "utilisation": 0.0,
                "share": 0.0, "turn": null, "is_named": false, "why": "down" }] } });
        let text = shown(&answer);
        for part in ["country", "/16 around", "eu-1", "50%", "named", "eu-2", "down", "42"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
