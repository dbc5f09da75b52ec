//! A world whose homes are at Cloudflare: at the simulator of its API.

use std::path::Path;

use broker::config::read_cloudflare;
use reqwest::StatusCode;
use shared::id::HomeId;

use super::World;
use crate::cloudflare::Cloudflare;
use crate::owner::Owner;

impl World {
    /// From now on new homes of this world are at a Cloudflare, under `homes.example`.
    pub async fn move_to_cloudflare(&mut self) -> Cloudflare {
        let there = Cloudflare::start("homes.example").await;
        let list = there.write_accounts(self.folder.path()).unwrap_or_else(|err| panic!("{err}"));
        self.set_cloudflare(&list);
        self.stop_broker().await;
        self.start_broker().await;
        there
    }

    fn set_cloudflare(&mut self, list: &Path) {
        self.settings.cloudflare = read_cloudflare(list).unwrap_or_else(|err| panic!("{err:#}"));
    }
}

impl Owner {
    /// Adds a home on the dashboard, without an agent.
    ///
    /// # Errors
    /// When the broker refuses; its page is in the text.
    pub async fn add_home(&self, name: &str) -> anyhow::Result<HomeId> {
        let page = self.visitor.get("/").await?.well()?;
        let sent = self.visitor.submit(&page, "/homes", &[("name", name), ("port", "8123")]).await?;
        anyhow::ensure!(sent.status == StatusCode::OK, "{sent:?}");
        let home = sent.url.path().strip_prefix("/homes/").and_then(|id| id.parse().ok());
        home.ok_or_else(|| anyhow::anyhow!("no home's page: {}", sent.url))
    }
}
