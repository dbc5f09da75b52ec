//! Letters: by SMTP, or while no server is configured into a folder of files that a person can read.
//!
//! Whoever writes a letter puts it into the outbox, in the same transaction as what it tells of; a task of ours
//! sends it, and tries again until it would be of no use any more. So nobody waits for a mail server, a letter
//! outlives a restart, and how long an answer takes never tells whether there was a letter.
//!
//! Invariants: links in letters are secrets, so a letter lies in the outbox sealed, and goes from there once it
//! is sent; no part of its text is logged. A letter may arrive twice (a server took it and the answer was
//! lost), never not at all without a line in the log.

mod folder;
mod rows;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use shared::secret::Secret;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::chance;
use crate::clock::{Clock, Timestamp};
use crate::store::{Db, Result, Store};
use crate::vault::{Place, Vault};

/// So many letters may wait; when there are more, pages that would send one say "try again soon".
const MOST: i64 = 10_000;
/// One try takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever took a letter to send it has it alone for so long.
const LEASE: Duration = Duration::from_secs(180);
/// Between tries: this, doubled each time, up to the most.
const AGAIN: Duration = Duration::from_secs(10);
const AGAIN_AT_MOST: Duration = Duration::from_secs(1800);
/// How often the outbox is looked into for letters of other brokers.
const LOOK: Duration = Duration::from_secs(15);
const AT_ONCE: i64 = 20;

/// A letter.
pub struct Letter {
    /// The address it goes to.
    pub to: String,
    /// What it is about, one line.
    pub subject: String,
    /// All of it, as plain text.
    pub text: String,
    /// From when on it would be of no use.
    pub lapses_at: Timestamp,
}

/// Where letters go.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `smtp://` or `smtps://`, with name and password; none for the folder.
    pub smtp: Option<Secret>,
    /// Who letters are from, such as `Latchkey <latchkey@example.com>`.
    pub from: String,
    /// Where they lie while there is no server.
    pub folder: PathBuf,
}

/// The mail.
#[derive(Clone)]
pub struct Mail(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    vault: Vault,
    from: Mailbox,
    post: Post,
    wake: Notify,
}

enum Post {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

/// What came of one try.
enum Sent {
    Yes,
    /// The server will never take it.
    Refused(String),
    /// Something passes, perhaps.
    Later(String),
}

impl Mail {
    /// The mail, by its settings.
    ///
    /// # Errors
    /// When a setting makes no sense; it is named, without the server's password.
    pub fn new(settings: &Settings, store: Store, clock: Clock, vault: Vault) -> anyhow::Result<Self> {
        let from = settings.from.parse().with_context(|| {
            format!("mail_from: {:?} is no address such as Latchkey <latchkey@example.com>", settings.from)
        })?;
        let post = match &settings.smtp {
            Some(url) => Post::Smtp(smtp(url)?),
            None => Post::Folder(settings.folder.clone()),
        };
        Ok(Self(Arc::new(Inner { store, clock, vault, from, post, wake: Notify::new() })))
    }

    /// Whether the outbox takes another letter. Ask before anything about an account is looked at: the answer
    /// must not hang on there being one.
    pub async fn has_room(&self, db: &mut Db) -> Result<bool> {
        Ok(rows::count(db).await? < MOST)
    }

    /// Whether the outbox takes a letter that can wait for another day: the rest is kept for new passwords.
    pub async fn has_room_to_spare(&self, db: &mut Db) -> Result<bool> {
        Ok(rows::count(db).await? < MOST / 10 * 8)
    }

    /// Puts a letter into the outbox. Call [`wake`](Self::wake) once the transaction is committed.
    pub async fn enqueue(&self, db: &mut Db, letter: &Letter) -> Result<()> {
        let id = (chance::bits() >> 1) as i64;
        let whole = Secret::from(format!("{}\n{}", letter.subject, letter.text));
        let sealed = self.0.vault.seal(&whole, place(id));
        let now = self.0.clock.now();
        let row = rows::New { id, to: &letter.to, sealed: &sealed, now, lapses_at: letter.lapses_at };
        rows::add(db, &row).await
    }

    /// Something new lies in the outbox.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Sends what is due until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(err) = self.send_due(&stop).await {
                warn!("look into the outbox: {err}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(LOOK.min(AGAIN)) => {}
            }
        }
    }

    /// Tries every letter that is due, once; how many were tried.
    pub(crate) async fn send_due(&self, stop: &CancellationToken) -> Result<usize> {
        let due = rows::due(&mut *self.0.store.read().await?, self.0.clock.now(), AT_ONCE).await?;
        let mut tried = 0;
        for row in due {
            if stop.is_cancelled() {
                break;
            }
            // Another broker may have been quicker.
            if self.claim(&row).await? {
                tried += 1;
                let sent = self.send(&row).await;
                self.settle(&row, sent).await?;
            }
        }
        Ok(tried)
    }

    /// A mail into a folder that is nowhere.
    #[cfg(test)]
    pub(crate) fn for_tests(store: &Store, clock: &Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("keys")).unwrap();
        let from = "Latchkey <latchkey@key.example>".to_owned();
        let settings = Settings { smtp: None, from, folder: folder.path().join("mail") };
        Self::new(&settings, store.clone(), clock.clone(), vault).unwrap()
    }

    #[cfg(test)]
    pub(crate) async fn waiting(&self) -> i64 {
        rows::count(&mut self.0.store.read().await.unwrap()).await.unwrap()
    }

    async fn claim(&self, row: &rows::Waiting) -> Result<bool> {
        let mut tx = self.0.store.begin().await?;
        let until = self.0.clock.now().after(LEASE);
        let ours = rows::claim(&mut tx, row, until).await?;
        tx.commit().await?;
        Ok(ours)
    }

    async fn send(&self, row: &rows::Waiting) -> Sent {
        let opened = match self.0.vault.unseal(&row.sealed, place(row.id)) {
            Ok(opened) => opened,
            Err(err) => return Sent::Later(format!("{err:#}")),
        };
        let (subject, text) = opened.expose().split_once('\n').unwrap_or(("", opened.expose()));
        match &self.0.post {
            Post::Folder(folder) => {
                let letter = folder::Letter {
                    from: &self.0.from.to_string(),
                    to: &row.to,
                    subject,
                    text,
                    at: self.0.clock.now(),
                };
                match folder::write(folder, row.id, &letter) {
                    Ok(path) => {
                        info!(letter = %path.display(), "no mail server is configured: a letter lies here");
                        Sent::Yes
                    }
                    Err(err) => Sent::Later(format!("{err:#}")),
                }
            }
            Post::Smtp(server) => {
                let message = match self.message(&row.to, subject, text) {
                    Ok(message) => message,
                    Err(err) => return Sent::Refused(format!("{err:#}")),
                };
                match tokio::time::timeout(PATIENCE, server.send(message)).await {
                    Ok(Ok(_)) => Sent::Yes,
                    Ok(Err(err)) if err.is_permanent() => Sent::Refused(err.to_string()),
                    Ok(Err(err)) => Sent::Later(with_causes(&err)),
                    Err(_) => Sent::Later("the server took too long".to_owned()),
                }
            }
        }
    }

    fn message(&self, to: &str, subject: &str, text: &str) -> anyhow::Result<Message> {
        let to = to.parse().context("the address is none a letter can go to")?;
        let message = Message::builder()
            .from(self.0.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(jiff_now(self.0.clock.now()))
            .message_id(None)
            .header(ContentType::TEXT_PLAIN)
            .body(text.to_owned());
        message.context("put a letter together")
    }

    async fn settle(&self, row: &rows::Waiting, sent: Sent) -> Result<()> {
        let now = self.0.clock.now();
        let wait = AGAIN.saturating_mul(1 << row.tries.clamp(0, 20)).min(AGAIN_AT_MOST);
        let mut tx = self.0.store.begin().await?;
        match sent {
            Sent::Yes => {
                info!(letter.id = row.id, tries = row.tries + 1, "a letter was sent");
                rows::remove(&mut tx, row.id).await?;
            }
            Sent::Refused(why) => {
                warn!(letter.id = row.id, "a letter was refused for good and is given up: {why}");
                rows::remove(&mut tx, row.id).await?;
            }
            Sent::Later(why) if row.lapses_at <= now.after(wait) => {
                warn!(letter.id = row.id, tries = row.tries + 1, "a letter is given up: {why}");
                rows::remove(&mut tx, row.id).await?;
            }
            Sent::Later(why) => {
                warn!(
                    letter.id = row.id,
                    tries = row.tries + 1,
                    ?wait,
                    "a letter could not be sent yet: {why}"
                );
                rows::postpone(&mut tx, row.id, now.after(wait)).await?;
            }
        }
        tx.commit().await
    }
}

fn place(id: i64) -> Place {
    Place { table: "letter", column: "sealed", row: id }
}

fn jiff_now(now: Timestamp) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0))
}

fn with_causes(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        text += &format!(": {err}");
        cause = err.source();
    }
    text
}

/// A server by its address. Passwords and links of letters travel in clear only to this very machine.
fn smtp(url: &Secret) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let parsed = Url::parse(url.expose()).ok().filter(|url| url.has_host());
    let parsed =
        parsed.context("smtp_url: it is no address such as smtps://name:password@mail.example.com")?;
    ensure!(
        matches!(parsed.scheme(), "smtp" | "smtps"),
        "smtp_url: it must begin with smtps:// (TLS from the start) or smtp:// (with ?tls=required, STARTTLS)"
    );
    // To the parser these schemes are none it knows, so even a number is a name to it.
    let host = parsed.host_str().unwrap_or("").trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_safe = parsed.scheme() == "smtps"
        || parsed.query_pairs().any(|(name, value)| name == "tls" && value == "required");
    ensure!(is_safe || is_here, "smtp_url: smtp:// to another machine needs ?tls=required, or use smtps://");
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
        .map_err(|err| anyhow::anyhow!("smtp_url: {err}"))?;
    let pool = PoolConfig::new().max_size(2).idle_timeout(Duration::from_secs(30));
    Ok(builder.timeout(Some(PATIENCE / 2)).pool_config(pool).build())
}

/// Whether a text can be the address of a letter: RFC 5321 by lettre's reading, and short enough to store.
pub fn is_address(text: &str) -> bool {
    text.len() <= 254 && text.parse::<lettre::Address>().is_ok()
}

#[cfg(test)]
mod tests;
