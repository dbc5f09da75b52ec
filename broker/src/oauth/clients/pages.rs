//! `/clients`: the programs a workspace has registered, for its owners and admins.

use std::time::Duration;

use askama::Template;
use http::{Method, StatusCode};
use shared::oauth::{Scope, Scopes};
use shared::secret::Secret;

use super::{Listed, NotRegistered, OVERLAP, Registered, is_good};
use crate::accounts::SignedIn;
use crate::audit::Doer;
use crate::http::ago::Moment;
use crate::http::form::Form;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, see_other};
use crate::oauth::OAuth;
use crate::oauth::client::ClientKind;
use crate::oauth::client::registration::{HOME_ASSISTANT, Registration};
use crate::oauth::consent::sentence;

/// The kinds an owner may register, with their name and what they are for.
const KINDS: [(ClientKind, &str, &str); 5] = [
    (ClientKind::HomeAssistant, "clients-kind-home-assistant", "clients-kind-home-assistant-hint"),
    (ClientKind::Web, "clients-kind-web", "clients-kind-web-hint"),
    (ClientKind::Native, "clients-kind-native", "clients-kind-native-hint"),
    (ClientKind::Device, "clients-kind-device", "clients-kind-device-hint"),
    (ClientKind::Service, "clients-kind-service", "clients-kind-service-hint"),
];

/// What an owner may let a program have.
const SCOPES: [Scope; 4] =
    [Scope::WorkspaceRead, Scope::SmarthomeRead, Scope::SmarthomeTunnel, Scope::SharesManage];

/// How long an old secret may stay good.
const OVERLAPS: [(&str, Duration, &str); 3] = [
    ("day", OVERLAP, "clients-overlap-day"),
    ("week", Duration::from_secs(7 * 24 * 3600), "clients-overlap-week"),
    ("none", Duration::ZERO, "clients-overlap-none"),
];

struct Card {
    id: String,
    name: String,
    kind: &'static str,
    disabled: bool,
    created: Moment,
    addresses: Vec<String>,
    may: Vec<&'static str>,
    is_confidential: bool,
    /// Until when the secret before the current one is good.
    old_secret: Option<Moment>,
}

/// What was typed into the form.
struct Typed {
    name: String,
    kind: &'static str,
    addresses: String,
    scopes: Scopes,
}

#[derive(Template)]
#[template(path = "oauth/clients.html")]
struct ClientsPage {
    frame: Frame,
    cards: Vec<Card>,
}

#[derive(Template)]
#[template(path = "oauth/new-client.html")]
struct NewClientPage {
    frame: Frame,
    typed: Typed,
    /// What is wrong: the word, and the address it is about.
    wrong: Option<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "oauth/secret.html")]
struct SecretPage {
    frame: Frame,
    id: String,
    name: String,
    secret: Option<Secret>,
    /// For a secret that replaces another: how long that one stays good.
    overlap: Option<&'static str>,
}

fn kind_name(kind: ClientKind) -> &'static str {
    KINDS
        .iter()
        .find(|(known, ..)| *known == kind)
        .map_or("clients-kind-resource-server", |(_, name, _)| name)
}

impl OAuth {
    /// `/clients` and all below it.
    pub(in crate::oauth) async fn clients_pages(
        &self,
        asked: &Asked,
        below: &[&str],
    ) -> Result<Answer, Fault> {
        let person = self.0.accounts.require(asked).await?;
        if !person.role.manages() {
            let missing = "an owner or admin of the workspace may do this".to_owned();
            return Err(Fault::Forbidden("insufficient_role", missing));
        }
        let form = if asked.method == Method::POST { Some(asked.form()?) } else { None };
        if let Some(form) = &form {
            person.check(asked, Some(form))?;
        }
        match (&form, below) {
            (None, []) => self.clients_page(asked, &person).await,
            (None, ["new"]) => Ok(new_page(asked, &person, Typed::nothing(), None)),
            (Some(form), []) => self.register(asked, &person, form).await,
            (Some(form), [id, act @ ("rotate" | "disable" | "enable" | "delete")]) => {
                self.change(asked, &person, id, act, form).await
            }
            (None, [_, "rotate" | "disable" | "enable" | "delete"]) => Err(Fault::Method("POST")),
            _ => Err(Fault::NotFound),
        }
    }

    async fn clients_page(&self, asked: &Asked, person: &SignedIn) -> Result<Answer, Fault> {
        let (w, now) = (asked.words(), self.0.clock.now());
        let card = |listed: Listed| {
            let mut secrets = listed.secrets.into_iter().filter_map(|(_, ends)| ends);
            Card {
                kind: kind_name(listed.client.kind),
                id: listed.client.id,
                name: listed.client.name,
                disabled: listed.client.disabled,
                created: Moment::new(w, listed.created_at, now),
                addresses: listed.client.redirect_uris,
                may: listed.client.scopes.iter().map(sentence).collect(),
                is_confidential: listed.client.is_confidential,
                old_secret: secrets
                    .find(|ends| is_good(Some(*ends), now))
                    .map(|ends| Moment::new(w, ends, now)),
            }
        };
        let cards = self.0.clients.list(Some(person.workspace)).await?.into_iter().map(card).collect();
        Ok(page(StatusCode::OK, &ClientsPage { frame: person.frame(asked), cards }))
    }

    async fn register(&self, asked: &Asked, person: &SignedIn, form: &Form) -> Result<Answer, Fault> {
        let typed = Typed::read(form)?;
        let wanted = Registration {
            name: typed.name.clone(),
            kind: ClientKind::parse(typed.kind).unwrap_or(ClientKind::Web),
            workspace: Some(person.workspace),
            redirect_uris: typed.addresses.split_whitespace().map(str::to_owned).collect(),
            grants: None,
            scopes: Some(typed.scopes.clone()),
            is_confidential: None,
            id: None,
            by_operator: false,
        };
        let wrong = match self.0.clients.add(wanted, &doer(asked, person)).await {
            Ok(Registered { client, secret }) => {
                return Ok(secret_page(asked, person, client.id, client.name, secret, None));
            }
            Err(NotRegistered::Unfit(unfit)) => (unfit.word(), unfit.subject().to_owned()),
            Err(NotRegistered::Many) => ("clients-wrong-many", String::new()),
            Err(NotRegistered::Taken) => return Err(Fault::Unavailable("a drawn id was taken".to_owned())),
            Err(NotRegistered::Fault(fault)) => return Err(fault),
        };
        Ok(new_page(asked, person, typed, Some(wrong)))
    }

    /// What is done to one client of the person's workspace; another's is not there.
    async fn change(
        &self,
        asked: &Asked,
        person: &SignedIn,
        id: &str,
        act: &str,
        form: &Form,
    ) -> Result<Answer, Fault> {
        let found = self.0.clients.find(id).await?.map(|listed| listed.client);
        let client =
            found.filter(|client| client.workspace == Some(person.workspace)).ok_or(Fault::NotFound)?;
        let by = doer(asked, person);
        let ended = match act {
            "rotate" => {
                let chosen = form.optional("overlap")?.unwrap_or("day");
                let overlap = OVERLAPS.iter().find(|(word, ..)| *word == chosen);
                let (_, overlap, said) = overlap.ok_or_else(|| Fault::bad("no such overlap"))?;
                let secret = self.0.clients.rotate(id, *overlap, &by).await?.ok_or(Fault::NotFound)?;
                return Ok(secret_page(asked, person, client.id, client.name, Some(secret), Some(said)));
            }
            "delete" => self.0.clients.remove(id, &by).await?,
            switch => self.0.clients.set_disabled(id, switch == "disable", &by).await?,
        };
        if act != "enable" {
            ended.into_iter().flatten().for_each(|grant| self.tell(grant));
        }
        Ok(see_other("/clients"))
    }
}

fn doer(asked: &Asked, person: &SignedIn) -> Doer {
    Doer { account: Some(person.account), from: Some(asked.peer.ip) }
}

impl Typed {
    fn nothing() -> Self {
        let kind = ClientKind::HomeAssistant;
        Self { name: String::new(), kind: kind.word(), addresses: String::new(), scopes: kind.scopes() }
    }

    fn read(form: &Form) -> Result<Self, Fault> {
        let text = |name| Ok::<_, Fault>(form.optional(name)?.unwrap_or("").trim().to_owned());
        let kind = text("kind")?;
        let kind = KINDS.iter().find(|(known, ..)| known.word() == kind);
        let ticked: Vec<_> = form.all("scope").collect();
        Ok(Self {
            name: text("name")?,
            kind: kind.map(|(known, ..)| known.word()).ok_or_else(|| Fault::bad("no such kind"))?,
            addresses: text("addresses")?,
            scopes: SCOPES.into_iter().filter(|scope| ticked.contains(&scope.word())).collect(),
        })
    }
}

fn new_page(asked: &Asked, person: &SignedIn, typed: Typed, wrong: Option<(&'static str, String)>) -> Answer {
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    page(status, &NewClientPage { frame: person.frame(asked), typed, wrong })
}

fn secret_page(
    asked: &Asked,
    person: &SignedIn,
    id: String,
    name: String,
    secret: Option<Secret>,
    overlap: Option<&'static str>,
) -> Answer {
    page(StatusCode::OK, &SecretPage { frame: person.frame(asked), id, name, secret, overlap })
}
