//! The portal: links that let a guest see, and perhaps switch, one entity of one home.
//!
//! Owners make, list and revoke links ([`Portal::share`], [`Portal::links`], [`Portal::revoke`]); guests come
//! with a link's token and are admitted, or meet the one refusal there is ([`web`]).
//!
//! Invariants: a guest learns nothing but the entity of the link; missing, mistyped, unknown, lapsed and
//! revoked links and those of another entity look alike and cost the same work; a link that ended has no
//! open socket a second later.

mod guest;
mod lapsing;
mod link;
mod misses;
mod open;
mod rows;
mod say;
mod web;

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use shared::entity::EntityId;
use shared::id::{HomeId, LinkId, SharedEntityId};
use shared::relay::Watched;
use shared::secret::Secret;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::audit::{self, Act, Doer, Entry};
use crate::chance::{self, Kind};
use crate::clock::{Clock, Timestamp};
use crate::homes::Owned;
use crate::http::limit::{Limit, place};
use crate::http::{Fault, Site};
use crate::relay::{Relay, Shares};
use crate::store::Store;
pub use link::{Link, NewLink, Permission, Standing};
use misses::Misses;
use open::Open;
pub use say::said;

/// A home has at most so many live links.
const MOST: i64 = 500;
/// How exact "last used" is: a write per visit would cost more than it tells.
const USED_EVERY: Duration = Duration::from_secs(60);
/// Each link takes so many controls at once, and one more every two seconds.
const CONTROLS: NonZeroU32 = NonZeroU32::new(30).expect("30 is not zero");
const CONTROL_EVERY: Duration = Duration::from_secs(2);

/// An entity that is, or was, shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedEntity {
    /// The number in `/portal/entity/{id}`.
    pub id: SharedEntityId,
    /// Whose it is.
    pub home: HomeId,
    /// Home Assistant's id of it.
    pub entity_id: EntityId,
    /// Its name when it was last shared; a newer one comes with its state.
    pub name: String,
    /// Where it was then.
    pub area: Option<String>,
}

/// One line of an owner's list of links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLine {
    /// The link.
    pub link: Link,
    /// What it opens.
    pub entity: SharedEntity,
}

/// A link that was just made.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The link.
    pub link: Link,
    /// What it opens.
    pub entity: SharedEntity,
    /// Its address, token included: shown once, never to be had again.
    pub url: Secret,
}

/// A guest whose link opens this entity now. Only [`Portal::admit`] makes one.
#[derive(Debug, Clone)]
struct Admitted {
    link: Link,
    entity: SharedEntity,
    home_name: String,
}

/// The portal.
#[derive(Clone)]
pub struct Portal(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    site: Arc<Site>,
    relay: Relay,
    tasks: TaskTracker,
    open: Open,
    misses: Mutex<Misses>,
    controls: Limit<LinkId>,
    /// When a use was last written down, for links used within the last minute.
    used: Mutex<HashMap<LinkId, Timestamp>>,
    /// A link was made whose time may be over before all others'.
    made: Notify,
}

/// What a portal is put together from.
pub struct Parts {
    /// The rows.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// How the world knows us.
    pub site: Arc<Site>,
    /// Where the states are.
    pub relay: Relay,
    /// Ends everything.
    pub stop: CancellationToken,
    /// Waits for everything.
    pub tasks: TaskTracker,
}

/// What links share, for the relay: made before the portal, which leans on the relay.
pub fn shares(store: Store, clock: Clock) -> Arc<dyn Shares> {
    Arc::new(Links { store, clock })
}

struct Links {
    store: Store,
    clock: Clock,
}

impl Shares for Links {
    fn of(&self, home: HomeId) -> BoxFuture<'_, Result<Vec<Watched>, Fault>> {
        async move { Ok(rows::watched(&mut *self.store.read().await?, home, self.clock.now()).await?) }
            .boxed()
    }
}

impl Portal {
    /// Puts a portal together and starts what it does by itself; that ends with `stop`.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, clock, site, relay, stop, tasks } = parts;
        let portal = Self(Arc::new(Inner {
            store,
            clock,
            site,
            relay,
            tasks: tasks.clone(),
            open: Open::default(),
            misses: Mutex::default(),
            controls: Limit::new(CONTROLS, CONTROL_EVERY),
            used: Mutex::default(),
            made: Notify::new(),
        }));
        let lapsing = portal.clone();
        tasks.spawn(async move { stop.run_until_cancelled(lapsing.keep_lapsing()).await });
        portal
    }

    /// Shares an entity through a new link. When this returns the link is on disk and the home's agent is
    /// told. `name` and `area` are the entity's now, for as long as its state has not come.
    ///
    /// # Errors
    /// [`Fault::Bad`] for a label, permission or expiry that cannot be, or one live link too many.
    pub async fn share(
        &self,
        home: &Owned,
        entity: &EntityId,
        (name, area): (&str, Option<&str>),
        new: NewLink,
    ) -> Result<Shared, Fault> {
        let now = self.0.clock.now();
        let new = new.checked(entity, now)?;
        let (token, id) = (chance::token(Kind::Link), LinkId::from_random_bits(chance::bits()));
        let mut entity = SharedEntity {
            id: SharedEntityId::from_random_bits(chance::bits()),
            home: home.id,
            entity_id: entity.clone(),
            name: named(name, entity.as_str()),
            area: area.map(|area| named(area, "")).filter(|area| !area.is_empty()),
        };
        let mut tx = self.0.store.begin().await?;
        if rows::count_live(&mut tx, home.id, now).await? >= MOST {
            return Err(Fault::bad(format!("a home has at most {MOST} live links")));
        }
        entity.id = rows::share(&mut tx, &entity, now).await?;
        rows::add(&mut tx, id, entity.id, chance::hash(token.expose()), &new, now).await?;
        let made = act(Act::LinkMade, home, id, &new.by).with("entity", &entity.entity_id);
        audit::note(&mut tx, &made.with("permission", new.permission.word()), now).await?;
        tx.commit().await?;
        info!(home.id = %home.id, link.id = %id, permission = new.permission.word(), "link made");
        self.0.made.notify_one();
        self.0.relay.shares_changed(home.id).await;
        let url = self.0.site.address(&format!("{}?access_token={}", page_path(entity.id), token.expose()));
        let NewLink { label, permission, expires, by: _ } = new;
        let link = Link { id, label, permission, created_at: now, expires, revoked: None, used: None };
        Ok(Shared { link, entity, url: url.into() })
    }

    /// All links of a home, the newest first.
    pub async fn links(&self, home: &Owned) -> Result<Vec<LinkLine>, Fault> {
        Ok(rows::of_home(&mut *self.0.store.read().await?, home.id).await?)
    }

    /// Revokes a link of a home; again does no harm. When this returns it is on disk, the link's sockets are
    /// closing and the home's agent is told.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when the home has no such link.
    pub async fn revoke(&self, home: &Owned, link: LinkId, by: &Doer) -> Result<(), Fault> {
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        if !rows::is_of(&mut tx, link, home.id).await? {
            return Err(Fault::NotFound);
        }
        if rows::revoke(&mut tx, link, now).await? {
            audit::note(&mut tx, &act(Act::LinkRevoked, home, link, by), now).await?;
        }
        tx.commit().await?;
        info!(home.id = %home.id, link.id = %link, "link revoked");
        self.0.open.end(link);
        self.0.relay.shares_changed(home.id).await;
        Ok(())
    }

    /// Admits a guest who presents a token (or none) for an entity (or for what is no entity's number). The
    /// same work is done whatever is presented.
    ///
    /// # Errors
    /// [`Fault::Refused`], whatever the reason; [`Fault::TooMany`] once this place missed too often.
    async fn admit(
        &self,
        token: Option<&Secret>,
        entity: Option<SharedEntityId>,
        from: IpAddr,
    ) -> Result<Admitted, Fault> {
        let (from, now) = (place(from), self.0.clock.now());
        if let Some(wait) = self.misses().wait(from, now) {
            return Err(Fault::TooMany(wait));
        }
        let hash = chance::hash(token.map_or("", Secret::expose));
        let found = rows::by_token(&mut *self.0.store.read().await?, hash).await?;
        let fits = |found: &rows::Found| found.link.admits(now) && entity == Some(found.entity.id);
        let Some(found) = found.filter(fits) else {
            self.misses().note(from, now);
            return Err(Fault::Refused);
        };
        Ok(Admitted { link: found.link, entity: found.entity, home_name: found.home_name })
    }

    fn misses(&self) -> std::sync::MutexGuard<'_, Misses> {
        self.0.misses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a guest used a link: written down at most once a minute, and not while the guest waits.
    fn note_use(&self, guest: &Admitted) {
        let (link, now) = (guest.link.id, self.0.clock.now());
        if guest.link.used.is_some_and(|used| now.since(used) < USED_EVERY) {
            return;
        }
        {
            let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.retain(|_, at| now.since(*at) < USED_EVERY);
            if used.insert(link, now).is_some() {
                return;
            }
        }
        let portal = self.clone();
        self.0.tasks.spawn(async move {
            let written = async {
                let mut tx = portal.0.store.begin().await?;
                rows::use_at(&mut tx, link, now).await?;
                tx.commit().await
            };
            if let Err(failure) = written.await {
                warn!(link.id = %link, "note a link's use: {failure}");
            }
        });
    }
}

fn act(act: Act, home: &Owned, link: LinkId, by: &Doer) -> Entry {
    Entry::new(act).by(by).within(home.workspace).with("home", home.id).with("link", link)
}

/// Where a shared entity's page is.
fn page_path(id: SharedEntityId) -> String {
    format!("/portal/entity/{id}")
}

/// A name as Home Assistant gave it, fit to be kept: without control characters and not too long.
fn named(name: &str, otherwise: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(255).collect();
    if name.trim().is_empty() { otherwise.to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests;
