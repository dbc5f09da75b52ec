//! `latchkey-broker user …`: accounts, from the server's shell.

use std::io::Write;

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::accounts::{Accounts, Line};
use crate::config::UserCommand;
use crate::http::Fault;

/// An account as it is printed.
#[derive(Serialize)]
struct Printed {
    id: String,
    email: String,
    name: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
}

impl From<Line> for Printed {
    fn from(line: Line) -> Self {
        Self {
            id: line.id.to_string(),
            email: line.email,
            name: line.name,
            created_at: line.created_at.to_string(),
            disabled_at: line.disabled_at.map(|at| at.to_string()),
        }
    }
}

/// A link that is good once.
#[derive(Serialize)]
struct Link<'a> {
    email: &'a str,
    link: String,
}

/// Does what is asked.
pub async fn run(
    accounts: &Accounts,
    command: UserCommand,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    match command {
        UserCommand::Add { email, name, json } => {
            let link = accounts.invite_by_operator(&email, name.trim()).await.map_err(said)?;
            print_link(&email, link, json, out)
        }
        UserCommand::List { json } => list(accounts.all().await.map_err(said)?, json, out),
        UserCommand::Disable { email } => switch(accounts, &email, true, out).await,
        UserCommand::Enable { email } => switch(accounts, &email, false, out).await,
        UserCommand::ResetPassword { email, remove_second_factors, json } => {
            let line = known(accounts, &email).await?;
            if remove_second_factors {
                accounts.remove_second_factors(line.id).await.map_err(said)?;
            }
            print_link(&email, accounts.reset_link(&email).await.map_err(said)?, json, out)
        }
    }
}

fn said(fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Bad(why) => anyhow!(why),
        fault => anyhow!("{fault}"),
    }
}

async fn known(accounts: &Accounts, email: &str) -> anyhow::Result<Line> {
    let found = accounts.find(email).await.map_err(said)?;
    found.with_context(|| format!("there is no account with the address {email:?}"))
}

async fn switch(
    accounts: &Accounts,
    email: &str,
    disabled: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let line = known(accounts, email).await?;
    accounts.set_disabled(line.id, disabled).await.map_err(said)?;
    Ok(writeln!(out, "{} is {}", line.email, if disabled { "disabled" } else { "enabled" })?)
}

fn list(lines: Vec<Line>, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        let printed: Vec<_> = lines.into_iter().map(Printed::from).collect();
        serde_json::to_writer_pretty(&mut *out, &printed)?;
        return Ok(writeln!(out)?);
    }
    for line in lines {
        let state = if line.disabled_at.is_some() { "disabled" } else { "enabled" };
        writeln!(out, "{:<40} {:<9} {}", line.email, state, line.name)?;
    }
    Ok(())
}

fn print_link(email: &str, link: String, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &Link { email, link })?;
        return Ok(writeln!(out)?);
    }
    writeln!(out, "Pass this on; it sets a new password once, within half an hour:\n\n    {link}\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::http::Site;
    use crate::store::{Store, Where};

    async fn said(accounts: &Accounts, command: UserCommand) -> Result<String, String> {
        let mut out = Vec::new();
        run(accounts, command, &mut out).await.map_err(|err| err.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn the_operator_makes_lists_disables_and_helps() {
        let folder = tempfile::tempdir().unwrap();
        let place = Where::Sqlite(folder.path().join("test.db"));
        let store = Store::open(&place, tokio_util::sync::CancellationToken::new()).await.unwrap();
        let site = Arc::new(Site { public_url: "https://key.example".parse().unwrap() });
        let accounts = Accounts::for_tests(store, Clock::new(), site);
        let add = UserCommand::Add { email: "Ada@example.org".into(), name: "Ada".into(), json: false };
        let link = said(&accounts, add.clone()).await.unwrap();
        assert!(link.contains("https://key.example/reset?token=lkm_"), "{link}");
        assert!(said(&accounts, add).await.unwrap_err().contains("has an account"));
        let wrong = UserCommand::Add { email: "ada".into(), name: "Ada".into(), json: false };
        assert!(said(&accounts, wrong).await.unwrap_err().contains("email address"));
        let email = "ada@example.org".to_owned();
        said(&accounts, UserCommand::Disable { email: email.clone() }).await.unwrap();
        let listed = said(&accounts, UserCommand::List { json: false }).await.unwrap();
        assert!(listed.contains("disabled") && listed.contains("ada@example.org"), "{listed}");
        let reset =
            UserCommand::ResetPassword { email: email.clone(), remove_second_factors: true, json: true };
        let link = said(&accounts, reset).await.unwrap();
        assert!(link.contains("\"link\": \"https://key.example/reset?token="), "before it is let in: {link}");
        said(&accounts, UserCommand::Enable { email }).await.unwrap();
        let nobody = UserCommand::Disable { email: "eve@example.org".into() };
        assert!(said(&accounts, nobody).await.unwrap_err().contains("eve@example.org"));
    }
}
