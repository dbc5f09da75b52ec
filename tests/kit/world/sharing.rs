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
}
