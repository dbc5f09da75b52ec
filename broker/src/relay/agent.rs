//! An agent's socket, `GET /agent/relay`: states come up, what may leave the house and controls go down.
//!
//! Its bearer token is checked at the handshake (scope `relay`, bound to one home); from then on the socket
//! lives as long as the grant behind it. A second agent of the same home takes the first one's place.

use std::mem;
use std::sync::Arc;

use http::Method;
use shared::id::{GrantId, HomeId};
use shared::oauth::Scope;
use shared::relay::{Downstream, MAX_FRAME, PATH, Upstream, close};
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, info, warn};
use warp::Filter as _;

use super::mailbox::{Mailbox, code};
use super::room::Room;
use super::{HomeAssistant, Listing, Relay, line};
use crate::homes::{Home, State};
use crate::http::socket::{Opening, Size, upgrade};
use crate::http::{Answer, Asked, Fault, Routes, routes};

/// Frames may be long, but most of the time an agent says little.
const SIZE: Size = Size { message: MAX_FRAME, buffer: 2048 };
/// So many words may wait for an agent before it is sent away as too slow.
const WORDS: usize = 512;
/// Pinged every turn of the wheel.
const RESTS: u8 = 1;

impl Relay {
    /// `GET /agent/relay`.
    pub fn routes(&self) -> Routes {
        let relay = self.clone();
        let ours = warp::path::full().and_then(|path: warp::path::FullPath| async move {
            if path.as_str() == PATH { Ok(()) } else { Err(warp::reject::not_found()) }
        });
        let routes = routes(self.0.parts.site.clone(), &["agent"], move |asked| {
            let relay = relay.clone();
            async move { relay.agent(asked).await }
        });
        ours.untuple_one().and(routes).boxed()
    }

    async fn agent(&self, mut asked: Asked) -> Result<Answer, Fault> {
        if asked.method != Method::GET {
            return Err(Fault::Method("GET"));
        }
        // From before the token is checked, so that a revocation in between is not missed.
        let revoked = self.0.parts.oauth.revoked();
        let bearer = self.0.parts.oauth.bearer(&asked, Scope::Relay).await?;
        let unbound = || Fault::Forbidden("not_an_agent", "the token is not bound to a home".to_owned());
        let home = bearer.caller.home.ok_or_else(unbound)?;
        let home = self.0.parts.homes.visible(home, &bearer.caller).await?;
        if home.state == State::Deleting {
            return Err(Fault::NotFound);
        }
        let (answer, opening) = upgrade(&mut asked)?;
        let session = Session { home, grant: bearer.grant, revoked };
        let relay = self.clone();
        self.0.parts.tasks.spawn(async move { relay.serve(opening, session).await });
        Ok(answer)
    }

    async fn serve(self, opening: Opening, session: Session) {
        let Session { home, grant, revoked } = session;
        let _watch = self.0.parts.oauth.watch(grant);
        let Some(socket) = opening.open(SIZE).await else { return };
        let room = self.room(home.id);
        let mailbox = Arc::new(Mailbox::new(WORDS, RESTS));
        self.0.wheel.add(&mailbox);
        let number = self.join(&room, &mailbox, &home, grant).await;
        if let Some(code) = missed(revoked, grant) {
            mailbox.end(code);
        }
        info!(home.id = %home.id, "agent joined");
        self.tell(home.id);
        line::keep(socket, &mailbox, |message| {
            if let Message::Text(text) = message {
                self.hear(&room, (number, grant), &text);
            }
            Ok(())
        })
        .await;
        let present = room.leave(number, self.now());
        info!(home.id = %home.id, replaced = !present, "agent left");
        self.tell(home.id);
    }

    /// Takes the home's place for an agent, welcomes it and tells it what may leave the house.
    async fn join(&self, room: &Arc<Room>, mailbox: &Arc<Mailbox>, home: &Home, grant: GrantId) -> u64 {
        let welcome = Downstream::Welcome { home: home.id, name: home.name.clone() };
        let number = room.join(mailbox, grant, &welcome, self.now());
        if let Err(fault) = self.rewatch(room, true).await {
            warn!(home.id = %home.id, "read what is shared: {fault}");
            self.keep_rewatching(room.clone(), true);
        }
        if self.0.parts.stop.is_cancelled() {
            mailbox.end(code::RESTART);
        }
        number
    }

    /// The agent said who it is: what the next one to be paired with this home is told (T8).
    fn greet(&self, home: HomeId, grant: GrantId, machine: String) {
        let oauth = self.0.parts.oauth.clone();
        self.0.parts.tasks.spawn(async move {
            if let Err(fault) = oauth.note_machine(grant, &machine).await {
                warn!(home.id = %home, "note the machine of an agent: {fault}");
            }
        });
    }

    fn hear(&self, room: &Room, (number, grant): (u64, GrantId), text: &str) {
        let word = match serde_json::from_str(text) {
            Ok(word) => word,
            Err(err) => {
                // Of a newer agent, perhaps: what is not understood is skipped.
                debug!(home.id = %room.home, "a word of the agent is not understood: {err}");
                return;
            }
        };
        let now = self.now();
        match word {
            Upstream::Hello { version, machine } => {
                let machine = clean(&machine, 80);
                if room.hello(number, clean(&version, 40), machine.clone()) {
                    self.greet(room.home, grant, machine);
                }
                self.tell(room.home);
            }
            Upstream::HomeAssistant { state, version, reason } => {
                let version = version.map(|text| clean(&text, 40));
                let reason = reason.map(|text| clean(&text, 500));
                if room.home_assistant(number, HomeAssistant { state, since: now, version, reason }, now) {
                    self.tell(room.home);
                }
            }
            Upstream::Tunnel { reason, .. } => {
                let trouble = reason.map(|text| clean(&text, 500));
                if room.note(number, |is| mem::replace(&mut is.tunnel_trouble, trouble.clone()) != trouble) {
                    self.tell(room.home);
                }
            }
            Upstream::States { states } => room.states(number, states, now),
            Upstream::Gone { entity_ids } => room.gone(number, &entity_ids, now),
            Upstream::Policy { stopped } => {
                if room.note(number, |is| mem::replace(&mut is.is_stopped, stopped) != stopped) {
                    self.tell(room.home);
                }
            }
            Upstream::Listing { request, entities, more, withheld } => {
                room.listing(number, request, Listing { entities, withheld }, more);
            }
            Upstream::Controlled { request, outcome } => room.controlled(number, request, outcome, now),
            Upstream::Unknown => {}
        }
    }
}

struct Session {
    home: Home,
    grant: GrantId,
    revoked: broadcast::Receiver<GrantId>,
}

/// Whether the grant died while the agent was joining: from now on the relay's own task looks after that.
fn missed(mut revoked: broadcast::Receiver<GrantId>, grant: GrantId) -> Option<u16> {
    loop {
        match revoked.try_recv() {
            Ok(dead) if dead == grant => return Some(close::UNAUTHORIZED),
            Ok(_) => {}
            Err(TryRecvError::Lagged(_)) => return Some(code::RESTART),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
        }
    }
}

/// A text for a person to read, whatever an agent sent.
fn clean(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}
