//! Registered clients' life: registered, given a new secret, switched off and on, removed.
//!
//! A secret is shown once and stored as a hash (O5). A rotation leaves the old one good for a while, so that a
//! program can be told the new one without an outage (TK-32). A client that is off is off at once: each request
//! reads it anew (TK-33).

mod pages;

use std::time::Duration;

use shared::id::{GrantId, WorkspaceId};
use shared::secret::Secret;
use tracing::info;

use super::client::Client;
use super::client::registration::{Registration, Unfit};
use super::client::rows;
use crate::audit::{self, Act, Doer, Entry};
use crate::chance::{self, Kind};
use crate::clock::{Clock, Timestamp};
use crate::http::Fault;
use crate::store::{Store, Tx};

pub use super::client::rows::Listed;

/// How long an old secret stays good after a rotation, unless said otherwise; and the longest that may be said.
pub const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// See [`OVERLAP`].
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many clients a workspace may have.
const MOST: i64 = 100;

/// The register of clients.
#[derive(Clone)]
pub struct Clients {
    store: Store,
    clock: Clock,
}

/// A client that was just registered.
#[derive(Debug)]
pub struct Registered {
    /// The client.
    pub client: Client,
    /// Its secret, for this once; none for a public client.
    pub secret: Option<Secret>,
}

/// Why a client was not registered.
#[derive(Debug)]
pub enum NotRegistered {
    /// It may not be registered like this.
    Unfit(Unfit),
    /// There is one of that id.
    Taken,
    /// The workspace has as many as it may have.
    Many,
    /// Anything else.
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for NotRegistered {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

impl Clients {
    /// The register in a store.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Registers a client.
    ///
    /// # Errors
    /// What is wrong with it, or that there is no room.
    pub async fn add(&self, wanted: Registration, by: &Doer) -> Result<Registered, NotRegistered> {
        let client = wanted.check().map_err(NotRegistered::Unfit)?;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if let Some(workspace) = client.workspace
            && rows::count(&mut tx, workspace).await? >= MOST
        {
            return Err(NotRegistered::Many);
        }
        if !rows::add(&mut tx, &client, now).await? {
            return Err(NotRegistered::Taken);
        }
        let secret = client.is_confidential.then(|| chance::token(Kind::Client));
        if let Some(secret) = &secret {
            rows::add_secret(&mut tx, &client.id, &chance::hash(secret.expose()), now).await?;
        }
        note(&mut tx, &client, "registered", by, now).await?;
        tx.commit().await?;
        info!(client = client.id, kind = client.kind.word(), workspace = ?client.workspace, "a client is registered");
        Ok(Registered { client, secret })
    }

    /// All clients, or those of a workspace, by name.
    pub async fn list(&self, of: Option<WorkspaceId>) -> Result<Vec<Listed>, Fault> {
        Ok(rows::list(&mut *self.store.read().await?, of, None).await?)
    }

    /// A client with the times of its secrets.
    pub async fn find(&self, id: &str) -> Result<Option<Listed>, Fault> {
        Ok(rows::list(&mut *self.store.read().await?, None, Some(id)).await?.pop())
    }

    /// Gives a confidential client a new secret; those it has are good for `overlap` more. `None` when it is not
    /// there or keeps none.
    pub async fn rotate(&self, id: &str, overlap: Duration, by: &Doer) -> Result<Option<Secret>, Fault> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let held = rows::hold(&mut tx, id).await?.filter(|client| client.is_confidential);
        let Some(client) = held else { return Ok(None) };
        let secret = chance::token(Kind::Client);
        rows::retire_secrets(&mut tx, id, now.after(overlap.min(LONGEST_OVERLAP))).await?;
        rows::forget_secrets(&mut tx, id, now).await?;
        rows::add_secret(&mut tx, id, &chance::hash(secret.expose()), now).await?;
        note(&mut tx, &client, "new secret", by, now).await?;
        tx.commit().await?;
        info!(client = id, overlap_seconds = overlap.as_secs(), "a client has a new secret");
        Ok(Some(secret))
    }

    /// Switches a client off or on; the grants that are open, or `None` when it is not there. What the person
    /// granted before comes back with it: switching off is no revocation.
    pub async fn set_disabled(
        &self,
        id: &str,
        disabled: bool,
        by: &Doer,
    ) -> Result<Option<Vec<GrantId>>, Fault> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let Some(client) = rows::hold(&mut tx, id).await? else { return Ok(None) };
        rows::set_disabled(&mut tx, id, disabled.then_some(now)).await?;
        let grants = rows::open_grants(&mut tx, id, now).await?;
        note(&mut tx, &client, if disabled { "disabled" } else { "enabled" }, by, now).await?;
        tx.commit().await?;
        info!(client = id, disabled, grants = grants.len(), "a client is switched");
        Ok(Some(grants))
    }

    /// Removes a client with all it was granted; the grants that were open, or `None` when it is not there.
    pub async fn remove(&self, id: &str, by: &Doer) -> Result<Option<Vec<GrantId>>, Fault> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let Some(client) = rows::hold(&mut tx, id).await? else { return Ok(None) };
        let grants = rows::open_grants(&mut tx, id, now).await?;
        rows::remove(&mut tx, id).await?;
        note(&mut tx, &client, "removed", by, now).await?;
        tx.commit().await?;
        info!(client = id, grants = grants.len(), "a client is removed");
        Ok(Some(grants))
    }

    /// The workspace a text names, by id or slug.
    pub async fn workspace_named(&self, named: &str) -> Result<Option<WorkspaceId>, Fault> {
        Ok(rows::workspace_named(&mut *self.store.read().await?, named).await?)
    }
}

async fn note(tx: &mut Tx, client: &Client, what: &str, by: &Doer, now: Timestamp) -> Result<(), Fault> {
    let entry = Entry::new(Act::ClientChanged).by(by).within(client.workspace);
    let entry = entry.with("client", &client.id).with("name", &client.name).with("what", what);
    Ok(audit::note(tx, &entry, now).await?)
}

/// Whether a secret with such an end is good still.
pub fn is_good(ends: Option<Timestamp>, now: Timestamp) -> bool {
    ends.is_none_or(|ends| ends > now)
}
