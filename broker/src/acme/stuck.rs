//! Why an attempt did not come to a certificate, and how long to wait before the next.

use std::time::Duration;

use instant_acme::{Error, Problem};

use crate::chance;
use crate::store::Failure;

/// The pauses after one failure, two, and so on. A CA counts failed validations: Let's Encrypt allows five an hour.
const PAUSES: [u64; 8] = [5, 30, 180, 600, 1800, 3600, 4 * 3600, 12 * 3600];

/// Why an attempt did not come to a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// The lease ran out, and another broker has taken it.
    #[error("another broker is at work on the certificate")]
    Lost,
    /// The broker is to end.
    #[error("the broker stops")]
    Stopped,
    #[error("the database: {0}")]
    Store(#[from] Failure),
    /// The CA says no, or nothing.
    #[error("{}", said(.0))]
    Ca(#[from] Error),
    /// It looked for our DNS record and did not find what it wanted.
    #[error("the CA does not find the proof of {names}: {why}")]
    Unproved { names: String, why: String },
    #[error("the DNS record {name} cannot be {what}: {why}")]
    Record { name: String, what: &'static str, why: String },
    #[error(
        "nobody may write the DNS record {0}: no account of acme_dns_cloudflare (or cloudflare) has a zone with it, and acme_dns_hook is not set"
    )]
    NoWay(String),
    #[error("what the CA issued is no use: {0}")]
    Unfit(String),
    /// A key of ours cannot be used.
    #[error("{0:#}")]
    Key(anyhow::Error),
}

/// An error of the CA in words. Its library's are for programmers.
fn said(err: &Error) -> String {
    match err {
        Error::Api(problem) => format!("the CA says no: {}", in_words(problem)),
        Error::Timeout(_) => "the CA has not come to an end in time".to_owned(),
        Error::Other(other) => other.to_string(),
        err => format!("the CA's answer makes no sense: {err}"),
    }
}

/// What a problem document says, with its type (RFC 8555 section 6.7).
pub fn in_words(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("no reason given");
    let parts = problem.subproblems.iter().map(|part| format!("; {part}"));
    let parts: String = parts.collect();
    format!("{detail}{parts} ({})", problem.r#type.as_deref().unwrap_or("about:blank"))
}

impl Stuck {
    /// The same for the same reason, whatever else the text says: how often it is logged goes by it.
    pub fn reason(&self) -> String {
        match self {
            Self::Ca(Error::Api(problem)) => problem.r#type.clone().unwrap_or_default(),
            // Which names the CA has got to by then differs from one look to the next.
            Self::Unproved { .. } => "unproved".to_owned(),
            other => other.to_string(),
        }
    }

    /// Whether the order it happened to is at its end, so that the next attempt makes another.
    pub fn ends_order(&self) -> bool {
        match self {
            Self::Ca(Error::Api(problem)) => !is_passing(problem),
            Self::Unproved { .. } | Self::Unfit(_) | Self::Key(_) => true,
            _ => false,
        }
    }

    /// How long to wait after so many failures before this one. What was issued and is of no use (to a clock that is
    /// wrong, say) counts at the CA all the same: it is not asked for again soon.
    pub fn pause(&self, tries: u32) -> Duration {
        let last = PAUSES.len() - 1;
        let tries =
            if matches!(self, Self::Unfit(_)) { last } else { usize::try_from(tries).unwrap_or(last) };
        let seconds = PAUSES[tries.min(last)];
        Duration::from_secs(seconds).mul_f64(0.75 + (chance::bits() % 1000) as f64 / 2000.0)
    }
}

/// Whether the CA may say otherwise to the same question later.
pub fn is_passing(problem: &Problem) -> bool {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    matches!(kind, "rateLimited" | "serverInternal" | "badNonce" | "orderNotReady")
        || problem.status.is_some_and(|status| status >= 500 || status == 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_day() {
        let stuck = Stuck::NoWay("_acme-challenge.example.com".to_owned());
        assert!(stuck.pause(0) < Duration::from_secs(7));
        let (early, late) = (stuck.pause(2), stuck.pause(200));
        assert!((135..=225).contains(&early.as_secs()), "{early:?}");
        assert!((9 * 3600..=15 * 3600).contains(&late.as_secs()), "{late:?}");
        assert!(Stuck::Unfit("not yet".to_owned()).pause(0) > Duration::from_secs(9 * 3600));
    }

    #[test]
    fn a_reason_is_the_same_whatever_the_details() {
        let problem = |detail: &str| {
            let json =
                format!(r#"{{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "{detail}"}}"#);
            Stuck::Ca(Error::Api(serde_json::from_str(&json).unwrap()))
        };
        let (one, two) = (problem("retry after 10:01"), problem("retry after 10:02"));
        assert_eq!(one.reason(), two.reason());
        assert!(!one.ends_order());
        assert_eq!(
            one.to_string(),
            "the CA says no: retry after 10:01 (urn:ietf:params:acme:error:rateLimited)"
        );
    }
}
