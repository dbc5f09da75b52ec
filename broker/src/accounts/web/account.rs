//! One's own account: name, password, sessions, and proving again that it is oneself.

use askama::Template;
use http::StatusCode;

use super::{Accounts, encoded, field, is_name, own_path, typed};
use crate::accounts::second::Second;
use crate::accounts::session::Listed;
use crate::accounts::{SESSION, SignedIn, rows, strength};
use crate::http::ago::Moment;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, see_other};

#[derive(Template)]
#[template(path = "accounts/account.html")]
struct AccountPage {
    frame: Frame,
    email: String,
    name: String,
    second: Second,
    passkeys: Vec<PasskeyLine>,
    has_passkeys: bool,
    sessions: Vec<SessionLine>,
    wrong: Option<&'static str>,
    done: Option<&'static str>,
}

struct PasskeyLine {
    id: String,
    name: String,
    created: Moment,
    used: Option<Moment>,
}

struct SessionLine {
    id: String,
    browser: String,
    ip: String,
    created: Moment,
    seen: Moment,
    is_this: bool,
}

#[derive(Template)]
#[template(path = "accounts/password.html")]
struct PasswordPage {
    frame: Frame,
    email: String,
    shortest: usize,
    keep: bool,
    wrong: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "accounts/prove.html")]
struct ProvePage {
    frame: Frame,
    email: String,
    next: String,
    has_codes: bool,
    wrong: Option<&'static str>,
}

pub async fn answer(accounts: &Accounts, asked: &Asked, segments: &[&str]) -> Result<Answer, Fault> {
    match (asked.method.as_str(), segments) {
        ("GET" | "HEAD", []) => show(accounts, asked, &accounts.require(asked).await?, None).await,
        ("POST", ["name"]) => rename(accounts, asked).await,
        ("GET" | "HEAD", ["password"]) => show_password(accounts, asked).await,
        ("POST", ["password"]) => change_password(accounts, asked).await,
        ("GET" | "HEAD", ["prove"]) => show_proof(accounts, asked).await,
        ("POST", ["prove"]) => prove(accounts, asked).await,
        ("POST", ["sessions", "end"]) => end_session(accounts, asked).await,
        ("POST", ["sessions", "everywhere"]) => everywhere(accounts, asked).await,
        (_, ["name"] | ["sessions", "end" | "everywhere"]) => Err(Fault::Method("POST")),
        (_, []) => Err(Fault::Method("GET")),
        _ => Err(Fault::NotFound),
    }
}

async fn show(
    accounts: &Accounts,
    asked: &Asked,
    person: &SignedIn,
    wrong: Option<&'static str>,
) -> Result<Answer, Fault> {
    let done = match asked.query_form()?.optional("done")? {
        Some("password") => Some("account-password-done"),
        Some("second") => Some("account-second-done"),
        _ => None,
    };
    let moment = |at| accounts.moment(asked, at);
    let session = |line: Listed| SessionLine {
        id: line.id,
        browser: if line.browser.is_empty() {
            asked.words().say("account-browser-unknown")
        } else {
            line.browser
        },
        ip: line.ip,
        created: moment(line.created_at),
        seen: moment(line.seen_at),
        is_this: line.is_this,
    };
    let passkey = |line: crate::accounts::passkeys::Listed| PasskeyLine {
        id: line.id,
        name: line.name,
        created: moment(line.created_at),
        used: line.used_at.map(moment),
    };
    let shown = AccountPage {
        frame: person.frame(asked),
        email: person.email.clone(),
        name: person.name.clone(),
        second: accounts.second(person.account).await?,
        passkeys: accounts.passkeys(person.account).await?.into_iter().map(passkey).collect(),
        has_passkeys: accounts.has_passkeys(),
        sessions: accounts.sessions(person).await?.into_iter().map(session).collect(),
        wrong,
        done,
    };
    Ok(page(if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &shown))
}

/// The account's page again, with what was wrong.
pub async fn show_wrong(
    accounts: &Accounts,
    asked: &Asked,
    person: &SignedIn,
    wrong: &'static str,
) -> Result<Answer, Fault> {
    show(accounts, asked, person, Some(wrong)).await
}

async fn rename(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    let name = field(&sent, "name")?;
    if !is_name(&name) {
        let person = SignedIn { name, ..person };
        return show(accounts, asked, &person, Some("accounts-wrong-name")).await;
    }
    let mut tx = accounts.0.store.begin().await?;
    rows::set_name(&mut tx, person.account, &name).await?;
    tx.commit().await?;
    Ok(see_other("/account"))
}

async fn password_form(
    accounts: &Accounts,
    asked: &Asked,
    person: &SignedIn,
    keep: bool,
    wrong: Option<&'static str>,
) -> Result<Answer, Fault> {
    let shortest = strength::shortest(accounts.second(person.account).await?.is_on());
    let shown =
        PasswordPage { frame: person.frame(asked), email: person.email.clone(), shortest, keep, wrong };
    Ok(page(if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &shown))
}

async fn show_password(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    password_form(accounts, asked, &accounts.require(asked).await?, false, None).await
}

/// Asks for the old password, however fresh the session is (WB-08).
async fn change_password(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    let (old, new) = (typed(&sent, "old")?, typed(&sent, "password")?);
    let keep = sent.optional("keep")?.is_some();
    let has_second = accounts.second(person.account).await?.is_on();
    let wrong = strength::wrong_with(new.expose(), has_second, &[&person.name, &person.email]);
    if wrong.is_some() {
        return password_form(accounts, asked, &person, keep, wrong).await;
    }
    let tried = accounts.try_password(asked, &person.email).await?;
    let old = accounts.check_password(&person.email, old).await?.filter(|old| old.account == person.account);
    let is_changed = match old {
        Some(old) => accounts.change_password(asked, &person, &old, new, keep).await?,
        None => false,
    };
    if !is_changed {
        return password_form(accounts, asked, &person, keep, Some("account-wrong-old")).await;
    }
    accounts.forgive(tried).await?;
    let mut answer = see_other("/account?done=password");
    accounts.renew(asked, &person, &mut answer).await?;
    Ok(answer)
}

async fn proof_form(
    accounts: &Accounts,
    asked: &Asked,
    person: &SignedIn,
    next: String,
    wrong: Option<&'static str>,
) -> Result<Answer, Fault> {
    let has_codes = accounts.second(person.account).await?.totp;
    let shown = ProvePage { frame: person.frame(asked), email: person.email.clone(), next, has_codes, wrong };
    Ok(page(if wrong.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK }, &shown))
}

async fn show_proof(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    let next = own_path(asked.query_form()?.optional("next")?.unwrap_or("/account")).to_owned();
    proof_form(accounts, asked, &person, next, None).await
}

/// The password, or a code where there is an app: typed now, it counts for ten minutes.
async fn prove(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    let next = own_path(sent.optional("next")?.unwrap_or("/account")).to_owned();
    let is_right = match sent.optional("code")? {
        Some(code) => {
            let tried = accounts.try_code(asked, person.account).await?;
            let right = accounts.use_code(person.account, code).await?;
            if right {
                accounts.forgive(tried).await?;
            }
            right
        }
        None => {
            let tried = accounts.try_password(asked, &person.email).await?;
            let right = accounts.check_password(&person.email, typed(&sent, "password")?).await?;
            let right = right.is_some_and(|known| known.account == person.account);
            if right {
                accounts.forgive(tried).await?;
            }
            right
        }
    };
    if !is_right {
        return proof_form(accounts, asked, &person, next, Some("account-wrong-proof")).await;
    }
    let mut answer = see_other(&next);
    accounts.renew(asked, &person, &mut answer).await?;
    Ok(answer)
}

async fn end_session(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    accounts.end_listed(&person, sent.required("session")?).await?;
    Ok(see_other("/account#sessions"))
}

async fn everywhere(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    person.check(asked, Some(&asked.form()?))?;
    accounts.sign_out_everywhere(&person).await?;
    let mut answer = see_other(&format!("/sign-in?done=everywhere&next={}", encoded("/account")));
    SESSION.forget(&mut answer, &asked.site);
    Ok(answer)
}
