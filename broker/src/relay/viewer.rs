//! A viewer: a browser's live socket. It hears of the entities it was admitted for; it has nothing to say.

use std::sync::{Arc, Weak};

use shared::entity::EntityId;
use shared::id::HomeId;
use tokio_tungstenite::tungstenite::Message;

use super::mailbox::{Mailbox, code};
use super::room::Room;
use super::{Relay, line};
use crate::http::socket::{Size, Socket};

/// A viewer's socket is small: there may be thousands, and all they send is pongs, of six bytes.
pub const SIZE: Size = Size { message: 1024, buffer: 128 };

/// So many frames wait at least before only the newest of each entity is kept.
const FRAMES: usize = 16;
/// Pinged every third turn of the wheel (36 s), often enough for the proxies in between.
const RESTS: u8 = 3;

/// A viewer that has its place in the room; what changes from now on waits for its socket.
pub struct Viewer {
    room: Arc<Room>,
    mailbox: Arc<Mailbox>,
    entities: Box<[EntityId]>,
}

/// Closes one viewer's socket, if it is still there.
#[derive(Debug, Clone)]
pub struct Closer(Weak<Mailbox>);

impl Closer {
    /// Closes it with a code of [`shared::relay::close`].
    pub fn close(&self, code: u16) {
        if let Some(mailbox) = self.0.upgrade() {
            mailbox.end(code);
        }
    }

    /// Whether it is still there.
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Relay {
    /// Makes a viewer of some entities of a home. Whoever calls this has admitted it.
    pub fn viewer(&self, home: HomeId, entities: &[EntityId]) -> Viewer {
        let room = self.room(home);
        let mailbox = Arc::new(Mailbox::new(FRAMES.max(entities.len() + 1), RESTS));
        self.0.wheel.add(&mailbox);
        room.enter(&mailbox, entities);
        if self.0.parts.stop.is_cancelled() {
            mailbox.end(code::RESTART);
        }
        Viewer { room, mailbox, entities: entities.into() }
    }
}

impl Viewer {
    /// What closes it.
    pub fn closer(&self) -> Closer {
        Closer(Arc::downgrade(&self.mailbox))
    }

    /// Tells the socket how everything stands, then each change, until it is gone or closed.
    pub async fn serve(self, socket: Socket) {
        line::keep(socket, &self.mailbox, |message| match message {
            Message::Text(_) | Message::Binary(_) => Err(code::POLICY),
            _ => Ok(()),
        })
        .await;
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.room.part(&self.mailbox, &self.entities);
    }
}
