//! One wheel for all pings: a timer for everybody, not one for each socket.
//!
//! Each socket stands at one of [`TURN`] places and gets a beat when the hand comes by, once a turn.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::mailbox::Mailbox;

/// Seconds in a turn. A ping a turn, and the end when it is unanswered a turn later: a home that went
/// silent is noticed within 20 s (T5 allows 30, and a page looks every 5).
const TURN: usize = 10;

/// The wheel.
#[derive(Debug, Default)]
pub(super) struct Wheel(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    places: [Vec<Weak<Mailbox>>; TURN],
    hand: usize,
    /// Where the next socket stands, so that they are spread evenly.
    next: usize,
}

impl Wheel {
    /// Gives a socket a place, until it is dropped.
    pub(super) fn add(&self, mailbox: &Arc<Mailbox>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = places.next;
        places.next = (next + 1) % TURN;
        places.places[next].push(Arc::downgrade(mailbox));
    }

    /// Moves the hand by one place.
    fn tick(&self) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hand = places.hand;
        places.hand = (hand + 1) % TURN;
        let place = &mut places.places[hand];
        place.retain(|mailbox| mailbox.upgrade().inspect(|mailbox| mailbox.beat()).is_some());
        if place.capacity() > place.len() * 4 {
            place.shrink_to_fit();
        }
    }

    /// Turns until told to stop.
    pub(super) async fn turn(&self, stop: CancellationToken) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(seconds.tick()).await.is_some() {
            self.tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::super::mailbox::{Mail, code};
    use super::*;

    #[test]
    fn everybody_is_pinged_once_a_turn_and_not_all_at_once() {
        let wheel = Wheel::default();
        let sockets: Vec<_> = (0..TURN * 2).map(|_| Arc::new(Mailbox::new(4, 1))).collect();
        sockets.iter().for_each(|mailbox| wheel.add(mailbox));
        let mail = |mailbox: &Mailbox| mailbox.poll(&mut Context::from_waker(Waker::noop()));
        for _ in 0..TURN {
            wheel.tick();
            let pinged = sockets.iter().filter(|mailbox| mail(mailbox) == Poll::Ready(Mail::Ping)).count();
            assert_eq!(pinged, 2);
        }
        (0..TURN).for_each(|_| wheel.tick());
        assert!(sockets.iter().all(|mailbox| mail(mailbox) == Poll::Ready(Mail::End(code::SILENT))));
    }

    #[test]
    fn who_is_gone_leaves_nothing_behind() {
        let wheel = Wheel::default();
        (0..1000).for_each(|_| wheel.add(&Arc::new(Mailbox::new(4, 1))));
        (0..TURN).for_each(|_| wheel.tick());
        let places = wheel.0.lock().unwrap();
        assert_eq!(places.places.iter().map(|place| place.len() + place.capacity()).sum::<usize>(), 0);
    }
}
