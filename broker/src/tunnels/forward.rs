//! Visitors of a home's hostname: forwarded down its line, or told kindly why not.

use askama::Template;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use shared::id::HomeId;
use tracing::debug;

use super::Tunnels;
use super::direct::{Away, Body, Visitor};
use crate::http::page::{Frame, page};
use crate::http::{Answer, Fault, Peer, assets, words};

/// Where a home's hostname serves our own files, for the pages we show in its stead.
const OURS: &str = "/.latchkey";

#[derive(Template)]
#[template(path = "tunnels/away.html")]
struct AwayPage {
    frame: Frame,
    style: String,
    title: &'static str,
    sentence: &'static str,
}

/// The host a request is for: the URI's (HTTP/2, absolute form), else the `Host` header's.
pub fn host_of<B>(request: &Request<B>) -> Option<&str> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

impl Tunnels {
    /// The label of the home that a request's host names.
    pub fn label_for<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        self.0.parts.homes.label_in(host_of(request)?)
    }

    /// Answers a request for a home's hostname.
    pub async fn forward(&self, mut request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let language = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let words = words::for_header(language.unwrap_or(""));
        let answered = match self.home_for(&request).await {
            Ok(Some(home)) => {
                self.meet(home, &mut request);
                self.send(home, request, peer).await
            }
            Ok(None) => return boxed(away_page(words, StatusCode::NOT_FOUND, "tunnels-no-home")),
            Err(fault) => {
                debug!("look for a home: {fault}");
                return boxed(away_page(words, StatusCode::SERVICE_UNAVAILABLE, "tunnels-busy"));
            }
        };
        let (status, sentence) = match answered {
            Ok(answer) => return answer,
            Err(Away::NotConnected) => (StatusCode::SERVICE_UNAVAILABLE, "tunnels-away"),
            Err(Away::OriginDown) => (StatusCode::BAD_GATEWAY, "tunnels-origin-down"),
            Err(Away::Broke(why)) => {
                debug!("a forwarded request broke: {why}");
                (StatusCode::BAD_GATEWAY, "tunnels-broke")
            }
            Err(Away::BadRequest(_)) => (StatusCode::BAD_REQUEST, "tunnels-bad-request"),
        };
        boxed(away_page(words, status, sentence))
    }

    async fn home_for<B>(&self, request: &Request<B>) -> Result<Option<HomeId>, Fault> {
        let Some(label) = self.label_for(request).map(str::to_ascii_lowercase) else { return Ok(None) };
        let known = self.names().get(&label).copied();
        match known {
            Some(home) => Ok(Some(home)),
            None => self.0.parts.homes.by_label(&label).await,
        }
    }

    async fn send(
        &self,
        home: HomeId,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Response<Body>, Away> {
        let host = host_of(&request).ok_or(Away::BadRequest("a request names its host"))?.to_owned();
        let scheme = if peer.tls { "https" } else { "http" };
        self.0.parts.direct.forward(home, &Visitor { peer: peer.ip, scheme, host }, request).await
    }
}

/// The rest of the path, if a request on a home's hostname is for our own files.
pub fn asset_path(path: &str) -> Option<&str> {
    path.strip_prefix(OURS).filter(|rest| rest.starts_with("/assets/"))
}

fn away_page(words: &'static words::Words, status: StatusCode, sentence: &'static str) -> Answer {
    let style = format!("{OURS}{}", assets::address("latchkey.css"));
    let title = if status == StatusCode::NOT_FOUND { "tunnels-no-home-title" } else { "tunnels-away-title" };
    let mut answer = page(status, &AwayPage { frame: Frame::bare(words), style, title, sentence });
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::BAD_GATEWAY {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        // Whoever waits in front of the page sees the home as soon as it is back.
        answer.headers_mut().insert(header::REFRESH, HeaderValue::from_static("10"));
    }
    answer
}

/// A page of ours as an answer on a home's hostname.
pub fn boxed(answer: Answer) -> Response<Body> {
    answer.map(|body| body.map_err(Into::into).boxed_unsync())
}
