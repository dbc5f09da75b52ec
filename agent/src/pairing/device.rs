//! The device flow (RFC 8628): this machine shows a code, the owner types it on another.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use shared::oauth::{AGENT_CLIENT_ID, DEVICE_GRANT, DeviceAnswer, Scopes};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::{NotPaired, Provider, in_seconds};
use crate::cloud::tokens::{self, NoToken, in_words};
use crate::memory::Pairing;

/// RFC 8628 section 3.5: how much longer to wait after each `slow_down`.
const SLOWER: Duration = Duration::from_secs(5);

/// A code that waits for its owner.
#[derive(Debug)]
pub struct Waiting<'a> {
    provider: &'a Provider,
    answer: DeviceAnswer,
    interval: Duration,
    lapses: Instant,
}

/// Asks for a code (section 3.1).
///
/// # Errors
/// `NotPaired::Unreachable`, or the broker refused.
pub async fn begin(provider: &Provider) -> Result<Waiting<'_>> {
    let scope = Scopes::agent().to_string();
    let form = [("client_id", AGENT_CLIENT_ID), ("scope", scope.as_str())];
    let request = provider.http.post(provider.metadata.device_authorization_endpoint.clone()).form(&form);
    let answer = request.send().await.map_err(|err| NotPaired::Unreachable(in_words(&err)))?;
    let status = answer.status();
    if status.is_server_error() || status.as_u16() == 429 {
        bail!(NotPaired::Unreachable(status.to_string()));
    }
    if !status.is_success() {
        bail!("the broker gave no code: {status}");
    }
    let answer: DeviceAnswer =
        answer.json().await.map_err(|_| anyhow::anyhow!("the broker's answer is no code"))?;
    let interval = Duration::from_secs(answer.interval.max(1));
    let lapses = in_seconds(answer.expires_in);
    Ok(Waiting { provider, answer, interval, lapses })
}

impl Waiting<'_> {
    /// Where the owner types the code.
    pub fn address(&self) -> &str {
        &self.answer.verification_uri
    }

    /// The address with the code filled in.
    pub fn whole_address(&self) -> &str {
        &self.answer.verification_uri_complete
    }

    /// What the owner types.
    pub fn code(&self) -> &str {
        &self.answer.user_code
    }

    /// The invitation to print on a terminal: address, code and, where it fits, the QR code.
    pub fn words(&self) -> String {
        let qr = QrCode::new(self.whole_address().as_bytes())
            .map(|code| {
                // Light on dark is what most terminals are; phones read both.
                let image =
                    code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
                format!("\nor point a phone at\n\n{image}\n")
            })
            .unwrap_or_default();
        format!(
            "To pair this agent, open\n\n    {}\n\nand type the code\n\n    {}\n{qr}\nWaiting for you to confirm …",
            self.address(),
            self.code()
        )
    }

    /// Asks again and again until the owner has decided (sections 3.4 and 3.5).
    ///
    /// # Errors
    /// `NotPaired`, or the broker's own error.
    pub async fn finish(self) -> Result<Pairing> {
        let form = [
            ("grant_type", DEVICE_GRANT),
            ("device_code", self.answer.device_code.expose()),
            ("client_id", AGENT_CLIENT_ID),
        ];
        let mut interval = self.interval;
        loop {
            if Instant::now() + interval > self.lapses {
                bail!(NotPaired::Expired);
            }
            sleep(interval).await;
            let endpoint = self.provider.metadata.token_endpoint.clone();
            let refusal = match tokens::ask(&self.provider.http, endpoint, &form).await {
                Ok(answer) => return self.provider.paired(answer),
                Err(NoToken::Later(reason)) => {
                    debug!("asked in vain: {reason}");
                    continue;
                }
                Err(NoToken::Refused(refusal)) => refusal,
            };
            match refusal.error.as_str() {
                "authorization_pending" => {}
                "slow_down" => interval += SLOWER,
                "access_denied" => bail!(NotPaired::Denied),
                "expired_token" => bail!(NotPaired::Expired),
                _ => return Err(NoToken::Refused(refusal)).context("wait for the owner"),
            }
        }
    }
}
