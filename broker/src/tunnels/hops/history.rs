//! When hops were cut: read page by page, forgotten in time.

use std::time::Duration;

use shared::id::HomeId;
use shared::tunnel::{HistoryAnswer, HopEventAnswer};

use super::{Hop, rows};
use crate::clock::Timestamp;
use crate::homes::Home;
use crate::http::Fault;
use crate::http::words::Words;
use crate::tunnels::{Parts, Tunnels};

/// How long it is remembered that a hop was cut.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// And how many such times of one home.
const MOST: i64 = 1000;
/// How long after its last beat a broker's heart is forgotten.
const HEARTS: Duration = Duration::from_secs(24 * 3600);

/// One time that a hop was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spell {
    /// Its id, for the next page.
    pub id: i64,
    /// How the hop was.
    pub hop: Hop,
    /// When it began.
    pub at: Timestamp,
    /// When it was over; nothing while it lasts.
    pub ended: Option<Timestamp>,
}

/// A page of them, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The times.
    pub spells: Vec<Spell>,
    /// The id to go on before; nothing at the end.
    pub next: Option<i64>,
}

impl Page {
    /// As the JSON route shows it.
    pub fn answer(&self, w: &Words) -> HistoryAnswer {
        HistoryAnswer { events: self.spells.iter().map(|spell| spell.answer(w)).collect(), next: self.next }
    }
}

impl Spell {
    fn answer(&self, w: &Words) -> HopEventAnswer {
        let hop = self.hop.answer(w);
        HopEventAnswer {
            id: self.id,
            hop: hop.hop,
            state: hop.state,
            reason: hop.reason,
            sentence: hop.sentence,
            detail: hop.detail,
            at: self.at.millis(),
            ended_at: self.ended.map(Timestamp::millis),
        }
    }
}

impl Tunnels {
    /// When the hops of a home were cut, newest first: a page of at most so many, before the one with this id.
    ///
    /// # Errors
    /// [`Fault::Bad`] when there is none with this id (any more).
    pub async fn history(&self, home: &Home, before: Option<i64>, most: u16) -> Result<Page, Fault> {
        let mut db = self.0.parts.store.read().await?;
        let (id, more) = (home.id, i64::from(most) + 1);
        let mut spells = match before {
            None => rows::newest(&mut db, id, more).await?,
            Some(last) => {
                let none = || Fault::bad("before: there is no such event; begin again without it");
                let at = rows::begun(&mut db, id, last).await?.ok_or_else(none)?;
                rows::before(&mut db, id, (at, last), more).await?
            }
        };
        let is_more = spells.len() > usize::from(most);
        spells.truncate(most.into());
        let next = spells.last().map(|last| last.id).filter(|_| is_more);
        Ok(Page { spells, next })
    }

    /// Forgets what is too old or too much; how much that was.
    pub async fn forget_lapsed(&self) -> Result<u64, Fault> {
        let Parts { store, clock, .. } = &self.0.parts;
        let now = clock.now();
        let mut tx = store.begin().await?;
        let gone = rows::forget(&mut tx, now.before(KEPT), MOST).await?
            + rows::forget_brokers(&mut tx, now.before(HEARTS)).await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// How long a home may be offline before its owners get a letter; none: they never do.
    pub fn offline_mail(&self) -> Option<Duration> {
        self.0.parts.offline_mail
    }

    /// Whether a home's owners get a letter when it is offline.
    pub async fn wants_letters(&self, home: HomeId) -> Result<bool, Fault> {
        Ok(rows::wants_letters(&mut *self.0.parts.store.read().await?, home).await?)
    }
}
