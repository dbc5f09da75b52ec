//! Links as their owner sees them: for whom, to what, until when, and when last used.

use std::collections::HashMap;

use shared::entity::{EntityId, EntityState};
use shared::id::LinkId;

use super::devices::icon;
use super::lights::Reader;
use crate::http::ago::Moment;
use crate::portal::{self, LinkLine, Permission, SharedEntity, Standing};

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
    /// The entity's state in words; nothing while the home is away or the link over.
    pub said: Option<String>,
    /// When it was made.
    pub created: Moment,
    /// When it lapses, or did; when it was revoked. None is never.
    pub ends: Option<Moment>,
    /// When it was last used.
    pub used: Option<Moment>,
    /// Why it opens nothing any more, in a word.
    pub over: Option<String>,
}

impl Link {
    /// A link's line as it is now.
    pub fn new(reader: Reader, link: &portal::Link, entity: &SharedEntity, said: Option<String>) -> Self {
        let (ends, over) = match link.standing(reader.now) {
            Standing::Live => (link.expires, None),
            Standing::Lapsed(at) => (Some(at), Some("dashboard-lapsed")),
            Standing::Revoked(at) => (Some(at), Some("dashboard-revoked")),
        };
        Self {
            id: link.id,
            label: link.label.clone(),
            entity: entity.name.clone(),
            icon: icon(entity.entity_id.domain()),
            controls: link.permission == Permission::Control,
            said,
            created: reader.moment(link.created_at),
            ends: ends.map(|at| reader.moment(at)),
            used: link.used.map(|at| reader.moment(at)),
            over: over.map(|key| reader.w.say(key)),
        }
    }
}

/// All links of a home: those alive first, each half as it came, the newest first.
pub fn in_order(reader: Reader, lines: &[LinkLine], mut said: HashMap<LinkId, String>) -> Vec<Link> {
    let (alive, over): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.link.admits(reader.now));
    let link = |line: &LinkLine| Link::new(reader, &line.link, &line.entity, said.remove(&line.link.id));
    alive.into_iter().chain(over).map(link).collect()
}

/// How many links alive each entity has.
pub fn alive(reader: Reader, lines: &[LinkLine]) -> HashMap<EntityId, usize> {
    let mut alive = HashMap::new();
    for line in lines.iter().filter(|line| line.link.admits(reader.now)) {
        *alive.entry(line.entity.entity_id.clone()).or_default() += 1;
    }
    alive
}

/// What the entities of links alive say now, in words; `state` asks for the newest.
pub fn said(
    reader: Reader,
    lines: &[LinkLine],
    state: impl Fn(&EntityId) -> Option<EntityState>,
) -> HashMap<LinkId, String> {
    let alive = lines.iter().filter(|line| line.link.admits(reader.now));
    alive
        .filter_map(|line| Some((line.link.id, portal::said(reader.w, &state(&line.entity.entity_id)?))))
        .collect()
}
