//! Crashing: the broker is killed before and after each call to the provider, in making, renewing and deleting, and
//! when it is back exactly what is wanted is there.

use std::time::{Duration, Instant};

use kit::cloudflare::{Asked, Cloudflare, When};
use kit::service::Service;
use kit::until::within;
use kit::world::World;
use reqwest::Method;
use shared::id::HomeId;

use super::{delete, is_nothing, is_whole, renew, there, token, until_gone, until_state};

/// A call of the provider, by its sort.
type Sort = (&'static str, fn(&Asked) -> bool);

fn ends(asked: &Asked, method: Method, part: &str, end: &str) -> bool {
    asked.method == method && asked.path.contains(part) && asked.path.ends_with(end)
}

const MAKING: [Sort; 4] = [
    ("create the tunnel", |asked| ends(asked, Method::POST, "cfd_tunnel", "cfd_tunnel")),
    ("configure it", |asked| ends(asked, Method::PUT, "cfd_tunnel", "configurations")),
    ("name it", |asked| ends(asked, Method::POST, "dns_records", "dns_records")),
    ("fetch its token", |asked| ends(asked, Method::GET, "cfd_tunnel", "/token")),
];

const RENEWING: [Sort; 3] = [
    ("renew its secret", |asked| ends(asked, Method::PATCH, "cfd_tunnel", "")),
    ("cut its connections", |asked| ends(asked, Method::DELETE, "cfd_tunnel", "connections")),
    ("fetch its token", |asked| ends(asked, Method::GET, "cfd_tunnel", "/token")),
];

const DELETING: [Sort; 6] = [
    ("look at its name", |asked| asked.query.iter().any(|(name, _)| name == "name.exact")),
    ("look at its records", |asked| asked.query.iter().any(|(name, _)| name == "content.exact")),
    ("remove its name", |asked| ends(asked, Method::DELETE, "dns_records", "")),
    ("spoil its secret", |asked| ends(asked, Method::PATCH, "cfd_tunnel", "")),
    ("cut its connections", |asked| ends(asked, Method::DELETE, "cfd_tunnel", "connections")),
    ("delete it", |asked| {
        asked.method == Method::DELETE
            && asked.path.contains("cfd_tunnel/")
            && !asked.path.ends_with("connections")
    }),
];

/// Homes of one round, one for each sort of call, all under way at once.
fn names(what: &str, when: When, count: usize) -> Vec<(String, String)> {
    let label = |number| format!("{what}-{when:?}-{number}").to_lowercase();
    (0..count).map(|number| (label(number).replace('-', " "), label(number))).collect()
}

/// Holds up one call of each sort, lets `begin` begin, kills the broker and starts it again.
async fn killed(
    world: &World,
    cloudflare: &Cloudflare,
    sorts: &[Sort],
    when: When,
    begin: impl AsyncFnOnce(),
    broker: &mut kit::process::Process,
) {
    for (_, is_it) in sorts {
        cloudflare.hold(when, *is_it);
    }
    begin().await;
    cloudflare.until_held(sorts.len()).await;
    broker.kill();
    cloudflare.release();
    *broker = world.broker_program().await;
}

async fn all_whole(cloudflare: &Cloudflare, service: &Service, homes: &[(HomeId, String)], what: &str) {
    let began = Instant::now();
    for (home, label) in homes {
        until_state(service, *home, "active").await;
        is_whole(&there(cloudflare, *home, label), 8123)
            .unwrap_or_else(|found| panic!("{what}: {label}: {found}"));
    }
    println!("{what}: {} homes whole {:.1?} after the broker was back", homes.len(), began.elapsed());
}

kit::stories! {
    async fn a_crash_at_any_call_leaves_nothing_half_made(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service("workspace:read smarthome:read smarthome:tunnel").await;
        let mut broker = world.broker_outside().await;
        let mut deleted = 0;
        for when in [When::Before, When::After] {
            let named = names("making", when, MAKING.len());
            let mut homes = Vec::new();
            let begin = async || for (name, label) in &named {
                homes.push((world.owner().add_home(name).await.unwrap(), label.clone()));
            };
            killed(&world, &cloudflare, &MAKING, when, begin, &mut broker).await;
            all_whole(&cloudflare, &service, &homes, &format!("killed {when:?} each call of making")).await;

            let mut before = Vec::new();
            for (home, _) in &homes[..RENEWING.len()] {
                before.push(token(&service, *home).await.1["tunnel_token"].as_str().unwrap().to_owned());
            }
            let begin = async || for (home, _) in &homes[..RENEWING.len()] {
                renew(&world, *home).await;
            };
            killed(&world, &cloudflare, &RENEWING, when, begin, &mut broker).await;
            for ((home, label), before) in homes.iter().zip(&before) {
                let fresh = within(Duration::from_secs(60), "a token that opens", async || {
                    let said = token(&service, *home).await.1["tunnel_token"].as_str().map(str::to_owned);
                    let fresh = said.filter(|token| token != before).ok_or("no other token")?;
                    cloudflare.state().connect(&fresh, "192.0.2.7").map_err(str::to_owned)
                });
                let connector = fresh.await.unwrap();
                cloudflare.state().disconnect(&connector);
                assert_eq!(cloudflare.state().connect(before, "").unwrap_err(), "Unauthorized: Invalid tunnel secret", "{label}");
            }
            all_whole(&cloudflare, &service, &homes, &format!("killed {when:?} each call of renewing")).await;

            for (name, label) in names("more", when, DELETING.len() - MAKING.len()) {
                homes.push((world.owner().add_home(&name).await.unwrap(), label));
            }
            all_whole(&cloudflare, &service, &homes, "two more").await;
            let begin = async || for (home, label) in &homes {
                delete(&world, *home, &label.replace('-', " ")).await;
            };
            killed(&world, &cloudflare, &DELETING, when, begin, &mut broker).await;
            let began = Instant::now();
            for (home, label) in &homes {
                until_gone(&service, *home).await;
                assert!(is_nothing(&there(&cloudflare, *home, label)), "{label}: {:?}", there(&cloudflare, *home, label));
            }
            println!("killed {when:?} each call of deleting: all gone {:.1?} after the broker was back", began.elapsed());
            deleted += homes.len();
        }
        let state = cloudflare.state();
        assert_eq!((state.alive().count(), state.records.len()), (0, 0), "nothing is left over");
        // A tunnel is made once for each home, or once more where the first was never carried out.
        assert_eq!(state.tunnels.len(), deleted, "no tunnel was ever made twice");
        drop(state);
        broker.stop();
    }

    async fn a_home_deleted_while_its_tunnel_is_asked_for_leaves_none(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service("workspace:read smarthome:read").await;
        let mut broker = world.broker_outside().await;
        cloudflare.hold(When::After, MAKING[0].1);
        let home = world.owner().add_home("Attic").await.unwrap();
        cloudflare.until_held(1).await;
        // The tunnel is there, nobody was told, and its owner changes her mind.
        delete(&world, home, "Attic").await;
        broker.kill();
        cloudflare.release();
        broker = world.broker_program().await;
        until_gone(&service, home).await;
        assert!(is_nothing(&there(&cloudflare, home, "attic")));
        assert_eq!(cloudflare.state().tunnels.len(), 1);
        broker.stop();
    }
}
