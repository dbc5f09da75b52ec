//! Cuts: each part of the way into a house fails in turn, loudly or without a word.

use std::time::{Duration, Instant};

use kit::world::World;

use super::{asked, history, rounds, until_told, until_well};

/// From the failure to the right light: T5. No clock is turned in here.
const PROMISE: Duration = Duration::from_secs(30);
/// Home Assistant itself takes its time to start.
const BACK: Duration = Duration::from_secs(60);

kit::stories! {
    async fn every_cut_is_told_in_time(mut world: World) {
        world.home_of_its_own().await;
        world.be_tapped().await;
        world.pair_agent().await;
        until_well(&world, PROMISE).await;
        let mut told = Vec::new();

        let began = Instant::now();
        world.tap().hold_tunnels();
        until_told(&world, "tunnel", ("down", Some("tunnel_not_connected")), PROMISE).await;
        told.push(("tunnel black-holed", began.elapsed()));
        until_told(&world, "agent", ("up", None), PROMISE).await;
        let status = asked(&world, &world.origin(), "/status").await.unwrap();
        assert_eq!(status["home"]["tunnel_status"], "disconnected", "{status}");
        assert_eq!(status["home"]["connected_since"], serde_json::Value::Null);
        rounds(&world).await;
        world.tap().release_tunnels();
        until_well(&world, PROMISE).await;

        let mut agent = world.agent_outside().await;
        until_well(&world, PROMISE).await;
        // What blinks is one outage: each end is given its time.
        rounds(&world).await;
        let began = Instant::now();
        agent.stop();
        until_told(&world, "agent", ("down", Some("agent_gone")), PROMISE).await;
        told.push(("agent stopped", began.elapsed()));
        until_told(&world, "tunnel", ("down", Some("tunnel_not_connected")), PROMISE).await;
        until_told(&world, "home_assistant", ("unknown", Some("home_assistant_unasked")), PROMISE).await;
        rounds(&world).await;
        let program = world.agent_program();
        until_well(&world, PROMISE).await;
        rounds(&world).await;

        let began = Instant::now();
        program.freeze();
        until_told(&world, "agent", ("down", Some("agent_gone")), PROMISE).await;
        told.push(("agent frozen", began.elapsed()));
        until_told(&world, "tunnel", ("down", Some("tunnel_not_connected")), PROMISE).await;
        told.push(("agent frozen: its tunnel", began.elapsed()));
        rounds(&world).await;
        program.thaw();
        until_well(&world, PROMISE).await;
        rounds(&world).await;

        let began = Instant::now();
        world.home_assistant_mut().stop().await.unwrap();
        let stopped = began.elapsed();
        until_told(&world, "home_assistant", ("error", Some("home_assistant_unreachable")), PROMISE).await;
        told.push(("home assistant stopped", began.elapsed() - stopped));
        until_told(&world, "agent", ("up", None), PROMISE).await;
        rounds(&world).await;
        world.home_assistant_mut().start_again().await.unwrap();
        until_well(&world, BACK).await;
        rounds(&world).await;

        let began = Instant::now();
        world.home_assistant().freeze().unwrap();
        until_told(&world, "home_assistant", ("error", Some("home_assistant_unreachable")), PROMISE).await;
        told.push(("home assistant frozen", began.elapsed()));
        until_told(&world, "tunnel", ("up", None), PROMISE).await;
        rounds(&world).await;
        world.home_assistant().thaw().unwrap();
        until_well(&world, BACK).await;
        rounds(&world).await;

        for (cut, after) in told {
            println!("{cut}: told after {:.1} s", after.as_secs_f64());
            assert!(after < PROMISE, "{cut}: {after:?}");
        }
        // Nothing was left out, nothing made up; Home Assistant's start may be slow enough to be an event too.
        let history = history(&world).await;
        let cuts: Vec<_> = history.iter().map(|(hop, why, over)| (hop.as_str(), why.as_str(), *over)).collect();
        let mut cuts: Vec<_> = cuts.into_iter().filter(|(_, why, _)| *why != "home_assistant_starting").collect();
        // Both hops of a stopped agent go in the same moment.
        cuts[1..3].sort_unstable();
        cuts[3..5].sort_unstable();
        let (agent, tunnel) = (("agent", "agent_gone", true), ("tunnel", "tunnel_not_connected", true));
        let home = ("home_assistant", "home_assistant_unreachable", true);
        assert_eq!(cuts, [tunnel, agent, tunnel, agent, tunnel, home, home]);
        drop(program);
        world.end().await;
    }
}
