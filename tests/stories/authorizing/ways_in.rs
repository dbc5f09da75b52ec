//! Ways in: the tunnel token that a program read opens the way home for as long as the program may, and no longer.

use kit::http_client;
use kit::owner::Owner;
use kit::world::World;
use reqwest::StatusCode;
use shared::oauth::path;
use shared::tunnel::DIRECT_PATH;

use super::program::{Program, Said};
use crate::people::invited;

/// Lets a program into a home: `new` for one that is made for it. It gets its tokens, and the tunnel's.
async fn let_in(world: &World, program: &Program, owner: &Owner, home: &str) -> (Said, String, String) {
    let device = program.device().await;
    let page = owner.visitor.get(&format!("/device?user_code={}", device.text("user_code"))).await.unwrap();
    let fields = [("home", home), ("home_name", "Lake House"), ("decision", "allow")];
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
