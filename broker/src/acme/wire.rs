//! How the CA is asked: our own HTTP client under the library's protocol, because the library's waits for ever, and
//! keeps to itself when the CA wants to be asked again (RFC 8555 section 6.6).

use std::convert::Infallible;
use std::error::Error as StdError;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::Certificate;
use reqwest::redirect::Policy;

use crate::clock::{Clock, Timestamp};

/// How long one answer may take. A CA that is busy takes its time, and nobody waits for us.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any answer: a chain of three is about 8 kB.
const MOST: usize = 256 << 10;
/// The longest pause a `Retry-After` may ask for. Limits of Let's Encrypt run for a week.
const LONGEST: Duration = Duration::from_secs(8 * 24 * 3600);

/// The way to a CA.
#[derive(Clone)]
pub struct Wire {
    http: reqwest::Client,
    clock: Clock,
    /// The latest moment that an answer which said no wanted to be waited for.
    after: Arc<Mutex<Option<Timestamp>>>,
}

impl Wire {
    /// A way to a CA whose own certificate is believed by the system's roots, or by those in a file (PEM).
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn new(root: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("latchkey-broker/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .redirect(Policy::none())
            .timeout(PATIENCE);
        if let Some(path) = root {
            let says = || format!("acme_root: read {}", path.display());
            let pem = std::fs::read(path).with_context(says)?;
            let roots = Certificate::from_pem_bundle(&pem).with_context(says)?;
            anyhow::ensure!(!roots.is_empty(), "acme_root: {} holds no certificate", path.display());
            http = http.tls_certs_merge(roots);
        }
        Ok(Self { http: http.build().context("make an HTTP client")?, clock, after: Arc::default() })
    }

    /// When the CA wants to be asked again, by what it said since this was last asked.
    pub fn after(&self) -> Option<Timestamp> {
        self.after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let is_signed = parts.method == Method::POST;
        let body = body.collect().await.unwrap_or_else(|never: Infallible| match never {}).to_bytes();
        let request =
            self.http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let mut answer = request.send().await.map_err(|err| silence(&err))?;
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(|err| silence(&err))? {
            body.extend_from_slice(&piece);
            if body.len() > MOST {
                return Err(Error::Other("the CA's answer is too long".into()));
            }
        }
        let status = answer.status();
        if !status.is_success() {
            self.note(answer.headers());
            // The library reads problem documents where it has signed what it asked.
            if !is_signed || !body.starts_with(b"{") {
                return Err(Error::Other(format!("the CA answers {} and no reason", status.as_u16()).into()));
            }
        }
        let mut whole = Response::new(());
        (*whole.status_mut(), *whole.headers_mut()) = (status, answer.headers().clone());
        Ok(BytesResponse { parts: whole.into_parts().0, body: Box::new(body.freeze()) })
    }

    fn note(&self, headers: &HeaderMap) {
        let Some(wait) = headers.get(header::RETRY_AFTER).and_then(|value| wait(value, self.clock.now()))
        else {
            return;
        };
        let until = self.clock.now().after(wait.min(LONGEST));
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        *after = after.map_or(Some(until), |before| Some(before.max(until)));
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn wait(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?;
            Some(Timestamp::from_millis(date.timestamp().as_millisecond()).since(now))
        }
    }
}

/// What went wrong, and at the bottom of it why: a root certificate that is missing is only named there.
fn silence(err: &reqwest::Error) -> Error {
    let what = match err {
        err if err.is_timeout() => "the CA does not answer in time",
        err if err.is_connect() => "the CA cannot be reached",
        _ => "the connection to the CA broke off",
    };
    let mut cause: &dyn StdError = err;
    while let Some(below) = cause.source() {
        cause = below;
    }
    Error::Other(format!("{what}: {cause}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_in_seconds_or_by_a_date() {
        let now = Timestamp::parse("2026-11-22T15:00:00Z").unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            ("Sun, 22 Nov 2026 15:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 15:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let told = wait(&HeaderValue::from_static(text), now);
            assert_eq!(told, seconds.map(Duration::from_secs), "{text}");
        }
    }
}
