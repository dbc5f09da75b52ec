//! The provider's token endpoint, seen from the client's side (RFC 6749 sections 3.2 and 5).

use http::StatusCode;
use shared::oauth::{ErrorAnswer, TokenAnswer};
use url::Url;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// The provider decided: an error word of RFC 6749 section 5.2 or RFC 8628 section 3.5.
    #[error("the broker answered {}", words(.0))]
    Refused(ErrorAnswer),
    /// Nobody decided anything: no answer, too many requests, a fault over there. Worth asking again.
    #[error("{0}")]
    Later(String),
}

fn words(answer: &ErrorAnswer) -> String {
    match &answer.error_description {
        Some(detail) => format!("{} ({detail})", answer.error),
        None => answer.error.clone(),
    }
}

/// Posts a form to the token endpoint.
///
/// # Errors
/// `Refused` only for a 400 or 401 with an error word; everything else is `Later`, so that no token is thrown
/// away because of a proxy's page or a restart.
pub async fn ask(
    http: &reqwest::Client,
    endpoint: Url,
    form: &[(&str, &str)],
) -> Result<TokenAnswer, NoToken> {
    let answer = http.post(endpoint).form(form).send().await.map_err(|err| NoToken::Later(in_words(&err)))?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|err| NoToken::Later(in_words(&err)))?;
    if status == StatusCode::OK {
        return serde_json::from_slice(&body)
            .map_err(|_| NoToken::Later("the broker's answer is no token".to_owned()));
    }
    let refusal = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED);
    match serde_json::from_slice::<ErrorAnswer>(&body) {
        Ok(answer) if refusal => Err(NoToken::Refused(answer)),
        _ => Err(NoToken::Later(format!("the broker answered {status}"))),
    }
}

/// An error of the HTTP client with its causes, without the address (whose query may hold secrets).
pub fn in_words(err: &reqwest::Error) -> String {
    let mut text = if err.is_timeout() { "no answer in time".to_owned() } else { "no connection".to_owned() };
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        let next = err.source();
        if next.is_none() {
            text = format!("{text}: {err}");
        }
        cause = next;
    }
    text
}
