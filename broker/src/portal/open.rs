//! Which sockets each link has open, so that they close when it ends.
//!
//! Invariant: a socket registered here closes when its link ends, even if the link ended between the look
//! into the database and the registration: [`Open::ended`] tells whether any did.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use shared::id::LinkId;
use shared::relay::close;

use crate::relay::Closer;

/// One link may have so many pages open; one more is told to come back later.
const MOST: usize = 10_000;

/// The open sockets, by link.
#[derive(Debug, Default)]
pub(super) struct Open(Mutex<Sockets>);

#[derive(Debug, Default)]
struct Sockets {
    of: HashMap<LinkId, Vec<Closer>>,
    ended: u64,
}

impl Open {
    /// How many links have ended so far. If it is the same before a link is read and after its socket is
    /// registered, none ended in between.
    pub(super) fn ended(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ended
    }

    /// Registers a socket; `false` when the link has too many.
    pub(super) fn add(&self, link: LinkId, closer: Closer) -> bool {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = sockets.of.entry(link).or_default();
        // Those that went are thrown out when the room they take would otherwise have to grow.
        if of.len() == of.capacity() {
            of.retain(Closer::is_open);
        }
        let fits = of.len() < MOST;
        if fits {
            of.push(closer);
        }
        fits
    }

    /// A socket of this link went; the last one takes the entry with it.
    pub(super) fn tidy(&self, link: LinkId) {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = sockets.of.get_mut(&link)
            && of.iter().all(|closer| !closer.is_open())
        {
            sockets.of.remove(&link);
        }
    }

    /// The link ended: its sockets close.
    pub(super) fn end(&self, link: LinkId) {
        let closing = {
            let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sockets.ended += 1;
            sockets.of.remove(&link).unwrap_or_default()
        };
        closing.iter().for_each(|closer| closer.close(close::REVOKED));
    }
}
