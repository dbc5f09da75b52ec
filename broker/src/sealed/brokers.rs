//! Which keys the brokers on one database know. Each has a list of its own, a file; a record that one seals must be
//! opened by all. So every broker says with each beat of its heart which keys it knows (their ids alone).

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::rows;
use crate::store::{self, Store};

/// How long a broker may take to read a list that was changed and to say so: two beats of its heart, and some. One
/// whose heart did not beat in this time is not there.
const PATIENCE: Duration = Duration::from_secs(12);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// What a broker has said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id, a new one at each start.
    pub id: i64,
    /// How often its heart has beaten.
    pub beat: i64,
    /// The ids of the keys it knows, the one it seals with first.
    pub keys: Vec<String>,
}

impl Broker {
    /// Whether it opens what is sealed with this key.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// Whether it seals with this key.
    pub fn seals_with(&self, key: &str) -> bool {
        self.keys.first().is_some_and(|first| first == key)
    }
}

/// Waits until every broker is as it should be, or is known to be gone; those that live and are not. A database
/// with one broker has one key list, which that broker reads at once: nobody is waited for.
///
/// # Errors
/// When the database does not answer.
pub async fn lagging(store: &Store, is_well: impl Fn(&Broker) -> bool) -> store::Result<Vec<Broker>> {
    if store.is_alone() {
        return Ok(Vec::new());
    }
    let until = Instant::now() + PATIENCE;
    let mut first: Option<HashMap<i64, i64>> = None;
    loop {
        let mut brokers = rows::brokers(&mut *store.read().await?).await?;
        let known = first.get_or_insert_with(|| brokers.iter().map(|one| (one.id, one.beat)).collect());
        brokers.retain(|one| !is_well(one));
        if brokers.is_empty() || Instant::now() >= until {
            brokers.retain(|one| known.get(&one.id) != Some(&one.beat));
            return Ok(brokers);
        }
        sleep(LOOK).await;
    }
}
