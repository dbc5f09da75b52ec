//! A world for one story: a broker on its own database, its owner, and, as the story asks for them, a real Home
//! Assistant, an agent and browsers. All of it ends with the story.

pub mod letters;
mod provided;
mod registering;
mod sharing;
mod spoil;
mod twin;

use std::net::SocketAddr;
use std::path::Path;

use agent::app::{Agent, How};
use anyhow::{Context, Result};
use broker::app::Broker;
use broker::clock::Clock;
use broker::config::{Given, Settings};
use shared::id::HomeId;
use tempfile::TempDir;

use crate::browser::Browser;
use crate::home_assistant::{Client, HomeAssistant, Mood};
use crate::owner::{Identity, Owner};
use crate::postgres::{Durability, Postgres};
use crate::process::Process;
use crate::tap::Tap;
use crate::until::until;
use crate::visitor::Visitor;
use crate::{agents, neighbour, programs};

pub use registering::{Registered, workspace_of};

/// Where a world's broker keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file in the world's folder.
    Sqlite,
    /// A database of its own in the tests' cluster.
    Postgres,
}

/// One story's world.
pub struct World {
    settings: Settings,
    clock: Clock,
    broker: Option<Broker>,
    agent: Option<Agent>,
    first_run: String,
    owner: Option<Owner>,
    home: Option<HomeAssistant>,
    paired: Option<HomeId>,
    tap: Option<Tap>,
    // Last, so that they go after those who use them.
    _cluster: Option<Postgres>,
    folder: TempDir,
}

impl World {
    /// Starts a broker on an empty database and makes its first account. Panics when it cannot.
    pub async fn new(database: Database) -> Self {
        let claimed = async {
            let mut world = Self::build(database).await?;
            world.owner = Some(Owner::make_first(&world.first_run, Identity::ada()).await?);
            Ok(world)
        };
        claimed.await.unwrap_or_else(|err: anyhow::Error| panic!("build the world: {err:#}"))
    }

    /// The same, before anybody has made an account: [`World::first_run`] is where the first one is made.
    pub async fn unclaimed(database: Database) -> Self {
        Self::build(database).await.unwrap_or_else(|err| panic!("build the world: {err:#}"))
    }

    async fn build(database: Database) -> Result<Self> {
        crate::install_tls();
        let folder = tempfile::Builder::new().prefix("latchkey-world-").tempdir()?;
        let (url, cluster) = match database {
            Database::Sqlite => (None, None),
            Database::Postgres => {
                let cluster = Postgres::given_or_start(Durability::None)?;
                (Some(cluster.create_database("story")?), Some(cluster))
            }
        };
        let settings = broker_settings(&folder.path().join("broker"), 0, url)?;
        let clock = Clock::new();
        let broker =
            broker::app::start_at(settings.clone(), clock.clone()).await.context("start the broker")?;
        let first_run = broker.first_run.clone().context("a new broker offers a first account")?;
        // Started again, it listens where it listened.
        let settings =
            Settings { listen: broker.address, public_url: broker.site.public_url.clone(), ..settings };
        Ok(Self {
            settings,
            clock,
            broker: Some(broker),
            agent: None,
            first_run,
            owner: None,
            home: None,
            paired: None,
            tap: None,
            _cluster: cluster,
            folder,
        })
    }

    /// The broker's origin, for example `http://localhost:40123`.
    pub fn origin(&self) -> String {
        self.settings.public_url.as_str().trim_end_matches('/').to_owned()
    }

    /// The address that made the first account, or makes it.
    pub fn first_run(&self) -> &str {
        &self.first_run
    }

    /// Where the broker listens.
    pub fn address(&self) -> SocketAddr {
        self.settings.listen
    }

    /// Puts a tap in front of the broker, under a new address; to be done before anything else. What agents say
    /// and hear is then in [`World::tap`].
    pub async fn be_tapped(&mut self) {
        let tap = Tap::start().await.unwrap_or_else(|err| panic!("{err:#}"));
        self.stop_broker().await;
        self.settings.public_url.set_port(Some(tap.address().port())).expect("an address has a port");
        tap.lead_to(self.settings.listen);
        self.tap = Some(tap);
        self.start_broker().await;
        let identity = self.owner().identity.clone();
        let owner = Owner::sign_in(&self.origin(), identity).await;
        self.owner = Some(owner.unwrap_or_else(|err| panic!("{err:#}")));
    }

    /// The tap, after [`World::be_tapped`].
    pub fn tap(&self) -> &Tap {
        self.tap.as_ref().expect("the story has asked for a tap")
    }

    /// Another account's owner, in a workspace of its own.
    pub async fn neighbour(&self) -> Owner {
        let moved_in =
            neighbour::move_in(&self.settings.database, &self.origin(), &self.owner().identity).await;
        moved_in.unwrap_or_else(|err| panic!("a neighbour: {err:#}"))
    }

    /// The broker's clock, to be turned.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The folder with everything of this world.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The owner, signed in.
    pub fn owner(&self) -> &Owner {
        self.owner.as_ref().expect("somebody has claimed this world")
    }

    /// Somebody new without any cookies.
    pub fn stranger(&self) -> Visitor {
        Visitor::new(&self.origin()).expect("the broker's origin is an address")
    }

    /// An empty browser on the broker's pages, in English.
    pub async fn browser(&self) -> Browser {
        Browser::start().await.unwrap_or_else(|err| panic!("{err:#}"))
    }

    /// A browser in which the owner is signed in.
    pub async fn owners_browser(&self) -> Browser {
        let browser = self.browser().await;
        let Identity { email, password, .. } = &self.owner().identity;
        let signing_in = async {
            browser.open(&format!("{}/sign-in", self.origin())).await?;
            browser.fill("input[name=email]", email).await?;
            browser.fill("input[name=password]", password).await?;
            browser.click("form[action='/sign-in'] button").await?;
            browser.find("form[action='/sign-out']").await
        };
        signing_in.await.unwrap_or_else(|err| panic!("sign in: {err:#}"));
        browser
    }

    /// A client of the home, which is started (or found given) the first time.
    pub async fn home(&mut self) -> Client {
        if self.home.is_none() {
            let started = HomeAssistant::for_stories(&self.folder.path().join("home"), tell).await;
            self.home = Some(started.unwrap_or_else(|err| panic!("a Home Assistant: {err:#}")));
        }
        self.home_assistant().client()
    }

    /// The Home Assistant itself, after [`World::home`].
    pub fn home_assistant(&self) -> &HomeAssistant {
        self.home.as_ref().expect("the story has asked for a home")
    }

    /// The Home Assistant itself, to be stopped and killed, after [`World::home`].
    pub fn home_assistant_mut(&mut self) -> &mut HomeAssistant {
        self.home.as_mut().expect("the story has asked for a home")
    }

    /// Takes a Home Assistant of this story's own, which may be restarted and killed.
    pub async fn home_of_its_own(&mut self) -> Client {
        let folder = self.folder.path().join("home");
        let started = async {
            let installed =
                crate::home_assistant::install(&crate::home_assistant::default_cache(), tell).await?;
            HomeAssistant::start(&installed, &folder).await
        };
        self.home = Some(started.await.unwrap_or_else(|err| panic!("a Home Assistant: {err:#}")));
        self.home_assistant().client()
    }

    /// Makes a device of this world's own, switched off. `domain` is `light`, `switch` or `fan`; gives its id.
    pub async fn device(&mut self, domain: &str, name: &str, mood: Mood) -> String {
        // The home may be everybody's, and then so are its names.
        let unique: String = self.folder.path().display().to_string().chars().rev().take(6).collect();
        let slug: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let entity = format!("{domain}.{}_{}", slug, unique).to_lowercase();
        let made = self.home().await.make(&entity, name, mood).await;
        made.unwrap_or_else(|err| panic!("{err:#}"));
        entity
    }

    /// Pairs an agent with a new home (browser flow: no waiting), starts it, and waits until it is online.
    pub async fn pair_agent(&mut self) -> HomeId {
        self.pair_agent_by(How::Browser).await
    }

    /// Pairs an agent by either flow, starts it, and waits until it is online.
    pub async fn pair_agent_by(&mut self, how: How) -> HomeId {
        self.pair_home(how, "Canal House").await
    }

    /// Like [`World::pair_agent_by`], with a home of this name.
    pub async fn pair_home(&mut self, how: How, name: &str) -> HomeId {
        self.home().await;
        let paired = agents::pair(&self.agent_settings(), how, self.owner(), name).await;
        paired.unwrap_or_else(|err| panic!("{err:#}"));
        self.start_agent().await;
        self.home_id()
    }

    /// The settings of this world's agent.
    pub fn agent_settings(&self) -> agent::config::Settings {
        let home = self.home_assistant();
        let settings =
            agents::settings(&self.folder.path().join("agent"), &self.origin(), (home.url(), home.token()));
        settings.expect("the addresses are addresses")
    }

    /// The running agent.
    pub fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("the agent runs")
    }

    /// Starts the paired agent and waits until it is online.
    pub async fn start_agent(&mut self) {
        let started = agents::start(self.agent_settings()).await;
        let agent = started.unwrap_or_else(|err| panic!("start the agent: {err:#}"));
        self.paired = Some(agent.status().borrow().home_id);
        self.agent = Some(agent);
    }

    /// Stops the agent and gives the error with which it had ended by itself, if it had.
    pub async fn stop_agent(&mut self) -> Result<()> {
        self.agent.take().expect("the agent runs").stop().await
    }

    /// The home an agent was paired with.
    pub fn home_id(&self) -> HomeId {
        self.paired.expect("an agent was paired")
    }

    /// The home's own address, for example `http://canal-house.localhost:40123`, without a slash at the end.
    pub fn home_url(&self) -> String {
        let url = self.agent().status().borrow().url.clone();
        url.expect("an online agent knows its address").trim_end_matches('/').to_owned()
    }

    /// Stops the broker; its data stay.
    pub async fn stop_broker(&mut self) {
        self.broker.take().expect("the broker runs").stop().await;
    }

    /// Starts the broker again at the same address with the same data.
    pub async fn start_broker(&mut self) {
        let started = broker::app::start_at(self.settings.clone(), self.clock.clone()).await;
        self.broker = Some(started.unwrap_or_else(|err| panic!("start the broker again: {err:#}")));
    }

    /// Stops the broker in here and starts it as a program of its own, at the same address with the same data.
    pub async fn broker_outside(&mut self) -> Process {
        self.stop_broker().await;
        self.broker_program().await
    }

    /// Starts the broker's program, again if need be, and waits until it can do its work.
    pub async fn broker_program(&self) -> Process {
        let mut program = programs::broker(&self.settings, self.folder.path())
            .unwrap_or_else(|err| panic!("start the broker's program: {err:#}"));
        let scheme = self.settings.public_url.scheme();
        let ready = format!("{scheme}://{}/readyz", self.settings.listen);
        let http = crate::http_client();
        until("the broker's program to be ready", || {
            let alive = program.check();
            let asked = http.get(&ready).send();
            async {
                alive?;
                Ok::<_, anyhow::Error>(asked.await?.error_for_status()?)
            }
        })
        .await;
        program
    }

    /// Stops the agent in here and starts it as a program of its own, with the same memory.
    pub async fn agent_outside(&mut self) -> Process {
        self.stop_agent().await.unwrap_or_else(|err| panic!("the agent had ended: {err:#}"));
        self.agent_program()
    }

    /// Starts the agent's program, again if need be.
    pub fn agent_program(&self) -> Process {
        let program = programs::agent(&self.agent_settings(), self.folder.path());
        program.unwrap_or_else(|err| panic!("start the agent's program: {err:#}"))
    }

    /// Ends everything tidily. A story that does not call it ends less tidily, but leaves nothing either.
    pub async fn end(mut self) {
        if let Some(agent) = self.agent.take() {
            _ = agent.stop().await;
        }
        if let Some(broker) = self.broker.take() {
            broker.stop().await;
        }
    }
}

/// Settings of a broker that keeps all it has in `folder` and listens on a port of loopback (0: any free one).
///
/// # Errors
/// When the settings contradict each other.
pub fn broker_settings(folder: &Path, port: u16, database: Option<String>) -> Result<Settings> {
    let given = Given {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], port))),
        data_dir: Some(folder.to_path_buf()),
        database,
        // The least there is: stories sign in often.
        password_memory_mib: Some(19),
        ..Given::default()
    };
    given.settle(None)
}

fn tell(line: &str) {
    println!("home assistant: {line}");
}

/// Tells each story twice: `sqlite::name` and `postgres::name`.
///
/// ```text
/// kit::stories! {
///     async fn a_guest_sees_the_porch(mut world: World) { … }
/// }
/// ```
#[macro_export]
macro_rules! stories {
    ($($(#[$attribute:meta])* async fn $name:ident($($world:tt)*) $body:block)*) => {
        $(async fn $name($($world)*) $body)*

        mod sqlite {
            $($crate::stories!(@tell Sqlite $(#[$attribute])* $name);)*
        }

        mod postgres {
            $($crate::stories!(@tell Postgres $(#[$attribute])* $name);)*
        }
    };
    (@tell $database:ident $(#[$attribute:meta])* $name:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$attribute])*
        async fn $name() {
            let world = $crate::world::World::new($crate::world::Database::$database).await;
            Box::pin(super::$name(world)).await;
        }
    };
}
