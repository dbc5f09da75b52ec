//! Leaving: nothing of it stays, however the agent ends, and visitors have their time.

use kit::connector::Entry;
use kit::programs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_leaves_no_child() {
    let scene = Scene::new().await;
    for how in ["kill -9", "abort"] {
        let agent = programs::agent(&scene.settings, scene.world.folder()).unwrap();
        scene.until_connected().await;
        let child = scene.running();
        let signal = if how == "kill -9" { Signal::SIGKILL } else { Signal::SIGABRT };
        // The agent alone: its child leads a session of its own.
        kill(Pid::from_raw(agent.id().try_into().unwrap()), signal).unwrap();
        println!("{how}: the child was gone {:.1?} later", scene.until_none().await);
        assert!(!scene.connector.diary().contains(&Entry::Asked(child)), "nobody was left to ask it");
        drop(agent);
        scene.until_alone().await;
    }
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_dropped_leaves_no_child() {
    let scene = Scene::new().await;
    let settings = scene.settings.clone();
    let runtime = std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let agent = runtime.block_on(Agent::start(settings)).unwrap();
        (runtime, agent)
    });
    let (runtime, agent) = tokio::task::spawn_blocking(|| runtime.join().unwrap()).await.unwrap();
    scene.until_up(&agent).await;
    runtime.shutdown_background();
    println!("gone {:.1?} after the runtime", scene.until_none().await);
    drop(agent);
    scene.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_once_it_has_its_grace_and_then_it_is_killed() {
    let scene = Scene::new().await;
    let grace = scene.settings.cloudflared.timings.grace;
    for (what, slow, deaf) in [("idle", false, false), ("with visitors", true, false), ("deaf", false, true)]
    {
        scene.connector.change(|orders| (orders.slow, orders.deaf) = (slow, deaf));
        let agent = scene.start().await;
        scene.until_up(&agent).await;
        let child = scene.running();
        let began = Instant::now();
        agent.stop().await.unwrap();
        let took = began.elapsed();
        println!("{what}: stopped in {took:.2?}, with a grace of {grace:.2?}");
        assert!(scene.connector.running().is_empty(), "{what}: gone when the agent is");
        let asked: Vec<_> = scene
            .connector
            .diary()
            .into_iter()
            .filter(|entry| *entry != Entry::Start(start_of(&scene, child)))
            .collect();
        let times = asked.iter().filter(|entry| **entry == Entry::Asked(child)).count();
        assert_eq!((times, asked.contains(&Entry::AskedTwice(child))), (1, false), "{what}: asked once");
        let expected = match (slow, deaf) {
            (false, false) => Duration::ZERO..grace + Duration::from_secs(1),
            (true, _) => grace..grace + Duration::from_secs(3),
            _ => grace + Duration::from_secs(2)..grace + Duration::from_secs(6),
        };
        assert!(expected.contains(&took), "{what}: {took:?} in {expected:?}");
    }
    scene.world.end().await;
}

fn start_of(scene: &Scene, pid: u32) -> Start {
    scene.connector.starts().into_iter().find(|start| start.pid == pid).unwrap()
}
