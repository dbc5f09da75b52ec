//! The life of families against a model of it: the same moves, drawn at random, on both (F-24).
//!
//! The model keeps each pair of tokens as a line of a list and answers from first principles; it shares no code
//! with the rules it checks. What fails is shrunk to the shortest sequence that still does.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;
use crate::clock::Timestamp;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Those of the provider under test.
const AGAIN: Duration = Duration::from_secs(20 * 24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A move. The number says which pair: mostly the newest, as a client would; sometimes any, as a thief would.
#[derive(Debug, Clone, Copy)]
enum Move {
    Issue,
    Refresh(u8),
    /// The answer never arrives: nobody will ever show what was in it.
    LoseAnswer(u8),
    Use(u8),
    Revoke(u8),
    Wait(Duration),
    SwitchClient,
    SwitchAccount,
    SwitchRole,
    TakeAllBack,
    Forget,
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let waits = prop_oneof![Just(HOUR / 2), Just(HOUR * 2), Just(DAY * 9), Just(DAY * 15)];
    let one = prop_oneof![
        2 => Just(Move::Issue),
        20 => any::<u8>().prop_map(Move::Refresh),
        6 => any::<u8>().prop_map(Move::LoseAnswer),
        18 => any::<u8>().prop_map(Move::Use),
        1 => any::<u8>().prop_map(Move::Revoke),
        4 => waits.prop_map(Move::Wait),
        2 => Just(Move::SwitchClient),
        2 => Just(Move::SwitchAccount),
        2 => Just(Move::SwitchRole),
        1 => Just(Move::TakeAllBack),
        2 => Just(Move::Forget),
        1 => Just(Move::Restart),
    ];
    prop::collection::vec(one, 1..=30)
}

/// One exchange's two tokens.
struct Pair {
    family: usize,
    access: String,
    refresh: String,
    born: Timestamp,
    /// The pair whose refresh token bought this one.
    parent: Option<usize>,
    access_used: bool,
    refresh_used: Option<Timestamp>,
    superseded: bool,
    /// Its client never got it.
    lost: bool,
}

struct Family {
    began: Timestamp,
    epoch: u32,
    is_over: bool,
}

#[derive(Default)]
struct Model {
    pairs: Vec<Pair>,
    families: Vec<Family>,
    epoch: u32,
    client_is_off: bool,
    account_is_off: bool,
    manages_not: bool,
}

/// What the token endpoint says.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Pair,
    InvalidGrant,
    InvalidClient,
}

impl Model {
    fn lives(&self, family: usize, now: Timestamp) -> bool {
        let f = &self.families[family];
        let is_on = !self.client_is_off && !self.account_is_off && !self.manages_not;
        is_on && !f.is_over && f.epoch == self.epoch && now < f.began.after(YEAR)
    }

    fn access_lives(&self, n: usize, now: Timestamp) -> bool {
        let pair = &self.pairs[n];
        self.lives(pair.family, now) && !pair.superseded && now < pair.born.after(HOUR)
    }

    /// Whether a pair that came of `parent` was ever used.
    fn moved_on(&self, parent: usize) -> bool {
        let used = |p: &Pair| p.access_used || p.refresh_used.is_some();
        self.pairs.iter().any(|p| p.parent == Some(parent) && used(p))
    }

    /// Shows a refresh token.
    fn refresh(&mut self, n: usize, now: Timestamp) -> Answer {
        if self.client_is_off {
            return Answer::InvalidClient;
        }
        let (family, pair) = (self.pairs[n].family, &self.pairs[n]);
        if !self.lives(family, now) || now >= pair.born.after(MONTH) {
            return Answer::InvalidGrant;
        }
        let line = if pair.superseded { pair.parent } else { Some(n) };
        let is_late = !pair.superseded && pair.refresh_used.is_some_and(|first| now.since(first) > AGAIN);
        if line.is_some_and(|line| self.moved_on(line)) || is_late {
            self.families[family].is_over = true;
            return Answer::InvalidGrant;
        }
        if pair.superseded {
            return Answer::InvalidGrant;
        }
        self.pairs[n].refresh_used.get_or_insert(now);
        self.pairs.iter_mut().filter(|p| p.parent == Some(n)).for_each(|p| p.superseded = true);
        Answer::Pair
    }

    /// The pair a number means, among those somebody holds.
    fn held(&self, number: u8) -> Option<usize> {
        let held: Vec<usize> = (0..self.pairs.len()).filter(|n| !self.pairs[*n].lost).collect();
        if number < 160 {
            held.last().copied()
        } else {
            held.get(usize::from(number) % held.len().max(1)).copied()
        }
    }

    fn add(&mut self, said: &Said, family: usize, parent: Option<usize>, lost: bool, now: Timestamp) {
        let (access, refresh) = (said.field("access_token"), said.field("refresh_token"));
        let (access_used, refresh_used, superseded) = (false, None, false);
        self.pairs.push(Pair {
            family,
            access,
            refresh,
            born: now,
            parent,
            access_used,
            refresh_used,
            superseded,
            lost,
        });
    }
}

/// Provider and model side by side.
struct Play {
    provider: Option<Provider>,
    person: Person,
    model: Model,
}

fn check(holds: bool, said: impl FnOnce() -> String) -> Result<(), TestCaseError> {
    if holds { Ok(()) } else { Err(TestCaseError::fail(said())) }
}

impl Play {
    fn provider(&self) -> &Provider {
        self.provider.as_ref().unwrap()
    }

    /// Each request from a place of its own: limits are not what is modelled.
    async fn post(&self, to: &str, form: &[(&str, &str)]) -> Said {
        static NEXT: AtomicU32 = AtomicU32::new(0x0b00_0000);
        let mut asked = self.provider().asked(Method::POST, to, encoded(form));
        asked.peer.ip = Ipv4Addr::from(NEXT.fetch_add(1, Ordering::Relaxed)).into();
        self.provider().send(asked).await
    }

    async fn issue(&mut self) -> Result<(), TestCaseError> {
        let model = &self.model;
        if model.client_is_off || model.account_is_off || model.manages_not || model.families.len() > 3 {
            return Ok(());
        }
        let provider = self.provider().clone();
        self.person = provider.sign_in(self.person.account, self.person.workspace).await;
        let tokens = provider.paired(&self.person).await;
        let now = provider.clock.now();
        self.model.families.push(Family { began: now, epoch: self.model.epoch, is_over: false });
        self.model.add(&tokens, self.model.families.len() - 1, None, false, now);
        Ok(())
    }

    async fn refresh(&mut self, n: usize, lost: bool) -> Result<(), TestCaseError> {
        let token = self.model.pairs[n].refresh.clone();
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", &*token), ("client_id", AGENT_CLIENT_ID)];
        let now = self.provider().clock.now();
        let expected = self.model.refresh(n, now);
        let said = self.post(path::TOKEN, &form).await;
        let answer = match said.status.as_u16() {
            200 => Answer::Pair,
            400 if said.field("error") == "invalid_grant" => Answer::InvalidGrant,
            401 if said.field("error") == "invalid_client" => Answer::InvalidClient,
            _ => return Err(TestCaseError::fail(format!("refresh {n}: {said:?}"))),
        };
        check(answer == expected, || format!("refresh {n}: {expected:?} expected: {said:?}"))?;
        if answer == Answer::Pair {
            self.model.add(&said, self.model.pairs[n].family, Some(n), lost, now);
        }
        Ok(())
    }

    async fn use_access(&mut self, n: usize) -> Result<(), TestCaseError> {
        let expected = self.model.access_lives(n, self.provider().clock.now());
        let is_alive = self.provider().is_alive(&self.model.pairs[n].access).await;
        check(is_alive == expected, || format!("use {n}: {expected} expected"))?;
        self.model.pairs[n].access_used |= expected;
        Ok(())
    }

    async fn revoke(&mut self, n: usize) -> Result<(), TestCaseError> {
        // A token that lapsed long ago may be forgotten, and then says nothing about its grant.
        let now = self.provider().clock.now();
        if self.model.client_is_off || now >= self.model.pairs[n].born.after(HOUR) {
            return Ok(());
        }
        let said = self
            .post(path::REVOKE, &[("client_id", AGENT_CLIENT_ID), ("token", &*self.model.pairs[n].access)])
            .await;
        let family = self.model.pairs[n].family;
        self.model.families[family].is_over = true;
        check(said.status == StatusCode::OK, || format!("revoke {n}: {said:?}"))
    }

    async fn switch(&mut self, which: Move) {
        let (account, now) = (self.person.account, self.provider().clock.now().millis());
        let off = |is_off: bool| if is_off { now.to_string() } else { "NULL".to_owned() };
        let model = &mut self.model;
        let sql = match which {
            Move::SwitchClient => {
                model.client_is_off = !model.client_is_off;
                let off = off(model.client_is_off);
                format!("UPDATE client SET disabled_at = {off} WHERE client_id = '{AGENT_CLIENT_ID}'")
            }
            Move::SwitchAccount => {
                model.account_is_off = !model.account_is_off;
                format!("UPDATE account SET disabled_at = {} WHERE id = {account}", off(model.account_is_off))
            }
            Move::SwitchRole => {
                model.manages_not = !model.manages_not;
                let role = if model.manages_not { "member" } else { "owner" };
                format!("UPDATE member SET role = '{role}' WHERE account_id = {account}")
            }
            _ => {
                model.epoch += 1;
                format!("UPDATE account SET epoch = epoch + 1 WHERE id = {account}")
            }
        };
        self.provider().tell(sql).await;
    }

    async fn make(&mut self, step: Move) -> Result<(), TestCaseError> {
        match step {
            Move::Issue => self.issue().await,
            Move::Wait(span) => {
                self.provider().clock.turn(span);
                Ok(())
            }
            Move::SwitchClient | Move::SwitchAccount | Move::SwitchRole | Move::TakeAllBack => {
                self.switch(step).await;
                Ok(())
            }
            Move::Forget => self
                .provider()
                .oauth
                .forget_lapsed()
                .await
                .map(drop)
                .map_err(|err| TestCaseError::fail(err.to_string())),
            Move::Restart => {
                self.provider = Some(self.provider.take().unwrap().restarted().await);
                Ok(())
            }
            Move::Refresh(which) | Move::LoseAnswer(which) | Move::Use(which) | Move::Revoke(which) => {
                let Some(n) = self.model.held(which) else { return Ok(()) };
                match step {
                    Move::Refresh(_) => self.refresh(n, false).await,
                    Move::LoseAnswer(_) => self.refresh(n, true).await,
                    Move::Use(_) => self.use_access(n).await,
                    _ => self.revoke(n).await,
                }
            }
        }
    }
}

/// Plays one sequence, then looks at every token once more.
async fn play(provider: Provider, sequence: &[Move]) -> (Provider, Result<(), TestCaseError>) {
    provider
        .tell(format!("UPDATE client SET disabled_at = NULL WHERE client_id = '{AGENT_CLIENT_ID}'"))
        .await;
    let person = provider.person("owner").await;
    let mut play = Play { provider: Some(provider), person, model: Model::default() };
    let mut played = play.issue().await;
    for step in sequence {
        if played.is_ok() {
            played = play.make(*step).await;
        }
    }
    for n in 0..play.model.pairs.len() {
        if played.is_ok() {
            played = play.use_access(n).await;
        }
    }
    (play.provider.unwrap(), played)
}

#[test]
fn families_live_and_end_as_the_model_says() {
    let settings: HashMap<String, String> = std::env::vars().collect();
    let usual = if settings.contains_key("LATCHKEY_TEST_POSTGRES") { 60 } else { 300 };
    // More of them: LATCHKEY_MODEL_SEQUENCES=100000.
    let cases = settings.get("LATCHKEY_MODEL_SEQUENCES").map_or(usual, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let provider = std::cell::RefCell::new(Some(runtime.block_on(Provider::new())));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let done = TestRunner::new(config).run(&moves(), |sequence| {
        let taken = provider.borrow_mut().take().unwrap();
        let (kept, played) = runtime.block_on(play(taken, &sequence));
        *provider.borrow_mut() = Some(kept);
        played
    });
    done.unwrap_or_else(|failure| panic!("RT-03, RT-04, RT-05, RT-12, RT-13, RT-16, TK-33: {failure}"));
}
