//! Pages: templates turned into answers with every header a page of ours carries.
//!
//! Invariant: no page runs an inline script, is framed, is kept, or tells another site where it was.

use askama::Template;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::Reply as _;

use super::words::Words;
use super::{Answer, assets};

/// What every page knows of its reader.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The words of the reader's language.
    pub w: &'static Words,
    /// For hidden fields and the scripts' header; empty on pages without forms.
    pub csrf: String,
    /// The name of the account that is signed in.
    pub account: Option<String>,
    /// Where that account is looking; for the ways through the site.
    pub here: Option<Here>,
}

/// The workspace somebody looks at.
#[derive(Debug, Clone)]
pub struct Here {
    /// What it is called.
    pub workspace: String,
    /// Whether they are its owner or an admin.
    pub manages: bool,
}

impl Frame {
    /// A page for anybody.
    pub fn bare(w: &'static Words) -> Self {
        Self { w, csrf: String::new(), account: None, here: None }
    }

    /// The address of a file in `assets/`.
    pub fn asset(&self, name: &str) -> String {
        assets::address(name)
    }
}

/// A page.
pub fn page(status: StatusCode, template: &impl Template) -> Answer {
    page_towards(status, template, &[])
}

/// A page whose form leads, after our redirect, to other origins: Chromium holds `form-action` against the
/// redirect too.
pub fn page_towards(status: StatusCode, template: &impl Template, targets: &[String]) -> Answer {
    let html = match template.render() {
        Ok(html) => html,
        Err(err) => {
            tracing::error!("render a page: {err}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut answer = warp::reply::html(html).into_response();
    *answer.status_mut() = status;
    never_kept(answer.headers_mut());
    harden(answer.headers_mut(), targets);
    answer
}

/// The friendly page for a fault.
pub fn fault(
    status: StatusCode,
    words: &'static Words,
    sentence: &'static str,
    detail: Option<String>,
) -> Answer {
    page(status, &FaultPage { frame: Frame::bare(words), sentence, detail })
}

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    frame: Frame,
    sentence: &'static str,
    detail: Option<String>,
}

/// Nobody keeps a copy.
pub fn never_kept(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// The headers of `security.md`, parameter 1.
pub fn harden(headers: &mut HeaderMap, form_targets: &[String]) {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; \
         form-action {}; require-trusted-types-for 'script'",
        [&["'self'".to_owned()], form_targets].concat().join(" ")
    );
    match HeaderValue::from_str(&policy) {
        Ok(policy) => _ = headers.insert(header::CONTENT_SECURITY_POLICY, policy),
        Err(_) => {
            _ = headers
                .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"))
        }
    }
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self), publickey-credentials-get=(self), publickey-credentials-create=(self)",
        ),
        ("x-robots-tag", "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
