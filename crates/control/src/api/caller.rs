//! Who calls, and what they may do.
//!
//! A token is `sv_ID_SECRET`, a node's `svn_NAME_SECRET`, one to join with `svj_ID_SECRET`. Only
//! the SHA-256 of a secret is stored; secrets are random, so that needs no slow hash. They are
//! compared in constant time, and a token nobody knows takes as long as a wrong secret.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use subtle::ConstantTimeEq;

use super::App;
use super::door::Arrival;
use crate::desk::Asker;
use crate::problem::{Kind, Problem};
use crate::random;
use crate::state::State;
use crate::state::digest::{Digest, Hasher};
use crate::state::proof::Proof;
use crate::state::record::{Scope, Token, TokenKind};

/// Fields that change what a request asks for.
const ASKS: &[&str] =
    &["if-match", "if-none-match", "content-type", "soft-purge", "fastly-soft-purge"];
/// Bytes of an Idempotency-Key at most.
const KEY_BYTES_MAX: usize = 255;

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    proof: Proof,
    arrival: Arrival,
    key: Option<String>,
    line: String,
}

/// Whose token it is.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// Somebody who uses the API.
    Api(Arc<Token>),
    /// A node, by its name.
    Node(String),
    /// A node that wants to join.
    Join(Arc<Token>),
}

/// The three kinds of tokens, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Api,
    Node,
    Join,
}

impl Prefix {
    const fn word(self) -> &'static str {
        match self {
            Self::Api => "sv",
            Self::Node => "svn",
            Self::Join => "svj",
        }
    }

    /// A new token: its text, and what is stored of its secret.
    pub(crate) fn token(self, id: &str) -> (String, Digest) {
        let secret = random::hex::<32>();
        let digest = Digest::of(secret.as_bytes());
        (format!("{}_{id}_{secret}", self.word()), digest)
    }
}

impl Caller {
    /// Finds out who calls from the fields of a request.
    pub(crate) fn of(state: &State, parts: &Parts, now_ms: i64) -> Result<Self, Problem> {
        let unauthorized = |detail| Problem::new(Kind::Unauthorized, detail);
        let arrival = parts.extensions.get::<Arrival>().cloned();
        let arrival = arrival.ok_or_else(|| Problem::new(Kind::Internal, "no arrival"))?;
        let token = bearer(&parts.headers)
            .ok_or_else(|| unauthorized("bring a token: `Authorization: Bearer TOKEN`"))?;
        let (who, proof) = find(state, token, now_ms)
            .ok_or_else(|| unauthorized("the token is unknown, expired or revoked"))?;
        let key = parts.headers.get("idempotency-key").map(|value| {
            let text = value.to_str().unwrap_or_default().trim();
            let fits = (1..=KEY_BYTES_MAX).contains(&text.len());
            let wrong = || Problem::invalid("Idempotency-Key must be 1 to 255 visible characters");
            if fits { Ok(text.to_owned()) } else { Err(wrong()) }
        });
        let mut line = format!("{} {}", parts.method, parts.uri);
        for name in ASKS {
            for value in parts.headers.get_all(*name) {
                line.push_str(&format!("\n{name}: {:?}", value.as_bytes()));
            }
        }
        Ok(Self { who, proof, arrival, key: key.transpose()?, line })
    }

    /// Whether the caller may do this, on this site if it is about one.
    pub(crate) fn may(&self, scope: Scope, site: Option<&str>) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::new(Kind::Forbidden, detail));
        let Who::Api(token) = &self.who else {
            return refused("the token of a node is for nodes only".to_owned());
        };
        let TokenKind::Api { scopes, sites } = &token.kind else {
            return refused("the token is for joining only".to_owned());
        };
        let has = |scope| scopes.contains(&scope);
        if !has(scope) && !has(Scope::Admin) {
            return refused(format!("the token lacks the scope {}", word(scope)));
        }
        match (sites, site) {
            (None, _) => Ok(()),
            (Some(sites), Some(site)) if sites.iter().any(|own| own == site) => Ok(()),
            (Some(_), Some(site)) => refused(format!("the token is not for site {site:?}")),
            (Some(_), None) => refused("the token is limited to sites, and this is not".to_owned()),
        }
    }

    /// The sites the caller is limited to, for lists.
    pub(crate) fn sees(&self, site: &str) -> bool {
        match &self.who {
            Who::Api(token) => match &token.kind {
                TokenKind::Api { sites: Some(sites), .. } => sites.iter().any(|own| own == site),
                _ => true,
            },
            Who::Node(_) | Who::Join(_) => false,
        }
    }

    /// Whether the caller may see things of its sites.
    pub(crate) fn may_read(&self) -> Result<(), Problem> {
        match &self.who {
            Who::Api(token) => match &token.kind {
                TokenKind::Api { scopes, .. } if scopes.is_empty() => {
                    Err(Problem::new(Kind::Forbidden, "the token has no scope"))
                }
                _ => Ok(()),
            },
            _ => self.may(Scope::Read, None),
        }
    }

    /// Whether the token is still what it was when the request came: a body takes its time.
    pub(crate) fn must_still_hold(&self, app: &App) -> Result<(), Problem> {
        if self.proof.holds(&app.desk.state(), app.clock.now_wall_ms()) {
            return Ok(());
        }
        Err(Problem::new(Kind::Unauthorized, "the token was revoked or has ended meanwhile"))
    }

    /// The node that calls, which must be this one.
    pub(crate) fn must_be_node(&self, name: &str) -> Result<(), Problem> {
        match &self.who {
            Who::Node(own) if own == name => Ok(()),
            _ => Err(Problem::new(Kind::Forbidden, format!("only node {name:?} may do this"))),
        }
    }

    /// Whoever asks for a change, for the log. `asked` is what was asked for beside the line of the
    /// request: its body, or a digest of it.
    pub(crate) fn asker(&self, asked: &[u8]) -> Asker {
        let by = match &self.who {
            Who::Api(token) => format!("{} ({})", token.id, token.name),
            Who::Join(token) => format!("{} (join)", token.id),
            Who::Node(name) => format!("node {name}"),
        };
        let once = self.key.as_ref().map(|key| {
            let mut hasher = Hasher::new();
            hasher.update(self.line.as_bytes());
            hasher.update(b"\n");
            hasher.update(asked);
            (format!("{by} {key}"), hasher.finish())
        });
        Asker {
            by,
            from: self.arrival.from.to_string(),
            request_id: self.arrival.request_id.clone(),
            proof: Some(self.proof.clone()),
            once,
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Self::of(&app.desk.state(), parts, app.clock.now_wall_ms())?;
        let is_safe = matches!(parts.method, Method::GET | Method::HEAD);
        if is_safe && let Who::Join(_) = caller.who {
            return Err(Problem::new(Kind::Forbidden, "the token is for joining only"));
        }
        Ok(caller)
    }
}

const fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Config => "config",
        Scope::Purge => "purge",
        Scope::Push => "push",
        Scope::Node => "node",
        Scope::Admin => "admin",
    }
}

/// The token in the fields (RFC 6750 2.1); Fastly's clients bring it in a field of its own.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get("fastly-key") {
        return token.to_str().ok();
    }
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whose token it is, if it is one.
fn find(state: &State, text: &str, now_ms: i64) -> Option<(Who, Proof)> {
    let (prefix, rest) = text.split_once('_')?;
    let (id, secret) = rest.rsplit_once('_')?;
    let brought = Digest::of(secret.as_bytes());
    let is = |known: Option<&Digest>| {
        // Compared even where there is nothing to compare with.
        let known = known.copied().unwrap_or(Digest([0; 32]));
        bool::from(known.0.ct_eq(&brought.0))
    };
    if prefix == Prefix::Node.word() {
        let node = state.nodes.get(id);
        let matches = is(node.map(|node| &node.secret));
        let node = node.filter(|_| matches)?;
        let name = node.member.name.clone();
        return Some((Who::Node(name.clone()), Proof::Node { name, secret: brought }));
    }
    let token = state.tokens.get(id);
    let matches = is(token.map(|token| &token.secret));
    let token = token.filter(|_| matches)?;
    if token.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return None;
    }
    let who = match token.kind {
        TokenKind::Api { .. } if prefix == Prefix::Api.word() => Who::Api(Arc::clone(token)),
        TokenKind::Join { .. } if prefix == Prefix::Join.word() => Who::Join(Arc::clone(token)),
        _ => return None,
    };
    Some((who, Proof::Token { id: token.id.clone(), secret: brought }))
}
