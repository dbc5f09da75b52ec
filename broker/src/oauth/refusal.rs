//! Every way the provider says no, and the one table from refusal to error word and status.

use http::{HeaderValue, StatusCode, header};
use shared::oauth::ErrorAnswer;

use crate::http::{Answer, Fault, json};
use crate::store::Failure;

/// Why the provider does not do what a client asks. The words are those of RFC 6749 sections 4.1.2.1 and 5.2
/// and RFC 8628 section 3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A parameter is missing, there twice, or not what it must be; which, for a developer.
    Malformed(&'static str),
    /// No such client, a wrong secret, or no secret where one is needed: the three look alike (TK-15).
    UnknownClient,
    /// The client is not registered for this grant.
    NotForThisClient,
    /// A `response_type` other than `code`.
    UnsupportedResponseType,
    /// A `grant_type` that is not offered.
    UnsupportedGrantType,
    /// A scope that does not exist, or more than may be had.
    InvalidScope,
    /// A `resource` that is not this broker (RFC 8707 section 2).
    InvalidTarget,
    /// The person said no.
    Denied,
    /// No such code or token, as far as this client is concerned.
    UnknownGrant,
    /// The code or token was good once: lapsed, spent or revoked.
    DeadGrant,
    /// The proof that goes with the code is wrong: PKCE verifier or redirect URI.
    WrongProof,
    /// The person has not decided yet.
    Pending,
    /// Asked again too soon; the interval grows.
    SlowDown,
    /// The device code has lapsed.
    DeviceLapsed,
}

impl Refusal {
    /// The one table: status, error word, and more for a developer to read.
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::Malformed(what) => (bad, "invalid_request", what),
            Self::UnknownClient => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed")
            }
            Self::NotForThisClient => {
                (bad, "unauthorized_client", "the client is not registered for this grant")
            }
            Self::UnsupportedResponseType => {
                (bad, "unsupported_response_type", "the response type offered is code")
            }
            Self::UnsupportedGrantType => (bad, "unsupported_grant_type", "that grant is not offered"),
            Self::InvalidScope => (bad, "invalid_scope", "a scope is unknown or more than may be had"),
            Self::InvalidTarget => {
                (bad, "invalid_target", "the one resource there is tokens for is the issuer")
            }
            Self::Denied => (bad, "access_denied", "the request was denied"),
            Self::UnknownGrant => (bad, "invalid_grant", "the code or token is not known"),
            Self::DeadGrant => {
                (bad, "invalid_grant", "the code or token has lapsed, was used or was revoked")
            }
            Self::WrongProof => (bad, "invalid_grant", "code_verifier or redirect_uri does not fit the code"),
            Self::Pending => (bad, "authorization_pending", "nobody has decided yet"),
            Self::SlowDown => (bad, "slow_down", "wait five seconds more between polls"),
            Self::DeviceLapsed => (bad, "expired_token", "the device code has lapsed"),
        }
    }

    /// The error word.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// More for a developer to read; only characters RFC 6749 section 5.2 allows.
    pub fn description(self) -> &'static str {
        self.row().2
    }

    /// Whether it may be somebody trying out secrets. What honest clients meet (a person who has not decided,
    /// a token that has lapsed) is none.
    pub fn is_a_guess(self) -> bool {
        matches!(self, Self::UnknownClient | Self::UnknownGrant)
    }

    /// The JSON answer (RFC 6749 section 5.2).
    pub fn answer(self) -> Answer {
        let (status, word, description) = self.row();
        let wrong = ErrorAnswer { error: word.to_owned(), error_description: Some(description.to_owned()) };
        let mut answer = json(status, &wrong);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2: a 401 says how to authenticate.
            let basic = HeaderValue::from_static("Basic realm=\"latchkey\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        answer
    }
}

/// Why an endpoint for programs does not answer as asked.
#[derive(Debug)]
pub enum Wrong {
    /// The provider says no.
    Refused(Refusal),
    /// The database did not answer, or two transactions stood in each other's way.
    Store(Failure),
    /// Anything else.
    Fault(Fault),
}

impl Wrong {
    /// The answer for a program, or the fault that becomes one.
    pub fn answer(self) -> Result<Answer, Fault> {
        match self {
            Self::Refused(refusal) => Ok(refusal.answer()),
            Self::Store(failure) => Err(failure.into()),
            // A form that cannot be read is the client's mistake, told in OAuth's own shape.
            Self::Fault(Fault::Bad(_)) => Ok(Refusal::Malformed("the form cannot be read").answer()),
            Self::Fault(fault) => Err(fault),
        }
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Refusal; 14] = [
        Refusal::Malformed("code is missing"),
        Refusal::UnknownClient,
        Refusal::NotForThisClient,
        Refusal::UnsupportedResponseType,
        Refusal::UnsupportedGrantType,
        Refusal::InvalidScope,
        Refusal::InvalidTarget,
        Refusal::Denied,
        Refusal::UnknownGrant,
        Refusal::DeadGrant,
        Refusal::WrongProof,
        Refusal::Pending,
        Refusal::SlowDown,
        Refusal::DeviceLapsed,
    ];

    #[test]
    fn every_refusal_is_json_that_nobody_keeps() {
        for refusal in ALL {
            let answer = refusal.answer();
            let header = |name| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(header(header::CACHE_CONTROL).as_deref(), Some("no-store"), "{refusal:?} (TK-23)");
            assert_eq!(header(header::CONTENT_TYPE).as_deref(), Some("application/json"));
            let is_401 = answer.status() == StatusCode::UNAUTHORIZED;
            assert_eq!(is_401, refusal == Refusal::UnknownClient);
            assert_eq!(is_401, header(header::WWW_AUTHENTICATE).is_some(), "{refusal:?} (TK-14)");
        }
    }

    #[test]
    fn descriptions_keep_to_the_allowed_characters() {
        for refusal in ALL {
            let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(refusal.description().bytes().all(allowed), "{refusal:?} (TK-22)");
        }
    }
}
