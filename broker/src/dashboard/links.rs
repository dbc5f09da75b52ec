//! Links as their owner sees them: for whom, to what, until when, and when last used.

use std::collections::HashMap;

use shared::entity::EntityId;
use shared::id::LinkId;

use super::devices::icon;
use super::lights::Reader;
use crate::http::ago::Moment;
use crate::portal::{LinkLine, Permission};

/// One link's line.
#[derive(Debug)]
pub struct Link {
    /// Which.
    pub id: LinkId,
    /// For whom.
    pub label: String,
    /// What the entity is called.
    pub entity: String,
    /// Its icon.
    pub icon: &'static str,
    /// Whether the guest may switch it.
    pub controls: bool,
    /// When it was made.
    pub created: Moment,
    /// When it lapses, or did; when it was revoked. None is never.
    pub ends: Option<Moment>,
    /// When it was last used.
    pub used: Option<Moment>,
    /// It opens nothing any more.
    pub is_over: bool,
    /// Why, in a word.
    pub over_word: String,
}

impl Link {
    /// A link's line as it is now.
    pub fn new(reader: Reader, line: &LinkLine) -> Self {
        let over = over(reader, line);
        let ends = line.revoked_at.or(line.expires_at);
        Self {
            id: line.id,
            label: line.label.clone(),
            entity: line.name.clone(),
            icon: icon(line.entity_id.domain()),
            controls: line.permission == Permission::Control,
            created: reader.moment(line.created_at),
            ends: ends.map(|at| reader.moment(at)),
            used: line.used_at.map(|at| reader.moment(at)),
            is_over: over.is_some(),
            over_word: over.map(|key| reader.w.say(key)).unwrap_or_default(),
        }
    }
}

/// Why a link opens nothing any more.
fn over(reader: Reader, line: &LinkLine) -> Option<&'static str> {
    if line.revoked_at.is_some() {
        return Some("dashboard-revoked");
    }
    line.expires_at.is_some_and(|at| at <= reader.now).then_some("dashboard-lapsed")
}

/// All links of a home: those alive first, each half with the newest first.
pub fn in_order(reader: Reader, mut lines: Vec<LinkLine>) -> Vec<Link> {
    lines.sort_by_key(|line| (over(reader, line).is_some(), std::cmp::Reverse(line.created_at)));
    lines.iter().map(|line| Link::new(reader, line)).collect()
}

/// How many links alive each entity has.
pub fn alive(reader: Reader, lines: &[LinkLine]) -> HashMap<EntityId, usize> {
    let mut alive = HashMap::new();
    for line in lines.iter().filter(|line| over(reader, line).is_none()) {
        *alive.entry(line.entity_id.clone()).or_default() += 1;
    }
    alive
}
