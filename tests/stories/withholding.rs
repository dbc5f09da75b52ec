//! The home has the last word: what its own policy withholds leaves it for nobody, whatever links there are (S10).

use std::time::Instant;

use kit::guest::Guest;
use kit::home_assistant::Mood;
use kit::owner::May;
use kit::programs;
use kit::until::{PATIENCE, until};
use kit::world::World;
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::timeout;

kit::stories! {
    async fn a_lock_stays_at_home_until_the_home_says_yes(mut world: World) {
        world.be_tapped().await;
        let porch = world.device("light", "Porch", Mood::Willing).await;
        let lock = porch.replace("light.porch", "lock.front");
        let home = world.home().await;
        home.set_state(&lock, "unlocked", json!({"friendly_name": "Front door"})).await.unwrap();
        world.pair_agent().await;
        let page = format!("/homes/{}", world.home_id());
        let devices = world.owner().visitor.get(&page).await.unwrap().well().unwrap().text;
        assert!(devices.contains(&porch) && !devices.contains(&lock), "{devices}");
        assert!(devices.contains("policy.toml"), "the owner is told why");

        // The home says yes: it can be shared, and is seen at once.
        world.decree(&format!("allow = ['{lock}']"));
        until("the lock to be listed", || async {
            world.owner().visitor.get(&page).await.is_ok_and(|page| page.text.contains(&lock))
        })
        .await;
        let guest = Guest::open(&world.share(&lock, May::View).await).await.unwrap();
        let mut live = guest.live().await.unwrap();
        timeout(PATIENCE, live.until_state("unlocked")).await.expect("how it stands").unwrap();

        // And no: it is gone from the page that is open, and what it does from then on leaves the house for nobody.
        world.decree("");
        timeout(PATIENCE, live.until_state("unavailable")).await.expect("it is withheld").unwrap();
        world.tap().forget();
        home.set_state(&lock, "jammed", json!({"friendly_name": "Front door"})).await.unwrap();
        world.owner().visitor.get(&page).await.unwrap().well().unwrap();
        until("the agent's list", || async { world.tap().left(&porch) }).await;
        assert!(!world.tap().left("jammed") && !world.tap().left(&lock), "{:#?}", world.tap().up());
        world.end().await;
    }

    async fn sharing_that_is_stopped_at_home_cannot_be_resumed_from_elsewhere(mut world: World) {
        world.be_tapped().await;
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;
        let home = world.home().await;
        let guest = Guest::open(&world.share(&porch, May::Control).await).await.unwrap();
        let mut live = guest.live().await.unwrap();
        timeout(PATIENCE, live.until_state("off")).await.expect("how it stands").unwrap();

        let began = Instant::now();
        programs::sharing(&world.agent_settings(), "stop").unwrap();
        timeout(PATIENCE, live.until_state("unavailable")).await.expect("nothing is shared").unwrap();
        println!("sharing stopped: the guest's page knows after {:.1?}", began.elapsed());
        assert_eq!(guest.control("turn_on").await.unwrap().0, StatusCode::CONFLICT);
        let page = format!("/homes/{}", world.home_id());
        let shown = world.owner().visitor.get(&page).await.unwrap().well().unwrap().text;
        assert!(shown.contains("latchkey-agent sharing resume") && !shown.contains("/share?entity="), "{shown}");

        // Neither a new link, nor a broker that starts anew, nor an agent that does.
        world.stop_broker().await;
        world.start_broker().await;
        world.stop_agent().await.unwrap();
        world.tap().forget();
        world.start_agent().await;
        assert!(world.agent().status().borrow().sharing_stopped);
        home.call_service("light", "turn_on", json!({"entity_id": porch})).await.unwrap();
        until("the broker to be told", || async {
            world.tap().up().iter().any(|frame| frame.contains(r#""stopped":true"#))
        })
        .await;
        until("the page to say so", || async {
            let shown = world.owner().visitor.get(&page).await;
            shown.is_ok_and(|shown| shown.text.contains("latchkey-agent sharing resume"))
        })
        .await;
        let told = world.tap().up();
        assert!(!told.iter().any(|frame| frame.contains(r#""type":"states""#)), "{told:#?}");

        programs::sharing(&world.agent_settings(), "resume").unwrap();
        let mut live = Guest::live(&guest).await.unwrap();
        timeout(PATIENCE, live.until_state("on")).await.expect("it is shared again").unwrap();
        world.end().await;
    }

    async fn a_policy_that_cannot_be_read_shares_nothing_and_says_where(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;
        let guest = Guest::open(&world.share(&porch, May::View).await).await.unwrap();
        let mut live = guest.live().await.unwrap();
        timeout(PATIENCE, live.until_state("off")).await.expect("how it stands").unwrap();
        world.decree("deny = [\n  'Front door',\n]\n");
        timeout(PATIENCE, live.until_state("unavailable")).await.expect("nothing is shared").unwrap();
        let reason = world.agent().status().borrow().policy_reason.clone().unwrap();
        assert!(reason.contains("policy.toml") && reason.contains("Front door"), "{reason}");
        world.decree("");
        timeout(PATIENCE, live.until_state("off")).await.expect("it is shared again").unwrap();
        world.end().await;
    }
}
