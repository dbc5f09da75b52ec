//! One attempt at one home: what is held while it lasts, and what stops it.

use std::time::Duration;

use shared::id::HomeId;
use shared::secret::Secret;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{Account, Inner, place, rows};
use crate::chance;
use crate::homes::{Home, State, Wrong};
use crate::store::{self, Failure};
use crate::tunnels::cloudflare::Trouble;

/// What stops an attempt.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// The provider's answer, or that there was none.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The home's name in the zone belongs to somebody else.
    #[error(
        "a DNS record for {0} is there already and is not ours; remove it, or delete this home and add it under another name"
    )]
    Foreign(String),
    /// The settings do not name an account for the home's domain any more.
    #[error("no Cloudflare account is set up for {0} any more")]
    NoAccount(String),
    /// What was asked for without an answer may still appear.
    #[error("what Cloudflare was asked for may still appear; looking again")]
    MayAppear,
    /// Somebody else is at work.
    #[error("somebody else is at work")]
    Lost,
    /// Our own database.
    #[error(transparent)]
    Store(#[from] Failure),
}

impl Stuck {
    /// Whether it passes without anybody doing anything.
    pub fn passes(&self) -> bool {
        match self {
            Self::Trouble(trouble) => trouble.passes(),
            Self::Foreign(_) | Self::NoAccount(_) => false,
            Self::MayAppear | Self::Lost | Self::Store(_) => true,
        }
    }

    /// How long to wait after so many tries: doubled each time with some chance in it, longer for what needs
    /// somebody, and at least as long as was asked for.
    pub fn wait(&self, tries: u32) -> Duration {
        let (first, longest) = match self.passes() {
            true => (Duration::from_millis(500), Duration::from_secs(60)),
            false => (Duration::from_secs(10), Duration::from_secs(600)),
        };
        let wait = first.saturating_mul(1 << tries.min(12)).min(longest);
        let wait = wait.mul_f64(0.75 + (chance::bits() % 1000) as f64 / 2000.0);
        match self {
            Self::Trouble(Trouble::Busy { after: Some(after), .. }) => wait.max(*after),
            _ => wait,
        }
    }

    /// What the home's owner is told.
    pub fn wrong(&self) -> Wrong {
        let code = match self {
            Self::Trouble(Trouble::Silence(_)) => "provider_silent",
            Self::Trouble(Trouble::Busy { .. }) => "provider_busy",
            Self::Trouble(Trouble::Quota(_)) => "provider_full",
            Self::Trouble(Trouble::Denied(_)) => "provider_denied",
            Self::Trouble(Trouble::StillConnected) => "still_connected",
            Self::Foreign(_) => "foreign_record",
            Self::NoAccount(_) => "no_account",
            _ => "provider_refused",
        };
        Wrong { code, sentence: self.to_string() }
    }
}

/// An attempt, with the lease that lets nobody else in.
pub struct Job<'a> {
    pub inner: &'a Inner,
    pub home: Home,
    pub lease: i64,
    pub made: rows::Made,
    begun: (u8, u8),
}

impl<'a> Job<'a> {
    /// The work on a leased home; none when the home is gone.
    pub async fn take(inner: &'a Inner, id: HomeId, lease: i64) -> store::Result<Option<Self>> {
        let home = inner.homes.any(id).await?;
        let made = rows::find(&mut *inner.store.read().await?, id).await?;
        Ok(home.zip(made).map(|(home, made)| Self { inner, home, lease, begun: made.steps(), made }))
    }

    /// Makes what is there like what is wanted.
    pub async fn run(&mut self) -> Result<(), Stuck> {
        match self.home.state {
            State::Deleting => self.unmake().await,
            _ => self.make().await,
        }
    }

    /// How often it was tried since the last step forward.
    pub fn tries(&self) -> u32 {
        if self.made.steps() > self.begun { 0 } else { self.made.tries }
    }

    /// The account of the home's domain.
    pub fn account(&self) -> Result<&'a Account, Stuck> {
        let domain = self.home.domain.as_deref().unwrap_or_default();
        self.inner.ours.account(domain).ok_or_else(|| Stuck::NoAccount(domain.to_owned()))
    }

    /// The tunnel's name.
    pub async fn name(&self) -> Result<String, Stuck> {
        Ok(self.inner.ours.name_of(self.home.id).await?)
    }

    /// What the record's comment says.
    pub async fn comment(&self) -> Result<String, Stuck> {
        Ok(format!("{}{}", self.inner.ours.mark().await?, self.home.id))
    }

    /// Writes down what there is now, and keeps the lease.
    pub async fn save(&self) -> Result<(), Stuck> {
        let mut tx = self.inner.store.begin().await?;
        let until = self.inner.until(&mut tx).await?;
        let is_ours = rows::save(&mut tx, self.home.id, self.lease, &self.made, until).await?;
        tx.commit().await?;
        if is_ours { Ok(()) } else { Err(Stuck::Lost) }
    }

    /// Keeps the lease before one more call.
    pub async fn keep(&self) -> Result<(), Stuck> {
        let mut tx = self.inner.store.begin().await?;
        let until = self.inner.until(&mut tx).await?;
        let is_ours = rows::keep(&mut tx, self.home.id, self.lease, until).await?;
        tx.commit().await?;
        if is_ours { Ok(()) } else { Err(Stuck::Lost) }
    }

    /// Writes down the token of the tunnel, and that it holds the secret that was wanted when the work began.
    pub async fn save_token(&mut self, token: &Secret) -> Result<(), Stuck> {
        let sealed = self.inner.vault.seal(token, place(self.home.id));
        self.write_token(Some(&sealed), self.made.secret.0).await
    }

    /// Forgets a tunnel that turned out not to be there.
    pub async fn forget_tunnel(&mut self) -> Result<(), Stuck> {
        // The record leads nowhere now; it is found by its name, and made to lead to the next.
        (self.made.tunnel, self.made.port, self.made.record) = (None, None, None);
        self.save().await?;
        self.write_token(None, self.made.secret.1).await
    }

    async fn write_token(&mut self, sealed: Option<&[u8]>, secret: i64) -> Result<(), Stuck> {
        let mut tx = self.inner.store.begin().await?;
        let is_ours = rows::save_token(&mut tx, self.home.id, self.lease, sealed, secret).await?;
        tx.commit().await?;
        (self.made.has_token, self.made.secret.1) = (sealed.is_some(), secret);
        if is_ours { Ok(()) } else { Err(Stuck::Lost) }
    }
}

impl Inner {
    /// Keeps a lease for as long as the work under it takes, however long that waits in line; ends when it is lost.
    pub(super) async fn keep_lease(&self, home: HomeId, lease: i64) {
        let mut kept = Instant::now();
        while kept.elapsed() < self.lease {
            sleep(self.lease / 4).await;
            let keeping = async {
                let mut tx = self.store.begin().await?;
                let until = self.until(&mut tx).await?;
                let is_ours = rows::keep(&mut tx, home, lease, until).await?;
                tx.commit().await.map(|()| is_ours)
            };
            match keeping.await {
                Ok(true) => kept = Instant::now(),
                Ok(false) => return,
                Err(failure) => warn!(home.id = %home, "keep the work on a home's tunnel: {failure}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_honour_what_was_asked() {
        let silent = Stuck::Trouble(Trouble::Silence("no answer".into()));
        assert!(silent.wait(0) < Duration::from_secs(1));
        assert!(silent.wait(40) <= Duration::from_secs(75));
        let denied = Stuck::Trouble(Trouble::Denied("no".into()));
        assert!(denied.wait(0) > Duration::from_secs(7) && denied.wait(40) <= Duration::from_secs(750));
        let after = Some(Duration::from_secs(300));
        assert!(
            Stuck::Trouble(Trouble::Busy { why: "429".into(), after }).wait(0) >= Duration::from_secs(300)
        );
    }
}
