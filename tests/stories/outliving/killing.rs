//! Killing: a broker that is killed in the middle of its work takes nothing back that it has acknowledged, and
//! loses nothing (F-01).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agent::app::How;
use agent::config::{Keeping, Settings};
use agent::memory::Memory;
use kit::agents;
use kit::guest::Guest;
use kit::home_assistant::Mood;
use kit::owner::May;
use kit::until::until;
use kit::world::World;
use reqwest::StatusCode;
use serde_json::Value;
use shared::oauth::path;

use super::ask;

const KILLS: usize = 20;
/// Links that are revoked around each kill.
const LINKS: usize = 3;
/// How soon a broker is ready after a kill (F-01).
const READY: Duration = Duration::from_secs(2);

kit::stories! {
    async fn no_acknowledged_word_is_taken_back(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        let home = world.pair_agent().await;
        let mut links = Vec::new();
        for number in 0..KILLS * LINKS {
            links.push(world.owner().share(home, &porch, &format!("Guest {number}"), May::View).await.unwrap());
        }
        // The newest stands first on the page, so its forms are those of the last links.
        let page = world.owner().visitor.get(&format!("/homes/{home}")).await.unwrap().well().unwrap();
        let revokes: Vec<_> = page.forms().filter(|form| form.action.ends_with("/revoke")).collect();
        assert_eq!(revokes.len(), links.len());
        links.reverse();
        let (kept, mut grants) = (grant(&world, "kept").await, Vec::new());
        for number in 0..KILLS {
            grants.push(grant(&world, &format!("grant-{number}")).await);
        }
        let mut broker = world.broker_outside().await;

        let (mut kept, mut refreshed, mut revoked, mut slowest) = (kept, 0, Vec::new(), Duration::ZERO);
        for (round, grant) in grants.iter().enumerate() {
            let acknowledged = AtomicUsize::new(0);
            let count = |well: bool| well && acknowledged.fetch_add(1, Ordering::SeqCst) < usize::MAX;
            let mine = round * LINKS..(round + 1) * LINKS;
            let revoking = async {
                let mut done = Vec::new();
                for number in mine.clone() {
                    let fields: Vec<_> = revokes[number].fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                    let answer = world.owner().visitor.post(&revokes[number].action, &fields).await;
                    if count(answer.is_ok_and(|answer| answer.status == StatusCode::SEE_OTHER)) {
                        done.push(number);
                    }
                }
                done
            };
            let ending = async { count(ask(&world, path::REVOKE, &[("token", grant)]).await.is_ok_and(|(status, _)| status == StatusCode::OK)) };
            let refreshing = async {
                while let Ok((StatusCode::OK, answer)) = refresh(&world, &kept).await {
                    kept = answer["refresh_token"].as_str().unwrap().to_owned();
                    refreshed += 1;
                    count(true);
                }
            };
            let killing = async {
                // Early in some rounds, late in others.
                until("words to be acknowledged", || async { acknowledged.load(Ordering::SeqCst) > round % 7 }).await;
                broker.kill();
            };
            let (done, ended, (), ()) = tokio::join!(revoking, ending, refreshing, killing);

            let began = Instant::now();
            broker = world.broker_program().await;
            slowest = slowest.max(began.elapsed());
            for number in &done {
                let (status, answer) = Guest::holding(&links[*number]).unwrap().state().await.unwrap();
                assert_eq!(status, StatusCode::FORBIDDEN, "link {number} is alive again: {answer}");
            }
            if ended {
                let (status, answer) = refresh(&world, grant).await.unwrap();
                assert_eq!((status, answer["error"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid_grant")), "round {round}");
            }
            let (status, answer) = refresh(&world, &kept).await.unwrap();
            assert_eq!(status, StatusCode::OK, "round {round}: the newest token that was given is good for nothing: {answer}");
            kept = answer["refresh_token"].as_str().unwrap().to_owned();
            revoked.extend(done);
        }

        println!("{KILLS} kills: {refreshed} refreshes and {} revocations acknowledged, none undone; slowest start {slowest:.1?}", revoked.len());
        assert!(revoked.len() >= KILLS / 2 && refreshed >= KILLS / 2, "{} revocations, {refreshed} refreshes", revoked.len());
        assert!(slowest < READY, "{slowest:?}");
        let page = world.owner().visitor.get(&format!("/homes/{home}")).await.unwrap().well().unwrap();
        for number in revoked {
            assert!(page.form(&revokes[number].action).is_err(), "link {number} is alive again");
        }
        world.end().await;
    }
}

/// Pairs an agent that never runs, and gives its refresh token.
async fn grant(world: &World, name: &str) -> String {
    let settings = Settings { data_dir: world.folder().join(name), ..world.agent_settings() };
    agents::pair(&settings, How::Browser, world.owner(), name).await.unwrap();
    let memory = Memory::open(&settings.data_dir, Keeping::File).await.unwrap();
    memory.recall().pairing.unwrap().refresh_token.expose().to_owned()
}

async fn refresh(world: &World, token: &str) -> anyhow::Result<(StatusCode, Value)> {
    ask(world, path::TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}
