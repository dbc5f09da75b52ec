//! The files of `assets/`, embedded in the program, under addresses that change when any of them does.

use std::sync::{Arc, LazyLock};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use warp::Reply as _;

use super::{Answer, Asked, Fault, Routes, Site, page, routes};
use crate::chance;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// One mark for the whole set, so that modules can import each other by relative address.
static MARK: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort_unstable();
    let hashes: Vec<_> =
        names.iter().filter_map(|name| Files::get(name)).map(|file| file.metadata.sha256_hash()).collect();
    BASE64_URL_SAFE_NO_PAD.encode(&chance::hash(&format!("{hashes:?}"))[..9])
});

/// The address of a file.
pub fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *MARK)
}

/// `GET /assets/{mark}/{name}` and `/favicon.ico`.
pub fn serve(site: Arc<Site>) -> Routes {
    routes(site, &["assets", "favicon.ico"], |asked| async move { answer(&asked) })
}

fn answer(asked: &Asked) -> Result<Answer, Fault> {
    if asked.method != http::Method::GET && asked.method != http::Method::HEAD {
        return Err(Fault::Method("GET, HEAD"));
    }
    let (name, kept) = match asked.segments()[..] {
        ["favicon.ico"] => ("icon.svg", "public, max-age=86400"),
        // A page of an older release may still ask by its mark; the file is then today's and not kept.
        ["assets", mark, name] if mark == *MARK => (name, "public, max-age=31536000, immutable"),
        ["assets", _, name] => (name, "no-store"),
        _ => return Err(Fault::NotFound),
    };
    let file = Files::get(name).ok_or(Fault::NotFound)?;
    let kind = file.metadata.mimetype().to_owned();
    let mut answer = file.data.into_owned().into_response();
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    page::harden(headers, &[]);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    let kind = if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&kind).map_err(anyhow::Error::from)?);
    Ok(answer)
}
