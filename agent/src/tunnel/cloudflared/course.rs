//! The course of one `cloudflared`, from its start to the verdict that ends it. Pure: lines, looks and the time are
//! handed in.
//!
//! `cloudflared` ends by itself only before its first connection; from then on it tries for ever, whatever is wrong.
//! That a tunnel was deleted, or its secret renewed, is seen in its log alone.

use serde_json::Value;
use shared::relay::TunnelTrouble;
use tokio::time::Instant;

use super::health::Look;
use super::ingress::Allowed;
use super::log::Meaning;
use crate::config::cloudflared::{Protocol, Timings};
use crate::tunnel::{Status, Trouble};

/// So many looks without an answer, one after the other, and it hangs.
const SILENT_LOOKS: u32 = 3;

/// Why one must be ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Verdict {
    /// Cloudflare refuses the token. Ask the broker for another.
    #[error("Cloudflare refuses the tunnel's token ({0})")]
    Unauthorized(String),
    /// QUIC does not get through here.
    #[error("QUIC does not get through to Cloudflare")]
    NoQuic,
    /// It runs and says nothing.
    #[error("cloudflared hangs: {0}")]
    Hung(&'static str),
    /// It writes more than anybody can read.
    #[error("cloudflared floods its log")]
    Floods,
    /// The tunnel is to lead where it must not.
    #[error(
        "the tunnel is to lead to {0}, which is not Home Assistant: give the home the right port, or allow that address in the agent's settings (cloudflared.origins)"
    )]
    Breach(String),
}

/// What is known of a running one.
#[derive(Debug)]
pub struct Course {
    timings: Timings,
    protocol: Protocol,
    allowed: Allowed,
    began: Instant,
    /// The first connection.
    registered: Option<Instant>,
    /// Connections at the last look.
    ready: Option<u32>,
    answered: bool,
    silent: u32,
    no_quic: bool,
    configured: bool,
    refused: Option<String>,
    breach: Option<String>,
    origin: Option<String>,
    /// The last thing that went wrong, in its own words.
    wrong: Option<String>,
}

impl Course {
    /// One that has just been started.
    pub fn new(timings: Timings, protocol: Protocol, allowed: Allowed, now: Instant) -> Self {
        Self {
            timings,
            protocol,
            allowed,
            began: now,
            registered: None,
            ready: None,
            answered: false,
            silent: 0,
            no_quic: false,
            configured: false,
            refused: None,
            breach: None,
            origin: None,
            wrong: None,
        }
    }

    /// It wrote something; `words` are those of a line that says what is wrong, cleaned.
    pub fn hear(&mut self, meaning: &Meaning, clean: impl Fn(&str) -> String, now: Instant) {
        match meaning {
            Meaning::Metrics(_) => {}
            Meaning::Registered => {
                self.registered.get_or_insert(now);
                self.ready = Some(self.ready.unwrap_or_default().max(1));
                self.wrong = None;
            }
            Meaning::Unauthorized(error) => self.refused = Some(clean(error)),
            Meaning::Configured(config) => self.configure(config),
            Meaning::NoQuic => self.no_quic = true,
            Meaning::NoEdge(text) | Meaning::Wrong(text) => self.wrong = Some(clean(text)),
        }
    }

    /// Somebody looked.
    pub fn see(&mut self, look: &Look, now: Instant) {
        let Some(ready) = look.ready else {
            self.silent += 1;
            return;
        };
        (self.answered, self.silent, self.ready) = (true, 0, Some(ready));
        if ready > 0 {
            // The line that says so may have been one of too many.
            self.registered.get_or_insert(now);
        }
        if let Some(config) = &look.config {
            self.configure(config);
        }
        match &look.origin {
            Some(Ok(())) => self.origin = None,
            Some(Err(why)) => self.origin = Some(why.clone()),
            None => {}
        }
    }

    fn configure(&mut self, config: &Value) {
        self.configured = true;
        self.breach = self.allowed.breach(config);
    }

    /// Since when it has been connected for the first time.
    pub fn registered(&self) -> Option<Instant> {
        self.registered
    }

    /// What it said last that was wrong.
    pub fn last_words(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    /// Whether it must be ended, and why. `flooding`: for how long it has been writing too much.
    pub fn verdict(&self, flooding: Option<std::time::Duration>, now: Instant) -> Option<Verdict> {
        let since = now.duration_since(self.began);
        if let Some(why) = &self.breach {
            return Some(Verdict::Breach(why.clone()));
        }
        if let Some(why) = &self.refused {
            return Some(Verdict::Unauthorized(why.clone()));
        }
        let may_change = self.protocol == Protocol::Auto && self.registered.is_none();
        if may_change && self.no_quic && since >= self.timings.quic {
            return Some(Verdict::NoQuic);
        }
        if !self.answered && since >= self.timings.startup {
            return Some(Verdict::Hung("its metrics server never answered"));
        }
        if self.answered && self.silent >= SILENT_LOOKS {
            return Some(Verdict::Hung("its metrics server does not answer any more"));
        }
        flooding.filter(|flooding| *flooding >= self.timings.flood).map(|_| Verdict::Floods)
    }

    /// How the tunnel is.
    pub fn status(&self, now: Instant) -> Status {
        let trouble = |word, reason: String| Trouble { word, reason };
        let is_up = self.ready.is_some_and(|ready| ready > 0);
        if is_up {
            return match &self.origin {
                Some(why) => Status::Amiss(trouble(TunnelTrouble::Origin, why.clone())),
                None if self.is_bare(now) => {
                    let why = "the tunnel is connected, and Cloudflare has no configuration for it";
                    Status::Amiss(trouble(TunnelTrouble::Configuration, why.to_owned()))
                }
                None => Status::Connected,
            };
        }
        let said = self.wrong.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        let late = now.duration_since(self.began) >= self.timings.quic;
        match self.registered {
            Some(_) => {
                let why = format!("cloudflared has lost Cloudflare and tries to reach it again{said}");
                Status::Lost(trouble(TunnelTrouble::Edge, why))
            }
            None if late => {
                let why = format!("cloudflared does not reach Cloudflare{said}");
                Status::Lost(trouble(TunnelTrouble::Edge, why))
            }
            None => Status::Connecting,
        }
    }

    /// Connected for a while, and without a configuration.
    fn is_bare(&self, now: Instant) -> bool {
        let long = self.registered.is_some_and(|at| now.duration_since(at) >= self.timings.quic);
        long && !self.configured && self.answered
    }
}

#[cfg(test)]
mod tests;
