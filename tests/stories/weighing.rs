//! What it weighs: memory of broker and agent, as processes of their own, while much goes through them.
//!
//! Run with `--long`; `LATCHKEY_PROGRAMS=target/release` weighs the builds that ship.

use std::time::{Duration, Instant};

use agent::app::How;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use kit::home_assistant::HomeAssistant;
use kit::origin::{Digest, Origin, piece};
use kit::owner::{Identity, May, Owner};
use kit::process::Process;
use kit::programs;
use kit::scales::{BrokerProcess, memory};
use kit::until::within;
use kit::{agents, http_client};
use shared::id::HomeId;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const MANY: usize = 300 << 20;
const PIECE: usize = 64 << 10;
/// How much more a program may hold after all of it than before, in KiB: buffers, not the data.
const GROWTH: u64 = 48 << 10;

struct Weighed {
    broker: BrokerProcess,
    agent: Process,
    owner: Owner,
    home: HomeId,
    address: String,
    _folder: TempDir,
}

/// A broker, and an agent of it in front of whatever stands at `url`.
async fn weighed(url: &str, token: &str) -> Weighed {
    let folder = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(&folder.path().join("broker")).await.unwrap();
    let (resting, own) = memory(&broker.process).unwrap();
    println!("broker, empty: {resting} KiB RSS, {own} KiB of it its own");
    let owner = Owner::make_first(&broker.first_run().unwrap(), Identity::ada()).await.unwrap();
    let settings = agents::settings(&folder.path().join("agent"), &broker.origin, (url, token)).unwrap();
    agents::pair(&settings, How::Device, &owner, "Canal House").await.unwrap();
    let agent = programs::agent(&settings, &settings.data_dir).unwrap();
    let page = owner.visitor.get("/").await.unwrap().text;
    let mut homes =
        page.split("/homes/").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let home = homes.find_map(|id| id?.parse().ok()).expect("the dashboard shows the home");
    let address = broker.origin.replace("localhost", "canal-house.localhost");
    Weighed { broker, agent, owner, home, address, _folder: folder }
}

impl Weighed {
    fn say(&self, when: &str) -> (u64, u64) {
        let (broker, agent) = (memory(&self.broker.process).unwrap(), memory(&self.agent).unwrap());
        println!(
            "{when}: broker {} KiB RSS ({} own), agent {} KiB RSS ({} own)",
            broker.0, broker.1, agent.0, agent.1
        );
        (broker.0, agent.0)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: 600 MB and a minute of events"]
async fn long_much_goes_through_the_tunnel_and_nothing_stays() {
    let origin = Origin::start().await;
    let weighed = weighed(origin.url().as_str(), "no token").await;
    let client = http_client();
    let get = |path: String| {
        client.get(format!("{}{path}", weighed.address)).timeout(Duration::from_secs(300)).send()
    };
    within(Duration::from_secs(20), "the tunnel to be up", async || {
        get("/echo".into()).await?.error_for_status()
    })
    .await
    .unwrap();
    let before = weighed.say("before");

    let began = Instant::now();
    let mut answer = get(format!("/download/{MANY}")).await.unwrap();
    let mut digest = Digest::default();
    while let Some(part) = answer.chunk().await.unwrap() {
        digest.add(&part);
    }
    assert_eq!(digest.done(), Digest::of_download(MANY));
    println!("300 MB down in {:.1} s", began.elapsed().as_secs_f64());
    weighed.say("after 300 MB down");

    let began = Instant::now();
    let pieces = (0..MANY).step_by(PIECE).map(|at| Ok::<Bytes, std::io::Error>(piece(at, MANY)));
    let upload = client.post(format!("{}/upload", weighed.address)).timeout(Duration::from_secs(300));
    let answer = upload.body(reqwest::Body::wrap_stream(stream::iter(pieces))).send().await.unwrap();
    let said: serde_json::Value = answer.json().await.unwrap();
    let (bytes, sum) = Digest::of_download(MANY);
    assert_eq!((said["bytes"].as_u64(), said["digest"].as_str()), (Some(bytes), Some(sum.as_str())));
    println!("300 MB up in {:.1} s", began.elapsed().as_secs_f64());
    weighed.say("after 300 MB up");

    let began = Instant::now();
    let answers = stream::iter(0..200).map(|_| get("/download/100000".into())).buffer_unordered(200);
    let answers: Vec<_> = answers.then(async |answer| answer?.bytes().await).collect().await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|body| body.len() == 100_000)));
    println!("200 requests of 100 kB at once in {:.0} ms", began.elapsed().as_secs_f64() * 1000.0);
    weighed.say("after 200 at once");

    events_for_a_minute(&origin, get("/events".into()).await.unwrap()).await;
    let after = weighed.say("after a minute of events");
    for (program, before, after) in [("broker", before.0, after.0), ("agent", before.1, after.1)] {
        assert!(after < before + GROWTH, "the {program} grew from {before} to {after} KiB");
    }
}

/// One event every tenth of a second for a minute; each must be there before the next is told.
async fn events_for_a_minute(origin: &Origin, mut events: reqwest::Response) {
    let mut worst = Duration::ZERO;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for number in 0..600 {
        tick.tick().await;
        let told = Instant::now();
        origin.tell(&format!("event {number}"));
        let mut heard = String::new();
        while !heard.contains(&format!("event {number}\n")) {
            let part = tokio::time::timeout(Duration::from_secs(5), events.chunk()).await;
            heard += &String::from_utf8_lossy(&part.expect("an event within five seconds").unwrap().unwrap());
        }
        worst = worst.max(told.elapsed());
    }
    println!("600 server-sent events in a minute, the slowest after {:.1} ms", worst.as_secs_f64() * 1000.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: 2000 sockets"]
async fn long_two_thousand_viewers_weigh_little() {
    const VIEWERS: usize = 2000;
    let folder = tempfile::tempdir().unwrap();
    let home = HomeAssistant::for_stories(folder.path(), |line| println!("{line}")).await.unwrap();
    let weighed = weighed(home.url(), home.token()).await;
    let entity =
        home.client().states().await.unwrap().into_iter().find(|state| state.entity_id.starts_with("light."));
    let entity = entity.expect("a light").entity_id;
    let link = within(Duration::from_secs(30), "the light to be shared", || async {
        weighed.owner.share(weighed.home, &entity, "two thousand", May::View).await
    });
    let link = link.await.unwrap();
    let (page, token) = link.split_once("?access_token=").unwrap();
    let before = weighed.say("before the viewers");
    let mut viewers = Vec::with_capacity(VIEWERS);
    for _ in 0..VIEWERS {
        let address = format!("{}/live", page.replace("http://localhost", "ws://127.0.0.1"));
        let mut request = address.into_client_request().unwrap();
        request.headers_mut().insert("x-portal-token", token.parse().unwrap());
        let stream =
            tokio::net::TcpStream::connect(request.uri().authority().unwrap().as_str()).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let shown = async {
            while !socket.next().await.expect("a word").unwrap().into_text().unwrap().contains(&entity) {}
        };
        tokio::time::timeout(Duration::from_secs(10), shown).await.expect("the light's state");
        viewers.push(socket);
    }
    let after = weighed.say("with 2000 viewers");
    let each = (after.0 - before.0) as f64 / VIEWERS as f64;
    println!("{each:.1} KiB RSS a viewer");
    assert!(each < 24.0, "a viewer costs {each:.1} KiB");
}
