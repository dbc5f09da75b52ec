//! Cookies: read from a request, written for an answer.
//!
//! Over https their names carry `__Host-` (accounts) or `__Secure-` (guests, limited to a path). Over plain
//! http, which only loopback serves, the prefixes would make browsers drop them, so they are left out.

use http::{HeaderValue, header};
use shared::secret::Secret;

use super::{Answer, Asked, Site};

/// A cookie of ours.
#[derive(Debug, Clone, Copy)]
pub struct Jar<'a> {
    /// The name without its prefix.
    pub name: &'a str,
    /// The path it is limited to; `/` makes it a `__Host-` cookie.
    pub path: &'a str,
}

impl Jar<'_> {
    fn full_name(self, site: &Site) -> String {
        match (site.is_secure(), self.path) {
            (true, "/") => format!("__Host-{}", self.name),
            (true, _) => format!("__Secure-{}", self.name),
            (false, _) => self.name.to_owned(),
        }
    }

    /// The cookie's value, if it was sent once. Sent twice, somebody else put one of them there.
    pub fn read(self, asked: &Asked) -> Option<Secret> {
        let name = self.full_name(&asked.site);
        let mut found = asked
            .headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(sent, _)| *sent == name)
            .map(|(_, value)| value);
        let first = found.next()?;
        found.next().is_none().then(|| Secret::from(first.to_owned()))
    }

    /// Sets the cookie; without `seconds` it goes when the browser closes.
    pub fn set(self, answer: &mut Answer, site: &Site, value: &Secret, seconds: Option<u64>) {
        let age = seconds.map(|s| format!("; Max-Age={s}")).unwrap_or_default();
        self.write(answer, site, &format!("{}{age}", value.expose()));
    }

    /// Takes the cookie back.
    pub fn forget(self, answer: &mut Answer, site: &Site) {
        self.write(answer, site, "; Max-Age=0");
    }

    fn write(self, answer: &mut Answer, site: &Site, value: &str) {
        let (name, path) = (self.full_name(site), self.path);
        let secure = if site.is_secure() { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}");
        if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
            cookie.set_sensitive(true);
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
}
