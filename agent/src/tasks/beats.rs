//! Whether tasks still do anything: each time one is polled is a beat.
//!
//! A task that waits for ever for something that never comes is not polled, and neither is one that keeps its thread;
//! to the rest of the program both look alive.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

/// The beats of some tasks.
#[derive(Debug)]
pub struct Beats {
    began: Instant,
    all: Mutex<Vec<Beat>>,
}

#[derive(Debug)]
struct Beat {
    name: &'static str,
    quiet: Duration,
    last: Arc<AtomicU64>,
}

impl Default for Beats {
    fn default() -> Self {
        Self { began: Instant::now(), all: Mutex::default() }
    }
}

impl Beats {
    /// Listens to a task that is never quiet for longer than `quiet` while it is well.
    pub fn listen<F: Future + Send + 'static>(
        &self,
        name: &'static str,
        quiet: Duration,
        work: F,
    ) -> impl Future<Output = F::Output> + Send + use<F> {
        let last = Arc::new(AtomicU64::new(self.now()));
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Beat {
            name,
            quiet,
            last: Arc::clone(&last),
        });
        Beating { work: Box::pin(work), began: self.began, last }
    }

    /// A task that has been quiet for too long.
    pub fn stalled(&self) -> Option<&'static str> {
        let now = self.now();
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let is_quiet = |beat: &&Beat| {
            Duration::from_millis(now.saturating_sub(beat.last.load(Ordering::Relaxed))) > beat.quiet
        };
        all.iter().find(is_quiet).map(|beat| beat.name)
    }

    fn now(&self) -> u64 {
        since(self.began)
    }
}

fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

struct Beating<F> {
    work: Pin<Box<F>>,
    began: Instant,
    last: Arc<AtomicU64>,
}

impl<F: Future> Future for Beating<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.last.store(since(self.began), Ordering::Relaxed);
        self.work.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, interval};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_ever_is_named() {
        let beats = Beats::default();
        let quiet = Duration::from_secs(60);
        let busy = beats.listen("busy", quiet, async {
            let mut ticks = interval(Duration::from_secs(10));
            loop {
                ticks.tick().await;
            }
        });
        let stuck = beats.listen("stuck", quiet, std::future::pending::<()>());
        tokio::spawn(busy);
        tokio::spawn(stuck);
        for _ in 0..6 {
            advance(Duration::from_secs(10)).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(beats.stalled(), None);
        for _ in 0..2 {
            advance(Duration::from_secs(10)).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(beats.stalled(), Some("stuck"));
    }
}
