//! Failing: the provider fails three calls of ten in every way it can, and still each home gets exactly what it
//! needs, and leaves nothing; what the broker says meanwhile is true.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kit::cloudflare::Cloudflare;
use kit::service::Service;
use kit::until::within;
use kit::world::World;
use serde_json::Value;
use shared::id::HomeId;

use super::{READ, delete, is_nothing, is_whole, there};

const HOMES: usize = 50;
const RATE: u64 = 30;

/// All homes with their states.
async fn states(service: &Service, workspace: i64) -> HashMap<HomeId, String> {
    let (_, said) = service.get(&format!("/api/smarthome/workspaces/{workspace}/homes")).await.unwrap();
    let homes = said["homes"].as_array().unwrap_or_else(|| panic!("{said}"));
    let id = |home: &Value| home["id"].as_i64().unwrap().try_into().unwrap();
    homes.iter().map(|home| (id(home), home["state"].as_str().unwrap().to_owned())).collect()
}

/// Looks again and again while homes are made: one that is called active has all it needs. How often it looked.
async fn watched(
    cloudflare: &Cloudflare,
    service: &Service,
    workspace: i64,
    labels: &HashMap<HomeId, String>,
    done: &AtomicBool,
) -> usize {
    let mut looks = 0;
    while !done.load(Ordering::SeqCst) {
        for (home, state) in states(service, workspace).await {
            if state == "active" {
                is_whole(&there(cloudflare, home, &labels[&home]), 8123)
                    .unwrap_or_else(|found| panic!("{home} is called active: {found}"));
            }
        }
        looks += 1;
    }
    looks
}

kit::stories! {
    async fn three_failures_of_ten_change_nothing_in_the_end(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service(READ).await;
        let workspace = service.get("/api/smarthome/workspaces").await.unwrap().1["workspaces"][0]["id"].as_i64().unwrap();
        cloudflare.fail_at_a_rate(RATE, 20_261_122);
        let mut labels = HashMap::new();
        for number in 0..HOMES {
            let home = world.owner().add_home(&format!("House {number}")).await.unwrap();
            labels.insert(home, format!("house-{number}"));
        }
        let (began, done) = (Instant::now(), AtomicBool::new(false));
        let making = async {
            let all = async || {
                let states = states(&service, workspace).await;
                let left: Vec<_> = states.values().filter(|state| *state != "active").collect();
                if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
            };
            within(Duration::from_secs(240), "all homes to be made", all).await.unwrap();
            done.store(true, Ordering::SeqCst);
        };
        let (looks, ()) = tokio::join!(watched(&cloudflare, &service, workspace, &labels, &done), making);
        let calls = cloudflare.asked().len();
        println!("{HOMES} homes made in {:.1?} with {calls} calls, {RATE} % of which failed; looked at {looks} times", began.elapsed());
        for (home, label) in &labels {
            is_whole(&there(&cloudflare, *home, label), 8123).unwrap();
        }
        assert_eq!(cloudflare.state().alive().count(), HOMES);

        let began = Instant::now();
        for (home, label) in &labels {
            delete(&world, *home, &label.replace('-', " ")).await;
        }
        let gone = async || {
            let still = states(&service, workspace).await;
            for (home, label) in labels.iter().filter(|(home, _)| !still.contains_key(home)) {
                assert!(is_nothing(&there(&cloudflare, *home, label)), "{label} is gone too early");
            }
            if still.is_empty() { Ok(()) } else { Err(format!("{} are left", still.len())) }
        };
        within(Duration::from_secs(240), "all homes to be gone", gone).await.unwrap();
        println!("all deleted in {:.1?} with {} calls", began.elapsed(), cloudflare.asked().len() - calls);
        let left = {
            let state = cloudflare.state();
            (state.alive().count(), state.records.len(), state.tunnels.len())
        };
        assert_eq!(left, (0, 0, HOMES), "nothing is left over, and no tunnel was made twice");
        world.end().await;
    }
}
