//! Proof that a home's address works (T9): a request to its public URL, over whatever lies between, must come to
//! Home Assistant, and what comes back instead is explained.
//!
//! 1. Ask `/manifest.json` with a nonce in a header. Home Assistant serves it to everybody, and answers 400 to
//!    whatever comes through a proxy that it does not trust.
//! 2. Where our own door leads to the home, the nonce must have come by it: a name that leads to another server
//!    proves nothing, even if a Home Assistant stands there.
//! 3. Ask `/auth/providers`: together the two are an answer that no other program gives by chance.
//!
//! Invariant: a visitor's request never carries the header on; what a home says to a nonce goes to the broker
//! alone.

mod keeping;
mod rows;

use std::collections::HashMap;
use std::error::Error as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::Value;
use shared::id::HomeId;
use shared::relay::HomeAssistantState;
use shared::tunnel::{DIRECT_PROOF_HEADER, DIRECT_SEEN_AS_HEADER, ProofAnswer};
use tokio::sync::Semaphore;
use tracing::info;
use url::Url;

use super::Tunnels;
use crate::chance;
use crate::clock::Timestamp;
use crate::homes::{Home, State};
use crate::http::Fault;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// No more than this of an answer is read.
const MOST: usize = 64 * 1024;
/// So many homes are asked at once.
const AT_ONCE: usize = 8;
/// Where a proxy beside Home Assistant is seen from, when it cannot be asked.
const BESIDE: &str = "127.0.0.1, ::1";

macro_rules! findings {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal, $sentence:literal;)*) => {
        /// What asking a home's address came to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Finding { $($(#[doc = $doc])* $name,)* }

        impl Finding {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in the database and for programs.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The sentence for the owner.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

findings! {
    /// The address leads to Home Assistant.
    Proved = "proved", "proof-proved";
    /// Home Assistant answers 400: it does not trust the proxy. The detail is the proxy's address, as it sees it.
    TrustedProxies = "trusted_proxies", "proof-trusted-proxies";
    /// Nothing answers where the tunnel ends, and Home Assistant is not known to run.
    OriginDown = "origin_down", "proof-origin-down";
    /// Nothing answers where the tunnel ends, though Home Assistant runs.
    WrongPort = "wrong_port", "proof-wrong-port";
    /// Something else answers.
    NotHomeAssistant = "not_home_assistant", "proof-not-home-assistant";
    /// The name is there, and no tunnel behind it (Cloudflare's 530 and 1033).
    NoTunnel = "no_tunnel", "proof-no-tunnel";
    /// The tunnel does not know the name.
    NotApplied = "not_applied", "proof-not-applied";
    /// The name leads to another server.
    Elsewhere = "elsewhere", "proof-elsewhere";
    /// The name is not known.
    Dns = "dns", "proof-dns";
    /// The certificate is not one for this name, or TLS does not come about.
    Tls = "tls", "proof-tls";
    /// No answer in time.
    Timeout = "timeout", "proof-timeout";
    /// The address leads to itself again: what stands there wants another scheme.
    RedirectLoop = "redirect_loop", "proof-redirect-loop";
    /// Nothing can be reached at all.
    Unreachable = "unreachable", "proof-unreachable";
}

/// What asking came to, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What.
    pub finding: Finding,
    /// An address, a status or an error, as the finding says; may be empty.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

impl Proof {
    /// As the JSON routes show it.
    pub fn answer(&self) -> ProofAnswer {
        let (finding, detail) = (self.finding.word().to_owned(), self.detail.clone());
        ProofAnswer { is_proved: self.finding == Finding::Proved, finding, detail, at: self.at.millis() }
    }

    /// The addresses that `trusted_proxies` lacks.
    pub fn proxies(&self) -> Vec<&str> {
        match self.finding {
            Finding::TrustedProxies => self.detail.split(", ").collect(),
            _ => Vec::new(),
        }
    }
}

/// A nonce that is on its way; nobody knows it any more when this is dropped.
struct Asking<'a> {
    prover: &'a Prover,
    nonce: String,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.prover.nonces().remove(&self.nonce);
    }
}

/// The nonces that are on their way, and whether each has come by our door.
pub(super) struct Prover {
    http: reqwest::Client,
    nonces: Mutex<HashMap<String, (HomeId, bool)>>,
    turns: Semaphore,
}

impl Prover {
    /// # Errors
    /// When no HTTP client can be made.
    pub(super) fn new() -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent("latchkey-broker")
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .no_proxy()
            .dns_resolver(Arc::new(Names))
            .build()?;
        Ok(Self { http, nonces: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    /// A nonce for a home, unless its address is being asked already.
    fn begin(&self, home: HomeId) -> Option<Asking<'_>> {
        let mut nonces = self.nonces();
        if nonces.values().any(|(asked, _)| *asked == home) {
            return None;
        }
        let nonce = chance::text(32, chance::LEGIBLE);
        nonces.insert(nonce.clone(), (home, false));
        Some(Asking { prover: self, nonce })
    }

    /// Whether a home's address is being asked, or waits for its turn.
    fn is_asking(&self, home: HomeId) -> bool {
        self.nonces().values().any(|(asked, _)| *asked == home)
    }

    fn nonces(&self) -> std::sync::MutexGuard<'_, HashMap<String, (HomeId, bool)>> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request came to a home by our door: with a nonce of ours that is noted, and any other is taken off.
    pub(super) fn meet<B>(&self, home: HomeId, request: &mut Request<B>) {
        let Some(nonce) = request.headers().get(DIRECT_PROOF_HEADER) else { return };
        let nonce = nonce.to_str().unwrap_or("");
        match self.nonces().get_mut(nonce).filter(|(asked, _)| *asked == home) {
            Some((_, seen)) => *seen = true,
            None => _ = request.headers_mut().remove(DIRECT_PROOF_HEADER),
        }
    }

    /// Asks; the finding and its detail.
    async fn ask(&self, at: &Url, nonce: &str) -> (Finding, String) {
        let first = match self.get(at, "manifest.json", nonce).await {
            Ok(answer) => answer,
            Err(err) => return failed(&err),
        };
        match judge(at, &first) {
            Some(found) => found,
            None => match self.get(at, "auth/providers", nonce).await {
                Ok(answer) if names_providers(&answer) => (Finding::Proved, String::new()),
                Ok(answer) => (Finding::NotHomeAssistant, answer.status.as_u16().to_string()),
                Err(err) => failed(&err),
            },
        }
    }

    async fn get(&self, at: &Url, path: &str, nonce: &str) -> reqwest::Result<Answered> {
        let mut url = at.clone();
        url.set_path(path);
        let mut answer = self.http.get(url).header(DIRECT_PROOF_HEADER, nonce).send().await?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await? {
            body.extend_from_slice(&part[..part.len().min(MOST - body.len())]);
            if body.len() == MOST {
                break;
            }
        }
        Ok(Answered { status: answer.status(), headers: answer.headers().clone(), body })
    }
}

/// An answer, as far as it was read.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// What the answer to the first request shows; none when it may be Home Assistant's.
fn judge(at: &Url, answer: &Answered) -> Option<(Finding, String)> {
    let status = answer.status.as_u16();
    let with_status = |finding| Some((finding, status.to_string()));
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    match status {
        200 if is_manifest(&answer.body) => None,
        400 => {
            let seen_as = header(DIRECT_SEEN_AS_HEADER).unwrap_or(BESIDE);
            Some((Finding::TrustedProxies, seen_as.to_owned()))
        }
        404 if answer.body.is_empty() => with_status(Finding::NotApplied),
        502 => with_status(Finding::OriginDown),
        503 | 530 => with_status(Finding::NoTunnel),
        504 | 522 | 524 => with_status(Finding::Timeout),
        525 | 526 => with_status(Finding::Tls),
        300..=399 => {
            let to = header(header::LOCATION.as_str()).and_then(|to| at.join(to).ok());
            let comes_back = to.as_ref().is_some_and(|to| {
                to.host_str() == at.host_str() && to.path().trim_start_matches('/') == "manifest.json"
            });
            let detail = to.map_or_else(|| status.to_string(), |to| to.origin().ascii_serialization());
            Some((if comes_back { Finding::RedirectLoop } else { Finding::NotHomeAssistant }, detail))
        }
        _ => with_status(Finding::NotHomeAssistant),
    }
}

fn is_manifest(body: &[u8]) -> bool {
    let manifest: Value = serde_json::from_slice(body).unwrap_or_default();
    manifest["name"].is_string() && manifest["start_url"].is_string() && manifest["icons"].is_array()
}

/// Home Assistant's ways to sign in: a list of its own, since 2023 within an object.
fn names_providers(answer: &Answered) -> bool {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let list = said.as_array().or_else(|| said["providers"].as_array());
    let is_provider = |one: &Value| one["type"].is_string() && one["name"].is_string();
    answer.status == StatusCode::OK && list.is_some_and(|all| !all.is_empty() && all.iter().all(is_provider))
}

/// Why there was no answer.
fn failed(err: &reqwest::Error) -> (Finding, String) {
    let mut text = String::new();
    let mut cause = err.source();
    while let Some(err) = cause {
        text = err.to_string();
        cause = err.source();
    }
    let whole = format!("{err:?}").to_ascii_lowercase();
    let finding = if err.is_timeout() {
        Finding::Timeout
    } else if whole.contains("dns error") {
        Finding::Dns
    } else if whole.contains("certificate") || whole.contains("tls") {
        Finding::Tls
    } else {
        Finding::Unreachable
    };
    (finding, text.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// The system's names; those under `localhost` are loopback (RFC 6761 section 6.3), which not every system knows.
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
                let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                return Ok(Box::new(std::iter::once(here)) as Addrs);
            }
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Tunnels {
    /// Asks a home's public address, and writes down what came of it.
    ///
    /// # Errors
    /// [`Fault::TooMany`] while it is being asked; [`Fault::Bad`] for a name that is not ours yet; when the database
    /// does not answer.
    pub async fn prove(&self, home: &Home) -> Result<Proof, Fault> {
        let (parts, prover) = (&self.0.parts, &self.0.prover);
        if home.domain.is_some() && home.state != State::Active {
            return Err(Fault::bad("the home's address is not made yet"));
        }
        let asking = prover.begin(home.id).ok_or(Fault::TooMany(PATIENCE))?;
        let _turn = prover.turns.acquire().await;
        let url: Url = parts.homes.url(home).parse().map_err(|err| anyhow::anyhow!("a home's URL: {err}"))?;
        let (mut finding, mut detail) = prover.ask(&url, &asking.nonce).await;
        let came = prover.nonces().get(&asking.nonce).is_some_and(|(_, seen)| *seen);
        let answered =
            !matches!(finding, Finding::Dns | Finding::Tls | Finding::Timeout | Finding::Unreachable);
        let is_direct = home.domain.is_none();
        if is_direct && answered && !came {
            (finding, detail) = (Finding::Elsewhere, String::new());
        }
        let runs = parts.relay.status(home.id).home_assistant.map(|it| it.state);
        if finding == Finding::OriginDown && runs == Some(HomeAssistantState::Running) {
            finding = Finding::WrongPort;
        }
        let proof = Proof { finding, detail, at: parts.clock.now() };
        let mut tx = parts.store.begin().await?;
        rows::set(&mut tx, home.id, &proof).await?;
        tx.commit().await?;
        info!(home.id = %home.id, finding = finding.word(), detail = proof.detail, "asked a home's address");
        Ok(proof)
    }

    /// What asking a home's address came to last.
    pub async fn proof(&self, home: HomeId) -> Result<Option<Proof>, Fault> {
        Ok(rows::find(&mut *self.0.parts.store.read().await?, home).await?)
    }

    /// Notes a nonce of ours on a visitor's request, and takes any other off.
    pub(super) fn meet<B>(&self, home: HomeId, request: &mut Request<B>) {
        self.0.prover.meet(home, request);
    }
}

#[cfg(test)]
mod tests;
