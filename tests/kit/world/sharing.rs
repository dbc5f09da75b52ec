//! What is shared of the paired home.

use super::World;
use crate::owner::May;

impl World {
    /// Shares an entity for a week and gives the link's address.
    pub async fn share(&self, entity: &str, may: May) -> String {
        let shared = self.owner().share(self.home_id(), entity, &format!("For {entity}"), may).await;
        shared.unwrap_or_else(|err| panic!("share {entity}: {err:#}"))
    }

    /// Revokes the link that [`World::share`] made.
    pub async fn revoke(&self, entity: &str) {
        let revoked = self.owner().revoke(self.home_id(), &format!("For {entity}")).await;
        revoked.unwrap_or_else(|err| panic!("revoke {entity}: {err:#}"));
    }

    /// Writes the policy of this world's agent, whether it runs or is yet to be paired.
    pub fn decree(&self, policy: &str) {
        let path = self.agent_settings().policy;
        let folder = path.parent().expect("a file lies in a folder");
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, policy));
        written.unwrap_or_else(|err| panic!("write {}: {err}", path.display()));
    }
}
