//! The pages for signing in and out, and for the first account.

use askama::Template;
use http::StatusCode;
use shared::secret::Secret;

use super::{Accounts, NewAccount, SESSION, SESSION_AT_MOST, VISIT, password};
use crate::chance::{self, Kind};
use crate::http::form::Form;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, csrf, see_other};

#[derive(Template)]
#[template(path = "accounts/sign-in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    email: String,
    /// The word for what was wrong with the last try.
    wrong: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "accounts/first-run.html")]
struct FirstRunPage {
    frame: Frame,
    code: String,
    name: String,
    email: String,
    wrong: Option<&'static str>,
}

pub async fn answer(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    match (asked.method.as_str(), &asked.segments()[..]) {
        ("GET" | "HEAD", ["sign-in"]) => show_sign_in(accounts, asked).await,
        ("POST", ["sign-in"]) => sign_in(accounts, asked).await,
        ("POST", ["sign-out"]) => sign_out(accounts, asked).await,
        ("GET" | "HEAD", ["first-run"]) => show_first_run(accounts, asked),
        ("POST", ["first-run"]) => first_run(accounts, asked).await,
        (_, ["sign-in"] | ["first-run"]) => Err(Fault::Method("GET, POST")),
        (_, ["sign-out"]) => Err(Fault::Method("POST")),
        _ => Err(Fault::NotFound),
    }
}

/// A path of our own to go on to; anything else is `/` (WB-12).
fn own_path(next: &str) -> &str {
    let ours =
        next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t', '\0']);
    if ours { next } else { "/" }
}

/// A form for somebody without a session: its token hangs on a cookie of its own.
fn visitors_page<T: Template>(
    asked: &Asked,
    status: StatusCode,
    template: impl FnOnce(Frame) -> T,
) -> Answer {
    let known = VISIT.read(asked).filter(|visit| chance::looks_like(Kind::Session, visit.expose()));
    let visit = known.clone().unwrap_or_else(|| chance::token(Kind::Session));
    let frame = Frame { w: asked.words(), csrf: csrf::token(&visit), account: None };
    let mut answer = page(status, &template(frame));
    if known.is_none() {
        VISIT.set(&mut answer, &asked.site, &visit, None);
    }
    answer
}

fn check_visitor(asked: &Asked, form: &Form) -> Result<(), Fault> {
    csrf::check(asked, Some(form), &VISIT.read(asked).ok_or(Fault::Forged)?)
}

async fn show_sign_in(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let query = asked.query_form()?;
    let next = own_path(query.optional("next")?.unwrap_or("/")).to_owned();
    if accounts.signed_in(asked).await?.is_some() {
        return Ok(see_other(&next));
    }
    Ok(visitors_page(asked, StatusCode::OK, |frame| SignInPage {
        frame,
        next,
        email: String::new(),
        wrong: None,
    }))
}

async fn sign_in(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let form = asked.form()?;
    check_visitor(asked, &form)?;
    let next = own_path(form.optional("next")?.unwrap_or("/")).to_owned();
    let email = form.optional("email")?.unwrap_or("").to_owned();
    let password = form.optional("password")?.unwrap_or("");
    accounts.take_try(asked, &email)?;
    let fits = !email.is_empty() && password.len() <= password::LONGEST;
    let account = match fits {
        true => accounts.check_password(&email, Secret::from(password.to_owned())).await?,
        false => None,
    };
    let Some(account) = account else {
        tracing::info!(peer = %asked.peer.ip, "a sign-in was refused");
        let wrong = Some("accounts-wrong-password");
        return Ok(visitors_page(asked, StatusCode::FORBIDDEN, |frame| SignInPage {
            frame,
            next,
            email,
            wrong,
        }));
    };
    accounts.forgive_try(asked, &email);
    welcome(accounts, asked, account, &next).await
}

/// A new session with a new cookie, never the one somebody may have planted (WB-01).
async fn welcome(
    accounts: &Accounts,
    asked: &Asked,
    account: shared::id::AccountId,
    next: &str,
) -> Result<Answer, Fault> {
    if let Some(old) = accounts.signed_in(asked).await? {
        accounts.end_session(&old).await?;
    }
    let cookie = accounts.begin_session(account).await?;
    let mut answer = see_other(next);
    SESSION.set(&mut answer, &asked.site, &cookie, Some(SESSION_AT_MOST.as_secs()));
    VISIT.forget(&mut answer, &asked.site);
    Ok(answer)
}

async fn sign_out(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let signed_in = accounts.require(asked).await?;
    let form = asked.form()?;
    signed_in.check(asked, Some(&form))?;
    accounts.end_session(&signed_in).await?;
    // Whoever says "not you?" comes back to where they were as somebody else (AZ-28).
    let next: String =
        url::form_urlencoded::byte_serialize(own_path(form.optional("next")?.unwrap_or("/")).as_bytes())
            .collect();
    let mut answer =
        see_other(&if next == "%2F" { "/sign-in".to_owned() } else { format!("/sign-in?next={next}") });
    SESSION.forget(&mut answer, &asked.site);
    Ok(answer)
}

fn show_first_run(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let query = asked.query_form()?;
    let code = query.optional("code")?.unwrap_or("").to_owned();
    if !accounts.is_first_run_code(&code) {
        return Err(Fault::NotFound);
    }
    let (name, email) = (String::new(), String::new());
    Ok(visitors_page(asked, StatusCode::OK, |frame| FirstRunPage { frame, code, name, email, wrong: None }))
}

async fn first_run(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let form = asked.form()?;
    check_visitor(asked, &form)?;
    let field = |name| Ok::<_, Fault>(form.optional(name)?.unwrap_or("").trim().to_owned());
    let (code, name, email) = (field("code")?, field("name")?, field("email")?);
    let password = form.optional("password")?.unwrap_or("");
    if !accounts.is_first_run_code(&code) {
        return Err(Fault::NotFound);
    }
    if let Some(wrong) = wrong_with(&name, &email, password) {
        let wrong = Some(wrong);
        let filled = |frame| FirstRunPage { frame, code, name, email, wrong };
        return Ok(visitors_page(asked, StatusCode::BAD_REQUEST, filled));
    }
    let new = NewAccount { name, email, password: Secret::from(password.to_owned()) };
    match accounts.make_first(new).await? {
        Some(account) => welcome(accounts, asked, account, "/").await,
        None => Err(Fault::NotFound),
    }
}

/// The word for the first thing that is wrong with a new account.
fn wrong_with(name: &str, email: &str, password: &str) -> Option<&'static str> {
    let address = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if name.is_empty() || name.chars().count() > 80 || name.chars().any(char::is_control) {
        Some("accounts-wrong-name")
    } else if !address || email.len() > 254 || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("accounts-wrong-email")
    } else if password.chars().count() < password::SHORTEST || password.len() > password::LONGEST {
        Some("accounts-wrong-new-password")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_stays_here() {
        for ours in ["/", "/homes/7?x=//evil", "/oauth2/authorize?redirect_uri=https%3A%2F%2Fa"] {
            assert_eq!(own_path(ours), ours);
        }
        for evil in ["//evil", "/\\evil", "https://evil", "evil", "", "/\r\nx", "/\t/evil"] {
            assert_eq!(own_path(evil), "/", "{evil:?}");
        }
    }

    #[test]
    fn a_new_account_needs_a_name_an_address_and_a_long_password() {
        assert_eq!(wrong_with("Ada", "ada@example.org", "long enough"), None);
        for (name, email, password) in [
            ("", "a@b", "long enough"),
            ("Ada", "ada", "long enough"),
            ("Ada", "a b@c", "long enough"),
            ("Ada", "a@b", "short"),
        ] {
            assert!(wrong_with(name, email, password).is_some(), "{name} {email} {password}");
        }
    }
}
