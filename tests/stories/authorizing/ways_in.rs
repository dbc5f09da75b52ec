//! Ways in: the tunnel token that a program read opens the way home for as long as the program may, and no longer.

use std::time::Duration;

use agent::tunnel::direct::{Dial, session};
use kit::http_client;
use kit::origin::Origin;
use kit::owner::Owner;
use kit::until::until;
use kit::world::World;
use reqwest::StatusCode;
use shared::oauth::path;
use shared::tunnel::DIRECT_PATH;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::program::{Program, Said};
use crate::people::invited;
use crate::tunnelling::door::tls;

/// Lets a program into a home: `new` for one that is made for it. It gets its tokens, and the tunnel's.
async fn let_in(world: &World, program: &Program, owner: &Owner, home: &str) -> (Said, String, String) {
    let device = program.device().await;
    let page = owner.visitor.get(&format!("/device?user_code={}", device.text("user_code"))).await.unwrap();
    let fields = [("home", home), ("home_name", "Lake House"), ("take_over", home), ("decision", "allow")];
    owner.visitor.submit(&page, "/device", &fields).await.unwrap().well().unwrap();
    let tokens = program.poll(&device.text("device_code")).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    let home = tokens.json["home_id"].to_string();
    let asked = http_client().get(format!("{}/api/smarthome/homes/{home}/tunnel-token", world.origin()));
    let answer = asked.bearer_auth(tokens.text("access_token")).send().await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    (tokens, home, answer["tunnel_token"].as_str().unwrap().to_owned())
}

/// What a program of the workspace's own reads of the same home's tunnel.
async fn read_by_a_service(world: &World, home: &str) -> String {
    let service = world.service("smarthome:read smarthome:tunnel").await;
    let (status, said) = service.get(&format!("/api/smarthome/homes/{home}/tunnel-token")).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{said}");
    said["tunnel_token"].as_str().unwrap().to_owned()
}

/// Whether a tunnel token is good: without the upgrade a good one is told so, a bad one is refused first.
async fn is_good(world: &World, token: &str) -> bool {
    let dialled = http_client().get(format!("{}{DIRECT_PATH}", world.origin())).bearer_auth(token);
    match dialled.send().await.unwrap().status() {
        StatusCode::BAD_REQUEST => true,
        StatusCode::UNAUTHORIZED => false,
        other => panic!("{other}"),
    }
}

kit::stories! {
    async fn a_tunnel_token_ends_with_the_grant_that_read_it_and_with_no_other(world: World) {
        let program = Program::of(&world);
        let (first, home, mine) = let_in(&world, &program, world.owner(), "new").await;
        let others = read_by_a_service(&world, &home).await;
        assert_ne!(mine, others, "each grant has a token of its own");
        assert!(is_good(&world, &mine).await && is_good(&world, &others).await);
        program.post(path::REVOKE, &[("token", &first.text("refresh_token"))]).await;
        assert!(!is_good(&world, &mine).await, "what the program read is worth nothing any more");
        assert!(is_good(&world, &others).await, "the other one noticed nothing");
        world.end().await;
    }

    async fn what_a_service_reads_outlives_its_hour_and_ends_when_it_is_switched_off(world: World) {
        let program = Program::of(&world);
        let (_, home, mine) = let_in(&world, &program, world.owner(), "new").await;
        let mut service = world.service("smarthome:read smarthome:tunnel").await;
        let path = format!("/api/smarthome/homes/{home}/tunnel-token");
        let read = service.get(&path).await.unwrap().1["tunnel_token"].as_str().unwrap().to_owned();
        let origin = Origin::start().await;
        let dial = Dial {
            broker: world.origin().parse().unwrap(),
            token: read.clone().into(),
            tls: tls(),
            origin: origin.url(),
            stop: CancellationToken::new(),
        };
        let mut line = tokio::spawn(async move { session(&dial).await });
        let url = format!("http://lake-house.{}", world.origin().trim_start_matches("http://"));
        let is_up = async || world.stranger().get(&format!("{url}/echo")).await.is_ok_and(|page| page.status == StatusCode::OK);
        until("its line to be up", is_up).await;

        // Its token of the hour lapses and its grant is forgotten; what it opens stands, and it reads the same again.
        world.clock().turn(Duration::from_secs(3 * 3600));
        assert_eq!(service.get(&path).await.unwrap().0, StatusCode::UNAUTHORIZED);
        assert!(is_good(&world, &read).await);
        service.come_again("smarthome:tunnel").await;
        assert_eq!(service.get(&path).await.unwrap().1["tunnel_token"], read);
        assert!(!line.is_finished(), "its line was hung up with its hour");

        world.operator(&["client", "disable", &service.client_id]);
        assert!(!is_good(&world, &read).await);
        timeout(Duration::from_secs(6), &mut line).await.expect("its line is hung up").unwrap().ok();
        world.operator(&["client", "enable", &service.client_id]);
        assert!(is_good(&world, &read).await);
        world.operator(&["client", "remove", &service.client_id]);
        assert!(!is_good(&world, &read).await);
        assert_eq!(world.number("SELECT COUNT(*) FROM tunnel_token").await, 1, "{mine} alone is left");
        world.end().await;
    }

    async fn whoever_manages_the_home_no_longer_keeps_no_way_in(world: World) {
        let program = Program::of(&world);
        let (_, home, _) = let_in(&world, &program, world.owner(), "new").await;
        let others = read_by_a_service(&world, &home).await;
        let bob = invited(&world, "bob@example.org", "admin").await;
        let (_, _, bobs) = let_in(&world, &program, &bob, &home).await;
        assert!(is_good(&world, &bobs).await);
        let ada = &world.owner().visitor;
        let members = ada.get("/members").await.unwrap();
        let remove = members.forms().find(|form| form.action.ends_with("/remove")).unwrap().action;
        ada.submit(&members, &remove, &[]).await.unwrap().well().unwrap();
        assert!(!is_good(&world, &bobs).await, "TK-33");
        assert!(is_good(&world, &others).await);
        world.end().await;
    }
}
