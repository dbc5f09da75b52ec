//! Hooking: where the names are not at Cloudflare, the operator's own program writes the proofs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kit::dns::Zone;
use kit::pebble::Pebble;
use kit::until::within;
use kit::world::{Database, World};

use super::{LATER, SOON, line, shown};

/// Broker and homes under one name: both proofs stand under it at once.
const NAME: &str = "hooked.localhost";

/// Writes and removes a file for each text, and notes what it was called with and what it found around it.
const HOOK: &str = r#"#!/bin/sh
folder=$(dirname "$0")
echo "$@" >> "$folder/calls"
env >> "$folder/environment"
[ -e "$folder/broken" ] && { echo 'out of order' >&2; exit 3; }
case $1 in
    present) mkdir -p "$folder/zone/$2" && : > "$folder/zone/$2/$3" ;;
    cleanup) rm -f "$folder/zone/$2/$3" ;;
esac
"#;

fn hook(folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("hook");
    std::fs::write(&path, HOOK).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn texts(folder: &Path, name: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("zone").join(name)).into_iter().flatten().flatten();
    files.map(|file| file.file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_program_proves_the_names() {
    let mut world = World::new(Database::Sqlite).await;
    let folder = world.folder().join("hook");
    let program = hook(&folder);
    let zone: Zone = Arc::new({
        let folder = folder.clone();
        move |name| texts(&folder, name)
    });
    let pebble = Pebble::start(zone).await;
    // Its first attempt finds the program out of order.
    std::fs::write(folder.join("broken"), "").unwrap();
    world
        .change(|settings| {
            settings.acme = Some(pebble.settings(Vec::new(), &[&program]));
            settings.public_url = format!("https://{NAME}:{}", settings.listen.port()).parse().unwrap();
            settings.home_domain = NAME.to_owned();
        })
        .await;
    let failed = async || {
        let said = world.operator_fails(&["doctor"]);
        let line = line(&said, "renewal");
        if line.contains("exit status: 3: out of order") { Ok(()) } else { Err(said) }
    };
    within(SOON, "the program's words", failed).await.unwrap_or_else(|missing| panic!("{missing}"));
    std::fs::remove_file(folder.join("broken")).unwrap();
    world.clock().turn(LATER);
    let client = kit::http_client_trusting(&pebble.root).unwrap();
    for host in [NAME.to_owned(), format!("any-home.{NAME}")] {
        let address = format!("https://{host}:{}/healthz", world.address().port());
        within(SOON, "a certificate", async || shown(&client, &address).await).await.unwrap();
    }
    let proof = format!("_acme-challenge.{NAME}");
    let tidy = async || texts(&folder, &proof).is_empty();
    within(SOON, "no proof to be left", tidy).await.unwrap();

    // Apex and wildcard: two texts under one name, each written and removed.
    let calls = std::fs::read_to_string(folder.join("calls")).unwrap();
    let last: Vec<&str> = calls.lines().rev().take(4).collect();
    let of = |what: &str| last.iter().filter(|call| call.starts_with(&format!("{what} {proof} "))).count();
    assert_eq!((of("present"), of("cleanup")), (2, 2), "{calls}");
    let environment = std::fs::read_to_string(folder.join("environment")).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains("CARGO"), "{environment}");
    let said = world.operator(&["doctor"]);
    assert!(line(&said, &format!("proof of {NAME}")).contains("hook/hook"), "{said}");

    std::fs::remove_file(&program).unwrap();
    let said = world.operator_fails(&["doctor"]);
    assert!(line(&said, &format!("proof of {NAME}")).contains("no program that can be run"), "{said}");
    world.end().await;
}
