//! Settling: a home gets another name, a new token, and its end; each holds at once and for good.

use std::time::{Duration, Instant};

use agent::config::Keeping;
use agent::memory::Memory;
use kit::guest::Guest;
use kit::home_assistant::Mood;
use kit::owner::May;
use kit::until::{PATIENCE, until};
use kit::world::World;
use reqwest::StatusCode;
use tokio::time::timeout;

use super::ending::{all_closed, opened, pairing};

const PROMISE: Duration = Duration::from_secs(1);

kit::stories! {
    async fn a_deleted_home_is_gone_at_once_and_for_good(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        let home = world.pair_agent().await;
        let link = world.share(&porch, May::View).await;
        let (guest, mut sockets) = opened(&link).await;
        let (agent, address, owner) = (world.agent().status(), world.home_url(), world.owner());
        until("the tunnel", || async { agent.borrow().tunnel_connected }).await;

        // Whoever does not type the name does not mean it.
        let page = owner.visitor.get(&format!("/homes/{home}")).await.unwrap();
        let delete = format!("/homes/{home}/delete");
        let refused = owner.visitor.submit(&page, &delete, &[("typed", "Canal Hose")]).await.unwrap();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.text.contains("nothing was deleted") && refused.text.contains("Canal Hose"));
        assert_eq!(guest.state().await.unwrap().0, StatusCode::OK);
        let neighbour = world.neighbour().await;
        let stranger = neighbour.visitor.post(&delete, &[("typed", "Canal House")]).await.unwrap();
        assert_eq!(stranger.status, StatusCode::NOT_FOUND, "a home of somebody else is not there");

        let began = Instant::now();
        let deleting = async { owner.visitor.submit(&page, &delete, &[("typed", "canal house")]).await.unwrap() };
        let (after, ended) = tokio::join!(deleting, all_closed(&mut sockets, began));
        println!("deleted; {} sockets closed within {ended:.1?}", sockets.len());
        assert!(ended < PROMISE, "{ended:?}");
        assert!(after.status.is_success() && !after.text.contains("Canal House"), "{after:?}");
        assert_eq!(guest.state().await.unwrap().0, StatusCode::FORBIDDEN);
        assert!(Guest::open(&link).await.is_err());
        assert_eq!(world.stranger().get(&address).await.unwrap().status, StatusCode::NOT_FOUND);
        timeout(PATIENCE, world.agent().ended()).await.expect("an agent without a home ends");
        let said = world.stop_agent().await.unwrap_err().to_string();
        assert!(said.contains("was deleted"), "{said}");

        world.stop_broker().await;
        world.start_broker().await;
        let page = world.owner().visitor.get(&format!("/homes/{home}")).await.unwrap();
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert_eq!(guest.state().await.unwrap().0, StatusCode::FORBIDDEN);
        world.end().await;
    }

    async fn a_home_keeps_its_address_under_another_name(mut world: World) {
        let home = world.pair_agent().await;
        let (owner, address) = (world.owner(), world.home_url());
        let page = owner.visitor.get(&format!("/homes/{home}")).await.unwrap();
        let settings = format!("/homes/{home}/settings");
        for (name, port, says) in [("", "8123", "1 to 60"), ("Lake House", "0", "between 1 and"), ("Lake House", "x", "between 1 and")] {
            let refused = owner.visitor.submit(&page, &settings, &[("name", name), ("port", port)]).await.unwrap();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{name} {port}");
            assert!(refused.text.contains(says), "{name} {port}: {refused:?}");
        }
        let changed = owner.visitor.submit(&page, &settings, &[("name", " Lake House "), ("port", "443")]).await.unwrap();
        assert!(changed.text.contains("<h1><bdi>Lake House</bdi></h1>"), "{changed:?}");
        until("the address to lead home", || async {
            let page = world.stranger().get(&format!("{address}/manifest.json")).await?;
            anyhow::ensure!(page.status.is_success(), "{page:?}");
            Ok(())
        })
        .await;
        world.end().await;
    }

    async fn an_agent_whose_tunnel_was_renewed_is_back_by_itself(mut world: World) {
        let home = world.pair_agent().await;
        let (owner, address) = (world.owner(), world.home_url());
        let before = pairing(&world).await.tunnel_token.unwrap();
        let page = owner.visitor.get(&format!("/homes/{home}")).await.unwrap();
        owner.visitor.submit(&page, &format!("/homes/{home}/renew"), &[]).await.unwrap().well().unwrap();
        let old = kit::http_client().get(format!("{}{}", world.origin(), shared::tunnel::DIRECT_PATH));
        let old = old.bearer_auth(before.expose()).send().await.unwrap();
        assert_eq!(old.status(), StatusCode::UNAUTHORIZED, "the old token opens nothing");
        until("the agent to have fetched the new one", || async {
            let memory = Memory::open(&world.agent_settings().data_dir, Keeping::File).await.unwrap();
            memory.recall().pairing.and_then(|now| now.tunnel_token).is_some_and(|now| now.expose() != before.expose())
        })
        .await;
        until("the address to lead home", || async {
            let page = world.stranger().get(&format!("{address}/manifest.json")).await?;
            anyhow::ensure!(page.status.is_success(), "{page:?}");
            Ok(())
        })
        .await;
        world.end().await;
    }
}
