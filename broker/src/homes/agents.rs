//! Which homes have an agent connected to this broker right now, from which machine, and since when.
//!
//! The relay says who comes and goes; the consent page asks before somebody pairs a second agent (T8).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::id::HomeId;

use crate::clock::Timestamp;

/// A home's agent that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// What its machine calls itself; may be empty.
    pub machine: String,
    /// Since when it is connected.
    pub since: Timestamp,
}

/// The homes' agents that are connected.
#[derive(Clone, Default)]
pub struct Agents(Arc<Mutex<HashMap<HomeId, Present>>>);

impl Agents {
    /// A home's agent came and said who it is; it takes the place of the one before.
    pub fn came(&self, home: HomeId, present: Present) {
        self.all().insert(home, present);
    }

    /// A home's agent left.
    pub fn left(&self, home: HomeId) {
        self.all().remove(&home);
    }

    /// A home's agent, if it is connected.
    pub fn of(&self, home: HomeId) -> Option<Present> {
        self.all().get(&home).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<HomeId, Present>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
