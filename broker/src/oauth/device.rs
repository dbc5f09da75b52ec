//! The device grant (RFC 8628): a machine without a browser shows a code, a person types it here.
//!
//! Invariant: opening a page decides nothing; the first decision stands; and whoever guesses codes runs out of
//! tries before the odds are worth anything (DG-10).

pub(super) mod rows;

use std::num::NonZeroU32;
use std::time::Duration;

use askama::Template;
use http::{Method, StatusCode};
use shared::oauth::{DeviceAnswer, path};
use tracing::info;

use super::client::{Client, GrantType};
use super::consent::{Setting, Subject, Waiting, note_consent, notice};
use super::refusal::Wrong;
use super::user_code::UserCode;
use super::{OAuth, client};
use crate::accounts::SignedIn;
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::http::form::Form;
use crate::http::limit::place;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault};
use crate::store;

/// Seconds between polls (O2).
const INTERVAL: Duration = Duration::from_secs(5);
/// How many devices may wait at once, and from one place. One more is told to come back.
const MOST_WAITING: i64 = 10_000;
const MOST_WAITING_HERE: i64 = 50;
const COME_BACK: Duration = Duration::from_secs(60);
/// A decision whose page was closed before it came to anything is void after so long.
const STALE_SECONDS: u32 = 10;

/// Requests a minute from one place.
pub const REQUESTS: (NonZeroU32, Duration) =
    (NonZeroU32::new(10).expect("ten is not zero"), Duration::from_secs(6));
/// Wrong codes of one account.
pub const WRONG_CODES: (u32, Duration) = (5, Duration::from_secs(600));
/// Wrong codes from one place.
pub const WRONG_CODES_HERE: (u32, Duration) = (50, Duration::from_secs(3600));

#[derive(Template)]
#[template(path = "oauth/device.html")]
struct DevicePage {
    frame: Frame,
    typed: String,
    wrong: Option<&'static str>,
}

/// What a typed code leads to.
#[expect(clippy::large_enum_variant, reason = "it lives for one request and is never stored")]
enum Found {
    /// A device that waits.
    Open { code: UserCode, client: Client, seen: rows::Seen },
    /// One that this very person has let in: they pressed twice.
    LetInByYou,
    /// None: never there, lapsed, or decided.
    Nothing,
}

impl OAuth {
    /// `POST /oauth2/device_authorization`: flow B, steps 1 and 2.
    pub(super) async fn authorize_device(&self, asked: &Asked) -> Result<DeviceAnswer, Wrong> {
        self.limited(asked, async |form, claim| {
            self.0.device_requests.take(&place(asked.peer.ip))?;
            let client = self.authenticate(claim).await?;
            client.may(GrantType::Device)?;
            self.is_for_us(form)?;
            let scopes = client.asked_scopes(form.optional("scope")?)?;
            let device_code = chance::token(Kind::Device);
            let hash = chance::hash(device_code.expose());
            let user_code = loop {
                let user_code = UserCode::draw();
                let now = self.0.clock.now();
                let new = rows::New {
                    hash: &hash,
                    user_code: &user_code,
                    client: &client.id,
                    scopes: &scopes,
                    asked_from: &place(asked.peer.ip).to_string(),
                    asked_at: now,
                    expires_at: now.after(self.0.lifetimes.device),
                    interval: INTERVAL,
                };
                if self.add_device(&new).await? {
                    break user_code;
                }
            };
            let verification_uri = self.0.site.address(path::DEVICE);
            Ok(DeviceAnswer {
                device_code,
                verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
                user_code: user_code.to_string(),
                verification_uri,
                expires_in: self.0.lifetimes.device.as_secs(),
                interval: INTERVAL.as_secs(),
            })
        })
        .await
    }

    /// False when the user code is one that is in use: draw another (DG-17).
    async fn add_device(&self, new: &rows::New<'_>) -> Result<bool, Wrong> {
        let mut tx = self.0.store.begin().await?;
        let (all, here) = rows::waiting(&mut tx, new.asked_from, new.asked_at).await?;
        if all >= MOST_WAITING || here >= MOST_WAITING_HERE {
            return Err(Fault::TooMany(COME_BACK).into());
        }
        match rows::add(&mut tx, new).await {
            Err(failure) if store::is_taken(&failure) => Ok(false),
            added => {
                added?;
                tx.commit().await?;
                Ok(true)
            }
        }
    }

    /// `GET` and `POST /device`: flow B, steps 3 and 4.
    pub(super) async fn device_page(&self, asked: &Asked) -> Result<Answer, Fault> {
        let form = if asked.method == Method::POST { asked.form()? } else { asked.query_form()? };
        let typed = form.optional("user_code")?.unwrap_or("");
        let person = self.0.accounts.signed_in(asked).await?.ok_or_else(|| Fault::SignIn(here(typed)))?;
        let mut decision = None;
        if asked.method == Method::POST {
            person.check(asked, Some(&form))?;
            decision = form.optional("decision")?;
        }
        if typed.is_empty() {
            return Ok(enter(asked, &person, "", None));
        }
        match self.find(asked, &person, typed).await? {
            Found::Nothing => Ok(enter(asked, &person, typed, Some("oauth-code-unknown"))),
            Found::LetInByYou => Ok(done(asked, true)),
            Found::Open { code, client, seen } => {
                let subject = Subject { client: &client, scopes: &seen.scopes };
                match decision {
                    None => self.ask(asked, &person, subject, self.setting(asked, &code, &seen)).await,
                    Some("allow") => self.let_in(asked, &person, &form, subject, &code, &seen).await,
                    Some(_) => self.keep_out(asked, &person, &code).await,
                }
            }
        }
    }

    /// The device of a code. A wrong one costs a try, a right one does not.
    async fn find(&self, asked: &Asked, person: &SignedIn, typed: &str) -> Result<Found, Fault> {
        let (now, from) = (self.0.clock.now(), place(asked.peer.ip));
        self.0.wrong_codes.take(&person.account, now)?;
        self.0.wrong_codes_here.take(&from, now)?;
        let found = self.look_up(person, typed).await?;
        if !matches!(found, Found::Nothing) {
            self.0.wrong_codes.forgive(&person.account);
            self.0.wrong_codes_here.forgive(&from);
        }
        Ok(found)
    }

    async fn look_up(&self, person: &SignedIn, typed: &str) -> Result<Found, Fault> {
        let Some(code) = UserCode::parse(typed) else { return Ok(Found::Nothing) };
        let now = self.0.clock.now();
        let mut db = self.0.store.read().await?;
        let Some(seen) = rows::see(&mut db, &code, now, stale(now)).await? else {
            return Ok(Found::Nothing);
        };
        if !seen.is_open {
            let by_you = seen.decided_by == Some(person.account.number());
            return Ok(if by_you { Found::LetInByYou } else { Found::Nothing });
        }
        let client = client::rows::find(&mut db, &seen.client).await?.filter(|client| !client.disabled);
        Ok(client.map_or(Found::Nothing, |client| Found::Open { code, client, seen }))
    }

    /// Claims first, so that of two who decide at once (or one who presses twice) only one makes a home.
    async fn let_in(
        &self,
        asked: &Asked,
        person: &SignedIn,
        form: &Form,
        subject: Subject<'_>,
        code: &UserCode,
        seen: &rows::Seen,
    ) -> Result<Answer, Fault> {
        let choice = match subject.choice(form) {
            Ok(choice) => choice,
            Err(not_yet) => {
                let setting = self.setting(asked, code, seen);
                return self.ask_again(asked, person, subject, setting, not_yet).await;
            }
        };
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        if !rows::claim(&mut tx, code, person.account, now, stale(now)).await? {
            return Ok(enter(asked, person, "", Some("oauth-code-decided")));
        }
        tx.commit().await?;
        let approved = self.approve(person, subject.client, choice).await;
        let mut tx = self.0.store.begin().await?;
        match approved {
            Ok(approval) => {
                let stands = rows::approve(&mut tx, code, &approval).await?;
                if stands {
                    note_consent(&mut tx, asked, subject.client, &approval, self.0.clock.now()).await?;
                }
                tx.commit().await?;
                info!(client = subject.client.id, account.id = %person.account, stands, "a device is let in");
                Ok(done(asked, stands))
            }
            Err(not_yet) => {
                rows::release(&mut tx, code, person.account).await?;
                tx.commit().await?;
                self.ask_again(asked, person, subject, self.setting(asked, code, seen), not_yet).await
            }
        }
    }

    async fn keep_out(&self, asked: &Asked, person: &SignedIn, code: &UserCode) -> Result<Answer, Fault> {
        let mut tx = self.0.store.begin().await?;
        let denied = rows::deny(&mut tx, code, self.0.clock.now()).await?;
        tx.commit().await?;
        match denied {
            true => Ok(done(asked, false)),
            false => Ok(enter(asked, person, "", Some("oauth-code-decided"))),
        }
    }

    fn setting(&self, asked: &Asked, code: &UserCode, seen: &rows::Seen) -> Setting {
        Setting {
            action: path::DEVICE,
            fields: vec![("user_code", code.to_string())],
            here: here(&code.to_string()),
            leads_to: None,
            device: Some(Waiting {
                code: code.clone(),
                is_near: seen.asked_from == place(asked.peer.ip).to_string(),
                from: seen.asked_from.clone(),
                age: self.0.clock.now().since(seen.asked_at),
            }),
            wrong: None,
            take_over: None,
        }
    }
}

/// The page's own address, with what was typed.
fn here(typed: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("user_code", typed).finish();
    if typed.is_empty() { path::DEVICE.to_owned() } else { format!("{}?{query}", path::DEVICE) }
}

/// Claims from before this moment led nowhere.
fn stale(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.millis() - i64::from(STALE_SECONDS) * 1000)
}

fn enter(asked: &Asked, person: &SignedIn, typed: &str, wrong: Option<&'static str>) -> Answer {
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    page(status, &DevicePage { frame: person.frame(asked), typed: typed.to_owned(), wrong })
}

fn done(asked: &Asked, is_let_in: bool) -> Answer {
    let (title, text) = match is_let_in {
        true => ("oauth-device-done", "oauth-device-done-text"),
        false => ("oauth-device-denied", "oauth-device-denied-text"),
    };
    notice(StatusCode::OK, Frame::bare(asked.words()), title, text)
}
