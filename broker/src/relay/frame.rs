//! Text frames for viewers and agents, whole: header and JSON, encoded once and sent to any number of sockets.
//!
//! A server's frames are not masked (RFC 6455 section 5.1), so the same bytes fit every socket.

use bytes::Bytes;
use serde::Serialize;
use shared::entity::{EntityId, EntityState};

use crate::clock::Timestamp;

/// FIN and the opcode of a text frame (RFC 6455 section 5.2).
const TEXT: u8 = 0x81;
/// The longest header of an unmasked frame.
const HEADER: usize = 10;

/// A text frame as it goes over the wire. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame(Bytes);

impl Frame {
    /// Encodes a value as JSON in one frame.
    pub(super) fn new(value: &impl Serialize) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.resize(HEADER, 0);
        serde_json::to_writer(&mut bytes, value)
            .expect("the words of the relay have nothing JSON cannot say");
        let length = bytes.len() - HEADER;
        let short = u8::try_from(length).ok().filter(|length| *length < 126);
        let start = match (short, u16::try_from(length)) {
            (Some(length), _) => {
                bytes[HEADER - 2..HEADER].copy_from_slice(&[TEXT, length]);
                HEADER - 2
            }
            (None, Ok(length)) => {
                bytes[HEADER - 4..HEADER - 2].copy_from_slice(&[TEXT, 126]);
                bytes[HEADER - 2..HEADER].copy_from_slice(&length.to_be_bytes());
                HEADER - 4
            }
            (None, Err(_)) => {
                bytes[..2].copy_from_slice(&[TEXT, 127]);
                bytes[2..HEADER].copy_from_slice(&(length as u64).to_be_bytes());
                0
            }
        };
        Self(Bytes::from(bytes).slice(start..))
    }

    /// The bytes for the wire.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.0
    }
}

/// What a viewer is told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told<'a> {
    /// An entity's state: at the start, and at each change.
    State {
        /// The state.
        entity: Seen<'a>,
    },
    /// Whether the home can be reached and Home Assistant answers: at the start, and at each change.
    Home {
        /// Whether it does.
        online: bool,
        /// Since when, in milliseconds since the Unix epoch; nothing if it was never there.
        since: Option<i64>,
    },
}

impl Told<'_> {
    pub(super) fn home(online: bool, since: Option<Timestamp>) -> Self {
        Self::Home { online, since: since.map(Timestamp::millis) }
    }
}

/// An entity as guests and programs see it in JSON: these fields and no others (S4).
#[derive(Debug, Serialize)]
pub struct Seen<'a> {
    /// Which entity.
    pub entity_id: &'a EntityId,
    /// The part before the dot.
    pub domain: &'a str,
    /// Its friendly name.
    pub name: &'a str,
    /// Home Assistant's state text; `unknown` while nothing is known.
    pub state: &'a str,
    /// Where it is.
    pub area: Option<&'a str>,
    /// When the state last changed, in milliseconds since the Unix epoch; nothing while nothing is known.
    pub last_changed: Option<i64>,
    /// The attributes that may be seen.
    pub attributes: SeenAttributes<'a>,
}

/// The attributes that may be seen (S4).
#[derive(Debug, Default, Serialize)]
pub struct SeenAttributes<'a> {
    /// The name once more, where Home Assistant's own programs look for it.
    pub friendly_name: &'a str,
    /// Such as `temperature`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_class: Option<&'a str>,
    /// Such as `mdi:lamp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<&'a str>,
    /// Such as `°C`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_of_measurement: Option<&'a str>,
}

impl<'a> Seen<'a> {
    /// A state that is known.
    pub fn known(state: &'a EntityState) -> Self {
        Self {
            entity_id: &state.entity_id,
            domain: state.entity_id.domain(),
            name: &state.name,
            state: &state.state,
            area: state.area.as_deref(),
            last_changed: Some(state.last_changed),
            attributes: SeenAttributes {
                friendly_name: &state.name,
                device_class: state.attributes.device_class.as_deref(),
                icon: state.attributes.icon.as_deref(),
                unit_of_measurement: state.attributes.unit_of_measurement.as_deref(),
            },
        }
    }

    /// An entity of which only name and place are known.
    pub fn unknown(entity_id: &'a EntityId, name: &'a str, area: Option<&'a str>) -> Self {
        Self {
            entity_id,
            domain: entity_id.domain(),
            name,
            state: "unknown",
            area,
            last_changed: None,
            attributes: SeenAttributes { friendly_name: name, ..SeenAttributes::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_header_its_length_asks_for() {
        for (length, header) in [
            (3usize, vec![TEXT, 5]),
            (123, vec![TEXT, 125]),
            (124, vec![TEXT, 126, 0, 126]),
            (65_533, vec![TEXT, 126, 0xff, 0xff]),
            (65_534, vec![TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::new(&"x".repeat(length));
            assert_eq!(frame.bytes()[..header.len()], header, "{length}");
            assert_eq!(frame.bytes().len(), header.len() + length + 2, "{length}");
        }
    }

    #[test]
    fn a_viewer_is_told_these_fields_and_no_others() {
        let state: EntityState = serde_json::from_str(
            r#"{"entity_id":"sensor.hall","state":"21.5","name":"Hall","last_changed":5,
                "attributes":{"unit_of_measurement":"°C","gps":"1,2"},"secret":1}"#,
        )
        .unwrap();
        assert_eq!(
            serde_json::to_string(&Told::State { entity: Seen::known(&state) }).unwrap(),
            r#"{"type":"state","entity":{"entity_id":"sensor.hall","domain":"sensor","name":"Hall","state":"21.5","area":null,"last_changed":5,"attributes":{"friendly_name":"Hall","unit_of_measurement":"°C"}}}"#
        );
        assert_eq!(
            serde_json::to_string(&Told::home(false, None)).unwrap(),
            r#"{"type":"home","online":false,"since":null}"#
        );
    }
}
