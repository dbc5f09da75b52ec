//! The provider: a tunnel at Cloudflare goes down and comes back, and so does the API that makes tunnels.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kit::service::Service;
use kit::until::within;
use kit::world::World;
use serde_json::Value;
use shared::id::HomeId;

use super::{of, rounds};

/// From the failure to the right light: T5. No clock is turned in here.
const PROMISE: Duration = Duration::from_secs(30);

async fn status(service: &Service, home: HomeId) -> Result<Value> {
    let (status, told) = service.get(&format!("/api/smarthome/homes/{home}/status")).await?;
    ensure!(status.is_success(), "{status}: {told}");
    Ok(told)
}

async fn until_told(service: &Service, home: HomeId, which: &str, state: &str, reason: Option<&str>) -> f64 {
    let began = Instant::now();
    let what = format!("{which} to be {state}");
    let told = within(PROMISE, &what, || async {
        let hop = of(&status(service, home).await?, which)?;
        ensure!(hop["state"] == state && hop["reason"].as_str() == reason, "{hop}");
        Ok(())
    });
    told.await.unwrap_or_else(|missing| panic!("{missing}"));
    began.elapsed().as_secs_f64()
}

kit::stories! {
    async fn what_cloudflare_says_is_told_in_time(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service("smarthome:read smarthome:tunnel").await;
        let home = world.owner().add_home("Lake House").await.unwrap();
        let never = Some("tunnel_never_connected");
        until_told(&service, home, "tunnel", "unknown", never).await;
        until_told(&service, home, "provider", "up", None).await;
        let token = within(PROMISE, "the token", || async {
            let (status, told) = service.get(&format!("/api/smarthome/homes/{home}/tunnel-token")).await?;
            ensure!(status.is_success(), "{status}: {told}");
            Ok(told["tunnel_token"].as_str().unwrap_or_default().to_owned())
        });
        let token = token.await.unwrap();

        // A new tunnel is not known everywhere at once.
        let connecting = within(PROMISE, "the tunnel to be let in", || async { cloudflare.state().connect(&token, "203.0.113.7") });
        let connector = connecting.await.unwrap();
        let up = until_told(&service, home, "tunnel", "up", None).await;
        assert_eq!(status(&service, home).await.unwrap()["home"]["tunnel_status"], "connected");
        rounds(&world).await;
        cloudflare.state().disconnect(&connector);
        let down = until_told(&service, home, "tunnel", "down", Some("tunnel_not_connected")).await;
        assert_eq!(status(&service, home).await.unwrap()["home"]["tunnel_status"], "disconnected");
        rounds(&world).await;
        cloudflare.state().connect(&token, "203.0.113.7").unwrap();
        until_told(&service, home, "tunnel", "up", None).await;
        rounds(&world).await;

        cloudflare.set_down(true);
        let silent = until_told(&service, home, "provider", "error", Some("provider_unreachable")).await;
        until_told(&service, home, "tunnel", "unknown", Some("provider_unreachable")).await;
        rounds(&world).await;
        cloudflare.set_down(false);
        until_told(&service, home, "provider", "up", None).await;
        until_told(&service, home, "tunnel", "up", None).await;
        rounds(&world).await;
        println!("tunnel up: told after {up:.1} s; down: {down:.1} s; the API away: {silent:.1} s");

        // Of a silent provider nothing is known, so no outage of the home is made of it.
        let (_, history) = service.get(&format!("/api/smarthome/homes/{home}/history")).await.unwrap();
        let events = history["events"].as_array().unwrap().iter().rev();
        let told: Vec<_> = events.map(|event| (event["reason"].as_str().unwrap(), event["ended_at"].is_i64())).collect();
        assert_eq!(told, [("tunnel_not_connected", true), ("provider_unreachable", true)], "{history}");
        let (wrong, said) = service.get(&format!("/api/smarthome/homes/{home}/history?limit=0")).await.unwrap();
        assert!(wrong == 400 && said["detail"].as_str().unwrap().contains("limit"), "{said}");
        let (wrong, _) = service.get(&format!("/api/smarthome/homes/{home}/history?before=7")).await.unwrap();
        assert_eq!(wrong, 400);
        let (first, page) = service.get(&format!("/api/smarthome/homes/{home}/history?limit=1")).await.unwrap();
        assert!(first == 200 && page["events"].as_array().unwrap().len() == 1, "{page}");
        let next = page["next"].as_i64().unwrap();
        let (_, page) = service.get(&format!("/api/smarthome/homes/{home}/history?before={next}")).await.unwrap();
        assert_eq!((page["events"].as_array().unwrap().len(), page["next"].as_i64()), (1, None), "{page}");
        world.end().await;
    }
}
