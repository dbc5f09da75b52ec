//! Every way a request can fail, and the one table from fault to status and words.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tracing::{error, warn};

use super::words::Words;
use super::{Answer, Asked, Peer, json, page, see_other};
use crate::store::{self, Failure};
use crate::vault::Closed;

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no such thing, or it is somebody else's: the two look alike.
    #[error("not found")]
    NotFound,
    /// The route is there, the method is not; the methods that are.
    #[error("method not allowed")]
    Method(&'static str),
    /// It is the caller's, but the role or scope is missing: error word and what is missing.
    #[error("forbidden: {0}: {1}")]
    Forbidden(&'static str, String),
    /// No bearer token, or (`true`) one that is not good (RFC 6750 section 3.1).
    #[error("unauthorized")]
    Unauthorized(bool),
    /// A page for people who are signed in; where to come back to.
    #[error("sign in first")]
    SignIn(String),
    /// A page for people who proved a moment ago that it is them; where to come back to.
    #[error("type your password again first")]
    Prove(String),
    /// A form that did not come from our own page.
    #[error("the form is not from this site, or is too old")]
    Forged,
    /// The caller's mistake, in words.
    #[error("bad request: {0}")]
    Bad(String),
    /// A link that admits nobody: wrong, lapsed, revoked and missing look alike (S3).
    #[error("refused")]
    Refused,
    /// The body is longer than anything we read.
    #[error("too large")]
    TooLarge,
    /// Too often; try again after so long.
    #[error("too many requests")]
    TooMany(Duration),
    /// A passing fault of ours: try again soon.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// What somebody must do something about first; trying again soon does not help.
    #[error("{0}")]
    Stuck(String),
    /// What is stored for this does not open any more, and does not by trying again.
    #[error("{0}")]
    Unreadable(Closed),
    /// A fault of ours.
    #[error("internal: {0:#}")]
    Internal(anyhow::Error),
}

impl Fault {
    /// The caller's mistake.
    pub fn bad(why: impl Into<String>) -> Self {
        Self::Bad(why.into())
    }

    /// The one table: status, error word, and the key of the sentence for people.
    fn row(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "fault-not-found"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "fault-method"),
            Self::Forbidden(word, _) => (StatusCode::FORBIDDEN, word, "fault-forbidden"),
            Self::Unauthorized(false) => (StatusCode::UNAUTHORIZED, "unauthorized", "fault-unauthorized"),
            Self::Unauthorized(true) => (StatusCode::UNAUTHORIZED, "invalid_token", "fault-unauthorized"),
            Self::SignIn(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "fault-unauthorized"),
            Self::Prove(_) => (StatusCode::FORBIDDEN, "prove_again", "fault-prove"),
            Self::Forged => (StatusCode::FORBIDDEN, "forged_form", "fault-forged"),
            Self::Bad(_) => (StatusCode::BAD_REQUEST, "invalid_request", "fault-bad"),
            Self::Refused => (StatusCode::FORBIDDEN, "refused", "fault-refused"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "fault-too-large"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "fault-too-many"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "fault-unavailable"),
            Self::Stuck(_) => (StatusCode::BAD_GATEWAY, "provider_refused", "fault-unavailable"),
            Self::Unreadable(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "unreadable_record", "fault-unreadable")
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "fault-internal"),
        }
    }

    /// What a developer may read; never what broke inside.
    fn detail(&self) -> String {
        match self {
            Self::Unavailable(_) => "try again in a moment".to_owned(),
            Self::Unreadable(_) => {
                "what is stored for this cannot be opened any more; whoever runs this broker finds it named by \
                 `latchkey-broker doctor`, with what to do"
                    .to_owned()
            }
            Self::Internal(_) => "this is our fault and has been logged".to_owned(),
            Self::Forbidden(_, missing) => missing.clone(),
            Self::Bad(why) => why.clone(),
            other => other.to_string(),
        }
    }

    /// The answer, in the manner of the request. Logged here and nowhere else.
    pub fn answer(self, manner: &Manner) -> Answer {
        let (status, error, sentence) = self.row();
        match &self {
            Self::Unreadable(closed) => error!(path = manner.path, "unreadable: {closed}"),
            Self::Internal(err) => error!(path = manner.path, "internal fault: {err:#}"),
            Self::Unavailable(why) => warn!(path = manner.path, "unavailable: {why}"),
            _ => {}
        }
        let detour = match &self {
            Self::SignIn(next) => Some(("/sign-in", next)),
            Self::Prove(next) => Some(("/account/prove", next)),
            _ => None,
        };
        if let (Some((page, next)), false) = (detour, manner.json) {
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            return see_other(&format!("{page}?next={next}"));
        }
        let mut answer = if manner.json {
            json(status, &Wrong { error, detail: self.detail() })
        } else {
            page::fault(status, manner.words, sentence, matches!(self, Self::Bad(_)).then(|| self.detail()))
        };
        self.head(answer.headers_mut());
        answer
    }

    fn head(&self, headers: &mut http::HeaderMap) {
        match self {
            Self::TooMany(wait) => _ = headers.insert(header::RETRY_AFTER, seconds(*wait)),
            Self::Unavailable(_) => _ = headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2")),
            Self::Method(allowed) => _ = headers.insert(header::ALLOW, HeaderValue::from_static(allowed)),
            Self::Unauthorized(bad) => {
                let says = if *bad {
                    "Bearer realm=\"latchkey\", error=\"invalid_token\""
                } else {
                    "Bearer realm=\"latchkey\""
                };
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(says));
            }
            Self::Forbidden("insufficient_scope", scope) => {
                let says =
                    format!("Bearer realm=\"latchkey\", error=\"insufficient_scope\", scope=\"{scope}\"");
                _ = HeaderValue::from_str(&says).map(|says| headers.insert(header::WWW_AUTHENTICATE, says));
            }
            _ => {}
        }
    }
}

fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64)
}

#[derive(Serialize)]
struct Wrong {
    error: &'static str,
    detail: String,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        if store::is_passing(&failure) {
            Self::Unavailable(failure.to_string())
        } else {
            Self::Internal(failure.into())
        }
    }
}

impl From<Closed> for Fault {
    fn from(closed: Closed) -> Self {
        match closed {
            // The list that has it may be on its way to this machine.
            Closed::NoKey { .. } => Self::Unavailable(closed.to_string()),
            Closed::Altered { .. } => Self::Unreadable(closed),
        }
    }
}

impl From<anyhow::Error> for Fault {
    fn from(err: anyhow::Error) -> Self {
        Self::Internal(err)
    }
}

/// What of a request decides how a fault looks.
#[derive(Debug, Clone)]
pub struct Manner {
    /// JSON for programs, a page for people.
    pub json: bool,
    /// The person's language.
    pub words: &'static Words,
    /// For the log: the path without its query.
    pub path: String,
    /// Who asked.
    pub peer: Peer,
}

impl Manner {
    /// The manner of a request.
    pub fn of(asked: &Asked) -> Self {
        Self { json: asked.wants_json(), words: asked.words(), path: asked.path.clone(), peer: asked.peer }
    }
}
