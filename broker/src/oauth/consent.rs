//! The consent page: who asks, for what, and (for an agent) for which home; and what the person chose there.
//!
//! Invariant: nothing of a consent is taken from the form but a choice among what the request itself allows.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use http::StatusCode;
use shared::id::HomeId;
use shared::oauth::{Scope, Scopes};

use super::OAuth;
use super::alive::{self, rows::Bound};
use super::client::{self, Client};
use super::grant::Approval;
use super::user_code::UserCode;
use crate::accounts::SignedIn;
use crate::audit::{self, Act, Entry};
use crate::clock::Timestamp;
use crate::homes::{DEFAULT_PORT, Home};
use crate::http::ago::Moment;
use crate::http::form::Form;
use crate::http::page::{Frame, page, page_towards};
use crate::http::words::Words;
use crate::http::{Answer, Asked, Fault};
use crate::store::Tx;

/// What a consent is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The program that asks.
    pub client: &'a Client,
    /// All it asks for.
    pub scopes: &'a Scopes,
}

/// Where a decision is asked for, and what travels through the form.
pub struct Setting {
    /// Where the form goes.
    pub action: &'static str,
    /// The request's own parameters; read and checked again when they come back.
    pub fields: Vec<(&'static str, String)>,
    /// The page's own address, for whoever signs in as somebody else.
    pub here: String,
    /// The host the answer goes to, and what the page's policy calls it.
    pub leads_to: Option<(String, String)>,
    /// For a device: its code and where the request came from.
    pub device: Option<Waiting>,
    /// The word for what was wrong with the last try.
    pub wrong: Option<&'static str>,
    /// The home that was chosen, and whose agent would be ended by this one: asked for a second time.
    pub take_over: Option<Occupied>,
}

/// A home that has an agent, connected or not.
#[derive(Debug, Clone)]
pub struct Occupied {
    home: HomeId,
    agent: Bound,
}

/// A device, as the person who decides sees it (RFC 8628 section 5.4).
pub struct Waiting {
    /// The code on the device.
    pub code: UserCode,
    /// The address the device asked from.
    pub from: String,
    /// Whether that is the person's own network.
    pub is_near: bool,
    /// How long ago it asked.
    pub age: Duration,
}

/// What a person chose.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    scopes: Scopes,
    home: Option<HomeChoice>,
    /// The home whose agent may be ended.
    take_over: Option<HomeId>,
}

#[derive(Debug, PartialEq, Eq)]
enum HomeChoice {
    Existing(HomeId),
    New(String),
}

/// Why a consent is not whole yet.
#[derive(Debug)]
pub enum NotYet {
    /// The word that tells the person.
    Wrong(&'static str),
    /// The home has an agent: the person says again that it is to be ended.
    TakeOver(Occupied),
    /// Anything else.
    Fault(Fault),
}

impl From<Fault> for NotYet {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Subject<'_> {
    /// An agent speaks for one home, and that home is chosen here (O7).
    pub fn is_for_one_home(self) -> bool {
        self.scopes.has(Scope::Relay)
    }

    /// What the form says, within what was asked (AZ-10). An agent needs all its scopes or none.
    pub fn choice(self, form: &Form) -> Result<Choice, NotYet> {
        if self.is_for_one_home() {
            let take_over = form.optional("take_over")?.and_then(|id| id.parse().ok());
            return Ok(Choice { scopes: self.scopes.clone(), home: Some(home(form)?), take_over });
        }
        let ticked: Vec<_> = form.all("grant").collect();
        let scopes: Scopes = self.scopes.iter().filter(|scope| ticked.contains(&scope.word())).collect();
        if scopes.is_empty() {
            Err(NotYet::Wrong("oauth-choose-something"))
        } else {
            Ok(Choice { scopes, home: None, take_over: None })
        }
    }
}

fn home(form: &Form) -> Result<HomeChoice, NotYet> {
    match form.optional("home")? {
        None => Err(NotYet::Wrong("oauth-choose-home")),
        Some("new") => {
            let name = form.optional("home_name")?.unwrap_or("").trim();
            if name.is_empty() {
                Err(NotYet::Wrong("oauth-name-home"))
            } else {
                Ok(HomeChoice::New(name.to_owned()))
            }
        }
        Some(id) => Ok(HomeChoice::Existing(id.parse().map_err(|_| NotYet::Wrong("oauth-choose-home"))?)),
    }
}

/// The words of each scope (O4).
pub fn sentence(scope: Scope) -> &'static str {
    match scope {
        Scope::WorkspaceRead => "oauth-scope-workspace-read",
        Scope::SmarthomeRead => "oauth-scope-smarthome-read",
        Scope::SmarthomeTunnel => "oauth-scope-smarthome-tunnel",
        Scope::Relay => "oauth-scope-relay",
        Scope::SharesManage => "oauth-scope-shares-manage",
        Scope::TunnelsManage => "oauth-scope-tunnels-manage",
    }
}

struct Asks {
    word: &'static str,
    sentence: &'static str,
}

struct Candidate {
    id: HomeId,
    name: String,
    /// An agent is let into it already.
    is_taken: bool,
    /// The machine of that agent, where it has said.
    machine: Option<String>,
    /// Since when that agent is connected, if it is.
    connected: Option<Moment>,
    is_chosen: bool,
}

/// What is asked before one agent takes another one's place.
struct TakingOver {
    home: HomeId,
    machine: Option<String>,
    /// Since when the other one is connected; else it is away.
    connected: Option<Moment>,
    paired: Moment,
}

#[derive(Template)]
#[template(path = "oauth/consent.html")]
struct ConsentPage<'a> {
    frame: Frame,
    client: &'a str,
    /// The workspace that registered it; the broker's own clients have none.
    registered_by: Option<String>,
    email: &'a str,
    asks: Vec<Asks>,
    /// For an agent: the homes to choose from.
    homes: Option<Vec<Candidate>>,
    new_is_chosen: bool,
    setting: Setting,
    minutes: u64,
    taking_over: Option<TakingOver>,
}

#[derive(Template)]
#[template(path = "oauth/notice.html")]
struct NoticePage {
    frame: Frame,
    title: &'static str,
    text: &'static str,
    /// For whoever looks after the client: the address that was sent, and those that are registered.
    addresses: Option<(String, Vec<String>)>,
}

/// A page that only says something.
pub fn notice(status: StatusCode, frame: Frame, title: &'static str, text: &'static str) -> Answer {
    page(status, &NoticePage { frame, title, text, addresses: None })
}

/// The page for a wrong address, with what would have been right.
pub fn wrong_address(frame: Frame, text: &'static str, sent: String, known: Vec<String>) -> Answer {
    let addresses = Some((sent, known));
    page(StatusCode::BAD_REQUEST, &NoticePage { frame, title: "oauth-cannot-ask", text, addresses })
}

/// Writes down that somebody let a program in.
pub async fn note_consent(
    tx: &mut Tx,
    asked: &Asked,
    client: &Client,
    approval: &Approval,
    now: Timestamp,
) -> Result<(), Fault> {
    let entry = Entry::new(Act::Consented).of(approval.account).from(asked.peer.ip);
    let mut entry = entry.with("client", &client.id).with("scopes", &approval.scopes);
    if let Some(home) = approval.home {
        entry = entry.with("home", home);
    }
    Ok(audit::note(tx, &entry, now).await?)
}

impl OAuth {
    /// Asks a person. Who may not let an agent into a home is told so instead.
    pub(super) async fn ask(
        &self,
        asked: &Asked,
        person: &SignedIn,
        subject: Subject<'_>,
        setting: Setting,
    ) -> Result<Answer, Fault> {
        let frame = person.frame(asked);
        let one_home = subject.is_for_one_home();
        if one_home && !person.role.manages() {
            return Ok(notice(StatusCode::FORBIDDEN, frame, "oauth-not-yours", "oauth-needs-manager"));
        }
        let words = asked.words();
        let mut homes =
            if one_home { Some(self.candidates(person, subject.client, words).await?) } else { None };
        let moment = |at| Moment::new(words, at, self.0.clock.now());
        let taking_over = setting.take_over.clone().map(|Occupied { home, agent }| TakingOver {
            home,
            machine: agent.machine,
            connected: agent.connected.map(moment),
            paired: moment(agent.paired),
        });
        if let (Some(homes), Some(taking)) = (&mut homes, &taking_over) {
            homes.iter_mut().for_each(|home| home.is_chosen = home.id == taking.home);
        }
        let registered_by = match subject.client.workspace {
            Some(workspace) => {
                client::rows::workspace_name(&mut *self.0.store.read().await?, workspace).await?
            }
            None => None,
        };
        let targets: Vec<_> = setting.leads_to.iter().map(|(_, policy)| policy.clone()).collect();
        let asks = subject.scopes.iter().map(|s| Asks { word: s.word(), sentence: sentence(s) }).collect();
        let consent = ConsentPage {
            frame,
            client: &subject.client.name,
            registered_by,
            email: &person.email,
            asks,
            new_is_chosen: homes.as_ref().is_none_or(|all| all.iter().all(|home| !home.is_chosen)),
            homes,
            minutes: setting.device.as_ref().map_or(0, |device| device.age.as_secs() / 60),
            setting,
            taking_over,
        };
        let status = if consent.setting.wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        Ok(page_towards(status, &consent, &targets))
    }

    /// Asks again, for what a choice still lacks.
    pub(super) async fn ask_again(
        &self,
        asked: &Asked,
        person: &SignedIn,
        subject: Subject<'_>,
        setting: Setting,
        not_yet: NotYet,
    ) -> Result<Answer, Fault> {
        let setting = match not_yet {
            NotYet::Fault(fault) => return Err(fault),
            NotYet::Wrong(word) => Setting { wrong: Some(word), ..setting },
            NotYet::TakeOver(occupied) => Setting { take_over: Some(occupied), ..setting },
        };
        self.ask(asked, person, subject, setting).await
    }

    /// The homes an agent may be let into. One that waits for its agent is proposed; one that has an agent is
    /// never: two agents in one home is nobody's wish.
    async fn candidates(
        &self,
        person: &SignedIn,
        client: &Client,
        words: &Words,
    ) -> Result<Vec<Candidate>, Fault> {
        let homes = self.0.homes.list(&person.caller(), person.workspace).await?;
        let now = self.0.clock.now();
        let mut taken = self.agents_of(person, client).await?;
        let proposed = homes.iter().find(|home| !taken.contains_key(&home.id)).map(|home| home.id);
        let candidate = |home: Home| {
            let agent = taken.remove(&home.id);
            let connected = agent.as_ref().and_then(|agent| agent.connected);
            Candidate {
                is_taken: agent.is_some(),
                machine: agent.and_then(|agent| agent.machine),
                connected: connected.map(|since| Moment::new(words, since, now)),
                is_chosen: proposed == Some(home.id),
                id: home.id,
                name: home.name,
            }
        };
        Ok(homes.into_iter().map(candidate).collect())
    }

    /// The homes of a person's workspace that have an agent, whichever broker it talks to.
    async fn agents_of(&self, person: &SignedIn, client: &Client) -> Result<HashMap<HomeId, Bound>, Fault> {
        let (mut db, now) = (self.0.store.read().await?, self.0.clock.now());
        Ok(alive::rows::bound_homes(&mut db, &client.id, person.workspace, now).await?)
    }

    /// Turns a choice into an approval; makes the home if it is a new one. A home that has an agent is given only to
    /// whoever says so twice: by mistake the house would lose its agent (T8).
    pub(super) async fn approve(
        &self,
        person: &SignedIn,
        client: &Client,
        choice: Choice,
    ) -> Result<Approval, NotYet> {
        let caller = person.caller();
        let home = match choice.home {
            None => None,
            Some(HomeChoice::Existing(id)) => {
                let home = self.0.homes.owned(id, &caller).await?.id;
                match self.agents_of(person, client).await?.remove(&home) {
                    Some(agent) if choice.take_over != Some(home) => {
                        return Err(NotYet::TakeOver(Occupied { home, agent }));
                    }
                    _ => Some(home),
                }
            }
            Some(HomeChoice::New(name)) => {
                match self.0.homes.create(&name, DEFAULT_PORT, person.workspace, &caller).await {
                    Err(Fault::Bad(_)) => return Err(NotYet::Wrong("oauth-name-home")),
                    made => Some(made?.id),
                }
            }
        };
        Ok(Approval { account: Some(person.account), home, scopes: choice.scopes, epoch: person.epoch })
    }
}

#[cfg(test)]
mod tests;
