//! The first day: from an empty broker to a guest who switches the porch light, and to the end of it.

use agent::app::How;
use kit::home_assistant::Mood;
use kit::owner::May;
use kit::world::World;
use reqwest::StatusCode;

kit::stories! {
    async fn a_home_is_paired_shared_and_taken_back(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;

        let link = world.share(&porch, May::Control).await;
        let guest = world.stranger();
        let page = guest.get(&link).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert!(page.text.contains("Porch"), "{}", page.text);
        assert!(!page.url.as_str().contains("access_token"), "{} still shows the token", page.url);

        world.revoke(&porch).await;
        assert_eq!(guest.get(&link).await.unwrap().status, StatusCode::FORBIDDEN);
        assert_eq!(guest.get(page.url.as_str()).await.unwrap().status, StatusCode::FORBIDDEN);
        world.end().await;
    }

    async fn an_agent_is_paired_by_its_code(mut world: World) {
        let home = world.pair_agent_by(How::Device).await;
        let page = world.owner().visitor.get(&format!("/homes/{home}")).await.unwrap();
        assert!(page.text.contains("Canal House"), "{}", page.text);
        world.end().await;
    }

    async fn the_homes_own_address_leads_to_home_assistant(mut world: World) {
        world.pair_agent().await;
        let page = world.stranger().get(&format!("{}/manifest.json", world.home_url())).await.unwrap();
        assert_eq!((page.status, page.json().unwrap()["name"].as_str()), (StatusCode::OK, Some("Home Assistant")));
        world.end().await;
    }

    async fn everything_is_found_again_after_a_restart(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;
        let link = world.share(&porch, May::View).await;
        world.stop_broker().await;
        assert!(world.stranger().get("/sign-in").await.is_err(), "a stopped broker answers nobody");
        world.start_broker().await;
        kit::agents::until_online(world.agent()).await.unwrap();
        let page = world.stranger().get(&link).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        world.end().await;
    }
}
