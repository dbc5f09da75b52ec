//! Making a home's tunnel: tunnel, configuration, record, token. Each step is skipped when it is done already, so
//! the same walk makes, mends, follows a changed port and renews the secret.

use super::job::{Job, Stuck};
use crate::homes::{self, State};
use crate::tunnels::cloudflare::{Record, Trouble, points_at};

/// What Home Assistant's address is on the agent's side.
fn origin(port: u16) -> String {
    format!("http://localhost:{port}")
}

impl Job<'_> {
    /// Makes what is there like what is wanted.
    pub async fn make(&mut self) -> Result<(), Stuck> {
        if matches!(self.home.state, State::Pending | State::Active) {
            let mut tx = self.inner.store.begin().await?;
            homes::note(&mut tx, self.home.id, State::Provisioning, None).await?;
            tx.commit().await?;
        }
        match self.walk().await {
            // Somebody has deleted the tunnel behind our back. Its name is free again.
            Err(Stuck::Trouble(Trouble::Gone)) if self.made.tunnel.is_some() => {
                self.forget_tunnel().await?;
                self.walk().await
            }
            walked => walked,
        }
    }

    async fn walk(&mut self) -> Result<(), Stuck> {
        let tunnel = self.tunnel().await?;
        self.configure(&tunnel).await?;
        self.record(&tunnel).await?;
        self.token(&tunnel).await
    }

    /// 1. The tunnel: the one we know, else the one that bears our name, else a new one.
    async fn tunnel(&mut self) -> Result<String, Stuck> {
        if let Some(id) = &self.made.tunnel {
            return Ok(id.clone());
        }
        let api = &self.account()?.api;
        let name = self.name().await?;
        let known = match self.made.asked_at {
            // Asked for before: the answer may have been lost.
            Some(_) => api.named(&name).await?,
            None => None,
        };
        // Written down first: a tunnel that was asked for may be there, whatever becomes of us.
        self.made.asked_at = Some(self.inner.clock.now());
        self.save().await?;
        let tunnel = match known {
            Some(tunnel) => tunnel,
            None => match api.create(&name).await {
                Err(Trouble::NameTaken) => {
                    self.keep().await?;
                    // Not in the list yet: the next attempt finds it.
                    api.named(&name).await?.ok_or(Stuck::MayAppear)?
                }
                made => made?,
            },
        };
        self.made.tunnel = Some(tunnel.id.clone());
        self.made.asked_at = None;
        self.save().await?;
        Ok(tunnel.id)
    }

    /// 2. Where it leads.
    async fn configure(&mut self, tunnel: &str) -> Result<(), Stuck> {
        let port = self.home.ha_port;
        if self.made.port == Some(port) {
            return Ok(());
        }
        let hostname = self.inner.homes.hostname(&self.home);
        self.account()?.api.configure(tunnel, &hostname, &origin(port)).await?;
        self.made.port = Some(port);
        self.save().await
    }

    /// 3. Its name in the world. A record that is not ours is left alone.
    async fn record(&mut self, tunnel: &str) -> Result<(), Stuck> {
        if self.made.record.is_some() {
            return Ok(());
        }
        let api = &self.account()?.api;
        let (hostname, comment) = (self.inner.homes.hostname(&self.home), self.comment().await?);
        let record = match api.name(&hostname, tunnel, &comment).await {
            Err(Trouble::RecordTaken) => {
                self.keep().await?;
                let known = api.records(&hostname).await?;
                let ours = known.into_iter().find(|record| is_ours(record, tunnel, &comment));
                let record = ours.ok_or(Stuck::Foreign(hostname.clone()))?;
                if points_at(&record, tunnel) && record.comment.as_deref() == Some(&*comment) {
                    record
                } else {
                    self.keep().await?;
                    api.point(&record.id, &hostname, tunnel, &comment).await?
                }
            }
            made => made?,
        };
        self.made.record = Some(record.id);
        self.save().await
    }

    /// 4. Its token, with the secret that is wanted.
    async fn token(&mut self, tunnel: &str) -> Result<(), Stuck> {
        let (wanted, made) = self.made.secret;
        if self.made.has_token && wanted == made {
            return Ok(());
        }
        let api = &self.account()?.api;
        // A tunnel that is new has a secret that nobody has seen yet.
        if made > 0 && wanted != made {
            api.renew(tunnel).await?;
            self.keep().await?;
            api.cut(tunnel).await?;
            self.keep().await?;
        }
        let token = api.token(tunnel).await?;
        self.save_token(&token).await
    }
}

/// Whether a record was made for this home.
pub fn is_ours(record: &Record, tunnel: &str, comment: &str) -> bool {
    points_at(record, tunnel) || record.comment.as_deref() == Some(comment)
}
