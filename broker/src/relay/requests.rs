//! Requests to an agent that are not answered yet.
//!
//! Invariant: at most [`MOST`] wait at once, and none outlives its asker or its agent's socket.

use std::collections::HashMap;

use shared::relay::Outcome;
use tokio::sync::oneshot;

use super::Listing;

/// So many requests may wait for one agent; one more is refused as if it were away.
const MOST: usize = 256;
/// The longest list taken, in entities; the rest is left out.
const LONGEST: usize = 20_000;

/// Who waits, for what.
#[derive(Debug)]
pub(super) enum Ask {
    /// What came of a control.
    Control(oneshot::Sender<Outcome>),
    /// The list, and what of it came so far.
    List(Listing, oneshot::Sender<Listing>),
}

/// The requests of one agent, by number.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: HashMap<u64, Ask>,
    last: u64,
}

impl Requests {
    /// Gives a request its number; `None` when too many wait.
    pub(super) fn add(&mut self, ask: Ask) -> Option<u64> {
        if self.waiting.len() >= MOST {
            return None;
        }
        self.last += 1;
        self.waiting.insert(self.last, ask);
        Some(self.last)
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&mut self, request: u64) {
        self.waiting.remove(&request);
    }

    /// Nobody will answer: whoever waits learns it at once.
    pub(super) fn drop_all(&mut self) {
        self.waiting.clear();
    }

    /// An answer to a control; one that nobody waits for (any more) is skipped.
    pub(super) fn controlled(&mut self, request: u64, outcome: Outcome) {
        if let Some(Ask::Control(_)) = self.waiting.get(&request)
            && let Some(Ask::Control(tell)) = self.waiting.remove(&request)
        {
            _ = tell.send(outcome);
        }
    }

    /// A part of a list.
    pub(super) fn listing(&mut self, request: u64, part: Listing, more: bool) {
        let Some(Ask::List(listed, _)) = self.waiting.get_mut(&request) else { return };
        let room = LONGEST - listed.entities.len();
        listed.entities.extend(part.entities.into_iter().take(room));
        listed.withheld = listed.withheld.saturating_add(part.withheld);
        if !more && let Some(Ask::List(listed, tell)) = self.waiting.remove(&request) {
            _ = tell.send(listed);
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::entity::Listed;

    use super::*;

    fn lamp(name: &str) -> Listed {
        let (entity_id, name) = ("light.a".parse().unwrap(), name.to_owned());
        Listed { entity_id, name, area: None, floor: None, view_only: false }
    }

    fn part(name: &str, withheld: u32) -> Listing {
        Listing { entities: vec![lamp(name)], withheld }
    }

    #[test]
    fn a_list_is_whole_when_its_last_part_is_there() {
        let mut requests = Requests::default();
        let (tell, mut answer) = oneshot::channel();
        let number = requests.add(Ask::List(Listing::default(), tell)).unwrap();
        requests.listing(number, part("a", 0), true);
        requests.controlled(number, Outcome::TimedOut);
        assert!(answer.try_recv().is_err());
        requests.listing(number, part("b", 3), false);
        let whole = Listing { entities: vec![lamp("a"), lamp("b")], withheld: 3 };
        assert_eq!(answer.try_recv().unwrap(), whole);
    }

    #[test]
    fn an_agent_that_left_answers_nobody() {
        let mut requests = Requests::default();
        let (tell, mut answer) = oneshot::channel();
        requests.add(Ask::Control(tell)).unwrap();
        requests.drop_all();
        assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn only_so_many_wait_at_once() {
        let mut requests = Requests::default();
        let mut add = || requests.add(Ask::Control(oneshot::channel().0));
        assert!((0..MOST).all(|_| add().is_some()) && add().is_none());
        requests.forget(1);
        assert!(requests.add(Ask::Control(oneshot::channel().0)).is_some());
    }
}
