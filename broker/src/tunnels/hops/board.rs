//! The board: what is written down of every home's hops, kept in memory so that a question costs no query; which
//! changes wait to be written; and whose hearts beat.
//!
//! Hearts are counted, not dated: a broker is alive while its count goes on, by this machine's own steady clock.
//! So neither two machines' clocks that differ nor one that is set anew makes a broker look dead.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::id::HomeId;
use tokio::time::Instant;

use super::judge::{Facts, Keeper, Written};
use super::{Hop, Hops, SETTLE, State, Which};
use crate::chance;
use crate::clock::Timestamp;

/// How often this broker's heart beats, and how often it looks for what others wrote.
pub const BEAT: Duration = Duration::from_secs(5);
/// A heart that was not heard for so long may have stopped.
const QUIET: Duration = Duration::from_secs(12);
/// And has, after so long: time enough for an agent to find another broker.
const GONE: Duration = Duration::from_secs(25);

/// A hop as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// How it was.
    pub hop: Hop,
    /// The id of the broker that wrote it.
    pub broker: i64,
}

/// All rows of a home, in the order of [`Which::ALL`].
pub type Rows = [Option<Row>; 4];

/// A change to be written.
#[derive(Debug, Clone)]
pub struct Change {
    /// How the hop is now; always dated.
    pub hop: Hop,
    /// The row it replaces: if that is another by now, nothing is written.
    pub before: Option<Row>,
    /// Nothing has changed but who holds the hop.
    pub is_claim: bool,
}

/// The board.
#[derive(Debug)]
pub struct Board {
    /// This broker's id, a new one at each start.
    pub us: i64,
    /// When it started.
    pub started: Timestamp,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rows: HashMap<HomeId, Rows>,
    waiting: HashMap<HomeId, [Option<Waiting>; 4]>,
    hearts: HashMap<i64, Heart>,
    /// The homes with a domain at a provider.
    provided: HashMap<HomeId, String>,
}

/// A change that has not stood long enough yet.
#[derive(Debug, Clone)]
struct Waiting {
    hop: Hop,
    /// When the hop left what its row says.
    left: Instant,
    is_claim: bool,
}

#[derive(Debug, Clone, Copy)]
struct Heart {
    count: i64,
    heard: Instant,
    at: Timestamp,
    /// It has beaten since this broker knows of it.
    has_beaten: bool,
}

impl Board {
    /// An empty board.
    pub fn new(started: Timestamp) -> Self {
        Self { us: (chance::bits() >> 1) as i64, started, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in rows that were read.
    pub fn put(&self, rows: Vec<(HomeId, Row)>, now: Timestamp) {
        let mut inner = self.inner();
        for (home, row) in rows {
            let heart = Heart { count: i64::MIN, heard: Instant::now(), at: now, has_beaten: false };
            inner.hearts.entry(row.broker).or_insert(heart);
            let at = row.hop.which.place();
            inner.rows.entry(home).or_default()[at] = Some(row);
        }
    }

    /// Takes in which homes there are, all of them, and the domain of those at a provider. What another broker has
    /// deleted is forgotten.
    pub fn keep(&self, homes: Vec<(HomeId, Option<String>)>) {
        let there: HashSet<HomeId> = homes.iter().map(|(home, _)| *home).collect();
        let mut inner = self.inner();
        inner.rows.retain(|home, _| there.contains(home));
        inner.waiting.retain(|home, _| there.contains(home));
        inner.provided = homes.into_iter().filter_map(|(home, domain)| Some((home, domain?))).collect();
    }

    /// A home's domain at a provider.
    pub fn domain(&self, home: HomeId) -> Option<String> {
        self.inner().provided.get(&home).cloned()
    }

    /// A home is gone, or its rows are to be read anew.
    pub fn forget(&self, home: HomeId) {
        let mut inner = self.inner();
        inner.rows.remove(&home);
        inner.waiting.remove(&home);
    }

    /// Takes in how often each broker's heart has beaten.
    pub fn listen(&self, counts: Vec<(i64, i64)>, now: Timestamp) {
        let mut inner = self.inner();
        let instant = Instant::now();
        for (broker, count) in counts {
            let heart = Heart { count, heard: instant, at: now, has_beaten: false };
            let known = inner.hearts.entry(broker).or_insert(heart);
            if known.count != count {
                // The first count tells nothing: it may be years old.
                *known = Heart { has_beaten: known.count != i64::MIN, ..heart };
            }
        }
        let kept: HashSet<i64> = inner.rows.values().flatten().flatten().map(|row| row.broker).collect();
        inner.hearts.retain(|broker, heart| kept.contains(broker) || heart.heard.elapsed() < GONE);
    }

    /// What is written down of a home.
    pub fn written(&self, home: HomeId) -> [Option<Written>; 4] {
        let inner = self.inner();
        let Some(rows) = inner.rows.get(&home) else { return [const { None }; 4] };
        rows.clone()
            .map(|row| row.map(|row| Written { keeper: self.keeper(&inner, row.broker), hop: row.hop }))
    }

    fn keeper(&self, inner: &Inner, broker: i64) -> Keeper {
        if broker == self.us {
            return Keeper::Us;
        }
        let Some(heart) = inner.hearts.get(&broker) else { return Keeper::Gone(self.started) };
        match heart.heard.elapsed() {
            silent if silent >= GONE => Keeper::Gone(heart.at),
            silent if heart.has_beaten && silent < QUIET => Keeper::Other,
            _ => Keeper::Quiet(heart.at),
        }
    }

    /// Dates hops: a state that is written down began when that says, one that is about to be when it was noticed.
    pub fn date(&self, home: HomeId, hops: &mut Hops) {
        let inner = self.inner();
        for hop in &mut hops.0 {
            let at = hop.which.place();
            let row = inner.rows.get(&home).and_then(|rows| rows[at].as_ref()).map(|row| &row.hop);
            if let Some(same) = row.filter(|row| row.is_like(hop)) {
                hop.since = same.since;
            } else if hop.since.is_none() {
                let waiting = inner.waiting.get(&home).and_then(|waiting| waiting[at].as_ref());
                hop.since = waiting.filter(|w| w.hop.is_like(hop)).and_then(|w| w.hop.since);
            }
        }
    }

    /// Looks at a home: what differs from its rows, and is ours to write, waits from now on; what no longer does is
    /// forgotten.
    pub fn look(&self, home: HomeId, facts: &Facts, hops: &Hops, now: Timestamp) {
        let mut inner = self.inner();
        let rows = inner.rows.get(&home).cloned().unwrap_or_default();
        let mut before = inner.waiting.remove(&home).unwrap_or_default();
        let waiting = hops.0.each_ref().map(|hop| {
            let at = hop.which.place();
            let row = rows[at].as_ref();
            let is_heard = facts.is_heard(hop.which);
            let is_same = row.is_some_and(|row| row.hop.is_like(hop));
            let keeper = row.map(|row| self.keeper(&inner, row.broker));
            let is_ours = is_heard || matches!(keeper, None | Some(Keeper::Us | Keeper::Gone(_)));
            let is_claim = is_same && facts.is_held(hop.which) && keeper != Some(Keeper::Us);
            if !is_ours || (is_same && !is_claim) || (row.is_none() && is_nothing(hop)) {
                return None;
            }
            let before = mem::take(&mut before[at]).filter(|before| before.is_claim == is_claim);
            let left = before.as_ref().map_or_else(Instant::now, |before| before.left);
            let noticed = before.filter(|before| before.hop.is_like(hop)).and_then(|before| before.hop.since);
            let since = hop.since.or(noticed).unwrap_or(now);
            Some(Waiting { hop: Hop { since: Some(since), ..hop.clone() }, left, is_claim })
        });
        if waiting.iter().any(Option::is_some) {
            inner.waiting.insert(home, waiting);
        }
    }

    /// The changes that have stood long enough to be written. A claim cannot wait: whoever held the hop before is
    /// about to say that it is gone.
    pub fn due(&self) -> Vec<(HomeId, Vec<Change>)> {
        let inner = self.inner();
        let is_due = |one: &&Waiting| one.is_claim || one.left.elapsed() >= SETTLE;
        let changes = |home: &HomeId, waiting: &[Option<Waiting>; 4]| {
            let due = waiting.iter().flatten().filter(is_due).map(|one| Change {
                before: inner.rows.get(home).and_then(|rows| rows[one.hop.which.place()].clone()),
                hop: one.hop.clone(),
                is_claim: one.is_claim,
            });
            due.collect::<Vec<_>>()
        };
        let all = inner.waiting.iter().map(|(home, waiting)| (*home, changes(home, waiting)));
        all.filter(|(_, changes)| !changes.is_empty()).collect()
    }

    /// A change was written.
    pub fn wrote(&self, home: HomeId, hop: Hop) {
        let mut inner = self.inner();
        let at = hop.which.place();
        if let Some(waiting) = inner.waiting.get_mut(&home) {
            waiting[at] = None;
        }
        inner.rows.entry(home).or_default()[at] = Some(Row { hop, broker: self.us });
    }

    /// The homes of which there may be news: that have rows, changes to be written, or a provider.
    pub fn homes(&self) -> HashSet<HomeId> {
        let inner = self.inner();
        inner.rows.keys().chain(inner.waiting.keys()).chain(inner.provided.keys()).copied().collect()
    }

    /// The hops of each home as its rows say.
    pub fn rows(&self) -> Vec<(HomeId, Rows)> {
        self.inner().rows.iter().map(|(home, rows)| (*home, rows.clone())).collect()
    }
}

/// What need not be written of a hop that has no row yet: that it never was, and a provider that answers.
fn is_nothing(hop: &Hop) -> bool {
    hop.state == State::Unknown || (hop.which == Which::Provider && hop.state == State::Up)
}
