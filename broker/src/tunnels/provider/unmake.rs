//! Deleting a home's tunnel, in the order that leaves no gap: its name first, so that nobody is sent to a tunnel
//! that is not there; then its secret, so that no connector comes back; then what is connected; then itself.

use std::time::Duration;

use super::job::{Job, Stuck};
use super::make::is_ours;
use crate::tunnels::cloudflare::Trouble;

/// A tunnel that was asked for and is not in the list after so long was never made.
const APPEARS: Duration = Duration::from_secs(20);

impl Job<'_> {
    /// Removes what there is; done when nothing is left at the provider.
    pub async fn unmake(&mut self) -> Result<(), Stuck> {
        let api = &self.account()?.api;
        let tunnel = self.what_is_there().await?;
        if self.made.unmade == 0 {
            self.unname(tunnel.as_deref()).await?;
            self.made.unmade = 1;
            self.save().await?;
        }
        let Some(tunnel) = tunnel else { return Ok(()) };
        if self.made.unmade == 1 {
            gone(api.renew(&tunnel).await)?;
            self.made.unmade = 2;
            self.save().await?;
        }
        api.cut(&tunnel).await?;
        self.keep().await?;
        Ok(api.delete(&tunnel).await?)
    }

    /// Removes every record that is ours.
    async fn unname(&self, tunnel: Option<&str>) -> Result<(), Stuck> {
        let api = &self.account()?.api;
        let (hostname, comment) = (self.inner.homes.hostname(&self.home), self.comment().await?);
        self.keep().await?;
        let mut records = api.records(&hostname).await?;
        records.retain(|record| is_ours(record, tunnel.unwrap_or_default(), &comment));
        if let Some(tunnel) = tunnel {
            self.keep().await?;
            // Under other names, too: somebody may have renamed ours.
            let others = api.records_of(tunnel).await?;
            records.extend(others.into_iter().filter(|record| record.name != hostname));
        }
        for record in &records {
            self.keep().await?;
            api.unname(&record.id).await?;
        }
        Ok(())
    }

    /// The tunnel's id, or none once it is sure that there is no tunnel.
    async fn what_is_there(&mut self) -> Result<Option<String>, Stuck> {
        if let Some(id) = &self.made.tunnel {
            return Ok(Some(id.clone()));
        }
        let Some(asked_at) = self.made.asked_at else { return Ok(None) };
        let found = self.account()?.api.named(&self.name().await?).await?;
        if let Some(tunnel) = found {
            self.made.tunnel = Some(tunnel.id.clone());
            self.save().await?;
            return Ok(Some(tunnel.id));
        }
        // A list may be older than the answer that was lost.
        if self.inner.clock.now().since(asked_at) < APPEARS { Err(Stuck::MayAppear) } else { Ok(None) }
    }
}

/// What is not there needs nothing more.
fn gone(done: Result<(), Trouble>) -> Result<(), Trouble> {
    if done == Err(Trouble::Gone) { Ok(()) } else { done }
}
