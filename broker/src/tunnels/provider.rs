//! Homes at Cloudflare: what is wanted stands in our rows, what is there stands with the provider, and whoever
//! works here makes the second like the first (T2, T3, T6, T10).
//!
//! One home is worked on by one broker at a time, under a lease. Each step looks before it makes, and writes down
//! what came of it before the next: a crash between any two calls, or an answer that is lost, leaves something
//! that the next attempt finds by its name. Tunnels are called `latchkey-<installation>-<home>`; records say in
//! their comment whose they are. What does not bear our name is never touched.
//!
//! Invariant: a home says `active` only when tunnel, configuration, record and token are as wanted, and is gone
//! only when the provider has confirmed that nothing is left.

mod ask;
mod examine;
mod found;
mod job;
mod make;
mod rows;
mod sweep;
mod unmake;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shared::id::{GrantId, HomeId};
use shared::secret::Secret;
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};

use super::cloudflare::{self, Cloudflare, Manners};
use crate::audit::{self, Entry};
use crate::chance;
use crate::clock::{Clock, Timestamp};
use crate::config::CloudflareAccount;
use crate::homes::{self, Home, Homes, State};
use crate::http::Fault;
use crate::oauth::OAuth;
use crate::store::{self, Db, Store};
use crate::vault::{Place, Vault};
use ask::Asking;
pub use examine::Finding;
use job::{Job, Stuck};
pub use sweep::{Leftover, Sweep};
pub use watch::{Reach, Seen};

/// A lease holds for so many times as long as an answer may take. It is kept while the work goes on, so this is only
/// how long the work of a broker that died waits for another.
const LEASE: u32 = 2;
/// How many homes are worked on at once. The provider lets through about three calls a second.
const AT_ONCE: usize = 8;
/// How often the rows are looked at although nobody said that anything changed: another broker may have.
const LOOK: Duration = Duration::from_secs(5);
/// A home that is not as wanted for so long says so (T2).
const SOON: Duration = Duration::from_secs(30);

/// How many steps it takes to make a tunnel: itself, its configuration, its name, its token.
pub const STEPS: u8 = 4;

/// The homes that are at Cloudflare.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

/// What it leans on.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// What seals the tokens.
    pub vault: Vault,
    /// Whose homes there are.
    pub homes: Homes,
    /// Who may hold a token.
    pub oauth: OAuth,
    /// Where the API is, and as whom.
    pub accounts: Vec<CloudflareAccount>,
}

struct Inner {
    store: Store,
    clock: Clock,
    vault: Vault,
    homes: Homes,
    oauth: OAuth,
    ours: Ours,
    lease: Duration,
    seen: Mutex<HashMap<HomeId, Seen>>,
    asking: Asking,
    again: Notify,
}

/// What is ours at Cloudflare: the accounts, and the name by which we know our own in them.
pub struct Ours {
    store: Store,
    accounts: Vec<Account>,
    installation: OnceCell<String>,
}

/// One domain, and the API it is made by.
struct Account {
    domain: String,
    api: Cloudflare,
    reach: Mutex<Reach>,
}

impl Provider {
    /// The homes of these accounts.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, clock, vault, homes, oauth, accounts } = parts;
        let longest = accounts.iter().map(|account| account.patience).max().unwrap_or_default();
        let ours = Ours::new(store.clone(), accounts, clock.now())?;
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            vault,
            homes,
            oauth,
            ours,
            lease: longest * LEASE,
            seen: Mutex::default(),
            asking: Asking::default(),
            again: Notify::new(),
        })))
    }

    /// Makes what is there like what is wanted, and looks at what is there, for ever.
    pub async fn run(self) {
        if self.0.ours.accounts.is_empty() {
            return;
        }
        let looking = self.clone();
        tokio::join!(self.reconcile(), looking.keep_looking());
    }

    async fn reconcile(&self) {
        let mut freed = !self.0.store.is_alone();
        let mut working = JoinSet::new();
        loop {
            let wait = async {
                if !freed {
                    self.free_all().await?;
                    freed = true;
                }
                self.begin(&mut working).await
            };
            let wait = wait.await.unwrap_or_else(|failure| {
                warn!("look for homes that wait for their tunnel: {failure}");
                LOOK
            });
            tokio::select! {
                () = self.0.homes.wanted().notified() => {}
                () = self.0.again.notified() => {}
                Some(_) = working.join_next() => {}
                () = sleep(wait) => {}
            }
        }
    }

    async fn free_all(&self) -> store::Result<()> {
        let mut tx = self.0.store.begin().await?;
        rows::free_all(&mut tx).await?;
        tx.commit().await
    }

    /// Begins work on homes that wait for it, as many as may be; how long until the next one waits.
    async fn begin(&self, working: &mut JoinSet<()>) -> store::Result<Duration> {
        let Inner { store, clock, ours, .. } = &*self.0;
        let room = AT_ONCE.saturating_sub(working.len());
        if room == 0 {
            // Whoever is done first makes room, and wakes us.
            return Ok(LOOK);
        }
        let mut tx = store.begin().await?;
        for account in &ours.accounts {
            rows::add(&mut tx, &account.domain, clock.now()).await?;
        }
        let everybodys = store.everybodys_time(&mut tx, clock.now()).await?;
        let mut leased = Vec::new();
        for home in rows::due(&mut tx, clock.now(), everybodys, room as i64).await? {
            let number = (chance::bits() >> 1) as i64;
            let lease = rows::Lease { number, everybodys, until: everybodys.after(self.0.lease) };
            if rows::lease(&mut tx, home, &lease, clock.now()).await? {
                leased.push((home, number));
            }
        }
        let next = rows::next_due(&mut tx).await?;
        tx.commit().await?;
        for (home, lease) in leased {
            let provider = self.clone();
            working.spawn(async move { provider.work(home, lease).await });
        }
        let wait = next.map_or(LOOK, |next| next.since(clock.now()));
        Ok(wait.clamp(Duration::from_millis(20), LOOK))
    }

    /// One attempt at one home, and what follows from it.
    async fn work(&self, id: HomeId, lease: i64) {
        let done = match Job::take(&self.0, id, lease).await {
            Ok(Some(mut job)) => {
                let outcome = tokio::select! {
                    outcome = job.run() => outcome,
                    // What waits in line for the API's pace leaves it.
                    () = self.0.keep_lease(id, lease) => Err(Stuck::Lost),
                };
                self.close(&job, outcome).await
            }
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = done {
            // The lease runs out, and then somebody tries again.
            warn!(home.id = %id, "work on a home's tunnel: {failure}");
        }
    }

    async fn close(&self, job: &Job<'_>, outcome: Result<(), Stuck>) -> store::Result<()> {
        let Inner { store, clock, .. } = &*self.0;
        let stuck = match outcome {
            Ok(()) if job.home.state == State::Deleting => {
                self.forget(job.home.id);
                info!(home.id = %job.home.id, "home deleted, and its tunnel");
                let mut tx = store.begin().await?;
                homes::remove(&mut tx, job.home.id).await?;
                return tx.commit().await;
            }
            Ok(()) => {
                let mut tx = store.begin().await?;
                if rows::settle(&mut tx, job.home.id, job.lease, clock.now()).await? {
                    homes::note(&mut tx, job.home.id, State::Active, None).await?;
                }
                return tx.commit().await;
            }
            Err(Stuck::Lost) => return Ok(()),
            Err(Stuck::Store(failure)) => return Err(failure),
            Err(stuck) => stuck,
        };
        let now = clock.now();
        let tries = job.tries();
        let wait = stuck.wait(tries);
        warn!(home.id = %job.home.id, tries, ?wait, "a home's tunnel must wait: {stuck}");
        let mut tx = store.begin().await?;
        if rows::put_off(&mut tx, job.home.id, job.lease, tries + 1, now.after(wait), job.home.state).await? {
            let is_late = now.since(job.made.since) >= SOON || !stuck.passes();
            if is_late {
                homes::note(&mut tx, job.home.id, State::Error, Some(&stuck.wrong())).await?;
            }
        }
        tx.commit().await
    }

    /// The token of a home's tunnel, and the tunnel's id; none while it is not made, or is being made anew. Who
    /// got it is remembered: when they may not have it any more, it is made anew.
    pub async fn token(&self, home: &Home, reader: GrantId) -> Result<Option<(String, Secret)>, Fault> {
        let mut tx = self.0.store.begin().await?;
        let Some((tunnel, sealed)) = rows::token(&mut tx, home.id).await? else { return Ok(None) };
        rows::add_reader(&mut tx, home.id, reader).await?;
        tx.commit().await?;
        Ok(Some((tunnel, self.0.vault.unseal(&sealed, place(home.id))?)))
    }

    /// The home whose tunnel has this id, or had it before it was made anew.
    pub async fn home_of(&self, tunnel: &str) -> store::Result<Option<HomeId>> {
        rows::by_tunnel(&mut *self.0.store.read().await?, tunnel).await
    }

    /// The id that a home's tunnel has now, if there is one.
    pub async fn id_of(&self, home: HomeId) -> store::Result<Option<String>> {
        let made = rows::find(&mut *self.0.store.read().await?, home).await?;
        Ok(made.and_then(|made| made.tunnel))
    }

    /// What a home's tunnel is called.
    pub async fn name_of(&self, home: HomeId) -> store::Result<String> {
        self.0.ours.name_of(home).await
    }

    /// Wants a new secret for a home's tunnel: the old tokens open nothing any more, and what they opened is cut.
    /// False while there is no tunnel.
    pub async fn renew(&self, home: HomeId, entry: &Entry) -> store::Result<bool> {
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        if !rows::want_secret(&mut tx, home, now).await? {
            return Ok(false);
        }
        rows::forget_readers(&mut tx, home).await?;
        audit::note(&mut tx, entry, now).await?;
        tx.commit().await?;
        self.0.again.notify_one();
        Ok(true)
    }

    /// How many of the [`STEPS`] of a home's tunnel are done.
    pub async fn steps_done(&self, home: HomeId) -> store::Result<u8> {
        let made = rows::find(&mut *self.0.store.read().await?, home).await?;
        Ok(made.map_or(0, |made| made.steps().0))
    }

    /// Tries now what would have been tried later.
    pub async fn hurry(&self, home: HomeId) -> store::Result<()> {
        let mut tx = self.0.store.begin().await?;
        rows::hurry(&mut tx, home, self.0.clock.now()).await?;
        tx.commit().await?;
        self.0.again.notify_one();
        Ok(())
    }

    fn forget(&self, home: HomeId) {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&home);
        self.0.asking.forget(home);
    }
}

impl Inner {
    /// When a lease that is kept now runs out.
    async fn until(&self, db: &mut Db) -> store::Result<Timestamp> {
        Ok(self.store.everybodys_time(db, self.clock.now()).await?.after(self.lease))
    }
}

impl Ours {
    /// What is ours in these accounts.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(store: Store, accounts: Vec<CloudflareAccount>, now: Timestamp) -> anyhow::Result<Self> {
        let reach = Reach { since: now, trouble: None, asked: false };
        let account = |account: CloudflareAccount| {
            let manners = Manners { pace: account.calls_per_second, patience: account.patience };
            let CloudflareAccount { domain, account: id, zone, token, api, .. } = account;
            let http = reqwest::Client::builder().user_agent("latchkey-broker").build()?;
            let api = Cloudflare::new(http, api, cloudflare::Account { id, zone, token, manners });
            anyhow::Ok(Account { domain, api, reach: Mutex::new(reach.clone()) })
        };
        let accounts = accounts.into_iter().map(account).collect::<Result<_, _>>()?;
        Ok(Self { store, accounts, installation: OnceCell::new() })
    }

    fn account(&self, domain: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.domain == domain)
    }

    /// The name of this installation; made up once.
    async fn installation(&self) -> store::Result<&str> {
        let name = self.installation.get_or_try_init(async || {
            if let Some(name) = rows::installation(&mut *self.store.read().await?).await? {
                return Ok(name);
            }
            let mut tx = self.store.begin().await?;
            rows::name_installation(&mut tx, &chance::text(6, chance::LEGIBLE)).await?;
            let name = rows::installation(&mut tx).await?.unwrap_or_default();
            tx.commit().await?;
            Ok::<_, store::Failure>(name)
        });
        Ok(name.await?)
    }

    /// What a home's tunnel is called: from its name a second attempt finds what the first has made.
    async fn name_of(&self, home: HomeId) -> store::Result<String> {
        Ok(format!("{}{home}", self.prefix().await?))
    }

    /// What the names of all our tunnels begin with.
    async fn prefix(&self) -> store::Result<String> {
        Ok(format!("latchkey-{}-", self.installation().await?))
    }

    /// What the comments of all our records begin with.
    async fn mark(&self) -> store::Result<String> {
        Ok(format!("latchkey {} home ", self.installation().await?))
    }
}

/// Where a home's token is sealed.
fn place(home: HomeId) -> Place {
    Place { table: "cloudflare_tunnel", column: "token_sealed", row: home.number() }
}
