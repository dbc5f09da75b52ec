//! Hiding: the product's own secrets are planted through it, and then looked for in the database's files, in its
//! dump, in all logs at their most talkative, and in what other people on the machine see of the processes. Each
//! lies in the few places where it lawfully does, and nowhere else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use agent::config::Keeping;
use agent::memory::Memory;
use broker::store::Where;
use kit::cloudflare::{Asked, Cloudflare, TOKEN};
use kit::guest::{Guest, Watching};
use kit::home_assistant::HomeAssistant;
use kit::owner::{Identity, May, Owner};
use kit::postgres::{Durability, Postgres};
use kit::process::{Process, free_port};
use kit::programs;
use kit::search::Search;
use kit::until::until;
use kit::visitor::Visitor;
use kit::world::workspace_of;
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::Value;
use shared::oauth::{AGENT_CLIENT_ID, path};

const LAMP: &str = "light.bed_light";
/// Stands in clear in the database: what a search that works finds there.
const MARKER: &str = "Plainly Named Canal House";
/// What an operator writes into the settings file.
const DATABASE_PASSWORD: &str = "database-password-5cf2e8a1";
const SMTP_PASSWORD: &str = "smtp-password-9d04b7c3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_lies_where_it_must_not_with_sqlite() {
    nothing_is_found(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_lies_where_it_must_not_with_postgresql() {
    let cluster = Postgres::start(Durability::None).unwrap();
    let url = cluster.create_database("hiding").unwrap();
    nothing_is_found(Some((cluster, url))).await;
}

/// The programs, with everything they have in one folder.
struct Stage {
    folder: PathBuf,
    origin: String,
    home_assistant: String,
    rows: Where,
}

impl Stage {
    fn broker(&self, words: &[&str]) -> std::process::Command {
        let mut command = programs::program("latchkey-broker").unwrap();
        command.arg("--settings").arg(self.folder.join("broker.toml")).env("RUST_LOG", "trace");
        command.args(words);
        command
    }

    fn agent(&self, words: &[&str]) -> std::process::Command {
        let mut command = programs::program("latchkey-agent").unwrap();
        command.args([
            "--memory",
            "file",
            "--broker",
            &self.origin,
            "--home-assistant",
            &self.home_assistant,
        ]);
        command.arg("--data-dir").arg(self.folder.join("agent")).env("RUST_LOG", "trace");
        command.arg("--home-assistant-token-file").arg(self.folder.join("home-assistant-token"));
        command.args(words);
        command
    }

    fn start(&self, mut command: std::process::Command, log: &str) -> Process {
        Process::start(log, &mut command, &self.folder.join(log), Signal::SIGTERM).unwrap()
    }

    fn log(&self, log: &str) -> String {
        fs::read_to_string(self.folder.join(log)).unwrap_or_default()
    }

    async fn workspace(&self) -> String {
        workspace_of(&self.rows).await.unwrap()
    }

    /// The first address a program's log shows on a line of its own.
    async fn address_in(&self, log: &str) -> String {
        until(&format!("an address in {log}"), || async {
            let text = self.log(log);
            text.lines().map(str::trim).find(|line| line.starts_with("http")).map(str::to_owned)
        })
        .await
    }
}

async fn nothing_is_found(postgres: Option<(Postgres, String)>) {
    kit::install_tls();
    let folder = tempfile::Builder::new().prefix("latchkey-hiding-").tempdir().unwrap();
    let home_folder = tempfile::tempdir().unwrap();
    let home_assistant =
        HomeAssistant::for_stories(home_folder.path(), |line| println!("{line}")).await.unwrap();
    let port = free_port().unwrap();
    let stage = Stage {
        folder: folder.path().to_path_buf(),
        origin: format!("http://localhost:{port}"),
        home_assistant: home_assistant.url().to_owned(),
        rows: match &postgres {
            None => Where::Sqlite(folder.path().join("broker/latchkey.db")),
            Some((_, url)) => Where::Postgres(url.clone().into()),
        },
    };
    let mut settings = format!(
        "listen = \"127.0.0.1:{port}\"\ndata_dir = \"{}\"\npassword_memory_mib = 19\n\
         smtp_url = \"smtp://latchkey:{SMTP_PASSWORD}@127.0.0.1:{}\"\n",
        folder.path().join("broker").display(),
        free_port().unwrap(),
    );
    if let Some((_, url)) = &postgres {
        let with_password = url.replacen("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"), 1);
        settings += &format!("database = \"{with_password}\"\n");
    }
    fs::write(folder.path().join("broker.toml"), &settings).unwrap();
    fs::write(folder.path().join("home-assistant-token"), home_assistant.token()).unwrap();

    let mut broker = stage.start(stage.broker(&[]), "broker.log");
    let first_run = stage.address_in("broker.log").await;
    let owner = Owner::make_first(&first_run, Identity::ada()).await.unwrap();
    let mut pairing = stage.start(stage.agent(&["pair", "--browser"]), "pairing.log");
    let paired = owner.allow_by_browser(&stage.address_in("pairing.log").await, MARKER).await.unwrap();
    until("the agent to be paired", || {
        let ended = pairing.has_ended();
        async move { ended }
    })
    .await;
    // From now on new homes are at a Cloudflare, whose API token lies in a file of its own.
    let cloudflare = Cloudflare::start("homes.example").await;
    let accounts = cloudflare.write_accounts(folder.path()).unwrap();
    settings += &format!("cloudflare = \"{}\"\n", accounts.display());
    fs::write(folder.path().join("broker.toml"), settings).unwrap();
    broker.stop();
    let mut broker = stage.start(stage.broker(&[]), "broker.log");
    let mut agent = stage.start(stage.agent(&["run"]), "agent.log");

    let mut planted = plant(&stage, &owner, &paired.url, home_assistant.token()).await;
    planted.push(("cloudflare's API token", TOKEN.to_owned()));
    planted.push(("a token of a tunnel there", token_of_a_tunnel(&owner, &cloudflare).await));
    let named: Vec<_> = planted.iter().map(|(name, secret)| (*name, secret.as_str())).collect();
    let search = Search::of(&named).unwrap();

    // While all of it runs: the write-ahead logs are full, and the processes are there to be looked at.
    let mut found = BTreeSet::new();
    for (name, process) in [("the broker", &broker), ("the agent", &agent)] {
        for what in ["cmdline", "environ"] {
            let seen = fs::read(format!("/proc/{}/{what}", process.id())).unwrap();
            assert!(seen.len() > 20, "{name}: {what}");
            found.extend(
                search
                    .found(&seen)
                    .into_iter()
                    .map(|secret| (secret.to_owned(), PathBuf::from(name).join(what))),
            );
        }
    }
    found.extend(search.found_below(folder.path()).unwrap());
    if let Some((cluster, url)) = &postgres {
        let dump = Postgres::dump(url).unwrap();
        found
            .extend(search.found(&dump).into_iter().map(|secret| (secret.to_owned(), PathBuf::from("dump"))));
        cluster.checkpoint().unwrap();
        let files = search.found_below(cluster.files().unwrap()).unwrap();
        found.extend(files.into_iter().map(|(secret, file)| (secret, Path::new("cluster").join(file))));
    }
    agent.stop();
    broker.stop();
    found.extend(search.found_below(folder.path()).unwrap());
    for log in ["broker.log", "agent.log"] {
        assert!(stage.log(log).contains("TRACE"), "{log} is not at its most talkative");
    }

    let mut lawful: BTreeSet<(String, PathBuf)> =
        LAWFUL.iter().map(|(secret, file)| ((*secret).to_owned(), PathBuf::from(*file))).collect();
    let (in_clear, rest): (BTreeSet<_>, BTreeSet<_>) =
        found.into_iter().partition(|(secret, _)| secret == "the marker");
    if postgres.is_some() {
        lawful.insert(("the database's password".to_owned(), "broker.toml".into()));
        assert!(in_clear.iter().any(|(_, file)| file == Path::new("dump")), "{in_clear:?}");
        assert!(in_clear.iter().any(|(_, file)| file.starts_with("cluster/data/base")), "{in_clear:?}");
        assert!(in_clear.iter().any(|(_, file)| file.starts_with("cluster/data/pg_wal")), "{in_clear:?}");
    } else {
        assert!(in_clear.iter().any(|(_, file)| file == Path::new("broker/latchkey.db-wal")), "{in_clear:?}");
        assert!(in_clear.iter().any(|(_, file)| file == Path::new("broker/latchkey.db")), "{in_clear:?}");
    }
    let unlawful: Vec<_> = rest.difference(&lawful).collect();
    assert!(unlawful.is_empty(), "secrets lie where they must not: {unlawful:#?}");
    let unseen: Vec<_> = lawful.difference(&rest).collect();
    assert!(unseen.is_empty(), "the search does not find what lies there: {unseen:#?}");
}

/// Where a secret lies by right: with whoever it belongs to.
const LAWFUL: &[(&str, &str)] = &[
    ("a key", "broker/keys"),
    ("the mail server's password", "broker.toml"),
    ("the agent's refresh token", "agent/memory.json"),
    ("the agent's access token", "agent/memory.json"),
    ("the tunnel token", "agent/memory.json"),
    ("home assistant's token", "home-assistant-token"),
    ("cloudflare's API token", "cloudflare.token"),
    // Given when pairing, and remembered.
    ("home assistant's token", "agent/memory.json"),
];

/// Makes a home at Cloudflare, and renews its secret: the token that the broker then keeps.
async fn token_of_a_tunnel(owner: &Owner, cloudflare: &Cloudflare) -> String {
    let home = owner.add_home("Annex").await.unwrap();
    let path = format!("/homes/{home}");
    let fetched = |times: usize| {
        move |asked: &Vec<Asked>| asked.iter().filter(|one| one.path.ends_with("/token")).count() >= times
    };
    cloudflare.until("its token to be fetched", fetched(1)).await;
    until("it to be renewed", || async {
        let page = owner.visitor.get(&path).await?.well()?;
        owner.visitor.submit(&page, &format!("{path}/renew"), &[]).await?.well()
    })
    .await;
    cloudflare.until("its token to be fetched again", fetched(2)).await;
    cloudflare.state().alive().next().unwrap().token()
}

/// Uses the whole product; the secrets that are about then, by name.
async fn plant(
    stage: &Stage,
    owner: &Owner,
    agents_page: &url::Url,
    home_assistant_token: &str,
) -> Vec<(&'static str, String)> {
    let copy = tempfile::tempdir().unwrap();
    let memory = until("the agent to have its tunnel token", || async {
        // The running agent keeps its own locked.
        fs::copy(stage.folder.join("agent/memory.json"), copy.path().join("memory.json"))?;
        let memory = Memory::open(copy.path(), Keeping::File).await?.recall();
        let pairing = memory.pairing.ok_or_else(|| anyhow::anyhow!("not paired"))?;
        let token = pairing.tunnel_token.clone().ok_or_else(|| anyhow::anyhow!("no tunnel token"))?;
        anyhow::Ok((pairing, token))
    });
    let (pairing, tunnel_token) = memory.await;
    until("the agent to be online", || async {
        let page = owner.visitor.get(&format!("/homes/{}", pairing.home)).await?.well()?;
        anyhow::ensure!(page.text.contains(LAMP), "its page shows no lamp");
        Ok(page)
    })
    .await;

    // A guest who looks and switches.
    let link = owner.share(pairing.home, LAMP, "Guest", May::Control).await.unwrap();
    let guest = Guest::open(&link).await.unwrap();
    let watching = Watching::start(Guest::open(&link).await.unwrap());
    until("the guest's page to be live", || async { watching.shown().connected }).await;
    let (status, answer) = guest.control("toggle").await.unwrap();
    assert_eq!(status, StatusCode::OK, "{answer}");
    drop(watching);

    // A program of its own, and a device that asks.
    let words = ["--kind", "service", "--name", "Report", "--workspace", &stage.workspace().await];
    let added = stage.broker(&[&["client", "add", "--json"][..], &words].concat()).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let added: Value = serde_json::from_slice(&added.stdout).unwrap();
    let (client, secret) = (text(&added, "client_id"), text(&added, "client_secret"));
    let http = kit::http_client();
    let form = [("grant_type", "client_credentials")];
    let asked =
        http.post(format!("{}{}", stage.origin, path::TOKEN)).basic_auth(&client, Some(&secret)).form(&form);
    let report: Value = asked.send().await.unwrap().json().await.unwrap();
    let asked = http
        .post(format!("{}{}", stage.origin, path::DEVICE_AUTHORIZATION))
        .form(&[("client_id", AGENT_CLIENT_ID)]);
    let device: Value = asked.send().await.unwrap().json().await.unwrap();

    // Letters that wait, an app's secret, and what people type wrongly.
    let members = owner.visitor.get("/members").await.unwrap().well().unwrap();
    let fields = [("email", "bob@example.org"), ("role", "member")];
    owner.visitor.submit(&members, "/members/invitations", &fields).await.unwrap().well().unwrap();
    let page = owner.visitor.get("/account/second-factor").await.unwrap().well().unwrap();
    let app = page.value_of("secret").unwrap().replace(' ', "");
    let wrong = "wrong-password-3e7a55f0".to_owned();
    let stranger = Visitor::new(&stage.origin).unwrap();
    let page = stranger.get("/sign-in").await.unwrap().well().unwrap();
    let fields = [("email", owner.identity.email.as_str()), ("password", wrong.as_str())];
    stranger.submit(&page, "/sign-in", &fields).await.unwrap();

    let url = url::Url::parse(&stage.origin).unwrap();
    let value = |cookies: String| cookies.split_once('=').unwrap().1.split(';').next().unwrap().to_owned();
    let code = agents_page.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let key = fs::read_to_string(stage.folder.join("broker/keys")).unwrap();
    vec![
        ("the marker", MARKER.to_owned()),
        ("a key", key.trim().split_once('/').unwrap().1.to_owned()),
        ("the mail server's password", SMTP_PASSWORD.to_owned()),
        ("the database's password", DATABASE_PASSWORD.to_owned()),
        ("the password", owner.identity.password.clone()),
        ("a wrong password", wrong),
        ("the session's cookie", value(owner.visitor.cookies(&url))),
        ("an authorization code", code),
        ("a device code", text(&device, "device_code")),
        ("the agent's refresh token", pairing.refresh_token.expose().to_owned()),
        ("the agent's access token", pairing.access.unwrap().token.expose().to_owned()),
        ("the tunnel token", tunnel_token.expose().to_owned()),
        ("the program's secret", secret),
        ("the program's access token", text(&report, "access_token")),
        ("the link's token", guest.token().to_owned()),
        ("the guest's cookie", value(guest.visitor().cookies(guest.page()))),
        ("the app's secret", app),
        ("home assistant's token", home_assistant_token.to_owned()),
    ]
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}
