//! Taking over: a second agent is paired with a home that has one. Nobody loses theirs by mistake, nobody fights,
//! and the home keeps its address (T8).

use std::path::Path;

use agent::app::{Agent, How};
use agent::config::{Keeping, Settings};
use agent::memory::Memory;
use agent::relay::Over;
use anyhow::{Result, ensure};
use futures_util::StreamExt;
use kit::agents;
use kit::owner::Owner;
use kit::until::{until, within};
use kit::visitor::{Page, Visitor};
use kit::world::World;
use reqwest::StatusCode;
use shared::relay::{PATH, close};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const LAMP: &str = "light.bed_light";

kit::stories! {
    async fn a_second_agent_takes_over_when_its_owner_says_so_twice(mut world: World) {
        let home = world.pair_agent().await;
        let (url, machine) = (world.home_url(), machine());
        let link = world.owner().share(home, LAMP, "Guest", kit::owner::May::View).await.unwrap();
        let second = another(&world, "second");
        let owner = &world.owner().visitor;
        let first = world.agent().status();
        until_written(&world, "up").await;
        agents::pair_when(&second, How::Browser, |shown| async move {
            let page = owner.get(&shown).await?.well()?;
            ensure!(page.text.contains("is connected") && page.text.contains(&machine), "{}", page.text);
            // Whoever says it for another home has not said it for this one.
            for take_over in ["", "12345"] {
                let fields = [("home", &*home.to_string()), ("decision", "allow"), ("take_over", take_over)];
                let asked = choose(owner, &page, "/oauth2/authorize", &fields).await?.well()?;
                ensure!(asked.text.contains("Take over?") && asked.text.contains(&machine), "{}", asked.text);
                ensure!(first.borrow().broker_connected, "nothing was decided yet");
            }
            let asked = choose(owner, &page, "/oauth2/authorize", &[("home", &*home.to_string()), ("decision", "allow")]).await?;
            choose(owner, &asked, "/oauth2/authorize", &[("decision", "allow")]).await?.well().map(drop)
        })
        .await
        .unwrap();

        within(agents_patience(), "the first agent to end", || async { tokio::time::timeout(std::time::Duration::from_millis(50), world.agent().ended()).await.is_ok() })
            .await
            .unwrap();
        until("its status to say why", || async {
            let said = world.agent().status().borrow().broker_reason.clone();
            ensure!(said.as_ref().is_some_and(|said| said.contains("took over")), "{said:?}");
            Ok(())
        })
        .await;
        let ended = world.stop_agent().await.unwrap_err();
        assert_eq!(ended.downcast_ref(), Some(&Over::TakenOver), "{ended:#}");
        assert_eq!(agent::app::exit_code(&ended), 3);

        let agent = agents::start(second).await.unwrap();
        let status = agent.status().borrow().clone();
        assert_eq!((status.home_id, status.url.as_deref().map(|url| url.trim_end_matches('/'))), (home, Some(&*url)));
        let page = world.stranger().get(&format!("{url}/manifest.json")).await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "the address leads to the new one");
        assert_eq!(world.stranger().get(&link).await.unwrap().status, StatusCode::OK, "what is shared stays shared");

        // The first one started again says so and stays away; the second is not disturbed.
        let back = Agent::start(world.agent_settings()).await.unwrap();
        until("the first agent to give up", || async { tokio::time::timeout(std::time::Duration::from_millis(50), back.ended()).await.is_ok() }).await;
        assert_eq!(back.stop().await.unwrap_err().downcast_ref(), Some(&Over::MustPair));
        assert!(agent.status().borrow().broker_connected);
        agent.stop().await.unwrap();
        world.end().await;
    }

    async fn a_home_whose_agent_is_away_is_paired_again_when_its_owner_says_so_twice(mut world: World) {
        let home = world.pair_agent().await;
        let (url, machine) = (world.home_url(), machine());
        until("the broker to notice", || async { world.number("SELECT COUNT(*) FROM oauth_grant WHERE machine IS NOT NULL").await == 1 }).await;
        until_written(&world, "up").await;
        world.stop_agent().await.unwrap();
        until_written(&world, "down").await;
        // A broker that has only just started knows it, too.
        world.stop_broker().await;
        world.start_broker().await;
        let owner = &world.owner().visitor;
        let second = another(&world, "reinstalled");
        agents::pair_when(&second, How::Device, |code| async move {
            let page = owner.get("/device").await?.well()?;
            let page = owner.submit(&page, "/device", &[("user_code", &code)]).await?.well()?;
            ensure!(page.text.contains("its agent is away") && page.text.contains(&machine), "{}", page.text);
            let asked = choose(owner, &page, "/device", &[("home", &home.to_string()), ("decision", "allow")]).await?.well()?;
            for says in ["an agent, which is away", "Take over?", &machine] {
                ensure!(asked.text.contains(says), "{says} in {}", asked.text);
            }
            choose(owner, &asked, "/device", &[("decision", "allow")]).await?.well().map(drop)
        })
        .await
        .unwrap();
        let agent = agents::start(second).await.unwrap();
        let status = agent.status().borrow().clone();
        assert_eq!((status.home_id, status.url.as_deref().map(|url| url.trim_end_matches('/'))), (home, Some(&*url)));
        agent.stop().await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM oauth_grant WHERE revoked_why = 'taken-over'").await, 1);
        world.end().await;
    }

    async fn another_broker_asks_before_a_home_is_taken_over_too(mut world: World) {
        let home = world.pair_agent().await;
        let machine = machine();
        until_written(&world, "up").await;
        let twin = world.twin_with(|settings| settings.public_url = "http://localhost:0".parse().unwrap()).await;
        let owner = Owner::sign_in(&twin.site.origin(), world.owner().identity.clone()).await.unwrap().visitor;
        let second = Settings { broker: Some(twin.site.public_url.clone()), ..another(&world, "second") };
        let owner = &owner;
        agents::pair_when(&second, How::Device, |code| async move {
            let page = owner.get("/device").await?.well()?;
            let page = owner.submit(&page, "/device", &[("user_code", &code)]).await?.well()?;
            let asked = choose(owner, &page, "/device", &[("home", &home.to_string()), ("decision", "allow")]).await?.well()?;
            for says in ["is connected from", "Take over?", &machine] {
                ensure!(asked.text.contains(says), "{says} in {}", asked.text);
            }
            choose(owner, &asked, "/device", &[("decision", "allow")]).await?.well().map(drop)
        })
        .await
        .unwrap();
        within(agents_patience(), "the first agent to end", || async { tokio::time::timeout(std::time::Duration::from_millis(50), world.agent().ended()).await.is_ok() })
            .await
            .unwrap();
        assert_eq!(world.stop_agent().await.unwrap_err().downcast_ref(), Some(&Over::TakenOver));
        twin.stop().await;
        world.end().await;
    }

    async fn who_is_taken_over_is_told_4409_and_by_a_code_that_is_asked_twice(mut world: World) {
        let home = world.pair_agent().await;
        // The same pairing used twice: the later one stays, and the earlier says so and waits its turn.
        let token = access_token(&world.agent_settings().data_dir).await;
        let mut twin = dial(&world, &token).await;
        until("the agent to say that another took its place", || async {
            let said = world.agent().status().borrow().broker_reason.clone();
            ensure!(said.as_ref().is_some_and(|said| said.contains("took its place")), "{said:?}");
            Ok(())
        })
        .await;
        twin.send_hello().await;
        let owner = &world.owner().visitor;
        until("the broker to know the twin", || async {
            let page = owner.get(&format!("/homes/{home}")).await?.well()?;
            ensure!(page.text.contains("twin-of-a-pi"), "its page names another machine");
            Ok(())
        })
        .await;
        until("its machine to be written down", || async { world.number("SELECT COUNT(*) FROM oauth_grant WHERE machine = 'twin-of-a-pi'").await == 1 }).await;
        agents::pair_when(&another(&world, "second"), How::Device, |code| async move {
            let page = owner.get("/device").await?.well()?;
            let page = owner.submit(&page, "/device", &[("user_code", &code)]).await?.well()?;
            let asked = choose(owner, &page, "/device", &[("home", &home.to_string()), ("decision", "allow")]).await?.well()?;
            ensure!(asked.text.contains("Take over?") && asked.text.contains("twin-of-a-pi"), "{}", asked.text);
            choose(owner, &asked, "/device", &[("decision", "allow")]).await?.well().map(drop)
        })
        .await
        .unwrap();
        assert_eq!(twin.code().await, Some(close::REPLACED));
        world.end().await;
    }
}

/// Waits until it is written down that the home's agent is `up` or `down`, for every broker to read.
async fn until_written(world: &World, state: &str) {
    let written = within(agents_patience() * 2, "the agent's hop to be written down", || async {
        let up = world.number("SELECT COUNT(*) FROM hop WHERE hop = 'agent' AND state = 'up'").await;
        up == i64::from(state == "up")
    });
    written.await.unwrap_or_else(|missing| panic!("{missing}"));
}

/// Settings of another agent beside the same Home Assistant.
fn another(world: &World, folder: &str) -> Settings {
    Settings { data_dir: world.folder().join(folder), ..world.agent_settings() }
}

fn machine() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

fn agents_patience() -> std::time::Duration {
    std::time::Duration::from_secs(20)
}

/// Sends the page's form with what the owner chose, whatever the answer is.
async fn choose(owner: &Visitor, page: &Page, action: &str, fields: &[(&str, &str)]) -> Result<Page> {
    owner.submit(page, action, fields).await
}

async fn access_token(memory: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    // The running agent keeps its own locked.
    std::fs::copy(memory.join("memory.json"), folder.path().join("memory.json")).unwrap();
    let memory = Memory::open(folder.path(), Keeping::File).await.unwrap().recall();
    memory.pairing.unwrap().access.unwrap().token.expose().to_owned()
}

/// An agent's socket alone.
struct Twin(tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>);

async fn dial(world: &World, token: &str) -> Twin {
    let mut request = format!("ws://{}{PATH}", world.address()).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let host = world.origin().trim_start_matches("http://").parse().unwrap();
    request.headers_mut().insert("host", host);
    let socket = tokio::net::TcpStream::connect(world.address()).await.unwrap();
    Twin(tokio_tungstenite::client_async(request, socket).await.unwrap().0)
}

impl Twin {
    async fn send_hello(&mut self) {
        let hello = r#"{"type":"hello","version":"0.1.0","machine":"twin-of-a-pi"}"#;
        futures_util::SinkExt::send(&mut self.0, Message::text(hello)).await.unwrap();
    }

    /// The code with which the broker closes it.
    async fn code(&mut self) -> Option<u16> {
        let closing = async {
            while let Some(message) = self.0.next().await {
                if let Ok(Message::Close(frame)) = message {
                    return frame.map(|frame| frame.code.into());
                }
            }
            None
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), closing).await.expect("it is closed in time")
    }
}
