//! Answers what the broker sends down: visitors' requests from Home Assistant, and the broker's own words.
//!
//! Invariant: the `X-Forwarded-*` headers that Home Assistant sees are the broker's; nothing is added here,
//! because the broker is the only hop that counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use shared::tunnel::{
    DIRECT_CONTROL, DIRECT_HELLO, DIRECT_ORIGIN_HEADER, DIRECT_ORIGIN_UNREACHABLE, DIRECT_PROOF_HEADER,
    DIRECT_SEEN_AS_HEADER, DIRECT_TAKEN_OVER,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::origin::{Origin, Remote, Streaming, Unreachable};
use super::{Crew, websocket};

/// An answer's body on its way to the broker.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Headers that mean the connection to Home Assistant only (RFC 9110 section 7.6.1).
const HOPS: [HeaderName; 6] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The length of `400: Bad Request`, all that Home Assistant says to a proxy it does not trust.
const BARE_400: &str = "16";

/// Answers the requests of one line.
pub(super) struct Answerer {
    pub(super) origin: Arc<Origin>,
    pub(super) crew: Crew,
    explained: AtomicBool,
    greeted: CancellationToken,
    taken_over: AtomicBool,
}

impl Answerer {
    /// `greeted` is told when the broker says hello.
    pub(super) fn new(remote: Remote, crew: Crew, greeted: CancellationToken) -> Self {
        Self {
            origin: Origin::new(remote, crew.clone()),
            crew,
            explained: AtomicBool::new(false),
            greeted,
            taken_over: AtomicBool::new(false),
        }
    }

    /// Whether the broker has said that another agent took over.
    pub(super) fn was_taken_over(&self) -> bool {
        self.taken_over.load(Ordering::Relaxed)
    }

    /// Answers one request; what cannot be answered is a 502 that says so.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if request.uri().host() == Some(DIRECT_CONTROL) {
            return Ok(self.take_note(request.uri().path()));
        }
        let protocol = request.extensions().get::<Protocol>();
        let answered = match (request.method(), protocol.map(Protocol::as_str)) {
            (&Method::CONNECT, Some("websocket")) => websocket::answer(&self, request).await,
            (&Method::CONNECT, _) => Ok(plainly(StatusCode::BAD_REQUEST, "nothing to connect to")),
            _ => self.ask_home_assistant(request).await,
        };
        Ok(answered.unwrap_or_else(|err| {
            debug!("no answer: {err}");
            let mut answer = plainly(StatusCode::BAD_GATEWAY, "home assistant does not answer");
            let unreachable = HeaderValue::from_static(DIRECT_ORIGIN_UNREACHABLE);
            answer.headers_mut().insert(DIRECT_ORIGIN_HEADER, unreachable);
            answer
        }))
    }

    /// The broker's own words; any answer will do, also to words of a later version.
    fn take_note(&self, path: &str) -> Response<Body> {
        match path {
            DIRECT_HELLO => self.greeted.cancel(),
            DIRECT_TAKEN_OVER => self.taken_over.store(true, Ordering::Relaxed),
            // Of a newer broker.
            _ => {}
        }
        plainly(StatusCode::NO_CONTENT, "")
    }

    async fn ask_home_assistant(&self, request: Request<Incoming>) -> Result<Response<Body>, Unreachable> {
        let (mut head, body) = request.into_parts();
        towards_home_assistant(&mut head);
        let a_page = head.method == Method::GET;
        // Of the broker, which asks for its owner; it takes the header off whatever visitors send.
        let is_proof = head.headers.remove(DIRECT_PROOF_HEADER).is_some();
        let answer = self.origin.send(Request::from_parts(head, body)).await?;
        if a_page && is_bare_400(&answer) {
            self.explain_400();
        }
        let mut answer = towards_broker(answer);
        if is_proof
            && answer.status() == StatusCode::BAD_REQUEST
            && let Some(us) = self.origin.seen_as.get()
            && let Ok(us) = HeaderValue::from_str(&us.to_string())
        {
            answer.headers_mut().insert(DIRECT_SEEN_AS_HEADER, us);
        }
        Ok(answer)
    }

    /// Once: it may be an ordinary 400, but when it is not, this is what the owner needs to know.
    fn explain_400(&self) {
        if let Some(us) = self.origin.seen_as.get()
            && !self.explained.swap(true, Ordering::Relaxed)
        {
            warn!(
                "home assistant answered 400; if it does so for every page, add to its configuration.yaml:\n\
                 http:\n  use_x_forwarded_for: true\n  trusted_proxies:\n    - {us}"
            );
        }
    }
}

/// Turns the head that came down the line into HTTP/1.1.
pub(super) fn towards_home_assistant(head: &mut Parts) {
    if let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        head.headers.insert(HOST, host);
    }
    head.headers.remove(TE);
    join_cookies(&mut head.headers);
    let path = head.uri.path_and_query().cloned();
    head.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    head.version = Version::HTTP_11;
    head.extensions = Extensions::new();
}

/// HTTP/2 may send crumbs; HTTP/1.1 has one line (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(line) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, line);
    }
}

/// Turns Home Assistant's answer into the one that goes up the line.
pub(super) fn towards_broker(mut answer: Response<Streaming>) -> Response<Body> {
    strip_hops(answer.headers_mut());
    *answer.version_mut() = Version::HTTP_2;
    *answer.extensions_mut() = Extensions::new();
    answer.map(BodyExt::boxed_unsync)
}

/// Removes what is meant for our connection to Home Assistant only, and what only we may say.
pub(super) fn strip_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOPS) {
        headers.remove(name);
    }
    headers.remove(DIRECT_ORIGIN_HEADER);
    headers.remove(DIRECT_SEEN_AS_HEADER);
}

fn is_bare_400<B>(answer: &Response<B>) -> bool {
    answer.status() == StatusCode::BAD_REQUEST
        && answer.headers().get(CONTENT_LENGTH).is_some_and(|length| length == BARE_400)
}

/// An answer of our own.
pub(super) fn plainly(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Full::from(text).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_become_one_line_and_the_authority_the_host() {
        let request = Request::get("https://porch.example.org:8443/a?b=c")
            .header(COOKIE, "a=1")
            .header(COOKIE, "b=2")
            .header(TE, "trailers");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        towards_home_assistant(&mut head);
        assert_eq!(head.uri, "/a?b=c");
        assert_eq!(head.headers[HOST], "porch.example.org:8443");
        assert_eq!(head.headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
        assert!(!head.headers.contains_key(TE));
    }

    #[test]
    fn nothing_of_the_inner_connection_goes_up() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=75"),
            ("transfer-encoding", "chunked"),
            (DIRECT_ORIGIN_HEADER, DIRECT_ORIGIN_UNREACHABLE),
            ("content-type", "text/html"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip_hops(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["content-type"]);
    }
}
