//! A visitor: a browser without a screen or scripts. It keeps cookies by host and path, follows redirects, and
//! sends a page's forms with the fields the page put in them.

mod form;

use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

pub use form::Form;

/// More redirects than this are a circle.
const MOST_REDIRECTS: usize = 8;

/// Somebody with cookies of their own, at one origin.
#[derive(Debug)]
pub struct Visitor {
    http: reqwest::Client,
    origin: Url,
    language: &'static str,
    jar: Mutex<Vec<Cookie>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// What came back, after redirects.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its status.
    pub status: StatusCode,
    /// Where it was found in the end.
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub text: String,
}

impl Visitor {
    /// Somebody without cookies who reads English.
    ///
    /// # Errors
    /// When `origin` is no URL.
    pub fn new(origin: &str) -> Result<Self> {
        let origin = Url::parse(origin).with_context(|| format!("{origin} is no address"))?;
        Ok(Self { http: crate::http_client(), origin, language: "en", jar: Mutex::default() })
    }

    /// The same, but reads another language, for example `zh-TW`.
    pub fn reading(mut self, language: &'static str) -> Self {
        self.language = language;
        self
    }

    /// The same at another address of loopback: for the broker somebody from another place.
    pub fn living_at(mut self, place: Ipv4Addr) -> Self {
        self.http = crate::http_client_from(place);
        self
    }

    /// Goes to a path here, or to a whole address, and follows redirects.
    ///
    /// # Errors
    /// When nothing answers, or redirects lead in a circle.
    pub async fn get(&self, address: &str) -> Result<Page> {
        let page = self.get_once(address).await?;
        self.follow(page).await
    }

    /// Goes to a path here, or to a whole address, and shows what comes back, a redirect too.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn get_once(&self, address: &str) -> Result<Page> {
        self.ask(Method::GET, self.origin.join(address)?, None).await
    }

    /// Fills in a page's form and sends it as a browser would: hidden fields go along, `fields` replace or add.
    /// Follows redirects.
    ///
    /// # Errors
    /// When the page has no such form or nothing answers.
    pub async fn submit(&self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let form = page.form(action)?.filled(fields);
        let url = page.url.join(&form.action)?;
        let page = match form.method {
            Method::POST => self.ask(Method::POST, url, Some(&form.fields)).await?,
            _ => self.ask(Method::GET, with_query(url, &form.fields), None).await?,
        };
        self.follow(page).await
    }

    /// Sends a form that no page of ours made.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.ask(Method::POST, self.origin.join(path)?, Some(&fields)).await
    }

    /// The value of a cookie that would go to a path, by the end of its name (so with and without `__Host-`).
    pub fn cookie(&self, path: &str, name: &str) -> Option<String> {
        let url = self.origin.join(path).ok()?;
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let found = jar.iter().find(|cookie| cookie.goes_to(&url) && cookie.name.ends_with(name));
        found.map(|cookie| cookie.value.clone())
    }

    /// The `Cookie` header for a path, to open a WebSocket with.
    pub fn cookies(&self, url: &Url) -> String {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = jar.iter().filter(|cookie| cookie.goes_to(url));
        pairs.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    async fn follow(&self, mut page: Page) -> Result<Page> {
        for _ in 0..MOST_REDIRECTS {
            let Some(target) = page.headers.get(header::LOCATION).filter(|_| page.status.is_redirection())
            else {
                return Ok(page);
            };
            let target = page.url.join(target.to_str()?)?;
            page = self.ask(Method::GET, target, None).await?;
        }
        bail!("redirected in a circle, at last to {}", page.url)
    }

    async fn ask(&self, method: Method, url: Url, form: Option<&Vec<(String, String)>>) -> Result<Page> {
        let mut request = self.http.request(method.clone(), url.clone());
        request =
            request.header(header::ACCEPT_LANGUAGE, self.language).header(header::ACCEPT, "text/html, */*");
        let cookies = self.cookies(&url);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        if let Some(fields) = form {
            // What a browser says of a form on a page of the same origin.
            request = request.form(fields).header("sec-fetch-site", "same-origin");
            request = request.header(header::ORIGIN, url.origin().ascii_serialization());
        }
        let reply = request.send().await.with_context(|| format!("{method} {url}"))?;
        self.keep(&url, reply.headers());
        let (status, headers) = (reply.status(), reply.headers().clone());
        Ok(Page { status, url, headers, text: reply.text().await? })
    }

    fn keep(&self, url: &Url, headers: &HeaderMap) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = headers.get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        for (cookie, is_over) in lines.filter_map(|line| Cookie::parse(line, url)) {
            jar.retain(|kept| !kept.is_the_same_as(&cookie));
            if !is_over {
                jar.push(cookie);
            }
        }
    }
}

impl Cookie {
    /// Reads a `Set-Cookie` line (RFC 6265 section 5.2); true when it takes the cookie away.
    fn parse(line: &str, url: &Url) -> Option<(Self, bool)> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie =
            Self { host: url.host_str()?.into(), path: "/".into(), name: name.into(), value: value.into() };
        let mut is_over = false;
        for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
            match attribute.to_ascii_lowercase().as_str() {
                "path" => cookie.path = value.into(),
                "max-age" => is_over = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                _ => {}
            }
        }
        Some((cookie, is_over))
    }

    fn is_the_same_as(&self, other: &Self) -> bool {
        (&self.host, &self.path, &self.name) == (&other.host, &other.path, &other.name)
    }

    /// RFC 6265 section 5.1.4: the cookie's path is the whole path, or a folder above it.
    fn goes_to(&self, url: &Url) -> bool {
        let path = url.path();
        let below = path.strip_prefix(&self.path);
        let in_path =
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'));
        url.host_str() == Some(&self.host) && in_path
    }
}

impl Page {
    /// Its forms, in order.
    pub fn forms(&self) -> impl Iterator<Item = Form> {
        form::forms(&self.text)
    }

    /// The first form whose action begins with `action`.
    ///
    /// # Errors
    /// When there is none; the text shows the page.
    pub fn form(&self, action: &str) -> Result<Form> {
        let form = self.forms().find(|form| form.action.starts_with(action));
        form.with_context(|| format!("no form {action:?} on {} ({}):\n{}", self.url, self.status, self.text))
    }

    /// What stands in the field with this id.
    pub fn value_of(&self, id: &str) -> Option<String> {
        form::value_of(&self.text, id)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the text shows it.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text)
            .with_context(|| format!("{} ({}): {}", self.url, self.status, self.text))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(HeaderValue::to_str)?.ok()
    }

    /// The page itself, if its status is a success.
    ///
    /// # Errors
    /// When it is not; the text shows the page.
    pub fn well(self) -> Result<Self> {
        anyhow::ensure!(self.status.is_success(), "{} answered {}:\n{}", self.url, self.status, self.text);
        Ok(self)
    }
}

fn with_query(mut url: Url, fields: &[(String, String)]) -> Url {
    url.query_pairs_mut().clear().extend_pairs(fields);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn cookies_go_to_their_host_and_path_alone() {
        let visitor = Visitor::new("http://localhost:1/").unwrap();
        let mut headers = HeaderMap::new();
        for line in ["__Host-session=s; Path=/; Secure; HttpOnly", "key=k; path=/portal/entity/7; Max-Age=60"]
        {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(line));
        }
        visitor.keep(&url("http://localhost:1/portal/entity/7"), &headers);
        assert_eq!(
            visitor.cookies(&url("http://localhost:1/portal/entity/7/live")),
            "__Host-session=s; key=k"
        );
        assert_eq!(visitor.cookies(&url("http://localhost:1/portal/entity/70")), "__Host-session=s");
        assert_eq!(visitor.cookies(&url("http://porch.localhost:1/portal/entity/7")), "");
        assert_eq!(visitor.cookie("/", "session").as_deref(), Some("s"));
        let mut over = HeaderMap::new();
        over.append(header::SET_COOKIE, HeaderValue::from_static("__Host-session=; Path=/; Max-Age=0"));
        visitor.keep(&url("http://localhost:1/sign-out"), &over);
        assert_eq!(visitor.cookie("/", "session"), None);
    }
}
