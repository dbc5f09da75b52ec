//! Keys that seal secrets at rest: changed beside a running broker, by an operator who is killed now and then.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use kit::agents;
use kit::owner::Owner;
use kit::until;
use kit::visitor::Visitor;
use kit::world::{Database, World};
use serde_json::Value;
use shared::secret::Secret;

/// People who are invited while no mail server answers, so that their letters wait, sealed.
const LETTERS: usize = 16;

kit::stories! {
    async fn keys_are_changed_beside_a_running_broker_and_after_kills(mut world: World) {
        world.pair_agent().await;
        let nobody = kit::process::free_port().unwrap();
        world.change(|settings| settings.mail.smtp = Some(Secret::from(format!("smtp://127.0.0.1:{nobody}")))).await;
        agents::until_online(world.agent()).await.unwrap();
        let home = world.home_url();
        let app = app_secret(&world.owner().visitor).await;
        let (mut broker, mut agent) = (world.broker_outside().await, world.agent_outside().await);
        let first = active(&world);
        invite(&world, 0..LETTERS / 2).await;
        assert!(records(&world, &first) >= 2 + LETTERS as i64 / 2, "{}", world.operator(&["keys", "list"]));

        // Killed after nothing, after the new list, after some of the records, perhaps after all.
        for patience in 0..16 {
            let mut rotating = world.operator_program(&["keys", "rotate"]);
            until::blocking(Duration::from_millis(patience * 6), || rotating.has_ended().is_some());
            rotating.kill();
        }
        let said = world.operator(&["keys", "rotate"]);
        let second = active(&world);
        assert!(first != second && said.contains(&second), "{said}");
        for (id, records) in listed(&world) {
            assert_eq!(records > 0, id == second, "{id}: {records}; {said}");
        }

        // The broker has not been told: it opens what was sealed anew, and seals with the new key.
        invite(&world, LETTERS / 2..LETTERS).await;
        assert_eq!(listed(&world).iter().filter(|(id, records)| *id != second && *records > 0).count(), 0);
        assert_eq!(app_secret(&world.owner().visitor).await, app, "the secret that waits for its app");
        agent.kill();
        agent = world.agent_program();
        until::until("the agent to dial again with its token", || async {
            world.stranger().get(&format!("{home}/manifest.json")).await?.well()
        })
        .await;

        let refused = world.try_operator(&["keys", "retire", &second]).unwrap_err().to_string();
        assert!(refused.contains("is the active one"), "{refused}");
        let refused = world.try_operator(&["keys", "retire", &first]).unwrap_err().to_string();
        assert!(refused.contains("try again in"), "{refused}");
        let minutes_ago = SystemTime::now() - Duration::from_secs(120);
        File::open(key_list(&world)).unwrap().set_modified(minutes_ago).unwrap();
        let kept = fs::read_to_string(key_list(&world)).unwrap();
        world.operator(&["keys", "retire", &first]);
        assert!(!world.operator(&["keys", "list"]).contains(&first));
        invite(&world, LETTERS..LETTERS + 1).await;
        let exported = world.operator(&["audit", "export"]);
        assert!(exported.contains("keys.rotated") && exported.contains("keys.retired"), "LG-01: {exported}");
        world.operator(&["audit", "verify"]);

        // A list that lost a key: the broker says which, how many records name it, and what to do.
        broker.stop();
        agent.kill();
        fs::remove_file(key_list(&world)).unwrap();
        let refused = world.try_operator(&["serve"]).unwrap_err().to_string();
        for says in [&*format!("lacks the key {second}"), "letter.sealed", "tunnel_token.token_sealed", "totp.sealed", "back"] {
            assert!(refused.contains(says), "{says} in {refused}");
        }
        fs::write(key_list(&world), &kept).unwrap();

        // Every letter can still be read: with a folder for a mail server all of them go out.
        world.start_broker().await;
        let clock = world.clock().clone();
        world
            .change(|settings| {
                settings.mail.smtp = None;
                clock.turn(Duration::from_secs(3600));
            })
            .await;
        for number in 0..=LETTERS {
            world.link_for(&email(number), "/invitation?").await;
        }
        world.end().await;
    }

    async fn a_key_that_records_name_is_not_retired(mut world: World) {
        world.pair_agent().await;
        let first = active(&world);
        // As somebody would do it by hand: a new key in front, and nothing sealed anew.
        let list = fs::read_to_string(key_list(&world)).unwrap();
        let by_hand = format!("mine/{}\n{list}", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        fs::write(key_list(&world), by_hand).unwrap();
        File::open(key_list(&world)).unwrap().set_modified(SystemTime::now() - Duration::from_secs(120)).unwrap();
        let refused = world.try_operator(&["keys", "retire", &first]).unwrap_err().to_string();
        assert!(refused.contains("1 (1 in tunnel_token.token_sealed)") && refused.contains("keys rotate"), "{refused}");
        let said = world.operator(&["keys", "rotate"]);
        assert!(said.contains("finishing with mine") && said.contains("sealed 1 records"), "{said}");
        world.operator(&["keys", "retire", &first]);
        assert_eq!(listed(&world), [("mine".to_owned(), 1)]);
        world.end().await;
    }

    async fn a_record_that_was_altered_is_named_and_stops_no_start(mut world: World) {
        let home = world.pair_agent().await;
        let token = crate::outliving::ending::pairing(&world).await.access.unwrap().token;
        let row = world.number("UPDATE tunnel_token SET token_sealed = substr(token_sealed, 1, 90) RETURNING id").await;
        let refused = world.operator_fails(&["keys", "rotate"]);
        assert!(refused.contains("1 records could not be opened"), "{refused}");

        // The only record that names the older key is one that does not open.
        world.stop_broker().await;
        let broker = world.broker_program().await;
        let named = format!("tunnel_token.token_sealed of row {row}");
        for (words, says) in [(&["doctor"][..], "WRONG  sealed record"), (&["keys", "list"], "UNREADABLE")] {
            let said = world.try_operator(words).unwrap_or_else(|_| world.operator_fails(words));
            assert!(said.lines().any(|line| line.starts_with(says) && line.contains(&named)), "{said}");
        }
        let logged = fs::read_to_string(world.folder().join("broker.log")).unwrap();
        assert!(logged.contains(&named), "{logged}");

        let url = format!("{}/api/smarthome/homes/{home}/tunnel-token", world.origin());
        let answer = kit::http_client().get(url).bearer_auth(token.expose()).send().await.unwrap();
        assert_eq!(answer.status(), 500);
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["error"] == "unreadable_record" && answer["detail"].as_str().unwrap().contains("doctor"), "{answer}");
        // What the agent has already opens the tunnel still.
        until::until("the home to be there again", || async {
            world.stranger().get(&format!("{}/manifest.json", world.home_url())).await?.well()
        })
        .await;
        let said = world.operator_fails(&["keys", "rotate"]);
        assert!(said.contains("made the key"), "the altered one is nothing to be finished: {said}");
        drop(broker);
        world.end().await;
    }
}

/// Two brokers on one database, each with its own copy of the key list, as on two machines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_on_two_machines_change_keys_one_after_the_other() {
    let mut world = World::new(Database::Postgres).await;
    let nobody = kit::process::free_port().unwrap();
    let smtp = Some(Secret::from(format!("smtp://127.0.0.1:{nobody}")));
    world.change(|settings| settings.mail.smtp = smtp).await;
    let (here, there) = (key_list(&world), world.folder().join("their-keys"));
    let copy = || fs::copy(&here, &there).unwrap();
    copy();
    let twin = world
        .twin_with(|settings| {
            settings.keys_file = there.clone();
            settings.public_url = "http://localhost:0".parse().unwrap();
        })
        .await;
    let owner = Owner::sign_in(&twin.site.origin(), world.owner().identity.clone()).await.unwrap();
    let first = active(&world);
    let app = app_secret(&world.owner().visitor).await;
    assert_eq!(app_secret(&owner.visitor).await, app);

    // In one step: the other one does not know the key, and nothing is sealed with it.
    let refused = world.operator_fails(&["keys", "rotate"]);
    assert!(refused.contains("1 running brokers do not know the key"), "{refused}");
    let keys = listed(&world);
    let [(sealing, 1), (second, 0)] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!(*sealing, first);
    let refused = world.operator_fails(&["keys", "add"]);
    assert!(refused.contains(&format!("{second} was added before")), "{refused}");

    // It sees the copied list without a restart, opens what is sealed anew, and seals with the old key still.
    copy();
    let said = world.operator(&["keys", "rotate"]);
    assert!(said.contains("sealed 1 records anew") && said.contains("once more"), "{said}");
    assert_eq!((active(&world), records(&world, second)), (second.clone(), 1));
    assert_eq!(app_secret(&owner.visitor).await, app, "the other broker opens it");
    invite_by(&owner.visitor, 0..1).await;
    assert_eq!(records(&world, &first), 1);
    let long_ago = SystemTime::now() - Duration::from_secs(120);
    let age = || File::open(&here).unwrap().set_modified(long_ago).unwrap();
    age();
    let refused = world.operator_fails(&["keys", "retire", &first]);
    assert!(refused.contains("still seal with the key"), "{refused}");

    copy();
    invite_by(&owner.visitor, 1..2).await;
    assert_eq!((records(&world, &first), records(&world, second)), (1, 2), "it seals with the new key now");
    let said = world.operator(&["keys", "rotate"]);
    assert!(said.contains("sealed 1 records anew"), "{said}");
    age();
    world.operator(&["keys", "retire", &first]);
    assert_eq!(app_secret(&owner.visitor).await, app);
    twin.stop().await;
    world.end().await;
}

fn key_list(world: &World) -> PathBuf {
    world.folder().join("broker").join("keys")
}

/// Keys and how many records name them.
fn listed(world: &World) -> Vec<(String, i64)> {
    let said = world.operator(&["keys", "list", "--json"]);
    assert!(!said.contains("AAECAw"), "a key itself: {said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let keys = said["keys"].as_array().unwrap();
    keys.iter().map(|key| (key["id"].as_str().unwrap().into(), key["records"].as_i64().unwrap())).collect()
}

fn active(world: &World) -> String {
    listed(world)[0].0.clone()
}

fn records(world: &World, id: &str) -> i64 {
    listed(world).iter().find(|(known, _)| known == id).map_or(0, |(_, records)| *records)
}

fn email(number: usize) -> String {
    format!("guest-{number}@example.org")
}

async fn invite(world: &World, numbers: std::ops::Range<usize>) {
    invite_by(&world.owner().visitor, numbers).await;
}

async fn invite_by(owner: &Visitor, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let members = owner.get("/members").await.unwrap().well().unwrap();
        let fields = [("email", &*email(number)), ("role", "member")];
        owner.submit(&members, "/members/invitations", &fields).await.unwrap().well().unwrap();
    }
}

/// The secret that waits to be put into an app: the page shows the same one again for a while.
async fn app_secret(owner: &Visitor) -> String {
    let page = owner.get("/account/second-factor").await.unwrap().well().unwrap();
    page.value_of("secret").unwrap()
}
