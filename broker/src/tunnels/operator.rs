//! The operator's API (T7): programs with the scope `tunnels:manage` make, show and delete the tunnels of their
//! workspace's homes. Client credentials (RFC 6749 section 4.4); the scope is given by the operator's command alone.
//!
//! | | |
//! |---|---|
//! | `POST /api/tunnels` | `{"home_id"}`, or `{"workspace_id","name","ha_port"}` for a new home → 201 |
//! | `GET /api/tunnels/{id}` | how it is, and who is connected |
//! | `GET /api/tunnels/{id}/token` | the secret that opens it |
//! | `DELETE /api/tunnels/{id}` | deletes it and its home → 202 until the provider has confirmed, then 404 |
//!
//! An id that was given out leads to its home for as long as there is the home. Where the tunnel had to be made anew
//! at the provider, the answers name the id that it has now.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use shared::id::{HomeId, WorkspaceId};
use shared::oauth::Scope;
use shared::secret::Secret;
use shared::tunnel::TunnelTokenAnswer;
use tokio::time::{Instant, sleep};

use super::{Tunnels, tunnel_id};
use crate::audit::Doer;
use crate::chance;
use crate::clock::Timestamp;
use crate::homes::{DEFAULT_PORT, Home, Owned, Request, State};
use crate::http::{Answer, Asked, Fault, empty, json};
use crate::oauth::Bearer;

/// How long a program waits for its tunnel before it is asked to come again.
const PATIENCE: Duration = Duration::from_secs(25);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// `POST /api/tunnels`: one of the two shapes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    home_id: Option<HomeId>,
    workspace_id: Option<WorkspaceId>,
    name: Option<String>,
    ha_port: Option<u16>,
}

#[derive(Serialize)]
struct Made {
    tunnel_id: String,
    tunnel_name: String,
    tunnel_token: Secret,
    hostname: String,
    home_id: HomeId,
}

#[derive(Serialize)]
struct Shown {
    tunnel_id: String,
    name: String,
    /// `inactive` (never connected), `healthy`, `degraded` or `down`; `deleting`.
    status: String,
    connections: Vec<Connection>,
    created_at: i64,
}

#[derive(Serialize)]
struct Connection {
    connector_id: String,
    /// `cloudflared` or `direct`.
    r#type: &'static str,
    origin_ip: Option<String>,
    opened_at: Option<i64>,
}

#[derive(Serialize)]
struct Token {
    tunnel_id: String,
    token: Secret,
}

pub async fn answer(tunnels: &Tunnels, asked: Asked) -> Result<Answer, Fault> {
    let bearer = async || tunnels.0.parts.oauth.bearer(&asked, Scope::TunnelsManage).await;
    match (&asked.method, &asked.segments()[..]) {
        (&Method::POST, ["api", "tunnels"]) => make(tunnels, &bearer().await?, &asked).await,
        (_, ["api", "tunnels"]) => Err(Fault::Method("POST")),
        (&Method::GET, ["api", "tunnels", id]) => show(tunnels, &bearer().await?, id).await,
        (&Method::DELETE, ["api", "tunnels", id]) => delete(tunnels, &bearer().await?, id, &asked).await,
        (_, ["api", "tunnels", _]) => Err(Fault::Method("GET, DELETE")),
        (&Method::GET, ["api", "tunnels", id, "token"]) => {
            let bearer = bearer().await?;
            let home = owned(tunnels, &bearer, id).await?;
            let TunnelTokenAnswer { tunnel_id, tunnel_token: token, .. } =
                tunnels.token(&home, &bearer).await?;
            Ok(json(StatusCode::OK, &Token { tunnel_id, token }))
        }
        (_, ["api", "tunnels", _, "token"]) => Err(Fault::Method("GET")),
        _ => Err(Fault::NotFound),
    }
}

async fn make(tunnels: &Tunnels, bearer: &Bearer, asked: &Asked) -> Result<Answer, Fault> {
    let home = match asked.json()? {
        Wanted { home_id: Some(home), workspace_id: None, name: None, ha_port: None } => {
            tunnels.0.parts.homes.owned(home, &bearer.caller).await?
        }
        Wanted { home_id: None, workspace_id: Some(workspace), name: Some(name), ha_port } => {
            let request = request(asked, workspace)?;
            let homes = &tunnels.0.parts.homes;
            let port = ha_port.unwrap_or(DEFAULT_PORT);
            homes.create_once(request.as_ref(), &name, port, workspace, &bearer.caller).await?
        }
        _ => return Err(Fault::bad("give home_id alone, or workspace_id, name and ha_port for a new home")),
    };
    let token = patiently(tunnels, &home, bearer).await?;
    let made = Made {
        tunnel_name: name(tunnels, &home).await?,
        tunnel_id: token.tunnel_id,
        tunnel_token: token.tunnel_token,
        hostname: token.subdomain,
        home_id: home.id,
    };
    Ok(json(StatusCode::CREATED, &made))
}

/// The request's `Idempotency-Key`, if it bears one: the same key for the same workspace makes one home.
fn request(asked: &Asked, workspace: WorkspaceId) -> Result<Option<Request>, Fault> {
    let Some(key) = asked.headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| Fault::bad("an Idempotency-Key has 1 to 255 visible characters"))?;
    Ok(Some(Request {
        key: chance::hash(&format!("{workspace} {key}")),
        hash: chance::hash_bytes(&asked.body),
    }))
}

/// The token, once the tunnel is made. What cannot be made without somebody's help is said at once.
async fn patiently(tunnels: &Tunnels, home: &Owned, bearer: &Bearer) -> Result<TunnelTokenAnswer, Fault> {
    let until = Instant::now() + PATIENCE;
    loop {
        match tunnels.token(home, bearer).await {
            Err(Fault::Unavailable(_)) if Instant::now() < until => {}
            answered => return answered,
        }
        let now = tunnels.0.parts.homes.owned(home.id, &bearer.caller).await?;
        if let (State::Error, Some(error)) = (now.state, &now.error) {
            return Err(Fault::Stuck(error.clone()));
        }
        sleep(LOOK).await;
    }
}

async fn show(tunnels: &Tunnels, bearer: &Bearer, id: &str) -> Result<Answer, Fault> {
    let home = visible(tunnels, bearer, id).await?;
    let (status, connections) = connections(tunnels, &home).await;
    let shown = Shown {
        tunnel_id: tunnels.0.parts.provider.id_of(home.id).await?.unwrap_or_else(|| id.to_owned()),
        name: name(tunnels, &home).await?,
        status: if home.state == State::Deleting { "deleting".to_owned() } else { status },
        connections,
        created_at: home.created_at.millis(),
    };
    Ok(json(StatusCode::OK, &shown))
}

async fn delete(tunnels: &Tunnels, bearer: &Bearer, id: &str, asked: &Asked) -> Result<Answer, Fault> {
    let home = visible(tunnels, bearer, id).await?;
    if home.state != State::Deleting {
        let home = tunnels.0.parts.homes.owned(home.id, &bearer.caller).await?;
        let by = Doer { account: bearer.caller.account, from: Some(asked.peer.ip) };
        tunnels.delete(&home, &by).await?;
    }
    Ok(empty(StatusCode::ACCEPTED))
}

/// Who is connected, and how the tunnel is.
async fn connections(tunnels: &Tunnels, home: &Home) -> (String, Vec<Connection>) {
    if home.domain.is_none() {
        let since = tunnels.line_since(home.id);
        let connection = since.map(|since| Connection {
            connector_id: tunnel_id(home.id),
            r#type: "direct",
            origin_ip: None,
            opened_at: Some(since.millis()),
        });
        let status = if connection.is_some() { "healthy" } else { "inactive" };
        return (status.to_owned(), connection.into_iter().collect());
    }
    let Some(seen) = tunnels.0.parts.provider.ask(home).await else {
        return ("inactive".to_owned(), Vec::new());
    };
    let connectors = seen.connectors.map_or_else(Vec::new, |(_, connectors)| connectors);
    let connections = connectors.into_iter().flat_map(|connector| {
        connector.conns.into_iter().filter(|conn| !conn.is_pending_reconnect).map(move |conn| Connection {
            connector_id: connector.id.clone(),
            r#type: "cloudflared",
            opened_at: Timestamp::parse(&conn.opened_at).map(Timestamp::millis),
            origin_ip: Some(conn.origin_ip).filter(|ip| !ip.is_empty()),
        })
    });
    (seen.status, connections.collect())
}

async fn name(tunnels: &Tunnels, home: &Home) -> Result<String, Fault> {
    if home.domain.is_none() {
        return Ok(tunnel_id(home.id));
    }
    Ok(tunnels.0.parts.provider.name_of(home.id).await?)
}

/// The home whose tunnel has this id or had it, also while it is being deleted.
async fn visible(tunnels: &Tunnels, bearer: &Bearer, id: &str) -> Result<Home, Fault> {
    let direct = id.strip_prefix("direct-").and_then(|home| home.parse().ok());
    let home = match direct {
        Some(home) => Some(home),
        None => tunnels.0.parts.provider.home_of(id).await?,
    };
    let home = tunnels.0.parts.homes.visible(home.ok_or(Fault::NotFound)?, &bearer.caller).await?;
    // A home at Cloudflare has no direct tunnel.
    if direct.is_some() && home.domain.is_some() { Err(Fault::NotFound) } else { Ok(home) }
}

async fn owned(tunnels: &Tunnels, bearer: &Bearer, id: &str) -> Result<Owned, Fault> {
    let home = visible(tunnels, bearer, id).await?;
    tunnels.0.parts.homes.owned(home.id, &bearer.caller).await
}
