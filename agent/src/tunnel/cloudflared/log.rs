//! What a line of `cloudflared`'s log means to us.
//!
//! With `--output json` each line is an object with `level`, `message`, `error` and more; usage errors, last words and
//! panics are plain text. Lines are known by words in `message` and `error`, not by their order: both change from
//! version to version.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::Value;
use shared::secret::Secret;

use super::token::Token;

/// No more of a line is passed on.
const LONGEST: usize = 300;

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// Where its metrics server listens.
    Metrics(SocketAddr),
    /// A connection to Cloudflare stands.
    Registered,
    /// Cloudflare refuses the token; it would ask again for ever.
    Unauthorized(String),
    /// It goes by this configuration from now on; its ingress, where that can be read.
    Configured(Value),
    /// QUIC does not get through.
    NoQuic,
    /// It cannot reach Cloudflare, or is refused for another reason.
    NoEdge(String),
    /// Nothing that matters here, but an error.
    Wrong(String),
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    level: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    config: Value,
}

/// What a line means; nothing for one that means nothing to us.
pub fn meaning(line: &str) -> Option<Meaning> {
    // Also a line that was cut is told by its words.
    let said =
        serde_json::from_str(line).unwrap_or_else(|_| Said { message: line.to_owned(), ..Said::default() });
    let Said { level, message, error, config } = said;
    let either = |words: &str| message.contains(words) || error.contains(words);
    if let Some((_, rest)) = message.split_once("Starting metrics server on ") {
        let address: SocketAddr = rest.split('/').next()?.trim().parse().ok()?;
        return address.ip().is_loopback().then_some(Meaning::Metrics(address));
    }
    if message.contains("Registered tunnel connection") {
        return Some(Meaning::Registered);
    }
    if error.starts_with("Unauthorized") {
        return Some(Meaning::Unauthorized(error));
    }
    if message.contains("Updated to new configuration") {
        // It is a text with JSON in it.
        let config = config.as_str().and_then(|text| serde_json::from_str(text).ok());
        return Some(Meaning::Configured(config.unwrap_or_default()));
    }
    if either("failed to dial") && either("quic") {
        return Some(Meaning::NoQuic);
    }
    if either("Unable to establish connection with Cloudflare edge") || either("edge discovery") {
        return Some(Meaning::NoEdge(if error.is_empty() { message } else { error }));
    }
    let is_plain = level.is_empty();
    let is_wrong = matches!(&*level, "error" | "fatal" | "panic") || is_plain;
    let text = if error.is_empty() { message } else { error };
    (is_wrong && !text.trim().is_empty()).then_some(Meaning::Wrong(text))
}

/// Takes what must not be read out of what is passed on.
#[derive(Debug)]
pub struct Censor {
    secrets: [Secret; 2],
}

impl Censor {
    /// For a child with this token.
    pub fn new(token: &Token) -> Self {
        Self { secrets: [token.text.clone(), token.secret.clone()] }
    }

    /// A text for a person to read, without the token, and not too long.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose(), "…");
        }
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_lines_are_understood() {
        let meaning = |line: &str| meaning(line);
        assert_eq!(
            meaning(
                r#"{"level":"info","message":"Starting metrics server on 127.0.0.1:20299/metrics","time":"…"}"#
            ),
            Some(Meaning::Metrics("127.0.0.1:20299".parse().unwrap()))
        );
        assert_eq!(
            meaning(
                r#"{"connIndex":0,"connection":"de712e82","event":0,"ip":"127.0.0.1","level":"info","location":"lab01","message":"Registered tunnel connection","protocol":"http2","time":"…"}"#
            ),
            Some(Meaning::Registered)
        );
        assert_eq!(
            meaning(
                r#"{"connIndex":0,"error":"Unauthorized: Tunnel not found","event":0,"ip":"…","level":"error","message":"Register tunnel error from server side","time":"…"}"#
            ),
            Some(Meaning::Unauthorized("Unauthorized: Tunnel not found".into()))
        );
        let configured = meaning(
            r#"{"config":"{\"ingress\":[{\"service\":\"http_status:404\"}]}","level":"info","message":"Updated to new configuration","time":"…","version":1}"#,
        );
        assert!(
            matches!(&configured, Some(Meaning::Configured(config)) if config["ingress"][0]["service"] == "http_status:404"),
            "{configured:?}"
        );
        assert_eq!(
            meaning(
                r#"{"error":"failed to dial to edge with quic: timeout: no recent network activity","level":"error","message":"Failed to dial a quic connection"}"#
            ),
            Some(Meaning::NoQuic)
        );
        let down = meaning(
            r#"{"connIndex":2,"error":"Unable to reach the origin service. The service may be down or it may not be responding to traffic from cloudflared: dial tcp 127.0.0.1:9: connect: connection refused","event":1,"ingressRule":0,"level":"error","originService":"http://127.0.0.1:9","time":"…"}"#,
        );
        assert!(matches!(down, Some(Meaning::Wrong(text)) if text.contains("Unable to reach the origin")));
        assert!(matches!(
            meaning("Provided Tunnel token is not valid."),
            Some(Meaning::Wrong(text)) if text.starts_with("Provided")
        ));
        assert_eq!(meaning(r#"{"level":"info","message":"Version 2026.8.2"}"#), None);
        assert_eq!(meaning(""), None);
    }

    #[test]
    fn what_visitors_and_others_write_moves_nothing() {
        for line in [
            r#"{"level":"error","error":"Unable to reach the origin service: Unauthorized: Tunnel not found"}"#,
            r#"{"level":"info","message":"Starting metrics server on 192.0.2.1:80/metrics"}"#,
            r#"{"level":7,"message":["Registered tunnel connection"]"#,
        ] {
            let meant = meaning(line);
            assert!(
                !matches!(meant, Some(Meaning::Unauthorized(_) | Meaning::Metrics(_))),
                "{line}: {meant:?}"
            );
        }
    }

    #[test]
    fn what_is_passed_on_has_no_token_in_it() {
        let token = Token {
            text: Secret::from("eyJhIjoi".to_owned()),
            tunnel: String::new(),
            secret: Secret::from("c2VjcmV0".to_owned()),
        };
        let cleaned = Censor::new(&token).clean("token eyJhIjoi and c2VjcmV0\u{1b}[31m end");
        assert_eq!(cleaned, "token … and … [31m end");
        assert_eq!(Censor::new(&token).clean(&"x".repeat(1000)).len(), LONGEST);
    }
}
