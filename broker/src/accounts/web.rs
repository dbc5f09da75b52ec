//! The pages of accounts: which handler answers which path, and what they share.

mod account;
mod factors;
mod joining;
mod letters;
mod members;
mod sign_in;
mod workspaces;

use askama::Template;
use http::StatusCode;
use shared::secret::Secret;

use super::{Accounts, VISIT, strength};
use crate::chance::{self, Kind};
use crate::http::ago::Moment;
use crate::http::escape::is_unshowable;
use crate::http::form::Form;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, csrf};
use crate::mail;

/// The first segments of all paths of accounts.
pub const PATHS: &[&str] = &[
    "sign-in",
    "sign-out",
    "first-run",
    "register",
    "invitation",
    "forgotten",
    "reset",
    "account",
    "members",
    "workspaces",
];

pub async fn answer(accounts: &Accounts, asked: &Asked) -> Result<Answer, Fault> {
    let segments = asked.segments();
    match (asked.method.as_str(), segments.first().copied().unwrap_or("")) {
        ("GET" | "HEAD" | "POST", "sign-in" | "sign-out") => {
            sign_in::answer(accounts, asked, &segments).await
        }
        ("GET" | "HEAD" | "POST", "first-run" | "invitation") => {
            joining::answer(accounts, asked, &segments).await
        }
        ("GET" | "HEAD" | "POST", "register" | "forgotten" | "reset") => {
            letters::answer(accounts, asked, &segments).await
        }
        ("GET" | "HEAD" | "POST", "account") => match segments[1..] {
            ["second-factor", ..] | ["passkeys", ..] => {
                factors::answer(accounts, asked, &segments[1..]).await
            }
            _ => account::answer(accounts, asked, &segments[1..]).await,
        },
        ("GET" | "HEAD" | "POST", "members") => members::answer(accounts, asked, &segments[1..]).await,
        ("GET" | "HEAD" | "POST", "workspaces") => workspaces::answer(accounts, asked, &segments[1..]).await,
        _ => Err(Fault::Method("GET, POST")),
    }
}

/// A page that only says something, and where to go from there.
#[derive(Template)]
#[template(path = "accounts/said.html")]
struct SaidPage {
    frame: Frame,
    title: &'static str,
    text: &'static str,
    /// Address and word of the way on.
    on: (&'static str, &'static str),
}

/// What such a page says.
struct Said {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
    on: (&'static str, &'static str),
}

/// A link of a letter that does not work: used, lapsed, mistyped and never sent look alike.
const DEAD_LINK: Said = Said {
    status: StatusCode::NOT_FOUND,
    title: "accounts-dead-link-title",
    text: "accounts-dead-link",
    on: ("/sign-in", "accounts-to-sign-in"),
};

fn said(asked: &Asked, said: Said) -> Answer {
    let Said { status, title, text, on } = said;
    page(status, &SaidPage { frame: Frame::bare(asked.words()), title, text, on })
}

/// A path of our own to go on to; anything else is `/` (WB-12).
fn own_path(next: &str) -> &str {
    let ours =
        next.starts_with('/') && !next.starts_with("//") && !next.contains('\\') && next.bytes().all(is_sent);
    if ours { next } else { "/" }
}

/// What an address may have in a header: printable ASCII.
fn is_sent(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A field as it was typed, without spaces around it.
fn field(form: &Form, name: &str) -> Result<String, Fault> {
    Ok(form.optional(name)?.unwrap_or("").trim().to_owned())
}

/// A password, exactly as it was typed.
fn typed(form: &Form, name: &str) -> Result<Secret, Fault> {
    Ok(Secret::from(form.optional(name)?.unwrap_or("").to_owned()))
}

/// A form for somebody without a session: its token hangs on a cookie of its own.
fn visitors_page<T: Template>(
    asked: &Asked,
    status: StatusCode,
    template: impl FnOnce(Frame) -> T,
) -> Answer {
    let known = VISIT.read(asked).filter(|visit| chance::looks_like(Kind::Session, visit.expose()));
    let visit = known.clone().unwrap_or_else(|| chance::token(Kind::Session));
    let frame = Frame { csrf: csrf::token(&visit), ..Frame::bare(asked.words()) };
    let mut answer = page(status, &template(frame));
    if known.is_none() {
        VISIT.set(&mut answer, &asked.site, &visit, None);
    }
    answer
}

/// Whether a form (or, without one, a script's request) comes from such a page.
fn check_visitor(asked: &Asked, form: Option<&Form>) -> Result<(), Fault> {
    csrf::check(asked, form, &VISIT.read(asked).ok_or(Fault::Forged)?)
}

impl Accounts {
    fn moment(&self, asked: &Asked, at: crate::clock::Timestamp) -> Moment {
        Moment::new(asked.words(), at, self.0.clock.now())
    }
}

/// The word for the first thing that is wrong with a person's name or address.
pub fn wrong_with_person(name: &str, email: &str) -> Option<&'static str> {
    if !is_name(name) {
        Some("accounts-wrong-name")
    } else if !mail::is_address(email) {
        Some("accounts-wrong-email")
    } else {
        None
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= 80 && !name.chars().any(is_unshowable)
}

/// The word for the first thing that is wrong with a new account.
fn wrong_with(name: &str, email: &str, password: &Secret) -> Option<&'static str> {
    wrong_with_person(name, email).or_else(|| strength::wrong_with(password.expose(), false, &[name, email]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_stays_here() {
        for ours in ["/", "/homes/7?x=//evil", "/oauth2/authorize?redirect_uri=https%3A%2F%2Fa"] {
            assert_eq!(own_path(ours), ours, "WB-12");
        }
        for evil in [
            "//evil",
            "/\\evil",
            "https://evil",
            "evil",
            "",
            "/\r\nx",
            "/\t/evil",
            "/\u{1}",
            "/\u{7f}",
            "/\u{85}x",
        ] {
            assert_eq!(own_path(evil), "/", "WB-12: {evil:?}");
        }
    }

    #[test]
    fn a_new_account_needs_a_name_an_address_and_a_long_password() {
        let wrong = |name, email, password: &str| wrong_with(name, email, &Secret::from(password.to_owned()));
        assert_eq!(wrong("Ada", "ada@example.org", "mauve teapot orbits"), None);
        for (name, email, password) in [
            ("", "a@b.example", "mauve teapot orbits"),
            ("A\u{202e}da", "ada@example.org", "mauve teapot orbits"),
            ("\u{200b}", "ada@example.org", "mauve teapot orbits"),
            ("Ada", "ada", "mauve teapot orbits"),
            ("Ada", "a b@c.example", "mauve teapot orbits"),
            ("Ada", "a@b.example", "short"),
            ("Ada", "ada@example.org", "ada ada ada ada ada"),
        ] {
            assert!(wrong(name, email, password).is_some(), "WB-07: {name} {email} {password}");
        }
    }
}
