//! Tokens: who may do what. Made here, shown once, kept as digests.

use axum::body::Body;
use axum::extract::{Path, Query, State as Ext};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::bodies::{self, reply};
use super::caller::{Caller, Prefix};
use super::pages::{Items, Page, page};
use super::{App, Revised, span_ms};
use crate::desk::Decision;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::random;
use crate::state::State;
use crate::state::record::{Deed, Scope, Token, TokenKind};

/// Tokens there may be.
const TOKENS_MAX: usize = 10_000;

/// A token to be made.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is for, for people: 1 to 64 characters.
    name: String,
    /// What it may be used for.
    scopes: Vec<Scope>,
    /// The sites it is limited to; all if not given.
    sites: Option<Vec<String>>,
    /// After which time it is worth nothing, such as `30d`; never if not given.
    expires: Option<String>,
}

/// A token, without its secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TokenLine {
    /// Its id.
    id: String,
    /// What it is for.
    name: String,
    /// `api`, or `join` for nodes that want to join.
    kind: &'static str,
    /// What it may be used for.
    scopes: Vec<Scope>,
    /// The sites it is limited to.
    sites: Option<Vec<String>>,
    /// How many nodes may still join with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    uses_left: Option<u32>,
    /// When it was made, in milliseconds since 1970.
    created_ms: i64,
    /// When it ends.
    expires_ms: Option<i64>,
}

/// A token that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    line: TokenLine,
    /// The token itself. It is shown this once.
    token: String,
    /// The revision that made it.
    revision: u64,
}

impl TokenLine {
    fn new(token: &Token) -> Self {
        let (kind, scopes, sites, uses_left) = match &token.kind {
            TokenKind::Api { scopes, sites } => ("api", scopes.clone(), sites.clone(), None),
            TokenKind::Join { uses_left } => ("join", Vec::new(), None, Some(*uses_left)),
        };
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            kind,
            scopes,
            sites,
            uses_left,
            created_ms: token.created_ms,
            expires_ms: token.expires_ms,
        }
    }
}

/// The tokens.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(Page), responses(
    (status = 200, body = Items<TokenLine>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Ext(app): Ext<App>,
    caller: Caller,
    Query(asked): Query<Page>,
) -> Result<axum::Json<Items<TokenLine>>, Problem> {
    caller.may(Scope::Admin, None)?;
    let (limit, after) = (asked.limit()?, asked.after.unwrap_or_default());
    let state = app.desk.state();
    let tokens = state.tokens.iter().filter(|(id, _)| **id > after);
    let items = page(tokens, limit, |(id, _)| (*id).clone(), |(_, token)| TokenLine::new(token));
    Ok(axum::Json(items))
}

/// Make a token.
///
/// A request that comes again with its Idempotency-Key is refused: the secret is shown once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = NewToken, responses(
    (status = 201, body = MadeToken),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(
    Ext(app): Ext<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Admin, None)?;
    let (new, bytes): (NewToken, _) = bodies::json(&headers, body).await?;
    if new.scopes.is_empty() {
        return Err(Problem::invalid("`scopes` is empty: such a token could do nothing"));
    }
    if new.scopes.contains(&Scope::Admin) && new.sites.is_some() {
        return Err(Problem::invalid("the scope admin cannot be limited to sites"));
    }
    let mut scopes = new.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let kind = TokenKind::Api { scopes, sites: new.sites };
    let expires = new.expires.as_deref();
    make(&app, &caller, &bytes, NewSecret { name: new.name, kind, expires, prefix: Prefix::Api })
        .await
}

/// A token.
#[utoipa::path(get, path = "/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The id of the token")), responses(
    (status = 200, body = TokenLine),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<TokenLine>, Problem> {
    caller.may(Scope::Admin, None)?;
    let state = app.desk.state();
    let token = state.tokens.get(&id).ok_or_else(|| Problem::not_found("token", &id))?;
    Ok(axum::Json(TokenLine::new(token)))
}

/// Revoke a token.
///
/// It is worth nothing from then on.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The id of the token")), responses(
    (status = 200, body = Revised),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Scope::Admin, None)?;
    let asker = caller.asker(b"");
    let done = app.desk.submit(asker, move |state, moment| {
        state.tokens.get(&id).ok_or_else(|| Problem::not_found("token", &id))?;
        if is_last_admin(state, &id) {
            let detail = "it is the last token with the scope admin: make another one first";
            return Err(Problem::new(Kind::Conflict, detail));
        }
        let answer = reply(StatusCode::OK, &Revised { revision: moment.revision });
        Ok(Decision::Do(Deed::TokenRevoked { id }, answer))
    });
    Ok(done.await?.into_response())
}

/// Whether nobody could change anything about tokens without this one.
fn is_last_admin(state: &State, id: &str) -> bool {
    let is_admin = |token: &Token| match &token.kind {
        TokenKind::Api { scopes, .. } => scopes.contains(&Scope::Admin),
        TokenKind::Join { .. } => false,
    };
    let is = state.tokens.get(id).is_some_and(|token| is_admin(token));
    let lasts = |token: &Token| is_admin(token) && token.expires_ms.is_none();
    is && !state.tokens.iter().any(|(other, token)| other != id && lasts(token))
}

/// A secret to be made.
pub(crate) struct NewSecret<'a> {
    pub(crate) name: String,
    pub(crate) kind: TokenKind,
    pub(crate) expires: Option<&'a str>,
    pub(crate) prefix: Prefix,
}

/// Makes a token. Its secret is in the answer and nowhere else, so the answer is not remembered.
pub(crate) async fn make(
    app: &App,
    caller: &Caller,
    asked: &[u8],
    new: NewSecret<'_>,
) -> Result<Response, Problem> {
    let fits = (1..=64).contains(&new.name.chars().count());
    if !fits || new.name.chars().any(char::is_control) {
        return Err(Problem::invalid("`name` must have 1 to 64 characters, none of control"));
    }
    let expires_ms = new.expires.map(|text| span_ms("expires", text)).transpose()?;
    let id = random::hex::<8>();
    let (token, secret) = new.prefix.token(&id);
    let (name, kind) = (new.name, new.kind);
    let shown = token.clone();
    let made = app.desk.submit(caller.asker(asked), move |state, moment| {
        if state.tokens.len() >= TOKENS_MAX {
            return Err(Problem::new(Kind::Conflict, "there are too many tokens: revoke some"));
        }
        let token = Token {
            id,
            name,
            secret,
            kind,
            created_ms: moment.now_ms,
            expires_ms: expires_ms.map(|span| moment.now_ms.saturating_add(span)),
        };
        let line = TokenLine::new(&token);
        // What is remembered for a request that comes again has no secret in it.
        let answer = reply(StatusCode::CREATED, &(line, moment.revision));
        Ok(Decision::Do(Deed::TokenCreated { token }, answer))
    });
    with_secret(&made.await?.body, shown)
}

/// The answer with the secret in it, unless the request came before: then nobody knows it.
fn with_secret(made: &str, token: String) -> Result<Response, Problem> {
    let wrong = |error| Problem::new(Kind::Internal, format!("{error}"));
    let (line, revision): (serde_json::Value, u64) = serde_json::from_str(made).map_err(wrong)?;
    let id = line["id"].as_str().unwrap_or_default();
    if token.split('_').nth(1) != Some(id) {
        let detail = format!(
            "token {id} was made by this request before, and shown then: revoke \
                              it and make another one"
        );
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let mut body = line;
    body["token"] = token.into();
    body["revision"] = revision.into();
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}
