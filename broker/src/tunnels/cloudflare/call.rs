//! One call of the API: its pace, its patience, and what its answer means.
//!
//! Invariant: no answer is taken for JSON before it is JSON, and an answer that did not come says nothing about
//! whether the call was carried out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode, header};
use reqwest::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::secret::Secret;
use tokio::time::Instant;
use url::Url;

use super::wire::{ApiError, Envelope, PageInfo};

/// Calls that may come at once after a pause.
const BURST: u32 = 20;
/// How often a call is repeated that does no harm when it is.
const TRIES: u32 = 2;
/// Before that.
const PAUSE: Duration = Duration::from_millis(200);
/// How long to stay away after 429 without `Retry-After`.
const BLOCKED: Duration = Duration::from_secs(60);
/// The longest pause a `Retry-After` may ask for.
const LONGEST: Duration = Duration::from_secs(600);
/// More than any answer of ours: a page of a hundred tunnels is about 100 kB.
const MOST: usize = 4 << 20;

/// Why a call did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody answered in time, or the answer was lost: whether it was carried out is not known.
    #[error("Cloudflare did not answer: {0}")]
    Silence(String),
    /// 429, 5xx, or a page that is no JSON: trying again later may help.
    #[error("Cloudflare is busy or broken: {why}")]
    Busy {
        /// The status, and what it said.
        why: String,
        /// When to come back.
        after: Option<Duration>,
    },
    /// Code 1013: a tunnel has that name already.
    #[error("a tunnel with that name is there already")]
    NameTaken,
    /// Code 1022: a tunnel that still has connections cannot be deleted.
    #[error("the tunnel still has connections")]
    StillConnected,
    /// Codes 81053, 81054, 81057, 81058 and 1003: a DNS record has that name already.
    #[error("a DNS record with that name is there already")]
    RecordTaken,
    /// 404: what was asked about is not there.
    #[error("Cloudflare does not know it")]
    Gone,
    /// The account or zone holds as many as it may.
    #[error("Cloudflare's limit is reached: {0}")]
    Quota(String),
    /// The API token may not do this, or is not good at all.
    #[error("Cloudflare refuses the API token: {0}")]
    Denied(String),
    /// Anything else it says no to.
    #[error("Cloudflare says no: {0}")]
    Refused(String),
}

impl Trouble {
    /// Whether the same call may go through later without anybody doing anything.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Silence(_) | Self::Busy { .. } | Self::StillConnected)
    }

    /// Whether it may pass within a moment.
    fn is_hiccup(&self) -> bool {
        matches!(self, Self::Silence(_) | Self::Busy { after: None, .. })
    }
}

/// A line to the API with one token, at a pace that its limits allow.
pub struct Line {
    http: reqwest::Client,
    base: Url,
    token: Secret,
    manners: Manners,
    pace: tokio::sync::Mutex<Pace>,
    blocked: Mutex<Option<Instant>>,
}

/// How an account's API is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manners {
    /// Calls a second, after the first twenty.
    pub pace: f64,
    /// How long an answer may take.
    pub patience: Duration,
}

impl Default for Manners {
    /// The account's limit is 1200 calls in five minutes, and going over it blocks every call for as long;
    /// cloudflared's own client waits fifteen seconds.
    fn default() -> Self {
        Self { pace: 3.3, patience: Duration::from_secs(15) }
    }
}

/// A token bucket whose taker waits.
struct Pace {
    left: f64,
    at: Instant,
}

/// A call, before its answer.
pub struct Call<'a> {
    pub method: Method,
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<Value>,
}

impl Line {
    /// A line to `base` (the real one ends in `/client/v4`).
    pub fn new(http: reqwest::Client, base: Url, token: Secret, manners: Manners) -> Self {
        let pace = Pace { left: f64::from(BURST), at: Instant::now() };
        Self { http, base, token, manners, pace: tokio::sync::Mutex::new(pace), blocked: Mutex::default() }
    }

    /// Makes a call; `None` where the answer holds no result. What changes nothing, or nothing more when it is
    /// repeated, is tried again at once where the answer was quick to fail; what creates never is.
    pub async fn call<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<(Option<T>, Option<PageInfo>), Trouble> {
        let began = Instant::now();
        let mut left = if call.method == Method::POST { 0 } else { TRIES };
        loop {
            let trouble = match self.once(&call).await {
                Err(trouble) if left > 0 && trouble.is_hiccup() => trouble,
                answered => return answered,
            };
            // An answer that was long in failing is not worth another wait.
            if began.elapsed() > self.manners.patience / 4 {
                return Err(trouble);
            }
            left -= 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<(Option<T>, Option<PageInfo>), Trouble> {
        self.wait().await?;
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let request = self.http.request(call.method.clone(), url).bearer_auth(self.token.expose());
        let mut request = request.timeout(self.manners.patience);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|err| silence(&err))?;
        let read = read(answer).await;
        if let Err(Trouble::Busy { after: Some(after), .. }) = &read {
            *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + *after);
        }
        read
    }

    /// Waits for its turn; while the account is blocked nothing is sent at all, that would only prolong it.
    async fn wait(&self) -> Result<(), Trouble> {
        let blocked = *self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(after) = blocked.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(Trouble::Busy { why: "asked to wait".to_owned(), after: Some(after) });
        }
        // Held while waiting: those who come meanwhile stand in line.
        let mut pace = self.pace.lock().await;
        let earned = pace.at.elapsed().as_secs_f64() * self.manners.pace;
        pace.left = (pace.left + earned).min(f64::from(BURST));
        pace.at = Instant::now();
        if pace.left < 1.0 {
            let until = pace.at + Duration::from_secs_f64((1.0 - pace.left) / self.manners.pace);
            tokio::time::sleep_until(until).await;
            (pace.left, pace.at) = (1.0, until);
        }
        pace.left -= 1.0;
        Ok(())
    }
}

/// The text of an error without the address: its path holds ids, its query names.
fn silence(err: &reqwest::Error) -> Trouble {
    let why = match err {
        err if err.is_timeout() => "no answer in time".to_owned(),
        err if err.is_connect() => "no connection".to_owned(),
        _ => "the connection broke off".to_owned(),
    };
    Trouble::Silence(why)
}

async fn read<T: DeserializeOwned>(mut answer: Response) -> Result<(Option<T>, Option<PageInfo>), Trouble> {
    let status = answer.status();
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let after = after.map(|seconds| Duration::from_secs(seconds).min(LONGEST));
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|err| silence(&err))? {
        body.extend_from_slice(&piece);
        if body.len() > MOST {
            return Err(Trouble::Refused("the answer is too long".to_owned()));
        }
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Trouble::Busy { why: "429".to_owned(), after: Some(after.unwrap_or(BLOCKED)) });
    }
    if status.is_server_error() {
        return Err(Trouble::Busy { why: status.as_u16().to_string(), after });
    }
    let envelope: Envelope<Value> = match serde_json::from_slice(&body) {
        Ok(envelope) => envelope,
        Err(_) if status == StatusCode::NOT_FOUND => return Err(Trouble::Gone),
        Err(_) => {
            return Err(Trouble::Busy {
                why: format!("{} with a page that is no JSON", status.as_u16()),
                after,
            });
        }
    };
    if !status.is_success() || !envelope.success {
        return Err(meaning(status, &envelope.errors));
    }
    let odd = |err: serde_json::Error| Trouble::Refused(format!("an answer that makes no sense: {err}"));
    let result = envelope.result.filter(|result| !result.is_null());
    Ok((result.map(serde_json::from_value).transpose().map_err(odd)?, envelope.result_info))
}

/// What an error means for us. The codes are Cloudflare's; the texts change.
fn meaning(status: StatusCode, errors: &[ApiError]) -> Trouble {
    let has = |codes: &[i64]| errors.iter().any(|error| codes.contains(&error.code));
    let said = errors.iter().map(|e| format!("{} ({})", e.message.trim_end_matches('.'), e.code));
    let said = said.collect::<Vec<_>>().join("; ");
    let lower = said.to_lowercase();
    if has(&[1013]) {
        Trouble::NameTaken
    } else if has(&[1022]) {
        Trouble::StillConnected
    } else if has(&[81053, 81054, 81057, 81058, 1003]) {
        Trouble::RecordTaken
    } else if lower.contains("quota") || lower.contains("limit") || has(&[81045]) {
        Trouble::Quota(said)
    } else if has(&[10000, 9109, 9106, 6003]) || matches!(status.as_u16(), 401 | 403) {
        Trouble::Denied(said)
    } else if status == StatusCode::NOT_FOUND || has(&[81044]) {
        Trouble::Gone
    } else if said.is_empty() {
        Trouble::Refused(format!("status {}", status.as_u16()))
    } else {
        Trouble::Refused(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(code: i64, message: &str) -> [ApiError; 1] {
        [ApiError { code, message: message.to_owned() }]
    }

    #[test]
    fn the_codes_mean_what_was_recorded() {
        for (status, code, message, means) in [
            (409, 1013, "You already have a tunnel with this name.", Trouble::NameTaken),
            (400, 1022, "Cannot delete tunnel because it has active connections", Trouble::StillConnected),
            (400, 81053, "An A, AAAA, or CNAME record with that host already exists.", Trouble::RecordTaken),
            (404, 1000, "Tunnel not found", Trouble::Gone),
            (403, 10000, "Authentication error", Trouble::Denied("Authentication error (10000)".into())),
            (400, 81045, "Record quota exceeded.", Trouble::Quota("Record quota exceeded (81045)".into())),
            (400, 7, "No", Trouble::Refused("No (7)".into())),
        ] {
            assert_eq!(meaning(StatusCode::from_u16(status).unwrap(), &errors(code, message)), means);
        }
        assert_eq!(meaning(StatusCode::BAD_REQUEST, &[]), Trouble::Refused("status 400".into()));
    }
}
