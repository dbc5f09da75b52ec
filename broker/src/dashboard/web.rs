//! The dashboard's routes.

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use serde::Serialize;
use shared::id::{HomeId, LinkId};

use super::devices::Devices;
use super::lights::{Known, Light, Reader};
use super::pages::{Card, HomePage, HomesPage, Managed, Place, Settings};
use super::{Inner, links, settings, sharing};
use crate::accounts::SignedIn;
use crate::audit::Doer;
use crate::homes::{DEFAULT_PORT, Home, Owned, State};
use crate::http::ago::Moment;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, json, see_other};
use crate::portal::LinkLine;

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
        ("POST", ["homes", id, "renew"]) => {
            settings::renew(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "delete"]) => {
            settings::delete(dashboard, &visit, &owned(dashboard, &visit, id).await?).await
        }
        ("POST", ["homes", id, "links", link, "revoke"]) => {
            revoke(dashboard, &visit, &owned(dashboard, &visit, id).await?, link).await
        }
        (_, [""] | ["homes", "status"] | ["homes", _] | ["homes", _, "status"]) => Err(Fault::Method("GET")),
        (_, ["homes"] | ["homes", _, "share"]) => Err(Fault::Method("GET, POST")),
        (_, ["homes", _, "links", _, "revoke"] | ["homes", _, "settings" | "renew" | "delete"]) => {
            Err(Fault::Method("POST"))
        }
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
    let cards = homes
        .iter()
        .map(|home| Card { place: place(dashboard, home), light: reader.home(&known(dashboard, home)) });
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
            Some(managed(dashboard, reader, &owned, tried.or(&home)).await?)
        }
        _ => None,
    };
    let status = match &managed {
        Some(managed) if managed.settings.wrong.is_some() => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let shown = HomePage {
        frame: visit.frame(),
        hops: reader.hops(&known(dashboard, &home)),
        home: place(dashboard, &home),
        broker: dashboard.site.origin(),
        managed,
    };
    Ok(page(status, &shown))
}

async fn managed(
    dashboard: &Inner,
    reader: Reader,
    home: &Owned,
    settings: Settings,
) -> Result<Managed, Fault> {
    let lines = dashboard.portal.links(home).await?;
    let devices = match dashboard.relay.list(home).await {
        Ok(listed) => Devices::here(listed, &links::alive(reader, &lines)),
        Err(_) => Devices::Away,
    };
    let said = said(dashboard, reader, home, &lines);
    Ok(Managed { links: links::in_order(reader, &lines, said), devices, settings })
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
    /// Whether the home's agent is there: a page that waits for it may load again.
    online: bool,
}

async fn all_lights(dashboard: &Inner, visit: &Visit<'_>) -> Result<Answer, Fault> {
    let reader = reader(dashboard, visit.asked);
    let homes = dashboard.homes.list(&visit.signed_in.caller(), visit.signed_in.workspace).await?;
    let hops = homes.iter().map(|home| (format!("{}.home", home.id), reader.home(&known(dashboard, home))));
    Ok(json(
        StatusCode::OK,
        &Now { hops: hops.collect(), used: HashMap::new(), said: HashMap::new(), online: false },
    ))
}

async fn home_lights(dashboard: &Inner, visit: &Visit<'_>, id: HomeId) -> Result<Answer, Fault> {
    let caller = visit.signed_in.caller();
    let home = dashboard.homes.visible(id, &caller).await?;
    let reader = reader(dashboard, visit.asked);
    let known = known(dashboard, &home);
    let hops = reader.hops(&known).map(|hop| (format!("{id}.{}", hop.key), hop.light));
    let (mut used, mut states) = (HashMap::new(), HashMap::new());
    if visit.signed_in.role.manages() {
        let lines = dashboard.portal.links(&dashboard.homes.owned(id, &caller).await?).await?;
        states = said(dashboard, reader, &home, &lines);
        used.extend(lines.iter().filter_map(|line| Some((line.link.id, reader.moment(line.link.used?)))));
    }
    Ok(json(
        StatusCode::OK,
        &Now { hops: hops.into(), used, said: states, online: known.agent.connected_since.is_some() },
    ))
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

/// What relay and tunnels know of a home right now.
fn known(dashboard: &Inner, home: &Home) -> Known {
    let agent = dashboard.relay.status(home.id);
    let is_new = home.state == State::Pending && agent.connected_since.is_none();
    let tunnel = dashboard.tunnels.connected_since(home.id);
    Known { is_new, error: home.error.clone(), tunnel, agent }
}

/// A home's name and address.
pub fn place(dashboard: &Inner, home: &Home) -> Place {
    Place {
        id: home.id,
        name: home.name.clone(),
        url: dashboard.homes.url(home),
        hostname: dashboard.homes.hostname(home),
        is_new: known(dashboard, home).is_new,
    }
}
