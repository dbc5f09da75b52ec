//! Metadata (RFC 8414): what the provider offers, and nothing that it does not.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use shared::oauth::{Scope, path};

use super::client::GrantType;
use crate::http::{Answer, Site, json};

/// The ways a client may authenticate; those of `client/claim.rs`.
const AUTHENTICATION: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];
/// Asking about tokens needs a proof.
const PROVED: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// The document of RFC 8414 section 2.
#[derive(Serialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    device_authorization_endpoint: String,
    scopes_supported: Vec<&'static str>,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
}

/// `GET /.well-known/oauth-authorization-server`. The issuer is the configured address, never the Host header
/// (MD-13). Any page may read it, for an hour (MD-10).
pub fn answer(site: &Site) -> Answer {
    let grantable = Scope::ALL.into_iter().filter(|scope| *scope != Scope::TunnelsManage);
    let metadata = Metadata {
        issuer: site.origin(),
        authorization_endpoint: site.address(path::AUTHORIZE),
        token_endpoint: site.address(path::TOKEN),
        revocation_endpoint: site.address(path::REVOKE),
        introspection_endpoint: site.address(path::INTROSPECT),
        device_authorization_endpoint: site.address(path::DEVICE_AUTHORIZATION),
        scopes_supported: grantable.map(Scope::word).collect(),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: GrantType::ALL.into_iter().map(GrantType::word).collect(),
        token_endpoint_auth_methods_supported: AUTHENTICATION,
        revocation_endpoint_auth_methods_supported: AUTHENTICATION,
        introspection_endpoint_auth_methods_supported: PROVED,
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
    };
    let mut answer = json(StatusCode::OK, &metadata);
    let headers = answer.headers_mut();
    headers.remove(header::PRAGMA);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}
