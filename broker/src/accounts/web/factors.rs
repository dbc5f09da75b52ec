//! Setting up and taking away second factors. All of it asks for a proof of the last ten minutes.

use askama::Template;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::StatusCode;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::RegisterPublicKeyCredential;

use super::Accounts;
use super::account::show_wrong;
use crate::accounts::SignedIn;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, json, see_other};

#[derive(Template)]
#[template(path = "accounts/totp.html")]
struct TotpPage {
    frame: Frame,
    /// The secret, for whoever cannot scan.
    text: String,
    /// The secret as a QR code, a `data:` URI.
    qr: String,
    wrong: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "accounts/codes.html")]
struct CodesPage {
    frame: Frame,
    codes: Vec<String>,
}

#[derive(Template)]
#[template(path = "accounts/new-passkey.html")]
struct NewPasskeyPage {
    frame: Frame,
}

/// What a script sends with a new passkey.
#[derive(Deserialize)]
struct Made {
    ceremony: String,
    credential: RegisterPublicKeyCredential,
    #[serde(default)]
    name: String,
}

/// Where a script goes on to.
#[derive(Serialize)]
struct On {
    next: &'static str,
    /// New recovery codes, shown this once.
    codes: Vec<String>,
}

pub async fn answer(accounts: &Accounts, asked: &Asked, segments: &[&str]) -> Result<Answer, Fault> {
    let back = match segments {
        ["passkeys", ..] => "/account/passkeys/new",
        ["second-factor", "codes"] => "/account#second-factor",
        _ => "/account/second-factor",
    };
    let person = accounts.require_fresh(asked, back).await?;
    match (asked.method.as_str(), segments) {
        ("GET" | "HEAD", ["second-factor"]) => show_totp(accounts, asked, &person, None).await,
        ("POST", ["second-factor"]) => confirm_totp(accounts, asked, &person).await,
        ("POST", ["second-factor", "off"]) => remove_totp(accounts, asked, &person).await,
        ("POST", ["second-factor", "codes"]) => new_codes(accounts, asked, &person).await,
        ("GET" | "HEAD", ["passkeys", "new"]) => {
            Ok(page(StatusCode::OK, &NewPasskeyPage { frame: person.frame(asked) }))
        }
        ("POST", ["passkeys", "begin"]) => {
            person.check(asked, None)?;
            accounts.try_passkey(asked.peer.ip).await?;
            Ok(json(StatusCode::OK, &accounts.begin_passkey(&person).await?))
        }
        ("POST", ["passkeys", "answer"]) => add_passkey(accounts, asked, &person).await,
        ("POST", ["passkeys", "remove"]) => remove_passkey(accounts, asked, &person).await,
        (_, ["second-factor", "off" | "codes"] | ["passkeys", "begin" | "answer" | "remove"]) => {
            Err(Fault::Method("POST"))
        }
        _ => Err(Fault::NotFound),
    }
}

async fn show_totp(
    accounts: &Accounts,
    asked: &Asked,
    person: &SignedIn,
    wrong: Option<&'static str>,
) -> Result<Answer, Fault> {
    if accounts.second(person.account).await?.totp {
        return Ok(see_other("/account#second-factor"));
    }
    let setup = accounts.setup(person).await?;
    let code = QrCode::new(&setup.address).map_err(anyhow::Error::from)?;
    let svg = code.render::<svg::Color<'_>>().min_dimensions(240, 240).quiet_zone(true).build();
    let shown = TotpPage {
        frame: person.frame(asked),
        text: setup.text,
        qr: format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg)),
        wrong,
    };
    Ok(page(if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &shown))
}

async fn confirm_totp(accounts: &Accounts, asked: &Asked, person: &SignedIn) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    let tried = accounts.try_code(asked, person.account).await?;
    let codes = accounts.confirm_totp(person, sent.optional("code")?.unwrap_or(""), asked.words()).await?;
    let Some(codes) = codes else {
        return show_totp(accounts, asked, person, Some("accounts-wrong-code")).await;
    };
    accounts.forgive(tried).await?;
    let mut answer = shown_codes(asked, person, codes);
    accounts.renew(asked, person, &mut answer).await?;
    Ok(answer)
}

/// New recovery codes, shown this once; without any, back to the account.
fn shown_codes(asked: &Asked, person: &SignedIn, codes: Vec<String>) -> Answer {
    if codes.is_empty() {
        return see_other("/account?done=second#second-factor");
    }
    page(StatusCode::OK, &CodesPage { frame: person.frame(asked), codes })
}

async fn remove_totp(accounts: &Accounts, asked: &Asked, person: &SignedIn) -> Result<Answer, Fault> {
    person.check(asked, Some(&asked.form()?))?;
    match accounts.remove_totp(person, asked.words()).await? {
        true => Ok(see_other("/account?done=second#second-factor")),
        false => show_wrong(accounts, asked, person, "account-password-too-short").await,
    }
}

async fn new_codes(accounts: &Accounts, asked: &Asked, person: &SignedIn) -> Result<Answer, Fault> {
    person.check(asked, Some(&asked.form()?))?;
    if !accounts.second(person.account).await?.is_on() {
        return Err(Fault::NotFound);
    }
    Ok(shown_codes(asked, person, accounts.new_codes(person, asked.words()).await?))
}

async fn add_passkey(accounts: &Accounts, asked: &Asked, person: &SignedIn) -> Result<Answer, Fault> {
    person.check(asked, None)?;
    let made: Made = asked.json()?;
    let (ceremony, credential) = (&made.ceremony, &made.credential);
    let codes = accounts.add_passkey(person, ceremony, &made.name, credential, asked.words()).await?;
    Ok(json(StatusCode::OK, &On { next: "/account?done=second#second-factor", codes }))
}

async fn remove_passkey(accounts: &Accounts, asked: &Asked, person: &SignedIn) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    match accounts.remove_passkey(person, sent.required("passkey")?, asked.words()).await? {
        true => Ok(see_other("/account?done=second#second-factor")),
        false => show_wrong(accounts, asked, person, "account-password-too-short").await,
    }
}
