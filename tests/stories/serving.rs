//! The agent as a service: what systemd hears from it (sd_notify(3)), played by a socket of the story.

use std::time::Duration;

use anyhow::Result;
use kit::programs;
use kit::until::PATIENCE;
use kit::world::World;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// Hears datagrams until one fits.
async fn until_heard(socket: &UnixDatagram, what: &str, fits: impl Fn(&str) -> bool) -> String {
    let mut heard = Vec::new();
    let hear = async {
        loop {
            let mut buffer = [0; 4096];
            let length = socket.recv(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if fits(&text) {
                return text;
            }
            heard.push(text);
        }
    };
    timeout(PATIENCE, hear).await.unwrap_or_else(|_| panic!("{what} was not heard, but {heard:#?}"))
}

kit::stories! {
    async fn systemd_hears_how_the_agent_is(mut world: World) {
        world.pair_agent().await;
        world.stop_agent().await.unwrap();
        // Not even a broker: a cold boot without a network is no reason to fail.
        world.stop_broker().await;
        let path = world.folder().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let settings = world.agent_settings();
        let agent = programs::agent_as_service(&settings, world.folder(), &path, Duration::from_millis(900)).unwrap();
        let ready = until_heard(&systemd, "readiness", |text| text.contains("READY=1")).await;
        assert!(ready.contains("STATUS="), "{ready}");
        until_heard(&systemd, "why", |text| text.starts_with("STATUS=broker not connected: ")).await;
        world.start_broker().await;
        until_heard(&systemd, "that all is well", |text| {
            text.contains("broker connected; tunnel connected; Home Assistant running")
        })
        .await;
        for _ in 0..3 {
            until_heard(&systemd, "a sign of life", |text| text.contains("WATCHDOG=1")).await;
        }
        agent.freeze();
        let silence: Result<_, _> = timeout(Duration::from_secs(2), async {
            let mut buffer = [0; 4096];
            // What was said before it froze may still lie there.
            while timeout(Duration::from_millis(900), systemd.recv(&mut buffer)).await.is_ok() {}
        })
        .await;
        assert!(silence.is_ok(), "a frozen agent feeds no watchdog");
        agent.thaw();
        until_heard(&systemd, "a sign of life", |text| text.contains("WATCHDOG=1")).await;
        agent.ask_to_end();
        until_heard(&systemd, "the end", |text| text.contains("STOPPING=1")).await;
        world.end().await;
    }
}
