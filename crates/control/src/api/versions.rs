//! What a site was before: its versions, what changed between two, and back to one.

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::App;
use super::caller::Caller;
use super::pages::{Items, Page, page};
use super::sites::{SiteBody, checked, current_tag, may_see, put};
use super::{bodies, conditions};
use crate::problem::{Problem, ProblemBody};
use crate::state::record::Scope;
use crate::state::{Site, State, Version};

/// A version in a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct VersionLine {
    /// Its number.
    version: u64,
    /// The revision that made it.
    revision: u64,
    /// When, in milliseconds since 1970.
    updated_ms: i64,
    /// The token that made it.
    by: String,
    /// With this version the site was removed.
    removed: bool,
}

/// Which versions to compare.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Two {
    /// The earlier one; the one before `to` if not given.
    from: Option<u64>,
    /// The later one; the newest if not given.
    to: Option<u64>,
}

/// What is different between two versions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Diff {
    /// The earlier version.
    from: u64,
    /// The later version.
    to: u64,
    /// Every key that is different.
    changes: Vec<KeyChange>,
}

/// A key that is different.
#[derive(Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct KeyChange {
    /// The key.
    key: String,
    /// Its value before; null if it was not there.
    #[schema(value_type = Value)]
    from: Value,
    /// Its value after; null if it is not there.
    #[schema(value_type = Value)]
    to: Value,
}

/// Which version to go back to.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(crate) struct Back {
    /// Its number.
    version: u64,
}

/// The versions of a site.
///
/// Newest first; the last hundred are kept.
#[utoipa::path(get, path = "/v1/sites/{site}/versions", tag = "sites",
    params(("site" = String, Path, description = "The name of the site"), Page), responses(
    (status = 200, body = Items<VersionLine>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<VersionLine>>, Problem> {
    let state = app.desk.state();
    let site = find(&state, &caller, &name)?;
    let limit = asked.limit()?;
    let before = match &asked.after {
        None => u64::MAX,
        Some(after) => after.parse().map_err(|_| Problem::invalid("`after` is not a version"))?,
    };
    let versions = site.versions.iter().rev().filter(|version| version.version < before);
    let items = page(
        versions,
        limit,
        |version| version.version.to_string(),
        |version| VersionLine {
            version: version.version,
            revision: version.revision,
            updated_ms: version.at_ms,
            by: version.by.clone(),
            removed: version.document.is_none(),
        },
    );
    Ok(axum::Json(items))
}

/// One version of a site.
#[utoipa::path(get, path = "/v1/sites/{site}/versions/{version}", tag = "sites",
    params(("site" = String, Path, description = "The name of the site"),
        ("version" = u64, Path, description = "The number of the version")), responses(
    (status = 200, body = SiteBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Ext(app): Ext<App>,
    caller: Caller,
    Path((name, number)): Path<(String, u64)>,
) -> Result<axum::Json<SiteBody>, Problem> {
    let state = app.desk.state();
    let site = find(&state, &caller, &name)?;
    Ok(axum::Json(SiteBody::new(&name, version(site, number)?)))
}

/// What changed between two versions of a site.
#[utoipa::path(get, path = "/v1/sites/{site}/diff", tag = "sites",
    params(("site" = String, Path, description = "The name of the site"), Two), responses(
    (status = 200, body = Diff),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn diff(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(two): Query<Two>,
) -> Result<axum::Json<Diff>, Problem> {
    let state = app.desk.state();
    let site = find(&state, &caller, &name)?;
    let to = two.to.unwrap_or_else(|| site.last_version());
    let from = two.from.unwrap_or_else(|| to.saturating_sub(1));
    let document = |number| -> Result<Value, Problem> {
        Ok(version(site, number)?.document.clone().unwrap_or(Value::Null))
    };
    let changes = changes(&document(from)?, &document(to)?);
    Ok(axum::Json(Diff { from, to, changes }))
}

/// Make a site again what it was at a version.
///
/// That makes a new version; nothing is lost. A site that was removed comes back.
#[utoipa::path(post, path = "/v1/sites/{site}/rollback", tag = "sites", request_body = Back,
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = SiteBody, description = "It is so, or was so already"),
    (status = 201, body = SiteBody, description = "The site is back"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn rollback(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Config, Some(&name))?;
    let (back, bytes): (Back, _) = bodies::json(&headers, body).await?;
    let asker = caller.asker(&bytes);
    let reply = app.desk.submit(asker, move |state, moment| {
        let known = state.sites.get(&name).ok_or_else(|| Problem::not_found("site", &name))?;
        conditions::check(&headers, current_tag(state, &name).as_deref())?;
        let Some(document) = version(known, back.version)?.document.clone() else {
            return Err(Problem::invalid("with that version the site was removed"));
        };
        let site = checked(&name, &document)?;
        put(state, moment, &site, name, document)
    });
    Ok(reply.await?.into_response())
}

fn find<'s>(state: &'s State, caller: &Caller, name: &str) -> Result<&'s Site, Problem> {
    may_see(caller, name)?;
    let site = state.sites.get(name).filter(|site| !site.versions.is_empty());
    site.map(|site| &**site).ok_or_else(|| Problem::not_found("site", name))
}

fn version(site: &Site, number: u64) -> Result<&Version, Problem> {
    let found = site.versions.iter().find(|version| version.version == number);
    found
        .map(|version| &**version)
        .ok_or_else(|| Problem::not_found("version", &number.to_string()))
}

fn changes(from: &Value, to: &Value) -> Vec<KeyChange> {
    let empty = serde_json::Map::new();
    let [before, after] = [from, to].map(|value| value.as_object().unwrap_or(&empty));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let side =
        |map: &serde_json::Map<String, Value>, key| map.get(key).cloned().unwrap_or(Value::Null);
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| KeyChange { key: key.clone(), from: side(before, key), to: side(after, key) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_key_that_is_different_is_named_with_both_values() {
        let found = changes(&json!({"a": 1, "b": 2, "c": 3}), &json!({"b": 2, "c": 4, "d": 5}));
        let one = |key: &str, from, to| KeyChange { key: key.to_owned(), from, to };
        let expected = [
            one("a", json!(1), Value::Null),
            one("c", json!(3), json!(4)),
            one("d", Value::Null, json!(5)),
        ];
        assert_eq!(found, expected);
    }
}
