//! The words on the wire, frozen: a change here breaks agents that are out there.

use super::*;

fn assert_wire<T>(word: T, json: &str)
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    assert_eq!(serde_json::to_string(&word).unwrap(), json);
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), word);
}

fn porch() -> EntityId {
    "light.porch".parse().unwrap()
}

fn lit() -> EntityState {
    EntityState {
        entity_id: porch(),
        state: "on".into(),
        name: "Porch".into(),
        area: Some("Garden".into()),
        last_changed: 1_700_000_000_000,
        attributes: Default::default(),
    }
}

const LIT: &str = r#"{"entity_id":"light.porch","state":"on","name":"Porch","area":"Garden","last_changed":1700000000000,"attributes":{}}"#;

#[test]
fn upstream_words_are_frozen() {
    assert_wire(
        Upstream::Hello { version: "0.1.0".into(), machine: "pi".into() },
        r#"{"type":"hello","version":"0.1.0","machine":"pi"}"#,
    );
    assert_wire(
        Upstream::HomeAssistant {
            state: HomeAssistantState::Running,
            version: Some("2026.2.3".into()),
            reason: None,
        },
        r#"{"type":"home_assistant","state":"running","version":"2026.2.3"}"#,
    );
    assert_wire(
        Upstream::Tunnel { state: TunnelState::Up, trouble: None, reason: None },
        r#"{"type":"tunnel","state":"up"}"#,
    );
    assert_wire(
        Upstream::Tunnel {
            state: TunnelState::Down,
            trouble: Some(TunnelTrouble::NoProgram),
            reason: Some("there is no cloudflared".into()),
        },
        r#"{"type":"tunnel","state":"down","trouble":"no_program","reason":"there is no cloudflared"}"#,
    );
    assert_wire(
        Upstream::States { states: vec![lit()] },
        &format!(r#"{{"type":"states","states":[{LIT}]}}"#),
    );
    assert_wire(
        Upstream::Gone { entity_ids: vec![porch()] },
        r#"{"type":"gone","entity_ids":["light.porch"]}"#,
    );
    assert_wire(
        Upstream::Listing {
            request: 7,
            entities: vec![Listed {
                entity_id: porch(),
                name: "Porch".into(),
                area: None,
                floor: None,
                view_only: false,
            }],
            more: false,
            withheld: 0,
        },
        r#"{"type":"listing","request":7,"entities":[{"entity_id":"light.porch","name":"Porch"}],"more":false}"#,
    );
    assert_wire(
        Upstream::Controlled { request: 7, outcome: Outcome::Confirmed { state: lit() } },
        &format!(r#"{{"type":"controlled","request":7,"outcome":{{"is":"confirmed","state":{LIT}}}}}"#),
    );
    assert_wire(
        Upstream::Controlled { request: 7, outcome: Outcome::Refused { reason: Refusal::NotShared } },
        r#"{"type":"controlled","request":7,"outcome":{"is":"refused","reason":"not_shared"}}"#,
    );
    assert_wire(
        Upstream::Controlled { request: 7, outcome: Outcome::TimedOut },
        r#"{"type":"controlled","request":7,"outcome":{"is":"timed_out"}}"#,
    );
}

#[test]
fn downstream_words_are_frozen() {
    assert_wire(
        Downstream::Welcome { home: 7.try_into().unwrap(), name: "Home".into() },
        r#"{"type":"welcome","home":7,"name":"Home"}"#,
    );
    assert_wire(
        Downstream::Watch { entities: vec![Watched { entity_id: porch(), control: true }] },
        r#"{"type":"watch","entities":[{"entity_id":"light.porch","control":true}]}"#,
    );
    assert_wire(Downstream::List { request: 7 }, r#"{"type":"list","request":7}"#);
    assert_wire(
        Downstream::Control { request: 7, entity_id: porch(), action: Action::TurnOn },
        r#"{"type":"control","request":7,"entity_id":"light.porch","action":"turn_on"}"#,
    );
}

#[test]
fn words_for_a_tunnels_trouble_are_frozen() {
    use TunnelTrouble::*;
    let all = [
        (NoProgram, "no_program"),
        (Program, "program"),
        (Edge, "edge"),
        (Refused, "refused"),
        (NoToken, "no_token"),
        (NotOurs, "not_ours"),
        (LeadsElsewhere, "leads_elsewhere"),
        (Configuration, "configuration"),
        (Origin, "origin"),
        (TakenOver, "taken_over"),
    ];
    for (trouble, word) in all {
        assert_wire(trouble, &format!("{word:?}"));
    }
    assert_wire(TunnelState::Connecting, r#""connecting""#);
    assert_eq!(
        serde_json::from_str::<Upstream>(r#"{"type":"tunnel","state":"dancing","trouble":"tired"}"#).unwrap(),
        Upstream::Tunnel { state: TunnelState::Other, trouble: Some(Other), reason: None }
    );
}

#[test]
fn a_newer_word_is_skipped_and_a_newer_field_ignored() {
    let up = |json| serde_json::from_str::<Upstream>(json).unwrap();
    let down = |json| serde_json::from_str::<Downstream>(json).unwrap();
    assert_eq!(up(r#"{"type":"dance","steps":3}"#), Upstream::Unknown);
    assert_eq!(down(r#"{"type":"dance","steps":[3]}"#), Downstream::Unknown);
    assert_eq!(down(r#"{"type":"list","request":1,"since":5}"#), Downstream::List { request: 1 });
    assert_eq!(
        up(r#"{"type":"controlled","request":1,"outcome":{"is":"refused","reason":"moon_phase"}}"#),
        Upstream::Controlled { request: 1, outcome: Outcome::Refused { reason: Refusal::Other } }
    );
}
