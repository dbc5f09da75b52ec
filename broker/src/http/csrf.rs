//! Forms that only our own pages can send.
//!
//! First the browser's own word: `Sec-Fetch-Site` must be `same-origin` (`same-site` is not enough: other
//! people's homes may be siblings), else `Origin` must be ours. Then the form's token, which is derived from
//! the cookie it was made for, so a form without its cookie, or with another's, is refused (AZ-20, WB-03).

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::header;
use shared::secret::Secret;

use super::form::Form;
use super::{Asked, Fault};

/// The hidden field, and the header for scripts.
pub const FIELD: &str = "csrf";
const HEADER: &str = "x-csrf";

/// The token that goes with a cookie.
pub fn token(cookie: &Secret) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, cookie.expose().as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, b"latchkey form"))
}

/// Whether a form with its token came from our page. The token is the field, or the header from scripts.
pub fn check(asked: &Asked, form: Option<&Form>, cookie: &Secret) -> Result<(), Fault> {
    is_from_here(asked)?;
    let sent = match form {
        Some(form) => form.optional(FIELD)?.map(str::to_owned),
        None => asked.header(HEADER).map(str::to_owned),
    };
    let fits = sent.is_some_and(|sent| Secret::from(token(cookie)).same_as(&sent));
    if fits { Ok(()) } else { Err(Fault::Forged) }
}

/// Whether the browser says that one of our own pages asks. A client that says neither is no browser.
pub fn is_from_here(asked: &Asked) -> Result<(), Fault> {
    if asked.headers.contains_key("sec-fetch-site") {
        return if asked.header("sec-fetch-site") == Some("same-origin") {
            Ok(())
        } else {
            Err(Fault::Forged)
        };
    }
    if asked.headers.contains_key(header::ORIGIN) {
        let ours = asked.header(header::ORIGIN) == Some(&asked.site.origin());
        return if ours { Ok(()) } else { Err(Fault::Forged) };
    }
    Ok(())
}
