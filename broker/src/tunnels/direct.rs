//! The direct tunnel: homes whose agents have dialled us, and visitors' requests sent down to them.
//!
//! Invariants: a request goes down the line of the one home it was admitted for, re-framed and never as raw
//! bytes; its client address is what *we* saw, whatever the visitor wrote; when a line ends, everything that
//! ran over it ends with it.

mod headers;
mod line;
mod websocket;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use shared::id::HomeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tracing::info;

use line::Line;

/// What goes wrong while a body is streaming.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way through the broker, up or down; never held as a whole.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

/// How many changes (or hang-ups) a slow listener may be behind. When it is more, it hears `Lagged` and reads
/// [`Direct::since`] again.
const CHANGES: usize = 256;

/// A ping after this long without a frame, and the time until it must be answered: a line that is cut without a
/// word is noticed within 16 s (T5 allows 30, and a page looks every 5).
const PING: Duration = Duration::from_secs(8);

/// Where a forwarded request came from.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The address we accepted the connection from.
    pub peer: IpAddr,
    /// `http` or `https`, as the visitor's browser sees it.
    pub scheme: &'static str,
    /// The home's host as the visitor's browser sees it, with the port if it shows one.
    pub host: String,
}

/// Why a request was not answered by the home.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// No agent of this home has dialled.
    #[error("the home is not connected")]
    NotConnected,
    /// The line broke under the request, or takes no more.
    #[error("the line to the home broke: {0}")]
    Broke(String),
    /// The agent answers, but Home Assistant does not.
    #[error("the agent could not reach home assistant")]
    OriginDown,
    /// The request is one that proxies disagree about, so it goes nowhere (answer 400).
    #[error("{0}")]
    BadRequest(&'static str),
}

/// Why a line is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It never came up: the other side does not speak the protocol.
    NeverUp(String),
    /// The connection broke, or the agent has not answered pings.
    Lost(String),
    /// The home's agent has dialled again (or another agent of that home has).
    TakenOver,
    /// [`Direct::hang_up`].
    HungUp,
    /// The broker stops.
    Stopped,
}

/// A line that came up or went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whose line.
    pub home: HomeId,
    /// Whether the home can be reached now.
    pub up: bool,
}

/// The hub of lines: for each home at most one connection that its agent dialled.
#[derive(Clone)]
pub struct Direct {
    lines: Arc<Mutex<HashMap<HomeId, Arc<Line>>>>,
    changes: broadcast::Sender<Change>,
    hang_ups: broadcast::Sender<HomeId>,
    ping: Duration,
    stop: CancellationToken,
}

impl Direct {
    /// An empty hub. When `stop` is cancelled all lines end.
    pub fn new(stop: CancellationToken) -> Self {
        let (changes, hang_ups) = (broadcast::channel(CHANGES).0, broadcast::channel(CHANGES).0);
        Self { lines: Arc::default(), changes, hang_ups, ping: PING, stop }
    }

    /// Another time between pings than eight seconds; a dead line is noticed within two of them. The agent
    /// does its own pinging.
    #[must_use]
    pub fn pinging_every(self, ping: Duration) -> Self {
        Self { ping, ..self }
    }

    /// Serves one dialled connection, from the moment after the 101, until it ends, a newer one of the same
    /// home takes over, [`Direct::hang_up`] or the broker's stop. The caller has checked the tunnel token, and
    /// checks it after the 101: only from this call on a hang-up reaches the line.
    pub async fn serve<IO>(&self, home: HomeId, io: IO) -> Ended
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut hang_ups = self.hang_ups.subscribe();
        let opened = tokio::select! {
            opened = line::open(io, self.ping, &self.stop) => opened,
            () = self.stop.cancelled() => return Ended::Stopped,
        };
        let (line, connection) = match opened {
            Ok(opened) => opened,
            Err(err) => return Ended::NeverUp(format!("{err:#}")),
        };
        let registered = self.register(home, line);
        if heard_of(&mut hang_ups, home) {
            registered.line.end(Ended::HungUp);
        }
        info!(home.id = %home, "line up");
        let ended = registered.line.run(connection).await;
        let line = registered.line.clone();
        drop(registered);
        line.close().await;
        info!(home.id = %home, ?ended, "line down");
        ended
    }

    /// Forwards one request to `home`: a plain one, or a WebSocket upgrade over HTTP/1.1, whose
    /// `hyper::upgrade::OnUpgrade` must then be in the extensions. Bodies stream both ways with
    /// back-pressure. Dropping the future, or the answer's body, cancels the request in the home too.
    pub async fn forward<B>(
        &self,
        home: HomeId,
        visitor: &Visitor,
        request: Request<B>,
    ) -> Result<Response<Body>, Away>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        headers::vet(&request, visitor)?;
        let line = self.lines().get(&home).cloned().ok_or(Away::NotConnected)?;
        match websocket::asked_by(&request) {
            true => websocket::forward(&line, visitor, request).await,
            false => {
                let (mut head, body) = request.into_parts();
                headers::prepare(&mut head, visitor)?;
                line.send(Request::from_parts(head, line::boxed(body))).await
            }
        }
    }

    /// Ends the home's line and, within a second, everything that runs over it.
    pub fn hang_up(&self, home: HomeId) {
        // First to those whose hello is still under way: each is either told here or found below. No
        // listener is no error.
        _ = self.hang_ups.send(home);
        if let Some(line) = self.lines().get(&home) {
            line.end(Ended::HungUp);
        }
    }

    /// Since when the home is connected; `None` when it is not.
    pub fn since(&self, home: HomeId) -> Option<Instant> {
        self.lines().get(&home).map(|line| line.since)
    }

    /// Lines coming up and going down from now on. A takeover is an `up` without a `down` before it.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn register(&self, home: HomeId, line: Line) -> Registered<'_> {
        let line = Arc::new(line);
        let mut lines = self.lines();
        if let Some(older) = lines.insert(home, line.clone()) {
            older.end(Ended::TakenOver);
        }
        // Told under the lock, so that nobody hears of changes in another order than they happened. No
        // listener is no error.
        _ = self.changes.send(Change { home, up: true });
        Registered { hub: self, home, line }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<HomeId, Arc<Line>>> {
        // Nothing that can panic runs under this lock, and the map is whole after each statement.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `home` was hung up on lately. Who missed something hangs up to be safe: the agent dials again.
fn heard_of(hang_ups: &mut broadcast::Receiver<HomeId>, home: HomeId) -> bool {
    loop {
        match hang_ups.try_recv() {
            Ok(other) if other != home => {}
            Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => return true,
            Err(_) => return false,
        }
    }
}

/// A line's place in the hub; given back on drop, even when [`Direct::serve`] itself is dropped half way.
struct Registered<'a> {
    hub: &'a Direct,
    home: HomeId,
    line: Arc<Line>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut lines = self.hub.lines();
        if lines.get(&self.home).is_some_and(|current| Arc::ptr_eq(current, &self.line)) {
            lines.remove(&self.home);
            _ = self.hub.changes.send(Change { home: self.home, up: false });
        }
        self.line.cut();
    }
}

#[cfg(test)]
mod tests;
