//! New accounts: the first one, and by invitation. What was typed stays in the form when something is wrong.

use askama::Template;
use http::StatusCode;
use shared::id::AccountId;
use shared::secret::Secret;

use super::{
    Accounts, DEAD_LINK, Said, check_visitor, encoded, field, said, typed, visitors_page, wrong_with,
};
use crate::accounts::invitations::{Invitation, Joined};
use crate::accounts::{SignedIn, strength};
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, see_other};

/// A form that makes an account: where it goes, what travels along, what was typed.
#[derive(Default)]
pub struct NewForm {
    pub action: &'static str,
    /// The hidden field that proves the right to it: its name and value.
    pub proof: (&'static str, String),
    pub title: &'static str,
    pub lead: String,
    pub name: String,
    pub email: String,
    /// The address is confirmed and cannot be changed.
    pub email_is_fixed: bool,
    pub wrong: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "accounts/new-account.html")]
struct NewAccountPage {
    frame: Frame,
    form: NewForm,
    shortest: usize,
}

#[derive(Template)]
#[template(path = "accounts/invitation.html")]
struct InvitationPage<'a> {
    frame: Frame,
    lead: String,
    invitation: &'a Invitation,
    role: String,
    token: &'a str,
    person: Option<&'a SignedIn>,
    /// They are whom it is for.
    is_theirs: bool,
    /// This page, encoded, for whoever signs in first.
    here: String,
}

pub async fn answer(accounts: &Accounts, asked: &Asked, segments: &[&str]) -> Result<Answer, Fault> {
    match (asked.method.as_str(), segments) {
        ("GET" | "HEAD", ["first-run"]) => show_first_run(accounts, asked),
        ("POST", ["first-run"]) => first_run(accounts, asked).await,
        ("GET" | "HEAD", ["invitation"]) => show_invitation(accounts, asked).await,
        ("POST", ["invitation"]) => accept(accounts, asked).await,
        ("POST", ["invitation", "new"]) => accept_new(accounts, asked).await,
        (_, ["invitation", "new"]) => Err(Fault::Method("POST")),
        _ => Err(Fault::NotFound),
    }
}

/// The page of such a form.
pub fn new_account(asked: &Asked, form: NewForm) -> Answer {
    let status = if form.wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    visitors_page(asked, status, |frame| NewAccountPage { frame, form, shortest: strength::SHORTEST })
}

/// Lets whoever just made an account in.
pub async fn welcome_new(
    accounts: &Accounts,
    asked: &Asked,
    account: AccountId,
    is_kept: bool,
) -> Result<Answer, Fault> {
    let known = accounts.standing(account).await?.ok_or(Fault::NotFound)?;
    let answer = accounts.welcome(asked, &known, is_kept, see_other("/")).await?;
    Ok(answer.unwrap_or_else(|| see_other("/sign-in")))
}

fn first_run_form(asked: &Asked, code: String) -> NewForm {
    NewForm {
        action: "/first-run",
        proof: ("code", code),
        title: "accounts-first-run-title",
        lead: asked.words().say("accounts-first-run-lead"),
        ..NewForm::default()
    }
}

fn show_first_run(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let query = asked.query_form()?;
    let code = query.optional("code")?.unwrap_or("").to_owned();
    if !accounts.is_first_run_code(&code) {
        return Err(Fault::NotFound);
    }
    Ok(new_account(asked, first_run_form(asked, code)))
}

async fn first_run(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    check_visitor(asked, Some(&sent))?;
    let (code, name, email) = (field(&sent, "code")?, field(&sent, "name")?, field(&sent, "email")?);
    let password = typed(&sent, "password")?;
    if !accounts.is_first_run_code(&code) {
        return Err(Fault::NotFound);
    }
    if let Some(wrong) = wrong_with(&name, &email, &password) {
        let form = NewForm { name, email, wrong: Some(wrong), ..first_run_form(asked, code) };
        return Ok(new_account(asked, form));
    }
    match accounts.make_first(name, email, password).await? {
        Some(account) => welcome_new(accounts, asked, account, true).await,
        None => Err(Fault::NotFound),
    }
}

fn lead(asked: &Asked, invitation: &Invitation) -> String {
    let names = [("by", &*invitation.by), ("workspace", &*invitation.workspace_name)];
    asked.words().say_all("accounts-invitation-lead", &names)
}

fn invitation_form(asked: &Asked, token: String, invitation: &Invitation) -> NewForm {
    NewForm {
        action: "/invitation/new",
        proof: ("token", token),
        title: "accounts-invitation-title",
        lead: lead(asked, invitation),
        email: invitation.email.clone(),
        email_is_fixed: true,
        ..NewForm::default()
    }
}

/// Whoever is signed in is asked whether to join as that; whoever has an account is asked to sign in; anybody
/// else makes an account.
async fn show_invitation(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let query = asked.query_form()?;
    let token = query.optional("token")?.unwrap_or("");
    let Some(invitation) = accounts.invitation(token).await? else { return Ok(said(asked, DEAD_LINK)) };
    let person = accounts.signed_in(asked).await?;
    if person.is_none() && !invitation.is_known {
        return Ok(new_account(asked, invitation_form(asked, token.to_owned(), &invitation)));
    }
    let frame = person.as_ref().map_or_else(|| Frame::bare(asked.words()), |person| person.frame(asked));
    let shown = InvitationPage {
        frame,
        lead: lead(asked, &invitation),
        role: asked.words().say(super::members::role_word(invitation.role)),
        invitation: &invitation,
        token,
        is_theirs: person.as_ref().is_some_and(|person| person.email == invitation.email),
        person: person.as_ref(),
        here: encoded(&format!("/invitation?token={token}")),
    };
    Ok(page(StatusCode::OK, &shown))
}

async fn accept(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    let token = field(&sent, "token")?;
    let workspace = accounts.invitation(&token).await?.map(|invitation| invitation.workspace);
    match accounts.join(&token, &person).await? {
        Joined::Yes(_) => {
            if let Some(workspace) = workspace {
                accounts.switch(&person, workspace).await?;
            }
            Ok(see_other("/"))
        }
        Joined::Gone | Joined::Known => Ok(said(asked, DEAD_LINK)),
        Joined::Other => Ok(said(
            asked,
            Said {
                status: StatusCode::FORBIDDEN,
                title: "accounts-other-title",
                text: "accounts-other",
                on: ("/", "accounts-to-homes"),
            },
        )),
    }
}

async fn accept_new(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let sent = asked.form()?;
    check_visitor(asked, Some(&sent))?;
    let (token, name) = (field(&sent, "token")?, field(&sent, "name")?);
    let password: Secret = typed(&sent, "password")?;
    let Some(invitation) = accounts.invitation(&token).await? else { return Ok(said(asked, DEAD_LINK)) };
    if let Some(wrong) = wrong_with(&name, &invitation.email, &password) {
        let form = NewForm { name, wrong: Some(wrong), ..invitation_form(asked, token, &invitation) };
        return Ok(new_account(asked, form));
    }
    accounts.try_new_password(asked.peer.ip).await?;
    match accounts.join_new(&token, name, password).await? {
        Joined::Yes(account) => welcome_new(accounts, asked, account, false).await,
        Joined::Gone | Joined::Other => Ok(said(asked, DEAD_LINK)),
        Joined::Known => Ok(said(
            asked,
            Said {
                status: StatusCode::CONFLICT,
                title: "accounts-known-title",
                text: "accounts-known",
                on: ("/sign-in", "accounts-to-sign-in"),
            },
        )),
    }
}
