//! What systemd is told (`Type=notify`, sd_notify(3)): that we are ready, how we are, that we live, that we stop.
//!
//! The watchdog is fed only while every vital task does something: an agent that hangs is started anew.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::status::Status;
use crate::tasks::Beats;

/// Where no watchdog is asked for, the status line is still kept; this often it is looked at.
const SELDOM: Duration = Duration::from_secs(3600);

/// Keeps systemd informed until told to stop. Without systemd nobody listens, which is as good.
pub async fn keep(mut status: watch::Receiver<Status>, beats: Arc<Beats>, stop: CancellationToken) {
    let mut words = in_a_line(&status.borrow_and_update());
    say(&[NotifyState::Ready, NotifyState::Status(&words)]);
    // Three times within its patience, so that one late beat is no death.
    let watchdog = sd_notify::watchdog_enabled();
    let mut feeding = interval(watchdog.map_or(SELDOM, |patience| patience / 3));
    feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = status.changed() => {
                let fresh = in_a_line(&status.borrow_and_update());
                if fresh != words {
                    words = fresh;
                    say(&[NotifyState::Status(&words)]);
                }
            }
            _ = feeding.tick(), if watchdog.is_some() => match beats.stalled() {
                None => say(&[NotifyState::Watchdog]),
                Some(task) => error!(task, "hangs: the watchdog is not fed, so that systemd starts the agent anew"),
            },
        }
    }
    say(&[NotifyState::Stopping]);
}

fn say(words: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(words) {
        debug!("systemd is not told: {err}");
    }
}

/// The line that `systemctl status` shows.
fn in_a_line(status: &Status) -> String {
    let part = |name: &str, up: bool, reason: &Option<String>| match (up, reason) {
        (true, _) => format!("{name} connected"),
        (false, Some(reason)) => format!("{name} not connected: {}", reason.replace('\n', " ")),
        (false, None) => format!("{name} not connected"),
    };
    [
        part("broker", status.broker_connected, &status.broker_reason),
        part("tunnel", status.tunnel_connected, &status.tunnel_reason),
        format!("Home Assistant {}", status.home_assistant.word()),
    ]
    .join("; ")
}
