//! Letters: one when a home has been offline for a while, one when it is back. The clock is turned here.

use std::time::Duration;

use kit::owner::Owner;
use kit::until::{until, within};
use kit::visitor::Visitor;
use kit::world::World;

use super::{WRITTEN, rounds, until_told, until_well};

const GRACE: Duration = Duration::from_secs(601);
const WELL: Duration = Duration::from_secs(61);

/// Letters to the owner about the home.
fn letters(world: &World) -> Vec<String> {
    let all = world.letters(&world.owner().identity.email).into_iter();
    all.filter(|letter| letter.contains("/homes/")).collect()
}

async fn until_letters(world: &World, count: usize) -> Vec<String> {
    within(WRITTEN, &format!("{count} letters"), || async {
        let letters = letters(world);
        if letters.len() == count { Ok(letters) } else { Err(format!("{letters:#?}")) }
    })
    .await
    .unwrap()
}

/// Waits until it is written down that the home is offline.
async fn until_noted(world: &World) {
    within(WRITTEN, "an incident", || async {
        world.number("SELECT COUNT(*) FROM incident WHERE well_at IS NULL").await == 1
    })
    .await
    .unwrap();
}

async fn until_recovering(world: &World) {
    until_well(world, WRITTEN).await;
    within(WRITTEN, "an incident that is nearly over", || async {
        world.number("SELECT COUNT(*) FROM incident WHERE well_at IS NOT NULL").await == 1
    })
    .await
    .unwrap();
}

async fn until_over(world: &World) {
    within(WRITTEN, "the incident to be over", || async {
        world.number("SELECT COUNT(*) FROM incident").await == 0
    })
    .await
    .unwrap();
}

kit::stories! {
    async fn an_owner_gets_one_letter_of_each_kind(mut world: World) {
        let home = world.pair_agent().await;
        until_well(&world, WRITTEN).await;
        let twin = world.twin().await;
        rounds(&world).await;

        world.stop_agent().await.unwrap();
        until_noted(&world).await;
        rounds(&world).await;
        assert!(letters(&world).is_empty(), "not yet");
        world.clock().turn(GRACE);
        let offline = until_letters(&world, 1).await.remove(0);
        for words in ["Subject: Canal House is offline", "Agent in the house", "power and network", "(10 minutes", " UTC"] {
            assert!(offline.contains(words), "{words}: {offline}");
        }
        assert!(offline.contains(&format!("{}/homes/{home}", world.origin())), "{offline}");

        // One that comes and goes is one incident, also across a restart.
        world.start_agent().await;
        until_recovering(&world).await;
        world.stop_agent().await.unwrap();
        until_noted(&world).await;
        world.clock().turn(GRACE);
        world.stop_broker().await;
        world.start_broker().await;
        until_told(&world, "agent", ("down", Some("agent_gone")), WRITTEN * 2).await;
        rounds(&world).await;
        assert_eq!(letters(&world).len(), 1);

        // Whoever reads Chinese gets Chinese.
        let reader = Visitor::new(&world.origin()).unwrap().reading("zh-TW");
        let page = reader.get("/sign-in").await.unwrap();
        let identity = &world.owner().identity;
        let fields = [("email", identity.email.as_str()), ("password", identity.password.as_str())];
        reader.submit(&page, "/sign-in", &fields).await.unwrap().well().unwrap();
        world.start_agent().await;
        until_recovering(&world).await;
        rounds(&world).await;
        assert_eq!(letters(&world).len(), 1, "it has to stay for a minute");
        world.clock().turn(WELL);
        until_over(&world).await;
        let letters_now = until_letters(&world, 2).await;
        let back = letters_now.iter().find(|letter| **letter != offline).unwrap();
        assert!(back.contains("Subject: 「Canal House」恢復連線了") && back.contains("20 分鐘"), "{back}");
        twin.stop().await;
        world.end().await;
    }

    async fn letters_can_be_switched_off(mut world: World) {
        let home = world.pair_agent().await;
        until_well(&world, WRITTEN).await;
        let path = format!("/homes/{home}/letters");
        let page = world.owner().visitor.get(&format!("/homes/{home}")).await.unwrap();
        let page = world.owner().visitor.submit(&page, &path, &[]).await.unwrap().well().unwrap();
        assert!(page.text.contains("Switch on"), "{}", page.text);
        world.stop_agent().await.unwrap();
        until_noted(&world).await;
        world.clock().turn(GRACE);
        rounds(&world).await;
        assert!(letters(&world).is_empty());
        // Switched on while it is away, they tell at once what is so.
        world.owner().visitor.submit(&page, &path, &[]).await.unwrap().well().unwrap();
        until_letters(&world, 1).await;
        let stranger: Owner = world.neighbour().await;
        let refused = stranger.visitor.post(&path, &[("on", "no")]).await.unwrap();
        assert_eq!(refused.status, reqwest::StatusCode::NOT_FOUND);
        world.end().await;
    }

    async fn an_operator_may_want_no_letters(mut world: World) {
        world.change_settings(|settings| settings.offline_mail = None).await;
        world.pair_agent().await;
        until_well(&world, WRITTEN).await;
        world.stop_agent().await.unwrap();
        until_noted(&world).await;
        world.clock().turn(GRACE);
        rounds(&world).await;
        assert!(letters(&world).is_empty());
        world.start_agent().await;
        until_recovering(&world).await;
        world.clock().turn(WELL);
        until_over(&world).await;
        until("nothing to be sent", || async { world.number("SELECT COUNT(*) FROM letter").await == 0 }).await;
        assert!(letters(&world).is_empty());
        world.end().await;
    }
}
