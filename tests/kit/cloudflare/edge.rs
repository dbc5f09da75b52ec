//! The edge: where a `cloudflared` comes to with its token. It is let in or refused as [`State::connect`] says, hears
//! of each configuration, and its connection is cut when the tunnel's connections are.
//!
//! The stand-in speaks JSON here, one object a line: it sends its token; `{"error"}` refuses it, `{"connector"}` lets
//! it in, `{"version", "config"}` follows whenever there is a new one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::{Cloudflare, Inner, State};

/// How often it looks whether anything has changed.
const PACE: Duration = Duration::from_millis(10);

impl Cloudflare {
    /// Opens an edge; it ends with the simulator.
    pub async fn edge(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (inner, stop) = (self.inner.clone(), self.stopped.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, inner, stop)));
        address
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>, stop: CancellationToken) {
    while let Ok((socket, peer)) = listener.accept().await {
        let serving = serve(socket, peer, inner.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move { _ = serving.await }));
    }
}

async fn serve(mut socket: TcpStream, peer: SocketAddr, inner: Arc<Inner>) -> io::Result<()> {
    let (from, mut to) = socket.split();
    let mut from = BufReader::new(from);
    let mut line = String::new();
    from.read_line(&mut line).await?;
    let said: Value = serde_json::from_str(&line).unwrap_or_default();
    let token = said["token"].as_str().unwrap_or_default().to_owned();
    let connector = match inner.look(|state| state.connect(&token, &peer.ip().to_string())) {
        Ok(connector) => connector,
        Err(why) => return send(&mut to, &json!({"error": why})).await,
    };
    let _connected = Connected { inner: &inner, connector: &connector };
    send(&mut to, &json!({"connector": connector})).await?;
    let mut known = None;
    let mut tick = interval(PACE);
    let mut end = [0];
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            // It says nothing more: whatever comes is its end.
            _ = from.read(&mut end) => return Ok(()),
        }
        let Some(config) = inner.look(|state| config(state, &connector)) else { return Ok(()) };
        if config != known
            && let Some((version, config)) = &config
        {
            send(&mut to, &json!({"version": version, "config": config})).await?;
        }
        known = config;
    }
}

async fn send(to: &mut (impl AsyncWriteExt + Unpin), said: &Value) -> io::Result<()> {
    to.write_all(format!("{said}\n").as_bytes()).await
}

/// The configuration of a connector's tunnel, if there is one; nothing at all once it was cut.
fn config(state: &State, connector: &str) -> Option<Option<(i64, Value)>> {
    let mut tunnels = state.alive();
    let tunnel = tunnels.find(|tunnel| tunnel.connectors.iter().any(|known| known.id == connector))?;
    Some(tunnel.config.clone())
}

/// A connector that is gone when this is.
struct Connected<'a> {
    inner: &'a Inner,
    connector: &'a str,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.inner.look(|state| state.disconnect(self.connector));
    }
}

impl Inner {
    fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
