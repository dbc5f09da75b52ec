//! The provider driven through its routes: the kit the tests below share.
//!
//! On a temporary SQLite database, or, where `LATCHKEY_TEST_POSTGRES` names a cluster's admin, on a new
//! database there.

mod consents;
mod devices;
mod endings;
mod flows;
mod managing;
mod model;
mod promises;
mod races;
mod services;
mod trouble;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use shared::id::WorkspaceId;
use shared::oauth::{AGENT_CLIENT_ID, DEVICE_GRANT, Scope, Scopes, path};
use shared::secret::Secret;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::chance::{self, Kind};
use crate::http::fault::Manner;
use crate::http::{Asked, Peer, csrf};
use crate::store::Where;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CALLBACK: &str = "http://127.0.0.1:51234/callback";

/// A provider of its own.
#[derive(Clone)]
struct Provider {
    oauth: OAuth,
    store: Store,
    clock: Clock,
    site: Arc<Site>,
    place: Where,
    folder: Arc<tempfile::TempDir>,
}

/// Somebody who is signed in.
#[derive(Clone)]
struct Person {
    account: AccountId,
    workspace: WorkspaceId,
    cookie: Secret,
}

/// What came back.
#[derive(Debug)]
struct Said {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no {name}: {self:?}")).to_owned()
    }

    /// Status and error word.
    fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.field("error"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A parameter of the address the browser is sent to.
    fn sent(&self, name: &str) -> Option<String> {
        let to = url::Url::parse(self.header("location")).ok()?;
        to.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }
}

fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(chance::hash(verifier))
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn place_of_rows(folder: &tempfile::TempDir) -> Where {
    use sqlx::Connection as _;
    let Ok(admin) = std::env::var("LATCHKEY_TEST_POSTGRES") else {
        return Where::Sqlite(folder.path().join("test.db"));
    };
    sqlx::any::install_default_drivers();
    let name = format!("oauth_{}", chance::bits());
    let mut db = sqlx::AnyConnection::connect(&admin).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut db).await.unwrap();
    let mut url: url::Url = admin.parse().unwrap();
    url.set_path(&name);
    Where::Postgres(Secret::from(url.to_string()))
}

impl Provider {
    async fn new() -> Self {
        // In memory where there is such a folder: what is on disk when is the store's own test.
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let place = place_of_rows(&folder).await;
        Self::open(place, Clock::new(), Arc::new(folder)).await
    }

    async fn open(place: Where, clock: Clock, folder: Arc<tempfile::TempDir>) -> Self {
        let store = Store::open(&place, CancellationToken::new()).await.unwrap();
        let site = Arc::new(Site { public_url: "http://localhost:8420".parse().unwrap() });
        let day = Duration::from_secs(24 * 3600);
        let lifetimes = Lifetimes {
            access: Duration::from_secs(3600),
            refresh: day * 30,
            grant: day * 365,
            again: day * 20,
            code: Duration::from_secs(600),
            device: Duration::from_secs(900),
        };
        let accounts = Accounts::for_tests(store.clone(), clock.clone(), site.clone());
        let homes = Homes::new(store.clone(), clock.clone(), site.clone(), "homes.example");
        let oauth = OAuth::new(store.clone(), clock.clone(), site.clone(), lifetimes, accounts, homes);
        oauth.seed().await.unwrap();
        oauth.seed().await.unwrap();
        Self { oauth, store, clock, site, place, folder }
    }

    /// The same provider after a restart.
    async fn restarted(self) -> Self {
        self.store.close().await;
        Self::open(self.place, self.clock, self.folder).await
    }

    async fn tell(&self, sql: String) {
        let mut tx = self.store.begin().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Somebody new, in a workspace of their own.
    async fn person(&self, role: &str) -> Person {
        let account = AccountId::from_random_bits(chance::bits());
        let workspace = WorkspaceId::from_random_bits(chance::bits());
        self.tell(format!(
            "INSERT INTO account (id, email, name, password, created_at)
               VALUES ({account}, '{account}@example.org', 'Ada', 'x', 0);
             INSERT INTO workspace (id, name, slug, created_at) VALUES ({workspace}, 'w', '{workspace}', 0);
             INSERT INTO member (workspace_id, account_id, role) VALUES ({workspace}, {account}, '{role}');"
        ))
        .await;
        self.sign_in(account, workspace).await
    }

    /// A new session of an account.
    async fn sign_in(&self, account: AccountId, workspace: WorkspaceId) -> Person {
        let cookie = chance::token(Kind::Session);
        let mut tx = self.store.begin().await.unwrap();
        let far = self.clock.now().after(Duration::from_secs(1 << 30));
        sqlx::query("INSERT INTO session (token_hash, account_id, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $3, $4)")
            .bind(chance::hash(cookie.expose()))
            .bind(account.number())
            .bind(self.clock.now().millis())
            .bind(far.millis())
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Person { account, workspace, cookie }
    }

    /// A client besides the agent.
    async fn client(&self, id: &str, secret: Option<&str>) -> Client {
        let client = Client {
            id: id.to_owned(),
            name: format!("The <b>{id}</b> program"),
            is_confidential: secret.is_some(),
            redirect_uris: vec![format!("https://{id}.example/cb?a=b")],
            scopes: Scopes::parse("workspace:read smarthome:read smarthome:tunnel").unwrap(),
            ..Client::agent()
        };
        let (mut tx, now) = (self.store.begin().await.unwrap(), self.clock.now());
        assert!(client::rows::add(&mut tx, &client, now).await.unwrap());
        if let Some(secret) = secret {
            client::rows::add_secret(&mut tx, id, &chance::hash(secret), now).await.unwrap();
        }
        tx.commit().await.unwrap();
        client
    }

    fn asked(&self, method: Method, target: &str, body: String) -> Asked {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
        Asked {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            peer: Peer { ip: Ipv4Addr::LOCALHOST.into(), tls: false },
            body: Bytes::from(body),
            upgrade: None,
            site: self.site.clone(),
        }
    }

    async fn send(&self, asked: Asked) -> Said {
        let manner = Manner::of(&asked);
        let answer = web::answer(&self.oauth, &asked).await.unwrap_or_else(|fault| fault.answer(&manner));
        let (parts, body) = answer.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Said { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, person: Option<&Person>, target: &str) -> Said {
        let mut asked = self.asked(Method::GET, target, String::new());
        if let Some(person) = person {
            let cookie = format!("session={}", person.cookie.expose());
            asked.headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        self.send(asked).await
    }

    /// A form of a page, with the person's own token.
    async fn submit(&self, person: &Person, target: &str, form: &[(&str, &str)]) -> Said {
        let csrf = csrf::token(&person.cookie);
        let body = encoded(&[form, &[("csrf", &csrf)]].concat());
        let mut asked = self.asked(Method::POST, target, body);
        let cookie = format!("session={}", person.cookie.expose());
        asked.headers.insert(header::COOKIE, cookie.parse().unwrap());
        self.send(asked).await
    }

    async fn post(&self, target: &str, form: &[(&str, &str)]) -> Said {
        self.send(self.asked(Method::POST, target, encoded(form))).await
    }

    async fn token(&self, form: &[(&str, &str)]) -> Said {
        self.post(path::TOKEN, form).await
    }

    async fn refresh(&self, token: &str) -> Said {
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", AGENT_CLIENT_ID)];
        self.token(&form).await
    }

    async fn poll(&self, device_code: &str) -> Said {
        let form =
            [("grant_type", DEVICE_GRANT), ("device_code", device_code), ("client_id", AGENT_CLIENT_ID)];
        self.token(&form).await
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Said {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
            ("client_id", AGENT_CLIENT_ID),
        ];
        self.token(&form).await
    }

    /// A device that begins to wait, each from an address of its own.
    async fn device(&self) -> Said {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let ip = Ipv4Addr::from(0x0a00_0000 + NEXT.fetch_add(1, Ordering::Relaxed));
        self.device_from(ip.into()).await
    }

    async fn device_from(&self, ip: IpAddr) -> Said {
        let body = encoded(&[("client_id", AGENT_CLIENT_ID)]);
        let mut asked = self.asked(Method::POST, path::DEVICE_AUTHORIZATION, body);
        asked.peer.ip = ip;
        self.send(asked).await
    }

    async fn let_in(&self, person: &Person, user_code: &str) -> Said {
        let form =
            [("user_code", user_code), ("decision", "allow"), ("home", "new"), ("home_name", "Lake House")];
        self.submit(person, path::DEVICE, &form).await
    }

    /// Tokens of an agent that was paired by the device flow.
    async fn paired(&self, person: &Person) -> Said {
        let device = self.device().await;
        let done = self.let_in(person, &device.field("user_code")).await;
        assert!(done.text.contains("is let in"), "{done:?}");
        let tokens = self.poll(&device.field("device_code")).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
        tokens
    }

    /// The agent's authorization request.
    fn request(&self, changes: &[(&str, Option<&str>)]) -> String {
        let challenge = challenge(VERIFIER);
        let mut pairs = vec![
            ("client_id", AGENT_CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("state", "s t&a=te"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            pairs.extend(value.map(|value| (*name, value)));
        }
        encoded(&pairs)
    }

    /// A code the person gave the agent for a new home.
    async fn code(&self, person: &Person) -> String {
        let request = self.request(&[]);
        let pairs: Vec<_> = url::form_urlencoded::parse(request.as_bytes()).into_owned().collect();
        let mut form: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        form.extend([("decision", "allow"), ("home", "new"), ("home_name", "Lake House")]);
        let sent = self.submit(person, path::AUTHORIZE, &form).await;
        sent.sent("code").unwrap_or_else(|| panic!("no code: {sent:?}"))
    }

    async fn bearer(&self, token: &str, needs: Scope) -> Result<Bearer, Fault> {
        let mut asked = self.asked(Method::GET, "/api/smarthome/workspaces", String::new());
        asked.headers.insert(header::AUTHORIZATION, format!("bearer {token}").parse().unwrap());
        self.oauth.bearer(&asked, needs).await
    }

    async fn is_alive(&self, token: &str) -> bool {
        match self.bearer(token, Scope::Relay).await {
            Ok(_) => true,
            Err(Fault::Unauthorized(true)) => false,
            Err(other) => panic!("{other}"),
        }
    }
}
