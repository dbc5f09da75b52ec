//! Running: how it is started, what is seen of its token, and what is told of the tunnel.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kit::programs;
use kit::search::Search;
use kit::world::Database;
use nix::sys::signal::Signal;

use super::*;

async fn it_runs(database: Database) {
    let scene = Scene::with(database).await;
    let agent = scene.start().await;
    println!("up after {:.1?}, from an agent's start", scene.until_up(&agent).await);
    let start = scene.connector.starts().pop().unwrap();
    let words = ["tunnel", "--no-autoupdate", "--metrics", "127.0.0.1:0", "--output", "json"];
    assert_eq!(start.arguments[..6], words, "{:?}", start.arguments);
    assert_eq!(start.argument("--loglevel"), Some("info"));
    assert_eq!(start.argument("--grace-period"), Some("500ms"));
    assert_eq!(start.argument("--protocol"), Some("auto"));
    assert_eq!((start.environment, start.home), (vec!["HOME".to_owned()], Vec::new()));
    assert_eq!(start.modes, (0o600, 0o700), "the token's file and its folder");
    assert!(
        !Path::new(start.arguments.last().unwrap()).exists(),
        "the token's file is gone once it was read"
    );
    // The broker hears of it from Cloudflare, and the agent agrees.
    let service = scene.world.service("smarthome:read").await;
    let up = async || {
        let told = service.home(scene.home).await?.context("no home")?;
        ensure!(told["tunnel_status"] == "connected", "{told}");
        Ok(())
    };
    println!("the broker says so after {:.1?}", scene.until("the broker to know", up).await.1);
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_with_sqlite() {
    Box::pin(it_runs(Database::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_with_postgresql() {
    Box::pin(it_runs(Database::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_token_is_seen_nowhere() {
    let scene = Scene::new().await;
    let folder = scene.world.folder().to_owned();
    let mut command = programs::agents_command(&scene.settings, "run").unwrap();
    command.env("RUST_LOG", "trace");
    let mut agent =
        kit::process::Process::start("the agent", &mut command, &folder.join("agent.log"), Signal::SIGTERM)
            .unwrap();
    scene.until_connected().await;
    let token = scene.cloudflare.state().alive().next().unwrap().token();
    let secret = scene.cloudflare.state().alive().next().unwrap().secret.clone();
    let search = Search::of(&[("the token", &token), ("its secret", &secret)]).unwrap();
    for pid in [agent.id(), scene.running()] {
        for what in ["cmdline", "environ"] {
            let seen = fs::read(format!("/proc/{pid}/{what}")).unwrap();
            assert!(seen.len() > 5, "{what} of {pid} is there to be searched");
            assert!(search.found(&seen).is_empty(), "{what} of {pid}");
        }
    }
    // Refused, it is in the log; renewed, an older token was there as well.
    scene.cloudflare.state().tunnels[0].secret = "x".repeat(44);
    let connector = scene.cloudflare.state().tunnels[0].connectors[0].id.clone();
    scene.cloudflare.state().disconnect(&connector);
    let starts = scene.connector.starts().len();
    scene.until_start(starts).await;
    agent.stop();
    scene.until_none().await;
    let log = fs::read_to_string(folder.join("agent.log")).unwrap();
    assert!(
        log.contains("TRACE") && log.contains("Registered tunnel connection") && log.contains("Unauthorized")
    );
    let found = search.found_below(&folder.join("agent")).unwrap();
    let places: BTreeSet<_> = found.iter().map(|(_, path)| path.display().to_string()).collect();
    assert_eq!(places, BTreeSet::from(["memory.json".to_owned()]), "in the agent's data folder");
    assert!(search.found(log.as_bytes()).is_empty(), "in its log");
    assert!(search.found_below(&folder.join("programs")).unwrap().is_empty(), "beside the program");
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_on_the_remembered_token_while_the_broker_is_down() {
    let mut scene = Scene::new().await;
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    agent.stop().await.unwrap();
    scene.world.stop_broker().await;
    let agent = scene.start().await;
    println!("up after {:.1?} without a broker", scene.until_up(&agent).await);
    says(&agent, |now| !now.broker_connected).unwrap();
    scene.world.start_broker().await;
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_quic_it_runs_over_http2_and_remembers_that() {
    let scene = Scene::new().await;
    scene.connector.change(|orders| orders.no_quic = true);
    let agent = scene.start().await;
    let took = scene.until_up(&agent).await;
    println!(
        "up over HTTP/2 after {took:.1?}, with {:.1?} for QUIC",
        scene.settings.cloudflared.timings.quic
    );
    let protocols = |scene: &Scene| -> Vec<String> {
        let starts = scene.connector.starts();
        starts.iter().map(|start| start.argument("--protocol").unwrap().to_owned()).collect()
    };
    assert_eq!(protocols(&scene), ["auto", "http2"]);
    assert!(took < scene.settings.cloudflared.timings.quic + Duration::from_secs(12));
    agent.stop().await.unwrap();
    let agent = scene.start().await;
    scene.until_up(&agent).await;
    assert_eq!(protocols(&scene), ["auto", "http2", "http2"], "remembered over a restart");
    scene.end(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_tells_what_the_agent_knows_of_a_missing_tunnel() {
    let mut scene = Scene::new().await;
    scene.settings.cloudflared.program = Some("/nowhere/cloudflared".into());
    let agent = scene.start().await;
    scene.until_reason(&agent, "no cloudflared at /nowhere/cloudflared").await;
    let service = scene.world.service("smarthome:read").await;
    let told = async || {
        let (_, told) = service.get(&format!("/api/smarthome/homes/{}/status", scene.home)).await?;
        let hops = told["hops"].as_array().context("no hops")?;
        let tunnel = hops.iter().find(|hop| hop["hop"] == "tunnel").context("no tunnel")?;
        let detail = tunnel["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains("cloudflared install"), "{tunnel}");
        Ok(())
    };
    println!("told after {:.1?}", scene.until("the broker to say why", told).await.1);
    // Put there, it is found without anybody starting anything.
    drop(agent.stop().await);
    scene.settings.cloudflared.program = None;
    let place = scene.settings.data_dir.join("bin");
    let agent = scene.start().await;
    scene.until_reason(&agent, "nor on PATH").await;
    let edge = scene.connector.orders().edge.unwrap();
    let installed = Connector::install(&place, edge).unwrap();
    println!("up {:.1?} after it was installed", scene.until_up(&agent).await);
    agent.stop().await.unwrap();
    assert!(installed.running().is_empty());
    scene.world.end().await;
}
