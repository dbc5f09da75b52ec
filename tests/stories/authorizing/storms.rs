//! Storms: many at once, lost answers, a broker that dies, two brokers over one database.

use std::sync::Arc;

use kit::world::{Database, World};
use reqwest::StatusCode;
use shared::oauth::path;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinSet;

use super::paired;
use super::program::{Program, Said};

const AT_ONCE: usize = 50;

/// Asks fifty times at once, of the programs in turn. No answer is a fault of the broker's.
async fn at_once<F>(programs: &[Program], ask: impl Fn(Program) -> F) -> Vec<Said>
where
    F: Future<Output = Said> + Send + 'static,
{
    let mut asking = JoinSet::new();
    for program in programs.iter().cycle().take(AT_ONCE) {
        asking.spawn(ask(program.clone()));
    }
    let answers = asking.join_all().await;
    let faults = answers.iter().filter(|said| said.status.is_server_error());
    assert_eq!(faults.count(), 0, "F-09: {answers:?}");
    answers
}

fn good(answers: &[Said]) -> Vec<&Said> {
    answers.iter().filter(|said| said.status == StatusCode::OK).collect()
}

/// Storms on end.
const ROUNDS: u8 = 20;

/// Twenty times fifty uses at once of a code, of a device code and of a refresh token: one line lives (F-09); and
/// fifty refreshes beside a revocation: none does.
async fn weather(world: &World, brokers: &[Program]) {
    for round in 1..=ROUNDS {
        // Each round from another place: one place may begin ten devices a minute.
        let programs: Vec<Program> = brokers.iter().map(|program| program.elsewhere(round)).collect();
        one_code(world, &programs).await;
        let refresh = one_device_code(world, &programs).await;
        let refresh = one_refresh_token(&programs, &refresh).await;
        revoked_meanwhile(&programs, &refresh, usize::from(round)).await;
    }
}

async fn one_code(world: &World, programs: &[Program]) {
    let visitor = &world.owner().visitor;
    let page = visitor.get(&programs[0].request("s t&a=te")).await.unwrap();
    let code = programs[0].code(visitor, &page).await;
    let answers = at_once(programs, |program| {
        let code = code.clone();
        async move { program.redeem(&code).await }
    })
    .await;
    assert_eq!(good(&answers).len(), 1, "TK-24");
    // The others showed it again, and with that took back what it had bought.
    let bought = good(&answers)[0].text("access_token");
    assert_eq!(programs[0].call(&bought).await, StatusCode::UNAUTHORIZED, "TK-07");
}

/// Gives the refresh token of the one line.
async fn one_device_code(world: &World, programs: &[Program]) -> String {
    let device = programs[0].device().await;
    world.owner().allow_by_code(&device.text("user_code"), "Lake House").await.unwrap();
    let answers = at_once(programs, |program| {
        let code = device.text("device_code");
        async move { program.poll(&code).await }
    })
    .await;
    let [tokens] = good(&answers)[..] else { panic!("F-09: {answers:?}") };
    tokens.text("refresh_token")
}

/// Gives the refresh token of the one line that is left.
async fn one_refresh_token(programs: &[Program], refresh: &str) -> String {
    let answers = at_once(programs, |program| {
        let refresh = refresh.to_owned();
        async move { program.refresh(&refresh).await }
    })
    .await;
    let mut alive = vec![];
    for said in good(&answers) {
        if programs[0].call(&said.text("access_token")).await == StatusCode::OK {
            alive.push(said.text("refresh_token"));
        }
    }
    assert_eq!(alive.len(), 1, "RT-06");
    alive.remove(0)
}

/// A revocation at one of the brokers, while all of them are asked for fresh tokens.
async fn revoked_meanwhile(programs: &[Program], refresh: &str, round: usize) {
    let mut asking = JoinSet::new();
    for program in programs.iter().cycle().take(AT_ONCE) {
        let (program, refresh) = (program.clone(), refresh.to_owned());
        asking.spawn(async move { program.refresh(&refresh).await });
    }
    let revoked = programs[round % programs.len()].post(path::REVOKE, &[("token", refresh)]).await;
    assert_eq!(revoked.status, StatusCode::OK);
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|said| !said.status.is_server_error()), "F-09: {answers:?}");
    for (said, program) in good(&answers).into_iter().zip(programs.iter().cycle()) {
        assert_eq!(program.call(&said.text("access_token")).await, StatusCode::UNAUTHORIZED, "RT-16");
        let refused = program.refresh(&said.text("refresh_token")).await;
        assert_eq!(refused.text("error"), "invalid_grant", "RT-16");
    }
}

kit::stories! {
    async fn of_agents_let_into_one_home_at_once_one_stays(world: World) {
        one_agent_stays(&world, &[Program::of(&world)]).await;
        world.end().await;
    }

    async fn fifty_at_once_leave_one_line(world: World) {
        weather(&world, &[Program::of(&world)]).await;
        world.end().await;
    }

    async fn lost_answers_force_nobody_to_sign_in_and_a_thief_does(world: World) {
        let program = Program::of(&world);
        let mut tokens = paired(&program, world.owner()).await;
        for n in 0..100 {
            let next = program.refresh(&tokens.text("refresh_token")).await;
            assert_eq!(next.status, StatusCode::OK, "F-11: refresh {n}: {next:?}");
            // Every third answer is lost on the way: the program asks again with what it has.
            if n % 3 != 0 {
                tokens = next;
                assert_eq!(program.call(&tokens.text("access_token")).await, StatusCode::OK);
            }
        }
        // The thief comes second, and is noticed; then the thief comes first, and is noticed too (F-12).
        for thief_first in [false, true] {
            let stolen = paired(&program, world.owner()).await.text("refresh_token");
            let first = program.refresh(&stolen).await;
            assert_eq!(program.call(&first.text("access_token")).await, StatusCode::OK, "{thief_first}");
            assert_eq!(program.refresh(&stolen).await.text("error"), "invalid_grant", "RT-03");
            assert_eq!(program.call(&first.text("access_token")).await, StatusCode::UNAUTHORIZED, "RT-04");
            assert_eq!(program.refresh(&first.text("refresh_token")).await.text("error"), "invalid_grant", "RT-04");
        }
        world.end().await;
    }

    async fn what_was_answered_outlives_a_broker_that_is_killed(mut world: World) {
        let program = Program::of(&world);
        let mut refresh = paired(&program, world.owner()).await.text("refresh_token");
        let gone = paired(&program, world.owner()).await;
        let mut broker = world.broker_outside().await;
        assert_eq!(program.post(path::REVOKE, &[("token", &gone.text("refresh_token"))]).await.status, StatusCode::OK);
        for round in 1..=6 {
            let enough = Notify::new();
            let refreshing = async {
                let mut answered = 0;
                while let Ok(said) = program.try_refresh(&refresh).await {
                    assert_eq!(said.status, StatusCode::OK, "F-01: {said:?}");
                    refresh = said.text("refresh_token");
                    answered += 1;
                    if answered == round {
                        enough.notify_one();
                    }
                }
            };
            // The next refresh is on its way by then.
            let killing = async {
                enough.notified().await;
                broker.kill();
            };
            tokio::join!(refreshing, killing);
            broker = world.broker_program().await;
            let said = program.refresh(&refresh).await;
            assert_eq!(said.status, StatusCode::OK, "F-01, F-02: {said:?}");
            refresh = said.text("refresh_token");
            assert_eq!(program.call(&said.text("access_token")).await, StatusCode::OK, "F-01");
            let revoked = program.refresh(&gone.text("refresh_token")).await;
            assert_eq!(revoked.text("error"), "invalid_grant", "F-01: a revocation was undone");
        }
        broker.stop();
    }
}

/// Agents that are let into one home at once.
const AGENTS: usize = 6;

/// Some agents are let into the same home, and all fetch their tokens at once: one stays in it (T8).
async fn one_agent_stays(world: &World, brokers: &[Program]) {
    let home = world.owner().add_home("Barn").await.unwrap().to_string();
    let visitor = &world.owner().visitor;
    for round in 1..=8 {
        let (mut polling, all) = (JoinSet::new(), Arc::new(Barrier::new(AGENTS)));
        let programs = brokers.iter().map(|program| program.elsewhere(100 + round)).cycle();
        for program in programs.take(AGENTS) {
            let device = program.device().await;
            let page = visitor.get("/device").await.unwrap();
            let code = [("user_code", &*device.text("user_code"))];
            let page = visitor.submit(&page, "/device", &code).await.unwrap().well().unwrap();
            let choice = [("home", &*home), ("take_over", &*home), ("decision", "allow")];
            visitor.submit(&page, "/device", &choice).await.unwrap().well().unwrap();
            let all = all.clone();
            polling.spawn(async move {
                all.wait().await;
                program.poll(&device.text("device_code")).await
            });
        }
        let answers = polling.join_all().await;
        assert_eq!(good(&answers).len(), AGENTS, "{answers:?}");
        let living = "SELECT COUNT(*) FROM oauth_grant WHERE home_id IS NOT NULL AND revoked_at IS NULL";
        assert_eq!(world.number(living).await, 1, "T8, round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_agents_let_into_one_home_at_two_brokers_one_stays() {
    let world = World::new(Database::Postgres).await;
    let twin = world.twin().await;
    one_agent_stays(&world, &[Program::of(&world), Program::at(&format!("http://{}", twin.address))]).await;
    twin.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_at_two_brokers_over_one_database_leave_one_line() {
    let world = World::new(Database::Postgres).await;
    let twin = world.twin().await;
    weather(&world, &[Program::of(&world), Program::at(&format!("http://{}", twin.address))]).await;
    twin.stop().await;
    world.end().await;
}
