//! What has changed and is yet to be told: for each entity only the newest.
//!
//! Never more entries than entities are watched: a reader that lags finds fresh states, not a backlog.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use shared::entity::{EntityId, EntityState};
use tokio::sync::Notify;

/// States on their way up.
#[derive(Debug, Default)]
pub struct News {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// With each entity the number of its change, so that they leave in the order in which they came.
    newest: HashMap<EntityId, (u64, Option<EntityState>)>,
    count: u64,
}

impl News {
    /// Tells of new states; `None` is an entity that is not there (any more).
    pub fn tell(&self, states: impl IntoIterator<Item = (EntityId, Option<EntityState>)>) {
        let mut told = false;
        let mut waiting = self.lock();
        for (entity_id, state) in states {
            waiting.count += 1;
            let count = waiting.count;
            waiting.newest.insert(entity_id, (count, state));
            told = true;
        }
        drop(waiting);
        if told {
            self.bell.notify_one();
        }
    }

    /// Takes all that waits, oldest change first.
    pub fn take(&self) -> Vec<(EntityId, Option<EntityState>)> {
        let mut all: Vec<_> = self.lock().newest.drain().collect();
        all.sort_unstable_by_key(|(_, (count, _))| *count);
        all.into_iter().map(|(entity_id, (_, state))| (entity_id, state)).collect()
    }

    /// Forgets what waits of entities that are not watched.
    pub fn keep_only(&self, watched: &BTreeSet<EntityId>) {
        self.lock().newest.retain(|entity_id, _| watched.contains(entity_id));
    }

    /// Waits until there is something to take. One reader at a time.
    pub async fn arrived(&self) {
        self.bell.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nobody panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_newest_of_each_is_told_and_in_order() {
        let id = |text: &str| text.parse::<EntityId>().unwrap();
        let news = News::default();
        news.tell([(id("light.a"), None), (id("light.b"), None)]);
        news.tell([(id("light.a"), None)]);
        news.arrived().await;
        let taken: Vec<_> = news.take().into_iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(taken, ["light.b", "light.a"]);
        assert!(news.take().is_empty());
    }

    #[test]
    fn what_is_not_watched_any_more_is_forgotten() {
        let id = |text: &str| text.parse::<EntityId>().unwrap();
        let news = News::default();
        news.tell([(id("light.a"), None), (id("light.b"), None)]);
        news.keep_only(&BTreeSet::from([id("light.b")]));
        assert_eq!(news.take(), [(id("light.b"), None)]);
    }
}
