//! A second broker over a world's database, as there are where one machine is not enough; and other settings.

use std::net::SocketAddr;

use broker::app::Broker;
use broker::config::Settings;

use super::World;

impl World {
    /// Starts a second broker over the same database, at an address of its own.
    pub async fn twin(&self) -> Broker {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings { listen, ..self.settings.clone() };
        let started = broker::app::start_at(settings, self.clock.clone()).await;
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
