//! Proving: a request goes in from outside, and what comes back is proof that the home's address works, or says
//! what is wrong with it and what to do (T9).

use agent::app::Agent;
use agent::config::Settings;
use anyhow::{Context, Result, ensure};
use kit::origin::Origin;
use kit::process::free_port;
use kit::programs;
use kit::until::until;
use kit::world::World;
use reqwest::StatusCode;
use serde_json::Value;
use shared::id::HomeId;

kit::stories! {
    async fn an_address_that_works_is_proved_by_itself_and_one_that_does_not_is_explained(mut world: World) {
        world.home_of_its_own().await;
        let home = world.pair_agent().await;
        // When its line came up for the first time.
        let found = until_found(&world, home).await;
        assert_eq!((&*found.0, found.1.as_str()), ("proved", ""), "{found:?}");
        assert!(text(&world, home).await.contains("leads to Home Assistant"));

        world.home_assistant_mut().stop().await.unwrap();
        until("home assistant to be seen to be away", || async { origin_is(&world, "down") }).await;
        assert_eq!(check(&world, home).await.0, "origin_down");

        world.home_assistant().trust_proxies(false).unwrap();
        world.home_assistant_mut().start_again().await.unwrap();
        let (finding, detail) = check(&world, home).await;
        assert_eq!((&*finding, &*detail), ("trusted_proxies", "127.0.0.1"));
        let page = text(&world, home).await;
        for line in ["use_x_forwarded_for: true", "  trusted_proxies:", "    - 127.0.0.1", "configuration.yaml"] {
            assert!(page.contains(line), "{line}: {page}");
        }
        // The agent's own doctor says the same where it stands.
        let (well, said) = programs::agents_doctor(&world.agent_settings()).unwrap();
        assert!(!well, "{said}");
        for line in ["WRONG  trusted proxies", "use_x_forwarded_for: true", "    - 127.0.0.1", "ok     home assistant", "ok     pairing"] {
            assert!(said.contains(line), "{line}: {said}");
        }
        // What is for the owner is for nobody else.
        let visitor = kit::http_client().get(format!("{}/manifest.json", world.home_url()));
        let answer = visitor.header("latchkey-proof", "mine").send().await.unwrap();
        assert_eq!((answer.status(), answer.headers().get("latchkey-seen-as")), (StatusCode::BAD_REQUEST, None));

        world.stop_agent().await.unwrap();
        assert_eq!(check(&world, home).await.0, "no_tunnel");

        // What the owner then does by hand.
        world.home_assistant_mut().stop().await.unwrap();
        world.home_assistant().trust_proxies(true).unwrap();
        world.home_assistant_mut().start_again().await.unwrap();
        world.start_agent().await;
        assert_eq!(check(&world, home).await.0, "proved");
        let (well, said) = programs::agents_doctor(&world.agent_settings()).unwrap();
        assert!(well, "{said}");
        // And without an agent beside it, with the tokens themselves; what is wrong is named.
        world.stop_agent().await.unwrap();
        let (well, said) = programs::agents_doctor(&world.agent_settings()).unwrap();
        assert!(well && said.contains("the broker knows this agent"), "{said}");
        let settings = Settings {
            home_assistant_token: Some("nonsense".to_owned().into()),
            ..world.agent_settings()
        };
        let (well, said) = programs::agents_doctor(&settings).unwrap();
        assert!(!well && said.contains("refuses the agent's token"), "{said}");
        world.end().await;
    }

    async fn a_wrong_port_and_a_wrong_program_are_told_apart(mut world: World) {
        let home = world.pair_agent().await;
        until_found(&world, home).await;
        world.stop_agent().await.unwrap();
        let other = Origin::start().await;
        let nobody: url::Url = format!("http://127.0.0.1:{}", free_port().unwrap()).parse().unwrap();
        for (origin, finding) in [(nobody, "origin_down"), (other.url(), "not_home_assistant")] {
            let settings = Settings { home_assistant: origin, ..world.agent_settings() };
            let agent = Agent::start(settings).await.unwrap();
            // The agent knows of its line a moment before the broker does.
            until("the broker to have the line", || async {
                told(&world, home).await.is_ok_and(|told| told["tunnel_status"] == "connected")
            })
            .await;
            assert_eq!(check(&world, home).await.0, finding);
            agent.stop().await.unwrap();
        }
        world.end().await;
    }
}

/// Presses "Check the address"; the finding and its detail.
async fn check(world: &World, home: HomeId) -> (String, String) {
    let owner = &world.owner().visitor;
    // It may just be asked by itself, because its line came up: then whoever presses is told to wait.
    until("nobody else to ask", || async {
        let page = owner.get(&format!("/homes/{home}")).await?.well()?;
        owner.submit(&page, &format!("/homes/{home}/prove"), &[]).await?.well()
    })
    .await;
    found(world, home).await.unwrap()
}

async fn until_found(world: &World, home: HomeId) -> (String, String) {
    until("the home's address to have been asked", || found(world, home)).await
}

/// What the JSON route says of the home.
async fn told(world: &World, home: HomeId) -> Result<Value> {
    let token = {
        let folder = tempfile::tempdir()?;
        std::fs::copy(
            world.agent_settings().data_dir.join("memory.json"),
            folder.path().join("memory.json"),
        )?;
        let memory = agent::memory::Memory::open(folder.path(), agent::config::Keeping::File).await?;
        memory.recall().pairing.and_then(|pairing| pairing.access).context("no token")?.token
    };
    let asked = kit::http_client().get(format!("{}/api/smarthome/homes/{home}", world.origin()));
    let mut answer: Value = asked.bearer_auth(token.expose()).send().await?.json().await?;
    Ok(answer["home"].take())
}

/// And of what asking its address came to.
async fn found(world: &World, home: HomeId) -> Result<(String, String)> {
    let home = told(world, home).await?;
    let proof = &home["proof"];
    ensure!(proof["at"].as_i64().is_some_and(|at| at > 1_700_000_000_000), "{home}");
    assert_eq!(proof["is_proved"].as_bool(), Some(proof["finding"] == "proved"));
    let text = |name: &str| proof[name].as_str().map(str::to_owned).context("a text");
    Ok((text("finding")?, text("detail")?))
}

async fn text(world: &World, home: HomeId) -> String {
    world.owner().visitor.get(&format!("/homes/{home}")).await.unwrap().well().unwrap().text
}

/// Whether the agent sees Home Assistant so.
fn origin_is(world: &World, how: &str) -> bool {
    let status = world.agent().status().borrow().home_assistant;
    (status == shared::relay::HomeAssistantState::Running) == (how == "up")
}
