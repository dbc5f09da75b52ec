//! What ends: a home with all that leads into it, and a tunnel's token.

use tracing::{info, warn};

use super::{LOOK, Parts, Tunnels, rows};
use crate::audit::{self, Act, Doer, Entry};
use crate::homes::{self, Home, Owned};
use crate::http::Fault;

impl Tunnels {
    /// Deletes a home (T3). When this returns nothing of it works any more: its address, its links and its agent;
    /// open sockets are closing.
    ///
    /// # Errors
    /// When it could not be written down; then nothing has changed.
    pub async fn delete(&self, home: &Owned, by: &Doer) -> Result<(), Fault> {
        self.0.parts.homes.begin_deleting(home, by).await?;
        self.end(home).await?;
        Ok(self.0.parts.provider.hurry(home.id).await?)
    }

    /// Ends what was begun to be deleted before the broker stopped.
    pub async fn resume(&self) -> Result<(), Fault> {
        for home in self.0.parts.homes.deleting().await? {
            self.end(&home).await?;
        }
        Ok(())
    }

    /// Everything that follows from a home's deleting; again does no harm. One with a tunnel at a provider is gone
    /// when the provider has confirmed that nothing is left of it.
    async fn end(&self, home: &Home) -> Result<(), Fault> {
        let Parts { store, oauth, relay, direct, .. } = &self.0.parts;
        let (home, is_provided) = (home.id, home.domain.is_some());
        self.names().retain(|_, known| *known != home);
        // Nobody can come back since its deleting was begun. The agent hears from the relay why; the end of its
        // grant would only tell it to sign in again.
        relay.forget(home);
        direct.hang_up(home);
        oauth.revoke_home(home).await?;
        if is_provided {
            return Ok(());
        }
        let mut tx = store.begin().await?;
        homes::remove(&mut tx, home).await?;
        tx.commit().await?;
        self.0.board.forget(home);
        info!(home.id = %home, "home deleted");
        Ok(())
    }

    /// Takes a home's tunnel tokens back (T6). They open nothing any more, and what they have opened is hung up:
    /// the agent fetches a new one and dials again by itself.
    ///
    /// # Errors
    /// [`Fault::NotFound`] while the home has no tunnel yet.
    pub async fn renew(&self, home: &Owned, by: &Doer) -> Result<(), Fault> {
        let Parts { store, clock, direct, provider, .. } = &self.0.parts;
        let renewed = Entry::new(Act::HomeRenewed).by(by).within(home.workspace).with("home", home.id);
        if home.domain.is_some() {
            return if provider.renew(home.id, &renewed).await? { Ok(()) } else { Err(Fault::NotFound) };
        }
        let mut tx = store.begin().await?;
        if !rows::forget_tokens(&mut tx, home.id).await? {
            return Err(Fault::NotFound);
        }
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
