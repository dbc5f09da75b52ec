//! Providing: each home has one tunnel at Cloudflare and one name, made, changed, renewed and deleted there, and
//! mended when somebody else has been at them.

mod asked;
mod asking;
mod crashing;
mod crowding;
mod failing;
mod operating;

use std::time::{Duration, Instant};

use kit::cloudflare::{ACCOUNT, Cloudflare};
use kit::service::Service;
use kit::until::within;
use kit::world::World;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::id::HomeId;

/// A home is made within so long (T2).
const PROMISE: Duration = Duration::from_secs(30);

const READ: &str = "workspace:read smarthome:read";

/// What is at Cloudflare of a home.
#[derive(Debug, PartialEq)]
struct There {
    /// Its tunnels that are not deleted.
    tunnels: Vec<String>,
    /// What its records point at.
    records: Vec<String>,
    /// What its tunnel's configuration says of its hostname.
    service: Option<String>,
}

/// What the simulator has of a home. Homes are told apart by the label of their hostname.
fn there(cloudflare: &Cloudflare, home: HomeId, label: &str) -> There {
    let state = cloudflare.state();
    let ours: Vec<_> = state.alive().filter(|tunnel| tunnel.name.ends_with(&format!("-{home}"))).collect();
    let hostname = format!("{label}.{}", state.domain);
    let service = |config: &Value| {
        let rules = config["ingress"].as_array()?;
        let rule = rules.iter().find(|rule| rule["hostname"] == hostname)?;
        rule["service"].as_str().map(str::to_owned)
    };
    There {
        tunnels: ours.iter().map(|tunnel| tunnel.id.clone()).collect(),
        records: state
            .records
            .iter()
            .filter(|record| record.name == hostname)
            .map(|r| r.content.clone())
            .collect(),
        service: ours.first().and_then(|tunnel| service(&tunnel.config.as_ref()?.1)),
    }
}

/// Whether exactly what a home needs is there.
fn is_whole(there: &There, port: u16) -> Result<(), String> {
    let whole = match &there.tunnels[..] {
        [tunnel] => {
            there.records == [format!("{tunnel}.cfargotunnel.com")]
                && there.service == Some(format!("http://localhost:{port}"))
        }
        _ => false,
    };
    if whole { Ok(()) } else { Err(format!("{there:?}")) }
}

fn is_nothing(there: &There) -> bool {
    there.tunnels.is_empty() && there.records.is_empty()
}

/// Waits until a home's state is this; the whole home.
async fn until_state(service: &Service, home: HomeId, state: &str) -> Value {
    let says = async || {
        let said = service.home(home).await.map_err(|err| format!("{err:#}"))?.ok_or("it is not there")?;
        if said["state"] == state { Ok(said) } else { Err(said.to_string()) }
    };
    within(Duration::from_secs(60), &format!("home {home} to be {state}"), says).await.unwrap()
}

/// Waits until a home is not there any more.
async fn until_gone(service: &Service, home: HomeId) {
    let gone = async || match service.home(home).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    within(Duration::from_secs(60), "the home to be gone", gone).await.unwrap();
}

/// Deletes a home on its page.
async fn delete(world: &World, home: HomeId, name: &str) {
    let path = format!("/homes/{home}");
    let page = world.owner().visitor.get(&path).await.unwrap().well().unwrap();
    let sent =
        world.owner().visitor.submit(&page, &format!("{path}/delete"), &[("typed", name)]).await.unwrap();
    assert_eq!(sent.status, StatusCode::OK, "{sent:?}");
}

/// Renews a home's tunnel on its page.
async fn renew(world: &World, home: HomeId) {
    let path = format!("/homes/{home}");
    let page = world.owner().visitor.get(&path).await.unwrap().well().unwrap();
    let sent = world.owner().visitor.submit(&page, &format!("{path}/renew"), &[]).await.unwrap();
    assert_eq!(sent.status, StatusCode::OK, "{sent:?}");
}

/// The tunnel token a program gets.
async fn token(service: &Service, home: HomeId) -> (StatusCode, Value) {
    service.get(&format!("/api/smarthome/homes/{home}/tunnel-token")).await.unwrap()
}

kit::stories! {
    async fn a_home_is_made_changed_renewed_and_deleted(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service("workspace:read smarthome:read smarthome:tunnel").await;
        let began = Instant::now();
        let home = world.owner().add_home("Lake House").await.unwrap();
        let said = until_state(&service, home, "active").await;
        println!("made in {:.0?} with {} calls", began.elapsed(), cloudflare.asked().len());
        assert!(began.elapsed() < PROMISE);
        assert_eq!(said["subdomain"], "lake-house.homes.example");
        assert_eq!(said["url"], "https://lake-house.homes.example/");
        is_whole(&there(&cloudflare, home, "lake-house"), 8123).unwrap();
        assert!(cloudflare.state().alive().all(|tunnel| tunnel.is_remote), "run by remote configuration");

        let (status, first) = token(&service, home).await;
        assert_eq!(status, StatusCode::OK, "{first}");
        assert_eq!(first["tunnel_id"], json!(there(&cloudflare, home, "lake-house").tunnels[0]));
        assert_eq!(first["subdomain"], "lake-house.homes.example");
        let first = first["tunnel_token"].as_str().unwrap().to_owned();
        let connect = async |token: &str| {
            within(Duration::from_secs(5), "the edge", async || cloudflare.state().connect(token, "192.0.2.7")).await
        };
        connect(&first).await.unwrap();

        // Another port: its configuration follows, its address and token stay (T10).
        let path = format!("/homes/{home}");
        let page = world.owner().visitor.get(&path).await.unwrap();
        let fields = [("name", "Lake House"), ("port", "8124")];
        world.owner().visitor.submit(&page, &format!("{path}/settings"), &fields).await.unwrap().well().unwrap();
        let follows = async || is_whole(&there(&cloudflare, home, "lake-house"), 8124);
        within(PROMISE, "the configuration to follow", follows).await.unwrap();
        until_state(&service, home, "active").await;
        assert_eq!(token(&service, home).await.1["tunnel_token"], first);

        // A new secret: the old token opens nothing, and what it opened is cut (T6).
        renew(&world, home).await;
        let renewed = within(PROMISE, "another token", async || match token(&service, home).await {
            (StatusCode::OK, said) if said["tunnel_token"] != first => Ok(said),
            other => Err(format!("{other:?}")),
        });
        let renewed = renewed.await.unwrap()["tunnel_token"].as_str().unwrap().to_owned();
        assert_eq!(cloudflare.state().connect(&first, "").unwrap_err(), "Unauthorized: Invalid tunnel secret");
        assert!(cloudflare.state().alive().all(|tunnel| tunnel.connectors.is_empty()), "the old ones are cut");
        connect(&renewed).await.unwrap();

        // Deleting with a connector that runs: the name goes first, the home last.
        delete(&world, home, "Lake House").await;
        until_gone(&service, home).await;
        assert!(is_nothing(&there(&cloudflare, home, "lake-house")));
        assert_eq!(cloudflare.state().connect(&renewed, "").unwrap_err(), "Unauthorized: Tunnel not found");
        let asked = cloudflare.asked();
        let position = |method: Method, part: &str| {
            asked.iter().rposition(|asked| asked.method == method && asked.path.contains(part)).unwrap()
        };
        let tunnel = format!("accounts/{ACCOUNT}/cfd_tunnel/");
        assert!(position(Method::DELETE, "dns_records") < position(Method::PATCH, &tunnel));
        assert!(position(Method::PATCH, &tunnel) < position(Method::DELETE, &tunnel));
        assert_eq!(world.number("SELECT COUNT(*) FROM cloudflare_tunnel").await, 0);
        world.end().await;
    }

    async fn what_is_not_ours_is_left_alone_and_named(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service(READ).await;
        let foreign = cloudflare.state().add_record("A", "attic.homes.example", "192.0.2.1", "mine");
        let attic = world.owner().add_home("Attic").await.unwrap();
        let said = until_state(&service, attic, "error").await;
        let why = said["error_message"].as_str().unwrap();
        assert!(why.contains("attic.homes.example") && why.contains("not ours"), "{why}");
        assert!(cloudflare.state().records.contains(&foreign), "a foreign record is not touched");
        let page = world.owner().visitor.get(&format!("/homes/{attic}")).await.unwrap().well().unwrap();
        assert!(page.text.contains("DNS record"), "the page says what is in the way: {}", page.text);
        // Deleted, it takes nothing of others along.
        delete(&world, attic, "Attic").await;
        until_gone(&service, attic).await;
        assert_eq!(cloudflare.state().records, [foreign]);

        // Each refusal has its own words, and what was put right is tried again at once on request.
        for (name, break_it, says) in [
            ("Barn", (|state| state.permissions.retain(|word| *word != "dns")) as fn(&mut kit::cloudflare::State), "refuses the API token"),
            ("Cellar", |state| state.most_tunnels = 1, "limit is reached"),
            ("Den", |state| state.most_records = 2, "limit is reached"),
        ] {
            break_it(&mut cloudflare.state());
            let home = world.owner().add_home(name).await.unwrap();
            let said = until_state(&service, home, "error").await;
            assert!(said["error_message"].as_str().unwrap().contains(says), "{name}: {said}");
            {
                let mut state = cloudflare.state();
                state.permissions = vec!["tunnels", "dns", "settings"];
                (state.most_tunnels, state.most_records) = (1000, 200);
            }
            let path = format!("/homes/{home}");
            let page = world.owner().visitor.get(&path).await.unwrap();
            world.owner().visitor.submit(&page, &format!("{path}/retry"), &[]).await.unwrap().well().unwrap();
            until_state(&service, home, "active").await;
            is_whole(&there(&cloudflare, home, &name.to_lowercase()), 8123).unwrap();
        }
        world.end().await;
    }

    async fn what_somebody_else_took_away_is_made_anew(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service(READ).await;
        let home = world.owner().add_home("Lake House").await.unwrap();
        until_state(&service, home, "active").await;
        let before = there(&cloudflare, home, "lake-house");
        for tunnel in &mut cloudflare.state().tunnels {
            tunnel.is_deleted = true;
        }
        let anew = async || {
            let now = there(&cloudflare, home, "lake-house");
            is_whole(&now, 8123)?;
            if now.tunnels == before.tunnels { Err("still the old one".to_owned()) } else { Ok(()) }
        };
        within(PROMISE, "another tunnel", anew).await.unwrap();
        until_state(&service, home, "active").await;
        // A record is looked at when the broker starts, and every five minutes.
        cloudflare.state().records.clear();
        world.stop_broker().await;
        world.start_broker().await;
        let named = async || is_whole(&there(&cloudflare, home, "lake-house"), 8123);
        within(PROMISE, "another record", named).await.unwrap();
        until_state(&service, home, "active").await;
        // Our mark on it, too: without, it would be taken for lost again and again.
        cloudflare.state().records[0].comment = "mine now".to_owned();
        world.stop_broker().await;
        world.start_broker().await;
        let marked = async || match &*cloudflare.state().records {
            [record] if record.comment.ends_with(&format!(" home {home}")) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        within(PROMISE, "our mark", marked).await.unwrap();
        world.end().await;
    }

    async fn who_may_not_run_the_tunnel_any_more_cannot(mut world: World) {
        let cloudflare = world.move_to_cloudflare().await;
        let program = super::authorizing::program::Program::of(&world);
        let tokens = super::authorizing::paired(&program, world.owner()).await;
        let service = world.service("workspace:read smarthome:read smarthome:tunnel").await;
        let (_, homes) = service.get("/api/smarthome/workspaces").await.unwrap();
        let workspace = homes["workspaces"][0]["id"].as_i64().unwrap();
        let (_, homes) = service.get(&format!("/api/smarthome/workspaces/{workspace}/homes")).await.unwrap();
        let home: HomeId = homes["homes"][0]["id"].as_i64().unwrap().try_into().unwrap();
        until_state(&service, home, "active").await;
        let path = format!("/api/smarthome/homes/{home}/tunnel-token");
        assert_eq!(program.get(&path, &tokens.text("access_token")).await, StatusCode::OK);
        let (_, read) = token(&service, home).await;
        let read = read["tunnel_token"].as_str().unwrap().to_owned();

        program.post("/oauth2/revoke", &[("token", &tokens.text("refresh_token"))]).await;
        let shut = async || match cloudflare.state().connect(&read, "") {
            Err("Unauthorized: Invalid tunnel secret") => Ok(()),
            other => Err(format!("{other:?}")),
        };
        within(PROMISE, "the token to open nothing", shut).await.unwrap();

        // A program of the workspace's own that is switched off keeps nothing, either.
        let fresh = within(PROMISE, "a token that opens", async || {
            let said = token(&service, home).await.1["tunnel_token"].as_str().map(str::to_owned);
            let fresh = said.ok_or("no token")?;
            cloudflare.state().connect(&fresh, "").map(|_| fresh).map_err(str::to_owned)
        });
        let fresh = fresh.await.unwrap();
        world.operator(&["client", "disable", &service.client_id]);
        let shut = async || match cloudflare.state().connect(&fresh, "") {
            Err("Unauthorized: Invalid tunnel secret") => Ok(()),
            other => Err(format!("{other:?}")),
        };
        within(PROMISE, "the switched-off program's token to open nothing", shut).await.unwrap();
        world.end().await;
    }
}
