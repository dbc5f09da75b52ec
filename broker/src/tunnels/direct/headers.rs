//! What a request may look like before it goes down a line, and which of its headers go with it.
//!
//! Invariant: whatever two servers could read differently (RFC 9112 section 11.2) is refused here, and no
//! header in which a visitor claims to be somebody else passes.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Extensions, HeaderValue, Method, Request, Uri, Version};
use shared::tunnel::DIRECT_CONTROL;

use super::{Away, Visitor};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that mean this connection only (RFC 9110 section 7.6.1), and `Expect`, which our own server has
/// answered by the time it hands us a body.
const HOPS: [HeaderName; 8] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    TE,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
];

/// Refuses what must not be forwarded; `Away::BadRequest` says what is wrong with it.
pub(super) fn vet<B>(request: &Request<B>, visitor: &Visitor) -> Result<(), Away> {
    let refuse = |why| Err(Away::BadRequest(why));
    if request.method() == Method::CONNECT {
        return refuse("this is not a proxy for CONNECT");
    }
    if !request.uri().path().starts_with('/') {
        return refuse("the request target is not a path");
    }
    if visitor.host.eq_ignore_ascii_case(DIRECT_CONTROL) {
        return refuse("no home has this host");
    }
    vet_host(request, visitor)?;
    vet_framing(request.headers())
}

/// All the places that name a host must name the one for which the home was chosen.
fn vet_host<B>(request: &Request<B>, visitor: &Visitor) -> Result<(), Away> {
    let same = |name: &[u8]| name.eq_ignore_ascii_case(visitor.host.as_bytes());
    if request.uri().authority().is_some_and(|authority| !same(authority.as_str().as_bytes())) {
        return Err(Away::BadRequest("the request target names another host"));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() >= Version::HTTP_2 => Ok(()),
        (Some(host), None) if same(host.as_bytes()) => Ok(()),
        (None, _) => Err(Away::BadRequest("the host header is missing")),
        (Some(_), None) => Err(Away::BadRequest("the host header names another host")),
        (Some(_), Some(_)) => Err(Away::BadRequest("there is more than one host header")),
    }
}

/// One length, or chunks, or no body (RFC 9112 section 6.3).
fn vet_framing(headers: &HeaderMap) -> Result<(), Away> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let (length, coding) = (lengths.next(), codings.next());
    if lengths.next().is_some() || codings.next().is_some() || (length.is_some() && coding.is_some()) {
        return Err(Away::BadRequest("the length of the body is said twice"));
    }
    if length.is_some_and(|value| value.is_empty() || !value.as_bytes().iter().all(u8::is_ascii_digit)) {
        return Err(Away::BadRequest("the length of the body is not a number"));
    }
    if coding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Away::BadRequest("the body has a transfer coding other than chunked"));
    }
    Ok(())
}

/// Turns a vetted request's head into the HTTP/2 one that goes down the line.
pub(super) fn prepare(head: &mut Parts, visitor: &Visitor) -> Result<(), Away> {
    strip_hops(&mut head.headers);
    strip_claims(&mut head.headers);
    // The host travels as `:authority`; the agent writes it back as `Host`.
    head.headers.remove(HOST);
    head.headers.insert(FORWARDED_FOR, text(&visitor.peer.to_canonical().to_string())?);
    head.headers.insert(FORWARDED_PROTO, HeaderValue::from_static(visitor.scheme));
    head.headers.insert(FORWARDED_HOST, text(&visitor.host)?);
    head.uri = target(&head.uri, visitor)?;
    head.version = Version::HTTP_2;
    head.extensions = Extensions::new();
    Ok(())
}

fn text(value: &str) -> Result<HeaderValue, Away> {
    HeaderValue::from_str(value).map_err(|_| Away::BadRequest("the host is not a host"))
}

fn target(asked: &Uri, visitor: &Visitor) -> Result<Uri, Away> {
    let path = asked.path_and_query().map_or("/", |path| path.as_str());
    let host_only = !visitor.host.contains('@');
    let uri =
        Uri::builder().scheme(visitor.scheme).authority(visitor.host.as_str()).path_and_query(path).build();
    uri.ok().filter(|_| host_only).ok_or(Away::BadRequest("the host is not a host"))
}

/// Removes what is meant for one connection only, including what `Connection` names.
fn strip_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter(|token| {
            !["close", "keep-alive", "upgrade"].iter().any(|usual| token.eq_ignore_ascii_case(usual))
        })
        .filter_map(|token| token.parse().ok())
        .collect();
    for name in named.iter().chain(&HOPS) {
        headers.remove(name);
    }
}

/// Removes every header in which some proxy or origin looks for the client's address.
fn strip_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> =
        headers.keys().filter(|name| claims_an_address(name.as_str())).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

fn claims_an_address(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "forwarded",
        "x-forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "true-client-ip",
        "client-ip",
        "fastly-client-ip",
    ];
    name.starts_with("x-forwarded-") || name.starts_with("cf-") || NAMES.contains(&name)
}

/// The comma-separated tokens of all lines of one header; lines that are not ASCII are passed over.
pub(super) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn visitor(peer: &str, host: &str) -> Visitor {
        Visitor { peer: peer.parse::<IpAddr>().unwrap(), scheme: "https", host: host.to_owned() }
    }

    fn prepared(request: http::request::Builder, visitor: &Visitor) -> Parts {
        let request = request.body(()).unwrap();
        vet(&request, visitor).unwrap();
        let (mut head, ()) = request.into_parts();
        prepare(&mut head, visitor).unwrap();
        head
    }

    #[test]
    fn one_address_goes_down_and_it_is_ours() {
        let visitor = visitor("::ffff:192.0.2.1", "porch.example.org:8443");
        let mut request = Request::get("/a?b").header(HOST, "Porch.example.org:8443");
        for claim in
            ["X-Forwarded-For", "X-Forwarded-Port", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "CF-Ray"]
        {
            request = request.header(claim, "203.0.113.9");
        }
        let head = prepared(request, &visitor);
        assert_eq!(head.uri, "https://porch.example.org:8443/a?b");
        let mut headers: Vec<_> =
            head.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        assert_eq!(
            headers,
            [
                r#"x-forwarded-for: "192.0.2.1""#,
                r#"x-forwarded-host: "porch.example.org:8443""#,
                r#"x-forwarded-proto: "https""#,
            ]
        );
    }

    #[test]
    fn nothing_of_the_outer_connection_goes_down() {
        let request = Request::get("/")
            .header(HOST, "porch")
            .header(CONNECTION, "keep-alive, X-Private")
            .header(CONNECTION, "X-Other")
            .header("x-private", "1")
            .header("x-other", "1")
            .header("keep-alive", "1")
            .header(TE, "trailers")
            .header(EXPECT, "100-continue")
            .header(UPGRADE, "h2c")
            .header("accept", "*/*");
        let head = prepared(request, &visitor("192.0.2.1", "porch"));
        let kept: Vec<_> =
            head.headers.keys().filter(|name| !name.as_str().starts_with("x-forwarded-")).collect();
        assert_eq!(kept, ["accept"]);
    }

    #[test]
    fn hosts_must_agree() {
        let here = visitor("192.0.2.1", "porch");
        let two = Request::get("/").header(HOST, "porch").header(HOST, "porch");
        let elsewhere = Request::get("http://attic/").header(HOST, "porch");
        let other = Request::get("/").header(HOST, "attic");
        for wrong in [two, elsewhere, other, Request::get("/")] {
            assert!(matches!(vet(&wrong.body(()).unwrap(), &here), Err(Away::BadRequest(_))));
        }
        let http2 = Request::get("https://porch/").version(Version::HTTP_2);
        let absolute = Request::get("http://porch/").header(HOST, "PORCH");
        for right in [http2, absolute] {
            assert!(vet(&right.body(()).unwrap(), &here).is_ok());
        }
        for control in [DIRECT_CONTROL, "Agent.Invalid"] {
            let request = Request::get("/hello").header(HOST, control).body(()).unwrap();
            assert!(vet(&request, &visitor("192.0.2.1", control)).is_err());
        }
    }
}
