//! A program that asks the broker for tokens, by bare HTTP: it can do what no honest client would.

use kit::visitor::{Page, Visitor};
use kit::world::World;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use shared::oauth::{AGENT_CLIENT_ID, DEVICE_GRANT, path};
use url::Url;
use url::form_urlencoded::Serializer;

/// Of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Nothing listens there; the browser is stopped before it goes.
const CALLBACK: &str = "http://127.0.0.1:51234/callback";

/// A program with the agent's `client_id`.
#[derive(Clone)]
pub struct Program {
    http: Client,
    origin: String,
}

/// What the broker said.
#[derive(Debug)]
pub struct Said {
    pub status: StatusCode,
    pub json: Value,
    /// Whether it said when to come back.
    pub retry_after: bool,
}

impl Said {
    /// A field's text.
    pub fn text(&self, field: &str) -> String {
        self.json[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned()
    }
}

impl Program {
    /// One that asks this world's broker.
    pub fn of(world: &World) -> Self {
        Self::at(&world.origin())
    }

    /// One that asks the broker at an origin.
    pub fn at(origin: &str) -> Self {
        Self { http: kit::http_client(), origin: origin.to_owned() }
    }

    /// The same program on another machine, the `n`th.
    pub fn elsewhere(&self, n: u8) -> Self {
        Self { http: kit::http_client_from([127, 0, 1, n].into()), origin: self.origin.clone() }
    }

    /// The address of its authorization request.
    pub fn request(&self, state: &str) -> String {
        let query = Serializer::new(String::new())
            .append_pair("client_id", AGENT_CLIENT_ID)
            .append_pair("redirect_uri", CALLBACK)
            .append_pair("response_type", "code")
            .append_pair("state", state)
            .append_pair("code_challenge", CHALLENGE)
            .append_pair("code_challenge_method", "S256")
            .finish();
        format!("{}{}?{query}", self.origin, path::AUTHORIZE)
    }

    /// The code that a consent page leads to, for a new home.
    pub async fn code(&self, visitor: &Visitor, page: &Page) -> String {
        let choices = [("home", "new"), ("home_name", "Lake House"), ("decision", "allow")];
        let form = page.form(path::AUTHORIZE).unwrap().filled(&choices);
        let fields: Vec<_> =
            form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let sent = visitor.post(path::AUTHORIZE, &fields).await.unwrap();
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "AZ-14: {sent:?}");
        let to = Url::parse(sent.header("location").unwrap()).unwrap();
        assert!(to.as_str().starts_with(CALLBACK), "{to}");
        let said =
            |name: &str| to.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
        assert_eq!(said("state").as_deref(), Some("s t&a=te"), "AZ-11");
        assert_eq!(said("iss").as_deref(), Some(&*self.origin), "AZ-12");
        said("code").unwrap_or_else(|| panic!("no code in {to}"))
    }

    /// Sends a form with its `client_id`.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Said {
        let fields: Vec<_> = fields.iter().copied().chain([("client_id", AGENT_CLIENT_ID)]).collect();
        self.try_post(path, &fields).await.unwrap()
    }

    async fn try_post(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::Result<Said> {
        let answer = self.http.post(format!("{}{path}", self.origin)).form(fields).send().await?;
        let status = answer.status();
        let retry_after = answer.headers().contains_key("retry-after");
        let text = answer.text().await?;
        Ok(Said { status, json: serde_json::from_str(&text).unwrap_or(Value::Null), retry_after })
    }

    pub async fn redeem(&self, code: &str) -> Said {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post(path::TOKEN, &fields).await
    }

    pub async fn refresh(&self, token: &str) -> Said {
        self.post(path::TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Like [`Program::refresh`], from a broker that may die before it answers.
    pub async fn try_refresh(&self, token: &str) -> reqwest::Result<Said> {
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", AGENT_CLIENT_ID)];
        self.try_post(path::TOKEN, &fields).await
    }

    pub async fn device(&self) -> Said {
        let device = self.post(path::DEVICE_AUTHORIZATION, &[]).await;
        assert_eq!(device.status, StatusCode::OK, "{device:?}");
        device
    }

    pub async fn poll(&self, device_code: &str) -> Said {
        self.post(path::TOKEN, &[("grant_type", DEVICE_GRANT), ("device_code", device_code)]).await
    }

    /// What a path of the API answers a token.
    pub async fn get(&self, path: &str, token: &str) -> StatusCode {
        let asked = self.http.get(format!("{}{path}", self.origin)).bearer_auth(token);
        asked.send().await.unwrap().status()
    }

    /// Whether a token is good.
    pub async fn call(&self, token: &str) -> StatusCode {
        self.get("/api/smarthome/workspaces", token).await
    }
}
