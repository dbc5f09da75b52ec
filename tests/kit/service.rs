//! A program of a workspace's own that asks the broker's JSON routes (client credentials, RFC 6749 section 4.4).

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use shared::id::HomeId;

use crate::world::World;

/// A program with an access token.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its `client_id`.
    pub client_id: String,
    secret: Option<String>,
    http: reqwest::Client,
    origin: String,
    token: String,
}

impl World {
    /// A program of the owner's workspace with these scopes, registered by command, and its token.
    pub async fn service(&self, scopes: &str) -> Service {
        let workspace = self.workspace().await;
        let words =
            ["--kind", "service", "--name", "A Service", "--workspace", &workspace, "--scope", scopes];
        let client = self.register(&words);
        let (http, origin) = (crate::http_client(), self.origin());
        let mut service =
            Service { client_id: client.id, secret: client.secret, http, origin, token: String::new() };
        service.come_again(scopes).await;
        service
    }
}

impl Service {
    /// Fetches another access token, with these scopes.
    pub async fn come_again(&mut self, scopes: &str) {
        let fields = [("grant_type", "client_credentials"), ("scope", scopes)];
        let asked = self.http.post(format!("{}/oauth2/token", self.origin)).form(&fields);
        let asked = asked.basic_auth(&self.client_id, self.secret.as_deref());
        let token = async {
            let said: Value = asked.send().await?.error_for_status()?.json().await?;
            said["access_token"].as_str().map(str::to_owned).context("no access token")
        };
        self.token = token.await.unwrap_or_else(|err| panic!("a service: {err:#}"));
    }

    /// Asks a route.
    ///
    /// # Errors
    /// When nothing answers. A body that is no JSON is `null`.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        self.ask_with(method, path, body, &[]).await
    }

    /// The same with more headers.
    ///
    /// # Errors
    /// As [`Service::ask`].
    pub async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<(StatusCode, Value)> {
        let asked = self.http.request(method, format!("{}{path}", self.origin)).bearer_auth(&self.token);
        let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value));
        let asked = match body {
            Some(body) => asked.json(body),
            None => asked,
        };
        let answer = asked.send().await?;
        let status = answer.status();
        Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or(Value::Null)))
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// As [`Service::ask`].
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Value)> {
        self.ask(Method::GET, path, None).await
    }

    /// A home as the API shows it; none once it is not there.
    ///
    /// # Errors
    /// When nothing answers, or something unexpected.
    pub async fn home(&self, home: HomeId) -> Result<Option<Value>> {
        match self.get(&format!("/api/smarthome/homes/{home}")).await? {
            (StatusCode::OK, mut said) => Ok(Some(said["home"].take())),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, said) => anyhow::bail!("{status}: {said}"),
        }
    }
}
