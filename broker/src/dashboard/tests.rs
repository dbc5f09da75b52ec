//! The dashboard, from a home's device to its link and back, and what it keeps from whom.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use shared::id::AccountId;
use shared::secret::Secret;

use super::*;
use crate::chance::{self, Kind};
use crate::homes::Owned;
use crate::http::{Answer, Asked, Fault, Peer, csrf};
use crate::portal;
use crate::relay::tests::{Wire, World, agent, grants, states, until};

struct Stage {
    world: World,
    dashboard: Dashboard,
    home: Owned,
}

async fn stage() -> Stage {
    let world = World::new(|store, clock| portal::shares(store.clone(), clock.clone())).await;
    let home = world.home().await;
    let World { store, clock, site, homes, relay, stop, tasks, .. } = &world;
    let tunnels = Tunnels::for_tests(&world);
    let accounts = Accounts::for_tests(store.clone(), clock.clone(), site.clone());
    let portal = Portal::new(portal::Parts {
        store: store.clone(),
        clock: clock.clone(),
        site: site.clone(),
        relay: relay.clone(),
        stop: stop.clone(),
        tasks: tasks.clone(),
    });
    let (relay, homes) = (relay.clone(), homes.clone());
    let dashboard = Dashboard::new(site.clone(), accounts, homes, relay, portal, tunnels, clock.clone());
    Stage { world, dashboard, home }
}

/// Somebody with a session.
struct Person {
    cookie: Secret,
}

impl Stage {
    async fn person(&self, workspace: i64, role: &str) -> Person {
        let (cookie, id) = (chance::token(Kind::Session), AccountId::from_random_bits(chance::bits()));
        let sql = format!(
            "INSERT INTO account (id, email, name, password, created_at) VALUES ({id}, '{id}@example.org', 'Ada', 'x', 0);
             INSERT INTO workspace (id, name, slug, created_at) VALUES ({workspace}, 'W', 'w{workspace}', 0) ON CONFLICT DO NOTHING;
             INSERT INTO member (workspace_id, account_id, role) VALUES ({workspace}, {id}, '{role}');"
        );
        let now = self.world.clock.now();
        let far = now.after(std::time::Duration::from_secs(3600)).millis();
        let mut tx = self.world.store.begin().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        sqlx::query("INSERT INTO session (token_hash, account_id, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $3, $4)")
            .bind(chance::hash(cookie.expose()))
            .bind(id.number())
            .bind(now.millis())
            .bind(far)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Person { cookie }
    }

    async fn owner(&self) -> Person {
        self.person(self.home.workspace.number(), "owner").await
    }

    /// An agent of the home, which has joined.
    async fn agent(&self) -> Wire {
        let address = self.world.serve(self.world.relay.routes()).await;
        agent(address, &grants::token(&self.world, &self.home).await).await
    }

    async fn ask(&self, asked: Asked) -> Result<Answer, Fault> {
        web::answer(&self.dashboard.0, &asked).await
    }

    async fn page(&self, who: &Person, target: &str) -> Result<String, Fault> {
        Ok(read(self.ask(self.asked(who, Method::GET, target, "")).await?).await)
    }

    /// Sends a form as our own page would.
    async fn post(&self, who: &Person, target: &str, fields: &[(&str, &str)]) -> Result<Answer, Fault> {
        let token = csrf::token(&who.cookie);
        let fields = fields.iter().copied().chain([("csrf", token.as_str())]);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(self.asked(who, Method::POST, target, &body)).await
    }

    fn asked(&self, who: &Person, method: Method, target: &str, body: &str) -> Asked {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert("cookie", format!("session={}", who.cookie.expose()).parse().unwrap());
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        Asked {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            peer: Peer { ip: [127, 0, 0, 1].into(), tls: false },
            body: Bytes::from(body.to_owned()),
            upgrade: None,
            site: self.world.site.clone(),
        }
    }
}

async fn read(answer: Answer) -> String {
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Answers one question for the list of entities.
async fn tell_list(agent: &mut Wire) {
    let asked = agent.until("the question for the list", |word| word["type"] == "list").await;
    let entities = json!([
        { "entity_id": "light.porch", "name": "Porch <b>light</b>", "area": "Garden" },
        { "entity_id": "lock.door", "name": "Door" },
    ]);
    agent.say(&json!({ "type": "listing", "request": asked["request"], "entities": entities })).await;
}

#[tokio::test]
async fn an_owner_shares_a_device_sees_its_state_and_takes_the_key_back() {
    let stage = stage().await;
    let (owner, mut agent) = (stage.owner().await, stage.agent().await);
    let home = format!("/homes/{}", stage.home.id);
    let (page, ()) = tokio::join!(stage.page(&owner, &home), tell_list(&mut agent));
    let page = page.unwrap();
    assert!(page.contains("share?entity=light.porch") && page.contains("Garden"), "{page}");
    assert!(!page.contains("<b>"), "names from the house are text");

    let fields =
        [("entity", "light.porch"), ("label", "Anna"), ("permission", "control"), ("expires", "week")];
    let sharing = format!("{home}/share");
    let (shared, ()) = tokio::join!(stage.post(&owner, &sharing, &fields), tell_list(&mut agent));
    let shared = read(shared.unwrap()).await;
    assert!(
        shared.contains("?access_token=lkl_") && shared.contains("data:image/svg+xml;base64,"),
        "{shared}"
    );

    agent.until("the watch", |word| word["entities"][0]["entity_id"] == "light.porch").await;
    agent.say(&states("light.porch", "on")).await;
    let porch = "light.porch".parse().unwrap();
    until("the state is known", || stage.world.relay.snapshot(stage.home.id, &porch).is_some()).await;
    let now = stage.page(&owner, &format!("{home}/status")).await.unwrap();
    let now: serde_json::Value = serde_json::from_str(&now).unwrap();
    let (link, said) = now["said"].as_object().unwrap().iter().next().unwrap();
    assert_eq!((said.as_str(), now["online"].as_bool()), (Some("On"), Some(true)));

    let (page, ()) = tokio::join!(stage.page(&owner, &home), tell_list(&mut agent));
    let page = page.unwrap();
    assert!(page.contains("Anna") && !page.contains("lkl_"), "the token is shown once");
    let revoked = stage.post(&owner, &format!("{home}/links/{link}/revoke"), &[]).await.unwrap();
    assert_eq!(revoked.status(), StatusCode::SEE_OTHER);
    let (page, ()) = tokio::join!(stage.page(&owner, &home), tell_list(&mut agent));
    let page = page.unwrap();
    assert!(page.contains("Revoked") && !page.contains(&format!("{link}/revoke")), "{page}");
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said_and_what_was_typed_stays() {
    let stage = stage().await;
    let (owner, mut agent) = (stage.owner().await, stage.agent().await);
    let sharing = format!("/homes/{}/share", stage.home.id);
    let fields = [("entity", "lock.door"), ("label", "Bob"), ("permission", "control"), ("expires", "day")];
    let (refused, ()) = tokio::join!(stage.post(&owner, &sharing, &fields), tell_list(&mut agent));
    let refused = refused.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let page = read(refused).await;
    assert!(page.contains("can be looked at, not switched") && page.contains("value=\"Bob\""), "{page}");

    let refused = stage.post(&owner, "/homes", &[("name", "Shed"), ("port", "70000")]).await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let page = read(refused).await;
    assert!(page.contains("between 1 and 65535") && page.contains("value=\"Shed\""), "{page}");
    let made = stage.post(&owner, "/homes", &[("name", "Shed"), ("port", "8123")]).await.unwrap();
    assert!(made.headers()["location"].to_str().unwrap().starts_with("/homes/"));
}

#[tokio::test]
async fn while_the_home_is_away_its_page_says_so_and_nothing_is_shared() {
    let stage = stage().await;
    let owner = stage.owner().await;
    let home = format!("/homes/{}", stage.home.id);
    let page = stage.page(&owner, &home).await.unwrap();
    assert!(page.contains("latchkey-agent pair") && page.contains("light-grey"), "{page}");
    let fields = [("entity", "light.porch"), ("label", "Anna"), ("expires", "week")];
    let answer = stage.post(&owner, &format!("{home}/share"), &fields).await.unwrap();
    assert_eq!(answer.headers()["location"].to_str().unwrap(), home);
}

#[tokio::test]
async fn members_see_the_lights_alone_and_strangers_nothing() {
    let stage = stage().await;
    let home = format!("/homes/{}", stage.home.id);
    for role in ["member", "observer"] {
        let member = stage.person(stage.home.workspace.number(), role).await;
        let page = stage.page(&member, &home).await.unwrap();
        assert!(page.contains("data-hop") && !page.contains("id=\"links\""), "{page}");
        assert!(!stage.page(&member, "/").await.unwrap().contains("add-home"));
        let sharing = stage.page(&member, &format!("{home}/share?entity=light.porch")).await;
        assert!(matches!(sharing, Err(Fault::Forbidden("insufficient_role", _))), "{role}");
        let adding = stage.post(&member, "/homes", &[("name", "Shed"), ("port", "1")]).await;
        assert!(matches!(adding, Err(Fault::Forbidden("insufficient_role", _))), "{role}");
    }
    let stranger = stage.person(2, "owner").await;
    for target in [&home, &format!("{home}/status"), &format!("{home}/share?entity=light.porch")] {
        assert!(matches!(stage.page(&stranger, target).await, Err(Fault::NotFound)), "{target}");
    }
    assert!(!stage.page(&stranger, "/").await.unwrap().contains("Lakehouse"));
    let nobody = Person { cookie: chance::token(Kind::Session) };
    assert!(matches!(stage.page(&nobody, &home).await, Err(Fault::SignIn(_))));
}

#[tokio::test]
async fn a_form_without_its_token_changes_nothing() {
    let stage = stage().await;
    let owner = stage.owner().await;
    let home = format!("/homes/{}", stage.home.id);
    for target in ["/homes", &format!("{home}/share"), &format!("{home}/links/7/revoke")] {
        let body = "name=Shed&port=8123&entity=light.porch&csrf=guess";
        let answer = stage.ask(stage.asked(&owner, Method::POST, target, body)).await;
        assert!(matches!(answer, Err(Fault::Forged)), "{target}");
    }
}
