//! Neighbours: a home of another account looks like one that was never there, on every route an owner has.

use agent::config::Keeping;
use agent::memory::Memory;
use kit::visitor::Page;
use kit::world::World;
use reqwest::StatusCode;
use serde_json::Value;
use shared::oauth::{AGENT_CLIENT_ID, DEVICE_GRANT, path};

use super::Street;

/// A number that no home has.
const NOBODYS: i64 = 4_242;

kit::stories! {
    async fn a_neighbours_home_is_not_there(mut world: World) {
        let street = Street::build(&mut world).await;
        let (theirs, mine, visitor) = (world.home_id(), street.neighbours_home, &street.neighbour.visitor);
        let page = world.owner().visitor.get(&format!("/homes/{theirs}")).await.unwrap().well().unwrap();
        let revoke = page.form(&format!("/homes/{theirs}/links/")).unwrap().action;
        let link = revoke.split('/').nth(4).unwrap();

        for page in ["", "/status", "/history", "/share?entity={porch}"] {
            let page = page.replace("{porch}", &street.entities["porch"]);
            let got = async |id: i64| visitor.get_once(&format!("/homes/{id}{page}")).await.unwrap();
            assert_not_there(&got(theirs.number()).await, &got(NOBODYS).await);
        }
        let csrf = visitor.get("/").await.unwrap().form("/sign-out").unwrap();
        let csrf = csrf.fields.into_iter().find(|(name, _)| name == "csrf").unwrap().1;
        let share = [("csrf", csrf.as_str()), ("entity", &street.entities["porch"]), ("label", "Mine"), ("permission", "control"), ("expires", "never")];
        for (below, fields) in [("share", &share[..]), (&format!("links/{link}/revoke"), &share[..1])] {
            let posted = async |id: i64| visitor.post(&format!("/homes/{id}/{below}"), fields).await.unwrap();
            assert_not_there(&posted(theirs.number()).await, &posted(NOBODYS).await);
        }
        let crossed = visitor.post(&format!("/homes/{mine}/links/{link}/revoke"), &share[..1]).await.unwrap();
        assert_eq!(crossed.status, StatusCode::NOT_FOUND, "their link under my home");
        for page in ["/", "/homes/status"] {
            let seen = visitor.get(page).await.unwrap().well().unwrap().text;
            assert!(!seen.contains("Canal House") && !seen.contains(&theirs.to_string()), "{page}: {seen}");
        }

        street.porch.state().await.map(|(status, _)| assert_eq!(status, StatusCode::OK, "nothing was revoked")).unwrap();
        street.end().await;
        world.end().await;
    }

    async fn a_neighbours_agent_sees_its_own_home_alone(mut world: World) {
        let street = Street::build(&mut world).await;
        let (theirs, mine) = (world.home_id(), street.neighbours_home);
        let token = async |folder: &str| {
            let memory = Memory::open(&world.folder().join(folder), Keeping::File).await.unwrap();
            memory.recall().pairing.unwrap().access.unwrap().token.expose().to_owned()
        };
        let (my_token, their_token) = (token("agent-next-door").await, token("agent").await);
        let ask = async |token: &str, path: &str| {
            let url = format!("{}/api/smarthome/{path}", world.origin());
            let answer = kit::http_client().get(url).bearer_auth(token).send().await.unwrap();
            (answer.status(), answer.text().await.unwrap())
        };
        for below in ["", "/status", "/history", "/tunnel-token"] {
            assert_eq!(ask(&my_token, &format!("homes/{mine}{below}")).await.0, StatusCode::OK, "{below}");
            let (status, body) = ask(&my_token, &format!("homes/{theirs}{below}")).await;
            let nobodys = ask(&my_token, &format!("homes/{NOBODYS}{below}")).await;
            assert_eq!((status, &body), (StatusCode::NOT_FOUND, &nobodys.1), "{below}");
        }
        let (status, body) = ask(&their_token, "workspaces").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let workspace = &serde_json::from_str::<Value>(&body).unwrap()["workspaces"][0]["id"];
        assert_eq!(ask(&their_token, &format!("workspaces/{workspace}/homes")).await.0, StatusCode::OK);
        assert_eq!(ask(&my_token, &format!("workspaces/{workspace}/homes")).await.0, StatusCode::NOT_FOUND);
        street.end().await;
        world.end().await;
    }

    async fn nobody_lets_an_agent_into_a_neighbours_home(mut world: World) {
        let street = Street::build(&mut world).await;
        let http = kit::http_client();
        let ask = async |path: &str, form: &[(&str, &str)]| {
            let answer = http.post(format!("{}{path}", world.origin())).form(form).send().await.unwrap();
            answer.json::<Value>().await.unwrap()
        };
        let scope = ("scope", "relay");
        let begun = ask(path::DEVICE_AUTHORIZATION, &[("client_id", AGENT_CLIENT_ID), scope]).await;
        let code = begun["user_code"].as_str().unwrap();
        let visitor = &street.neighbour.visitor;
        let page = visitor.get("/device").await.unwrap().well().unwrap();
        let consent = visitor.submit(&page, "/device", &[("user_code", code)]).await.unwrap().well().unwrap();
        let theirs = world.home_id().to_string();
        assert!(!consent.text.contains(&theirs), "their home is not even offered");
        let allowed = visitor.submit(&consent, "/device", &[("home", &theirs), ("decision", "allow")]).await.unwrap();
        assert!(allowed.status.is_client_error(), "{}: {}", allowed.status, allowed.text);
        let device_code = begun["device_code"].as_str().unwrap();
        let poll = [("grant_type", DEVICE_GRANT), ("device_code", device_code), ("client_id", AGENT_CLIENT_ID)];
        assert_eq!(ask(path::TOKEN, &poll).await["error"], "authorization_pending");
        street.end().await;
        world.end().await;
    }
}

/// The answer for their home is 404, and the same as for a number that no home has.
fn assert_not_there(theirs: &Page, nobodys: &Page) {
    assert_eq!((theirs.status, &theirs.text), (StatusCode::NOT_FOUND, &nobodys.text), "{}", theirs.url);
}
