//! What is told of a home, from what is known; what is written of it, and by whom.

use std::time::Duration;

use shared::relay::HomeAssistantState;
use tokio::time::advance;

use super::board::{BEAT, Row};
use super::judge::{Keeper, Written, judge};
use super::*;
use crate::relay::tests::{Quiet, World};
use crate::relay::{AgentStatus, HomeAssistant};

const T0: Timestamp = Timestamp::from_millis(1_000_000);
const T1: Timestamp = Timestamp::from_millis(2_000_000);
const T2: Timestamp = Timestamp::from_millis(3_000_000);

fn line(since: Timestamp) -> TunnelWord {
    TunnelWord { standing: TunnelStanding::Healthy, since: Some(since), detail: None, ends_here: true }
}

/// Of a home of which nothing was ever heard.
fn nothing() -> Facts {
    let provider = ProviderWord { reachable: Ok(()), since: T0, tunnel: None };
    Facts { provider, agent: AgentStatus::default(), written: [const { None }; 4] }
}

fn home_assistant(state: HomeAssistantState) -> HomeAssistant {
    HomeAssistant { state, since: T1, version: Some("2026.11.0".to_owned()), reason: Some("why".to_owned()) }
}

fn well() -> Facts {
    let agent = AgentStatus {
        connected_since: Some(T1),
        machine: Some("pi".to_owned()),
        version: Some("0.1.0".to_owned()),
        home_assistant: Some(home_assistant(HomeAssistantState::Running)),
        tunnel_trouble: None,
        last_seen: Some(T1),
        took_over: false,
        is_stopped: false,
    };
    let provider = ProviderWord { tunnel: Some(line(T1)), ..nothing().provider };
    Facts { provider, agent, ..nothing() }
}

fn gone() -> Facts {
    let agent =
        AgentStatus { connected_since: None, home_assistant: None, last_seen: Some(T2), ..well().agent };
    Facts { agent, provider: nothing().provider, ..well() }
}

/// With all hops written down as up since long, by this keeper.
fn written(facts: Facts, keeper: Keeper) -> Facts {
    let hops = judge(&well());
    let written = hops.0.map(|hop| Some(Written { hop: Hop { since: Some(T0), ..hop }, keeper }));
    Facts { written, ..facts }
}

fn told(facts: &Facts) -> [(&'static str, Option<&'static str>); 4] {
    judge(facts).0.map(|hop| (hop.state.word(), hop.reason.map(Reason::word)))
}

#[test]
fn words_are_frozen() {
    assert_eq!(
        Which::ALL.iter().map(|which| which.word()).collect::<Vec<_>>(),
        ["provider", "tunnel", "agent", "home_assistant"]
    );
    assert_eq!(
        State::ALL.iter().map(|state| state.word()).collect::<Vec<_>>(),
        ["up", "down", "error", "unknown"]
    );
    for reason in Reason::ALL {
        assert_eq!(Reason::of_word(reason.word()), Some(*reason));
    }
}

#[test]
fn each_failure_is_told_of_the_hop_that_fails() {
    let up = ("up", None);
    assert_eq!(told(&well()), [up; 4]);
    let unasked = ("unknown", Some("home_assistant_unasked"));
    let never = ("unknown", Some("tunnel_never_connected"));
    assert_eq!(told(&nothing()), [up, never, ("unknown", Some("agent_never_paired")), unasked]);

    let not_connected = ("down", Some("tunnel_not_connected"));
    let cut = Facts { provider: nothing().provider, ..written(well(), Keeper::Us) };
    assert_eq!(told(&cut), [up, not_connected, up, up]);
    let away = ("down", Some("agent_gone"));
    assert_eq!(told(&written(gone(), Keeper::Us)), [up, not_connected, away, unasked]);

    for (state, expected) in [
        (HomeAssistantState::Starting, ("down", Some("home_assistant_starting"))),
        (HomeAssistantState::Unreachable, ("error", Some("home_assistant_unreachable"))),
        (HomeAssistantState::Refused, ("error", Some("home_assistant_refused"))),
    ] {
        let agent = AgentStatus { home_assistant: Some(home_assistant(state)), ..well().agent };
        assert_eq!(told(&Facts { agent, ..well() }), [up, up, up, expected]);
    }
    let agent = AgentStatus { took_over: true, ..well().agent };
    assert_eq!(told(&Facts { agent, ..well() })[2], ("up", Some("agent_taken_over")));
}

#[test]
fn the_agent_says_why_there_is_no_tunnel() {
    let trouble = Some("there is no cloudflared".to_owned());
    let agent = AgentStatus { tunnel_trouble: trouble.clone(), ..well().agent };
    let cut = Facts { agent, provider: nothing().provider, ..written(well(), Keeper::Us) };
    let hops = judge(&cut);
    let tunnel = hops.get(Which::Tunnel);
    assert_eq!((tunnel.state, tunnel.reason), (State::Down, Some(Reason::TunnelNotConnected)));
    assert_eq!(tunnel.detail, trouble);
}

#[test]
fn a_provider_speaks_for_its_tunnels() {
    for (standing, expected) in [
        (TunnelStanding::Healthy, ("up", None)),
        (TunnelStanding::Degraded, ("up", Some("tunnel_degraded"))),
        (TunnelStanding::Down, ("down", Some("tunnel_not_connected"))),
        (TunnelStanding::Inactive, ("unknown", Some("tunnel_never_connected"))),
    ] {
        let tunnel = Some(TunnelWord { standing, ends_here: false, ..line(T1) });
        let provider = ProviderWord { tunnel, ..nothing().provider };
        assert_eq!(told(&Facts { provider, ..well() })[1], expected);
    }
    let anew = Some(TunnelWord { standing: TunnelStanding::Inactive, ends_here: false, ..line(T1) });
    let anew = Facts { provider: ProviderWord { tunnel: anew, ..nothing().provider }, ..well() };
    assert_eq!(
        told(&written(anew, Keeper::Us))[1],
        ("down", Some("tunnel_not_connected")),
        "one stood before"
    );
    let provider = ProviderWord { reachable: Err("429".to_owned()), tunnel: None, since: T2 };
    let mute = Facts { provider, ..written(well(), Keeper::Us) };
    let why = Some("provider_unreachable");
    assert_eq!(told(&mute)[..2], [("error", why), ("unknown", why)]);
    assert!(judge(&mute).worst().is_some_and(|hop| hop.which == Which::Provider));
}

#[test]
fn what_another_broker_sees_is_believed_while_its_heart_beats() {
    let up = ("up", None);
    let elsewhere = |keeper| told(&written(nothing(), keeper));
    assert_eq!(elsewhere(Keeper::Other), [up; 4]);
    let unasked = ("unknown", Some("home_assistant_unasked"));
    let back = ("unknown", Some("broker_restarted"));
    assert_eq!(elsewhere(Keeper::Quiet(T1)), [up, back, back, unasked], "a restart is no outage");
    let (cut, away) = (("down", Some("tunnel_not_connected")), ("down", Some("agent_gone")));
    assert_eq!(elsewhere(Keeper::Gone(T1)), [up, cut, away, unasked]);
    let since = judge(&written(nothing(), Keeper::Gone(T1))).get(Which::Agent).since;
    assert_eq!(since, Some(T1), "what nobody saw is not counted");
}

/// A home on a board: what is looked at is what was judged, and what is due is written.
struct Desk {
    board: Board,
    home: HomeId,
}

impl Desk {
    fn new() -> Self {
        Self { board: Board::new(T0), home: 7.try_into().unwrap() }
    }

    fn look(&self, facts: Facts, now: Timestamp) -> Hops {
        let facts = Facts { written: self.board.written(self.home), ..facts };
        let mut hops = judge(&facts);
        self.board.date(self.home, &mut hops);
        self.board.look(self.home, &facts, &hops, now);
        self.board.date(self.home, &mut hops);
        hops
    }

    /// Writes what is due and gives it.
    fn write(&self) -> Vec<(&'static str, &'static str, Option<Timestamp>)> {
        let due: Vec<_> = self.board.due().into_iter().flat_map(|(_, changes)| changes).collect();
        let told =
            due.iter().map(|change| (change.hop.which.word(), change.hop.state.word(), change.hop.since));
        let told = told.collect();
        due.into_iter().for_each(|change| self.board.wrote(self.home, change.hop));
        told
    }

    async fn settled(
        &self,
        facts: Facts,
        now: Timestamp,
    ) -> Vec<(&'static str, &'static str, Option<Timestamp>)> {
        self.look(facts.clone(), now);
        assert!(self.write().is_empty(), "nothing is written at once");
        advance(SETTLE).await;
        self.look(facts, now);
        self.write()
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_lasts_is_written_and_once() {
    let desk = Desk::new();
    assert!(desk.settled(nothing(), T1).await.is_empty(), "there is nothing to say of a new home");
    let up = [("tunnel", "up", Some(T1)), ("agent", "up", Some(T1)), ("home_assistant", "up", Some(T1))];
    assert_eq!(desk.settled(well(), T1).await, up);
    assert!(desk.settled(well(), T2).await.is_empty());

    // A blink: the light goes out at once, and it was on since long when it is back.
    let blink = desk.look(gone(), T2);
    assert_eq!((blink.get(Which::Agent).state, blink.get(Which::Agent).since), (State::Down, Some(T2)));
    advance(SETTLE / 2).await;
    let back = AgentStatus { connected_since: Some(T2), ..well().agent };
    let back = desk.look(Facts { agent: back, ..well() }, T2);
    assert_eq!(back.get(Which::Agent).since, Some(T1));
    advance(SETTLE).await;
    assert!(desk.write().is_empty());

    let away =
        [("tunnel", "down", Some(T2)), ("agent", "down", Some(T2)), ("home_assistant", "unknown", Some(T2))];
    assert_eq!(desk.settled(gone(), T2).await, away);
    let later = Timestamp::from_millis(9_000_000);
    assert_eq!(
        desk.look(gone(), later).get(Which::Tunnel).since,
        Some(T2),
        "it is down since it was noticed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hop_that_keeps_changing_is_written_as_it_is_in_the_end() {
    let desk = Desk::new();
    desk.settled(well(), T1).await;
    let said = |state| Facts {
        agent: AgentStatus { home_assistant: Some(home_assistant(state)), ..well().agent },
        ..well()
    };
    desk.look(said(HomeAssistantState::Unreachable), T2);
    advance(SETTLE * 2 / 3).await;
    desk.look(said(HomeAssistantState::Starting), T2);
    advance(SETTLE * 2 / 3).await;
    desk.look(said(HomeAssistantState::Starting), T2);
    assert_eq!(desk.write(), [("home_assistant", "down", Some(T1))], "away is away, whatever the reason");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_broker_writes_no_outage_and_no_news() {
    let desk = Desk::new();
    let before = judge(&well()).0.into_iter().skip(1);
    let rows = before.map(|hop| (desk.home, Row { hop: Hop { since: Some(T0), ..hop }, broker: 1 }));
    desk.board.put(rows.collect(), T1);
    // Its predecessor's heart is in the table, and beats no more.
    desk.board.listen(vec![(1, 41)], T1);
    advance(BEAT).await;
    desk.board.listen(vec![(1, 41)], T1);
    let agent = desk.look(nothing(), T1).get(Which::Agent).clone();
    assert_eq!((agent.state, agent.reason), (State::Unknown, Some(Reason::BrokerRestarted)));
    advance(BEAT).await;
    let hops = desk.look(well(), T2);
    assert_eq!(hops.get(Which::Agent).since, Some(T0), "since survives");
    let due: Vec<_> = desk.board.due().into_iter().flat_map(|(_, changes)| changes).collect();
    assert!(
        due.len() == 3 && due.iter().all(|change| change.is_claim),
        "it is ours now, and nothing else: {due:?}"
    );
    desk.write();
    advance(SETTLE).await;
    desk.look(well(), T2);
    assert!(desk.write().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_whoever_holds_a_home_says_that_it_is_away_until_its_heart_stops() {
    let desk = Desk::new();
    let before = judge(&well()).0.into_iter().skip(1);
    let rows = before.map(|hop| (desk.home, Row { hop: Hop { since: Some(T0), ..hop }, broker: 1 }));
    desk.board.put(rows.collect(), T1);
    let mut count = 0;
    let beat = |count: &mut i64| {
        *count += 1;
        desk.board.listen(vec![(1, *count)], T2);
    };
    beat(&mut count);
    for _ in 0..10 {
        advance(BEAT).await;
        beat(&mut count);
        assert!(desk.look(nothing(), T2).is_well(), "it is up, over there");
        assert!(desk.board.due().is_empty());
    }
    advance(Duration::from_secs(20)).await;
    desk.look(nothing(), T2);
    advance(SETTLE * 2).await;
    assert!(desk.board.due().is_empty(), "its homes may be on their way here");
    desk.look(nothing(), T2);
    advance(SETTLE).await;
    let away =
        [("tunnel", "down", Some(T2)), ("agent", "down", Some(T2)), ("home_assistant", "unknown", Some(T2))];
    assert_eq!(desk.write(), away);
}

#[tokio::test]
async fn what_is_old_or_too_much_is_forgotten() {
    let world = World::new(|_, _| std::sync::Arc::new(Quiet)).await;
    let (home, other) = (world.home().await, world.home().await);
    let mut tx = world.store.begin().await.unwrap();
    for number in 0..30_i64 {
        let hop = Hop::new(Which::Agent, State::Down, Reason::AgentGone);
        let at = Timestamp::from_millis(number * 1000);
        rows::add_spell(&mut tx, number, home.id, &hop.clone().since(at)).await.unwrap();
        rows::end_spell(&mut tx, home.id, Which::Agent, at.after(SETTLE)).await.unwrap();
        if number < 3 {
            rows::add_spell(&mut tx, 100 + number, other.id, &hop.since(at)).await.unwrap();
        }
    }
    // What lasts is not old, however long it does.
    let long_ago = Timestamp::from_millis(10_000);
    assert_eq!(rows::forget(&mut tx, long_ago, 20).await.unwrap(), 5 + 5);
    let left = rows::newest(&mut tx, home.id, 100).await.unwrap();
    let ids: Vec<_> = left.iter().map(|spell| spell.id).collect();
    assert_eq!(ids, (10..30).rev().collect::<Vec<_>>());
    assert_eq!(rows::newest(&mut tx, other.id, 100).await.unwrap().len(), 3);
    let next = rows::before(&mut tx, home.id, (left[4].at, left[4].id), 3).await.unwrap();
    assert_eq!(next.iter().map(|spell| spell.id).collect::<Vec<_>>(), [24, 23, 22]);
}

#[tokio::test]
async fn a_home_that_another_broker_deletes_leaves_the_board() {
    let world = World::new(|_, _| std::sync::Arc::new(Quiet)).await;
    let (home, stays) = (world.home().await, world.home().await);
    let tunnels = Tunnels::for_tests(&world);
    let away = Hop::new(Which::Agent, State::Down, Reason::AgentGone).since(T1);
    for home in [home.id, stays.id] {
        let mut tx = world.store.begin().await.unwrap();
        assert!(rows::replace(&mut tx, home, &away, 7, None).await.unwrap());
        tx.commit().await.unwrap();
    }
    tunnels.remember_hops().await.unwrap();
    assert_eq!(tunnels.0.board.rows().len(), 2);
    tunnels.look_at(home.id);

    world.homes.begin_deleting(&home, &crate::audit::Doer::default()).await.unwrap();
    let mut tx = world.store.begin().await.unwrap();
    crate::homes::remove(&mut tx, home.id).await.unwrap();
    tx.commit().await.unwrap();
    tunnels.remember_hops().await.unwrap();
    assert_eq!(tunnels.0.board.homes().into_iter().collect::<Vec<_>>(), [stays.id]);
    assert_eq!(tunnels.0.board.rows().len(), 1, "no incident is opened for a ghost");
}
