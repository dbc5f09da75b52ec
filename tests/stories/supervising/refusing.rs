//! Refusing: Cloudflare does not take the token any more, or the tunnel is to lead where it must not.

use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_token_is_fetched_and_used() {
    let scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    let old = scene.running();
    let path = format!("/homes/{}", scene.home);
    let page = scene.world.owner().visitor.get(&path).await.unwrap().well().unwrap();
    let began = Instant::now();
    scene.world.owner().visitor.submit(&page, &format!("{path}/renew"), &[]).await.unwrap().well().unwrap();
    let another = async || {
        let running = scene.connector.running();
        ensure!(running.len() == 1 && running[0] != old, "{running:?}");
        scene.connected()?;
        says(&agent, |now| now.tunnel_connected)
    };
    scene.until("another one to be connected", another).await;
    let starts = scene.connector.starts().len();
    println!("renewed: up again with the new token after {:.1?}, {starts} starts", began.elapsed());
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_for_ever_it_is_tried_with_pauses_and_says_why() {
    let mut scene = Scene::new().await;
    scene.settings.cloudflared.timings.longest_wait = Duration::from_secs(5);
    // Cloudflare forgets new tunnels for a while, and the broker knows nothing of that.
    scene.cloudflare.state().lag = Duration::from_secs(3600);
    let agent = scene.start().await;
    scene
        .until_reason(&agent, "Cloudflare refuses the tunnel's token (Unauthorized: Failed to get tunnel)")
        .await;
    let began = Instant::now();
    scene.until_past(began + Duration::from_secs(6)).await;
    let starts = scene.connector.starts().len();
    println!("{starts} starts in {:.1?}; by itself it would have asked again and again", began.elapsed());
    assert!((2..=16).contains(&starts), "{starts} starts");
    scene.cloudflare.state().lag = Duration::ZERO;
    println!("up {:.1?} after it was let in", scene.until_up(&agent).await);
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_that_was_taken_away_is_made_anew_and_run() {
    let scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    let old = scene.running();
    let began = Instant::now();
    {
        let mut state = scene.cloudflare.state();
        let tunnel = &mut state.tunnels[0];
        tunnel.is_deleted = true;
        tunnel.connectors.clear();
    }
    let another = async || {
        let running = scene.connector.running();
        ensure!(running.len() == 1 && running[0] != old, "{running:?}");
        scene.connected()
    };
    // The broker looks every ten seconds, and needs two looks.
    let found = within(Duration::from_secs(60), "another tunnel to be connected", another).await;
    found.unwrap();
    println!("up again after {:.1?}, {} starts", began.elapsed(), scene.connector.starts().len());
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_home_ends_everything_and_is_named() {
    let scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    let path = format!("/homes/{}", scene.home);
    let page = scene.world.owner().visitor.get(&path).await.unwrap().well().unwrap();
    let typed = [("typed", "Canal House")];
    scene
        .world
        .owner()
        .visitor
        .submit(&page, &format!("{path}/delete"), &typed)
        .await
        .unwrap()
        .well()
        .unwrap();
    let began = Instant::now();
    agent.ended().await;
    let why = agent.stop().await.unwrap_err().to_string();
    assert!(why.contains("the home was deleted"), "{why}");
    scene.until_none().await;
    println!("ended {:.1?} after the home was deleted: {why}", began.elapsed());
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_that_is_to_lead_elsewhere_is_shut() {
    let scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    let good = scene.cloudflare.state().tunnels[0].config.clone().unwrap();
    let router = json!({"ingress": [
        {"hostname": "canal-house.homes.example", "service": "http://192.168.1.1:80"},
        {"service": "http_status:404"}]});
    scene.cloudflare.state().tunnels[0].config = Some((good.0 + 1, router));
    let took = scene.until_reason(&agent, "http://192.168.1.1:80, which is not Home Assistant").await;
    println!("shut after {took:.1?}");
    scene.until_alone().await;
    scene.cloudflare.state().tunnels[0].config = Some((good.0 + 2, good.1));
    println!("up {:.1?} after it led home again", scene.until_up(&agent).await);
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_too_old_is_not_started() {
    let scene = Scene::new().await;
    scene.connector.change(|orders| orders.version = Some("2025.2.1".to_owned()));
    let agent = scene.start().await;
    scene.until_reason(&agent, "is cloudflared 2025.2.1, which cannot read its token from a file").await;
    assert!(scene.connector.starts().is_empty());
    scene.connector.change(|orders| orders.version = None);
    println!("up {:.1?} after it was updated", scene.until_up(&agent).await);
    scene.end(agent).await;
}
