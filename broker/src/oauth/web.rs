//! The provider's routes.

use http::StatusCode;

use super::{OAuth, metadata};
use crate::http::{Answer, Asked, Fault, empty, json};

/// `/oauth2/…`, `/device`, `/programs`, `/clients` and the metadata.
pub async fn answer(oauth: &OAuth, asked: &Asked) -> Result<Answer, Fault> {
    match (asked.method.as_str(), &asked.segments()[..]) {
        ("GET" | "HEAD", [".well-known", "oauth-authorization-server"]) => Ok(metadata::answer(&asked.site)),
        ("GET" | "HEAD" | "POST", ["oauth2", "authorize"]) => oauth.authorize(asked).await,
        ("GET" | "HEAD" | "POST", ["device"]) => oauth.device_page(asked).await,
        ("POST", ["oauth2", "token"]) => match oauth.exchange(asked).await {
            Ok(tokens) => Ok(json(StatusCode::OK, &tokens)),
            Err(wrong) => wrong.answer(),
        },
        ("POST", ["oauth2", "device_authorization"]) => match oauth.authorize_device(asked).await {
            Ok(codes) => Ok(json(StatusCode::OK, &codes)),
            Err(wrong) => wrong.answer(),
        },
        ("POST", ["oauth2", "revoke"]) => match oauth.revoke(asked).await {
            Ok(()) => Ok(empty(StatusCode::OK)),
            Err(wrong) => wrong.answer(),
        },
        ("POST", ["oauth2", "introspect"]) => match oauth.introspect(asked).await {
            Ok(told) => Ok(json(StatusCode::OK, &told)),
            Err(wrong) => wrong.answer(),
        },
        ("GET" | "HEAD", ["programs"]) => oauth.programs(asked).await,
        ("POST", ["programs", id, "revoke"]) => oauth.put_out(asked, id).await,
        ("GET" | "HEAD" | "POST", ["clients", below @ ..]) => oauth.clients_pages(asked, below).await,
        (_, [".well-known", "oauth-authorization-server"]) => Err(Fault::Method("GET, HEAD")),
        (_, ["oauth2", "authorize"] | ["device"]) => Err(Fault::Method("GET, HEAD, POST")),
        (_, ["oauth2", "token" | "device_authorization" | "introspect" | "revoke"]) => {
            Err(Fault::Method("POST"))
        }
        (_, ["programs"]) => Err(Fault::Method("GET, HEAD")),
        (_, ["programs", _, "revoke"]) => Err(Fault::Method("POST")),
        (_, ["clients", ..]) => Err(Fault::Method("GET, HEAD, POST")),
        _ => Err(Fault::NotFound),
    }
}
