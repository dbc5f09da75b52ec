//! The operator's command, against a database of its own.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::chance::{self, Kind};
use crate::config::Cli;
use crate::homes::add_workspace;
use crate::oauth::client::claim::Known;
use crate::oauth::client::rows::known;
use crate::store::{Store, Where};

struct Shell {
    clients: Clients,
    clock: Clock,
    store: Store,
    _folder: tempfile::TempDir,
}

impl Shell {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Where::Sqlite(folder.path().join("test.db"));
        let store = Store::open(&place, CancellationToken::new()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        add_workspace(&mut tx, 7).await.unwrap();
        tx.commit().await.unwrap();
        let clock = Clock::new();
        Self { clients: Clients::new(store.clone(), clock.clone()), clock, store, _folder: folder }
    }

    /// What `latchkey-broker client …` prints.
    async fn say(&self, words: &[&str]) -> anyhow::Result<String> {
        use clap::Parser as _;
        let cli = Cli::try_parse_from([&["latchkey-broker", "client"], words].concat())?;
        let Some(crate::config::Command::Client(command)) = cli.command else { panic!("no client command") };
        let mut out = Vec::new();
        run(&self.clients, &self.clock, command, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    async fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.say(&[words, &["--json"]].concat()).await.unwrap()).unwrap()
    }

    async fn known(&self, id: &str) -> Option<Known> {
        known(&mut self.store.read().await.unwrap(), id, self.clock.now()).await.unwrap()
    }
}

#[tokio::test]
async fn a_client_is_registered_and_its_secret_shown_once() {
    let shell = Shell::new().await;
    let made = shell.json(&["add", "--name", "Garden", "--kind", "home-assistant", "--workspace", "7"]).await;
    let (id, secret) = (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
    assert!(chance::looks_like(Kind::Client, secret), "TK-28: {secret}");
    assert_eq!(
        made["redirect_uris"],
        serde_json::json!(["https://my.home-assistant.io/redirect/oauth"]),
        "PK-11"
    );
    assert_eq!((&made["pkce_required"], &made["workspace_id"]), (&false.into(), &7.into()), "PK-11");
    let known = shell.known(id).await.unwrap();
    assert_eq!(known.secrets, [chance::hash(secret)], "only its hash is kept (O5)");
    for words in [&["show", id][..], &["list"], &["list", "--workspace", "7"]] {
        let said = shell.say(words).await.unwrap();
        assert!(said.contains(id) && !said.contains(secret), "{said}");
        assert!(!shell.json(words).await.to_string().contains(secret));
    }
    let one = shell.json(&["show", id]).await;
    assert_eq!((&one["secrets_until"], &one["disabled"]), (&serde_json::json!([null]), &false.into()));
}

#[tokio::test]
async fn a_rotation_overlaps_for_as_long_as_it_says() {
    let shell = Shell::new().await;
    let made = shell.json(&["add", "--name", "Garden", "--kind", "home-assistant"]).await;
    let id = made["client_id"].as_str().unwrap();
    let hash = |said: &Value| chance::hash(said["client_secret"].as_str().unwrap());
    let next = shell.json(&["rotate", id]).await;
    let mut good = shell.known(id).await.unwrap().secrets;
    good.sort();
    let mut both = vec![hash(&made), hash(&next)];
    both.sort();
    assert_eq!(good, both, "TK-32: the old one is good for a day more");
    shell.clock.turn(HOUR * 24);
    assert_eq!(shell.known(id).await.unwrap().secrets, [hash(&next)], "TK-32");
    let last = shell.json(&["rotate", id, "--overlap-hours", "0"]).await;
    assert_eq!(shell.known(id).await.unwrap().secrets, [hash(&last)], "TK-32: and not at all");
    assert!(shell.say(&["rotate", id, "--overlap-hours", "721"]).await.is_err());
    assert!(shell.say(&["rotate", "nobody"]).await.is_err());
}

#[tokio::test]
async fn a_client_is_switched_off_and_on_and_removed() {
    let shell = Shell::new().await;
    shell
        .say(&[
            "add",
            "--name",
            "Phone",
            "--kind",
            "native",
            "--redirect-uri",
            "http://127.0.0.1/cb",
            "--client-id",
            "phone",
        ])
        .await
        .unwrap();
    let is_disabled = async || shell.known("phone").await.map(|known| known.client.disabled);
    shell.say(&["disable", "phone"]).await.unwrap();
    assert_eq!(is_disabled().await, Some(true), "TK-33");
    shell.say(&["enable", "phone"]).await.unwrap();
    assert_eq!(is_disabled().await, Some(false));
    shell.say(&["remove", "phone"]).await.unwrap();
    assert_eq!(is_disabled().await, None);
    for words in [["disable", "phone"], ["enable", "phone"], ["remove", "phone"], ["show", "phone"]] {
        let refused = shell.say(&words).await.unwrap_err().to_string();
        assert_eq!(refused, "there is no client \"phone\"", "{words:?}");
    }
}

#[tokio::test]
async fn what_may_not_be_is_said_in_words() {
    let shell = Shell::new().await;
    for (words, says) in [
        (
            &["--kind", "web", "--redirect-uri", "http://a.example/cb"][..],
            "http://a.example/cb: Plain http:// is",
        ),
        (&["--kind", "web", "--redirect-uri", "https://a.example/cb?code=1"], "those are ours to add"),
        (&["--kind", "service"], "must belong to a workspace"),
        (&["--kind", "service", "--workspace", "nowhere"], "there is no workspace"),
        (&["--kind", "service", "--workspace", "7", "--grant", "password"], "\"password\" is no grant"),
        (
            &["--kind", "device", "--workspace", "7", "--grant", "client_credentials"],
            "does not go with the kind",
        ),
        (&["--kind", "device", "--scope", "everything"], "does not exist"),
        (&["--kind", "agent"], "invalid value 'agent'"),
    ] {
        let refused = shell.say(&[&["add", "--name", "x"], words].concat()).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{words:?}: {refused}");
    }
    shell.say(&["add", "--name", "x", "--kind", "device", "--client-id", "x"]).await.unwrap();
    let twice = shell.say(&["add", "--name", "x", "--kind", "device", "--client-id", "x"]).await;
    assert!(twice.unwrap_err().to_string().contains("of that id already"));
    let operators = shell
        .json(&["add", "--name", "t", "--kind", "service", "--workspace", "7", "--scope", "tunnels:manage"])
        .await;
    assert_eq!(operators["scope"], "tunnels:manage", "O8");
    let resource = shell.json(&["add", "--name", "r", "--kind", "resource-server"]).await;
    assert_eq!(
        (&resource["kind"], &resource["grants"]),
        (&"resource-server".into(), &serde_json::json!([])),
        "IN-06"
    );
    let device = shell
        .json(&["add", "--name", "d", "--kind", "device", "--auth", "secret", "--grant", "device_code"])
        .await;
    assert_eq!((&device["auth"], &device["grants"]), (&"secret".into(), &serde_json::json!([DEVICE_GRANT])));
}
