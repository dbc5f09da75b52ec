//! When a control may be sent, and when it has come about: rules without I/O.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use shared::entity::{Action, EntityId};
use shared::relay::{Outcome, Refusal};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::debug;

use super::QUEUE;
use super::entities::{Entities, Entity};
use super::names::Names;
use super::socket::Incoming;

/// How long Home Assistant has to confirm a new state.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Checks an entity before it is switched. Home Assistant itself answers "done" for one that is not there.
pub fn check(entity_id: &EntityId, entity: Option<&Entity>) -> Result<(), Refusal> {
    if !entity_id.is_controllable() {
        return Err(Refusal::NotControllable);
    }
    match entity {
        None => Err(Refusal::NoSuchEntity),
        Some(entity) if entity.state == "unavailable" => Err(Refusal::Unavailable),
        Some(_) => Ok(()),
    }
}

/// The command: the entity's own domain, one entity as the target, and no data whatsoever (S6).
pub fn command(entity_id: &EntityId, action: Action) -> Value {
    json!({
        "type": "call_service",
        "domain": entity_id.domain(),
        "service": action.service(),
        "target": {"entity_id": [entity_id]},
    })
}

/// What a control is waiting for once Home Assistant has answered that it was done.
#[derive(Debug)]
pub struct Wish {
    action: Action,
    wanted: &'static str,
}

impl Wish {
    /// The wish of an action on an entity in this state.
    pub fn new(action: Action, state: &str) -> Self {
        let wanted = match action {
            Action::TurnOn => "on",
            Action::TurnOff => "off",
            Action::Toggle if state == "on" => "off",
            Action::Toggle => "on",
        };
        Self { action, wanted }
    }

    /// Whether the entity's state is the one that was wished for, `context` being the call's own. A state that
    /// was there before counts too: turning on what is on makes a result and no event. A toggle may have met
    /// another state than we knew of; then the context says that the new one is its doing.
    pub fn is_fulfilled(&self, entity: &Entity, context: Option<&str>) -> bool {
        let ours = context.is_some() && entity.changed_by.as_deref() == context;
        entity.state == self.wanted
            || (self.action == Action::Toggle && ours && matches!(entity.state.as_str(), "on" | "off"))
    }
}

/// A control that was sent and is not confirmed.
#[derive(Debug)]
struct Running {
    entity_id: EntityId,
    wish: Wish,
    /// Known once Home Assistant has answered that it was done.
    context: Option<String>,
    deadline: Instant,
    reply: oneshot::Sender<Outcome>,
}

/// The controls that were sent and are not confirmed, by the number of their command.
#[derive(Debug, Default)]
pub struct Controls(HashMap<u64, Running>);

impl Controls {
    /// Whether no more can be sent; another is refused until one of these has ended.
    pub fn are_full(&self) -> bool {
        self.0.len() >= QUEUE
    }

    /// Remembers one that was sent.
    pub fn sent(&mut self, id: u64, entity_id: EntityId, wish: Wish, reply: oneshot::Sender<Outcome>) {
        let deadline = Instant::now() + PATIENCE;
        self.0.insert(id, Running { entity_id, wish, context: None, deadline, reply });
    }

    /// Takes in Home Assistant's answer; the state may have come before it or may come after.
    pub fn answered(&mut self, answer: &Incoming) {
        #[derive(Deserialize)]
        struct Called {
            context: Context,
        }
        #[derive(Deserialize)]
        struct Context {
            id: String,
        }
        if !answer.head.success {
            debug!(code = answer.head.code(), "home assistant refused a service");
            if let Some(running) = self.0.remove(&answer.head.id) {
                _ = running.reply.send(Outcome::Refused { reason: Refusal::Failed });
            }
            return;
        }
        if let (Some(running), Ok(called)) = (self.0.get_mut(&answer.head.id), answer.read::<Called>()) {
            running.context = Some(called.context.id);
        }
    }

    /// Tells those that were done and whose entity now is as wished.
    pub fn confirm(&mut self, entities: &Entities, names: &Names) {
        let fulfilled = |running: &Running| {
            running.context.is_some()
                && entities
                    .get(&running.entity_id)
                    .is_some_and(|entity| running.wish.is_fulfilled(entity, running.context.as_deref()))
        };
        for (_, running) in self.0.extract_if(|_, running| fulfilled(running)) {
            if let Some(state) = entities.show(&running.entity_id, names) {
                _ = running.reply.send(Outcome::Confirmed { state });
            }
        }
    }

    /// When the first of them will have waited long enough.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|running| running.deadline).min()
    }

    /// Tells those that have waited long enough.
    pub fn expire(&mut self, now: Instant) {
        for (_, running) in self.0.extract_if(|_, running| now >= running.deadline) {
            _ = running.reply.send(Outcome::TimedOut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(state: &str, changed_by: &str) -> Entity {
        let mut entity = Entity::default();
        (entity.state, entity.changed_by) = (state.into(), Some(changed_by.into()));
        entity
    }

    #[test]
    fn only_what_is_there_and_can_be_switched_is_switched() {
        let id = |text: &str| text.parse::<EntityId>().unwrap();
        assert_eq!(check(&id("light.a"), Some(&entity("off", "x"))), Ok(()));
        assert_eq!(check(&id("light.a"), Some(&entity("unknown", "x"))), Ok(()));
        assert_eq!(check(&id("light.a"), Some(&entity("unavailable", "x"))), Err(Refusal::Unavailable));
        assert_eq!(check(&id("light.a"), None), Err(Refusal::NoSuchEntity));
        assert_eq!(check(&id("lock.a"), Some(&entity("locked", "x"))), Err(Refusal::NotControllable));
        assert_eq!(check(&id("group.a"), Some(&entity("on", "x"))), Err(Refusal::NotControllable));
    }

    #[test]
    fn a_call_names_one_entity_and_brings_no_data() {
        let command = command(&"fan.living_room_fan".parse().unwrap(), Action::TurnOff);
        let exactly = json!({"type": "call_service", "domain": "fan", "service": "turn_off",
            "target": {"entity_id": ["fan.living_room_fan"]}});
        assert_eq!(command, exactly);
    }

    #[test]
    fn a_wish_is_fulfilled_by_the_state_it_named() {
        let wish = Wish::new(Action::TurnOn, "on");
        assert!(wish.is_fulfilled(&entity("on", "someone"), Some("us")));
        let wish = Wish::new(Action::TurnOn, "off");
        assert!(!wish.is_fulfilled(&entity("off", "someone"), Some("us")));
        assert!(!wish.is_fulfilled(&entity("unavailable", "us"), Some("us")));
        assert!(wish.is_fulfilled(&entity("on", "us"), Some("us")));
    }

    #[test]
    fn a_toggle_is_fulfilled_by_its_own_doing() {
        let wish = Wish::new(Action::Toggle, "off");
        assert!(!wish.is_fulfilled(&entity("off", "someone"), Some("us")));
        assert!(wish.is_fulfilled(&entity("on", "us"), Some("us")));
        // It had been turned on a moment before, unknown to us.
        assert!(wish.is_fulfilled(&entity("off", "us"), Some("us")));
        assert!(!wish.is_fulfilled(&entity("unavailable", "us"), Some("us")));
        assert!(!wish.is_fulfilled(&entity("off", "us"), None));
    }
}
