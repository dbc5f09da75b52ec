//! Incidents: a home is offline for longer than a grace time, and its owners get one letter; one more when it is
//! back.
//!
//! Worked out from what is written down alone, so that all brokers see the same, and each step is taken by whoever
//! changes the incident's row first: one letter of each kind, whatever is restarted meanwhile.
//!
//! Invariant: an incident is over when the home was well for [`WELL`]. One that comes and goes is one incident.

use std::collections::HashMap;
use std::time::Duration;

use shared::id::HomeId;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::board::Rows;
use super::letters::{self, Sender};
use super::rows::{self, Incident};
use super::{Hop, Hops, State, Which};
use crate::audit::{self, Act, Doer, Entry};
use crate::clock::Timestamp;
use crate::homes::Owned;
use crate::http::Fault;
use crate::tunnels::{Parts, Tunnels};

/// How long a home is well before it is said to be back.
const WELL: Duration = Duration::from_secs(60);

/// A home's hops, as they are written down; one that is not is not known.
fn written(rows: Rows) -> Hops {
    let mut which = Which::ALL.iter();
    Hops(rows.map(|row| {
        let which = which.next().copied().unwrap_or(Which::Provider);
        row.map_or_else(|| Hop::new(which, State::Unknown, None), |row| row.hop)
    }))
}

/// Since when a home is offline by its rows, if it is.
fn offline_since(hops: &Hops) -> Option<Timestamp> {
    hops.0[1..].iter().filter(|hop| hop.is_cut()).filter_map(|hop| hop.since).min()
}

/// Whether an outage is over: the house answers again, and its tunnel is not known to be cut. One that never stood,
/// or of which nothing can be known, keeps no outage open.
fn is_back(hops: &Hops) -> bool {
    let is_up = |which| hops.get(which).state == State::Up;
    let tunnel = hops.get(Which::Tunnel).state;
    is_up(Which::Agent) && is_up(Which::HomeAssistant) && !matches!(tunnel, State::Down | State::Error)
}

impl Tunnels {
    /// Opens, tells and ends incidents.
    pub(super) async fn see_to_incidents(&self, stop: &CancellationToken) -> Result<(), Fault> {
        let Parts { store, clock, .. } = &self.0.parts;
        let open = rows::incidents(&mut *store.read().await?).await?;
        let open: HashMap<HomeId, Incident> = open.into_iter().map(|one| (one.home, one)).collect();
        for (home, hops) in self.0.board.rows() {
            if stop.is_cancelled() {
                return Ok(());
            }
            let (hops, incident) = (written(hops), open.get(&home));
            let step = match (offline_since(&hops), incident) {
                (Some(began), None) => self.open(home, began).await,
                (Some(_), Some(incident)) => self.go_on(incident, &hops).await,
                (None, Some(incident)) if is_back(&hops) => self.recover(incident, clock.now()).await,
                _ => Ok(()),
            };
            if let Err(fault) = step {
                warn!(home.id = %home, "see to an incident: {fault}");
            }
        }
        Ok(())
    }

    async fn open(&self, home: HomeId, began: Timestamp) -> Result<(), Fault> {
        let mut tx = self.0.parts.store.begin().await?;
        rows::open_incident(&mut tx, home, began).await?;
        Ok(tx.commit().await?)
    }

    async fn go_on(&self, incident: &Incident, hops: &Hops) -> Result<(), Fault> {
        let Parts { store, clock, offline_mail, .. } = &self.0.parts;
        if incident.well.is_some() {
            let mut tx = store.begin().await?;
            rows::set_well(&mut tx, incident, None).await?;
            tx.commit().await?;
        }
        let now = clock.now();
        match offline_mail {
            Some(grace) if incident.told.is_none() && now.since(incident.began) >= *grace => {
                self.tell_offline(incident, hops, now).await
            }
            _ => Ok(()),
        }
    }

    async fn tell_offline(&self, incident: &Incident, hops: &Hops, now: Timestamp) -> Result<(), Fault> {
        let Parts { store, mail, .. } = &self.0.parts;
        let Some(worst) = hops.worst() else { return Ok(()) };
        let mut tx = store.begin().await?;
        let Some(about) = rows::about(&mut tx, incident.home).await? else { return Ok(()) };
        // A full outbox is for those who forgot their password; this is tried again.
        if !mail.has_room_to_spare(&mut tx).await? || !rows::take_telling(&mut tx, incident, now).await? {
            return Ok(());
        }
        let sender = self.sender(now);
        for reader in self.0.parts.accounts.managers(&mut tx, about.workspace).await? {
            let letter =
                letters::Offline { home: incident.home, name: &about.name, worst, began: incident.began };
            mail.enqueue(&mut tx, &letter.to(&sender, &reader)?).await?;
        }
        tx.commit().await?;
        mail.wake();
        info!(home.id = %incident.home, hop = worst.which.word(), "its owners are told that it is offline");
        Ok(())
    }

    async fn recover(&self, incident: &Incident, now: Timestamp) -> Result<(), Fault> {
        let mut tx = self.0.parts.store.begin().await?;
        match incident.well {
            None => rows::set_well(&mut tx, incident, Some(now)).await?,
            Some(well) if now.since(well) >= WELL => {
                if !rows::end_incident(&mut tx, incident).await? {
                    return Ok(());
                }
                if incident.told.is_some() {
                    self.tell_back(&mut tx, incident, well).await?;
                }
            }
            Some(_) => return Ok(()),
        }
        tx.commit().await?;
        self.0.parts.mail.wake();
        Ok(())
    }

    async fn tell_back(
        &self,
        tx: &mut crate::store::Tx,
        incident: &Incident,
        well: Timestamp,
    ) -> Result<(), Fault> {
        let Some(about) = rows::about(tx, incident.home).await? else { return Ok(()) };
        let sender = self.sender(self.0.parts.clock.now());
        for reader in self.0.parts.accounts.managers(tx, about.workspace).await? {
            let letter =
                letters::Back { home: incident.home, name: &about.name, began: incident.began, well };
            self.0.parts.mail.enqueue(tx, &letter.to(&sender, &reader)?).await?;
        }
        info!(home.id = %incident.home, "its owners are told that it is back");
        Ok(())
    }

    fn sender(&self, now: Timestamp) -> Sender {
        Sender { site: self.0.parts.site.clone(), now }
    }

    /// Switches a home's letters on or off.
    pub async fn set_letters(&self, home: &Owned, on: bool, by: &Doer) -> Result<(), Fault> {
        let Parts { store, clock, .. } = &self.0.parts;
        let mut tx = store.begin().await?;
        rows::set_letters(&mut tx, home.id, on).await?;
        let changed = Entry::new(Act::HomeChanged).by(by).within(home.workspace).with("home", home.id);
        audit::note(&mut tx, &changed.with("letters", on), clock.now()).await?;
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_over_when_the_house_answers_and_no_tunnel_is_known_to_be_cut() {
        let hops = |states: [State; 3]| {
            let [tunnel, agent, home_assistant] = states;
            let states = [State::Up, tunnel, agent, home_assistant];
            let mut states = states.into_iter();
            Hops(
                [Which::Provider, Which::Tunnel, Which::Agent, Which::HomeAssistant]
                    .map(|which| Hop::new(which, states.next().unwrap_or(State::Unknown), None)),
            )
        };
        let (up, down, error, unknown) = (State::Up, State::Down, State::Error, State::Unknown);
        // A tunnel of which nothing can be known, or that never stood, keeps no outage open.
        for over in [[up, up, up], [unknown, up, up]] {
            assert!(is_back(&hops(over)), "{over:?}");
        }
        for lasts in [
            [down, up, up],
            [error, up, up],
            [up, unknown, up],
            [up, down, up],
            [up, up, unknown],
            [up, up, down],
            [up, up, error],
        ] {
            assert!(!is_back(&hops(lasts)), "{lasts:?}");
        }
    }
}
