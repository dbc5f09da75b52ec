//! How fast the tunnel is, beside the same requests without it. Not a test: run it by name, optimised.

use std::net::SocketAddr;
use std::time::Instant;

use http::Request;
use http::header::HOST;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kit::origin::Origin;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::door::{Door, empty};
use super::porch;

/// Asks `times` on each of `browsers` connections; requests and bytes per second.
async fn measure(addr: SocketAddr, host: &str, path: &str, browsers: usize, times: usize) -> (f64, f64) {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..browsers {
        let (host, path) = (host.to_owned(), path.to_owned());
        running.spawn(async move {
            let tcp = TcpStream::connect(addr).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
            let connection = tokio::spawn(connection);
            let mut bytes = 0;
            for _ in 0..times {
                let request = Request::get(&path).header(HOST, &host).body(empty()).unwrap();
                let mut body = sender.send_request(request).await.unwrap().into_body();
                while let Some(frame) = body.frame().await {
                    bytes += frame.unwrap().into_data().map_or(0, |data| data.len());
                }
                sender.ready().await.unwrap();
            }
            connection.abort();
            bytes
        });
    }
    let bytes: usize = running.join_all().await.into_iter().sum();
    let seconds = start.elapsed().as_secs_f64();
    ((browsers * times) as f64 / seconds, bytes as f64 / seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_fast() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let host = door.host(porch());
    for (name, addr) in
        [("direct", origin.addr), ("tunnel", door.addr), ("direct", origin.addr), ("tunnel", door.addr)]
    {
        let (one, _) = measure(addr, &host, "/status/200", 1, 500).await;
        let (many, _) = measure(addr, &host, "/status/200", 32, 200).await;
        let (_, bytes) = measure(addr, &host, &format!("/download/{}", 8 << 20), 4, 8).await;
        println!("{name}: {one:.0}/s alone, {many:.0}/s by 32, {:.0} MB/s", bytes / 1e6);
    }
}
