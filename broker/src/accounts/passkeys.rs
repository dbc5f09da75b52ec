//! Passkeys (WebAuthn level 3): instead of a password, or as its second step.
//!
//! A passkey always asks the person too (a finger, a face, a PIN), so one alone is two factors. What a ceremony
//! must remember waits in our database, never in the browser, and is good for one answer.
//!
//! The library is webauthn-rs (kanidm's; audited, no attestation here): the answer's origin must be ours to the
//! letter, so that homes under names of a domain we share cannot pass ours on.

mod rows;

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use serde_json::{Value, json};
use shared::id::AccountId;
use tracing::info;
use url::Url;
use webauthn_rs::prelude::{
    CredentialID, DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Uuid,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::{Accounts, SignedIn};
use crate::audit::Act;
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::http::Fault;
use crate::http::escape::is_unshowable;
use crate::http::words::Words;

pub(super) use rows::forget;

/// How long the browser and the person may take.
const CEREMONY: Duration = Duration::from_secs(300);
const MOST: usize = 20;

/// A passkey, for the list of them.
pub struct Listed {
    /// Names it in a form; opens nothing.
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

/// What a script gets to begin with.
#[derive(Serialize)]
pub struct Begun {
    /// For `navigator.credentials`.
    options: Value,
    /// Goes back with the answer.
    ceremony: String,
}

/// The relying party, where the public address can be one: passkeys need a name, not a number.
pub fn relying_party(public_url: &Url) -> Option<Webauthn> {
    let name = public_url.domain()?;
    let built = WebauthnBuilder::new(name, public_url).and_then(|party| party.rp_name("Latchkey").build());
    built.map_err(|err| tracing::error!("passkeys are off: {err}")).ok()
}

impl Accounts {
    fn party(&self) -> Result<&Webauthn, Fault> {
        self.0.passkeys.as_ref().ok_or(Fault::NotFound)
    }

    /// Whether passkeys can be used here at all.
    pub(super) fn has_passkeys(&self) -> bool {
        self.0.passkeys.is_some()
    }

    async fn begin<S: Serialize>(
        &self,
        account: Option<AccountId>,
        options: impl Serialize,
        state: &S,
    ) -> Result<Begun, Fault> {
        let token = chance::token(Kind::Step);
        let state = serde_json::to_string(state).map_err(anyhow::Error::from)?;
        let mut tx = self.0.store.begin().await?;
        let until = self.0.clock.now().after(CEREMONY);
        rows::add_ceremony(&mut tx, &chance::hash(token.expose()), account, &state, until).await?;
        tx.commit().await?;
        let options = serde_json::to_value(options).map_err(anyhow::Error::from)?;
        Ok(Begun { options, ceremony: token.expose().to_owned() })
    }

    /// What was begun, once.
    async fn resume<S: serde::de::DeserializeOwned>(
        &self,
        token: &str,
        account: Option<AccountId>,
    ) -> Result<S, Fault> {
        let mut tx = self.0.store.begin().await?;
        let state = rows::take_ceremony(&mut tx, &chance::hash(token), account, self.0.clock.now()).await?;
        tx.commit().await?;
        // One that was begun for something else is as good as none.
        let state = state.and_then(|state| serde_json::from_str(&state).ok());
        state.ok_or_else(|| Fault::bad("this took too long; try once more"))
    }

    /// Begins to make a passkey.
    pub(super) async fn begin_passkey(&self, person: &SignedIn) -> Result<Begun, Fault> {
        let known = rows::of(&mut *self.0.store.read().await?, person.account).await?;
        if known.len() >= MOST {
            return Err(too_many());
        }
        let known: Vec<CredentialID> = known.into_iter().map(|row| row.id).collect();
        let begun = self.party()?.start_passkey_registration(
            handle(person.account),
            &person.email,
            &person.name,
            Some(known),
        );
        let (options, state) = begun.map_err(|err| anyhow!("begin a passkey: {err}"))?;
        let mut options = serde_json::to_value(options).map_err(anyhow::Error::from)?;
        // Kept by the authenticator where it can: only then can one sign in without typing an address.
        options["publicKey"]["authenticatorSelection"]["residentKey"] = json!("preferred");
        options["publicKey"]["authenticatorSelection"]["requireResidentKey"] = json!(false);
        self.begin(Some(person.account), options, &state).await
    }

    /// Keeps a new passkey. Recovery codes, where the account had none.
    ///
    /// # Errors
    /// [`Fault::Bad`] when the browser's answer is not good, or there are too many.
    pub(super) async fn add_passkey(
        &self,
        person: &SignedIn,
        token: &str,
        name: &str,
        answer: &RegisterPublicKeyCredential,
        w: &'static Words,
    ) -> Result<Vec<String>, Fault> {
        let state: PasskeyRegistration = self.resume(token, Some(person.account)).await?;
        let passkey =
            self.party()?.finish_passkey_registration(answer, &state).map_err(|err| refused(&err))?;
        let name: String = name.trim().chars().filter(|c| !is_unshowable(*c)).take(60).collect();
        let row = rows::Row {
            id: passkey.cred_id().to_vec(),
            account: person.account,
            name: if name.is_empty() { w.say("account-passkey-default") } else { name },
            credential: serde_json::to_string(&passkey).map_err(anyhow::Error::from)?,
            created_at: self.0.clock.now(),
            used_at: None,
        };
        self.keep_passkey(person, &row, w).await
    }

    async fn keep_passkey(
        &self,
        person: &SignedIn,
        row: &rows::Row,
        w: &'static Words,
    ) -> Result<Vec<String>, Fault> {
        let mut tx = self.0.store.begin().await?;
        super::rows::hold(&mut tx, person.account).await?;
        // Several may have been begun while there was room for one.
        if rows::of(&mut tx, person.account).await?.len() >= MOST {
            return Err(too_many());
        }
        match rows::add(&mut tx, row).await {
            Err(failure) if crate::store::is_taken(&failure) => {
                return Err(Fault::bad("this passkey is known already"));
            }
            added => added?,
        }
        let codes = self.first_codes(&mut tx, person.account).await?;
        self.notice(&mut tx, person.account, w, "mail-changed-passkey-on").await?;
        self.note(&mut tx, person.entry(Act::FactorChanged).with("passkey", "on")).await?;
        tx.commit().await?;
        self.0.mail.wake();
        Ok(codes)
    }

    #[cfg(test)]
    pub(super) async fn passkey_for_tests(&self, person: &SignedIn, id: u8) -> Result<Vec<String>, Fault> {
        let row = rows::Row {
            id: vec![id],
            account: person.account,
            name: "Key".to_owned(),
            credential: "{}".to_owned(),
            created_at: self.0.clock.now(),
            used_at: None,
        };
        self.keep_passkey(person, &row, crate::http::words::english()).await
    }

    /// A person's passkeys, the oldest first.
    pub(super) async fn passkeys(&self, account: AccountId) -> Result<Vec<Listed>, Fault> {
        let rows = rows::of(&mut *self.0.store.read().await?, account).await?;
        let listed = |row: rows::Row| Listed {
            id: rows::name(&row.id),
            name: row.name,
            created_at: row.created_at,
            used_at: row.used_at,
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    /// Forgets a passkey. False when the account would be left with a password too short to stand alone.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for somebody else's, or none.
    pub(super) async fn remove_passkey(
        &self,
        person: &SignedIn,
        id: &str,
        w: &'static Words,
    ) -> Result<bool, Fault> {
        let mut tx = self.0.store.begin().await?;
        super::rows::hold(&mut tx, person.account).await?;
        if !rows::remove(&mut tx, person.account, id).await? {
            return Err(Fault::NotFound);
        }
        if !self.may_stand(&mut tx, person.account).await? {
            return Ok(false);
        }
        self.notice(&mut tx, person.account, w, "mail-changed-passkey-off").await?;
        self.note(&mut tx, person.entry(Act::FactorChanged).with("passkey", "off")).await?;
        tx.commit().await?;
        self.0.mail.wake();
        Ok(true)
    }

    /// Begins to sign in without a password: the browser finds out who.
    pub(super) async fn begin_anyone(&self) -> Result<Begun, Fault> {
        let begun = self.party()?.start_discoverable_authentication();
        let (options, state) = begun.map_err(|err| anyhow!("begin a sign-in by passkey: {err}"))?;
        self.begin(None, options, &state).await
    }

    /// Who signed in with a passkey.
    ///
    /// # Errors
    /// [`Fault::Bad`], the same for an unknown passkey and a wrong answer.
    pub(super) async fn anyone(&self, token: &str, answer: &PublicKeyCredential) -> Result<AccountId, Fault> {
        let state: DiscoverableAuthentication = self.resume(token, None).await?;
        let party = self.party()?;
        let (_, id) = party.identify_discoverable_authentication(answer).map_err(|err| refused(&err))?;
        let known = rows::find(&mut *self.0.store.read().await?, id).await?;
        let row = known.ok_or_else(|| Fault::bad("this passkey opens no account here"))?;
        let mut passkey = read(&row)?;
        let result = party.finish_discoverable_authentication_v2(answer, state, &passkey);
        self.used(&row, &mut passkey, result.map_err(|err| refused(&err))?).await?;
        Ok(row.account)
    }

    /// Begins the second step of an account.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when it has no passkey.
    pub(super) async fn begin_second(&self, account: AccountId) -> Result<Begun, Fault> {
        let rows = rows::of(&mut *self.0.store.read().await?, account).await?;
        let passkeys: Vec<Passkey> = rows.iter().map(read).collect::<Result<_, _>>()?;
        if passkeys.is_empty() {
            return Err(Fault::NotFound);
        }
        let begun = self.party()?.start_passkey_authentication(&passkeys);
        let (options, state) = begun.map_err(|err| anyhow!("begin a second step by passkey: {err}"))?;
        self.begin(Some(account), options, &state).await
    }

    /// Whether the answer is of one of the account's passkeys.
    ///
    /// # Errors
    /// [`Fault::Bad`] when it is not.
    pub(super) async fn second_by_passkey(
        &self,
        account: AccountId,
        token: &str,
        answer: &PublicKeyCredential,
    ) -> Result<(), Fault> {
        let state: PasskeyAuthentication = self.resume(token, Some(account)).await?;
        let result =
            self.party()?.finish_passkey_authentication(answer, &state).map_err(|err| refused(&err))?;
        let known = rows::find(&mut *self.0.store.read().await?, result.cred_id()).await?;
        let row = known
            .filter(|row| row.account == account)
            .ok_or_else(|| Fault::bad("this passkey was removed"))?;
        let mut passkey = read(&row)?;
        self.used(&row, &mut passkey, result).await
    }

    /// Notes the use, and the counter that tells a copy of the key.
    async fn used(
        &self,
        row: &rows::Row,
        passkey: &mut Passkey,
        result: webauthn_rs::prelude::AuthenticationResult,
    ) -> Result<(), Fault> {
        passkey.update_credential(&result);
        let credential = serde_json::to_string(passkey).map_err(anyhow::Error::from)?;
        let mut tx = self.0.store.begin().await?;
        rows::set_used(&mut tx, &row.id, &credential, self.0.clock.now()).await?;
        Ok(tx.commit().await?)
    }
}

fn too_many() -> Fault {
    Fault::bad(format!("an account has at most {MOST} passkeys"))
}

fn read(row: &rows::Row) -> Result<Passkey, Fault> {
    Ok(serde_json::from_str(&row.credential).map_err(|err| anyhow!("read a passkey: {err}"))?)
}

/// What the authenticator files the passkey under: no name, no address.
fn handle(account: AccountId) -> Uuid {
    Uuid::from_u64_pair(0, account.number().unsigned_abs())
}

fn refused(err: &dyn std::fmt::Debug) -> Fault {
    info!("a passkey was refused: {err:?}");
    Fault::bad("the passkey was refused")
}
