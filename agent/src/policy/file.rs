//! The policy's file: made with words in it, read again and again, and changed by `sharing stop` and `resume`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use toml_edit::DocumentMut;
use tracing::{info, warn};

use super::Policy;
use crate::memory::write_whole;

/// How often the file is looked at. A look costs one small read; a watch on it would miss a file that lies on a
/// network or is swung in by a link.
const PACE: Duration = Duration::from_secs(1);

/// A longer file is not read.
const LONGEST: u64 = 256 * 1024;

/// What stands in the file of a new home.
pub const NEW: &str = "\
# What may leave this house. Nobody outside can change this file; the agent heeds a change within seconds.
# Entities are named as in Home Assistant; * stands for anything: light.porch, sensor.garden_*, camera.*

# true: nothing is shared any more, whatever links there are. The home's own address goes on working.
stop_all_sharing = false

# Locks, alarm control panels, cameras, persons, device trackers and zones are never shown, unless they stand here.
allow = []

# What follows is said of entities, one by one: a group that may be switched switches all that is in it.

# Never shown, not even their names, and stronger than `allow`.
deny = []

# May be seen but never switched. (Only switches, lights and fans can be switched at all.)
view_only = []
";

/// The policy in use, kept as its file says.
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    /// What was last taken in.
    judged: Found,
    /// What was seen at the last look, if that differs: an editor may be writing it just now.
    seen: Option<Found>,
    policy: watch::Sender<Arc<InForce>>,
}

/// The policy in force.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// What it says.
    pub policy: Policy,
    /// Why it shares nothing although its file does not say so.
    pub wrong: Option<String>,
}

type Found = Result<Option<String>, String>;

impl PolicyFile {
    /// The policy at a path. In its usual place one that is not there yet is made, with the defaults and what they
    /// mean; elsewhere it may lie on something that is not mounted yet, and until it is there nothing is shared.
    pub fn open(path: PathBuf, is_usual: bool) -> Self {
        if is_usual && let Err(err) = make(&path) {
            warn!("the policy's file is not made: {err}");
        }
        let judged = look(&path);
        let in_force = InForce::of(&path, &judged);
        in_force.say();
        Self { path, judged, seen: None, policy: watch::Sender::new(Arc::new(in_force)) }
    }

    /// Looks at the policy at a path and says what is in force.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn examine(path: &Path, is_usual: bool) -> Result<String, String> {
        let found = look(path);
        if is_usual && found == Ok(None) {
            return Ok(format!("{} is made when the agent runs", path.display()));
        }
        match InForce::of(path, &found) {
            InForce { wrong: Some(wrong), .. } => Err(wrong),
            InForce { policy, .. } if policy.is_stopped() => {
                Ok(format!("{} stops all sharing", path.display()))
            }
            _ => Ok(format!("{} is in force", path.display())),
        }
    }

    /// The policy, now and at each change.
    pub fn policy(&self) -> watch::Receiver<Arc<InForce>> {
        self.policy.subscribe()
    }

    /// Keeps the policy as the file says, until told to stop.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut looks = interval(PACE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let path = self.path.clone();
            if let Ok(found) = spawn_blocking(move || look(&path)).await {
                self.consider(found);
            }
        }
    }

    /// Takes in what has stood still for two looks: not half of what an editor is writing.
    fn consider(&mut self, found: Found) {
        if found == self.judged {
            self.seen = None;
        } else if self.seen.as_ref() == Some(&found) {
            let in_force = InForce::of(&self.path, &found);
            in_force.say();
            self.policy.send_replace(Arc::new(in_force));
            (self.judged, self.seen) = (found, None);
        } else {
            self.seen = Some(found);
        }
    }
}

impl InForce {
    fn of(path: &Path, found: &Found) -> Self {
        let read = match found {
            Ok(None) => Err("it is not there".to_owned()),
            Ok(Some(text)) => Policy::read(text),
            Err(err) => Err(err.clone()),
        };
        match read {
            Ok(policy) => Self { policy, wrong: None },
            Err(err) => {
                let wrong =
                    format!("nothing is shared: the policy at {} cannot be read: {err}", path.display());
                Self { policy: Policy::nothing(), wrong: Some(wrong) }
            }
        }
    }

    fn say(&self) {
        match &self.wrong {
            Some(wrong) => warn!("{wrong}"),
            None => info!(stopped = self.policy.is_stopped(), "the policy is read"),
        }
    }
}

/// What is in the file; `None` where there is none.
fn look(path: &Path) -> Found {
    let read = || {
        if fs::metadata(path)?.len() > LONGEST {
            return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
        }
        fs::read_to_string(path)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err.to_string()),
    }
}

fn make(path: &Path) -> io::Result<()> {
    if path.try_exists()? { Ok(()) } else { write_whole(path, NEW.as_bytes()) }
}

/// Stops all sharing, or lets it go on, by changing that one line of the file; all else stays as it is.
///
/// # Errors
/// A file that is no policy, or cannot be written.
pub fn set_stopped(path: &Path, stopped: bool) -> anyhow::Result<()> {
    let text = look(path).map_err(|err| anyhow!("read {}: {err}", path.display()))?;
    let text = text.as_deref().unwrap_or(NEW);
    Policy::read(text).map_err(|err| anyhow!("the policy at {}: {err}", path.display()))?;
    let mut document: DocumentMut = text.parse().context("the policy as TOML")?;
    document["stop_all_sharing"] = toml_edit::value(stopped);
    write_whole(path, document.to_string().as_bytes()).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_stands_still_and_nonsense_shares_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        let mut file = PolicyFile::open(path.clone(), true);
        assert_eq!(fs::read_to_string(&path).unwrap(), NEW);
        let policy = file.policy();
        let in_force = || policy.borrow().clone();
        let before = in_force();
        assert_eq!((before.policy.is_stopped(), &before.wrong), (false, &None));

        for half in ["deny = [", "deny = ['light.*'", "deny = ['light.*']"] {
            fs::write(&path, half).unwrap();
            file.consider(look(&path));
            assert!(Arc::ptr_eq(&before, &in_force()), "{half:?} was taken at once");
        }
        file.consider(look(&path));
        assert_eq!(in_force().policy, Policy::read("deny = ['light.*']").unwrap());

        fs::write(&path, "deny = light").unwrap();
        file.consider(look(&path));
        file.consider(look(&path));
        let wrong = in_force();
        assert!(wrong.policy.is_stopped());
        assert!(wrong.wrong.as_ref().unwrap().contains("line 1"), "{wrong:?}");

        fs::write(&path, "").unwrap();
        file.consider(look(&path));
        file.consider(look(&path));
        assert_eq!(*in_force(), InForce { policy: Policy::default(), wrong: None });

        // Gone, with whatever it forbade; or on a disk that is not there yet.
        fs::remove_file(&path).unwrap();
        file.consider(look(&path));
        file.consider(look(&path));
        assert!(in_force().policy.is_stopped() && in_force().wrong.is_some());
        let elsewhere = PolicyFile::open(path.clone(), false);
        assert!(elsewhere.policy().borrow().policy.is_stopped() && !path.exists());
    }

    #[test]
    fn stopping_leaves_the_rest_of_the_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        set_stopped(&path, true).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            NEW.replace("stop_all_sharing = false", "stop_all_sharing = true")
        );
        fs::write(&path, "# mine\ndeny = ['fan.*']   # loud\nstop_all_sharing = true # for now\n").unwrap();
        set_stopped(&path, false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\ndeny = ['fan.*']   # loud\nstop_all_sharing = false"), "{text}");
        fs::write(&path, "deny = fan").unwrap();
        assert!(set_stopped(&path, true).unwrap_err().to_string().contains("policy.toml"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "deny = fan");
    }
}
