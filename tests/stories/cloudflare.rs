//! Cloudflare's API as the broker speaks it, against what was recorded of it.

use std::time::Duration;

use broker::tunnels::cloudflare::{Account, Cloudflare, Manners, Trouble, points_at};
use kit::cloudflare::{self as recorded, Fault};
use kit::until::within;

const DOMAIN: &str = "homes.example";

async fn pair() -> (recorded::Cloudflare, Cloudflare) {
    let there = recorded::Cloudflare::start(DOMAIN).await;
    let api = api(&there, recorded::TOKEN);
    (there, api)
}

fn api(there: &recorded::Cloudflare, token: &str) -> Cloudflare {
    let account = Account {
        id: recorded::ACCOUNT.into(),
        zone: recorded::ZONE.into(),
        token: token.to_owned().into(),
        manners: Manners::default(),
    };
    Cloudflare::new(kit::http_client(), Some(there.url()), account)
}

#[tokio::test]
async fn a_tunnel_is_made_named_run_renewed_and_deleted() {
    let (there, api) = pair().await;
    let made = api.create("latchkey-7").await.unwrap();
    assert_eq!(api.create("latchkey-7").await.unwrap_err(), Trouble::NameTaken);
    assert_eq!(api.named("latchkey-7").await.unwrap().as_ref(), Some(&made));
    assert_eq!(api.named("latchkey").await.unwrap(), None, "a name is a whole name");
    let host = format!("lake.{DOMAIN}");
    assert_eq!(api.configure(&made.id, &host, "http://localhost:8123").await.unwrap(), 1);
    let bad = api.configure(&made.id, &host, "http://localhost:8123/path").await.unwrap_err();
    assert!(matches!(bad, Trouble::Refused(why) if why.contains("without a path")));
    let record = api.name(&host, &made.id, "latchkey home 7").await.unwrap();
    assert!(points_at(&record, &made.id));
    assert_eq!(api.name(&host, "another", "").await.unwrap_err(), Trouble::RecordTaken);
    let alone = std::slice::from_ref(&record);
    assert_eq!(api.records(&host).await.unwrap(), alone);
    assert_eq!(api.records_of(&made.id).await.unwrap(), alone);
    assert_eq!(api.records_marked("latchkey home").await.unwrap().len(), 1);

    let token = api.token(&made.id).await.unwrap();
    let connect = || there.state().connect(token.expose(), "192.0.2.7");
    assert_eq!(connect(), Err("Unauthorized: Failed to get tunnel"), "the edge learns of it a moment later");
    within(Duration::from_secs(5), "the edge to know it", async || connect().map_err(anyhow::Error::msg))
        .await
        .unwrap();
    let running = api.connectors(&made.id).await.unwrap();
    assert_eq!((running.len(), &*running[0].conns[0].origin_ip), (1, "192.0.2.7"));
    assert_eq!(api.tunnel(&made.id).await.unwrap().unwrap().status, "healthy");

    api.renew(&made.id).await.unwrap();
    assert_eq!(there.state().connect(token.expose(), ""), Err("Unauthorized: Invalid tunnel secret"));
    assert_eq!(api.delete(&made.id).await.unwrap_err(), Trouble::StillConnected);
    api.cut(&made.id).await.unwrap();
    assert_eq!(api.delete(&made.id).await.unwrap_err(), Trouble::StillConnected, "counted for a while");
    within(Duration::from_secs(5), "its connections to be forgotten", async || api.delete(&made.id).await)
        .await
        .unwrap();
    api.delete(&made.id).await.unwrap();
    assert_eq!(api.tunnel(&made.id).await.unwrap(), None);
    assert_eq!(api.named("latchkey-7").await.unwrap(), None, "deleted ones stay in lists");
    api.unname(&record.id).await.unwrap();
    api.unname(&record.id).await.unwrap();
    assert!(there.state().records.is_empty());
    assert!(there.asked().iter().all(|asked| asked.body.get("tunnel_secret").is_none()));
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let (there, api) = pair().await;
    for number in 0..205 {
        there.state().add_tunnel(&format!("latchkey-{number}"), true);
    }
    there.state().add_tunnel("somebody-else", true);
    there.state().tunnels[3].is_deleted = true;
    assert_eq!(api.beginning_with("latchkey-").await.unwrap().len(), 204);
    assert_eq!(there.asked().len(), 3, "a hundred a page");
}

#[tokio::test]
async fn what_goes_wrong_has_a_name() {
    let (there, api) = pair().await;
    let faults = [Fault::Broken, Fault::Html, Fault::Silence, Fault::Lost];
    there.fail_next(&faults.map(Some));
    for fault in faults {
        let trouble = api.create(&format!("{fault:?}")).await.unwrap_err();
        assert!(trouble.passes(), "{fault:?}: {trouble}");
    }
    assert!(api.named("Silence").await.unwrap().is_none());
    assert!(api.named("Lost").await.unwrap().is_some(), "what was not answered may have been done");

    let stranger = self::api(&there, "wrong").named("x").await.unwrap_err();
    assert!(matches!(&stranger, Trouble::Denied(why) if !why.contains("wrong")), "{stranger}");
    there.state().permissions.retain(|permission| *permission != "dns");
    assert!(matches!(api.records("x").await.unwrap_err(), Trouble::Denied(_)));
    there.state().most_tunnels = 1;
    assert!(matches!(api.create("one too many").await.unwrap_err(), Trouble::Quota(_)));
    assert!(api.lets_websockets_through().await.unwrap());
    there.state().websockets = false;
    assert!(!api.lets_websockets_through().await.unwrap());
}

#[tokio::test]
async fn who_is_told_to_wait_asks_nothing_meanwhile() {
    let (there, api) = pair().await;
    there.fail_next(&[Some(Fault::TooMany(1))]);
    let told = api.named("x").await.unwrap_err();
    assert_eq!(told, Trouble::Busy { why: "429".into(), after: Some(Duration::from_secs(1)) });
    assert!(matches!(api.named("x").await.unwrap_err(), Trouble::Busy { .. }));
    assert_eq!(there.asked().len(), 1, "going on would only prolong it");
    within(Duration::from_secs(5), "the second to be over", async || api.named("x").await).await.unwrap();
}

#[tokio::test]
async fn calls_keep_to_a_pace_that_the_account_allows() {
    let (there, api) = pair().await;
    let began = tokio::time::Instant::now();
    for _ in 0..24 {
        api.named("x").await.unwrap();
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1100), "twenty at once, then four at 3.3 a second: {took:?}");
    assert_eq!(there.asked().len(), 24);
}
