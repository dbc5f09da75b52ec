//! Asking: the five routes for programs beside Home Assistant answer fast, also among a thousand homes. Release
//! programs, please: `LATCHKEY_PROGRAMS=target/release`.

use std::time::{Duration, Instant};

use kit::world::World;
use reqwest::{Method, StatusCode};
use serde_json::json;

const HOMES: usize = 1000;
const ROUNDS: usize = 300;
/// At the 99th percentile.
const PROMISE: Duration = Duration::from_millis(50);

kit::stories! {
    #[ignore = "long: makes a thousand homes"]
    async fn the_five_routes_are_fast_among_a_thousand_homes(mut world: World) {
        let mut broker = world.broker_outside().await;
        let service = world.service("workspace:read smarthome:read smarthome:tunnel tunnels:manage").await;
        let workspace = service.get("/api/smarthome/workspaces").await.unwrap().1["workspaces"][0]["id"].as_i64().unwrap();
        let mut homes = Vec::new();
        for number in 0..HOMES {
            let body = json!({"workspace_id": workspace, "name": format!("House {number}"), "ha_port": 8123});
            let (status, made) = service.ask(Method::POST, "/api/tunnels", Some(&body)).await.unwrap();
            assert_eq!(status, StatusCode::CREATED, "{made}");
            homes.push(made["home_id"].as_i64().unwrap());
        }
        let mut slow = Vec::new();
        for route in ["workspaces", "workspaces/{w}/homes", "homes/{h}", "homes/{h}/tunnel-token", "homes/{h}/status"] {
            let mut took = Vec::new();
            for round in 0..ROUNDS {
                let home = homes[round * 7 % HOMES].to_string();
                let path = route.replace("{w}", &workspace.to_string()).replace("{h}", &home);
                let began = Instant::now();
                let (status, said) = service.get(&format!("/api/smarthome/{path}")).await.unwrap();
                took.push(began.elapsed());
                assert_eq!(status, StatusCode::OK, "{said}");
            }
            took.sort();
            let (median, p99) = (took[ROUNDS / 2], took[ROUNDS * 99 / 100]);
            println!("GET {route}: median {median:.1?}, p99 {p99:.1?} of {ROUNDS} among {HOMES} homes");
            slow.extend((p99 > PROMISE).then_some((route, p99)));
        }
        assert!(slow.is_empty(), "over {PROMISE:?}: {slow:?}");
        broker.stop();
    }
}
