//! The API for programs beside Home Assistant (product page, section A), and where agents dial the direct
//! tunnel.

use std::pin::pin;

use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use shared::id::{AccountId, GrantId, HomeId, WorkspaceId};
use shared::oauth::Scope;
use shared::secret::Secret;
use shared::tunnel::{DIRECT_PATH, DIRECT_PROTOCOL, HomeAnswer, HomeEnvelope};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::info;

use super::direct::Ended;
use super::rows::{Holder, Opened};
use super::{LOOK, Parts, Tunnels, operator};
use crate::homes::Home;
use crate::http::{Answer, Asked, Fault, empty, json};
use crate::oauth;

/// So many events stand on a page of the history, unless asked otherwise.
const HISTORY_PAGE: i64 = 50;
/// And at most.
const HISTORY_MOST: i64 = 200;

#[derive(Serialize)]
struct Workspaces {
    workspaces: Vec<Workspace>,
}

#[derive(Serialize)]
struct Workspace {
    id: WorkspaceId,
    name: String,
    slug: String,
}

#[derive(Serialize)]
struct HomeList {
    homes: Vec<HomeAnswer>,
}

pub async fn answer(tunnels: &Tunnels, asked: Asked) -> Result<Answer, Fault> {
    let path = asked.path.clone();
    if path == DIRECT_PATH {
        return dial(tunnels, asked).await;
    }
    if path.starts_with("/api/tunnels") {
        return operator::answer(tunnels, asked).await;
    }
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let ["api", "smarthome", rest @ ..] = &segments[..] else { return Err(Fault::NotFound) };
    if !matches!(
        rest,
        ["workspaces"]
            | ["workspaces", _, "homes"]
            | ["homes", _]
            | ["homes", _, "tunnel-token" | "status" | "history"]
    ) {
        return Err(Fault::NotFound);
    }
    if asked.method != http::Method::GET {
        return Err(Fault::Method("GET"));
    }
    match rest {
        ["workspaces"] => workspaces(tunnels, &asked).await,
        ["workspaces", id, "homes"] => homes(tunnels, &asked, id).await,
        ["homes", id, "tunnel-token"] => token(tunnels, &asked, id).await,
        ["homes", id, "status"] => status(tunnels, &asked, id).await,
        ["homes", id, "history"] => history(tunnels, &asked, id).await,
        ["homes", id] => home(tunnels, &asked, id).await,
        _ => Err(Fault::NotFound),
    }
}

async fn workspaces(tunnels: &Tunnels, asked: &Asked) -> Result<Answer, Fault> {
    let caller = tunnels.0.parts.oauth.bearer(asked, Scope::WorkspaceRead).await?.caller;
    let found = tunnels.0.parts.accounts.workspaces(&caller).await?;
    let workspaces = found.into_iter().map(|(id, name, slug)| Workspace { id, name, slug }).collect();
    Ok(json(StatusCode::OK, &Workspaces { workspaces }))
}

async fn homes(tunnels: &Tunnels, asked: &Asked, workspace: &str) -> Result<Answer, Fault> {
    let caller = tunnels.0.parts.oauth.bearer(asked, Scope::SmarthomeRead).await?.caller;
    let workspace: WorkspaceId = workspace.parse().map_err(|_| Fault::NotFound)?;
    let homes = tunnels.0.parts.homes.list(&caller, workspace).await?;
    Ok(json(StatusCode::OK, &HomeList { homes: homes.iter().map(|home| tunnels.shown(home)).collect() }))
}

async fn visible(tunnels: &Tunnels, asked: &Asked, id: &str) -> Result<Home, Fault> {
    let caller = tunnels.0.parts.oauth.bearer(asked, Scope::SmarthomeRead).await?.caller;
    tunnels.0.parts.homes.visible(parse(id)?, &caller).await
}

async fn home(tunnels: &Tunnels, asked: &Asked, id: &str) -> Result<Answer, Fault> {
    let home = visible(tunnels, asked, id).await?;
    Ok(json(StatusCode::OK, &HomeEnvelope { home: tunnels.told(&home).await?, hops: Vec::new() }))
}

async fn status(tunnels: &Tunnels, asked: &Asked, id: &str) -> Result<Answer, Fault> {
    let home = visible(tunnels, asked, id).await?;
    let hops = tunnels.hops(&home).0.iter().map(|hop| hop.answer(asked.words())).collect();
    Ok(json(StatusCode::OK, &HomeEnvelope { home: tunnels.told(&home).await?, hops }))
}

/// `GET …/history?before=ID&limit=N`.
async fn history(tunnels: &Tunnels, asked: &Asked, id: &str) -> Result<Answer, Fault> {
    let home = visible(tunnels, asked, id).await?;
    let query = asked.query_form()?;
    let number = |name: &'static str| {
        let wrong = |_| Fault::bad(format!("{name}: it must be a number"));
        query.optional(name)?.map(|text| text.parse::<i64>().map_err(wrong)).transpose()
    };
    let (before, limit) = (number("before")?, number("limit")?.unwrap_or(HISTORY_PAGE));
    if !(1..=HISTORY_MOST).contains(&limit) {
        return Err(Fault::bad(format!("limit: it must be between 1 and {HISTORY_MOST}")));
    }
    let most = u16::try_from(limit).unwrap_or(u16::MAX);
    let page = tunnels.history(&home, before, most).await?;
    Ok(json(StatusCode::OK, &page.answer(asked.words())))
}

async fn token(tunnels: &Tunnels, asked: &Asked, id: &str) -> Result<Answer, Fault> {
    let bearer = tunnels.0.parts.oauth.bearer(asked, Scope::SmarthomeTunnel).await?;
    let home = tunnels.0.parts.homes.owned(parse(id)?, &bearer.caller).await?;
    Ok(json(StatusCode::OK, &tunnels.token(&home, &bearer).await?))
}

fn parse(id: &str) -> Result<HomeId, Fault> {
    id.parse().map_err(|_| Fault::NotFound)
}

/// The agent's side of the direct tunnel: the token is checked, the connection changes hands.
async fn dial(tunnels: &Tunnels, mut asked: Asked) -> Result<Answer, Fault> {
    let token =
        asked.bearer().map(|token| Secret::from(token.to_owned())).ok_or(Fault::Unauthorized(false))?;
    // From before the token is checked, so that a revocation in between is not missed.
    let ends = tunnels.0.parts.oauth.revoked();
    let changes = tunnels.0.parts.accounts.changed();
    let opened = tunnels.opened_by(&token).await?.ok_or(Fault::Unauthorized(true))?;
    let speaks = asked.header(header::UPGRADE).is_some_and(|word| word.eq_ignore_ascii_case(DIRECT_PROTOCOL));
    let upgrade = asked.upgrade.take().filter(|_| speaks);
    let upgrade =
        upgrade.ok_or_else(|| Fault::bad(format!("this address speaks {DIRECT_PROTOCOL} over HTTP/1.1")))?;
    let (serving, peer) = (tunnels.clone(), asked.peer.ip);
    let held = Held { token, ends, changes };
    tunnels.0.parts.tasks.spawn(async move {
        // Where this fails the agent went away before the 101 reached it: nothing to serve.
        if let Ok(connection) = upgrade.await {
            info!(home.id = %opened.home, %peer, "tunnel open");
            let ended = serving.serve(&opened, connection, held).await;
            info!(home.id = %opened.home, ?ended, "tunnel closed");
        }
    });
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(DIRECT_PROTOCOL));
    Ok(answer)
}

/// On the strength of what a line stands open.
struct Held {
    token: Secret,
    ends: Receiver<GrantId>,
    changes: Receiver<AccountId>,
}

impl Tunnels {
    /// Serves a line until it ends, or its token opens nothing any more.
    async fn serve(&self, opened: &Opened, connection: Upgraded, held: Held) -> Ended {
        let Parts { direct, oauth, .. } = &self.0.parts;
        self.names().insert(opened.label.clone(), opened.home);
        let mut serving = pin!(direct.serve(opened.home, TokioIo::new(connection)));
        let void = async {
            match &opened.holder {
                Holder::Grant(grant) => tokio::select! {
                    () = oauth.until_ended(*grant, held.ends) => {}
                    () = self.until_void(opened, &held.token, held.changes) => {}
                },
                Holder::Client(_) => self.until_switched_off(&held.token, held.ends).await,
            }
        };
        tokio::select! {
            ended = &mut serving => ended,
            () = void => {
                direct.hang_up(opened.home);
                serving.await
            }
        }
    }

    /// Waits until the token of a program of its own opens nothing any more: it is looked at whenever a grant ends,
    /// as all of a program's do when it is switched off here, and now and then, for what is done elsewhere.
    async fn until_switched_off(&self, token: &Secret, mut ends: Receiver<GrantId>) {
        loop {
            match timeout(oauth::LOOK, ends.recv()).await {
                Ok(Err(RecvError::Closed)) => std::future::pending().await,
                Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => {}
            }
            // A database that does not answer ends nothing.
            if let Ok(None) = self.opened_by(token).await {
                return;
            }
        }
    }

    /// Waits until a token opens nothing any more: the role of whoever granted it changed here, or anything
    /// elsewhere.
    async fn until_void(&self, opened: &Opened, token: &Secret, mut changes: Receiver<AccountId>) {
        let mut next = Instant::now() + LOOK;
        loop {
            match timeout_at(next, changes.recv()).await {
                Ok(Ok(account)) if opened.account != Some(account) => continue,
                Ok(Err(RecvError::Closed)) => std::future::pending().await,
                // Theirs, or one that was missed, or it is time.
                _ => next = Instant::now() + LOOK,
            }
            // A database that does not answer ends nothing.
            if let Ok(None) = self.opened_by(token).await {
                return;
            }
        }
    }
}
