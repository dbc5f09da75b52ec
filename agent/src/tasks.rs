//! Starting tasks that someone waits for, and waiting between tries.
//!
//! Invariant: no task outlives its [`Tasks`]; a vital one that ends, in whatever way, stops all the others.

mod beats;

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

pub use beats::Beats;

/// So long a restless task may do nothing at all: three times the longest wait between tries (a minute).
const LONGEST_QUIET: Duration = Duration::from_secs(180);

/// The tasks of one agent.
#[derive(Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Why the first vital task ended, if one did before it was told to.
    ended: Arc<Mutex<Option<anyhow::Error>>>,
    beats: Arc<Beats>,
}

impl Tasks {
    /// Cancelled when everything is to stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The beats of the tasks that are never quiet for long.
    pub fn beats(&self) -> Arc<Beats> {
        Arc::clone(&self.beats)
    }

    /// Like [`Tasks::vital`], for a task that does something every few minutes whatever happens.
    pub fn restless(
        &self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.vital(name, self.beats.listen(name, LONGEST_QUIET, work));
    }

    /// Starts a task without which the agent is nothing. Its error, or its end before everything is to stop,
    /// is the reason [`Tasks::finish`] gives.
    pub fn vital(&self, name: &'static str, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let end = End { name, stop: self.stop.clone(), reason: Arc::clone(&self.ended) };
        self.tracker.spawn(async move {
            if let Err(err) = work.await {
                end.because(err);
            }
        });
    }

    /// Waits until something ends the whole.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Stops every task and waits for them, but not for ever.
    ///
    /// # Errors
    /// The reason for which a vital task ended by itself.
    pub async fn finish(&self, patience: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            warn!(tasks = self.tracker.len(), "some tasks did not end in time");
        }
        self.ended.lock().expect("nobody panics while holding it").take().map_or(Ok(()), Err)
    }
}

/// The end of a vital task: dropped when it returns, and when it panics.
struct End {
    name: &'static str,
    stop: CancellationToken,
    reason: Arc<Mutex<Option<anyhow::Error>>>,
}

impl End {
    fn because(&self, err: anyhow::Error) {
        if !self.stop.is_cancelled() {
            self.reason.lock().expect("nobody panics while holding it").get_or_insert(err);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.because(anyhow::anyhow!("{} broke off", self.name));
        self.stop.cancel();
        debug!(name = self.name, "task ended");
    }
}

/// A thread that starts programs, and lives as long as this value.
///
/// A child that is to die with its parent is told by the kernel when the *thread* that started it ends
/// (`PR_SET_PDEATHSIG`, prctl(2)). Threads of the runtime come and go; this one ends when its owner does, however
/// that happens, and whatever it started ends with it.
#[derive(Debug)]
pub struct Starter {
    orders: mpsc::Sender<Order>,
}

type Order = Box<dyn FnOnce() + Send>;

impl Starter {
    /// Starts the thread. To be called within the runtime that is to look after the children.
    ///
    /// # Errors
    /// The system has no thread to spare.
    pub fn new() -> io::Result<Self> {
        let (orders, taken) = mpsc::channel::<Order>();
        let runtime = Handle::current();
        let carry_out = move || {
            let _inside = runtime.enter();
            taken.into_iter().for_each(|order| order());
        };
        thread::Builder::new().name("starter".to_owned()).spawn(carry_out)?;
        Ok(Self { orders })
    }

    /// Does something short on the thread, such as starting a program.
    ///
    /// # Errors
    /// As `work`; or the thread is gone.
    pub async fn carry_out<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (done, answer) = oneshot::channel();
        // Whoever asked may have gone; what was started is then dropped, which ends it.
        let order: Order = Box::new(move || _ = done.send(work()));
        let gone = || io::Error::other("the thread that starts programs is gone");
        self.orders.send(order).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// How long to wait before the next try: a random share of a ceiling that doubles up to a cap ("full jitter",
/// so that a thousand agents do not come back in step), and starts over after a try that lasted.
#[derive(Debug)]
pub struct Backoff {
    cap: Duration,
    ceiling: Duration,
}

const FIRST_CEILING: Duration = Duration::from_millis(200);
const A_GOOD_STRETCH: Duration = Duration::from_secs(30);

impl Backoff {
    /// Waits grow to at most `cap`.
    pub fn up_to(cap: Duration) -> Self {
        Self { cap, ceiling: FIRST_CEILING }
    }

    /// The wait after a try that lasted so long.
    pub fn after(&mut self, lasted: Duration) -> Duration {
        let mut random = [0u8; 2];
        // Without chance the wait is the longest, which harms nobody.
        let share = match aws_lc_rs::rand::fill(&mut random) {
            Ok(()) => f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX),
            Err(_) => 1.0,
        };
        self.step(lasted, share)
    }

    fn step(&mut self, lasted: Duration, share: f64) -> Duration {
        if lasted >= A_GOOD_STRETCH {
            self.ceiling = FIRST_CEILING;
        }
        let wait = self.ceiling.mul_f64(share).max(FIRST_CEILING / 4);
        self.ceiling = (self.ceiling * 2).min(self.cap);
        wait
    }
}

/// What time it is by this machine's clock, in milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_over_after_a_good_stretch() {
        let mut backoff = Backoff::up_to(Duration::from_secs(1));
        let mut waits = |lasted, share| backoff.step(Duration::from_secs(lasted), share).as_millis();
        assert_eq!(
            [waits(0, 1.0), waits(0, 1.0), waits(0, 1.0), waits(0, 1.0), waits(0, 1.0)],
            [200, 400, 800, 1000, 1000]
        );
        assert_eq!(waits(0, 0.5), 500);
        assert_eq!(waits(0, 0.0), 50);
        assert_eq!(waits(60, 1.0), 200);
    }

    #[tokio::test]
    async fn a_vital_task_that_ends_stops_the_others() {
        let tasks = Tasks::default();
        let stop = tasks.stop();
        tasks.vital("patient", async move {
            stop.cancelled().await;
            Ok(())
        });
        tasks.vital("broken", async { anyhow::bail!("the moon is full") });
        tasks.stopped().await;
        assert_eq!(tasks.finish(Duration::from_secs(5)).await.unwrap_err().to_string(), "the moon is full");
    }

    #[tokio::test]
    async fn a_vital_task_that_panics_stops_the_others() {
        let tasks = Tasks::default();
        tasks.vital("clumsy", async { panic!("on purpose") });
        tasks.stopped().await;
        assert_eq!(tasks.finish(Duration::from_secs(5)).await.unwrap_err().to_string(), "clumsy broke off");
    }
}
