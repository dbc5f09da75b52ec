//! `latchkey-broker client …`: what only the operator may give is given here (O8, IN-06).

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;
use shared::id::WorkspaceId;
use shared::oauth::{DEVICE_GRANT, Scopes};
use shared::secret::Secret;

use crate::audit::Doer;
use crate::clock::{Clock, Timestamp};
use crate::config::{AddClient, ClientCommand};
use crate::http::words::english;
use crate::oauth::client::registration::{Registration, Unfit};
use crate::oauth::client::{Client, ClientKind, GrantType};
use crate::oauth::clients::{Clients, Listed, NotRegistered, Registered, is_good};

const HOUR: Duration = Duration::from_secs(3600);

/// A client as it is printed.
#[derive(Serialize)]
struct Printed<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a Secret>,
    name: &'a str,
    kind: &'static str,
    workspace_id: Option<WorkspaceId>,
    auth: &'static str,
    pkce_required: bool,
    redirect_uris: &'a [String],
    grants: Vec<&'static str>,
    scope: String,
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// Until when each good secret is good; `null` for one without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets_until: Option<Vec<Option<String>>>,
}

impl<'a> Printed<'a> {
    fn new(client: &'a Client) -> Self {
        Self {
            client_id: &client.id,
            client_secret: None,
            name: &client.name,
            kind: client.kind.word(),
            workspace_id: client.workspace,
            auth: if client.is_confidential { "secret" } else { "none" },
            pkce_required: client.pkce_required,
            redirect_uris: &client.redirect_uris,
            grants: client.grants.iter().map(|grant| grant.word()).collect(),
            scope: client.scopes.to_string(),
            disabled: client.disabled,
            created_at: None,
            secrets_until: None,
        }
    }

    fn listed(listed: &'a Listed, now: Timestamp) -> Self {
        let good = listed.secrets.iter().filter(|(_, ends)| is_good(*ends, now));
        let until = good.map(|(_, ends)| ends.map(|ends| ends.to_string())).collect();
        Self {
            created_at: Some(listed.created_at.to_string()),
            secrets_until: Some(until),
            ..Self::new(&listed.client)
        }
    }

    fn write(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let none = |text: &str| if text.is_empty() { "(none)".to_owned() } else { text.to_owned() };
        let mut lines = vec![("client_id", self.client_id.to_owned())];
        lines.extend(self.client_secret.map(|secret| ("client_secret", secret.expose().to_owned())));
        lines.extend([
            ("name", self.name.to_owned()),
            ("kind", self.kind.to_owned()),
            ("workspace", self.workspace_id.map_or("(everybody)".to_owned(), |id| id.to_string())),
            ("auth", self.auth.to_owned()),
            ("pkce", if self.pkce_required { "required" } else { "optional" }.to_owned()),
            ("redirect_uris", none(&self.redirect_uris.join(" "))),
            ("grants", none(&self.grants.join(" "))),
            ("scope", none(&self.scope)),
            ("state", if self.disabled { "disabled" } else { "enabled" }.to_owned()),
        ]);
        lines.extend(self.created_at.clone().map(|at| ("created", at)));
        for until in self.secrets_until.iter().flatten() {
            lines.push(("secret", until.as_ref().map_or("good".to_owned(), |at| format!("good until {at}"))));
        }
        for (name, value) in lines {
            writeln!(out, "{name:14} {value}")?;
        }
        Ok(())
    }
}

/// Does what is asked.
pub async fn run(
    clients: &Clients,
    clock: &Clock,
    command: ClientCommand,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    match command {
        ClientCommand::Add(wanted) => add(clients, wanted, out).await,
        ClientCommand::List { workspace, json } => {
            let of = workspace_of(clients, workspace.as_deref()).await?;
            list(&clients.list(of).await.map_err(|fault| anyhow!("{fault}"))?, clock.now(), json, out)
        }
        ClientCommand::Show { client_id, json } => {
            let listed = clients.find(&client_id).await.map_err(|fault| anyhow!("{fault}"))?;
            let listed = listed.with_context(|| nobody(&client_id))?;
            let printed = Printed::listed(&listed, clock.now());
            if json { write_json(&printed, out) } else { printed.write(out) }
        }
        ClientCommand::Rotate { client_id, overlap_hours, json } => {
            let secret = clients.rotate(&client_id, HOUR * overlap_hours, &Doer::default()).await;
            let secret = secret.map_err(|fault| anyhow!("{fault}"))?;
            let secret =
                secret.with_context(|| format!("there is no client {client_id:?} that keeps a secret"))?;
            if json {
                return write_json(
                    &serde_json::json!({ "client_id": client_id, "client_secret": secret }),
                    out,
                );
            }
            writeln!(out, "client_secret  {}", secret.expose())?;
            Ok(writeln!(
                out,
                "The old one is good for {overlap_hours} hours more. This one is not shown again."
            )?)
        }
        ClientCommand::Disable { client_id } => switch(clients, &client_id, true, out).await,
        ClientCommand::Enable { client_id } => switch(clients, &client_id, false, out).await,
        ClientCommand::Remove { client_id } => {
            let gone =
                clients.remove(&client_id, &Doer::default()).await.map_err(|fault| anyhow!("{fault}"))?;
            gone.with_context(|| nobody(&client_id))?;
            Ok(writeln!(out, "{client_id} is removed")?)
        }
    }
}

async fn add(clients: &Clients, wanted: AddClient, out: &mut impl Write) -> anyhow::Result<()> {
    let json = wanted.json;
    let workspace = workspace_of(clients, wanted.workspace.as_deref()).await?;
    let Registered { client, secret } =
        match clients.add(registration(wanted, workspace)?, &Doer::default()).await {
            Ok(registered) => registered,
            Err(NotRegistered::Unfit(unfit)) => bail!(in_words(&unfit)),
            Err(NotRegistered::Taken) => bail!("there is a client of that id already"),
            Err(NotRegistered::Many) => bail!("the workspace has as many clients as it may have"),
            Err(NotRegistered::Fault(fault)) => bail!("{fault}"),
        };
    let printed = Printed { client_secret: secret.as_ref(), ..Printed::new(&client) };
    if json {
        return write_json(&printed, out);
    }
    printed.write(out)?;
    if secret.is_some() {
        writeln!(out, "The secret is not shown again.")?;
    }
    Ok(())
}

fn registration(wanted: AddClient, workspace: Option<WorkspaceId>) -> anyhow::Result<Registration> {
    let grant = |word: &String| match word.as_str() {
        "device_code" => Ok(GrantType::parse(DEVICE_GRANT).expect("the device grant is offered")),
        word => GrantType::parse(word).with_context(|| format!("{word:?} is no grant that is offered")),
    };
    let grants =
        wanted.grants.iter().map(grant).collect::<anyhow::Result<std::collections::BTreeSet<_>>>()?;
    let scopes = wanted.scope.as_deref().map(Scopes::parse).transpose();
    Ok(Registration {
        name: wanted.name,
        kind: ClientKind::parse(&wanted.kind).with_context(|| format!("{:?} is no kind", wanted.kind))?,
        workspace,
        redirect_uris: wanted.redirect_uris,
        grants: (!grants.is_empty()).then_some(grants),
        scopes: scopes.map_err(|_| anyhow!("one of the scopes does not exist"))?,
        is_confidential: wanted.auth.map(|auth| auth == "secret"),
        id: wanted.client_id,
        by_operator: true,
    })
}

fn list(all: &[Listed], now: Timestamp, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        return write_json(&all.iter().map(|listed| Printed::listed(listed, now)).collect::<Vec<_>>(), out);
    }
    for listed in all {
        let client = &listed.client;
        let workspace = client.workspace.map_or("everybody".to_owned(), |id| id.to_string());
        let state = if client.disabled { "disabled" } else { "enabled" };
        writeln!(out, "{}  {}  {workspace}  {state}  {}", client.id, client.kind.word(), client.name)?;
    }
    Ok(())
}

async fn switch(clients: &Clients, id: &str, disabled: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let switched =
        clients.set_disabled(id, disabled, &Doer::default()).await.map_err(|fault| anyhow!("{fault}"))?;
    switched.with_context(|| nobody(id))?;
    Ok(writeln!(out, "{id} is {}", if disabled { "disabled" } else { "enabled" })?)
}

async fn workspace_of(clients: &Clients, named: Option<&str>) -> anyhow::Result<Option<WorkspaceId>> {
    let Some(named) = named else { return Ok(None) };
    let found = clients.workspace_named(named).await.map_err(|fault| anyhow!("{fault}"))?;
    found.map(Some).with_context(|| format!("there is no workspace {named:?}"))
}

fn nobody(id: &str) -> String {
    format!("there is no client {id:?}")
}

fn in_words(unfit: &Unfit) -> String {
    let (subject, sentence) = (unfit.subject(), english().say(unfit.word()));
    if subject.is_empty() { sentence } else { format!("{subject}: {sentence}") }
}

fn write_json(value: &impl Serialize, out: &mut impl Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests;
