//! Homes: each a Home Assistant with a name of its own on the internet, and proof of being allowed in one.
//!
//! Invariant: a home of another workspace looks like a home that is not there. Only [`Homes::owned`] makes
//! an [`Owned`], so nothing that needs one can be done to somebody else's home.

mod life;
mod rows;

use std::ops::Deref;
use std::sync::Arc;

use shared::id::{AccountId, HomeId, WorkspaceId};
use tokio::sync::Notify;

use crate::accounts::Caller;
use crate::audit::{self, Act, Entry};
use crate::chance;
use crate::clock::{Clock, Timestamp};
use crate::http::{Fault, Site};
use crate::store::{self, Db, Store};

/// How many homes a workspace may have.
const MOST: i64 = 1000;
/// Where Home Assistant listens unless told otherwise.
pub const DEFAULT_PORT: u16 = 8123;

/// How far the making (or unmaking) of a home is (T1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Written down; its tunnel is not made yet.
    Pending,
    /// Its tunnel is being made.
    Provisioning,
    /// Its tunnel is there.
    Active,
    /// Its tunnel could not be made yet; [`Home::error`] says why, and it is tried again.
    Error,
    /// Nothing of it works any more; the provider has not confirmed yet that the tunnel is gone (T3).
    Deleting,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Provisioning, Self::Active, Self::Error, Self::Deleting];

    /// The word of the JSON routes and the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Error => "error",
            Self::Deleting => "deleting",
        }
    }
}

/// A home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its id.
    pub id: HomeId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// Its part of the hostname.
    pub label: String,
    /// The rest of the hostname where a provider of tunnels keeps it; none for the direct tunnel's.
    pub domain: Option<String>,
    /// Home Assistant's port on the agent's side.
    pub ha_port: u16,
    /// How far it is made.
    pub state: State,
    /// What is wrong with it, for its owner.
    pub error: Option<String>,
    /// The same in one word, for programs and translations.
    pub error_code: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A home whose owner or admin is asking.
#[derive(Debug, Clone)]
pub struct Owned(Home);

impl Deref for Owned {
    type Target = Home;
    fn deref(&self) -> &Home {
        &self.0
    }
}

/// The homes.
#[derive(Clone)]
pub struct Homes {
    store: Store,
    clock: Clock,
    site: Arc<Site>,
    domain: Arc<str>,
    provided: Arc<[Provided]>,
    wanted: Arc<Notify>,
}

/// A domain at a provider of tunnels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// Homes are `<label>.<domain>`.
    pub domain: String,
    /// How many there is room for.
    pub most: u32,
}

impl Homes {
    /// The homes in a store; `domain` is what the hostnames of those with a direct tunnel end in.
    pub fn new(store: Store, clock: Clock, site: Arc<Site>, domain: &str) -> Self {
        let (wanted, provided) = (Arc::default(), Arc::default());
        Self { store, clock, site, domain: domain.into(), provided, wanted }
    }

    /// From now on homes get their names from a provider, where one has a domain.
    #[must_use]
    pub fn provided(self, provided: Vec<Provided>) -> Self {
        Self { provided: provided.into(), ..self }
    }

    /// Told whenever a home is made, changed or to be deleted: somebody has work to do at its provider.
    pub fn wanted(&self) -> &Notify {
        &self.wanted
    }

    /// The homes of a workspace that the caller may see, by name.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for a workspace the caller is not in.
    pub async fn list(&self, caller: &Caller, workspace: WorkspaceId) -> Result<Vec<Home>, Fault> {
        caller.role_in(workspace).ok_or(Fault::NotFound)?;
        let mut homes = rows::of(&mut *self.store.read().await?, workspace).await?;
        homes.retain(|home| caller.home.is_none_or(|only| only == home.id));
        Ok(homes)
    }

    /// A home the caller may see.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when it is not there or not theirs.
    pub async fn visible(&self, id: HomeId, caller: &Caller) -> Result<Home, Fault> {
        let home = rows::find(&mut *self.store.read().await?, id).await?;
        let is_visible = |home: &Home| {
            caller.role_in(home.workspace).is_some() && caller.home.is_none_or(|only| only == id)
        };
        home.filter(is_visible).ok_or(Fault::NotFound)
    }

    /// A home, for what the broker does by itself.
    pub async fn any(&self, id: HomeId) -> store::Result<Option<Home>> {
        rows::find(&mut *self.store.read().await?, id).await
    }

    /// A home the caller may manage.
    ///
    /// # Errors
    /// [`Fault::NotFound`] as above, and while the home is being deleted; 403 `insufficient_role` when they may
    /// only look.
    pub async fn owned(&self, id: HomeId, caller: &Caller) -> Result<Owned, Fault> {
        let home = self.visible(id, caller).await?;
        manages(caller, home.workspace)?;
        if home.state == State::Deleting { Err(Fault::NotFound) } else { Ok(Owned(home)) }
    }

    /// Makes a home in a workspace, still without a tunnel.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for a workspace the caller is not in; 403 `insufficient_role`; [`Fault::Bad`] for a name that is empty, too long or has control characters,
    /// a port 0, or one home too many.
    pub async fn create(
        &self,
        name: &str,
        ha_port: u16,
        workspace: WorkspaceId,
        caller: &Caller,
    ) -> Result<Owned, Fault> {
        self.create_once(None, name, ha_port, workspace, caller).await
    }

    /// Like [`Homes::create`], but the same request makes one home, however often it comes.
    ///
    /// # Errors
    /// As [`Homes::create`]; [`Fault::Bad`] too for another request under the same key.
    pub async fn create_once(
        &self,
        request: Option<&Request>,
        name: &str,
        ha_port: u16,
        workspace: WorkspaceId,
        caller: &Caller,
    ) -> Result<Owned, Fault> {
        manages(caller, workspace)?;
        let name = checked(name, ha_port)?;
        let domain = self.roomiest().await?;
        for tail in [0, 4, 8, 12] {
            if let Some(made) = self.made_by(request, caller).await? {
                return Ok(made);
            }
            let label = &label(name, tail);
            let new = New { name, label, domain: domain.clone(), ha_port, workspace, request };
            if let Some(home) = self.try_create(new, caller).await? {
                return Ok(Owned(home));
            }
        }
        Err(Fault::Unavailable("no free hostname was found".to_owned()))
    }

    /// The home that a request has made before.
    async fn made_by(&self, request: Option<&Request>, caller: &Caller) -> Result<Option<Owned>, Fault> {
        let Some(request) = request else { return Ok(None) };
        let found = rows::by_request(&mut *self.store.read().await?, &request.key).await?;
        let Some((home, hash)) = found else { return Ok(None) };
        if hash != request.hash {
            return Err(Fault::bad("this Idempotency-Key was used for another request"));
        }
        self.owned(home, caller).await.map(Some)
    }

    /// The provided domain with the most room left; none where there is no provider.
    async fn roomiest(&self) -> Result<Option<String>, Fault> {
        let mut left = Vec::new();
        for Provided { domain, most } in self.provided.iter() {
            let homes = rows::count_under(&mut *self.store.read().await?, domain).await?;
            left.push((i64::from(*most) - homes, domain));
        }
        // The first of equals, so that the file's order counts. Where all are full the provider says so itself.
        let roomiest = left.iter().rev().max_by_key(|(room, _)| *room);
        Ok(roomiest.map(|(_, domain)| (*domain).clone()))
    }

    /// Makes a home under a label; `None` when another home has it.
    async fn try_create(&self, new: New<'_>, caller: &Caller) -> Result<Option<Home>, Fault> {
        let New { name, label, domain, ha_port, workspace, request } = new;
        let mut tx = self.store.begin().await?;
        if rows::count(&mut tx, workspace).await? >= MOST {
            return Err(Fault::bad(format!("a workspace has at most {MOST} homes")));
        }
        let home = Home {
            id: HomeId::from_random_bits(chance::bits()),
            workspace,
            name: name.to_owned(),
            label: label.to_owned(),
            domain,
            ha_port,
            state: State::Pending,
            error: None,
            error_code: None,
            created_at: self.clock.now(),
        };
        // Ours to begin with: a home must never answer in the dashboard's name.
        if Some(&*self.hostname(&home)) == self.site.public_url.host_str() {
            return Ok(None);
        }
        let by = caller.account.map_or(0, AccountId::number);
        match rows::add(&mut tx, &home, by, request).await {
            Err(failure) if store::is_taken(&failure) => {
                // Whoever was first may not be on the disk yet, and is to be found there by who comes again.
                tx.commit().await?;
                Ok(None)
            }
            added => {
                added?;
                let made = Entry::new(Act::HomeMade).of(caller.account).within(workspace);
                audit::note(&mut tx, &made.with("home", home.id), home.created_at).await?;
                tx.commit().await?;
                self.wanted.notify_one();
                Ok(Some(home))
            }
        }
    }

    /// The home that has a label.
    pub async fn by_label(&self, label: &str) -> Result<Option<HomeId>, Fault> {
        Ok(rows::by_label(&mut *self.store.read().await?, label).await?)
    }

    /// The label in a `Host` header, if it names a home's host: `lakehouse` in `lakehouse.example.org:8443`.
    pub fn label_in<'a>(&self, host: &'a str) -> Option<&'a str> {
        let host = host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(host, |(host, _)| host);
        let split = host.len().checked_sub(self.domain.len() + 1)?;
        let (label, rest) = host.split_at_checked(split)?;
        let rest = rest.strip_prefix('.')?;
        (rest.eq_ignore_ascii_case(&self.domain) && !label.is_empty() && !label.contains('.'))
            .then_some(label)
    }

    /// The home's whole hostname.
    pub fn hostname(&self, home: &Home) -> String {
        format!("{}.{}", home.label, home.domain.as_deref().unwrap_or(&self.domain))
    }

    /// The address to open in a browser.
    pub fn url(&self, home: &Home) -> String {
        if home.domain.is_some() {
            return format!("https://{}/", self.hostname(home));
        }
        let port = self.site.public_url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}/", self.site.public_url.scheme(), self.hostname(home))
    }
}

/// Notes within a transaction how far a home's tunnel is; one that is being deleted stays so, and only what is
/// wrong with it changes.
pub async fn note(tx: &mut Db, home: HomeId, state: State, wrong: Option<&Wrong>) -> store::Result<()> {
    rows::set_state(tx, home, state, wrong).await
}

/// Homes with something wrong, and what.
pub async fn in_trouble(store: &Store) -> store::Result<Vec<(HomeId, String)>> {
    rows::in_trouble(&mut *store.read().await?).await
}

/// Forgets within a transaction a home whose deleting was begun, and everything that was in it.
pub async fn remove(tx: &mut Db, home: HomeId) -> store::Result<()> {
    rows::remove(tx, home).await
}

/// What is wrong with a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// In one word.
    pub code: &'static str,
    /// In English.
    pub sentence: String,
}

/// A home to be made.
struct New<'a> {
    name: &'a str,
    label: &'a str,
    domain: Option<String>,
    ha_port: u16,
    workspace: WorkspaceId,
    request: Option<&'a Request>,
}

/// A request that may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The hash of its key and of whose it is.
    pub key: Vec<u8>,
    /// The hash of what it asks.
    pub hash: Vec<u8>,
}

fn manages(caller: &Caller, workspace: WorkspaceId) -> Result<(), Fault> {
    let missing = || Fault::Forbidden("insufficient_role", "an owner or admin may do this".to_owned());
    let role = caller.role_in(workspace).ok_or(Fault::NotFound)?;
    if role.manages() { Ok(()) } else { Err(missing()) }
}

/// A home's name without the spaces around it, if name and port can be a home's.
fn checked(name: &str, ha_port: u16) -> Result<&str, Fault> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        return Err(Fault::bad("a home's name has 1 to 60 characters"));
    }
    if ha_port == 0 { Err(Fault::bad("a port is between 1 and 65535")) } else { Ok(name) }
}

/// Names that would mislead or that other services look for.
const RESERVED: [&str; 12] = [
    "www",
    "api",
    "mail",
    "admin",
    "login",
    "latchkey",
    "app",
    "dashboard",
    "ftp",
    "ns1",
    "ns2",
    "localhost",
];

/// A hostname label of a name: its letters and digits, and `tail` random characters where the bare one is taken.
fn label(name: &str, tail: usize) -> String {
    let label = chance::slug(name);
    let bare = if label.is_empty() { "home" } else { &*label };
    if tail == 0 && !RESERVED.contains(&bare) && !bare.starts_with("xn-") {
        return bare.to_owned();
    }
    format!("{}-{}", bare.trim_start_matches("xn-"), chance::text(tail.max(4), chance::LEGIBLE))
}

#[cfg(test)]
pub use rows::tests::add_workspace;

#[cfg(test)]
mod tests;
