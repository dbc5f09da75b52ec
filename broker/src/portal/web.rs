//! A guest's routes under `/portal/entity/{id}`: the page, its state, its control and its live socket.
//!
//! The link's token comes in the query of the first visit, which moves it into a cookie limited to that path;
//! from programs also as `X-Portal-Token`, or as `access_token` in a query or body. Nothing but the token and
//! the action is ever read from a guest.

use http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use shared::entity::Action;
use shared::id::SharedEntityId;
use shared::secret::Secret;

use super::link::Permission;
use super::{Admitted, Portal, guest, page_path};
use crate::http::cookie::Jar;
use crate::http::fault::Manner;
use crate::http::socket::upgrade;
use crate::http::{Answer, Asked, Fault, Routes, csrf, json, routes, see_other};
use crate::relay::{Controlled, Seen, VIEWER_SIZE};

/// Browsers keep no cookie longer than 400 days (RFC 6265bis section 5.5).
const COOKIE_SECONDS: u64 = 400 * 24 * 3600;

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Query,
    Header,
    Body,
    Cookie,
}

/// What a body may say; everything else in it is not looked at.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    action: Option<serde_json::Value>,
}

/// `{"entity":{…},"home":{…}}`
#[derive(Serialize)]
struct StateAnswer<'a> {
    entity: Seen<'a>,
    home: HomeAnswer,
}

#[derive(Serialize)]
struct HomeAnswer {
    online: bool,
    since: Option<i64>,
}

#[derive(Serialize)]
struct Confirmed<'a> {
    entity: Seen<'a>,
}

/// Why a control was not done: `error` is `refused`, `timed_out` or `offline`.
#[derive(Serialize)]
struct NotDone {
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<shared::relay::Refusal>,
    detail: &'static str,
}

impl Portal {
    /// `/portal/…`
    pub fn routes(&self) -> Routes {
        let portal = self.clone();
        routes(self.0.site.clone(), &["portal"], move |asked| {
            let portal = portal.clone();
            async move { portal.answer(asked).await }
        })
    }

    pub(super) async fn answer(&self, asked: Asked) -> Result<Answer, Fault> {
        let segments: Vec<_> = asked.segments().into_iter().map(str::to_owned).collect();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match (&asked.method, &segments[..]) {
            (&Method::GET | &Method::HEAD, ["portal", "entity", id]) => self.page(&asked, parse(id)).await,
            (&Method::POST, ["portal", "entity", id, "state"]) => {
                let answered = self.state(&asked, parse(id)).await;
                Ok(answered.unwrap_or_else(|fault| to_program(fault, &asked)))
            }
            (&Method::POST, ["portal", "entity", id, "control"]) => {
                let answered = self.control(&asked, parse(id)).await;
                let form = guest::is_from_page(&asked);
                answered.or_else(|fault| if form { Err(fault) } else { Ok(to_program(fault, &asked)) })
            }
            (&Method::GET, ["portal", "entity", id, "live"]) => self.live(asked, parse(id)).await,
            (_, ["portal", "entity", _]) => Err(Fault::Method("GET, HEAD")),
            (_, ["portal", "entity", _, "state" | "control"]) => Err(Fault::Method("POST")),
            (_, ["portal", "entity", _, "live"]) => Err(Fault::Method("GET")),
            _ => Err(Fault::NotFound),
        }
    }

    async fn page(&self, asked: &Asked, id: Option<SharedEntityId>) -> Result<Answer, Fault> {
        let (token, from) = presented(asked, id, &Said::default());
        let guest = self.admit(token.as_ref(), id, asked.peer.ip).await?;
        let visit = asked.method == Method::GET;
        if from == From::Query {
            let mut clean = see_other(&page_path(guest.entity.id));
            if let Some(token) = token.filter(|_| visit) {
                let path = page_path(guest.entity.id);
                guest_cookie(&path).set(&mut clean, &asked.site, &token, Some(self.cookie_seconds(&guest)));
            }
            return Ok(clean);
        }
        if visit {
            self.note_use(&guest);
        }
        Ok(self.show(asked, &guest, StatusCode::OK, None))
    }

    async fn state(&self, asked: &Asked, id: Option<SharedEntityId>) -> Result<Answer, Fault> {
        let (token, _) = presented(asked, id, &said(asked));
        let guest = self.admit(token.as_ref(), id, asked.peer.ip).await?;
        self.note_use(&guest);
        let known = self.0.relay.snapshot(guest.entity.home, &guest.entity.entity_id);
        let entity = &guest.entity;
        let entity = match &known {
            Some((state, _)) => Seen::known(state),
            None => Seen::unknown(&entity.entity_id, &entity.name, entity.area.as_deref()),
        };
        let standing = self.0.relay.standing(guest.entity.home);
        let home = HomeAnswer { online: standing.online, since: standing.since.map(|at| at.millis()) };
        Ok(json(StatusCode::OK, &StateAnswer { entity, home }))
    }

    async fn control(&self, asked: &Asked, id: Option<SharedEntityId>) -> Result<Answer, Fault> {
        let said = said(asked);
        let (token, from) = presented(asked, id, &said);
        let guest = self.admit(token.as_ref(), id, asked.peer.ip).await?;
        if guest.link.permission != Permission::Control || !guest.entity.entity_id.is_controllable() {
            return Err(Fault::Refused);
        }
        if from == From::Cookie {
            csrf::is_from_here(asked)?;
        }
        self.0.controls.take(&guest.link.id)?;
        let action =
            said.action.as_ref().and_then(|action| action.as_str()).and_then(|word| word.parse().ok());
        let action: Action = action.ok_or_else(|| Fault::bad("action is toggle, turn_on or turn_off"))?;
        self.note_use(&guest);
        let controlled = self.0.relay.control(guest.entity.home, &guest.entity.entity_id, action).await;
        tracing::info!(link.id = %guest.link.id, action = action.service(), done = matches!(controlled, Controlled::Confirmed(_)), "guest controlled");
        if guest::is_from_page(asked) {
            return Ok(self.show_controlled(asked, &guest, &controlled));
        }
        Ok(controlled_answer(&controlled))
    }

    async fn live(&self, mut asked: Asked, id: Option<SharedEntityId>) -> Result<Answer, Fault> {
        let token = header_token(&asked);
        let (token, from) = match token {
            Some(token) => (Some(token), From::Header),
            None => (cookie_token(&asked, id), From::Cookie),
        };
        let ended = self.0.open.ended();
        let guest = self.admit(token.as_ref(), id, asked.peer.ip).await?;
        // Browsers send cookies with any page's WebSocket, but always say whose page it is (WS-01).
        if from == From::Cookie && asked.header(header::ORIGIN) != Some(asked.site.origin().as_str()) {
            return Err(Fault::Forged);
        }
        let (answer, opening) = upgrade(&mut asked)?;
        let (home, link) = (guest.entity.home, guest.link.id);
        let viewer = self.0.relay.viewer(home, std::slice::from_ref(&guest.entity.entity_id));
        if !self.0.open.add(link, viewer.closer()) {
            return Err(Fault::Unavailable("this link is open in too many places".to_owned()));
        }
        if self.0.open.ended() != ended {
            self.admit(token.as_ref(), id, asked.peer.ip).await?;
        }
        self.note_use(&guest);
        let portal = self.clone();
        self.0.tasks.spawn(async move {
            match opening.open(VIEWER_SIZE).await {
                Some(socket) => viewer.serve(socket).await,
                None => drop(viewer),
            }
            portal.0.open.tidy(link);
        });
        Ok(answer)
    }

    /// As long as the link, or as long as browsers keep one.
    fn cookie_seconds(&self, guest: &Admitted) -> u64 {
        let left = guest.link.expires.map(|at| at.since(self.0.clock.now()).as_secs());
        left.unwrap_or(COOKIE_SECONDS).clamp(1, COOKIE_SECONDS)
    }
}

fn guest_cookie(path: &str) -> Jar<'_> {
    Jar { name: "guest", path }
}

fn parse(id: &str) -> Option<SharedEntityId> {
    id.parse().ok()
}

/// The token a request presents: what it says in so many words comes before the cookie.
fn presented(asked: &Asked, id: Option<SharedEntityId>, said: &Said) -> (Option<Secret>, From) {
    let query =
        asked.query_form().ok().and_then(|form| form.optional("access_token").ok()?.map(str::to_owned));
    if let Some(token) = query {
        return (Some(token.into()), From::Query);
    }
    if let Some(token) = header_token(asked) {
        return (Some(token), From::Header);
    }
    if let Some(token) = &said.access_token {
        return (Some(token.clone()), From::Body);
    }
    (cookie_token(asked, id), From::Cookie)
}

fn header_token(asked: &Asked) -> Option<Secret> {
    asked.header("x-portal-token").map(|token| Secret::from(token.to_owned()))
}

fn cookie_token(asked: &Asked, id: Option<SharedEntityId>) -> Option<Secret> {
    guest_cookie(&page_path(id?)).read(asked)
}

/// What the body says, as JSON or as a form; a body that is neither says nothing.
fn said(asked: &Asked) -> Said {
    let kind = asked.header(header::CONTENT_TYPE).unwrap_or("").trim_start().to_ascii_lowercase();
    if kind.starts_with("application/json") {
        return asked.json().unwrap_or_default();
    }
    let Ok(form) = asked.form() else { return Said::default() };
    let field = |name| form.optional(name).ok().flatten().map(str::to_owned);
    Said { access_token: field("access_token").map(Secret::from), action: field("action").map(Into::into) }
}

/// The fault in JSON: programs ask here, whatever they say they accept.
fn to_program(fault: Fault, asked: &Asked) -> Answer {
    fault.answer(&Manner { json: true, ..Manner::of(asked) })
}

fn controlled_answer(controlled: &Controlled) -> Answer {
    let not_done = |status, error, reason, detail| json(status, &NotDone { error, reason, detail });
    match controlled {
        Controlled::Confirmed(state) => json(StatusCode::OK, &Confirmed { entity: Seen::known(state) }),
        Controlled::Refused(reason) => {
            not_done(StatusCode::CONFLICT, "refused", Some(*reason), "the home did not do it")
        }
        Controlled::TimedOut => {
            let detail = "home assistant did not confirm it in time; it may have happened";
            not_done(StatusCode::GATEWAY_TIMEOUT, "timed_out", None, detail)
        }
        Controlled::Offline => {
            not_done(StatusCode::SERVICE_UNAVAILABLE, "offline", None, "the home cannot be reached now")
        }
    }
}
