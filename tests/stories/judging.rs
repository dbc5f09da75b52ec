//! Judging: two client libraries that are not ours, and the checks that somebody else made, against the broker.

use std::time::Duration;

use kit::judge;
use kit::owner::Identity;
use kit::world::{Database, World};

const CALLBACK: &str = "https://main.example/cb";
const LOOPBACK: &str = "http://127.0.0.1:4444/cb";
const SCOPE: &str = "workspace:read smarthome:read";
/// How long a lost answer may be asked for again; by itself it is as long as nothing that came of it was used.
const LOST_ANSWERS: Duration = Duration::from_secs(2);
/// How often it races one thing against another.
const RACES: &str = "50";
/// What may be left out: what we do not offer (and that nothing answers there, is tested elsewhere).
const NOT_OFFERED: [&str; 2] = ["skip P01 ", "skip P02 "];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_finds_nothing_on_sqlite() {
    be_judged("sqlite", World::new(Database::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_finds_nothing_on_postgres() {
    be_judged("postgres", World::new(Database::Postgres).await).await;
}

/// A strict library goes through every grant, and another polls to the end by itself (DG-22).
async fn be_judged(name: &str, mut world: World) {
    let Some(folder) = judge::at_hand() else {
        println!("skipped: there is no ../shared/oauth-judge beside this repository");
        return;
    };
    // The judge loses no answers and uses no token between its two tries: to it only time tells a thief.
    world.change(|settings| settings.lifetimes.again = LOST_ANSWERS).await;
    let installed = judge::install(&folder).await.unwrap_or_else(|err| panic!("{err:#}"));
    let variables = variables(&world).await;
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let library = judge::judge(&installed, "openid-client-smoke.mjs", &variables).await;
    let library = library.unwrap_or_else(|err| panic!("{err:#}"));
    assert!(library.failed.is_empty(), "DG-22: {library}");
    let verdict = judge::judge(&installed, "harness.mjs", &variables).await;
    let verdict = verdict.unwrap_or_else(|err| panic!("{err:#}"));
    judge::note(name, &verdict).unwrap();
    println!("{verdict}");
    assert!(verdict.failed.is_empty(), "{verdict}");
    let left_out = verdict.skipped.iter().find(|line| !NOT_OFFERED.iter().any(|id| line.starts_with(id)));
    assert_eq!(left_out, None, "the judge left something out");
    world.end().await;
}

/// Registers the judge's clients by command, and says so in the judge's variables.
async fn variables(world: &World) -> Vec<(&'static str, String)> {
    let workspace = world.workspace().await;
    let program = |name: &str, callback: &str| {
        world.register(
            &[
                &["--kind", "web", "--name", name, "--redirect-uri", callback, "--workspace", &workspace][..],
                &["--scope", SCOPE, "--grant", "authorization_code", "--grant", "refresh_token"],
                &["--grant", "client_credentials", "--grant", "device_code"],
            ]
            .concat(),
        )
    };
    let main = program("The Judge", CALLBACK);
    let other = program("Somebody Else", "https://other.example/cb");
    let native = world.register(&["--kind", "native", "--name", "A Native", "--redirect-uri", LOOPBACK]);
    let server = world.register(&["--kind", "resource-server", "--name", "A Server"]);
    let Identity { email, password, .. } = world.owner().identity.clone();
    let origin = world.origin();
    let secret = |client: &kit::world::Registered| client.secret.clone().expect("it keeps a secret");
    vec![
        ("RESOURCE_URL", format!("{origin}/api/smarthome/workspaces")),
        ("RESOURCE_SCOPE", "workspace:read".into()),
        ("ISSUER", origin),
        ("CLIENT_SECRET", secret(&main)),
        ("CLIENT_ID", main.id),
        ("CLIENT_AUTH", "basic".into()),
        ("REDIRECT_URI", CALLBACK.into()),
        ("PUBLIC_CLIENT_ID", native.id),
        ("PUBLIC_REDIRECT_URI", LOOPBACK.into()),
        ("OTHER_CLIENT_SECRET", secret(&other)),
        ("OTHER_CLIENT_ID", other.id),
        ("RS_CLIENT_SECRET", secret(&server)),
        ("RS_CLIENT_ID", server.id),
        ("SCOPE", SCOPE.into()),
        ("SCOPE_NARROW", "smarthome:read".into()),
        ("CC_SCOPE", "smarthome:read".into()),
        ("LOGIN_USER", email),
        ("LOGIN_PASSWORD", password),
        ("STRICT", "1".into()),
        ("RACE_ROUNDS", RACES.into()),
        ("REUSE_GRACE_S", (LOST_ANSWERS.as_secs() + 1).to_string()),
        ("DEVICE_BRUTE", "20".into()),
    ]
}
