//! The dashboard's routes.

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use serde::Serialize;
use shared::id::{HomeId, LinkId};

use super::devices::Devices;
use super::lights::{Light, Past, Reader};
use super::pages::{Card, HistoryPage, HomePage, HomesPage, Letters, Managed, Place, Proved, Settings};
use super::{Inner, links, making, settings, sharing};
use crate::accounts::SignedIn;
use crate::audit::Doer;
use crate::homes::{DEFAULT_PORT, Home, Owned, State};
use crate::http::ago::Moment;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, json, see_other};
use crate::portal::LinkLine;
use crate::tunnels::{Finding, Proof};

/// So many lines of the history stand on a home's page.
const LATELY: u16 = 5;
/// And on a page of their own.
const OFTEN: u16 = 50;

/// A request of somebody who is signed in.
pub struct Visit<'a> {
    /// The request.
    pub asked: &'a Asked,
    /// Who.
    pub signed_in: SignedIn,
}

impl Visit<'_> {
    /// What this person's pages carry.
    pub fn frame(&self) -> Frame {
        self.signed_in.frame(self.asked)
    }

    /// This person, for the list of what was done.
    pub fn doer(&self) -> Doer {
        Doer { account: Some(self.signed_in.account), from: Some(self.asked.peer.ip) }
    }
}

pub async fn answer(dashboard: &Inner, asked: &Asked) -> Result<Answer, Fault> {
    let visit = Visit { asked, signed_in: dashboard.accounts.require(asked).await? };
    match (asked.method.as_str(), &asked.segments()[..]) {
        ("GET" | "HEAD", [""]) => homes(dashboard, &visit, StatusCode::OK, Tried::default()).await,
        ("GET" | "HEAD", ["homes"]) => Ok(see_other("/")),
        ("POST", ["homes"]) => add(dashboard, &visit).await,
        ("GET", ["homes", "status"]) => all_lights(dashboard, &visit).await,
        ("GET" | "HEAD", ["homes", id]) => home(dashboard, &visit, parse(id)?, Settings::default()).await,
        ("GET", ["homes", id, "status"]) => home_lights(dashboard, &visit, parse(id)?).await,
        ("GET" | "HEAD", ["homes", id, "share"]) => {
            sharing::show(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "share"]) => {
            sharing::make(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "settings"]) => {
            settings::change(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("GET" | "HEAD", ["homes", id, "history"]) => history(dashboard, &visit, parse(id)?).await,
        ("POST", ["homes", id, "letters"]) => {
            settings::letters(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "renew"]) => {
            settings::renew(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("GET", ["homes", id, "making"]) => making::now(dashboard, &visit, parse(id)?).await,
        ("POST", ["homes", id, "retry"]) => {
            making::retry(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "prove"]) => {
            settings::prove(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "delete"]) => {
            settings::delete(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "links", link, "revoke"]) => {
            revoke(dashboard, &visit, &owned(dashboard, &visit, id).await?, link).await
        }
        (_, [""] | ["homes", "status"] | ["homes", _] | ["homes", _, "status" | "making" | "history"]) => {
            Err(Fault::Method("GET"))
        }
        (_, ["homes"] | ["homes", _, "share"]) => Err(Fault::Method("GET, POST")),
        (
            _,
            ["homes", _, "links", _, "revoke"]
            | ["homes", _, "settings" | "letters" | "renew" | "retry" | "prove" | "delete"],
        ) => Err(Fault::Method("POST")),
        _ => Err(Fault::NotFound),
    }
}

fn parse(id: &str) -> Result<HomeId, Fault> {
    id.parse().map_err(|_| Fault::NotFound)
}

async fn owned(dashboard: &Inner, visit: &Visit<'_>, id: &str) -> Result<Owned, Fault> {
    dashboard.homes.owned(parse(id)?, &visit.signed_in.caller()).await
}

/// What was typed into the form for a new home, and the word for what was wrong with it.
#[derive(Default)]
struct Tried {
    name: String,
    port: Option<String>,
    wrong: Option<&'static str>,
}

async fn homes(
    dashboard: &Inner,
    visit: &Visit<'_>,
    status: StatusCode,
    tried: Tried,
) -> Result<Answer, Fault> {
    let reader = reader(dashboard, visit.asked);
    let homes = dashboard.homes.list(&visit.signed_in.caller(), visit.signed_in.workspace).await?;
    let cards = homes.iter().map(|home| Card {
        place: place(dashboard, home),
        light: reader.home(&dashboard.tunnels.hops(home)),
    });
    let shown = HomesPage {
        frame: visit.frame(),
        cards: cards.collect(),
        may_add: visit.signed_in.role.manages(),
        broker: dashboard.site.origin(),
        name: tried.name,
        port: tried.port.unwrap_or_else(|| DEFAULT_PORT.to_string()),
        wrong: tried.wrong,
    };
    Ok(page(status, &shown))
}

async fn add(dashboard: &Inner, visit: &Visit<'_>) -> Result<Answer, Fault> {
    let form = visit.asked.form()?;
    visit.signed_in.check(visit.asked, Some(&form))?;
    let name = form.optional("name")?.unwrap_or("").trim().to_owned();
    let port = form.optional("port")?.unwrap_or("").trim().to_owned();
    let wrong = match port.parse::<u16>() {
        Ok(number) if number > 0 => {
            let (workspace, caller) = (visit.signed_in.workspace, visit.signed_in.caller());
            match dashboard.homes.create(&name, number, workspace, &caller).await {
                Ok(home) => return Ok(see_other(&format!("/homes/{}", home.id))),
                Err(Fault::Bad(_)) => "dashboard-wrong-name",
                Err(fault) => return Err(fault),
            }
        }
        _ => "dashboard-wrong-port",
    };
    let tried = Tried { name, port: Some(port), wrong: Some(wrong) };
    homes(dashboard, visit, StatusCode::BAD_REQUEST, tried).await
}

/// The page of one home; `tried` is what was typed into its settings and cannot be.
pub async fn home(
    dashboard: &Inner,
    visit: &Visit<'_>,
    id: HomeId,
    tried: Settings,
) -> Result<Answer, Fault> {
    let caller = visit.signed_in.caller();
    let home = dashboard.homes.visible(id, &caller).await?;
    let reader = reader(dashboard, visit.asked);
    let managed = match visit.signed_in.role.manages() {
        true if home.state != State::Deleting => {
            let owned = dashboard.homes.owned(id, &caller).await?;
            let letters = match dashboard.tunnels.offline_mail() {
                Some(grace) => Some(Letters {
                    on: dashboard.tunnels.wants_letters(id).await?,
                    minutes: grace.as_secs() / 60,
                }),
                None => None,
            };
            Some(managed(dashboard, reader, &owned, Settings { letters, ..tried.or(&home) }).await?)
        }
        _ => None,
    };
    let status = match &managed {
        Some(managed) if managed.settings.wrong.is_some() => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let shown = HomePage {
        frame: visit.frame(),
        hops: reader.hops(&dashboard.tunnels.hops(&home)),
        past: reader.past(&dashboard.tunnels.history(&home, None, LATELY).await?),
        making: making::Making::of(dashboard, &home, reader.w).await?,
        home: place(dashboard, &home),
        broker: dashboard.site.origin(),
        managed,
    };
    Ok(page(status, &shown))
}

/// `GET /homes/{id}/history?before=ID`.
async fn history(dashboard: &Inner, visit: &Visit<'_>, id: HomeId) -> Result<Answer, Fault> {
    let home = dashboard.homes.visible(id, &visit.signed_in.caller()).await?;
    let before = visit.asked.query_form()?.optional("before")?.map(str::parse).transpose();
    let before = before.map_err(|_| Fault::NotFound)?;
    let shown = HistoryPage {
        frame: visit.frame(),
        home: place(dashboard, &home),
        past: reader(dashboard, visit.asked).past(&dashboard.tunnels.history(&home, before, OFTEN).await?),
        is_older: before.is_some(),
    };
    Ok(page(StatusCode::OK, &shown))
}

async fn managed(
    dashboard: &Inner,
    reader: Reader,
    home: &Owned,
    settings: Settings,
) -> Result<Managed, Fault> {
    let lines = dashboard.portal.links(home).await?;
    let devices = match dashboard.relay.list(home).await {
        Ok(_) if dashboard.relay.status(home.id).is_stopped => Devices::Stopped,
        Ok(listing) => Devices::here(listing, &links::alive(reader, &lines)),
        Err(_) => Devices::Away,
    };
    let said = said(dashboard, reader, home, &lines);
    let may_renew = home.state == State::Active;
    let proof = dashboard.tunnels.proof(home.id).await?.map(|proof| proved(reader, &proof));
    Ok(Managed { links: links::in_order(reader, &lines, said), devices, settings, may_renew, proof })
}

/// What asking the home's address came to.
fn proved(reader: Reader, proof: &Proof) -> Proved {
    Proved {
        is_well: proof.finding == Finding::Proved,
        words: reader.w.say_with(proof.finding.sentence(), "detail", &*proof.detail),
        at: reader.moment(proof.at),
        proxies: proof.proxies().into_iter().map(str::to_owned).collect(),
    }
}

async fn revoke(dashboard: &Inner, visit: &Visit<'_>, home: &Owned, link: &str) -> Result<Answer, Fault> {
    visit.signed_in.check(visit.asked, Some(&visit.asked.form()?))?;
    let link: LinkId = link.parse().map_err(|_| Fault::NotFound)?;
    dashboard.portal.revoke(home, link, &visit.doer()).await?;
    Ok(see_other(&format!("/homes/{}#links", home.id)))
}

/// What `assets/live.js` asks for again and again.
#[derive(Serialize)]
struct Now {
    /// By home and hop, such as `42.agent`; `42.home` is the card's.
    hops: BTreeMap<String, Light>,
    /// When each link was last used.
    used: HashMap<LinkId, Moment>,
    /// What each link's entity says now, in words.
    said: HashMap<LinkId, String>,
    /// When its hops were cut lately; of one home only.
    past: Option<Past>,
    /// Whether the home's agent is there: a page that waits for it may load again.
    online: bool,
    /// Whether the home's own policy shares anything: a page that says otherwise may load again.
    shares: bool,
}

async fn all_lights(dashboard: &Inner, visit: &Visit<'_>) -> Result<Answer, Fault> {
    let reader = reader(dashboard, visit.asked);
    let homes = dashboard.homes.list(&visit.signed_in.caller(), visit.signed_in.workspace).await?;
    let hops =
        homes.iter().map(|home| (format!("{}.home", home.id), reader.home(&dashboard.tunnels.hops(home))));
    let now = Now {
        hops: hops.collect(),
        used: HashMap::new(),
        said: HashMap::new(),
        past: None,
        online: false,
        shares: true,
    };
    Ok(json(StatusCode::OK, &now))
}

async fn home_lights(dashboard: &Inner, visit: &Visit<'_>, id: HomeId) -> Result<Answer, Fault> {
    let caller = visit.signed_in.caller();
    let home = dashboard.homes.visible(id, &caller).await?;
    let reader = reader(dashboard, visit.asked);
    let hops =
        reader.hops(&dashboard.tunnels.hops(&home)).map(|hop| (format!("{id}.{}", hop.key), hop.light));
    let (mut used, mut states) = (HashMap::new(), HashMap::new());
    if visit.signed_in.role.manages() {
        let lines = dashboard.portal.links(&dashboard.homes.owned(id, &caller).await?).await?;
        states = said(dashboard, reader, &home, &lines);
        used.extend(lines.iter().filter_map(|line| Some((line.link.id, reader.moment(line.link.used?)))));
    }
    let past = Some(reader.past(&dashboard.tunnels.history(&home, None, LATELY).await?));
    let agent = dashboard.relay.status(id);
    let (online, shares) = (agent.connected_since.is_some(), !agent.is_stopped);
    Ok(json(StatusCode::OK, &Now { hops: hops.into(), used, said: states, past, online, shares }))
}

fn reader(dashboard: &Inner, asked: &Asked) -> Reader {
    Reader { w: asked.words(), now: dashboard.clock.now() }
}

/// What the shared entities of a home say; nothing while nobody can tell.
fn said(dashboard: &Inner, reader: Reader, home: &Home, lines: &[LinkLine]) -> HashMap<LinkId, String> {
    if !dashboard.relay.standing(home.id).online {
        return HashMap::new();
    }
    links::said(reader, lines, |entity| Some(dashboard.relay.snapshot(home.id, entity)?.0))
}

/// A home's name and address.
pub fn place(dashboard: &Inner, home: &Home) -> Place {
    Place {
        id: home.id,
        name: home.name.clone(),
        url: dashboard.homes.url(home),
        hostname: dashboard.homes.hostname(home),
        is_new: dashboard.tunnels.hops(home).is_new(),
    }
}
