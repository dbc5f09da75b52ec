//! A home's later life: another name, and its end.
//!
//! Deleting is a state before it is an absence: once it is on disk nothing of the home works any more, and what
//! must still be done elsewhere (at the tunnel's provider) is done after a crash, too.

use super::{Home, Homes, Owned, checked, rows};
use crate::audit::{self, Act, Doer, Entry};
use crate::http::Fault;

impl Homes {
    /// Gives a home another name and port. Its address stays: links and bookmarks lead there.
    ///
    /// # Errors
    /// [`Fault::Bad`] for a name or port that cannot be one.
    pub async fn change(&self, home: &Owned, name: &str, ha_port: u16, by: &Doer) -> Result<(), Fault> {
        let name = checked(name, ha_port)?;
        let mut tx = self.store.begin().await?;
        rows::change(&mut tx, home.id, name, ha_port).await?;
        let changed = about(Act::HomeChanged, home, by).with("name", name).with("port", ha_port);
        audit::note(&mut tx, &changed, self.clock.now()).await?;
        tx.commit().await?;
        self.wanted.notify_one();
        Ok(())
    }

    /// Begins to delete a home. From here on its name, its links and its agent open nothing; again does no harm.
    pub async fn begin_deleting(&self, home: &Owned, by: &Doer) -> Result<(), Fault> {
        let mut tx = self.store.begin().await?;
        if rows::begin_deleting(&mut tx, home.id).await? {
            audit::note(&mut tx, &about(Act::HomeDeleted, home, by), self.clock.now()).await?;
        }
        tx.commit().await?;
        self.wanted.notify_one();
        Ok(())
    }

    /// Homes whose deleting was begun.
    pub async fn deleting(&self) -> Result<Vec<Home>, Fault> {
        Ok(rows::deleting(&mut *self.store.read().await?).await?)
    }
}

fn about(act: Act, home: &Owned, by: &Doer) -> Entry {
    Entry::new(act).by(by).within(home.workspace).with("home", home.id)
}
