//! Ending: what is taken back ends within a second, also where it is open.

use std::time::{Duration, Instant};

use agent::config::Keeping;
use agent::memory::{Memory, Pairing};
use futures_util::future::join_all;
use kit::guest::{Guest, Live, Watching};
use kit::home_assistant::Mood;
use kit::owner::May;
use kit::programs;
use kit::until::{PATIENCE, until};
use kit::world::World;
use reqwest::StatusCode;
use shared::oauth::path;
use shared::relay::close;
use tokio::time::timeout;

use super::ask;

const PROMISE: Duration = Duration::from_secs(1);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

kit::stories! {
    async fn a_revoked_link_ends_where_it_is_open(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        let home = world.pair_agent().await;
        let (guest, mut sockets) = opened(&world.share(&porch, May::View).await).await;
        let (other, mut others) = opened(&world.share(&porch, May::Control).await).await;
        let page = world.owner().visitor.get(&format!("/homes/{home}")).await.unwrap();
        // The newest link stands first; the other guest's is the older one.
        let revoke = page.forms().filter(|form| form.action.ends_with("/revoke")).last().unwrap();
        let fields: Vec<_> = revoke.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

        let began = Instant::now();
        let revoking = async { world.owner().visitor.post(&revoke.action, &fields).await.unwrap().status };
        let (status, ended) = tokio::join!(revoking, all_closed(&mut sockets, began));
        assert_eq!(status, StatusCode::SEE_OTHER);
        println!("revoked; {} sockets closed within {ended:.1?}", sockets.len());
        assert!(ended < PROMISE);
        assert_eq!(guest.state().await.unwrap().0, StatusCode::FORBIDDEN);

        // The other link did not even blink.
        assert_eq!(other.control("turn_on").await.unwrap().0, StatusCode::OK);
        for live in &mut others {
            timeout(PATIENCE, live.until_state("on")).await.unwrap().unwrap();
        }
        world.end().await;
    }

    async fn a_lapsed_link_ends_where_it_is_open(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;
        let (guest, mut sockets) = opened(&world.share(&porch, May::View).await).await;
        world.clock().turn(WEEK - Duration::from_secs(60));
        assert_eq!(guest.state().await.unwrap().0, StatusCode::OK, "a minute before its end");
        world.clock().turn(Duration::from_secs(60));
        let ended = all_closed(&mut sockets, Instant::now()).await;
        println!("lapsed; {} sockets closed within {ended:.1?}", sockets.len());
        assert!(ended < PROMISE);
        assert_eq!(guest.state().await.unwrap().0, StatusCode::FORBIDDEN);
        world.end().await;
    }

    async fn an_agent_whose_grant_was_revoked_is_out(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;
        let page = Watching::start(Guest::open(&world.share(&porch, May::View).await).await.unwrap());
        until("the page", || async { page.shown().online }).await;
        let (agent, home_url) = (world.agent().status(), world.home_url());
        until("the tunnel", || async { agent.borrow().tunnel_connected }).await;
        let pairing = pairing(&world).await;

        let began = Instant::now();
        let token = [("token", pairing.refresh_token.expose())];
        let revoking = ask(&world, path::REVOKE, &token);
        let relay = async {
            until("the relay's socket to close", || async { !agent.borrow().broker_connected }).await;
            began.elapsed()
        };
        let tunnel = async {
            until("the tunnel to close", || async { !agent.borrow().tunnel_connected }).await;
            began.elapsed()
        };
        let away = async {
            until("the page to say so", || async { !page.shown().online }).await;
            began.elapsed()
        };
        let (answer, relay, tunnel, away) = tokio::join!(revoking, relay, tunnel, away);
        assert_eq!(answer.unwrap().0, StatusCode::OK);
        println!("grant revoked; relay closed within {relay:.1?}, tunnel within {tunnel:.1?}, guests told within {away:.1?}");
        assert!(relay < PROMISE && tunnel < PROMISE && away < PROMISE);
        let visitor = world.stranger();
        assert!(!visitor.get(&format!("{home_url}/manifest.json")).await.unwrap().status.is_success());
        timeout(PATIENCE, world.agent().ended()).await.expect("an agent that is out ends");
        let said = world.stop_agent().await.unwrap_err().to_string();
        assert!(said.contains("pair it again"), "{said}");
        world.end().await;
    }

    async fn an_agent_that_logs_out_leaves_nothing_that_opens(mut world: World) {
        let home = world.pair_agent().await;
        let Pairing { refresh_token, access, tunnel_token, .. } = pairing(&world).await;
        let mut agent = world.agent_outside().await;
        let broker = world.owner();
        let lights = async || broker.visitor.get(&format!("/homes/{home}/status")).await.unwrap().json().unwrap();
        until("the agent's program to be there", || async { lights().await["online"] == true }).await;
        agent.stop();
        programs::log_out(&world.agent_settings()).unwrap();
        assert_eq!(lights().await["online"], false);

        let (status, answer) = ask(&world, path::TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())]).await.unwrap();
        assert_eq!((status, answer["error"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid_grant")));
        let tokens = [
            (format!("/api/smarthome/homes/{home}"), access.unwrap().token),
            (shared::relay::PATH.to_owned(), refresh_token),
            (shared::tunnel::DIRECT_PATH.to_owned(), tunnel_token.unwrap()),
        ];
        for (path, token) in tokens {
            let request = kit::http_client().get(format!("{}{path}", world.origin())).bearer_auth(token.expose());
            assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
        }
        let memory = Memory::open(&world.agent_settings().data_dir, Keeping::File).await.unwrap();
        assert!(memory.recall().pairing.is_none(), "and here it is forgotten too");
        world.end().await;
    }
}

/// A guest whose page is open twenty times.
pub async fn opened(link: &str) -> (Guest, Vec<Live>) {
    let guest = Guest::open(link).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut live = guest.live().await.unwrap();
        timeout(PATIENCE, live.until_state("off")).await.expect("how it stands").unwrap();
        sockets.push(live);
    }
    (guest, sockets)
}

/// Until every socket was closed because its link ended.
pub async fn all_closed(sockets: &mut [Live], began: Instant) -> Duration {
    for code in join_all(sockets.iter_mut().map(|live| timeout(PATIENCE, live.until_closed()))).await {
        assert_eq!(code.expect("the socket closes"), Some(close::REVOKED));
    }
    began.elapsed()
}

/// What an agent remembers, once all of it is there: the tunnel's token comes a moment after the pairing.
pub async fn pairing(world: &World) -> Pairing {
    until("the agent to remember its tunnel's token", || async {
        let memory = Memory::open(&world.agent_settings().data_dir, Keeping::File).await.unwrap();
        memory.recall().pairing.filter(|pairing| pairing.tunnel_token.is_some())
    })
    .await
}
