//! The attempts, made by hand: what somebody with a link, or with none, could send.

use kit::guest::Guest;
use kit::world::World;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use url::Url;

use super::{Attempt, Street, Told};

/// What a guest's page asks for below its own address.
const BELOW: [&str; 3] = ["state", "control", "live"];

impl Street {
    /// All of them. None may reach the home.
    pub(super) fn attempts(&self, world: &World) -> Vec<Attempt> {
        let ended = after_it_ended("revoked", &self.revoked);
        let all = [
            self.at_another_door(),
            self.with_another_key(),
            self.with_no_right_key(world),
            self.with_too_little_right(),
            self.with_another_sites_page(),
            self.with_no_action(),
            ended,
        ];
        all.into_iter().flatten().collect()
    }

    /// The porch's token, shown where the gate is, in every way a token can be shown.
    fn at_another_door(&self) -> Vec<Attempt> {
        let (mine, theirs) = (&self.porch, &self.gate);
        let mut all = Vec::new();
        for what in BELOW {
            let url = theirs.below(what);
            all.push(refused(
                format!("{what} of another entity, by header"),
                ask(what, url.clone()).header("x-portal-token", mine.token()),
            ));
            all.push(refused(
                format!("{what} of another entity, by cookie"),
                ask(what, url.clone()).header("cookie", cookie(mine)),
            ));
            let mut url = url;
            url.query_pairs_mut().append_pair("access_token", mine.token());
            all.push(refused(format!("{what} of another entity, by query"), ask(what, url)));
        }
        let body = json!({"access_token": mine.token(), "action": "toggle"});
        all.push(refused("another entity, by body", post(theirs.below("control")).json(&body)));
        let form = [("access_token", mine.token()), ("action", "toggle")];
        all.push(refused("another entity, by form", post(theirs.below("control")).form(&form)));
        let mut page = theirs.page().clone();
        all.push(refused("another's page, by cookie", get(page.clone()).header("cookie", cookie(mine))));
        page.set_query(Some(&format!("access_token={}", mine.token())));
        all.push(refused("another's page, by query", get(page)));
        for id in [
            "light.porch",
            &self.entities["gate"],
            &self.cellar,
            "0",
            "-1",
            "9007199254740991",
            "*",
            "..%2F..",
            "",
        ] {
            let url = near(theirs, &format!("/portal/entity/{id}/control"));
            all.push(refused(format!("entity {id:?}"), toggle(url, mine.token())));
        }
        let two = format!("{}%2F..%2F{}", number(mine), number(theirs));
        all.push(refused(
            "two entities",
            toggle(near(mine, &format!("/portal/entity/{two}/control")), mine.token()),
        ));
        for path in [
            "group/1",
            "group/1/control",
            "groups",
            "home/control",
            "entity",
            "entity/all",
            "entities/1/control",
        ] {
            let url = near(mine, &format!("/portal/{path}"));
            let told = if path == "entity/all" { Told::NotSo } else { Told::NotThere };
            all.push(Attempt { what: format!("/portal/{path}"), request: toggle(url, mine.token()), told });
        }
        all
    }

    /// Tokens of other doors at the porch's.
    fn with_another_key(&self) -> Vec<Attempt> {
        let keys = [("the gate's", &self.gate), ("the lock's", &self.lock), ("next door's", &self.next_door)];
        let mut all = Vec::new();
        for (whose, key) in keys {
            all.push(refused(
                format!("{whose} key at the porch"),
                toggle(self.porch.below("control"), key.token()),
            ));
        }
        // Of the very same Home Assistant entity, but as another home's.
        all.push(refused(
            "next door's gate key at our gate",
            toggle(self.gate.below("control"), self.next_door.token()),
        ));
        all.push(refused(
            "our gate key at next door's gate",
            toggle(self.next_door.below("control"), self.gate.token()),
        ));
        // The first that is said counts; another that would do does not help it.
        let mut url = self.gate.below("control");
        url.set_query(Some(&format!("access_token={}", self.porch.token())));
        all.push(refused("a wrong key before a right one", toggle(url, self.gate.token())));
        let both = format!("{}; {}", cookie(&self.porch), cookie(&self.gate));
        all.push(refused(
            "a wrong and a right cookie",
            action(post(self.gate.below("control")).header("cookie", both)),
        ));
        all
    }

    /// What is no token of a link, or is one in the wrong place.
    fn with_no_right_key(&self, world: &World) -> Vec<Attempt> {
        let (right, url) = (self.porch.token(), || self.porch.below("control"));
        let last = right.len() - 1;
        let turned = if right.ends_with('A') { 'B' } else { 'A' };
        let session = world.owner().visitor.cookie("/", "session").expect("the owner is signed in");
        let wrong = [
            ("an empty token", String::new()),
            ("a truncated token", right[..last].to_owned()),
            ("half a token", right[..right.len() / 2].to_owned()),
            ("a token with another checksum", format!("{}{turned}", &right[..last])),
            ("a token with more", format!("{right}A")),
            ("a token in capitals", right.to_uppercase()),
            ("a token in quotes", format!("\"{right}\"")),
            ("the owner's session", session.clone()),
            (
                "a made-up token",
                right.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).rev().collect(),
            ),
            ("a guess", "' OR '1'='1".to_owned()),
        ];
        let mut all: Vec<_> =
            wrong.into_iter().map(|(what, token)| refused(what, toggle(url(), &token))).collect();
        let two = action(post(url()).header("x-portal-token", right).header("x-portal-token", right));
        all.push(refused("no token", action(post(url()))));
        all.push(refused("two tokens", two));
        all.push(refused("a token as bearer", action(post(url()).bearer_auth(right))));
        all.push(refused("a token as password", action(post(url()).basic_auth("guest", Some(right)))));
        all.push(refused(
            "a token under another name",
            post(url()).json(&json!({"token": right, "action": "toggle"})),
        ));
        all.push(refused(
            "a token as cookie of another name",
            action(post(url()).header("cookie", format!("session={right}"))),
        ));
        all.push(refused(
            "the owner's cookie",
            action(post(url()).header("cookie", format!("session={session}; guest={session}"))),
        ));
        let kind = post(url())
            .header("content-type", "text/plain")
            .body(json!({"access_token": right, "action": "toggle"}).to_string());
        all.push(refused("a token in plain text", kind));
        let mut live = self.porch.below("live");
        live.set_query(Some(&format!("access_token={right}")));
        all.push(refused("a live socket with the token in its address", ask("live", live)));
        all
    }

    /// Links that may only look.
    fn with_too_little_right(&self) -> Vec<Attempt> {
        let lookers =
            [("a light", &self.porch_to_look_at), ("a lock", &self.lock), ("a sensor", &self.sensor)];
        let mut all = Vec::new();
        for (what, looker) in lookers {
            for word in ["toggle", "turn_on", "unlock", "no action at all"] {
                let request = post(looker.below("control")).header("x-portal-token", looker.token());
                all.push(refused(
                    format!("{word} of {what} to look at"),
                    request.json(&json!({"action": word})),
                ));
            }
            let form = post(looker.below("control"))
                .header("cookie", cookie(looker))
                .header("sec-fetch-site", "same-origin");
            all.push(refused(
                format!("{what} to look at, by form"),
                form.form(&[("action", "toggle"), ("permission", "control")]),
            ));
        }
        all
    }

    /// A good cookie that another site's page makes the browser send.
    fn with_another_sites_page(&self) -> Vec<Attempt> {
        let mut all = Vec::new();
        let evil = || Some("http://evil.example".to_owned());
        let sibling =
            || self.porch.page().origin().ascii_serialization().replace("localhost", "canal-house.localhost");
        for origin in [evil(), Some("null".into()), Some(sibling()), None] {
            let what = format!("a live socket from {origin:?}");
            let live = ask("live", self.porch.below("live")).header("cookie", cookie(&self.porch));
            let live = origin.iter().fold(live, |live, origin| live.header("origin", origin));
            all.push(Attempt { what, request: live, told: Told::Forged });
        }
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "http://evil.example"),
            ("origin", "null"),
        ] {
            let press = action(
                post(self.porch.below("control")).header("cookie", cookie(&self.porch)).header(name, value),
            );
            all.push(Attempt {
                what: format!("a press with {name}: {value}"),
                request: press,
                told: Told::Forged,
            });
        }
        all
    }

    /// A good link with what is no action.
    fn with_no_action(&self) -> Vec<Attempt> {
        let press = || post(self.porch.below("control")).header("x-portal-token", self.porch.token());
        let words = [
            json!("unlock"),
            json!("light.turn_on"),
            json!("TOGGLE"),
            json!("toggle "),
            json!("turn_on,turn_off"),
            json!(""),
            json!("homeassistant.restart"),
            json!(1),
            json!(null),
            json!(["toggle"]),
            json!({"service": "toggle"}),
        ];
        let mut bodies: Vec<_> = words.into_iter().map(|word| json!({"action": word})).collect();
        bodies.push(json!({"service": "toggle", "entity_id": self.cellar}));
        bodies.push(json!({"domain": "light", "service": "turn_on", "target": {"entity_id": "all"}}));
        bodies.push(json!(["toggle"]));
        let bad = |what: String, request| Attempt { what, request, told: Told::Bad };
        let mut all: Vec<_> = bodies.iter().map(|body| bad(body.to_string(), press().json(body))).collect();
        let twice = press()
            .header("content-type", "application/json")
            .body(r#"{"action":"unlock","action":"toggle"}"#);
        all.push(bad("two actions".into(), twice));
        all.push(bad(
            "two actions in a form".into(),
            press().form(&[("action", "toggle"), ("action", "turn_on")]),
        ));
        all.push(bad(
            "half a body".into(),
            press().header("content-type", "application/json").body(r#"{"action":"toggle""#),
        ));
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let mut url = self.porch.below("control");
            url.set_query(Some(&format!("action=toggle&access_token={}", self.porch.token())));
            all.push(Attempt {
                what: format!("{method}"),
                request: kit::http_client().request(method, url),
                told: Told::NotSo,
            });
        }
        all
    }

    /// A good link with a good action, and beside it whatever could name something else.
    pub(super) fn with_more_than_an_action(&self) -> Vec<(String, RequestBuilder)> {
        let press = || post(self.porch.below("control")).header("x-portal-token", self.porch.token());
        let (cellar, gate) = (&self.cellar, &self.entities["gate"]);
        let extras = [
            ("entity_id", json!(cellar)),
            ("entity_id", json!([cellar, gate])),
            ("entity_id", json!("all")),
            ("area_id", json!("kitchen")),
            ("device_id", json!(cellar)),
            ("target", json!({"entity_id": cellar, "area_id": "kitchen", "label_id": "all"})),
            ("service_data", json!({"entity_id": cellar, "brightness": 255})),
            ("data", json!({"entity_id": cellar})),
            ("domain", json!("switch")),
            ("brightness", json!(255)),
        ];
        let mut all = Vec::new();
        for (name, value) in extras {
            let body = json!({"action": "turn_on", name: value});
            all.push((body.to_string(), press().json(&body)));
        }
        for name in ["entity_id", "entity_id[]", "area_id", "device_id", "target", "service_data"] {
            let form = [("action", "turn_on"), (name, cellar)];
            all.push((format!("{name} in a form"), press().form(&form)));
        }
        let mut url = self.porch.below("control");
        url.set_query(Some(&format!("entity_id={cellar}&action=turn_off")));
        let by_query = post(url).header("x-portal-token", self.porch.token());
        all.push(("in the query".into(), by_query.json(&json!({"action": "turn_on"}))));
        all
    }
}

/// A link that was good once, shown in every way.
pub(super) fn after_it_ended(how: &str, guest: &Guest) -> Vec<Attempt> {
    let mut all = Vec::new();
    for what in BELOW {
        let origin = guest.page().origin().ascii_serialization();
        let by_cookie = ask(what, guest.below(what)).header("cookie", cookie(guest)).header("origin", origin);
        all.push(refused(format!("{what} of a {how} link, by cookie"), by_cookie));
        let by_header = ask(what, guest.below(what)).header("x-portal-token", guest.token());
        all.push(refused(format!("{what} of a {how} link, by header"), by_header));
    }
    let mut page = guest.page().clone();
    all.push(refused(format!("the page of a {how} link"), get(page.clone()).header("cookie", cookie(guest))));
    page.set_query(Some(&format!("access_token={}", guest.token())));
    all.push(refused(format!("a {how} link"), get(page)));
    all
}

fn refused(what: impl Into<String>, request: RequestBuilder) -> Attempt {
    Attempt { what: what.into(), request, told: Told::Refused }
}

/// As a program asks, so that every answer comes in the same manner.
fn get(url: Url) -> RequestBuilder {
    kit::http_client().get(url).header("accept", "application/json")
}

fn post(url: Url) -> RequestBuilder {
    kit::http_client().post(url).header("accept", "application/json")
}

fn action(request: RequestBuilder) -> RequestBuilder {
    request.json(&json!({"action": "toggle"}))
}

fn toggle(url: Url, token: &str) -> RequestBuilder {
    action(post(url).header("x-portal-token", token))
}

/// `live` by a WebSocket's handshake, the others by a POST that would do something.
fn ask(what: &str, url: Url) -> RequestBuilder {
    if what != "live" {
        return action(post(url));
    }
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let upgrade = get(url).header("connection", "Upgrade").header("upgrade", "websocket");
    upgrade.header("sec-websocket-version", "13").header("sec-websocket-key", key)
}

fn cookie(guest: &Guest) -> String {
    format!("guest={}", guest.token())
}

fn near(guest: &Guest, path: &str) -> Url {
    guest.page().join(path).expect("a path")
}

fn number(guest: &Guest) -> &str {
    guest.page().path().rsplit('/').next().expect("a path has segments")
}
