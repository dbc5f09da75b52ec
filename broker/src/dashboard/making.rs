//! A home whose tunnel is being made, deleted, or cannot be made: how far it is, why it waits, and trying again.

use http::StatusCode;
use serde::Serialize;
use shared::id::HomeId;

use super::Inner;
use super::web::Visit;
use crate::homes::{Home, Owned, State};
use crate::http::words::Words;
use crate::http::{Answer, Fault, json, see_other};
use crate::tunnels::provider::STEPS;

/// What the home's page says of it, and `assets/making.js` asks for again and again.
#[derive(Debug, Serialize)]
pub struct Making {
    /// `provisioning`, `error` or `deleting`; when it changes the page loads again.
    pub state: &'static str,
    /// Steps done.
    pub step: u8,
    /// Of so many.
    pub steps: u8,
    /// What is going on.
    pub words: String,
    /// What is wrong, in words.
    pub wrong: Option<String>,
    /// The same as the provider said it.
    pub detail: Option<String>,
}

impl Making {
    /// None for a home that is as wanted, and for the direct tunnel, which needs no making.
    pub async fn of(dashboard: &Inner, home: &Home, w: &Words) -> Result<Option<Self>, Fault> {
        if home.domain.is_none() && home.state != State::Deleting || home.state == State::Active {
            return Ok(None);
        }
        let (state, words) = match home.state {
            State::Deleting => (State::Deleting, w.say("making-deleting")),
            State::Error => (State::Error, w.say("making-stuck")),
            // That somebody has begun is no news to a page that waits.
            _ => (State::Provisioning, w.say("making-busy")),
        };
        Ok(Some(Self {
            state: state.word(),
            step: dashboard.tunnels.provider().steps_done(home.id).await?,
            steps: STEPS,
            words,
            wrong: home.error_code.as_deref().map(|code| wrong(w, code)),
            // The sentence above says it all.
            detail: home.error.clone().filter(|_| home.error_code.as_deref() != Some("foreign_record")),
        }))
    }
}

/// What a code of [`crate::tunnels::provider`] means for the owner.
fn wrong(w: &Words, code: &str) -> String {
    match code {
        "provider_silent" => w.say("making-provider-silent"),
        "provider_busy" => w.say("making-provider-busy"),
        "provider_full" => w.say("making-provider-full"),
        "provider_denied" => w.say("making-provider-denied"),
        "still_connected" => w.say("making-still-connected"),
        "foreign_record" => w.say("making-foreign-record"),
        "no_account" => w.say("making-no-account"),
        _ => w.say("making-provider-refused"),
    }
}

/// `GET /homes/{id}/making`: JSON, `{"state": "active"}` alone where there is nothing to wait for.
pub async fn now(dashboard: &Inner, visit: &Visit<'_>, id: HomeId) -> Result<Answer, Fault> {
    let home = dashboard.homes.visible(id, &visit.signed_in.caller()).await?;
    match Making::of(dashboard, &home, visit.asked.words()).await? {
        Some(making) => Ok(json(StatusCode::OK, &making)),
        None => Ok(json(StatusCode::OK, &serde_json::json!({"state": home.state.word()}))),
    }
}

/// `POST /homes/{id}/retry`: what would be tried later is tried now.
pub async fn retry(dashboard: &Inner, visit: &Visit<'_>, owned: &Owned) -> Result<Answer, Fault> {
    visit.signed_in.check(visit.asked, Some(&visit.asked.form()?))?;
    dashboard.tunnels.provider().hurry(owned.id).await?;
    Ok(see_other(&format!("/homes/{}", owned.id)))
}
