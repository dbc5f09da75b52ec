//! Operating: programs that make and delete tunnels for their workspace (T7), and the operator's own commands.

use std::time::{Duration, Instant};

use kit::service::Service;
use kit::until::within;
use kit::world::World;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::id::HomeId;

use super::{is_nothing, is_whole, there};

const SCOPES: &str = "workspace:read smarthome:read tunnels:manage";

async fn post(service: &Service, body: &Value) -> (StatusCode, Value) {
    service.ask(Method::POST, "/api/tunnels", Some(body)).await.unwrap()
}

async fn workspace(service: &Service) -> i64 {
    service.get("/api/smarthome/workspaces").await.unwrap().1["workspaces"][0]["id"].as_i64().unwrap()
}

kit::stories! {
    async fn a_program_makes_shows_and_deletes_tunnels(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service(SCOPES).await;
        let workspace = workspace(&service).await;
        let body = json!({"workspace_id": workspace, "name": "Lake House", "ha_port": 8123});
        let began = Instant::now();
        let (status, made) = post(&service, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        println!("from nothing to a token in a program's hands: {:.0?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(60));
        let home: HomeId = made["home_id"].as_i64().unwrap().try_into().unwrap();
        is_whole(&there(&cloudflare, home, "lake-house"), 8123).unwrap();
        assert_eq!(made["hostname"], "lake-house.homes.example");
        assert!(made["tunnel_name"].as_str().unwrap().ends_with(&format!("-{home}")));

        // The same home again: the same tunnel.
        let (status, again) = post(&service, &json!({"home_id": home.number()})).await;
        assert_eq!((status, &again), (StatusCode::CREATED, &made));
        let path = format!("/api/tunnels/{}", made["tunnel_id"].as_str().unwrap());
        let (status, token) = service.get(&format!("{path}/token")).await.unwrap();
        assert_eq!((status, &token["token"]), (StatusCode::OK, &made["tunnel_token"]));

        let token = made["tunnel_token"].as_str().unwrap();
        let (status, shown) = service.get(&path).await.unwrap();
        assert_eq!((status, shown["connections"].as_array().unwrap().len()), (StatusCode::OK, 0), "{shown}");
        let connect = async || cloudflare.state().connect(token, "192.0.2.7");
        let connector = within(Duration::from_secs(5), "the edge", connect).await.unwrap();
        let shown = within(Duration::from_secs(45), "the connection to be shown", async || {
            let (_, shown) = service.get(&path).await.unwrap();
            if shown["status"] == "healthy" { Ok(shown) } else { Err(shown.to_string()) }
        });
        let shown = shown.await.unwrap();
        let connection = &shown["connections"][0];
        assert_eq!((&connection["connector_id"], &connection["type"]), (&json!(connector), &json!("cloudflared")), "{shown}");
        assert_eq!((&connection["origin_ip"], connection["opened_at"].is_i64()), (&json!("192.0.2.7"), true), "{shown}");

        let deleted = service.ask(Method::DELETE, &path, None).await.unwrap();
        assert_eq!(deleted.0, StatusCode::ACCEPTED);
        let gone = async || match service.ask(Method::DELETE, &path, None).await.unwrap().0 {
            StatusCode::NOT_FOUND => Ok(()),
            status => Err(status),
        };
        within(Duration::from_secs(30), "the provider to confirm", gone).await.unwrap();
        assert!(is_nothing(&there(&cloudflare, home, "lake-house")));
        assert_eq!(service.get(&path).await.unwrap().0, StatusCode::NOT_FOUND);
        world.end().await;
    }

    async fn an_id_that_was_given_out_leads_to_its_home_after_the_tunnel_was_made_anew(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service(SCOPES).await;
        let body = json!({"workspace_id": workspace(&service).await, "name": "Lake House", "ha_port": 8123});
        let (status, made) = post(&service, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let home: HomeId = made["home_id"].as_i64().unwrap().try_into().unwrap();
        let path = format!("/api/tunnels/{}", made["tunnel_id"].as_str().unwrap());
        for tunnel in &mut cloudflare.state().tunnels {
            tunnel.is_deleted = true;
        }
        let anew = within(Duration::from_secs(30), "another tunnel", async || {
            let (status, token) = service.get(&format!("{path}/token")).await.unwrap();
            let is_new = status == StatusCode::OK && token["tunnel_id"] != made["tunnel_id"];
            // Never as if it were not there, not even while it is being made.
            assert_ne!(status, StatusCode::NOT_FOUND, "{token}");
            if is_new { Ok(token) } else { Err(token.to_string()) }
        });
        let token = anew.await.unwrap();
        is_whole(&there(&cloudflare, home, "lake-house"), 8123).unwrap();
        let (status, shown) = service.get(&path).await.unwrap();
        assert_eq!((status, &shown["tunnel_id"]), (StatusCode::OK, &token["tunnel_id"]), "{shown}");
        assert_eq!(cloudflare.state().alive().map(|tunnel| tunnel.id.clone()).collect::<Vec<_>>(), [token["tunnel_id"].as_str().unwrap()]);

        assert_eq!(service.ask(Method::DELETE, &path, None).await.unwrap().0, StatusCode::ACCEPTED);
        let gone = async || match service.get(&path).await.unwrap().0 {
            StatusCode::NOT_FOUND => Ok(()),
            status => Err(status),
        };
        within(Duration::from_secs(30), "the provider to confirm", gone).await.unwrap();
        assert!(is_nothing(&there(&cloudflare, home, "lake-house")));
        world.end().await;
    }

    async fn a_request_that_comes_twice_makes_one_home(world: World) {
        let service = world.service(SCOPES).await;
        let workspace = workspace(&service).await;
        let ask = async |key: &str, name: &str| {
            let body = json!({"workspace_id": workspace, "name": name, "ha_port": 8123});
            service.ask_with(Method::POST, "/api/tunnels", Some(&body), &[("idempotency-key", key)]).await.unwrap()
        };
        let all = futures_util::future::join_all((0..8).map(|_| ask("key-1", "Attic"))).await;
        for (status, made) in &all {
            assert_eq!((status, &made["home_id"]), (&StatusCode::CREATED, &all[0].1["home_id"]), "{made}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM home").await, 1);
        let (status, said) = ask("key-1", "Barn").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "another request under the same key: {said}");
        assert!(said["detail"].as_str().unwrap().contains("Idempotency-Key"), "{said}");
        assert_eq!(ask("key-2", "Barn").await.0, StatusCode::CREATED);

        // What is asked wrongly is named, and nothing comes of it.
        for (body, says) in [
            (json!({}), "home_id alone"),
            (json!({"home_id": 1, "name": "x"}), "home_id alone"),
            (json!({"workspace_id": workspace, "name": " "}), "1 to 60 characters"),
            (json!({"workspace_id": workspace, "name": "x", "ha_port": 0}), "port"),
            (json!({"workspace_id": workspace, "name": "x", "colour": 1}), "colour"),
        ] {
            let (status, said) = post(&service, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(said["detail"].as_str().unwrap().contains(says), "{body}: {said}");
        }
        // Another workspace's is not there, and a program without the scope is told which.
        let (status, _) = post(&service, &json!({"workspace_id": workspace + 1, "name": "x", "ha_port": 1})).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let reader = world.service("workspace:read smarthome:read").await;
        let (status, said) = post(&reader, &json!({"home_id": 1})).await;
        assert_eq!((status, &said["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_scope")));
        assert_eq!(world.number("SELECT COUNT(*) FROM home").await, 2);
        world.end().await;
    }

    async fn what_cannot_be_made_is_said_at_once(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service(SCOPES).await;
        cloudflare.state().most_tunnels = 0;
        let body = json!({"workspace_id": workspace(&service).await, "name": "Attic", "ha_port": 8123});
        let began = Instant::now();
        let (status, said) = post(&service, &body).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{said}");
        assert!(said["detail"].as_str().unwrap().contains("limit is reached"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        world.end().await;
    }

    async fn the_doctor_names_what_is_missing_and_a_sweep_removes_what_is_nobodys(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service(SCOPES).await;
        let body = json!({"workspace_id": workspace(&service).await, "name": "Attic", "ha_port": 8123});
        let made = post(&service, &body).await.1;
        let home: HomeId = made["home_id"].as_i64().unwrap().try_into().unwrap();
        let well = world.operator(&["doctor"]);
        assert!(!well.contains("WRONG") && well.contains("1 tunnels are ours"), "{well}");
        let asked = cloudflare.asked().len();

        cloudflare.state().websockets = false;
        for (permission, says) in [("dns", "Zone > DNS > Edit"), ("tunnels", "Account > Cloudflare Tunnel > Edit"), ("settings", "Zone > Zone Settings > Read")] {
            cloudflare.state().permissions.retain(|known| *known != permission);
            let said = world.operator_fails(&["doctor", "--json"]);
            assert!(said.contains(says), "{said}");
            cloudflare.state().permissions = vec!["dns", "tunnels", "settings"];
        }
        assert!(world.operator_fails(&["doctor"]).contains("switch them on"), "the zone's WebSockets");
        cloudflare.state().websockets = true;
        let changed = cloudflare.asked()[asked..].iter().any(|asked| asked.changes() && asked.answered.is_some_and(|status| status.is_success()));
        assert!(!changed, "a doctor changes nothing");

        // Ours by name, and no home's; and others', which nobody touches.
        let ours = made["tunnel_name"].as_str().unwrap().strip_suffix(&home.number().to_string()).unwrap().to_owned();
        let installation = ours.strip_prefix("latchkey-").and_then(|rest| rest.strip_suffix('-')).unwrap().to_owned();
        {
            let mut state = cloudflare.state();
            let id = state.add_tunnel(&format!("{ours}77"), true).id.clone();
            state.add_tunnel("latchkey-other1-77", true);
            state.add_record("CNAME", "old.homes.example", &format!("{id}.cfargotunnel.com"), &format!("latchkey {installation} home 77"));
            state.add_record("A", "www.homes.example", "192.0.2.1", "latchkey is nice");
        }
        let count = || {
            let state = cloudflare.state();
            (state.records.len(), state.alive().count())
        };
        let before = count();
        let listed = world.operator(&["sweep", "--dry-run"]);
        assert!(listed.contains(&format!("{ours}77")) && listed.contains("old.homes.example"), "{listed}");
        assert_eq!(listed.lines().count(), 2, "{listed}");
        assert_eq!(count(), before, "a dry run");
        assert!(world.operator(&["doctor"]).contains("2 tunnels and records belong to no home"));
        world.operator(&["sweep"]);
        assert_eq!(count(), (before.0 - 1, before.1 - 1));
        is_whole(&there(&cloudflare, home, "attic"), 8123).unwrap();
        assert!(world.operator(&["sweep"]).contains("Nothing"), "nothing is left");
        world.end().await;
    }
}
