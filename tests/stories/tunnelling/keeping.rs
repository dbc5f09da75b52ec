//! Keeping: the agent brings the tunnel back, with a fresh token when the old one no longer opens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent::tunnel::cloudflared::Supervisor;
use agent::tunnel::{Keeper, Status, keep};
use broker::tunnels::direct::Change;
use futures_util::FutureExt;
use http::StatusCode;
use kit::agents;
use kit::origin::Origin;
use shared::secret::Secret;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::door::{Door, PATIENCE, tls};
use super::porch;

async fn line_goes(changes: &mut broadcast::Receiver<Change>, up: bool) {
    let change = timeout(PATIENCE, changes.recv()).await.expect("a change of the line").unwrap();
    assert_eq!(change, Change { home: porch(), up });
}

#[tokio::test]
async fn a_lost_tunnel_comes_back_by_itself() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let (told, mut status) = watch::channel(Status::Connecting);
    let mut changes = door.direct.changes();
    let (stop, freshly) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let asked = freshly.clone();
    let folder = tempfile::tempdir().unwrap();
    let broker = format!("http://localhost:{}", door.addr.port());
    let settings = agents::settings(folder.path(), &broker, (origin.url().as_str(), "no token")).unwrap();
    let supervisor = Supervisor::new(&settings, &tls(), stop.clone(), told.clone()).unwrap();
    let keeping = tokio::spawn(keep(Keeper {
        broker: broker.parse().unwrap(),
        origin: origin.url(),
        tls: tls(),
        stop: stop.clone(),
        // The remembered token was rotated away.
        token: move |fresh| {
            let asked = asked.fetch_add(usize::from(fresh), Ordering::Relaxed) + usize::from(fresh);
            let token = if asked == 0 { "lkt_rotated".to_owned() } else { format!("lkt_{}", porch()) };
            async move { Ok(Secret::from(token)) }.boxed()
        },
        supervisor,
        status: told,
    }));
    line_goes(&mut changes, true).await;
    assert_eq!(freshly.load(Ordering::Relaxed), 1, "a refused token is asked for anew, once");
    for _ in 0..3 {
        assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::OK);
        door.direct.hang_up(porch());
        line_goes(&mut changes, false).await;
        line_goes(&mut changes, true).await;
    }
    let connected = timeout(PATIENCE, status.wait_for(|status| *status == Status::Connected)).await;
    connected.expect("the status says so too").unwrap();
    stop.cancel();
    timeout(PATIENCE, keeping).await.expect("the keeper's end").unwrap();
}
