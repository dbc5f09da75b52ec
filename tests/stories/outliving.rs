//! Outliving: whatever is killed, what was promised holds when it is back, and nobody has to do anything for it.

pub mod ending;
mod killing;
mod settling;

use std::time::{Duration, Instant};

use kit::guest::{Guest, Watching};
use kit::home_assistant::Client;
use kit::owner::May;
use kit::until::{until, within};
use kit::visitor::Visitor;
use kit::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::oauth::AGENT_CLIENT_ID;

/// What we promise, from the moment a thing is back to the next change that a guest sees.
const PROMISE: Duration = Duration::from_secs(10);
/// There after every restart: Home Assistant's own demo makes it.
const LAMP: &str = "light.bed_light";

kit::stories! {
    async fn a_guest_sees_on_whatever_was_killed(mut world: World) {
        let home = world.home_of_its_own().await;
        world.pair_agent().await;
        let link = world.share(LAMP, May::Control).await;
        let home_url = world.home_url();
        let mut broker = world.broker_outside().await;
        let mut agent = world.agent_outside().await;
        let page = Watching::start(Guest::open(&link).await.unwrap());
        until_seen(&home, &page, Instant::now()).await;

        broker.kill();
        until("the page to notice that the broker is gone", || async { !page.shown().connected }).await;
        let began = Instant::now();
        let _broker = world.broker_program().await;
        println!("the broker was killed; ready again after {:.1?}", began.elapsed());
        all_is_well("the broker", &world, &home, &page, (&link, &home_url)).await;

        agent.kill();
        until("the page to say that the home is away", || async { !page.shown().online }).await;
        let _agent = world.agent_program();
        all_is_well("the agent", &world, &home, &page, (&link, &home_url)).await;

        world.home_assistant_mut().kill().unwrap();
        until("the page to say that the home is away", || async { !page.shown().online }).await;
        world.home_assistant_mut().start_again().await.unwrap();
        all_is_well("home assistant", &world, &home, &page, (&link, &home_url)).await;
        drop((_agent, _broker));
        world.end().await;
    }
}

/// The thing that was killed is back: changes are seen again in time, by the page that was left open and through
/// the home's own address; the link still opens, and the owner is still signed in.
async fn all_is_well(
    what: &str,
    world: &World,
    home: &Client,
    page: &Watching,
    (link, home_url): (&str, &str),
) {
    let began = Instant::now();
    let seen = until_seen(home, page, began);
    let reached = within(PROMISE, "the home's own address to lead home", || async {
        let visitor = Visitor::new(home_url)?;
        visitor.get("/manifest.json").await?.well()?;
        anyhow::Ok(began.elapsed())
    });
    let (seen, reached) = tokio::join!(seen, reached);
    println!(
        "{what} was killed; after it was back a guest saw changes within {seen:.1?}, the home's address led home within {:.1?}",
        reached.unwrap()
    );
    Guest::open(link).await.expect("the share is not lost");
    let dashboard =
        world.owner().visitor.get(&format!("/homes/{}", world.home_id())).await.unwrap().well().unwrap();
    assert!(dashboard.text.contains("Canal House"), "the owner has to sign in again: {}", dashboard.text);
}

/// Switches the lamp until the page shows two changes in a row, so that what it shows is neither old nor chance.
async fn until_seen(home: &Client, page: &Watching, began: Instant) -> Duration {
    let (mut on, mut seen) = (false, 0);
    while seen < 2 {
        assert!(began.elapsed() < PROMISE, "nothing seen in time; the page shows {:?}", page.shown());
        on = !on;
        let (service, state) = if on { ("turn_on", "on") } else { ("turn_off", "off") };
        home.call_service("light", service, json!({"entity_id": LAMP})).await.unwrap();
        let shown = within(Duration::from_millis(400), "the page", || async {
            let shown = page.shown();
            shown.connected && shown.online && shown.state == state
        });
        seen = if shown.await.is_ok() { seen + 1 } else { 0 };
    }
    began.elapsed()
}

/// Posts a form as the agent's client would; an answer without JSON is told as null.
async fn ask(world: &World, path: &str, form: &[(&str, &str)]) -> anyhow::Result<(StatusCode, Value)> {
    let form: Vec<_> = form.iter().copied().chain([("client_id", AGENT_CLIENT_ID)]).collect();
    let answer = kit::http_client().post(format!("{}{path}", world.origin())).form(&form).send().await?;
    let status = answer.status();
    Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or_default()))
}
