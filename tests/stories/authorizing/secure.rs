//! Secure: a broker that speaks TLS itself speaks nothing older than TLS 1.2, and nothing in clear.

use std::fs;

use kit::owner::Identity;
use kit::world::World;
use reqwest::StatusCode;
use shared::oauth::path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A year, in seconds.
const YEAR: u64 = 365 * 24 * 3600;

/// Lets the world's broker speak TLS with a certificate of its own.
async fn speak_tls(world: &mut World) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (world.folder().join("certificate.pem"), world.folder().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let change = |settings: &mut broker::config::Settings| {
        settings.tls = Some((certificate, key));
        settings.public_url.set_scheme("https").unwrap();
    };
    world.change(change).await;
}

/// The first seven bytes that a port says to these, or as many as there are before it hangs up.
async fn says(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = vec![];
    _ = stream.take(7).read_to_end(&mut said).await; // a reset is an answer too
    said
}

/// A ClientHello of a version that offers ECDHE with ECDSA over AES-128-GCM, x25519, and ecdsa_secp256r1_sha256.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let groups = [0, 10, 0, 4, 0, 2, 0, 29];
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
    let ciphers = [0, 2, 0xc0, 0x2b];
    let extensions = [&[0, 16][..], &groups, &signatures].concat();
    let body = [&version[..], &[7; 32], &[0], &ciphers, &[1, 0], &extensions].concat();
    let length = u8::try_from(body.len()).unwrap();
    [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

kit::stories! {
    async fn what_speaks_tls_speaks_nothing_less(mut world: World) {
        speak_tls(&mut world).await;
        let visitor = world.stranger();
        let page = visitor.get("/sign-in").await.unwrap();
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        let age = page.header("strict-transport-security").and_then(|line| line.strip_prefix("max-age="));
        assert!(age.and_then(|age| age.parse::<u64>().ok()).is_some_and(|age| age >= YEAR), "MD-12: {age:?}");

        let Identity { email, password, .. } = world.owner().identity.clone();
        let form = page.form("/sign-in").unwrap().filled(&[("email", &*email), ("password", &*password)]);
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signed_in = visitor.post("/sign-in", &fields).await.unwrap();
        let cookies = signed_in.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let session = cookies.rev().find(|line| line.starts_with("__Host-session=")).unwrap();
        for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(session.contains(attribute), "WB-02: {attribute} is missing");
        }
        assert!(!session.contains("Domain"), "WB-02: it is for this host alone");

        let form = "grant_type=refresh_token&refresh_token=x&client_id=latchkey-agent";
        let clear = format!("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}", path::TOKEN, form.len());
        let said = says(&world, clear.as_bytes()).await;
        assert!(!said.starts_with(b"HTTP"), "MD-11: it answers in clear: {}", String::from_utf8_lossy(&said));
        // The same hello in TLS 1.2 is answered by a handshake, in 1.1 by an alert (RFC 5246 sections 6.2.1 and 7.2).
        let said = says(&world, &hello([3, 3])).await;
        assert!(said.first() == Some(&0x16), "MD-11: to TLS 1.2 it says {said:?}");
        let said = says(&world, &hello([3, 2])).await;
        assert!(matches!(said[..], [0x15, _, _, 0, 2, 2, _]), "MD-11: to TLS 1.1 it says {said:?}");
        world.end().await;
    }
}
