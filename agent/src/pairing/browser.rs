//! The browser flow: authorization code with PKCE and a loopback redirect (RFC 6749 section 4.1, RFC 7636,
//! RFC 8252 section 7.3), the answer's `iss` checked (RFC 9207).

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::oauth::{AGENT_CLIENT_ID, Scopes};
use shared::secret::Secret;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout_at;
use url::{Url, form_urlencoded};

use super::{NotPaired, Provider, in_seconds};
use crate::cloud::tokens::{self, NoToken};
use crate::memory::Pairing;

/// How long the owner has, in seconds: as long as a code of the provider lives.
const TIME_TO_DECIDE: u64 = 600;

/// A browser that is yet to come back.
#[derive(Debug)]
pub struct Waiting<'a> {
    provider: &'a Provider,
    listener: TcpListener,
    address: Url,
    redirect: String,
    state: Secret,
    /// PKCE's `code_verifier`.
    verifier: Secret,
}

/// Listens on a free loopback port and makes the address to open.
///
/// # Errors
/// No port could be had.
pub async fn begin(provider: &Provider) -> Result<Waiting<'_>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listen on 127.0.0.1")?;
    let redirect = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    let (state, verifier) = (random()?, random()?);
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose().as_bytes()));
    let mut address = provider.metadata.authorization_endpoint.clone();
    address
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", AGENT_CLIENT_ID)
        .append_pair("redirect_uri", &redirect)
        .append_pair("scope", &Scopes::agent().to_string())
        .append_pair("state", state.expose())
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    Ok(Waiting { provider, listener, address, redirect, state, verifier })
}

impl Waiting<'_> {
    /// The address the owner opens in a browser on this machine.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// Waits for the browser to come back and trades its code for tokens.
    ///
    /// # Errors
    /// `NotPaired`, or the broker's own error.
    pub async fn finish(self) -> Result<Pairing> {
        let back = timeout_at(in_seconds(TIME_TO_DECIDE), self.come_back()).await;
        let code = back.map_err(|_| NotPaired::Expired)??;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &self.redirect),
            ("client_id", AGENT_CLIENT_ID),
            ("code_verifier", self.verifier.expose()),
        ];
        let endpoint = self.provider.metadata.token_endpoint.clone();
        match tokens::ask(&self.provider.http, endpoint, &form).await {
            Ok(answer) => self.provider.paired(answer),
            Err(NoToken::Later(reason)) => bail!(NotPaired::Unreachable(reason)),
            Err(refused) => Err(refused).context("trade the code for tokens"),
        }
    }

    /// Serves one connection after another until one brings an answer with our `state`; others (a stray tab,
    /// a guess by another program) are turned away and end nothing.
    async fn come_back(&self) -> Result<Secret> {
        loop {
            let (tcp, _) = self.listener.accept().await.context("wait for the browser")?;
            if let Some(answer) = self.serve(tcp).await {
                return answer;
            }
        }
    }

    async fn serve(&self, tcp: TcpStream) -> Option<Result<Secret>> {
        let found = Arc::new(Mutex::new(None));
        let service = service_fn(|request: Request<Incoming>| {
            let judged =
                self.judge(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
            let page = page(judged.as_ref());
            if judged.is_some() {
                *found.lock().expect("nobody panics while holding it") = judged;
            }
            async move { Ok::<_, Infallible>(page) }
        });
        let served = http1::Builder::new()
            .keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(5))
            .serve_connection(TokioIo::new(tcp), service)
            .await;
        if let Err(err) = served {
            tracing::debug!("a visitor at the loopback port: {err}");
        }
        found.lock().expect("nobody panics while holding it").take()
    }

    /// `None` for a request that is not the provider's answer to us.
    fn judge(&self, method: &Method, path: &str, query: &str) -> Option<Result<Secret>> {
        if method != Method::GET || path != "/callback" {
            return None;
        }
        let one = |name: &str| {
            let mut all = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let first = all.next()?.1.into_owned();
            all.next().is_none().then_some(first)
        };
        if !self.state.same_as(&one("state")?) {
            return None;
        }
        let metadata = &self.provider.metadata;
        // RFC 9207 section 2.4: compared letter by letter; its absence counts if it was promised.
        match one("iss") {
            Some(iss) if iss == metadata.issuer => {}
            None if !metadata.authorization_response_iss_parameter_supported => {}
            _ => return Some(Err(anyhow!("the answer came from another provider"))),
        }
        Some(match (one("error"), one("code")) {
            (Some(error), _) if error == "access_denied" => Err(NotPaired::Denied.into()),
            (Some(error), _) => Err(anyhow!("the broker answered {}", error.escape_debug())),
            (None, Some(code)) => Ok(Secret::from(code)),
            (None, None) => Err(anyhow!("the broker's answer holds no code")),
        })
    }
}

/// What the browser shows at the end.
fn page(judged: Option<&Result<Secret>>) -> Response<Full<Bytes>> {
    let (status, words) = match judged {
        Some(Ok(_)) => {
            (StatusCode::OK, "Almost there: the agent is fetching its keys. You may close this window.")
        }
        Some(Err(_)) => {
            (StatusCode::OK, "The agent was not paired; its terminal says why. You may close this window.")
        }
        None => (StatusCode::NOT_FOUND, "There is nothing here."),
    };
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Latchkey</title><style>:root{{color-scheme:light dark;font:1.125rem/1.5 system-ui,sans-serif}}\
         body{{max-width:28rem;margin:min(20vh,9rem) auto 0;padding:0 1.25rem;text-wrap:balance}}h1{{font-size:1.5rem}}</style>\
         <main><h1>Latchkey</h1><p>{words}</p></main></html>"
    );
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    answer
}

/// 256 random bits, as text of 43 letters.
fn random() -> Result<Secret> {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).map_err(|_| anyhow!("no randomness to be had"))?;
    Ok(Secret::from(URL_SAFE_NO_PAD.encode(bytes)))
}
