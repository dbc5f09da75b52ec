//! A second broker over a world's database, as there are where one machine is not enough; and other settings.

use std::net::SocketAddr;

use broker::app::Broker;
use broker::clock::Clock;
use broker::config::Settings;

use super::World;

impl World {
    /// Starts a second broker over the same database, at an address of its own.
    pub async fn twin(&self) -> Broker {
        self.twin_with(|_| ()).await
    }

    /// The same, on a machine with another clock.
    pub async fn twin_at(&self, clock: Clock) -> Broker {
        self.start_twin(|_| (), clock).await
    }

    /// The same, with other settings.
    pub async fn twin_with(&self, change: impl FnOnce(&mut Settings)) -> Broker {
        self.start_twin(change, self.clock.clone()).await
    }

    async fn start_twin(&self, change: impl FnOnce(&mut Settings), clock: Clock) -> Broker {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut settings = Settings { listen, ..self.settings.clone() };
        change(&mut settings);
        let started = broker::app::start_at(settings, clock).await;
        started.unwrap_or_else(|err| panic!("start a second broker: {err:#}"))
    }

    /// What the broker is started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the broker is started with the next time.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Starts the broker again with other settings.
    pub async fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        self.stop_broker().await;
        change(&mut self.settings);
        self.start_broker().await;
    }
}
