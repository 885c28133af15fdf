//! What can be wrong with a request, as problem+json (RFC 9457). The type is a stable word.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::log::LogError;

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
    /// Each thing that is wrong, where there can be several.
    pub(crate) faults: Vec<String>,
    /// What is missing, where the client can bring it.
    pub(crate) missing: Vec<String>,
}

/// The body of a problem.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct ProblemBody {
    /// `/problems/WORD`; the word is stable.
    pub(crate) r#type: String,
    /// The same for all problems of this type.
    pub(crate) title: String,
    /// The status of the response.
    pub(crate) status: u16,
    /// What is wrong with this request.
    pub(crate) detail: String,
    /// Each thing that is wrong, where there can be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<String>,
    /// What must be brought first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<String>,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Invalid,
    InvalidSite,
    Unsupported,
    Conflict,
    PreconditionFailed,
    KeyReused,
    TooLarge,
    DigestMismatch,
    Quota,
    Missing,
    OffsetMismatch,
    RangeNotSatisfiable,
    Incomplete,
    StorageFull,
    TooMany,
    Unavailable,
    Internal,
}

impl Kind {
    /// Every kind, for the reference.
    pub(crate) const ALL: [Self; 21] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Invalid,
        Self::InvalidSite,
        Self::Unsupported,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::KeyReused,
        Self::TooLarge,
        Self::DigestMismatch,
        Self::Quota,
        Self::Missing,
        Self::OffsetMismatch,
        Self::RangeNotSatisfiable,
        Self::Incomplete,
        Self::StorageFull,
        Self::TooMany,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Status, stable word, and what it means.
    pub(crate) const fn row(self) -> (StatusCode, &'static str, &'static str) {
        let (status, word) = self.word();
        (status, word, self.title())
    }

    const fn word(self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
            Self::InvalidSite => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-site"),
            Self::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition-failed"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::DigestMismatch => (StatusCode::BAD_REQUEST, "digest-mismatch"),
            Self::Quota => (StatusCode::FORBIDDEN, "quota-exceeded"),
            Self::Missing => (StatusCode::CONFLICT, "missing-blobs"),
            Self::OffsetMismatch => (StatusCode::CONFLICT, "offset-mismatch"),
            Self::RangeNotSatisfiable => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable")
            }
            Self::Incomplete => (StatusCode::BAD_REQUEST, "incomplete"),
            Self::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage-full"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Unauthorized => "No valid token was brought.",
            Self::Forbidden => "The token does not allow this.",
            Self::NotFound => "There is no such thing.",
            Self::MethodNotAllowed => "This cannot be done to that.",
            Self::Invalid => "The request is not valid.",
            Self::InvalidSite => "The site is not valid.",
            Self::Unsupported => "The body is of a type that is not taken here.",
            Self::Conflict => "It does not go with what is there.",
            Self::PreconditionFailed => "It is not what the request was made for any more.",
            Self::KeyReused => "The same Idempotency-Key came with another request before.",
            Self::TooLarge => "The body is larger than allowed.",
            Self::DigestMismatch => "The body does not have the digest that was announced.",
            Self::Quota => "More would be stored than may be.",
            Self::Missing => "Bodies must be uploaded before.",
            Self::OffsetMismatch => "The upload does not go on from where it is.",
            Self::RangeNotSatisfiable => "The range is not within the object.",
            Self::Incomplete => "The body did not arrive whole.",
            Self::StorageFull => "There is no room left to store this.",
            Self::TooMany => "Too much at once.",
            Self::Unavailable => "This cannot be done now.",
            Self::Internal => "Something is wrong here.",
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), faults: Vec::new(), missing: Vec::new() }
    }

    pub(crate) fn not_found(what: &str, name: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {name:?}"))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    /// The answer with another status than that of its kind.
    pub(crate) fn answer_as(self, status: StatusCode) -> Response {
        let body = ProblemBody { status: status.as_u16(), ..self.body() };
        self.answer(status, &body)
    }

    fn answer(&self, status: StatusCode, body: &ProblemBody) -> Response {
        if self.kind == Kind::Internal {
            tracing::error!(detail = %self.detail, "a request failed");
        }
        let text = serde_json::to_string(body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        let also: Option<(HeaderName, &str)> = match self.kind {
            Kind::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Kind::TooMany | Kind::Unavailable => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = also {
            fields.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    pub(crate) fn body(&self) -> ProblemBody {
        let (status, word, title) = self.kind.row();
        ProblemBody {
            r#type: format!("/problems/{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            faults: self.faults.clone(),
            missing: self.missing.clone(),
        }
    }
}

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.answer(self.kind.row().0, &self.body())
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        let kind = match error {
            LogError::Full => Kind::StorageFull,
            LogError::InUse | LogError::Broken(_) => Kind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_body_says_the_status_of_the_answer() {
        let answer = Problem::invalid("no").answer_as(StatusCode::EXPECTATION_FAILED);
        assert_eq!(answer.status(), StatusCode::EXPECTATION_FAILED);
        let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a body");
        let body: ProblemBody = serde_json::from_slice(&body).expect("a problem");
        assert_eq!((body.status, body.r#type.as_str()), (417, "/problems/invalid"));
    }
}
