//! How a running `cloudflared` is, by its own metrics server on loopback, and whether anything answers where it leads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use url::Url;

use super::ingress;
use crate::net;

/// An answer of loopback that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);
/// No more of an answer is read.
const MOST: usize = 256 << 10;
/// How often the origin is asked, in looks.
const ORIGIN_EVERY: u32 = 6;

/// What one look found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// How many connections to Cloudflare it says it has (`/ready`); nothing when it does not answer.
    pub ready: Option<u32>,
    /// The configuration it goes by (`/config`); nothing while none came.
    pub config: Option<Value>,
    /// Where it leads and why nothing answers there; looked at now and then.
    pub origin: Option<Result<(), String>>,
}

/// Looks at one child.
#[derive(Debug)]
pub struct Probe {
    http: reqwest::Client,
    base: Url,
    tls: Arc<ClientConfig>,
    looks: u32,
}

#[derive(Deserialize)]
struct Ready {
    #[serde(rename = "readyConnections", default)]
    connections: u32,
}

#[derive(Deserialize)]
struct Config {
    version: i64,
    #[serde(default)]
    config: Value,
}

impl Probe {
    /// For the child whose metrics server listens here.
    ///
    /// # Errors
    /// Never on a sound TLS configuration.
    pub fn new(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self> {
        let base = Url::parse(&format!("http://{address}")).context("the metrics server's address")?;
        let http = net::http_client(&base, tls)?;
        Ok(Self { http, base, tls: Arc::clone(tls), looks: 0 })
    }

    /// Looks once.
    pub async fn look(&mut self) -> Look {
        // A 503 is an answer: it is alive, and has no connection.
        let ready = self.get::<Ready>("ready").await.ok().map(|ready| ready.connections);
        if ready.is_none() {
            return Look::default();
        }
        // Before the first remote configuration the version is -1.
        let config = self.get::<Config>("config").await.ok().filter(|config| config.version >= 0);
        let config = config.map(|config| config.config);
        let origin = match &config {
            Some(config) if self.looks.is_multiple_of(ORIGIN_EVERY) => self.origin(config).await,
            _ => None,
        };
        self.looks = self.looks.wrapping_add(u32::from(config.is_some()));
        Look { ready, config, origin }
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T> {
        let began = Instant::now();
        let asked = self.http.get(self.base.join(path)?).timeout(PATIENCE).send();
        let mut answer = asked.await?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await? {
            body.extend_from_slice(&part);
            ensure!(body.len() <= MOST && began.elapsed() < PATIENCE, "too much of an answer");
        }
        Ok(serde_json::from_slice(&body)?)
    }

    /// Whether the first place that a configuration leads to takes connections.
    async fn origin(&self, config: &Value) -> Option<Result<(), String>> {
        let service = ingress::services(config).find(|service| service.starts_with("http"))?;
        let mut url = Url::parse(service).ok()?;
        let port = url.port_or_known_default()?;
        // Its certificate is between cloudflared and Home Assistant.
        url.set_scheme("http").ok()?;
        url.set_port(Some(port)).ok()?;
        let nobody = || format!("nothing answers at {service}, where the tunnel leads");
        Some(match timeout(PATIENCE, net::dial(&url, &self.tls)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(nobody()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fakes;

    #[tokio::test]
    async fn its_own_answers_and_its_origin_are_looked_at() {
        let origin = fakes::serve(|_| (200, Value::Null)).await;
        let service = origin.url.as_str().trim_end_matches('/').to_owned();
        let server = fakes::serve(move |seen| match seen.path.as_str() {
            "/ready" => (503, json!({"status": 503, "readyConnections": 0, "connectorId": "c"})),
            "/config" => {
                let rules = json!([{"hostname": "h", "service": service}, {"service": "http_status:404"}]);
                (200, json!({"version": 3, "config": {"ingress": rules}}))
            }
            _ => (404, Value::Null),
        });
        let server = server.await;
        let address = server.url.socket_addrs(|| None).unwrap()[0];
        let mut probe = Probe::new(address, &net::trust(None).unwrap()).unwrap();
        let look = probe.look().await;
        assert_eq!((look.ready, look.origin), (Some(0), Some(Ok(()))));
        assert_eq!(look.config.unwrap()["ingress"][1]["service"], "http_status:404");
        assert_eq!(probe.look().await.origin, None, "not at every look");
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_told_from_one_that_is_not_connected() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut probe = Probe::new(listener.local_addr().unwrap(), &net::trust(None).unwrap()).unwrap();
        // The kernel takes the connection, and nobody answers.
        assert_eq!(probe.look().await, Look::default());
    }
}
