//! Live pages: what they hear, and how they end.

use shared::relay::close;

use super::*;

impl Stage {
    async fn live(&self, shared: &Shared, headers: &[(&'static str, &str)]) -> Result<Wire, u16> {
        Wire::open(self.address, &format!("{}/live", page_path(shared.entity.id)), headers).await
    }

    async fn viewer(&self, shared: &Shared) -> Wire {
        self.live(shared, &[("x-portal-token", token(shared))]).await.unwrap()
    }
}

#[tokio::test]
async fn a_page_hears_its_entity_and_no_other() {
    let stage = stage().await;
    let porch = stage.share("light.porch", Permission::View, None).await;
    stage.share("light.hall", Permission::View, None).await;
    let mut agent = stage.agent().await;
    agent.until("the watch", |word| word["type"] == "watch").await;
    let cookie = format!("guest={}", token(&porch));
    let mut page =
        stage.live(&porch, &[("cookie", &cookie), ("origin", "http://localhost:8420")]).await.unwrap();
    assert_eq!(page.hear().await.unwrap()["type"], "home");
    agent.say(&states("light.hall", "on")).await;
    agent.say(&states("light.porch", "on")).await;
    let heard = page.until("a state", |word| word["type"] == "state").await;
    assert_eq!(
        (&heard["entity"]["entity_id"], &heard["entity"]["state"]),
        (&json!("light.porch"), &json!("on"))
    );
    let mut late = stage.viewer(&porch).await;
    let first = late.until("the state that is known", |word| word["type"] == "state").await;
    assert_eq!(first["entity"]["state"], "on");
    drop(agent);
    page.until("that the home is gone", |word| word["type"] == "home" && word["online"] == false).await;
}

#[tokio::test]
async fn only_our_own_page_opens_a_socket_with_a_cookie() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::View, None).await;
    let cookie = format!("guest={}", token(&shared));
    assert_eq!(stage.live(&shared, &[("cookie", &cookie)]).await.err(), Some(403));
    let elsewhere = [("cookie", cookie.as_str()), ("origin", "http://evil.localhost:8420")];
    assert_eq!(stage.live(&shared, &elsewhere).await.err(), Some(403), "WS-01: the origin");
    assert_eq!(stage.live(&shared, &[]).await.err(), Some(403));
    assert_eq!(stage.live(&shared, &[("x-portal-token", "wrong")]).await.err(), Some(403));
}

#[tokio::test]
async fn a_revoked_link_closes_its_pages_and_no_others() {
    let stage = stage().await;
    let mine = stage.share("light.porch", Permission::View, None).await;
    let yours = stage.share("light.porch", Permission::View, None).await;
    let (mut first, mut second) = (stage.viewer(&mine).await, stage.viewer(&mine).await);
    let mut other = stage.viewer(&yours).await;
    other.hear().await.unwrap();
    stage.portal.revoke(&stage.home, mine.link.id, &Doer::default()).await.unwrap();
    assert_eq!((first.end().await, second.end().await), (close::REVOKED, close::REVOKED), "SL-03");
    assert_eq!(stage.live(&mine, &[("x-portal-token", token(&mine))]).await.err(), Some(403));
    let mut agent = stage.agent().await;
    agent.until("the watch", |word| word["type"] == "watch").await;
    agent.say(&states("light.porch", "on")).await;
    other.until("a state", |word| word["type"] == "state").await;
}

#[tokio::test]
async fn a_link_whose_time_is_over_closes_its_pages_and_its_home_is_told() {
    let stage = stage().await;
    let soon = stage.world.clock.now().after(Duration::from_secs(3600));
    let shared = stage.share("light.porch", Permission::View, Some(soon)).await;
    let mut agent = stage.agent().await;
    agent.until("the watch", |word| word["entities"].as_array().is_some_and(|all| all.len() == 1)).await;
    let mut page = stage.viewer(&shared).await;
    stage.world.clock.turn(Duration::from_secs(3601));
    assert_eq!(page.end().await, close::REVOKED, "SL-03");
    agent.until("the empty watch", |word| word["entities"].as_array().is_some_and(Vec::is_empty)).await;
}

#[tokio::test]
async fn a_page_that_talks_is_sent_away() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::View, None).await;
    let mut page = stage.viewer(&shared).await;
    page.say(&json!({ "type": "state" })).await;
    assert_eq!(page.end().await, 1008);
    let mut page = stage.viewer(&shared).await;
    page.say(&json!("x".repeat(5000))).await;
    assert!(page.end().await >= 1000, "WS-01: the size");
}
