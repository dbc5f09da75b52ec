//! Asked: the public address of a home at Cloudflare is asked by the broker itself once its tunnel stands, and again
//! later, without anybody pressing a button (T9).

use std::time::Duration;

use kit::until::within;
use kit::world::World;
use reqwest::StatusCode;
use serde_json::Value;

use super::{PROMISE, token, until_state};

kit::stories! {
    async fn a_home_at_cloudflare_is_proved_by_itself_and_now_and_then(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let mut service = world.service("workspace:read smarthome:read smarthome:tunnel").await;
        let home = world.owner().add_home("Lake House").await.unwrap();
        let never = world.owner().add_home("Barn").await.unwrap();
        for home in [home, never] {
            assert_eq!(until_state(&service, home, "active").await["proof"], Value::Null);
        }
        let (status, read) = token(&service, home).await;
        assert_eq!(status, StatusCode::OK, "{read}");
        within(Duration::from_secs(5), "the edge", async || {
            cloudflare.state().connect(read["tunnel_token"].as_str().unwrap(), "192.0.2.7")
        })
        .await
        .unwrap();
        // The name is nobody's here, so that what comes of it is that it is not known, or not in time.
        let proof = |service: kit::service::Service, after: i64| async move {
            let asked = within(PROMISE * 2, "its address to be asked", async || {
                let said = service.home(home).await.map_err(|err| format!("{err:#}"))?.ok_or("gone")?;
                let at = said["proof"]["at"].as_i64().filter(|at| *at > after);
                at.ok_or_else(|| said.to_string())
            });
            asked.await.unwrap()
        };
        let first = proof(service.clone(), 0).await;
        // What failed is asked again after a quarter of an hour, and not before.
        world.clock().turn(Duration::from_secs(840));
        let looks = world.number("SELECT MAX(beat) FROM broker").await;
        within(PROMISE, "some more rounds", async || world.number("SELECT MAX(beat) FROM broker").await > looks + 4).await.unwrap();
        assert_eq!(service.home(home).await.unwrap().unwrap()["proof"]["at"], first);
        world.clock().turn(Duration::from_secs(120));
        service.come_again("workspace:read smarthome:read smarthome:tunnel").await;
        proof(service.clone(), first).await;
        let said = service.home(never).await.unwrap().unwrap();
        assert_eq!(said["proof"], Value::Null, "a tunnel that never stood is not asked");
        world.end().await;
    }
}
