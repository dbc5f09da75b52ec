//! Pages around letters: a forgotten password, and an account for anybody where that is allowed.
//!
//! What a page says never hangs on whether an address has an account (WB-05).

use askama::Template;
use http::StatusCode;

use super::joining::{NewForm, new_account, welcome_new};
use super::{Accounts, DEAD_LINK, Said, check_visitor, field, said, typed, visitors_page, wrong_with};
use crate::accounts::strength;
use crate::accounts::wishes::Purpose;
use crate::http::page::Frame;
use crate::http::{Answer, Asked, Fault, see_other};
use crate::mail;

#[derive(Template)]
#[template(path = "accounts/ask-letter.html")]
struct AskLetterPage {
    frame: Frame,
    action: &'static str,
    title: &'static str,
    lead: &'static str,
    email: String,
    wrong: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "accounts/reset.html")]
struct ResetPage {
    frame: Frame,
    token: String,
    email: String,
    shortest: usize,
    wrong: Option<&'static str>,
}

pub async fn answer(accounts: &Accounts, asked: &Asked, segments: &[&str]) -> Result<Answer, Fault> {
    match (asked.method.as_str(), segments) {
        ("GET" | "HEAD", ["forgotten"]) => Ok(ask(asked, Purpose::Reset, String::new(), None)),
        ("POST", ["forgotten"]) => wish(accounts, asked, Purpose::Reset).await,
        ("GET" | "HEAD", ["reset"]) => show_reset(accounts, asked).await,
        ("POST", ["reset"]) => reset(accounts, asked).await,
        // Closed, there is nothing here, whatever the link.
        (_, ["register", ..]) if !accounts.0.open_registration => Ok(said(
            asked,
            Said {
                status: StatusCode::NOT_FOUND,
                title: "accounts-closed-title",
                text: "accounts-closed",
                on: ("/sign-in", "accounts-to-sign-in"),
            },
        )),
        ("GET" | "HEAD", ["register"]) => show_register(accounts, asked).await,
        ("POST", ["register"]) => wish(accounts, asked, Purpose::Register).await,
        ("POST", ["register", "new"]) => register(accounts, asked).await,
        (_, ["register", "new"]) => Err(Fault::Method("POST")),
        _ => Err(Fault::NotFound),
    }
}

fn ask(asked: &Asked, purpose: Purpose, email: String, wrong: Option<&'static str>) -> Answer {
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let (action, title, lead) = match purpose {
        Purpose::Reset => ("/forgotten", "accounts-forgotten-title", "accounts-forgotten-lead"),
        Purpose::Register => ("/register", "accounts-register-title", "accounts-register-lead"),
    };
    visitors_page(asked, status, |frame| AskLetterPage { frame, action, title, lead, email, wrong })
}

async fn wish(accounts: &Accounts, asked: &Asked, purpose: Purpose) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    check_visitor(asked, Some(&sent))?;
    let email = field(&sent, "email")?;
    if !mail::is_address(&email) {
        return Ok(ask(asked, purpose, email, Some("accounts-wrong-email")));
    }
    accounts.wish(asked, purpose, &email).await?;
    let text = match purpose {
        Purpose::Reset => "accounts-forgotten-sent",
        Purpose::Register => "accounts-register-sent",
    };
    Ok(said(
        asked,
        Said {
            status: StatusCode::OK,
            title: "accounts-sent-title",
            text,
            on: ("/sign-in", "accounts-to-sign-in"),
        },
    ))
}

/// Whether the account behind an address has a second factor decides how long its password must be.
async fn has_second(accounts: &Accounts, account: Option<shared::id::AccountId>) -> Result<bool, Fault> {
    match account {
        Some(account) => Ok(accounts.second(account).await?.is_on()),
        None => Ok(false),
    }
}

async fn show_reset(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let query = asked.query_form()?;
    let token = query.optional("token")?.unwrap_or("").to_owned();
    let Some(confirmed) = accounts.confirmed(Purpose::Reset, &token).await? else {
        return Ok(said(asked, DEAD_LINK));
    };
    let shortest = strength::shortest(has_second(accounts, confirmed.account).await?);
    let email = confirmed.email;
    Ok(visitors_page(asked, StatusCode::OK, |frame| ResetPage { frame, token, email, shortest, wrong: None }))
}

async fn reset(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    check_visitor(asked, Some(&sent))?;
    let (token, password) = (field(&sent, "token")?, typed(&sent, "password")?);
    let Some(confirmed) = accounts.confirmed(Purpose::Reset, &token).await? else {
        return Ok(said(asked, DEAD_LINK));
    };
    let (email, has_second) = (confirmed.email, has_second(accounts, confirmed.account).await?);
    let wrong = strength::wrong_with(password.expose(), has_second, &[&email]);
    if wrong.is_some() {
        let shortest = strength::shortest(has_second);
        return Ok(visitors_page(asked, StatusCode::BAD_REQUEST, |frame| ResetPage {
            frame,
            token,
            email,
            shortest,
            wrong,
        }));
    }
    accounts.try_new_password(asked.peer.ip).await?;
    match accounts.reset(&token, password, sent.optional("keep")?.is_some()).await? {
        Some(()) => Ok(see_other("/sign-in?done=reset")),
        None => Ok(said(asked, DEAD_LINK)),
    }
}

fn register_form(asked: &Asked, token: String, email: String) -> NewForm {
    NewForm {
        action: "/register/new",
        proof: ("token", token),
        title: "accounts-register-title",
        lead: asked.words().say("accounts-register-confirmed"),
        email,
        email_is_fixed: true,
        ..NewForm::default()
    }
}

async fn show_register(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let query = asked.query_form()?;
    let Some(token) = query.optional("token")? else {
        return Ok(ask(asked, Purpose::Register, String::new(), None));
    };
    match accounts.confirmed(Purpose::Register, token).await? {
        Some(confirmed) => Ok(new_account(asked, register_form(asked, token.to_owned(), confirmed.email))),
        None => Ok(said(asked, DEAD_LINK)),
    }
}

async fn register(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    check_visitor(asked, Some(&sent))?;
    let (token, name, password) = (field(&sent, "token")?, field(&sent, "name")?, typed(&sent, "password")?);
    let Some(confirmed) = accounts.confirmed(Purpose::Register, &token).await? else {
        return Ok(said(asked, DEAD_LINK));
    };
    if let Some(wrong) = wrong_with(&name, &confirmed.email, &password) {
        let form = NewForm { name, wrong: Some(wrong), ..register_form(asked, token, confirmed.email) };
        return Ok(new_account(asked, form));
    }
    accounts.try_new_password(asked.peer.ip).await?;
    match accounts.register(&token, name, password).await? {
        Some(account) => welcome_new(accounts, asked, account, false).await,
        None => Ok(said(asked, DEAD_LINK)),
    }
}
