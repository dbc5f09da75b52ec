//! Cloudflare's API v4 as it was recorded: what cannot be had here. It keeps tunnels and DNS records of one
//! account, answers with the same envelopes, codes and quirks, fails when told to, and writes down what was
//! asked.
//!
//! Imitated: the envelope; 409 with 1013 for a taken name; 400 with 1022 while connections are counted, which is
//! for a while after they went; 81053 for a taken record; 403 with 10000 without the permission; 429 with
//! `Retry-After`; pages of HTML; answers that are lost before or after the deed; lists in pages, with deleted
//! tunnels in them unless they are filtered out; and an edge that does not know a new tunnel for a moment.

mod answers;
mod edge;
mod state;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::dns::Zone;
use answers::Said;
pub use state::{Connector, Record, State, Tunnel};

/// The account's tag.
pub const ACCOUNT: &str = "699d98642c564d2e855e9661899b7252";
/// The zone's tag.
pub const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
/// The name of the broker's list of accounts.
pub const ACCOUNTS: &str = "cloudflare.toml";
/// The API token that is good.
pub const TOKEN: &str = "cf-api-token-0123456789abcdefghijklmnop";

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After` in seconds.
    TooMany(u64),
    /// 500 with an envelope.
    Broken,
    /// 502 with a page of HTML.
    Html,
    /// The connection closes and nothing was done.
    Silence,
    /// It is done, and the connection closes before the answer.
    Lost,
}

/// When, within a call, it is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing is done yet.
    Before,
    /// It is done, and nobody was told.
    After,
}

/// What is held up: the first call that a test finds to be it.
struct Hold {
    when: When,
    is_it: fn(&Asked) -> bool,
    is_caught: bool,
}

/// One call, as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path after `/client/v4`.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The body; `tunnel_secret` is left out.
    pub body: Value,
    /// The status that was answered; none where no answer was given.
    pub answered: Option<StatusCode>,
}

impl Asked {
    /// Whether the call may have changed something.
    pub fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

/// The simulator; ends when dropped.
pub struct Cloudflare {
    /// Where it listens, on loopback.
    pub addr: SocketAddr,
    inner: Arc<Inner>,
    stopped: CancellationToken,
    _stop: DropGuard,
}

struct Inner {
    state: Mutex<State>,
    plan: Mutex<Plan>,
    asked: watch::Sender<Vec<Asked>>,
    held: watch::Sender<Held>,
}

/// How many calls are held up, and how often all of them were let go.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    now: usize,
    releases: u64,
}

/// What will go wrong.
#[derive(Default)]
struct Plan {
    /// What happens to the next calls, first come first.
    next: std::collections::VecDeque<Option<Fault>>,
    /// Of a hundred calls so many fail, drawn by a generator with this state.
    rate: Option<(u64, u64)>,
    /// Calls that are held up when they come; each catches one.
    holds: Vec<Hold>,
    /// Nobody is there at all.
    is_down: bool,
}

impl Plan {
    fn draw(&mut self) -> Option<Fault> {
        if self.is_down {
            return Some(Fault::Silence);
        }
        if let Some(planned) = self.next.pop_front() {
            return planned;
        }
        let (percent, seed) = self.rate.as_mut()?;
        // xorshift64: the same faults for the same seed.
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        let drawn = *seed >> 16;
        let kinds = [Fault::TooMany(0), Fault::Broken, Fault::Html, Fault::Silence, Fault::Lost];
        (drawn % 100 < *percent).then(|| kinds[(drawn / 100 % kinds.len() as u64) as usize])
    }
}

impl Cloudflare {
    /// Starts one on a free port of loopback, for names under `domain`.
    pub async fn start(domain: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let inner = Arc::new(Inner {
            state: Mutex::new(State::new(domain)),
            plan: Mutex::default(),
            asked: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, inner.clone(), stop.clone())));
        Self { addr, inner, stopped: stop.clone(), _stop: stop.drop_guard() }
    }

    /// The base of the API, as the broker's setting wants it.
    pub fn url(&self) -> Url {
        format!("http://{}/client/v4", self.addr).parse().expect("an address makes a URL")
    }

    /// What there is; to look at, and to change behind the broker's back.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts of its names, as its DNS servers would tell them.
    pub fn zone(&self) -> Zone {
        let inner = self.inner.clone();
        Arc::new(move |name| {
            let state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
            let is_seen =
                |record: &&Record| record.kind == "TXT" && record.name == name && !state.hides_texts;
            let texts = state.records.iter().filter(is_seen);
            texts.map(|record| record.content.trim_matches('"').to_owned()).collect()
        })
    }

    /// All calls so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.borrow().clone()
    }

    /// Waits until the calls satisfy `enough`; panics with `what` after twenty seconds.
    pub async fn until(&self, what: &str, enough: impl FnMut(&Vec<Asked>) -> bool) {
        let mut asked = self.inner.asked.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(20), asked.wait_for(enough)).await;
        assert!(matches!(waited, Ok(Ok(_))), "still missing: {what}; asked so far: {:#?}", self.asked());
    }

    /// What becomes of the next calls; `None` lets one through.
    pub fn fail_next(&self, faults: &[Option<Fault>]) {
        self.inner.plan().next.extend(faults);
    }

    /// Lets so many of a hundred calls fail, each in one of the five ways; the same for the same seed. 0 ends it.
    pub fn fail_at_a_rate(&self, percent: u64, seed: u64) {
        self.inner.plan().rate = (percent > 0).then_some((percent, seed.max(1)));
    }

    /// Takes it away, or brings it back.
    pub fn set_down(&self, is_down: bool) {
        self.inner.plan().is_down = is_down;
    }

    /// Holds up the next call that is it, until [`Cloudflare::release`].
    pub fn hold(&self, when: When, is_it: fn(&Asked) -> bool) {
        self.inner.plan().holds.push(Hold { when, is_it, is_caught: false });
    }

    /// Waits until so many calls are held up; panics after twenty seconds.
    pub async fn until_held(&self, count: usize) {
        let mut held = self.inner.held.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(20), held.wait_for(|held| held.now >= count)).await;
        let now = self.inner.held.borrow().now;
        assert!(
            matches!(waited, Ok(Ok(_))),
            "{now} of {count} calls are held up; asked so far: {:#?}",
            self.asked()
        );
    }

    /// Lets go what is held up, whose answer goes nowhere, and holds up nothing more.
    pub fn release(&self) {
        self.inner.plan().holds.clear();
        self.inner.held.send_modify(|held| *held = Held { now: 0, releases: held.releases + 1 });
    }

    /// Writes the broker's list of accounts with this one in it, and the file with its token, into a folder.
    /// Asked fast and with little patience, as tests are.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_accounts(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let (list, token) = (folder.join(ACCOUNTS), folder.join("cloudflare.token"));
        std::fs::write(&token, TOKEN)?;
        std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let text = format!(
            "[[account]]\ndomain = \"{}\"\naccount = \"{ACCOUNT}\"\nzone = \"{ZONE}\"\n\
             token_file = \"cloudflare.token\"\napi = \"{}\"\ncalls_per_second = 500\npatience_seconds = 2\n",
            self.state().domain,
            self.url(),
        );
        std::fs::write(&list, text)?;
        Ok(list)
    }
}

impl Inner {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When this call is to be held up, if it is, and how often calls had been let go before.
    fn caught(&self, asked: &Asked) -> Option<(When, u64)> {
        let mut plan = self.plan();
        let hold = plan.holds.iter_mut().find(|hold| !hold.is_caught && (hold.is_it)(asked))?;
        hold.is_caught = true;
        Some((hold.when, self.held.borrow().releases))
    }

    /// Holds up a call until all are let go.
    async fn hold_up(&self, releases: u64) {
        self.held.send_modify(|held| held.now += usize::from(held.releases == releases));
        // Fails only when the simulator itself has ended.
        _ = self.held.subscribe().wait_for(|held| held.releases > releases).await;
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>, stop: CancellationToken) {
    while let Ok((socket, _)) = listener.accept().await {
        let inner = inner.clone();
        let service = hyper::service::service_fn(move |request| answer(inner.clone(), request));
        let serving =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move { _ = serving.await }));
    }
}

/// The connection is closed instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

impl From<Infallible> for NoAnswer {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
    let fault = inner.plan().draw();
    let query = parts.uri.query().unwrap_or_default();
    let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let path = parts.uri.path().strip_prefix("/client/v4/").unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut asked = Asked { method: parts.method, path, query, body: body.clone(), answered: None };
    if let Some(fields) = asked.body.as_object_mut() {
        fields.remove("tunnel_secret");
    }
    let caught = inner.caught(&asked);
    if let Some((When::Before, releases)) = caught {
        inner.hold_up(releases).await;
        return Err(NoAnswer);
    }
    let bearer = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let is_done = matches!(fault, None | Some(Fault::Lost));
    let said = is_done.then(|| {
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        answers::answer(&mut state, bearer, &asked, &body)
    });
    let answer = match (fault, said) {
        (None, Some(said)) => Some(said),
        (Some(Fault::TooMany(seconds)), _) => Some(Said::too_many(seconds)),
        (Some(Fault::Broken), _) => Some(Said::no(500, 10001, "An internal error prevented the request")),
        (Some(Fault::Html), _) => Some(Said::html()),
        _ => None,
    };
    asked.answered = answer.as_ref().map(|said| said.status);
    inner.asked.send_modify(|all| all.push(asked));
    if let Some((When::After, releases)) = caught {
        inner.hold_up(releases).await;
        return Err(NoAnswer);
    }
    answer.map(Said::response).ok_or(NoAnswer)
}
