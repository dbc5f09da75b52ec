//! Flooding: 83,000 lines in five seconds were recorded of one that finds nobody at the edge. Read or not, they must
//! not cost the agent its memory, nor the house its processor.

use kit::scales::memory;
use kit::{process::Process, programs};

use super::*;

/// Seconds of processor time that a process has used (proc(5), `stat`: fields 14 and 15, in hundredths).
fn processor(process: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let after_name: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |field: usize| after_name[field - 3].parse::<f64>().unwrap();
    (ticks(14) + ticks(15)) / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_lines_costs_little_and_ends() {
    let mut scene = Scene::new().await;
    scene.settings.cloudflared.timings.flood = Duration::from_secs(6);
    let agent = programs::agent(&scene.settings, scene.world.folder()).unwrap();
    scene.until_connected().await;
    let starts = scene.connector.starts().len();
    let (used, (rss, _), began) = (processor(&agent), memory(&agent).unwrap(), Instant::now());
    scene.connector.change(|orders| orders.floods = true);
    scene.until_past(began + Duration::from_secs(5)).await;
    let (cost, (grown, _)) = (processor(&agent) - used, memory(&agent).unwrap());
    println!("5 s of flood: {cost:.2} s of processor, {rss} KiB before and {grown} KiB after");
    assert!(cost < 1.0, "{cost} s of processor");
    assert!(grown < rss + (16 << 10), "from {rss} to {grown} KiB");
    scene.until_start(starts).await;
    let restarted = began.elapsed();
    scene.connector.change(|orders| orders.floods = false);
    scene.until_connected().await;
    println!(
        "started again {restarted:.1?} after it began, with {:.1?} of patience",
        scene.settings.cloudflared.timings.flood
    );
    assert_eq!(scene.connector.running().len(), 1);
    drop(agent);
    scene.world.end().await;
}
