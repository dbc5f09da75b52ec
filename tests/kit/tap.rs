//! A tap on the line: a plain TCP proxy in front of the broker that passes everything on, byte for byte, and
//! writes down what agents say and hear.
//!
//! An agent's connection is one whose first request goes to `/agent/…`, `/api/…` or `/oauth2/…`; those of
//! people pass unseen. Of the relay's socket the frames are kept, unmasked and of every kind (a ping can carry
//! words too); of the rest the bytes as they are.

mod frames;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use shared::relay;
use shared::tunnel::DIRECT_PATH;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use frames::Frames;

const AGENTS: [&[u8]; 6] =
    [b"GET /agent/", b"GET /api/", b"POST /api/", b"GET /oauth2/", b"POST /oauth2/", b"GET /.well-known/"];

/// A running tap; ends when dropped.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    broker: Arc<Mutex<Option<SocketAddr>>>,
    heard: Arc<Mutex<Heard>>,
    /// Whether tunnels are held.
    held: watch::Sender<bool>,
    _stop: DropGuard,
}

/// What was written down.
#[derive(Debug, Default)]
struct Heard {
    up: Vec<String>,
    down: Vec<String>,
    /// What agents sent beside the relay's frames: requests, and whatever else they hold open.
    beside: Vec<u8>,
}

impl Tap {
    /// Listens on a free port of loopback. Who connects before [`Tap::lead_to`] is hung up on.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen with a tap")?;
        let address = listener.local_addr()?;
        let (broker, heard) = (Arc::<Mutex<_>>::default(), Arc::<Mutex<_>>::default());
        let stop = CancellationToken::new();
        let held = watch::Sender::new(false);
        let line = Line { broker: Arc::clone(&broker), heard: Arc::clone(&heard), held: held.clone() };
        tokio::spawn(stop.clone().run_until_cancelled_owned(line.accept(listener)));
        Ok(Self { address, broker, heard, held, _stop: stop.drop_guard() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads to the broker at this address from now on.
    pub fn lead_to(&self, broker: SocketAddr) {
        *locked(&self.broker) = Some(broker);
    }

    /// Cuts the tunnels without a word: what is sent over them is lost, and nobody is told. Those that are dialled
    /// meanwhile lead nowhere either.
    pub fn hold_tunnels(&self) {
        self.held.send_replace(true);
    }

    /// Lets tunnels through again; those that were held are hung up.
    pub fn release_tunnels(&self) {
        self.held.send_replace(false);
    }

    /// Every frame that agents sent over the relay so far, in order; what is not text is shown as such.
    pub fn up(&self) -> Vec<String> {
        locked(&self.heard).up.clone()
    }

    /// Every frame that agents were sent over the relay so far.
    pub fn down(&self) -> Vec<String> {
        locked(&self.heard).down.clone()
    }

    /// Whether these words ever left an agent, in a frame or beside them.
    pub fn left(&self, words: &str) -> bool {
        let heard = locked(&self.heard);
        let beside = heard.beside.windows(words.len()).any(|window| window == words.as_bytes());
        beside || heard.up.iter().any(|frame| frame.contains(words))
    }

    /// Forgets what was written down so far.
    pub fn forget(&self) {
        *locked(&self.heard) = Heard::default();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is written down of one direction of a connection.
enum Noting {
    Nothing,
    Bytes,
    Up(Frames),
    Down(Frames),
}

#[derive(Clone)]
struct Line {
    broker: Arc<Mutex<Option<SocketAddr>>>,
    heard: Arc<Mutex<Heard>>,
    held: watch::Sender<bool>,
}

impl Line {
    async fn accept(self, listener: TcpListener) {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let _stop = stop.clone().drop_guard();
        while let Ok((near, _)) = listener.accept().await {
            let line = self.clone();
            tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
                // A connection that breaks off is not the tap's business: both ends notice.
                _ = line.pass(near).await;
            }));
        }
    }

    async fn pass(&self, near: TcpStream) -> Result<()> {
        let broker = locked(&self.broker).context("the tap leads nowhere yet")?;
        let far = TcpStream::connect(broker).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        // A request's first bytes come in one piece from every client we use.
        let mut first = vec![0; 16 << 10];
        let length = near_in.read(&mut first).await?;
        first.truncate(length);
        let (mut up, down) = whose(&first);
        let is_tunnel = first.starts_with(format!("GET {DIRECT_PATH} ").as_bytes());
        let mut held = self.held.subscribe();
        self.note(&mut up, &first);
        let passing = async {
            far_out.write_all(&first).await?;
            // Whichever side ends first ends both: a broker that hung up must be seen to have done so.
            tokio::select! {
                passed = self.copy(&mut near_in, &mut far_out, up) => passed,
                passed = self.copy(&mut far_in, &mut near_out, down) => passed,
            }
        };
        tokio::select! {
            biased;
            Ok(_) = held.wait_for(|held| *held && is_tunnel) => {}
            passed = passing => return passed,
        }
        // All four halves are still open, and nobody reads them.
        _ = held.wait_for(|held| !held).await;
        Ok(())
    }

    async fn copy(
        &self,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
        mut noting: Noting,
    ) -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return Ok(to.shutdown().await?);
            }
            self.note(&mut noting, &buffer[..length]);
            to.write_all(&buffer[..length]).await?;
        }
    }

    fn note(&self, noting: &mut Noting, bytes: &[u8]) {
        let mut heard = locked(&self.heard);
        match noting {
            Noting::Nothing => {}
            Noting::Bytes => heard.beside.extend_from_slice(bytes),
            Noting::Up(frames) => heard.up.extend(frames.read(bytes)),
            Noting::Down(frames) => heard.down.extend(frames.read(bytes)),
        }
    }
}

fn whose(first: &[u8]) -> (Noting, Noting) {
    if first.starts_with(format!("GET {} ", relay::PATH).as_bytes()) {
        return (Noting::Up(Frames::default()), Noting::Down(Frames::default()));
    }
    let is_agents = AGENTS.iter().any(|start| first.starts_with(start));
    (if is_agents { Noting::Bytes } else { Noting::Nothing }, Noting::Nothing)
}
