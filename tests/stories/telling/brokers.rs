//! Brokers: what they do to themselves is no outage of a home, and two of them agree.

use anyhow::ensure;
use kit::until::within;
use kit::world::World;
use shared::id::HomeId;

use super::{WRITTEN, asked, history, hop, of, rounds, until_told, until_well};

kit::stories! {
    async fn a_restart_of_the_broker_is_no_outage(mut world: World) {
        world.pair_agent().await;
        until_well(&world, WRITTEN).await;
        rounds(&world).await;
        rounds(&world).await;
        let since = async |which| hop(&world, which).await.unwrap()["since"].as_i64().unwrap();
        let before = (since("tunnel").await, since("agent").await, since("home_assistant").await);

        world.stop_broker().await;
        world.start_broker().await;
        until_well(&world, WRITTEN).await;
        rounds(&world).await;
        let since = async |which| hop(&world, which).await.unwrap()["since"].as_i64().unwrap();
        let after = (since("tunnel").await, since("agent").await, since("home_assistant").await);
        assert_eq!(before, after, "since survives");

        let mut broker = world.broker_outside().await;
        until_well(&world, WRITTEN).await;
        broker.kill();
        let broker = world.broker_program().await;
        // Right after the start nobody knows, and that is what is said.
        let told = hop(&world, "agent").await.unwrap();
        assert!(told["state"] == "up" || told["reason"] == "broker_restarted", "{told}");
        until_well(&world, WRITTEN).await;
        rounds(&world).await;
        assert_eq!(hop(&world, "agent").await.unwrap()["since"].as_i64(), Some(before.1), "a killed one, too");
        assert_eq!(history(&world).await, [], "and nothing was noted");
        assert_eq!(world.number("SELECT COUNT(*) FROM incident").await, 0);

        // An agent that went away meanwhile is missed, from when the broker was there to miss it.
        let stopped = world.clock().now().millis();
        drop(broker);
        world.stop_agent().await.unwrap();
        let _broker = world.broker_program().await;
        until_told(&world, "agent", ("unknown", Some("broker_restarted")), WRITTEN).await;
        until_told(&world, "agent", ("down", Some("agent_gone")), WRITTEN * 2).await;
        let told = hop(&world, "agent").await.unwrap();
        assert!(told["since"].as_i64().unwrap() >= stopped, "{told}");
        world.end().await;
    }

    async fn two_brokers_tell_the_same(mut world: World) {
        let home: HomeId = world.pair_agent().await;
        until_well(&world, WRITTEN).await;
        let twin = world.twin().await;
        let there = format!("http://{}", twin.address);
        let until_there = async |world: &World, which: &str, state: &str, reason: Option<&str>| {
            within(WRITTEN * 2, &format!("the other broker to say that {which} is {state}"), || async {
                let hop = of(&asked(world, &there, "/status").await?, which)?;
                ensure!(hop["state"] == state && hop["reason"].as_str() == reason, "{hop}");
                Ok(())
            })
            .await
            .unwrap();
        };
        for which in ["tunnel", "agent", "home_assistant"] {
            until_there(&world, which, "up", None).await;
        }
        // It holds nothing of the home, and does not say that the home is away.
        rounds(&world).await;
        rounds(&world).await;
        until_told(&world, "agent", ("up", None), WRITTEN).await;
        assert_eq!(history(&world).await, []);

        world.stop_agent().await.unwrap();
        until_there(&world, "agent", "down", Some("agent_gone")).await;
        until_there(&world, "tunnel", "down", Some("tunnel_not_connected")).await;
        rounds(&world).await;
        world.start_agent().await;
        for which in ["tunnel", "agent", "home_assistant"] {
            until_there(&world, which, "up", None).await;
        }
        rounds(&world).await;
        let over: Vec<_> = history(&world).await.into_iter().map(|(_, _, over)| over).collect();
        assert_eq!(over, [true, true], "each cut is noted once");

        // The broker that held the home goes; the other takes it for a while for what it is.
        world.stop_broker().await;
        until_there(&world, "agent", "unknown", Some("broker_restarted")).await;
        until_there(&world, "agent", "down", Some("agent_gone")).await;
        world.start_broker().await;
        until_there(&world, "agent", "up", None).await;
        until_well(&world, WRITTEN).await;
        assert_eq!(world.home_id(), home);
        twin.stop().await;
        world.end().await;
    }
}
