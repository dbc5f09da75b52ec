//! Breaking: killed, ended, hung, late, without a network. It comes back by itself.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_or_ended_by_itself_it_is_started_again() {
    let scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    let killed = scene.running();
    kill(Pid::from_raw(killed.try_into().unwrap()), Signal::SIGKILL).unwrap();
    scene.until_start(1).await;
    println!("killed: up again after {:.1?}", scene.until_up(&agent).await);
    assert_ne!(scene.running(), killed);

    for code in [0, 1, 11] {
        let starts = scene.connector.starts().len();
        scene.connector.change(|orders| orders.exits = Some(code));
        scene.until_reason(&agent, &format!("it ended with code {code}")).await;
        scene.connector.change(|orders| orders.exits = None);
        let took = scene.until_up(&agent).await;
        println!(
            "ended with {code}: up again after {took:.1?}, {} starts",
            scene.connector.starts().len() - starts
        );
    }
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_it_is_tried_until_there_is_one() {
    let scene = Scene::new().await;
    let last = "Could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com: no such host";
    scene.connector.change(|orders| orders.start = Some((1, last.to_owned())));
    let agent = scene.start().await;
    scene.until_reason(&agent, "it ended with code 1: Could not lookup srv records").await;
    scene.until_start(2).await;
    let tried = scene.connector.starts().len();
    scene.connector.change(|orders| orders.start = None);
    println!("up {:.1?} after the network came, {tried} starts before", scene.until_up(&agent).await);
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_is_killed_and_started_again() {
    let scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    let (starts, began) = (scene.connector.starts().len(), Instant::now());
    scene.connector.change(|orders| orders.hangs = true);
    let hung = scene.until_reason(&agent, "cloudflared hangs").await;
    scene.until_start(starts).await;
    scene.connector.change(|orders| orders.hangs = false);
    scene.until_up(&agent).await;
    println!("noticed after {hung:.1?}, up again after {:.1?}", began.elapsed());
    assert_eq!(scene.connector.running().len(), 1, "the one that hung is gone");
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_slow_to_begin_is_waited_for_and_one_that_never_does_is_not() {
    let mut scene = Scene::new().await;
    scene.settings.cloudflared.timings.startup = Duration::from_secs(6);
    // With a name server that swallows everything the port is open after 31 of 60 seconds.
    let half = scene.settings.cloudflared.timings.startup / 2;
    scene.connector.change(|orders| orders.metrics_after = half.as_millis().try_into().unwrap());
    let agent = scene.start().await;
    let ready = async || says(&agent, |now| now.tunnel_connected);
    scene.until("the tunnel to be up", ready).await;
    // Its log says so before the port is open.
    scene.until_past(Instant::now() + half * 3).await;
    assert_eq!(scene.connector.starts().len(), 1, "it was not taken for hung");
    agent.stop().await.unwrap();

    scene.settings.cloudflared.timings.startup = Duration::from_secs(1);
    scene.connector.change(|orders| orders.metrics_after = 60_000);
    let agent = scene.start().await;
    let took = scene.until_reason(&agent, "never answered").await;
    println!("given up after {took:.1?} of {:.1?}", scene.settings.cloudflared.timings.startup);
    scene.connector.change(|orders| orders.metrics_after = 0);
    scene.until_up(&agent).await;
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_away_is_told_while_the_tunnel_stays() {
    let scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    let Scene { world, cloudflare, connector, origin, settings, home } = scene;
    let address = origin.addr;
    drop(origin);
    let away = |now: &Status| now.tunnel_connected && now.tunnel_reason.is_some();
    let told = within(PATIENCE, "the agent to say so", || async { says(&agent, away) }).await;
    told.unwrap();
    let reason = agent.status().borrow().tunnel_reason.clone().unwrap();
    assert!(reason.contains(&format!("nothing answers at http://localhost:{}", address.port())), "{reason}");
    assert_eq!(connector.starts().len(), 1, "another cloudflared would not help");
    agent.stop().await.unwrap();
    drop((settings, home, cloudflare));
    world.end().await;
}
