//! A room's promises, without a socket in sight.

use std::task::{Context, Poll, Waker};

use super::super::mailbox::Mail;
use super::*;

const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn room() -> Room {
    Room::new(HomeId::from_random_bits(1 << 20))
}

fn entity(text: &str) -> EntityId {
    text.parse().unwrap()
}

fn state(id: &str, state: &str) -> EntityState {
    EntityState {
        entity_id: entity(id),
        state: state.into(),
        name: "Porch".into(),
        area: None,
        last_changed: 1,
        attributes: Default::default(),
    }
}

fn watched(ids: &[&str]) -> Vec<Watched> {
    ids.iter().map(|id| Watched { entity_id: entity(id), control: true }).collect()
}

/// What lies in a mailbox, as JSON; or the code it ends with.
fn mail(mailbox: &Mailbox) -> Result<Vec<serde_json::Value>, u16> {
    match mailbox.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Mail::Frames(bytes)) => Ok(split(&bytes)),
        Poll::Ready(Mail::End(code)) => Err(code),
        Poll::Ready(Mail::Ping) | Poll::Pending => Ok(vec![]),
    }
}

fn split(mut bytes: &[u8]) -> Vec<serde_json::Value> {
    let mut frames = vec![];
    while let [_, length, rest @ ..] = bytes {
        let (length, rest) = match *length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            short => (usize::from(short), rest),
        };
        frames.push(serde_json::from_slice(&rest[..length]).unwrap());
        bytes = &rest[length..];
    }
    frames
}

struct Agent {
    mailbox: Arc<Mailbox>,
    number: u64,
}

fn join(room: &Room) -> Agent {
    let mailbox = Arc::new(Mailbox::new(64, 1));
    let welcome = Downstream::Welcome { home: room.home, name: "Lakehouse".into() };
    let number = room.join(&mailbox, GrantId::from_random_bits(1 << 20), &welcome, NOON);
    Agent { mailbox, number }
}

fn runs(room: &Room, agent: &Agent) -> bool {
    let (version, reason) = (None, None);
    let heard = HomeAssistant { state: HomeAssistantState::Running, since: NOON, version, reason };
    room.home_assistant(agent.number, heard, NOON)
}

fn view(room: &Room, ids: &[&str]) -> Arc<Mailbox> {
    let viewer = Arc::new(Mailbox::new(16, 3));
    room.enter(&viewer, &ids.iter().map(|id| entity(id)).collect::<Vec<_>>());
    viewer
}

#[test]
fn a_viewer_hears_how_everything_stands_and_then_each_change() {
    let room = room();
    let agent = join(&room);
    runs(&room, &agent);
    room.set_shared(watched(&["light.a", "light.b"]), true);
    room.states(agent.number, vec![state("light.a", "off")], NOON);
    let viewer = view(&room, &["light.a"]);
    let first = mail(&viewer).unwrap();
    assert_eq!(first[0]["online"], true);
    assert_eq!(first[1]["entity"]["state"], "off");
    room.states(agent.number, vec![state("light.b", "on"), state("light.a", "on")], NOON);
    let then = mail(&viewer).unwrap();
    assert_eq!(then.len(), 1, "of light.b it must not hear: {then:?}");
    assert_eq!(then[0]["entity"]["state"], "on");
    room.states(agent.number, vec![state("light.a", "on")], NOON);
    assert!(mail(&viewer).unwrap().is_empty(), "no news is no news");
}

#[test]
fn a_change_is_encoded_once_for_all() {
    let room = room();
    let agent = join(&room);
    room.set_shared(watched(&["light.a"]), true);
    let viewers: Vec<_> = (0..3).map(|_| view(&room, &["light.a"])).collect();
    viewers.iter().for_each(|viewer| drop(mail(viewer)));
    room.states(agent.number, vec![state("light.a", "on")], NOON);
    let bytes = |viewer: &Mailbox| match viewer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Mail::Frames(bytes)) => bytes.as_ptr(),
        other => panic!("{other:?}"),
    };
    let first = bytes(&viewers[0]);
    assert!(viewers[1..].iter().all(|viewer| bytes(viewer) == first));
}

#[test]
fn what_nobody_watches_is_not_kept() {
    let room = room();
    let agent = join(&room);
    room.set_shared(watched(&["light.a"]), true);
    room.states(agent.number, vec![state("lock.door", "locked"), state("light.a", "on")], NOON);
    assert_eq!(room.snapshot(&entity("lock.door")), None);
    assert_eq!(room.snapshot(&entity("light.a")), Some((state("light.a", "on"), NOON)));
    room.set_shared(vec![], false);
    assert_eq!(room.snapshot(&entity("light.a")), None, "what is shared no longer is forgotten");
    assert!(room.inner().things.is_empty());
}

#[test]
fn the_agent_is_told_what_may_leave_the_house_when_that_changes() {
    let room = room();
    room.set_shared(watched(&["light.a"]), false);
    let agent = join(&room);
    room.set_shared(watched(&["light.a"]), true);
    let words = mail(&agent.mailbox).unwrap();
    assert_eq!((&words[0]["type"], &words[1]["type"]), (&"welcome".into(), &"watch".into()));
    assert_eq!(words[1]["entities"].as_array().unwrap().len(), 1);
    room.set_shared(watched(&["light.a"]), false);
    assert!(mail(&agent.mailbox).unwrap().is_empty(), "nothing changed");
    room.look(&[entity("light.a"), entity("sensor.b")]);
    let watch = &mail(&agent.mailbox).unwrap()[0]["entities"];
    assert_eq!(watch[0], serde_json::json!({ "entity_id": "light.a", "control": true }));
    assert_eq!(watch[1], serde_json::json!({ "entity_id": "sensor.b", "control": false }));
    room.states(agent.number, vec![state("sensor.b", "5")], NOON);
    room.look(&[entity("sensor.b")]);
    room.look_away(&[entity("light.a"), entity("sensor.b")]);
    assert!(room.snapshot(&entity("sensor.b")).is_some(), "another is still looking");
    room.look_away(&[entity("sensor.b")]);
    assert_eq!(mail(&agent.mailbox).unwrap().last().unwrap()["entities"].as_array().unwrap().len(), 1);
    assert_eq!(room.snapshot(&entity("sensor.b")), None);
}

#[test]
fn a_home_is_online_while_its_agent_is_there_and_home_assistant_runs() {
    let room = room();
    let viewer = view(&room, &["light.a"]);
    assert_eq!(
        mail(&viewer).unwrap()[0],
        serde_json::json!({ "type": "home", "online": false, "since": null })
    );
    let agent = join(&room);
    assert!(mail(&viewer).unwrap().is_empty(), "of Home Assistant nothing is known yet");
    assert!(runs(&room, &agent) && !runs(&room, &agent));
    assert_eq!(mail(&viewer).unwrap()[0]["online"], true);
    let later = NOON.after(std::time::Duration::from_secs(5));
    assert!(room.leave(agent.number, later));
    let gone = serde_json::json!({ "type": "home", "online": false, "since": later.millis() });
    assert_eq!(mail(&viewer).unwrap(), [gone]);
    assert_eq!(room.status().connected_since, None);
    assert_eq!(room.status().last_seen, Some(later));
}

#[test]
fn a_second_agent_takes_the_first_ones_place() {
    let room = room();
    let first = join(&room);
    room.set_shared(watched(&["light.a"]), true);
    let ask = |request| Downstream::Control {
        request,
        entity_id: entity("light.a"),
        action: shared::entity::Action::Toggle,
    };
    let (_, mut answer) = room.ask(Ask::Control, ask).unwrap();
    let second = join(&room);
    assert_eq!(mail(&first.mailbox), Err(close::REPLACED));
    assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    room.states(first.number, vec![state("light.a", "on")], NOON);
    assert_eq!(room.snapshot(&entity("light.a")), None, "the first one is not heard any more");
    assert!(!room.leave(first.number, NOON) && room.status().connected_since.is_some());
    assert!(room.leave(second.number, NOON));
    assert!(room.ask(Ask::Control, ask).is_none());
}

#[test]
fn a_confirmed_control_is_news_for_every_viewer() {
    let room = room();
    let agent = join(&room);
    room.set_shared(watched(&["light.a"]), true);
    let viewer = view(&room, &["light.a"]);
    drop(mail(&viewer));
    let ask = |request| Downstream::Control {
        request,
        entity_id: entity("light.a"),
        action: shared::entity::Action::TurnOn,
    };
    let (request, mut answer) = room.ask(Ask::Control, ask).unwrap();
    let outcome = Outcome::Confirmed { state: state("light.a", "on") };
    room.controlled(agent.number, request + 1, outcome.clone(), NOON);
    assert!(answer.try_recv().is_err());
    room.controlled(agent.number, request, outcome.clone(), NOON);
    assert_eq!(answer.try_recv(), Ok(outcome));
    assert_eq!(mail(&viewer).unwrap()[0]["entity"]["state"], "on");
}

#[test]
fn what_home_assistant_lost_is_unavailable() {
    let room = room();
    let agent = join(&room);
    room.set_shared(watched(&["light.a"]), true);
    room.gone(agent.number, &[entity("light.a")], NOON);
    assert_eq!(room.snapshot(&entity("light.a")), None);
    room.states(agent.number, vec![state("light.a", "on")], NOON);
    room.gone(agent.number, &[entity("light.a")], NOON);
    let (gone, _) = room.snapshot(&entity("light.a")).unwrap();
    assert_eq!((gone.state.as_str(), gone.last_changed), ("unavailable", NOON.millis()));
}

#[test]
fn a_state_that_is_a_novel_is_not_kept() {
    let room = room();
    let agent = join(&room);
    room.set_shared(watched(&["sensor.a"]), true);
    room.states(agent.number, vec![state("sensor.a", &"x".repeat(TEXT + 1))], NOON);
    assert_eq!(room.snapshot(&entity("sensor.a")), None);
}

#[test]
fn who_leaves_leaves_nothing_behind() {
    let room = room();
    let agent = join(&room);
    let viewers: Vec<_> = (0..10).map(|_| view(&room, &["light.a", "light.b"])).collect();
    viewers.iter().for_each(|viewer| room.part(viewer, &[entity("light.a"), entity("light.b")]));
    assert!(room.inner().things.is_empty() && room.inner().viewers.is_empty());
    room.states(agent.number, vec![state("light.a", "on")], NOON);
    assert!(room.inner().things.is_empty());
}

#[test]
fn a_dead_grant_ends_the_socket_it_opened_and_no_other() {
    let room = room();
    let agent = join(&room);
    room.end_of(GrantId::from_random_bits(5 << 20), close::UNAUTHORIZED);
    assert!(mail(&agent.mailbox).is_ok());
    room.end_of(GrantId::from_random_bits(1 << 20), close::UNAUTHORIZED);
    assert_eq!(mail(&agent.mailbox), Err(close::UNAUTHORIZED));
}
