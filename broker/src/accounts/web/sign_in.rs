//! Signing in, in one step or two, and out.

use askama::Template;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use tracing::info;
use webauthn_rs::prelude::PublicKeyCredential;

use super::{Accounts, check_visitor, encoded, field, own_path, typed, visitors_page};
use crate::accounts::rows::Known;
use crate::accounts::second::Half;
use crate::accounts::{STEP, password};
use crate::http::page::Frame;
use crate::http::{Answer, Asked, Fault, json, see_other};

#[derive(Template)]
#[template(path = "accounts/sign-in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    email: String,
    is_kept: bool,
    /// Anybody may make an account.
    is_open: bool,
    has_passkeys: bool,
    /// The word for what was wrong with the last try.
    wrong: Option<&'static str>,
    /// The word for what was done a moment ago.
    done: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "accounts/second.html")]
struct SecondPage {
    frame: Frame,
    /// Codes of an app, or only recovery codes.
    has_app: bool,
    has_codes: bool,
    has_passkeys: bool,
    wrong: Option<&'static str>,
}

/// What a script sends with a passkey's answer.
#[derive(Deserialize)]
struct Shown {
    ceremony: String,
    credential: PublicKeyCredential,
    #[serde(default)]
    next: String,
    #[serde(default)]
    keep: bool,
}

/// Where a script goes on to.
#[derive(Serialize)]
struct On {
    next: String,
}

pub async fn answer(accounts: &Accounts, asked: &Asked, segments: &[&str]) -> Result<Answer, Fault> {
    match (asked.method.as_str(), segments) {
        ("GET" | "HEAD", ["sign-in"]) => show(accounts, asked).await,
        ("POST", ["sign-in"]) => first_step(accounts, asked).await,
        ("GET" | "HEAD", ["sign-in", "second"]) => show_second(accounts, asked).await,
        ("POST", ["sign-in", "second"]) => second_step(accounts, asked).await,
        ("POST", ["sign-in", "passkey"]) => begin(accounts, asked).await,
        ("POST", ["sign-in", "passkey", "answer"]) => by_passkey(accounts, asked).await,
        ("POST", ["sign-in", "second", "passkey"]) => begin_second(accounts, asked).await,
        ("POST", ["sign-in", "second", "passkey", "answer"]) => second_by_passkey(accounts, asked).await,
        ("POST", ["sign-out"]) => sign_out(accounts, asked).await,
        (_, ["sign-out"] | ["sign-in", "passkey", ..] | ["sign-in", "second", "passkey", ..]) => {
            Err(Fault::Method("POST"))
        }
        _ => Err(Fault::NotFound),
    }
}

/// What stays in the form when it comes back.
struct Typed {
    next: String,
    email: String,
    is_kept: bool,
}

fn form(
    accounts: &Accounts,
    asked: &Asked,
    typed: Typed,
    wrong: Option<&'static str>,
    done: Option<&'static str>,
) -> Answer {
    let status = if wrong.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    visitors_page(asked, status, |frame| SignInPage {
        frame,
        next: typed.next,
        email: typed.email,
        is_kept: typed.is_kept,
        is_open: accounts.0.open_registration,
        has_passkeys: accounts.has_passkeys(),
        wrong,
        done,
    })
}

async fn show(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let query = asked.query_form()?;
    let next = own_path(query.optional("next")?.unwrap_or("/")).to_owned();
    if accounts.signed_in(asked).await?.is_some() {
        return Ok(see_other(&next));
    }
    let done = match query.optional("done")? {
        Some("reset") => Some("accounts-reset-done"),
        Some("everywhere") => Some("accounts-everywhere-done"),
        _ => None,
    };
    Ok(form(accounts, asked, Typed { next, email: String::new(), is_kept: false }, None, done))
}

async fn first_step(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    check_visitor(asked, Some(&sent))?;
    let next = own_path(sent.optional("next")?.unwrap_or("/")).to_owned();
    let email = field(&sent, "email")?;
    let is_kept = sent.optional("keep")?.is_some();
    let password = typed(&sent, "password")?;
    let tried = accounts.try_password(asked, &email).await?;
    let fits = !email.is_empty() && password.expose().len() <= password::LONGEST;
    let known = if fits { accounts.check_password(&email, password).await? } else { None };
    let answer = match known {
        Some(known) => first_step_done(accounts, asked, &known, &next, is_kept).await?,
        None => None,
    };
    let Some(answer) = answer else {
        info!(peer = %asked.peer.ip, "a sign-in was refused");
        accounts.note_refusal(asked).await?;
        let typed = Typed { next, email, is_kept };
        return Ok(form(accounts, asked, typed, Some("accounts-wrong-password"), None));
    };
    accounts.forgive(tried).await?;
    Ok(answer)
}

/// In, or on to the second step; nowhere when the password was changed while it was compared.
async fn first_step_done(
    accounts: &Accounts,
    asked: &Asked,
    known: &Known,
    next: &str,
    is_kept: bool,
) -> Result<Option<Answer>, Fault> {
    if !accounts.second(known.account).await?.is_on() {
        return accounts.welcome(asked, known, is_kept, see_other(next)).await;
    }
    let Some(cookie) = accounts.begin_half(known, next, is_kept).await? else { return Ok(None) };
    let mut answer = see_other("/sign-in/second");
    STEP.set(&mut answer, &asked.site, &cookie, None);
    Ok(Some(answer))
}

/// The sign-in whose second step this is.
async fn half(accounts: &Accounts, asked: &Asked) -> Result<(Secret, Half), Fault> {
    accounts.half(asked).await?.ok_or_else(|| Fault::SignIn("/".to_owned()))
}

async fn second_form(
    accounts: &Accounts,
    asked: &Asked,
    half: &Half,
    wrong: Option<&'static str>,
) -> Result<Answer, Fault> {
    let second = accounts.second(half.known.account).await?;
    let status = if wrong.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Ok(visitors_page(asked, status, |frame| SecondPage {
        frame,
        has_app: second.totp,
        has_codes: second.totp || second.recovery > 0,
        has_passkeys: second.passkeys > 0 && accounts.has_passkeys(),
        wrong,
    }))
}

async fn show_second(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let (_, half) = half(accounts, asked).await?;
    second_form(accounts, asked, &half, None).await
}

async fn second_step(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    check_visitor(asked, Some(&sent))?;
    let (cookie, half) = half(accounts, asked).await?;
    let tried = accounts.try_code(asked, half.known.account).await?;
    if !accounts.use_code(half.known.account, sent.optional("code")?.unwrap_or("")).await? {
        info!(account.id = %half.known.account, "a second step was refused");
        return second_form(accounts, asked, &half, Some("accounts-wrong-code")).await;
    }
    accounts.forgive(tried).await?;
    let next = half.next.clone();
    through(accounts, asked, &cookie, half, see_other(&next)).await
}

/// Both steps are done.
async fn through(
    accounts: &Accounts,
    asked: &Asked,
    cookie: &Secret,
    half: Half,
    answer: Answer,
) -> Result<Answer, Fault> {
    if !accounts.end_half(cookie).await? {
        return Err(Fault::SignIn("/".to_owned()));
    }
    let welcome = accounts.welcome(asked, &half.known, half.is_kept, answer).await?;
    let mut answer = welcome.ok_or_else(|| Fault::SignIn("/".to_owned()))?;
    STEP.forget(&mut answer, &asked.site);
    Ok(answer)
}

async fn begin(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    check_visitor(asked, None)?;
    accounts.try_passkey(asked.peer.ip).await?;
    Ok(json(StatusCode::OK, &accounts.begin_anyone().await?))
}

async fn by_passkey(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    check_visitor(asked, None)?;
    let shown: Shown = asked.json()?;
    let account = accounts.anyone(&shown.ceremony, &shown.credential).await?;
    // Disabled: the same words as for a passkey that nobody has.
    let unknown = || Fault::bad("this passkey opens no account here");
    let known = accounts.standing(account).await?.ok_or_else(unknown)?;
    let next = own_path(&shown.next).to_owned();
    accounts.welcome(asked, &known, shown.keep, json(StatusCode::OK, &On { next })).await?.ok_or_else(unknown)
}

async fn begin_second(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    check_visitor(asked, None)?;
    let (_, half) = half(accounts, asked).await?;
    accounts.try_passkey(asked.peer.ip).await?;
    Ok(json(StatusCode::OK, &accounts.begin_second(half.known.account).await?))
}

async fn second_by_passkey(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    check_visitor(asked, None)?;
    let (cookie, half) = half(accounts, asked).await?;
    let shown: Shown = asked.json()?;
    accounts.second_by_passkey(half.known.account, &shown.ceremony, &shown.credential).await?;
    let on = json(StatusCode::OK, &On { next: half.next.clone() });
    through(accounts, asked, &cookie, half, on).await
}

async fn sign_out(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    accounts.end_session(&person).await?;
    // Whoever says "not you?" comes back to where they were as somebody else (AZ-28).
    let next = encoded(own_path(sent.optional("next")?.unwrap_or("/")));
    let mut answer =
        see_other(&if next == "%2F" { "/sign-in".to_owned() } else { format!("/sign-in?next={next}") });
    super::super::SESSION.forget(&mut answer, &asked.site);
    Ok(answer)
}
