//! What all routes share: a request taken apart, answers, faults, pages, cookies, forms, limits, languages.
//!
//! A feature hands its handler to [`routes`] and gets one boxed warp filter back. The handler takes an
//! [`Asked`] and returns `Result<Answer, Fault>`; inside it a `match` on method and path segments decides.
//!
//! Invariant: a fault becomes an answer in one place ([`fault`]), and is logged there, once.

pub mod ago;
pub mod assets;
pub mod certificate;
pub mod cookie;
pub mod csrf;
pub mod escape;
pub mod fault;
pub mod form;
pub mod limit;
pub mod page;
pub mod patient;
pub mod serve;
pub mod socket;
pub mod tries;
pub mod strict;
pub mod words;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use serde::Serialize;
use url::Url;
use warp::filters::BoxedFilter;
use warp::{Filter as _, Reply as _};

pub use fault::Fault;

/// A whole answer.
pub type Answer = warp::reply::Response;

/// A feature's routes.
pub type Routes = BoxedFilter<(Answer,)>;

/// Bodies longer than this are refused with 413; no form or JSON of ours comes near it.
/// Browsers that were here over https come back so for two years (MD-12).
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=63072000");
const MAX_BODY: usize = 64 << 10;

/// Who is at the other end, as far as it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client's address; behind a trusted proxy the one that proxy names.
    pub ip: IpAddr,
    /// Whether the client speaks TLS to us (or to a trusted proxy).
    pub tls: bool,
}

/// How the world knows this broker.
#[derive(Debug)]
pub struct Site {
    /// Scheme, host and port; the issuer.
    pub public_url: Url,
}

impl Site {
    /// The origin, such as `https://latchkey.example`, without a slash at the end.
    pub fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// The address of a path of ours.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// Whether browsers reach us over TLS.
    pub fn is_secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

/// A request, taken apart and read to its end.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path as sent, such as `/homes/42`.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// Who asks.
    pub peer: Peer,
    /// The body.
    pub body: Bytes,
    /// Takes over the connection after a 101.
    pub upgrade: Option<OnUpgrade>,
    /// How the world knows us.
    pub site: Arc<Site>,
}

impl Asked {
    /// The path's segments, for a `match`. An empty one stays: `/homes/` is not `/homes`.
    pub fn segments(&self) -> Vec<&str> {
        self.path.strip_prefix('/').unwrap_or(&self.path).split('/').collect()
    }

    /// A header's text, if it is there once and is plain ASCII.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    }

    /// The query as a form.
    pub fn query_form(&self) -> Result<form::Form, Fault> {
        form::Form::parse(self.query.as_bytes())
    }

    /// The body as a form.
    ///
    /// # Errors
    /// When the content type is another, or the text is not a form.
    pub fn form(&self) -> Result<form::Form, Fault> {
        let kind = self.header(header::CONTENT_TYPE).unwrap_or("");
        if !kind
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err(Fault::bad("the body must be application/x-www-form-urlencoded"));
        }
        form::Form::parse(&self.body)
    }

    /// The body as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body)
            .map_err(|err| Fault::bad(format!("the body is not the JSON expected: {err}")))
    }

    /// The bearer token (RFC 6750 section 2.1).
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(header::AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// The language the person reads.
    pub fn words(&self) -> &'static words::Words {
        words::for_header(self.header(header::ACCEPT_LANGUAGE).unwrap_or(""))
    }

    /// Whether a program asks: JSON routes, OAuth's endpoints, or a client that says so.
    pub fn wants_json(&self) -> bool {
        let program = [
            "/api/",
            "/oauth2/token",
            "/oauth2/introspect",
            "/oauth2/revoke",
            "/oauth2/device_authorization",
            "/agent/",
        ];
        let accepts = self.header(header::ACCEPT).unwrap_or("");
        program.iter().any(|start| self.path.starts_with(start)) || accepts.starts_with("application/json")
    }
}

/// Boxes a feature's handler under the paths it answers for and all below them, such as `homes` or
/// `agent/relay`; `""` is the root page alone.
pub fn routes<H, F>(site: Arc<Site>, first: &'static [&'static str], handler: H) -> Routes
where
    H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    let ours = move |path: &str| {
        let asked = path.trim_start_matches('/');
        let below = |start: &str| {
            asked.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        first.iter().any(|start| if start.is_empty() { asked.is_empty() } else { below(start) })
    };
    filter(site, ours, handler)
}

/// What answers where no feature does.
pub fn otherwise(site: Arc<Site>) -> Routes {
    filter(site, |_| true, |_| async { Err(Fault::NotFound) })
}

fn filter<H, F>(
    site: Arc<Site>,
    ours: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
    handler: H,
) -> Routes
where
    H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    let ours = move |path: warp::path::FullPath| {
        let found =
            if ours(path.as_str()) { Ok(path.as_str().to_owned()) } else { Err(warp::reject::not_found()) };
        async move { found }
    };
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path::full()
        .and_then(ours)
        .and(warp::method())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Peer>())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::body::stream())
        .then(move |path, method, query, headers, peer, upgrade, body| {
            let (site, handler) = (site.clone(), handler.clone());
            let asked = Asked { method, path, query, headers, peer, body: Bytes::new(), upgrade, site };
            answer(asked, body, handler).boxed()
        })
        .boxed()
}

async fn answer<S, C, H, F>(mut asked: Asked, body: S, handler: H) -> Answer
where
    S: Stream<Item = Result<C, warp::Error>> + Send,
    C: Buf,
    H: Fn(Asked) -> F,
    F: Future<Output = Result<Answer, Fault>>,
{
    let (manner, is_secure) = (fault::Manner::of(&asked), asked.site.is_secure());
    let answered = match read(body).await {
        Ok(body) => {
            asked.body = body;
            handler(asked).await
        }
        Err(fault) => Err(fault),
    };
    let mut answer = answered.unwrap_or_else(|fault| fault.answer(&manner));
    if is_secure {
        answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    answer
}

async fn read<C: Buf>(body: impl Stream<Item = Result<C, warp::Error>> + Send) -> Result<Bytes, Fault> {
    let mut body = std::pin::pin!(body);
    let mut read = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| Fault::bad("the body broke off"))?;
        if read.len() + part.remaining() > MAX_BODY {
            return Err(Fault::TooLarge);
        }
        read.put(part);
    }
    Ok(read.freeze())
}

/// JSON that nobody keeps.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut answer = warp::reply::json(value).into_response();
    *answer.status_mut() = status;
    page::never_kept(answer.headers_mut());
    answer
}

/// An empty answer that nobody keeps.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = status.into_response();
    *answer.body_mut() = Bytes::new().into();
    page::never_kept(answer.headers_mut());
    answer
}

/// Sends the browser elsewhere with a GET: 303, never 307 (RFC 9700 section 4.12).
pub fn see_other(to: &str) -> Answer {
    let mut answer = empty(StatusCode::SEE_OTHER);
    match to.parse() {
        Ok(to) => _ = answer.headers_mut().insert(header::LOCATION, to),
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    page::harden(answer.headers_mut(), &[]);
    answer
}
