//! The guest's page: one card with one thing on it.

use askama::Template;
use http::{StatusCode, header};
use shared::relay::Refusal;

use super::link::Permission;
use super::{Admitted, Portal, page_path, say};
use crate::http::ago::Moment;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked};
use crate::relay::Controlled;

/// The drawings in `assets/icons.svg` that stand for a domain.
const DRAWN: [&str; 15] = [
    "light",
    "switch",
    "fan",
    "sensor",
    "binary_sensor",
    "climate",
    "cover",
    "lock",
    "camera",
    "media_player",
    "person",
    "weather",
    "scene",
    "vacuum",
    "other",
];

#[derive(Template)]
#[template(path = "portal/guest.html")]
struct GuestPage<'a> {
    frame: Frame,
    path: String,
    home: &'a str,
    name: String,
    area: Option<String>,
    domain: &'a str,
    icon: &'static str,
    /// Home Assistant's own text, for colours and for the script.
    state: String,
    said: String,
    changed: Option<Moment>,
    online: bool,
    since: Option<Moment>,
    /// The words of the states that may come, as JSON.
    table: String,
    controls: bool,
    /// What the switch does when it is pressed.
    action: &'static str,
    /// What came of a control, where no script asked: look and sentence.
    outcome: Option<(&'static str, &'static str)>,
}

impl Portal {
    /// The page, as everything stands now.
    pub(super) fn show(
        &self,
        asked: &Asked,
        guest: &Admitted,
        status: StatusCode,
        outcome: Option<(&'static str, &'static str)>,
    ) -> Answer {
        let (w, now, entity) = (asked.words(), self.0.clock.now(), &guest.entity);
        let known = self.0.relay.snapshot(entity.home, &entity.entity_id).map(|(state, _)| state);
        let standing = self.0.relay.standing(entity.home);
        let attributes = known.as_ref().map(|state| state.attributes.clone()).unwrap_or_default();
        let table = say::table(w, entity.entity_id.domain(), attributes.device_class.as_deref());
        let state = known.as_ref().map_or("unknown", |state| &state.state).to_owned();
        let moment = |at| Moment::new(w, at, now);
        page(
            status,
            &GuestPage {
                frame: Frame::bare(w),
                path: page_path(entity.id),
                home: &guest.home_name,
                name: known.as_ref().map_or(&entity.name, |state| &state.name).clone(),
                area: known.as_ref().map_or(&entity.area, |state| &state.area).clone(),
                domain: entity.entity_id.domain(),
                icon: DRAWN.iter().find(|drawn| **drawn == entity.entity_id.domain()).unwrap_or(&"other"),
                said: say::state(&table, &state, attributes.unit_of_measurement.as_deref()),
                changed: known
                    .as_ref()
                    .map(|state| moment(crate::clock::Timestamp::from_millis(state.last_changed))),
                online: standing.online,
                since: standing.since.map(moment),
                table: words_as_json(&table),
                controls: guest.link.permission == Permission::Control && entity.entity_id.is_controllable(),
                action: if state == "on" { "turn_off" } else { "turn_on" },
                state,
                outcome,
            },
        )
    }

    /// The page after its switch was pressed without a script.
    pub(super) fn show_controlled(&self, asked: &Asked, guest: &Admitted, controlled: &Controlled) -> Answer {
        let (status, look, sentence) = match controlled {
            Controlled::Confirmed(_) => (StatusCode::OK, "confirmed", "portal-done"),
            Controlled::Refused(Refusal::Unavailable | Refusal::NoSuchEntity) => {
                (StatusCode::CONFLICT, "refused", "portal-refused-unavailable")
            }
            Controlled::Refused(Refusal::NotShared | Refusal::Policy | Refusal::NotControllable) => {
                (StatusCode::CONFLICT, "refused", "portal-refused-policy")
            }
            Controlled::Refused(_) => (StatusCode::CONFLICT, "refused", "portal-refused-failed"),
            Controlled::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out", "portal-timed-out"),
            Controlled::Offline => (StatusCode::SERVICE_UNAVAILABLE, "offline", "portal-control-offline"),
        };
        self.show(asked, guest, status, Some((look, sentence)))
    }
}

/// Whether the page's own form asks, from a browser that runs no scripts.
pub(super) fn is_from_page(asked: &Asked) -> bool {
    asked.header(header::ACCEPT).is_some_and(|accept| accept.starts_with("text/html"))
}

fn words_as_json(table: &[(&'static str, String)]) -> String {
    let words: serde_json::Map<_, _> =
        table.iter().map(|(state, words)| ((*state).to_owned(), words.clone().into())).collect();
    serde_json::Value::Object(words).to_string()
}
