//! Fifty at once: one line lives, and nobody is told that we broke.

use super::*;

const AT_ONCE: usize = 50;

/// Runs the same request fifty times at once; the answers, none of them a fault of ours.
async fn at_once<F>(ask: impl Fn() -> F) -> Vec<Said>
where
    F: Future<Output = Said> + Send + 'static,
{
    let tasks: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(ask())).collect();
    let mut answers = vec![];
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert!(answers.iter().all(|said| !said.status.is_server_error()), "F-09: {answers:?}");
    answers
}

fn good(answers: &[Said]) -> Vec<&Said> {
    answers.iter().filter(|said| said.status == StatusCode::OK).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_code_shown_fifty_times_buys_once() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    for _ in 0..5 {
        let code = provider.code(&ada).await;
        let answers = at_once(|| {
            let (provider, code) = (provider.clone(), code.clone());
            async move { provider.redeem(&code, VERIFIER).await }
        })
        .await;
        assert_eq!(good(&answers).len(), 1, "TK-24");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_device_code_polled_fifty_times_buys_once_and_lives() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    for _ in 0..5 {
        let device = provider.device().await;
        provider.let_in(&ada, &device.field("user_code")).await;
        let answers = at_once(|| {
            let (provider, code) = (provider.clone(), device.field("device_code"));
            async move { provider.poll(&code).await }
        })
        .await;
        let [tokens] = good(&answers)[..] else { panic!("F-09: {answers:?}") };
        assert!(provider.is_alive(&tokens.field("access_token")).await);
        assert_eq!(provider.refresh(&tokens.field("refresh_token")).await.status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_refresh_token_shown_fifty_times_leaves_one_line() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    for _ in 0..5 {
        let refresh = provider.paired(&ada).await.field("refresh_token");
        let answers = at_once(|| {
            let (provider, refresh) = (provider.clone(), refresh.clone());
            async move { provider.refresh(&refresh).await }
        })
        .await;
        let good = good(&answers);
        assert_eq!(good.len(), AT_ONCE, "nobody has used a successor: each is a lost answer (RT-05)");
        let mut alive = vec![];
        for said in &good {
            if provider.is_alive(&said.field("access_token")).await {
                alive.push(said.field("refresh_token"));
            }
        }
        assert_eq!(alive.len(), 1, "RT-06");
        assert_eq!(provider.refresh(&alive[0]).await.status, StatusCode::OK, "RT-06");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_revocation_nothing_of_the_family_lives() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    for _ in 0..10 {
        let refresh = provider.paired(&ada).await.field("refresh_token");
        let revoking = {
            let (provider, refresh) = (provider.clone(), refresh.clone());
            tokio::spawn(async move {
                provider.post(path::REVOKE, &[("client_id", AGENT_CLIENT_ID), ("token", &refresh)]).await
            })
        };
        let answers = at_once(|| {
            let (provider, refresh) = (provider.clone(), refresh.clone());
            async move { provider.refresh(&refresh).await }
        })
        .await;
        assert_eq!(revoking.await.unwrap().status, StatusCode::OK);
        for said in good(&answers) {
            assert!(!provider.is_alive(&said.field("access_token")).await, "RT-16");
            let refused = provider.refresh(&said.field("refresh_token")).await;
            assert_eq!(refused.error(), (400, "invalid_grant".into()), "RT-16");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_decide_one_does() {
    let provider = Provider::new().await;
    for _ in 0..5 {
        let (ada, bob) = (provider.person("owner").await, provider.person("owner").await);
        let device = provider.device().await;
        let code = device.field("user_code");
        let deciding = [&ada, &bob, &ada].map(|person| {
            let (provider, person, code) = (provider.clone(), person.clone(), code.clone());
            tokio::spawn(async move { provider.let_in(&person, &code).await.status })
        });
        for decided in deciding {
            let status = decided.await.unwrap();
            assert!(matches!(status.as_u16(), 200 | 400), "{status}");
        }
        let tokens = provider.poll(&device.field("device_code")).await;
        let caller = provider.bearer(&tokens.field("access_token"), Scope::Relay).await.unwrap().caller;
        let mut homes = 0;
        for person in [&ada, &bob] {
            let memberships = provider.oauth.0.accounts.memberships(person.account).await.unwrap();
            let caller = crate::accounts::Caller { memberships, home: None, ..caller.clone() };
            homes += provider.oauth.0.homes.list(&caller, person.workspace).await.unwrap().len();
        }
        assert_eq!(homes, 1, "DG-16");
    }
}
