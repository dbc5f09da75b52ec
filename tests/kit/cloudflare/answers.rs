//! The API's answers.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::state::{Record, State, Tunnel};
use super::{ACCOUNT, Asked, TOKEN, ZONE};

/// An answer.
pub struct Said {
    pub status: StatusCode,
    body: String,
    is_html: bool,
    after: Option<u64>,
}

type Query<'a> = &'a [(String, String)];

impl Said {
    fn envelope(status: u16, envelope: &Value) -> Self {
        let status = StatusCode::from_u16(status).expect("a status of ours");
        Self { status, body: envelope.to_string(), is_html: false, after: None }
    }

    fn yes(result: Value) -> Self {
        Self::envelope(200, &json!({"success": true, "errors": [], "messages": [], "result": result}))
    }

    /// An error.
    pub fn no(status: u16, code: i64, message: &str) -> Self {
        let errors = json!([{"code": code, "message": message}]);
        Self::envelope(status, &json!({"success": false, "errors": errors, "messages": [], "result": null}))
    }

    /// Too many calls.
    pub fn too_many(seconds: u64) -> Self {
        let mut said = Self::no(429, 10013, "Rate limited. Please wait and try again");
        said.after = Some(seconds);
        said
    }

    /// What stands between us and the API answers for it.
    pub fn html() -> Self {
        let body = "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>";
        Self { status: StatusCode::BAD_GATEWAY, body: body.to_owned(), is_html: true, after: None }
    }

    pub fn response(self) -> Response<Full<Bytes>> {
        let kind = if self.is_html { "text/html" } else { "application/json" };
        let mut response = Response::builder().status(self.status).header("content-type", kind);
        if let Some(after) = self.after {
            response = response.header("retry-after", after);
        }
        response.body(Full::new(Bytes::from(self.body))).expect("headers of ours are good")
    }
}

/// Does what a call asks, and answers.
pub fn answer(state: &mut State, bearer: Option<&str>, asked: &Asked, body: &Value) -> Said {
    let Asked { method, path, query, .. } = asked;
    let segments: Vec<&str> = path.split('/').collect();
    let (needs, rest) = match &segments[..] {
        ["accounts", ACCOUNT, "cfd_tunnel", rest @ ..] => ("tunnels", rest),
        ["zones", ZONE, "dns_records", rest @ ..] => ("dns", rest),
        ["zones", ZONE, "settings", rest @ ..] => ("settings", rest),
        ["zones", ZONE] => ("zone", &segments[..0]),
        _ => {
            return Said::no(
                404,
                7003,
                "Could not route to the path, perhaps your object identifier is invalid?",
            );
        }
    };
    if bearer != Some(&format!("Bearer {TOKEN}")) {
        return Said::no(401, 1000, "Invalid API Token");
    }
    // Whoever may write its records may know its name.
    let may = if needs == "zone" { "dns" } else { needs };
    if !state.permissions.contains(&may) {
        return Said::no(403, 10000, "Authentication error");
    }
    match needs {
        "tunnels" => tunnels(state, method, rest, query, body),
        "dns" => records(state, method, rest, query, body),
        "zone" => Said::yes(json!({"id": ZONE, "name": state.zone, "status": "active"})),
        _ => Said::yes(json!({"id": "websockets", "value": if state.websockets { "on" } else { "off" }})),
    }
}

fn tunnels(state: &mut State, method: &Method, rest: &[&str], query: Query<'_>, body: &Value) -> Said {
    let gone = || Said::no(404, 1000, "Tunnel not found");
    let lingering = state.lingering;
    match (method.as_str(), rest) {
        ("GET", []) => {
            let shown = |tunnel: &&Tunnel| {
                let says = |name: &str, value: &str| match name {
                    "name" => tunnel.name == value,
                    "is_deleted" => tunnel.is_deleted == (value == "true"),
                    "include_prefix" => tunnel.name.starts_with(value),
                    _ => true,
                };
                query.iter().all(|(name, value)| says(name, value))
            };
            page(query, state.tunnels.iter().filter(shown).map(show).collect())
        }
        ("POST", []) => make(state, body),
        ("GET", [id]) => match state.tunnels.iter().find(|tunnel| tunnel.id == *id) {
            Some(tunnel) => Said::yes(show(tunnel)),
            None => gone(),
        },
        ("PATCH", [id]) => {
            let Some(tunnel) = state.tunnel(id) else { return gone() };
            if let Some(secret) = body["tunnel_secret"].as_str() {
                tunnel.secret = secret.to_owned();
            }
            Said::yes(show(tunnel))
        }
        ("DELETE", [id]) => {
            let Some(tunnel) = state.tunnel(id) else { return gone() };
            if tunnel.is_connected() {
                return Said::no(400, 1022, "Cannot delete tunnel because it has active connections");
            }
            tunnel.is_deleted = true;
            Said::yes(show(tunnel))
        }
        ("GET", [id, "token"]) => {
            state.tunnel(id).map_or_else(gone, |tunnel| Said::yes(json!(tunnel.token())))
        }
        ("PUT", [id, "configurations"]) => {
            let Some(tunnel) = state.tunnel(id) else { return gone() };
            if let Err(why) = is_ingress(&body["config"]["ingress"]) {
                return Said::no(400, 1056, &format!("Bad Configuration: Validation failed: {why}"));
            }
            let version = tunnel.config.as_ref().map_or(0, |(version, _)| *version) + 1;
            tunnel.config = Some((version, body["config"].clone()));
            Said::yes(
                json!({"tunnel_id": id, "version": version, "config": body["config"], "source": "cloudflare"}),
            )
        }
        ("GET", [id, "connections"]) => {
            let Some(tunnel) = state.tunnel(id) else { return gone() };
            let connections = tunnel.connectors.iter().map(|connector| {
                let open = json!({"id": connector.id, "origin_ip": connector.origin_ip,
                    "opened_at": "2026-11-22T12:00:00.000000Z", "colo_name": "ams01", "is_pending_reconnect": false});
                json!({"id": connector.id, "arch": "linux_amd64", "version": "2026.8.2", "config_version": 1,
                    "conns": [open]})
            });
            Said::yes(connections.collect())
        }
        ("DELETE", [id, "connections"]) => {
            let Some(tunnel) = state.tunnel(id) else { return gone() };
            tunnel.cut(lingering);
            Said::yes(Value::Null)
        }
        _ => Said::no(405, 10000, "method not allowed for the api_token authentication scheme"),
    }
}

fn make(state: &mut State, body: &Value) -> Said {
    let Some(name) = body["name"].as_str().filter(|name| !name.is_empty()) else {
        return Said::no(400, 1001, "name is required");
    };
    if state.alive().any(|tunnel| tunnel.name == name) {
        return Said::no(
            409,
            1013,
            "You already have a tunnel with this name. Delete the existing tunnel, or choose a different name for your new tunnel",
        );
    }
    if state.alive().count() >= state.most_tunnels {
        return Said::no(403, 1014, "You have reached the limit of tunnels for this account.");
    }
    let tunnel = state.add_tunnel(name, body["config_src"] == "cloudflare");
    let mut shown = show(tunnel);
    shown["token"] = json!(tunnel.token());
    Said::yes(shown)
}

fn show(tunnel: &Tunnel) -> Value {
    let status = match (&tunnel.connectors[..], tunnel.is_connected()) {
        ([], true) => "down",
        ([], false) => "inactive",
        _ => "healthy",
    };
    json!({
        "id": tunnel.id, "account_tag": ACCOUNT, "name": tunnel.name, "status": status,
        "created_at": "2026-11-22T12:00:00.000000Z", "tun_type": "cfd_tunnel", "metadata": {}, "connections": [],
        "remote_config": tunnel.is_remote, "config_src": if tunnel.is_remote { "cloudflare" } else { "local" },
        "deleted_at": if tunnel.is_deleted { json!("2026-11-22T12:30:00.000000Z") } else { Value::Null },
    })
}

/// What `cloudflared` itself holds against an ingress.
fn is_ingress(rules: &Value) -> Result<(), &'static str> {
    let rules = rules.as_array().filter(|rules| !rules.is_empty()).ok_or("no ingress rules")?;
    for (index, rule) in rules.iter().enumerate() {
        let is_last = index + 1 == rules.len();
        let catches_all = rule["hostname"].as_str().unwrap_or_default().is_empty() && rule["path"].is_null();
        if is_last != catches_all {
            return Err(if is_last {
                "The last ingress rule must match all URLs"
            } else {
                "a rule matches all URLs"
            });
        }
        let service = rule["service"].as_str().unwrap_or_default();
        let after = service.split_once("://").map_or("", |(_, rest)| rest);
        if !service.starts_with("http_status:") && (after.is_empty() || after.contains('/')) {
            return Err("a service is a scheme and a host, without a path");
        }
    }
    Ok(())
}

fn records(state: &mut State, method: &Method, rest: &[&str], query: Query<'_>, body: &Value) -> Said {
    let gone = || Said::no(404, 81044, "Record does not exist.");
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    match (method.as_str(), rest) {
        ("GET", []) => {
            let shown = |record: &&Record| {
                let says = |name: &str, value: &str| match name {
                    "name.exact" => record.name == value,
                    "content.exact" => record.content == value,
                    "comment.startswith" => record.comment.starts_with(value),
                    "type" => record.kind == value,
                    _ => true,
                };
                query.iter().all(|(name, value)| says(name, value))
            };
            page(query, state.records.iter().filter(shown).map(show_record).collect())
        }
        ("POST", []) => {
            if !text("name").ends_with(&state.zone) {
                return Said::no(400, 9005, "Content for the record is not in the zone.");
            }
            // Texts stand beside texts; a CNAME stands alone.
            let beside = |record: &&Record| record.name == text("name");
            let is_text = |record: &Record| record.kind == "TXT" && text("type") == "TXT";
            if state.records.iter().filter(beside).any(|record| !is_text(record)) {
                return Said::no(400, 81053, "An A, AAAA, or CNAME record with that host already exists.");
            }
            if state.records.iter().filter(beside).any(|record| record.content == text("content")) {
                return Said::no(400, 81058, "An identical record already exists.");
            }
            if state.records.len() >= state.most_records {
                return Said::no(400, 81045, "Record quota exceeded.");
            }
            let made = state.add_record(&text("type"), &text("name"), &text("content"), &text("comment"));
            Said::yes(show_record(&made))
        }
        ("PUT", [id]) => match state.records.iter_mut().find(|record| record.id == *id) {
            Some(record) => {
                (record.kind, record.content, record.comment) =
                    (text("type"), text("content"), text("comment"));
                Said::yes(show_record(record))
            }
            None => gone(),
        },
        ("DELETE", [id]) => {
            let before = state.records.len();
            state.records.retain(|record| record.id != *id);
            if state.records.len() < before { Said::yes(json!({"id": id})) } else { gone() }
        }
        _ => Said::no(405, 10000, "method not allowed for the api_token authentication scheme"),
    }
}

fn show_record(record: &Record) -> Value {
    json!({"id": record.id, "type": record.kind, "name": record.name, "content": record.content,
        "proxied": record.kind != "TXT", "ttl": 1, "comment": record.comment})
}

/// One page of a list.
fn page(query: Query<'_>, all: Vec<Value>) -> Said {
    let number = |name: &str, otherwise: usize| {
        query
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(otherwise)
    };
    let (page, per_page) = (number("page", 1).max(1), number("per_page", 20).clamp(1, 100));
    let total = all.len();
    let some: Vec<Value> = all.into_iter().skip((page - 1) * per_page).take(per_page).collect();
    let info = json!({"page": page, "per_page": per_page, "count": some.len(), "total_count": total});
    Said::envelope(
        200,
        &json!({"success": true, "errors": [], "messages": [], "result": some, "result_info": info}),
    )
}
