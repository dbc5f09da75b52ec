//! Supervising: the agent runs `cloudflared` for a home at Cloudflare, and brings it back through whatever befalls
//! it, without an orphan, without a leak and without a lie.

mod breaking;
mod flooding;
mod installing;
mod leaving;
mod refusing;
mod running;
mod standing_in;

use std::time::{Duration, Instant};

use agent::app::{Agent, How, Status};
use agent::config::Settings;
use agent::config::cloudflared::{Cloudflared, Timings};
use anyhow::{Context as _, Result, ensure};
use kit::agents;
use kit::cloudflare::Cloudflare;
use kit::connector::{Connector, Start};
use kit::origin::Origin;
use kit::until::within;
use kit::world::{Database, World};
use shared::id::HomeId;

const PATIENCE: Duration = Duration::from_secs(45);

/// A home at Cloudflare with a paired agent that does not run yet, and a web server where Home Assistant would be.
struct Scene {
    // First, while its folder is there.
    connector: Connector,
    world: World,
    cloudflare: Cloudflare,
    origin: Origin,
    settings: Settings,
    home: HomeId,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Database::Sqlite).await
    }

    async fn with(database: Database) -> Self {
        let mut world = World::new(database).await;
        let cloudflare = world.move_to_cloudflare().await;
        let connector = Connector::install(&world.folder().join("programs"), cloudflare.edge().await);
        let connector = connector.unwrap_or_else(|err| panic!("{err:#}"));
        let origin = Origin::start().await;
        let url = origin.url();
        let settings =
            agents::settings(&world.folder().join("agent"), &world.origin(), (url.as_str(), "no token"));
        let settings = Settings { cloudflared: quick(&connector), ..settings.unwrap() };
        agents::pair(&settings, How::Browser, world.owner(), "Canal House").await.unwrap();
        let page = world.owner().visitor.get("/").await.unwrap().well().unwrap().text;
        let ids = page.split("/homes/").skip(1);
        let mut ids = ids.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        let home: HomeId = ids.next().expect("the dashboard shows the home");
        let path = format!("/homes/{home}");
        let page = world.owner().visitor.get(&path).await.unwrap();
        let port = origin.addr.port().to_string();
        let fields = [("name", "Canal House"), ("port", port.as_str())];
        world
            .owner()
            .visitor
            .submit(&page, &format!("{path}/settings"), &fields)
            .await
            .unwrap()
            .well()
            .unwrap();
        let scene = Self { world, cloudflare, connector, origin, settings, home };
        scene.until("the tunnel to lead to the origin", async || scene.leads_to(&port)).await;
        // A tunnel this old is known everywhere.
        scene.cloudflare.state().lag = Duration::ZERO;
        scene
    }

    fn leads_to(&self, port: &str) -> Result<()> {
        let state = self.cloudflare.state();
        let tunnel = state.alive().next().context("no tunnel")?;
        let (_, config) = tunnel.config.as_ref().context("no configuration")?;
        ensure!(config["ingress"][0]["service"] == format!("http://localhost:{port}"), "{config}");
        Ok(())
    }

    /// Waits; how long that took.
    async fn until<T>(&self, what: &str, condition: impl AsyncFn() -> Result<T>) -> (T, Duration) {
        let began = Instant::now();
        let found = within(PATIENCE, what, || condition()).await;
        let found =
            found.unwrap_or_else(|missing| panic!("{missing}; the diary: {:#?}", self.connector.diary()));
        (found, began.elapsed())
    }

    /// Starts the agent in here.
    async fn start(&self) -> Agent {
        Agent::start(self.settings.clone()).await.unwrap_or_else(|err| panic!("start the agent: {err:#}"))
    }

    /// Lets time pass in which something must not happen.
    async fn until_past(&self, moment: Instant) {
        let past = async || {
            ensure!(Instant::now() >= moment);
            Ok(())
        };
        self.until("time to pass", past).await;
    }

    /// Waits until the edge has a connector.
    async fn until_connected(&self) -> Duration {
        self.until("somebody to be connected", async || self.connected()).await.1
    }

    /// Waits until it has none.
    async fn until_alone(&self) {
        let alone = async || {
            ensure!(self.connected().is_err());
            Ok(())
        };
        self.until("nobody to be connected", alone).await;
    }

    fn connected(&self) -> Result<()> {
        let state = self.cloudflare.state();
        ensure!(state.alive().any(|tunnel| !tunnel.connectors.is_empty()), "nobody came");
        Ok(())
    }

    /// Waits until an agent says that its tunnel is up.
    async fn until_up(&self, agent: &Agent) -> Duration {
        self.until("the tunnel to be up", async || says(agent, |now| now.tunnel_connected)).await.1
    }

    /// Waits until an agent gives this reason for having no tunnel, or a bad one.
    async fn until_reason(&self, agent: &Agent, words: &str) -> Duration {
        let reason = |now: &Status| now.tunnel_reason.as_ref().is_some_and(|reason| reason.contains(words));
        self.until(&format!("the reason {words:?}"), async || says(agent, reason)).await.1
    }

    /// Waits for the start after so many.
    async fn until_start(&self, after: usize) -> Start {
        let next = async || self.connector.starts().get(after).cloned().context("not started again");
        self.until("the next start", next).await.0
    }

    /// The one that runs.
    fn running(&self) -> u32 {
        let running = self.connector.running();
        assert_eq!(running.len(), 1, "one runs: {running:?}");
        running[0]
    }

    /// Waits until no stand-in runs.
    async fn until_none(&self) -> Duration {
        let none = async || {
            let running = self.connector.running();
            ensure!(running.is_empty(), "{running:?} run");
            Ok(())
        };
        self.until("no cloudflared to run", none).await.1
    }

    async fn end(self, agent: Agent) {
        agent.stop().await.unwrap();
        self.until_none().await;
        self.world.end().await;
    }
}

fn says(agent: &Agent, is: impl Fn(&Status) -> bool) -> Result<()> {
    let now = agent.status().borrow().clone();
    ensure!(is(&now), "{now:?}");
    Ok(())
}

/// What takes seconds in a house takes parts of them here.
fn quick(connector: &Connector) -> Cloudflared {
    let timings = Timings {
        startup: Duration::from_secs(3),
        look: Duration::from_millis(200),
        quic: Duration::from_secs(1),
        grace: Duration::from_millis(500),
        flood: Duration::from_secs(2),
        longest_wait: Duration::from_secs(1),
    };
    Cloudflared { program: Some(connector.program().to_owned()), timings, ..Cloudflared::default() }
}
