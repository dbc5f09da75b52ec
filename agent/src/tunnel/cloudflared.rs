//! A tunnel at Cloudflare: `cloudflared` runs it, and this looks after `cloudflared`.
//!
//! 1. The token is looked at ([`token`]), the program found and asked for its version ([`binary`]).
//! 2. It is started with nothing of ours but what it needs ([`child`]), by a thread with which it dies ([`mortal`]).
//! 3. What it writes ([`lines`], [`log`]) and what its metrics server says ([`health`]) become one [`course`], and
//!    that says how the tunnel is, and when the program must be ended and why.
//! 4. Whoever called starts it again, with a fresh token where Cloudflare refuses the old one.
//!
//! Invariants: no child outlives the agent, however that ends; the token is never on a command line, in an
//! environment or in a log; the tunnel leads to Home Assistant and nowhere else ([`ingress`]).

mod binary;
mod child;
mod course;
mod health;
mod ingress;
pub mod install;
mod lines;
mod log;
mod mortal;
mod quic;
mod token;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use shared::relay::TunnelTrouble;
use shared::secret::Secret;
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Status;
use crate::config::Settings;
use crate::config::cloudflared::{Cloudflared, Protocol};
use crate::tasks::Starter;
use binary::Unfit;
use child::{Child, Den, Launch};
use course::{Course, Verdict};
use health::{Look, Probe};
use ingress::Allowed;
use lines::Lines;
use log::{Censor, Meaning};
use quic::Quic;
use token::Token;

pub use token::check;

/// The last lines of one that has ended are waited for no longer.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// And no more of them are read.
const LAST_LINES: usize = 200;
/// Other words for the same trouble are passed on no more often than this.
const SAME_TROUBLE: Duration = Duration::from_secs(60);
/// How often within the time between two looks a verdict is asked for.
const TICKS: u32 = 5;

/// Why there is no tunnel, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// What is remembered as a token is none.
    #[error("the tunnel's token is not good: {0}")]
    BadToken(String),
    /// There is no program that can be used.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It could not be started.
    #[error("start cloudflared: {0}")]
    NotStarted(#[from] io::Error),
    /// It had to be ended.
    #[error(transparent)]
    Ended(#[from] Verdict),
    /// It ended by itself.
    #[error("cloudflared: {0}")]
    EndedItself(String),
}

impl Lost {
    /// Whether the token is to be blamed, so that a fresh one is worth asking for.
    pub fn blames_token(&self) -> bool {
        matches!(self, Self::BadToken(_) | Self::Ended(Verdict::Unauthorized(_)))
    }

    /// Whether it was shut because it led elsewhere: each further start opens it again for a moment.
    pub fn is_breach(&self) -> bool {
        matches!(self, Self::Ended(Verdict::Breach(_)))
    }

    /// In one word.
    pub fn trouble(&self) -> TunnelTrouble {
        match self {
            Self::BadToken(_) | Self::Ended(Verdict::Unauthorized(_)) => TunnelTrouble::Refused,
            Self::Unfit(_) | Self::NotStarted(_) => TunnelTrouble::NoProgram,
            Self::Ended(Verdict::Breach(_)) => TunnelTrouble::LeadsElsewhere,
            Self::Ended(Verdict::NoQuic) => TunnelTrouble::Edge,
            Self::Ended(Verdict::Hung(_) | Verdict::Floods) | Self::EndedItself(_) => TunnelTrouble::Program,
        }
    }
}

/// Looks after one `cloudflared` after the other.
#[derive(Debug)]
pub struct Supervisor {
    settings: Cloudflared,
    data_dir: PathBuf,
    allowed: Allowed,
    tls: Arc<ClientConfig>,
    starter: Starter,
    quic: Quic,
    stop: CancellationToken,
    status: watch::Sender<Status>,
}

/// Why one is watched no longer.
enum End {
    Told,
    Itself(io::Result<ExitStatus>),
    Verdict(Verdict),
}

impl Supervisor {
    /// One that has nothing to look after yet.
    ///
    /// # Errors
    /// The system has no thread to spare.
    pub fn new(
        settings: &Settings,
        tls: &Arc<ClientConfig>,
        stop: CancellationToken,
        status: watch::Sender<Status>,
    ) -> io::Result<Self> {
        Ok(Self {
            settings: settings.cloudflared.clone(),
            data_dir: settings.data_dir.clone(),
            allowed: Allowed::new(&settings.home_assistant, &settings.cloudflared.origins),
            tls: Arc::clone(tls),
            starter: Starter::new()?,
            quic: Quic::recall(&settings.data_dir),
            stop,
            status,
        })
    }

    /// Between two starts, at most.
    pub fn longest_wait(&self) -> Duration {
        self.settings.timings.longest_wait
    }

    /// Runs a tunnel until told to stop. `up`: since when it was connected.
    ///
    /// # Errors
    /// Why it does not run any more. No child is left.
    pub async fn run(&self, token: &Secret, up: &mut Option<Instant>) -> Result<(), Lost> {
        let token = Token::parse(token).map_err(Lost::BadToken)?;
        let den = Den::make(&runtime(&self.settings, &self.data_dir))?;
        let program = binary::find(&self.settings, &self.data_dir)?;
        let version = binary::version(&program, &den.home, &self.starter).await?;
        binary::suffices(&program, version)?;
        loop {
            let protocol = self.quic.instead_of(self.settings.protocol);
            let launch = Launch { program: &program, token: &token, protocol, settings: &self.settings };
            match self.once(&launch, &den, up).await {
                Err(Lost::Ended(Verdict::NoQuic)) => {
                    warn!("QUIC (UDP port 7844) does not get through to Cloudflare; using HTTP/2 for a day");
                    self.quic.is_blocked();
                }
                ended => return ended,
            }
        }
    }

    /// One child, from its start to its end.
    async fn once(&self, launch: &Launch<'_>, den: &Den, up: &mut Option<Instant>) -> Result<(), Lost> {
        let (mut child, mut lines) = Child::start(launch, den, &self.starter).await?;
        info!(pid = child.id(), program = %launch.program.display(), protocol = launch.protocol.word(), "cloudflared started");
        let mut watched = Watched::new(self, launch.protocol, launch.token);
        let end = watched.watch(&mut child, &mut lines, den).await;
        *up = watched.course.registered();
        den.forget_token();
        match end {
            End::Told => {
                child.stop(&mut lines).await;
                Ok(())
            }
            End::Itself(ended) => {
                watched.last_words(&mut lines).await;
                let how = child::in_words(&ended);
                let words = watched.course.last_words().map(|words| format!(": {words}")).unwrap_or_default();
                Err(Lost::EndedItself(how + &words))
            }
            End::Verdict(verdict) => {
                // One that was connected may have visitors.
                let may_finish = matches!(verdict, Verdict::Unauthorized(_)) && up.is_some();
                if may_finish {
                    child.stop(&mut lines).await
                } else {
                    child.kill().await
                }
                Err(verdict.into())
            }
        }
    }
}

/// The private folder for the program.
fn runtime(settings: &Cloudflared, data_dir: &Path) -> PathBuf {
    settings.runtime_dir.as_deref().unwrap_or(data_dir).join("cloudflared")
}

/// One child that is watched.
struct Watched<'a> {
    supervisor: &'a Supervisor,
    course: Course,
    censor: Censor,
    look_at: Instant,
    looking: Option<BoxFuture<'static, (Probe, Look)>>,
    probe: Option<Probe>,
    floods: bool,
    /// When a reason was told last.
    told: Option<Instant>,
}

impl<'a> Watched<'a> {
    fn new(supervisor: &'a Supervisor, protocol: Protocol, token: &Token) -> Self {
        let now = Instant::now();
        let timings = supervisor.settings.timings.clone();
        Self {
            supervisor,
            course: Course::new(timings, protocol, supervisor.allowed.clone(), now),
            censor: Censor::new(token),
            look_at: now,
            looking: None,
            probe: None,
            floods: false,
            told: None,
        }
    }

    async fn watch(&mut self, child: &mut Child, lines: &mut Lines<ChildStderr>, den: &Den) -> End {
        let every = self.supervisor.settings.timings.look;
        let mut tick = interval(every / TICKS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut writes = true;
        loop {
            tokio::select! {
                () = self.supervisor.stop.cancelled() => return End::Told,
                ended = child.ended() => return End::Itself(ended),
                line = lines.next(), if writes => match line {
                    Some(line) => self.hear(&line.0, den),
                    None => writes = false,
                },
                (probe, look) = answer(&mut self.looking) => {
                    self.looking = None;
                    self.probe = Some(probe);
                    self.look_at = Instant::now() + every;
                    self.course.see(&look, Instant::now());
                }
                () = sleep_until(self.look_at), if self.probe.is_some() => {
                    self.looking = self.probe.take().map(|mut probe| {
                        async move {
                            let look = probe.look().await;
                            (probe, look)
                        }
                        .boxed()
                    });
                }
                _ = tick.tick() => {}
            }
            let now = Instant::now();
            let flooding = lines.flooding(now);
            if flooding.is_some() && !self.floods {
                warn!(
                    dropped = lines.dropped(),
                    "cloudflared writes more than can be read; leaving lines out"
                );
            }
            self.floods = flooding.is_some();
            if let Some(verdict) = self.course.verdict(flooding, now) {
                return End::Verdict(verdict);
            }
            self.tell(now);
        }
    }

    fn hear(&mut self, line: &str, den: &Den) {
        debug!(target: "cloudflared", "{}", self.censor.clean(line));
        let Some(meaning) = log::meaning(line) else { return };
        if let Meaning::Metrics(address) = &meaning {
            // The token was read before the metrics server was started.
            den.forget_token();
            self.probe = Probe::new(*address, &self.supervisor.tls).ok();
            self.look_at = Instant::now();
        }
        let censor = &self.censor;
        self.course.hear(&meaning, |text| censor.clean(text), Instant::now());
    }

    /// What it wrote before it ended, for whoever wants to know why.
    async fn last_words(&mut self, lines: &mut Lines<ChildStderr>) {
        for _ in 0..LAST_LINES {
            let Ok(Some(line)) = timeout(LAST_WORDS, lines.next()).await else { return };
            if let Some(meaning) = log::meaning(&line.0) {
                let censor = &self.censor;
                self.course.hear(&meaning, |text| censor.clean(text), Instant::now());
            }
        }
    }

    /// Says how the tunnel is. A trouble's words may change with every line, and each telling is written to disk.
    fn tell(&mut self, now: Instant) {
        let status = self.course.status(now);
        let lately = self.told.is_some_and(|at| now.duration_since(at) < SAME_TROUBLE);
        let news = self.supervisor.status.send_if_modified(|told| {
            let is_like = std::mem::discriminant(told) == std::mem::discriminant(&status);
            let is_news = *told != status && !(is_like && lately);
            if is_news {
                match &status {
                    Status::Connected => info!("the tunnel is up"),
                    Status::Connecting => {}
                    Status::Amiss(trouble) => warn!("the tunnel is up, but {}", trouble.reason),
                    Status::Lost(trouble) => warn!("no tunnel: {}", trouble.reason),
                }
                *told = status;
            }
            is_news
        });
        if news {
            self.told = Some(now);
        }
    }
}

/// What a look that is under way comes to; asked again it goes on.
async fn answer<T>(looking: &mut Option<BoxFuture<'static, T>>) -> T {
    match looking {
        Some(looking) => looking.await,
        None => std::future::pending().await,
    }
}
