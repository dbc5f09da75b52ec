//! Links and guests, from the owner's click to the one refusal.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::http::{Answer, Asked, Peer};
use crate::relay::tests::{Wire, World, agent, grants, states, until};

mod refusing;
mod sockets;

/// A broker's lower half with a portal, and one home.
struct Stage {
    world: World,
    portal: Portal,
    home: Owned,
    address: SocketAddr,
}

async fn stage() -> Stage {
    let world = World::new(|store, clock| shares(store.clone(), clock.clone())).await;
    let home = world.home().await;
    let portal = Portal::new(Parts {
        store: world.store.clone(),
        clock: world.clock.clone(),
        site: world.site.clone(),
        relay: world.relay.clone(),
        stop: world.stop.clone(),
        tasks: world.tasks.clone(),
    });
    use warp::Filter as _;
    let routes = world.relay.routes().or(portal.routes()).unify().boxed();
    let address = world.serve(routes).await;
    Stage { world, portal, home, address }
}

impl Stage {
    async fn share(&self, entity: &str, permission: Permission, expires: Option<Timestamp>) -> Shared {
        let new = NewLink { label: "Anna".into(), permission, expires, by: Doer::default() };
        self.portal.share(&self.home, &entity.parse().unwrap(), ("Porch", Some("Garden")), new).await.unwrap()
    }

    async fn agent(&self) -> Wire {
        agent(self.address, &grants::token(&self.world, &self.home).await).await
    }

    async fn ask(&self, guest: &Guest) -> Answer {
        let asked = guest.asked(self.world.site.clone());
        let manner = crate::http::fault::Manner::of(&asked);
        self.portal.answer(asked).await.unwrap_or_else(|fault| fault.answer(&manner))
    }

    /// Status and JSON of an answer.
    async fn json(&self, guest: &Guest) -> (u16, Value) {
        let (status, _, text) = read(self.ask(guest).await).await;
        (status.as_u16(), serde_json::from_str(&text).unwrap())
    }
}

/// A request of a guest, put together step by step.
#[derive(Clone)]
struct Guest {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
    ip: &'static str,
}

impl Guest {
    fn new(method: Method, path: String) -> Self {
        let (query, headers, body) = (String::new(), HeaderMap::new(), String::new());
        Self { method, path, query, headers, body, ip: "192.0.2.1" }
    }

    fn get(entity: SharedEntityId) -> Self {
        Self::new(Method::GET, page_path(entity))
    }

    fn post(entity: SharedEntityId, what: &str) -> Self {
        Self::new(Method::POST, format!("{}/{what}", page_path(entity)))
    }

    fn query(self, token: &str) -> Self {
        Self { query: format!("access_token={token}"), ..self }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn cookie(self, token: &str) -> Self {
        self.header("cookie", &format!("guest={token}")).header("sec-fetch-site", "same-origin")
    }

    fn json(self, body: &Value) -> Self {
        Self { body: body.to_string(), ..self }.header("content-type", "application/json")
    }

    fn asked(&self, site: Arc<Site>) -> Asked {
        Asked {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            peer: Peer { ip: self.ip.parse().unwrap(), tls: false },
            body: Bytes::from(self.body.clone()),
            upgrade: None,
            site,
        }
    }
}

fn token(shared: &Shared) -> &str {
    shared.url.expose().split_once("access_token=").unwrap().1
}

async fn read(answer: Answer) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = answer.into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_first_visit_moves_the_token_into_a_cookie() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::View, None).await;
    assert!(token(&shared).len() >= 32 + 4, "SL-01");
    let first = Guest::get(shared.entity.id).query(token(&shared));
    let (status, headers, _) = read(stage.ask(&first).await).await;
    let page = page_path(shared.entity.id);
    assert_eq!((status, headers["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, page.as_str()));
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains(&format!("Path={page};")), "{cookie}");
    assert!(headers["referrer-policy"] == "no-referrer" && headers["cache-control"] == "no-store", "SL-02");
    let (status, headers, text) =
        read(stage.ask(&Guest::get(shared.entity.id).cookie(token(&shared))).await).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("Porch") && text.contains("Garden") && text.contains("Lakehouse"));
    assert!(!text.contains(token(&shared)) && !text.contains("light.porch"), "{text}");
    assert!(!text.contains("guest-control"), "a page for viewing ships no control");
    assert!(headers.contains_key("content-security-policy"));
}

#[tokio::test]
async fn a_preview_is_no_use_and_a_visit_is() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::View, None).await;
    let preview = Guest { method: Method::HEAD, ..Guest::get(shared.entity.id) };
    let (_, headers, _) = read(stage.ask(&preview.clone().query(token(&shared))).await).await;
    assert!(!headers.contains_key("set-cookie"), "SL-05");
    stage.ask(&preview.cookie(token(&shared))).await;
    let used = || async { stage.portal.links(&stage.home).await.unwrap()[0].link.used };
    assert_eq!(used().await, None, "SL-05");
    stage.ask(&Guest::get(shared.entity.id).cookie(token(&shared))).await;
    stage.world.stop.cancel();
    stage.world.tasks.close();
    stage.world.tasks.wait().await;
    assert!(used().await.is_some());
}

#[tokio::test]
async fn owners_list_and_revoke_their_links_and_nobody_elses() {
    let stage = stage().await;
    let first = stage.share("light.porch", Permission::Control, None).await;
    let second = stage.share("light.porch", Permission::View, None).await;
    assert_eq!(first.entity.id, second.entity.id, "an entity keeps its number");
    let lines = stage.portal.links(&stage.home).await.unwrap();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().any(|line| line.link == first.link && line.entity == first.entity));
    let other = stage.world.home().await;
    assert!(matches!(
        stage.portal.revoke(&other, first.link.id, &Doer::default()).await,
        Err(Fault::NotFound)
    ));
    stage.portal.revoke(&stage.home, first.link.id, &Doer::default()).await.unwrap();
    let once = stage.portal.links(&stage.home).await.unwrap();
    stage.world.clock.turn(Duration::from_secs(5));
    stage.portal.revoke(&stage.home, first.link.id, &Doer::default()).await.unwrap();
    assert_eq!(stage.portal.links(&stage.home).await.unwrap(), once, "the first time counts");
    assert!(stage.portal.links(&other).await.unwrap().is_empty());

    let mut db = stage.world.store.read().await.unwrap();
    let noted = audit::after(&mut db, 0, 100).await.unwrap();
    let about = |act: Act| noted.iter().filter(move |entry| entry.act == act.word()).collect::<Vec<_>>();
    assert_eq!((about(Act::LinkMade).len(), about(Act::LinkRevoked).len()), (2, 1), "LG-01: {noted:?}");
    let revoked = about(Act::LinkRevoked)[0];
    assert!(revoked.facts.contains(&first.link.id.to_string()), "LG-01: {revoked:?}");
    assert!(matches!(audit::verify(&mut db).await.unwrap(), audit::Chain::Whole { .. }));
}

#[tokio::test]
async fn the_agent_is_told_of_the_strongest_live_link() {
    let stage = stage().await;
    let told = || async {
        shares(stage.world.store.clone(), stage.world.clock.clone()).of(stage.home.id).await.unwrap()
    };
    assert!(told().await.is_empty());
    stage.share("light.porch", Permission::View, None).await;
    assert!(!told().await[0].control);
    let soon = stage.world.clock.now().after(Duration::from_secs(60));
    stage.share("light.porch", Permission::Control, Some(soon)).await;
    assert!(told().await.len() == 1 && told().await[0].control);
    stage.world.clock.turn(Duration::from_secs(61));
    assert!(!told().await[0].control);
}

#[tokio::test]
async fn a_state_comes_in_json_with_the_allowed_fields() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::View, None).await;
    let asking = Guest::post(shared.entity.id, "state").header("x-portal-token", token(&shared));
    let (status, answer) = stage.json(&asking).await;
    assert_eq!((status, &answer["entity"]["state"]), (200, &json!("unknown")));
    let mut agent = stage.agent().await;
    agent.until("the watch", |word| word["type"] == "watch").await;
    agent.say(&states("light.porch", "on")).await;
    let id = shared.entity.entity_id.clone();
    until("the state", || stage.world.relay.snapshot(stage.home.id, &id).is_some()).await;
    let ways = [
        asking,
        Guest::post(shared.entity.id, "state").query(token(&shared)),
        Guest::post(shared.entity.id, "state").cookie(token(&shared)),
        Guest::post(shared.entity.id, "state")
            .json(&json!({ "access_token": token(&shared), "entity_id": "lock.door" })),
        Guest { body: format!("access_token={}", token(&shared)), ..Guest::post(shared.entity.id, "state") }
            .header("content-type", "application/x-www-form-urlencoded"),
    ];
    for asking in ways {
        let (status, answer) = stage.json(&asking).await;
        assert_eq!(status, 200);
        assert_eq!(
            answer["entity"],
            json!({ "entity_id": "light.porch", "domain": "light", "name": "Porch", "state": "on", "area": "Garden",
                "last_changed": 1_700_000_000_000_i64, "attributes": { "friendly_name": "Porch" } })
        );
        assert_eq!(answer["home"]["online"], true);
    }
}

#[tokio::test]
async fn a_control_answers_with_the_state_the_home_confirmed() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::Control, None).await;
    let mut agent = stage.agent().await;
    let press = Guest::post(shared.entity.id, "control").cookie(token(&shared));
    let body = json!({ "action": "turn_on", "entity_id": "lock.door", "brightness": 1 });
    let played = async {
        let asked = agent.until("the control", |word| word["type"] == "control").await;
        assert_eq!((&asked["entity_id"], &asked["action"]), (&json!("light.porch"), &json!("turn_on")));
        let outcome = json!({ "is": "confirmed", "state": states("light.porch", "on")["states"][0] });
        agent.say(&json!({ "type": "controlled", "request": asked["request"], "outcome": outcome })).await;
        let asked = agent.until("the second", |word| word["type"] == "control").await;
        let outcome = json!({ "is": "refused", "reason": "unavailable" });
        agent.say(&json!({ "type": "controlled", "request": asked["request"], "outcome": outcome })).await;
        let form = agent.until("the third", |word| word["type"] == "control").await;
        assert_eq!(form["action"], "toggle");
        drop(agent);
    };
    let asked = async {
        let (status, answer) = stage.json(&press.clone().json(&body)).await;
        assert_eq!((status, &answer["entity"]["state"]), (200, &json!("on")));
        let (status, answer) = stage.json(&press.clone().json(&body)).await;
        assert_eq!(
            (status, &answer["error"], &answer["reason"]),
            (409, &json!("refused"), &json!("unavailable"))
        );
        let form = Guest { body: "action=toggle".into(), ..press.clone() }
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html,*/*");
        let (status, _, text) = read(stage.ask(&form).await).await;
        assert_eq!(status, 503);
        assert!(text.contains("Nothing was switched") && text.contains("data-look=\"offline\""), "{text}");
    };
    tokio::join!(played, asked);
    let (status, answer) = stage.json(&press.json(&body)).await;
    assert_eq!((status, &answer["error"]), (503, &json!("offline")));
}
