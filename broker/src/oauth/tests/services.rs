//! Programs in their own name, and those that ask whether a token is good.

use super::*;
use crate::accounts::{Caller, Membership, Role};
use crate::audit::Doer;
use crate::oauth::client::ClientKind;
use crate::oauth::client::registration::Registration;
use crate::oauth::clients::{Clients, Registered};

/// A client with its secret.
struct Service {
    id: String,
    secret: String,
}

impl Provider {
    fn clients(&self) -> Clients {
        Clients::new(self.store.clone(), self.clock.clone())
    }

    /// A client the operator registers.
    async fn service(&self, kind: ClientKind, workspace: Option<WorkspaceId>, scopes: &str) -> Service {
        let wanted = Registration {
            name: "Cellar".to_owned(),
            kind,
            workspace,
            redirect_uris: vec!["https://cellar.example/cb".to_owned()],
            grants: None,
            scopes: Some(Scopes::parse(scopes).unwrap()),
            is_confidential: None,
            id: None,
            by_operator: true,
        };
        let Registered { client, secret } = self.clients().add(wanted, &Doer::default()).await.unwrap();
        Service { id: client.id, secret: secret.unwrap().expose().to_owned() }
    }

    async fn ask_as(&self, service: &Service, to: &str, form: &[(&str, &str)]) -> Said {
        let proof = [("client_id", service.id.as_str()), ("client_secret", service.secret.as_str())];
        self.post(to, &[&proof, form].concat()).await
    }

    async fn own_token(&self, service: &Service) -> Said {
        self.ask_as(service, path::TOKEN, &[("grant_type", "client_credentials")]).await
    }

    async fn introspect(&self, service: &Service, token: &str) -> Said {
        self.ask_as(service, path::INTROSPECT, &[("token", token)]).await
    }
}

const INACTIVE: &str = r#"{"active":false}"#;

#[tokio::test]
async fn a_program_in_its_own_name_sees_its_workspace_and_nothing_of_people() {
    let provider = Provider::new().await;
    let (ada, bob) = (provider.person("owner").await, provider.person("owner").await);
    let service =
        provider.service(ClientKind::Service, Some(ada.workspace), "smarthome:read shares:manage").await;
    let tokens = provider.own_token(&service).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    assert!(tokens.json()["refresh_token"].is_null(), "CC-02");
    assert_eq!(
        (&tokens.json()["expires_in"], tokens.field("scope")),
        (&3600.into(), "smarthome:read shares:manage".into()),
        "TK-04, TK-05"
    );
    let access = tokens.field("access_token");
    let bearer = provider.bearer(&access, Scope::SmarthomeRead).await.unwrap();
    let only = Membership { workspace: ada.workspace, role: Role::Admin };
    assert_eq!(bearer.caller, Caller { account: None, memberships: vec![only], home: None }, "O8, BR-08");
    assert_eq!(bearer.caller.role_in(bob.workspace), None, "BR-08");
    for needs in [Scope::WorkspaceRead, Scope::Relay, Scope::TunnelsManage] {
        let refused = provider.bearer(&access, needs).await;
        assert!(
            matches!(refused, Err(Fault::Forbidden("insufficient_scope", _))),
            "{needs:?} (CC-05, BR-03)"
        );
    }
    // A bearer token is no session: pages for people send it away.
    for page in ["/oauth2/authorize", "/device"] {
        let query = format!("{page}?{}", provider.request(&[]));
        let mut asked = provider.asked(Method::GET, &query, String::new());
        asked.headers.insert(header::AUTHORIZATION, format!("Bearer {access}").parse().unwrap());
        let said = provider.send(asked).await;
        assert!(said.header("location").starts_with("/sign-in"), "{page} (CC-05): {said:?}");
    }
    provider.clock.turn(Duration::from_secs(3600));
    assert!(
        matches!(provider.bearer(&access, Scope::SmarthomeRead).await, Err(Fault::Unauthorized(true))),
        "BR-02"
    );
}

#[tokio::test]
async fn only_a_proved_client_asks_in_its_own_name_and_for_what_is_its() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let service = provider.service(ClientKind::Service, Some(ada.workspace), "smarthome:read").await;
    let ask = |scope: &'static str| {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let service = &service;
        let provider = &provider;
        async move { provider.ask_as(service, path::TOKEN, &form).await }
    };
    assert_eq!(ask("smarthome:read").await.status, StatusCode::OK);
    for scope in ["shares:manage", "tunnels:manage", "smarthome:read relay", "nonsense"] {
        assert_eq!(ask(scope).await.error(), (400, "invalid_scope".into()), "{scope} (CC-03)");
    }
    let agent = provider.token(&[("grant_type", "client_credentials"), ("client_id", AGENT_CLIENT_ID)]).await;
    assert_eq!(agent.error(), (400, "unauthorized_client".into()), "CC-01");
    // One that proves who it is, and was registered for other grants.
    provider.client("other", Some("s3cret")).await;
    let other = [("grant_type", "client_credentials"), ("client_id", "other"), ("client_secret", "s3cret")];
    assert_eq!(provider.token(&other).await.error(), (400, "unauthorized_client".into()), "TK-11");
    let device = provider.ask_as(&service, path::DEVICE_AUTHORIZATION, &[("scope", "smarthome:read")]).await;
    assert_eq!(device.error(), (400, "unauthorized_client".into()), "TK-11");
    let bare = provider.token(&[("grant_type", "client_credentials"), ("client_id", &service.id)]).await;
    assert_eq!(bare.error(), (401, "invalid_client".into()), "CC-01, TK-19");
    // Even if a public client were written down with the grant.
    provider.client("loose", None).await;
    provider.tell("UPDATE client SET grants = 'client_credentials' WHERE client_id = 'loose'".into()).await;
    let loose = provider.token(&[("grant_type", "client_credentials"), ("client_id", "loose")]).await;
    assert_eq!(loose.error(), (400, "unauthorized_client".into()), "CC-01");
    let operators = provider.service(ClientKind::Service, Some(ada.workspace), "tunnels:manage").await;
    assert_eq!(provider.own_token(&operators).await.field("scope"), "tunnels:manage", "O8, T7");
}

#[tokio::test]
async fn a_resource_server_is_told_about_every_token_and_others_about_their_own() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let tokens = provider.paired(&ada).await;
    let (access, refresh) = (tokens.field("access_token"), tokens.field("refresh_token"));
    let judge = provider.service(ClientKind::ResourceServer, None, "").await;
    let said = provider.introspect(&judge, &access).await;
    assert_eq!((said.status, said.header("cache-control")), (StatusCode::OK, "no-store"), "IN-03, IN-07");
    let told = said.json();
    assert_eq!(
        (&told["active"], &told["client_id"], &told["token_type"]),
        (&true.into(), &AGENT_CLIENT_ID.into(), &"Bearer".into()),
        "IN-03"
    );
    assert_eq!(
        (&told["scope"], &told["sub"]),
        (&Scopes::agent().to_string().into(), &ada.account.to_string().into()),
        "IN-03"
    );
    assert_eq!(
        (&told["iss"], &told["aud"]),
        (&"http://localhost:8420".into(), &"http://localhost:8420".into()),
        "BR-07"
    );
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 3600, "IN-03");
    let renewable = provider.introspect(&judge, &refresh).await.json();
    assert_eq!((&renewable["active"], &renewable["token_type"]), (&true.into(), &Value::Null));
    for hint in ["refresh_token", "zzz"] {
        let hinted =
            provider.ask_as(&judge, path::INTROSPECT, &[("token", &access), ("token_type_hint", hint)]).await;
        assert_eq!(hinted.json()["active"], true, "{hint} (IN-05)");
    }
    // A stranger learns nothing, of its own everything.
    let stranger = provider.service(ClientKind::Service, Some(ada.workspace), "smarthome:read").await;
    assert_eq!(provider.introspect(&stranger, &access).await.text, INACTIVE, "IN-06");
    let own = provider.own_token(&stranger).await.field("access_token");
    let told = provider.introspect(&stranger, &own).await.json();
    assert_eq!(
        (&told["active"], &told["sub"]),
        (&true.into(), &format!("client:{}", stranger.id).into()),
        "CC-04"
    );
    assert_eq!(provider.introspect(&judge, &own).await.json()["active"], true, "IN-06");
    // What is not good is not told apart.
    let form = [("client_id", AGENT_CLIENT_ID), ("token", &*refresh)];
    assert_eq!(provider.post(path::REVOKE, &form).await.status, StatusCode::OK);
    let lapsed = own.clone();
    provider.clock.turn(Duration::from_secs(3600));
    for dead in [&*access, &*refresh, &*lapsed, "x", &*chance::token(Kind::Access).expose().to_owned()] {
        assert_eq!(provider.introspect(&judge, dead).await.text, INACTIVE, "{dead} (IN-04, RV-02)");
    }
}

#[tokio::test]
async fn a_client_named_like_a_person_is_not_that_person() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let service = provider.service(ClientKind::Service, Some(ada.workspace), "smarthome:read").await;
    let id = ada.account.to_string();
    provider.tell(format!(
        "INSERT INTO client SELECT '{id}', workspace_id, kind, name, is_confidential, pkce_required, redirect_uris,
           grants, scopes, created_at, disabled_at FROM client WHERE client_id = '{0}';
         UPDATE client_secret SET client_id = '{id}' WHERE client_id = '{0}';",
        service.id
    )).await;
    let named = Service { id: id.clone(), secret: service.secret };
    let token = provider.own_token(&named).await.field("access_token");
    assert_eq!(provider.introspect(&named, &token).await.json()["sub"], format!("client:{id}"), "CC-04");
    assert_eq!(provider.bearer(&token, Scope::SmarthomeRead).await.unwrap().caller.account, None, "CC-04");
}

#[tokio::test]
async fn whoever_may_not_ask_is_told_nothing_and_scanning_runs_out() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let access = provider.paired(&ada).await.field("access_token");
    let judge = provider.service(ClientKind::ResourceServer, None, "").await;
    let none = provider.post(path::INTROSPECT, &[("token", &access)]).await;
    assert_eq!(none.error(), (401, "invalid_client".into()), "IN-02");
    let public = provider.post(path::INTROSPECT, &[("token", &access), ("client_id", AGENT_CLIENT_ID)]).await;
    assert_eq!(public.error(), (401, "invalid_client".into()), "IN-02");
    let wrong = Service { id: judge.id.clone(), secret: "x".to_owned() };
    assert_eq!(provider.introspect(&wrong, &access).await.error(), (401, "invalid_client".into()), "IN-02");
    let missing = provider.ask_as(&judge, path::INTROSPECT, &[]).await;
    assert_eq!(missing.error(), (400, "invalid_request".into()), "IN-08");
    let got = provider.get(None, &format!("{}?token={access}", path::INTROSPECT)).await;
    assert_eq!((got.status, got.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"), "IN-01");
    for _ in 0..300 {
        assert_eq!(
            provider.introspect(&judge, &access).await.status,
            StatusCode::OK,
            "good tokens are no guesses"
        );
    }
    let mut guesses = Vec::new();
    for _ in 0..1000 {
        guesses.push(provider.introspect(&judge, "guess").await);
    }
    let refused = guesses.iter().find(|said| said.status == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.map(|said| said.header("retry-after").is_empty()), Some(false), "IN-07");
    assert!(
        guesses.iter().all(|said| said.status == StatusCode::TOO_MANY_REQUESTS || said.text == INACTIVE),
        "IN-04"
    );
}

#[tokio::test]
async fn a_token_a_resource_server_was_shown_was_not_lost() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let judge = provider.service(ClientKind::ResourceServer, None, "").await;
    let old = provider.paired(&ada).await.field("refresh_token");
    let next = provider.refresh(&old).await;
    let used = provider.introspect(&judge, &next.field("access_token")).await;
    assert_eq!(used.json()["active"], true);
    assert_eq!(provider.refresh(&old).await.error(), (400, "invalid_grant".into()), "RT-03");
    assert_eq!(provider.introspect(&judge, &next.field("access_token")).await.text, INACTIVE, "RT-04");
}

#[tokio::test]
async fn what_is_disabled_or_rotated_away_is_dead_at_once() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let service = provider.service(ClientKind::Service, Some(ada.workspace), "smarthome:read").await;
    let judge = provider.service(ClientKind::ResourceServer, None, "").await;
    let token = provider.own_token(&service).await.field("access_token");
    provider.clients().set_disabled(&service.id, true, &Doer::default()).await.unwrap();
    assert_eq!(provider.own_token(&service).await.error(), (401, "invalid_client".into()), "TK-33");
    assert_eq!(provider.introspect(&judge, &token).await.text, INACTIVE, "TK-33");
    assert!(
        matches!(provider.bearer(&token, Scope::SmarthomeRead).await, Err(Fault::Unauthorized(true))),
        "TK-33"
    );
    provider.clients().set_disabled(&service.id, false, &Doer::default()).await.unwrap();
    let hour = Duration::from_secs(3600);
    let secret = provider.clients().rotate(&service.id, hour, &Doer::default()).await.unwrap().unwrap();
    let next = Service { id: service.id.clone(), secret: secret.expose().to_owned() };
    for good in [&service, &next] {
        assert_eq!(provider.own_token(good).await.status, StatusCode::OK, "TK-32");
    }
    provider.clock.turn(hour);
    assert_eq!(provider.own_token(&service).await.error(), (401, "invalid_client".into()), "TK-32");
    assert_eq!(provider.own_token(&next).await.status, StatusCode::OK, "TK-32");
}
