//! Why a verb of the client could not do what it was asked, and the exit code that says so
//! (sysexits.h, so that a script can tell a wrong token from a control that is down).

use http::StatusCode;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// What kind of trouble it is: a kind is an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was done, or looked at, and is not what it should be.
    Wrong,
    /// Bad usage, or something in a request that control does not take.
    Usage,
    /// A site, node, file or the like that is not there.
    NotFound,
    /// Control cannot be reached, or its storage is full.
    Unavailable,
    /// A bug of ours, here or at control.
    Bug,
    /// Not now: too many requests, a time limit, a control that is starting.
    TryAgain,
    /// The token is missing, wrong or not allowed to.
    Denied,
}

impl Kind {
    const fn exit_code(self) -> u8 {
        match self {
            Self::Wrong => 1,
            Self::Usage => 64,
            Self::NotFound => 66,
            Self::Unavailable => 69,
            Self::Bug => 70,
            Self::TryAgain => 75,
            Self::Denied => 77,
        }
    }
}

/// Why a verb failed.
#[derive(Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    text: String,
    /// What control said of it.
    status: Option<StatusCode>,
    problem: Option<Value>,
    /// When control says to come back.
    after: Option<Duration>,
    /// The connection broke: it is not known whether the request was done.
    is_broken: bool,
}

impl Fault {
    /// A fault of a kind, and what to tell the operator.
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self(Box::new(Inner {
            kind,
            text,
            status: None,
            problem: None,
            after: None,
            is_broken: false,
        }))
    }

    /// Bad usage.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Kind::Usage, text)
    }

    /// Not what it should be.
    pub(crate) fn wrong(text: impl Into<String>) -> Self {
        Self::new(Kind::Wrong, text)
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Usage,
        };
        Self::new(kind, format!("{}: {error}", path.display()))
    }

    /// The connection broke before there was an answer.
    pub(super) fn broken(text: String) -> Self {
        let mut fault = Self::new(Kind::Unavailable, text);
        fault.0.is_broken = true;
        fault
    }

    /// What an answer that is not 2xx means. Problem details (RFC 9457) are shown as they are.
    pub(super) fn of_answer(status: StatusCode, body: &[u8], after: Option<Duration>) -> Self {
        let problem = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
        let text = problem.as_ref().and_then(problem_text);
        let text = text.unwrap_or_else(|| format!("control answered {status}"));
        let word = problem.as_ref().and_then(|problem| problem.get("type")?.as_str());
        let is_full = word.is_some_and(|word| word.ends_with("/quota-exceeded"));
        let kind = if is_full { Kind::Unavailable } else { kind_of(status) };
        let mut fault = Self::new(kind, text);
        fault.0.status = Some(status);
        fault.0.problem = problem;
        fault.0.after = after;
        fault
    }

    /// Its exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.0.kind.exit_code()
    }

    /// The status that control answered with.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// A member of the problem details.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.0.problem.as_ref()?.get(name)
    }

    /// When control says to come back.
    pub(super) fn after(&self) -> Option<Duration> {
        self.0.after
    }

    /// Whether the connection broke before there was an answer.
    pub(super) fn is_broken(&self) -> bool {
        self.0.is_broken
    }

    /// The same with something more to say.
    pub(super) fn with_hint(mut self, hint: &str) -> Self {
        self.0.text.push('\n');
        self.0.text.push_str(hint);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

fn kind_of(status: StatusCode) -> Kind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
        StatusCode::NOT_FOUND | StatusCode::GONE => Kind::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Kind::Wrong,
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Kind::TryAgain,
        StatusCode::INSUFFICIENT_STORAGE | StatusCode::BAD_GATEWAY => Kind::Unavailable,
        status if status.is_server_error() => Kind::Bug,
        _ => Kind::Usage,
    }
}

/// `title: detail`, and a line for each fault.
fn problem_text(problem: &Value) -> Option<String> {
    let part = |name: &str| problem.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    let mut text = match (part("title"), part("detail")) {
        (Some(title), Some(detail)) => format!("{}: {detail}", title.trim_end_matches('.')),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => return None,
    };
    let faults = problem.get("faults").and_then(Value::as_array);
    for fault in faults.into_iter().flatten() {
        let fault = fault.as_str().map_or_else(|| fault.to_string(), str::to_owned);
        text.push_str("\n  ");
        text.push_str(&fault);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_exit_code_that_scripts_expect() {
        let codes = [
            (400, 64),
            (401, 77),
            (403, 77),
            (404, 66),
            (409, 1),
            (412, 1),
            (413, 64),
            (422, 64),
            (429, 75),
            (500, 70),
            (503, 75),
            (507, 69),
        ];
        for (status, code) in codes {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Fault::of_answer(status, b"", None).exit_code(), code, "{status}");
        }
    }

    #[test]
    fn problem_details_are_shown_with_every_fault() {
        let body = br#"{"title": "Invalid site.", "detail": "2 faults",
                        "faults": ["hosts: missing", "ttl_default: no unit"]}"#;
        let fault = Fault::of_answer(StatusCode::UNPROCESSABLE_ENTITY, body, None);
        let text = "Invalid site: 2 faults\n  hosts: missing\n  ttl_default: no unit";
        assert_eq!(fault.to_string(), text);
        let body = br#"{"type": "/problems/quota-exceeded", "title": "Full"}"#;
        let fault = Fault::of_answer(StatusCode::FORBIDDEN, body, None);
        assert_eq!(fault.exit_code(), 69, "the token is not to blame");
        let fault = Fault::of_answer(StatusCode::BAD_REQUEST, b"<html>", None);
        assert_eq!(fault.to_string(), "control answered 400 Bad Request");
    }
}
