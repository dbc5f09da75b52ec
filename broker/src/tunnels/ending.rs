//! What ends: a home with all that leads into it, and a tunnel's token.

use shared::id::HomeId;
use tracing::{info, warn};

use super::{LOOK, Parts, Tunnels, rows};
use crate::audit::{self, Act, Doer, Entry};
use crate::homes::Owned;
use crate::http::Fault;

impl Tunnels {
    /// Deletes a home (T3). When this returns nothing of it works any more: its address, its links and its agent;
    /// open sockets are closing.
    ///
    /// # Errors
    /// When it could not be written down; then nothing has changed.
    pub async fn delete(&self, home: &Owned, by: &Doer) -> Result<(), Fault> {
        self.0.parts.homes.begin_deleting(home, by).await?;
        self.end(home.id).await
    }

    /// Ends what was begun to be deleted before the broker stopped.
    pub async fn resume(&self) -> Result<(), Fault> {
        for home in self.0.parts.homes.deleting().await? {
            self.end(home.id).await?;
        }
        Ok(())
    }

    /// Everything that follows from a home's deleting; again does no harm.
    async fn end(&self, home: HomeId) -> Result<(), Fault> {
        let Parts { homes, oauth, relay, direct, .. } = &self.0.parts;
        self.names().retain(|_, known| *known != home);
        // Nobody can come back since its deleting was begun. The agent hears from the relay why; the end of its
        // grant would only tell it to sign in again.
        relay.forget(home);
        direct.hang_up(home);
        oauth.revoke_home(home).await?;
        homes.remove(home).await?;
        info!(home.id = %home, "home deleted");
        Ok(())
    }

    /// Takes a home's tunnel tokens back (T6). They open nothing any more, and what they have opened is hung up:
    /// the agent fetches a new one and dials again by itself.
    ///
    /// # Errors
    /// [`Fault::NotFound`] while the home has no tunnel yet.
    pub async fn renew(&self, home: &Owned, by: &Doer) -> Result<(), Fault> {
        let Parts { store, clock, direct, .. } = &self.0.parts;
        let mut tx = store.begin().await?;
        if !rows::forget_tokens(&mut tx, home.id).await? {
            return Err(Fault::NotFound);
        }
        let renewed = Entry::new(Act::HomeRenewed).by(by).within(home.workspace).with("home", home.id);
        audit::note(&mut tx, &renewed, clock.now()).await?;
        tx.commit().await?;
        direct.hang_up(home.id);
        info!(home.id = %home.id, "tunnel token renewed");
        Ok(())
    }

    /// [`Tunnels::resume`], again and again: a database that did not answer in the middle leaves something to do.
    pub async fn keep_resuming(&self) {
        loop {
            if let Err(fault) = self.resume().await {
                warn!("end what was being deleted: {fault}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
