//! Sites: what a name serves, and by which rules.
//!
//! A document holds the keys of a `[[site]]` table of a node's file, but for `name` and those that
//! name files; it is read by the same code as nodes read it, so it is valid here if it is there.

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use selvedge_config as config;
use serde::Serialize;
use serde_json::{Value, json};

use super::bodies::{self, reply};
use super::caller::Caller;
use super::pages::{Items, Page, page};
use super::unique::Unique;
use super::{App, conditions};
use crate::desk::{Decision, Moment, Reply};
use crate::problem::{Kind, Problem, ProblemBody};
use crate::state::record::{Deed, Scope};
use crate::state::{State, Version};
use axum::response::IntoResponse;

/// Bytes of a document at most.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// A site in a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SiteLine {
    /// Its name.
    name: String,
    /// The version it has now.
    version: u64,
    /// The revision that made it so.
    revision: u64,
    /// Its entity tag, for `If-Match`.
    etag: String,
    /// When it was put, in milliseconds since 1970.
    updated_ms: i64,
    /// The hosts it answers for.
    hosts: Vec<String>,
    /// Pushed objects.
    objects: usize,
}

/// A site at one version.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SiteBody {
    /// Its name.
    name: String,
    /// The version.
    version: u64,
    /// The revision that made it.
    revision: u64,
    /// When it was put, in milliseconds since 1970.
    updated_ms: i64,
    /// The token that put it.
    by: String,
    /// The keys of its `[[site]]` table.
    #[schema(value_type = Object)]
    document: Value,
}

impl SiteBody {
    pub(crate) fn new(name: &str, version: &Version) -> Self {
        Self {
            name: name.to_owned(),
            version: version.version,
            revision: version.revision,
            updated_ms: version.at_ms,
            by: version.by.clone(),
            document: version.document.clone().unwrap_or(Value::Null),
        }
    }
}

/// The entity tag of a version of a site.
pub(crate) fn etag(version: u64) -> String {
    format!("\"v{version}\"")
}

/// The sites.
///
/// By name; those that the token may see.
#[utoipa::path(get, path = "/v1/sites", tag = "sites", params(Page), responses(
    (status = 200, body = Items<SiteLine>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<SiteLine>>, Problem> {
    caller.may_read()?;
    let limit = asked.limit()?;
    let state = app.desk.state();
    let after = asked.after.unwrap_or_default();
    let sites =
        state.live_sites().filter(|(name, ..)| name.as_str() > after.as_str() && caller.sees(name));
    let items = page(
        sites,
        limit,
        |(name, ..)| (*name).clone(),
        |(name, site, version, document)| SiteLine {
            name: name.clone(),
            version: version.version,
            revision: version.revision,
            etag: etag(version.version),
            updated_ms: version.at_ms,
            hosts: hosts(document).map(str::to_owned).collect(),
            objects: site.objects.len(),
        },
    );
    Ok(axum::Json(items))
}

/// Add a site.
///
/// The body is its document with its `name` beside the other keys.
#[utoipa::path(post, path = "/v1/sites", tag = "sites", request_body = Object, responses(
    (status = 201, body = SiteBody, description = "Added; `Location` and `ETag` name it"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(
    Ext(app): Ext<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (Unique(mut document), bytes) = bodies::json(&headers, body).await?;
    let name = document.as_object_mut().and_then(|keys| keys.remove("name"));
    let Some(Value::String(name)) = name else {
        return Err(Problem::invalid("the body must be an object with a `name`"));
    };
    caller.may(Scope::Config, Some(&name))?;
    let site = checked(&name, &document)?;
    let asker = caller.asker(&bytes);
    let reply = app.desk.submit(asker, move |state, moment| {
        if state.site(&name).is_some() {
            let detail = format!("the site {name:?} is there already");
            return Err(Problem::new(Kind::Conflict, detail));
        }
        put(state, moment, &site, name, document)
    });
    Ok(reply.await?.into_response())
}

/// A site as it is now.
#[utoipa::path(get, path = "/v1/sites/{site}", tag = "sites",
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = SiteBody, description = "`ETag` is its version"),
    (status = 304, description = "It is the version of `If-None-Match`"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    may_see(&caller, &name)?;
    let state = app.desk.state();
    let site = state.site(&name).and_then(|site| site.current());
    let (version, _) = site.ok_or_else(|| Problem::not_found("site", &name))?;
    let tag = etag(version.version);
    if conditions::is_not_modified(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], axum::Json(SiteBody::new(&name, version))).into_response())
}

/// Put a site.
///
/// The body is the whole document: JSON, or with `Content-Type: application/toml` the text of the
/// keys. `If-Match` refuses to overwrite another version, `If-None-Match: *` to overwrite any.
#[utoipa::path(put, path = "/v1/sites/{site}", tag = "sites", request_body = Object,
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = SiteBody, description = "Replaced, or so already"),
    (status = 201, body = SiteBody, description = "Added"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn replace(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Config, Some(&name))?;
    let (document, bytes) = document(&name, &headers, body).await?;
    let site = checked(&name, &document)?;
    let asker = caller.asker(&bytes);
    let reply = app.desk.submit(asker, move |state, moment| {
        conditions::check(&headers, current_tag(state, &name).as_deref())?;
        put(state, moment, &site, name, document)
    });
    Ok(reply.await?.into_response())
}

/// Change some keys of a site.
///
/// A merge patch (RFC 7396): keys in the body replace those of the document, null removes one.
#[utoipa::path(patch, path = "/v1/sites/{site}", tag = "sites",
    request_body(content = Object, content_type = "application/merge-patch+json"),
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = SiteBody, description = "Changed, or so already"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn patch(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Config, Some(&name))?;
    let (Unique(patch), bytes) = bodies::json(&headers, body).await?;
    if !patch.is_object() {
        return Err(Problem::invalid("a patch is an object of keys"));
    }
    let asker = caller.asker(&bytes);
    let reply = app.desk.submit(asker, move |state, moment| {
        let current = state.site(&name).and_then(|site| site.current());
        let (_, old) = current.ok_or_else(|| Problem::not_found("site", &name))?;
        conditions::check(&headers, current_tag(state, &name).as_deref())?;
        let mut document = old.clone();
        merge(&mut document, &patch);
        let site = checked(&name, &document)?;
        put(state, moment, &site, name, document)
    });
    Ok(reply.await?.into_response())
}

/// Remove a site.
///
/// With everything that was pushed to it, and what nodes have stored of it. Its versions are kept:
/// a roll back brings the site back, without its objects.
#[utoipa::path(delete, path = "/v1/sites/{site}", tag = "sites",
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = super::Revised, description = "Removed"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Config, Some(&name))?;
    let asker = caller.asker(b"");
    let reply = app.desk.submit(asker, move |state, moment| {
        state.site(&name).ok_or_else(|| Problem::not_found("site", &name))?;
        conditions::check(&headers, current_tag(state, &name).as_deref())?;
        let answer = reply(StatusCode::OK, &super::Revised { revision: moment.revision });
        Ok(Decision::Do(Deed::SiteRemoved { name }, answer))
    });
    Ok(reply.await?.into_response())
}

/// Who may see this site, whether it is there or not.
pub(crate) fn may_see(caller: &Caller, name: &str) -> Result<(), Problem> {
    caller.may_read()?;
    if caller.sees(name) {
        return Ok(());
    }
    Err(Problem::new(Kind::Forbidden, format!("the token is not for site {name:?}")))
}

/// The entity tag of a site as it is now.
pub(crate) fn current_tag(state: &State, name: &str) -> Option<String> {
    let (version, _) = state.site(name)?.current()?;
    Some(etag(version.version))
}

/// The document in a body.
async fn document(
    name: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Value, bytes::Bytes), Problem> {
    if bodies::media_type(headers).as_deref() != Some("application/toml") {
        let (Unique(mut document), bytes) = bodies::json(headers, body).await?;
        if let Some(keys) = document.as_object_mut()
            && keys.remove("name").is_some_and(|own| own != name)
        {
            return Err(Problem::invalid("the `name` in the body is another one"));
        }
        return Ok((document, bytes));
    }
    let bytes = bodies::whole(body, DOCUMENT_BYTES_MAX).await?;
    let text = str::from_utf8(&bytes).map_err(|_| Problem::invalid("the body is not UTF-8"))?;
    let document = config::site_from_toml(name, text).map_err(|faults| invalid_site(&faults))?;
    Ok((document, bytes))
}

/// The site that a document describes, or all that is wrong with it.
pub(crate) fn checked(name: &str, document: &Value) -> Result<config::Site, Problem> {
    let bytes = document.to_string().len();
    if bytes > DOCUMENT_BYTES_MAX {
        let detail = format!("the document has {bytes} bytes, {DOCUMENT_BYTES_MAX} may be");
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    config::site_from_json(name, document).map_err(|faults| invalid_site(&faults))
}

fn invalid_site(faults: &config::Faults) -> Problem {
    let mut problem = Problem::new(Kind::InvalidSite, "the site is not valid, see `faults`");
    problem.faults = faults.list.iter().map(ToString::to_string).collect();
    problem
}

/// Decides about a site that is to be so, once its conditions hold.
pub(crate) fn put(
    state: &State,
    moment: Moment<'_>,
    site: &config::Site,
    name: String,
    document: Value,
) -> Result<Decision, Problem> {
    no_other_has_its_hosts(state, &name, site)?;
    let known = state.sites.get(&name);
    let current = known.and_then(|site| site.current());
    if let Some((version, same)) = current
        && *same == document
    {
        return Ok(Decision::Nothing(answer(StatusCode::OK, &SiteBody::new(&name, version))));
    }
    let status = if current.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let body = SiteBody {
        version: known.map_or(0, |site| site.last_version()) + 1,
        revision: moment.revision,
        updated_ms: moment.now_ms,
        by: moment.by.to_owned(),
        document: document.clone(),
        name: name.clone(),
    };
    Ok(Decision::Do(Deed::SitePut { name, document }, answer(status, &body)))
}

fn answer(status: StatusCode, body: &SiteBody) -> Reply {
    let mut answer = reply(status, body);
    answer.fields.push(("etag".to_owned(), etag(body.version)));
    if status == StatusCode::CREATED {
        answer.fields.push(("location".to_owned(), format!("/v1/sites/{}", body.name)));
    }
    answer
}

fn no_other_has_its_hosts(state: &State, name: &str, site: &config::Site) -> Result<(), Problem> {
    let mut faults = Vec::new();
    for (other, _, _, document) in state.live_sites().filter(|(other, ..)| *other != name) {
        let is_own = |host: &&str| {
            config::HostPattern::parse(host).is_ok_and(|host| site.hosts.contains(&host))
        };
        let taken = hosts(document).filter(is_own);
        faults.extend(taken.map(|host| format!("hosts: {host} belongs to the site {other}")));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::new(Kind::Conflict, "another site has these hosts, see `faults`");
    problem.faults = faults;
    Err(problem)
}

/// The hosts in a document.
pub(crate) fn hosts(document: &Value) -> impl Iterator<Item = &str> {
    document["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Applies a merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(keys) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            keys.remove(key);
        } else {
            merge(keys.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_merged_as_the_rfc_has_it() {
        // RFC 7396, appendix A.
        for (target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut found = target.clone();
            merge(&mut found, &patch);
            assert_eq!(found, merged, "{target} {patch}");
        }
    }
}
