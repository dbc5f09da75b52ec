//! Trespassing: a link opens one thing and no other, whatever else is asked with it; one account's homes are not
//! there for another. What is refused is refused alike, and nothing of it reaches Home Assistant.

mod attempts;
mod neighbours;

use std::collections::BTreeMap;
use std::time::Duration;

use agent::app::Agent;
use agent::config::Settings;
use kit::agents;
use kit::guest::Guest;
use kit::home_assistant::{Client, Mood, Socket};
use kit::owner::{May, Owner};
use kit::until::PATIENCE;
use kit::world::World;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use shared::id::HomeId;
use tokio::time::timeout;

/// A house with links to some of its things, and another house next door.
pub struct Street {
    porch: Guest,
    porch_to_look_at: Guest,
    gate: Guest,
    lock: Guest,
    sensor: Guest,
    revoked: Guest,
    /// A link to the same gate, of the house next door.
    next_door: Guest,
    cellar: String,
    fence: String,
    entities: BTreeMap<&'static str, String>,
    neighbour: Owner,
    neighbours_home: HomeId,
    neighbours_agent: Agent,
}

/// One attempt, and what it must be told.
struct Attempt {
    what: String,
    request: RequestBuilder,
    told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// 403, in the same words whatever was wrong.
    Refused,
    /// 403 too: the link is good, but another site's page asks with its cookie.
    Forged,
    /// 400: the link is good, the action is none.
    Bad,
    /// 404: there is no such place.
    NotThere,
    /// 405: there is, but not so.
    NotSo,
}

impl Told {
    fn status(self) -> StatusCode {
        match self {
            Self::Refused | Self::Forged => StatusCode::FORBIDDEN,
            Self::Bad => StatusCode::BAD_REQUEST,
            Self::NotThere => StatusCode::NOT_FOUND,
            Self::NotSo => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

kit::stories! {
    async fn a_link_opens_nothing_else(mut world: World) {
        let street = Street::build(&mut world).await;
        let home = world.home().await;
        let mut ear = home.socket().await.unwrap();
        ear.subscribe_events("call_service").await.unwrap();
        let before = street.how_things_stand(&home).await;
        world.tap().forget();

        let attempts = street.attempts(&world);
        println!("{} attempts", attempts.len());
        assert!(attempts.len() >= 60);
        let mut refusal = None;
        for attempt in attempts {
            try_in_vain(&world, attempt, &mut refusal).await;
        }
        let asked = world.tap().down().into_iter().find(|frame| frame.contains(r#""type":"control""#));
        assert_eq!(asked, None, "the agent was asked to switch something");
        assert_eq!(street.services_called(&home, &mut ear).await, Vec::<Value>::new());
        assert_eq!(street.how_things_stand(&home).await, before);

        // A week later every link has lapsed, and says what the others said.
        world.clock().turn(Duration::from_secs(8 * 24 * 3600));
        for guest in [&street.porch, &street.gate, &street.next_door] {
            for attempt in attempts::after_it_ended("lapsed", guest) {
                try_in_vain(&world, attempt, &mut refusal).await;
            }
        }
        assert_eq!(street.how_things_stand(&home).await, before);
        street.end().await;
        world.end().await;
    }

    async fn what_is_asked_beside_the_action_is_not_heard(mut world: World) {
        let street = Street::build(&mut world).await;
        let home = world.home().await;
        let mut ear = home.socket().await.unwrap();
        ear.subscribe_events("call_service").await.unwrap();
        let before = street.how_things_stand(&home).await;
        world.tap().forget();

        let porch = street.entities["porch"].clone();
        let requests = street.with_more_than_an_action();
        let count = requests.len();
        for (what, request) in requests {
            let answer = request.send().await.unwrap();
            let (status, answer) = (answer.status(), answer.json::<Value>().await.unwrap());
            assert_eq!((status, &answer["entity"]["entity_id"]), (StatusCode::OK, &json!(porch)), "{what}: {answer}");
        }
        let controls = world.tap().down().into_iter().filter_map(|frame| serde_json::from_str::<Value>(&frame).ok());
        let controls: Vec<_> = controls.filter(|word| word["type"] == "control").collect();
        assert_eq!(controls.len(), count);
        for mut control in controls {
            control.as_object_mut().unwrap().remove("request");
            assert_eq!(control, json!({"type": "control", "entity_id": porch, "action": "turn_on"}));
        }
        for call in street.services_called(&home, &mut ear).await {
            assert_eq!(call["service_data"], json!({"entity_id": [porch]}), "{call}");
        }
        let mut after = street.how_things_stand(&home).await;
        assert_eq!(after.remove("porch").unwrap().0, "on");
        assert!(after.iter().all(|(name, stands)| before[name] == *stands), "{before:?} {after:?}");
        street.end().await;
        world.end().await;
    }
}

/// Sends it; the answer must be as told, and every refusal like every other.
async fn try_in_vain(world: &World, attempt: Attempt, refusal: &mut Option<(Vec<String>, String)>) {
    let Attempt { what, request, told } = attempt;
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let headers = answer.headers().iter().filter(|(name, _)| *name != "date");
    let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    let body = answer.text().await.unwrap();
    assert_eq!(status, told.status(), "{what}: {body}");
    if told == Told::Refused {
        let first = refusal.get_or_insert_with(|| (headers.clone(), body.clone()));
        assert_eq!(*first, (headers, body), "{what} is refused in other words");
    }
    // Who misses often is told to wait; time passes, so that each attempt meets an open ear.
    world.clock().turn(Duration::from_secs(4));
}

impl Street {
    async fn build(world: &mut World) -> Self {
        world.be_tapped().await;
        let porch = world.device("light", "Porch", Mood::Willing).await;
        let cellar = world.device("light", "Cellar", Mood::Willing).await;
        let gate = world.device("switch", "Gate", Mood::Willing).await;
        let fence = world.device("switch", "Fence", Mood::Willing).await;
        let (lock, sensor) =
            (porch.replace("light.porch", "lock.front"), porch.replace("light.porch", "sensor.hall"));
        let home = world.home().await;
        home.set_state(&lock, "locked", json!({})).await.unwrap();
        home.set_state(&sensor, "21.5", json!({})).await.unwrap();
        world.decree("allow = ['lock.*']");
        let id = world.pair_agent().await;
        let neighbour = world.neighbour().await;
        let settings =
            Settings { data_dir: world.folder().join("agent-next-door"), ..world.agent_settings() };
        agents::pair(&settings, agent::app::How::Browser, &neighbour, "Lake House").await.unwrap();
        let neighbours_agent = agents::start(settings).await.unwrap();
        let neighbours_home = neighbours_agent.status().borrow().home_id;

        let owner = world.owner();
        let share = async |owner: &Owner, home, entity: &str, label, may| {
            Guest::open(&owner.share(home, entity, label, may).await.unwrap()).await.unwrap()
        };
        let street = Self {
            porch: share(owner, id, &porch, "Postman", May::Control).await,
            porch_to_look_at: share(owner, id, &porch, "Aunt", May::View).await,
            gate: share(owner, id, &gate, "Gardener", May::Control).await,
            lock: share(owner, id, &lock, "Insurer", May::View).await,
            sensor: share(owner, id, &sensor, "Plumber", May::View).await,
            revoked: share(owner, id, &porch, "Burglar", May::Control).await,
            next_door: share(&neighbour, neighbours_home, &gate, "Fisher", May::Control).await,
            entities: [
                ("porch", porch),
                ("gate", gate),
                ("cellar", cellar.clone()),
                ("lock", lock),
                ("sensor", sensor),
            ]
            .into(),
            cellar,
            fence,
            neighbour,
            neighbours_home,
            neighbours_agent,
        };
        owner.revoke(id, "Burglar").await.unwrap();
        street
    }

    async fn end(self) {
        self.neighbours_agent.stop().await.unwrap();
    }

    /// State and time of the last change of each thing.
    async fn how_things_stand(&self, home: &Client) -> BTreeMap<&'static str, (String, String)> {
        let mut all = BTreeMap::new();
        for (name, entity) in &self.entities {
            let state = home.state(entity).await.unwrap().unwrap();
            all.insert(*name, (state.state, state.last_changed));
        }
        all
    }

    /// Which services were called so far for anything of ours, or for everything there is. The home may be that
    /// of other stories too.
    async fn services_called(&self, home: &Client, ear: &mut Socket) -> Vec<Value> {
        home.call_service("switch", "turn_on", json!({"entity_id": self.fence})).await.unwrap();
        let mut calls = Vec::new();
        let ours = self.cellar.rsplit('_').next().unwrap();
        let listening = async {
            loop {
                let call = ear.event().await.unwrap()["event"]["data"].take();
                let text = call.to_string();
                if text.contains(&self.fence) {
                    return;
                }
                if text.contains(ours) || text.contains("\"all\"") {
                    calls.push(call);
                }
            }
        };
        timeout(PATIENCE, listening).await.expect("the fence");
        calls
    }
}
