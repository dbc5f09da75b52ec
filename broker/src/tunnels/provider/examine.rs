//! What the operator wants to know before anything goes wrong: whether each account answers, whether its API token
//! may do what is needed, and what waits or lies about.

use serde::Serialize;

use super::{Account, Ours, Sweep};
use crate::store;
use crate::tunnels::cloudflare::{NOBODY, Trouble};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// It is as it should be; none for what is worth knowing and no fault.
    pub is_well: Option<bool>,
    /// What was found, and what to do about it.
    pub says: String,
}

impl Finding {
    fn new(what: String, is_well: Option<bool>, says: impl Into<String>) -> Self {
        Self { what, is_well, says: says.into() }
    }
}

impl Ours {
    /// Looks at every account. Nothing is changed: what needs permission to write is tried on things that are not
    /// there.
    ///
    /// # Errors
    /// When our own database does not answer.
    pub async fn examine(&self) -> store::Result<Vec<Finding>> {
        let mut found = Vec::new();
        for account in &self.accounts {
            account.examine(&self.prefix().await?, &mut found).await;
        }
        match self.sweep(Sweep::DryRun).await {
            Ok(left) if left.is_empty() => {}
            Ok(left) => found.push(Finding::new(
                "leftovers".to_owned(),
                None,
                format!(
                    "{} tunnels and records belong to no home: latchkey-broker sweep --dry-run lists them",
                    left.len()
                ),
            )),
            // The account's own line says why.
            Err(_) => {}
        }
        Ok(found)
    }
}

impl Account {
    async fn examine(&self, prefix: &str, found: &mut Vec<Finding>) {
        let line = |what: &str| format!("Cloudflare {}: {what}", self.domain);
        let needs = |what: &str, permission: &str, answer: Result<(), Trouble>| match answer {
            Ok(()) | Err(Trouble::Gone) => Finding::new(line(what), Some(true), format!("may {permission}")),
            Err(Trouble::Denied(why)) => Finding::new(
                line(what),
                Some(false),
                format!("the API token lacks the permission {permission}, or is no good ({why})"),
            ),
            Err(trouble) => Finding::new(line(what), Some(false), trouble.to_string()),
        };
        let listed = self.api.beginning_with(prefix).await;
        let count = listed.as_ref().map_or(0, Vec::len);
        found.push(match listed {
            Ok(_) => Finding::new(line("API"), Some(true), format!("answers; {count} tunnels are ours")),
            Err(trouble) => Finding::new(line("API"), Some(false), trouble.to_string()),
        });
        found.push(needs("tunnels", "Account > Cloudflare Tunnel > Edit", self.api.renew(NOBODY).await));
        found.push(needs("records", "Zone > DNS > Edit", self.api.unname(NOBODY).await));
        let websockets = self.api.lets_websockets_through().await;
        found.push(match websockets {
            Ok(true) => Finding::new(line("WebSockets"), Some(true), "the zone lets them through"),
            Ok(false) => Finding::new(
                line("WebSockets"),
                Some(false),
                "the zone does not let them through, and Home Assistant's page cannot connect without: switch them on under Network",
            ),
            Err(trouble) => needs("WebSockets", "Zone > Zone Settings > Read", Err(trouble)),
        });
    }
}
