//! The access token's life, against a stand-in broker.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::*;
use crate::config::Keeping;
use crate::fakes::{self, Seen, Server};

struct Scene {
    server: Server,
    memory: Arc<Memory>,
    cloud: Cloud,
    dir: tempfile::TempDir,
}

async fn scene(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> Scene {
    let server = fakes::serve(answer).await;
    let dir = tempfile::tempdir().unwrap();
    let memory = Arc::new(Memory::open(dir.path(), Keeping::File).await.unwrap());
    let pairing = Pairing {
        broker: server.url.to_string(),
        home: 7.try_into().unwrap(),
        refresh_token: "r0".to_owned().into(),
        access: None,
        tunnel_token: None,
    };
    memory.change(|all| all.pairing = Some(pairing.clone())).await.unwrap();
    let cloud = Cloud::new(&pairing, Arc::clone(&memory), &net::trust(None).unwrap()).unwrap();
    Scene { server, memory, cloud, dir }
}

fn tokens(n: usize) -> (u16, Value) {
    let answer = json!({"access_token": format!("a{n}"), "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": format!("r{n}"), "scope": "relay", "home_id": 7});
    (200, answer)
}

fn counting() -> impl Fn(&Seen) -> (u16, Value) {
    let count = AtomicUsize::new(0);
    move |_| tokens(count.fetch_add(1, Ordering::SeqCst) + 1)
}

fn refresh_tokens(scene: &Scene) -> Vec<String> {
    scene.server.seen(path::TOKEN).into_iter().map(|seen| seen.form["refresh_token"].clone()).collect()
}

fn remembered(scene: &Scene) -> Pairing {
    scene.memory.recall().pairing.unwrap()
}

#[tokio::test]
async fn many_who_need_a_token_share_one_refresh() {
    let scene = scene(counting()).await;
    let all = join_all((0..10).map(|_| scene.cloud.access_token())).await;
    assert!(all.into_iter().all(|token| token.unwrap().same_as("a1")));
    let stale = Secret::from("a1".to_owned());
    let all = join_all((0..10).map(|_| scene.cloud.renewed(Some(&stale)))).await;
    assert!(all.into_iter().all(|token| token.unwrap().same_as("a2")));
    assert_eq!(refresh_tokens(&scene), ["r0", "r1"]);
    assert!(remembered(&scene).refresh_token.same_as("r2"));
}

#[tokio::test]
async fn a_lost_answer_repeats_the_same_refresh_token() {
    let count = AtomicUsize::new(0);
    let scene = scene(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => (503, json!({"error": "temporarily_unavailable"})),
        1 => (429, json!({"error": "invalid_grant"})),
        2 => (400, json!("a proxy's page")),
        _ => tokens(1),
    })
    .await;
    for _ in 0..3 {
        assert!(matches!(scene.cloud.access_token().await, Err(CloudError::Unreachable(_))));
    }
    assert!(scene.cloud.access_token().await.unwrap().same_as("a1"));
    assert_eq!(refresh_tokens(&scene), ["r0"; 4]);
}

#[tokio::test]
async fn only_the_brokers_word_ends_a_pairing() {
    let scene = scene(|_| (400, json!({"error": "invalid_grant"}))).await;
    assert!(matches!(scene.cloud.access_token().await, Err(CloudError::MustPair)));
    assert!(remembered(&scene).refresh_token.same_as("r0"));
}

#[tokio::test]
async fn a_token_that_cannot_be_remembered_is_not_used() {
    let scene = scene(counting()).await;
    let in_the_way = scene.dir.path().join("memory.new");
    std::fs::create_dir_all(in_the_way.join("x")).unwrap();
    assert!(matches!(scene.cloud.access_token().await, Err(CloudError::Memory(_))));
    assert!(remembered(&scene).access.is_none());
    std::fs::remove_dir_all(in_the_way).unwrap();
    assert!(scene.cloud.access_token().await.unwrap().same_as("a2"));
    assert_eq!(refresh_tokens(&scene), ["r0", "r0"]);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let count = AtomicUsize::new(0);
    let scene = scene(move |seen| match (seen.path.as_str(), seen.authorization.as_str()) {
        (path::TOKEN, _) => tokens(count.fetch_add(1, Ordering::SeqCst) + 1),
        ("/api/smarthome/homes/7/tunnel-token", "Bearer a2") => {
            (200, json!({"tunnel_token": "lkt_x", "tunnel_id": "t", "subdomain": "h.example"}))
        }
        ("/api/smarthome/homes/7", _) => (404, json!({"error": "not_found"})),
        _ => (401, json!({"error": "invalid_token"})),
    })
    .await;
    assert!(scene.cloud.tunnel_token(false, |_| Ok(())).await.unwrap().same_as("lkt_x"));
    assert!(scene.cloud.tunnel_token(false, |_| Ok(())).await.unwrap().same_as("lkt_x"));
    assert_eq!(scene.server.seen("/api/smarthome/homes/7/tunnel-token").len(), 2);
    assert!(scene.cloud.tunnel_token(true, |_| Ok(())).await.unwrap().same_as("lkt_x"));
    assert_eq!(scene.server.seen("/api/smarthome/homes/7/tunnel-token").len(), 3);
    assert!(matches!(scene.cloud.home().await, Err(CloudError::Refused { status, .. }) if status == 404));
    assert_eq!(refresh_tokens(&scene), ["r0", "r1"]);
}

#[tokio::test]
async fn a_tunnel_token_that_is_none_takes_no_other_ones_place() {
    let scene = scene(|seen| match seen.path.as_str() {
        path::TOKEN => tokens(1),
        _ => (200, json!({"tunnel_token": "e30=", "tunnel_id": "t", "subdomain": "h.example"})),
    })
    .await;
    let good = Secret::from("lkt_good".to_owned());
    let put = |all: &mut crate::memory::Remembered| {
        all.pairing.as_mut().unwrap().tunnel_token = Some(good.clone());
    };
    scene.memory.change(put).await.unwrap();
    let refused = scene.cloud.tunnel_token(true, |_| Err("it names no account".to_owned())).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("it names no account") && !refused.contains("e30"), "{refused}");
    let kept = scene.memory.recall().pairing.unwrap().tunnel_token.unwrap();
    assert!(kept.same_as("lkt_good"));
}

#[tokio::test]
async fn an_agent_that_needs_nothing_still_uses_its_refresh_token() {
    let scene = scene(counting()).await;
    let stop = CancellationToken::new();
    let alive = async {
        tokio::time::pause();
        let waiting = scene.cloud.keep_alive(&stop);
        let half_a_day = async {
            tokio::time::advance(HALF_A_DAY + Duration::from_secs(1)).await;
            tokio::time::resume();
            kept(&scene).await;
            stop.cancel();
        };
        tokio::join!(waiting, half_a_day);
    };
    tokio::time::timeout(HALF_A_DAY * 2, alive).await.unwrap();
    assert_eq!(refresh_tokens(&scene), ["r0"]);
}

/// Waits until the first refresh is remembered.
async fn kept(scene: &Scene) {
    while !remembered(scene).refresh_token.same_as("r1") {
        tokio::task::yield_now().await;
    }
}
