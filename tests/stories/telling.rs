//! Telling: how a home is, said in time and truly, in the API, on the page and by letter (T5).

mod brokers;
mod cuts;
mod letters;
mod provider;

use anyhow::{Context as _, Result, ensure};
use kit::until::{until, within};
use kit::visitor::Page;
use kit::world::World;
use serde_json::Value;
use std::time::Duration;

use crate::outliving::ending::pairing;

/// Longer than it takes until what lasts is written down and every broker has seen it.
const WRITTEN: Duration = Duration::from_secs(25);

/// What a program beside Home Assistant is told below a home's address, by the broker at this origin.
async fn asked(world: &World, origin: &str, below: &str) -> Result<Value> {
    let token = pairing(world).await.access.context("an agent has a token")?.token;
    let url = format!("{origin}/api/smarthome/homes/{}{below}", world.home_id());
    let answer = kit::http_client().get(url).bearer_auth(token.expose()).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

/// One hop of the API's answer.
async fn hop(world: &World, which: &str) -> Result<Value> {
    let status = asked(world, &world.origin(), "/status").await?;
    of(&status, which)
}

fn of(status: &Value, which: &str) -> Result<Value> {
    let hops = status["hops"].as_array().context("no hops")?;
    hops.iter().find(|hop| hop["hop"] == which).cloned().with_context(|| format!("no {which} in {status}"))
}

/// When hops were cut, oldest first: which, why, and whether it is over.
async fn history(world: &World) -> Vec<(String, String, bool)> {
    let told = asked(world, &world.origin(), "/history").await.unwrap();
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or("").to_owned();
    let events = told["events"].as_array().unwrap().iter().rev();
    events.map(|event| (text(event, "hop"), text(event, "reason"), event["ended_at"].is_i64())).collect()
}

/// The part of a home's page that is about one hop.
fn card<'a>(page: &'a Page, which: &str) -> Result<&'a str> {
    let at = page.text.find(&format!(".{which}\">")).with_context(|| format!("no {which} on {page:?}"))?;
    Ok(page.text[at..].split("</li>").next().unwrap_or(""))
}

/// Waits until the API and the page tell this of a hop.
async fn until_told(world: &World, which: &str, (state, reason): (&str, Option<&str>), patience: Duration) {
    let what = format!("{which} to be {state}");
    let told = within(patience, &what, || async {
        let hop = hop(world, which).await?;
        ensure!(hop["state"] == state && hop["reason"].as_str() == reason, "{hop}");
        ensure!(hop["since"].is_i64() || state == "unknown", "it is so since some time: {hop}");
        let page = world.owner().visitor.get(&format!("/homes/{}", world.home_id())).await?.well()?;
        let card = card(&page, which)?;
        let class = match state {
            "up" => "light-green",
            "error" => "light-red",
            _ => "light-grey",
        };
        ensure!(card.contains(&format!("class=\"{class}\"")), "the page's light is another: {card}");
        let sentence = hop["sentence"].as_str();
        ensure!(sentence.is_none_or(|words| card.contains(words)), "the page does not say why: {card}");
        Ok(())
    });
    told.await.unwrap_or_else(|missing| panic!("{missing}"));
}

async fn until_well(world: &World, patience: Duration) {
    for which in ["provider", "tunnel", "agent", "home_assistant"] {
        until_told(world, which, ("up", None), patience).await;
    }
    let home = asked(world, &world.origin(), "/status").await.unwrap();
    assert_eq!(home["home"]["tunnel_status"], "connected");
}

/// Waits until what is there now is written down, or is noted not to be worth it: each broker has had its rounds.
async fn rounds(world: &World) {
    for _ in 0..3 {
        let before = world.number("SELECT MAX(seen_at) FROM broker").await;
        until("another round", || async { world.number("SELECT MAX(seen_at) FROM broker").await > before })
            .await;
    }
}
