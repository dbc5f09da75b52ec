//! The rotation of refresh tokens against a model of it: the same moves, drawn at random, on both.
//!
//! The model keeps each token as a line of a list and answers from first principles; it shares no code with
//! the rules it checks (F-24).

use super::*;
use crate::clock::Timestamp;

/// A small generator with a seed, so that a failure can be told again.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// One exchange's two tokens.
struct Pair {
    access: String,
    refresh: String,
    born: Timestamp,
    /// The pair whose refresh token bought this one.
    parent: Option<usize>,
    access_used: bool,
    refresh_used: bool,
    superseded: bool,
}

struct Model {
    pairs: Vec<Pair>,
    is_over: bool,
    began: Timestamp,
}

const HOUR: Duration = Duration::from_secs(3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Model {
    fn is_over(&self, now: Timestamp) -> bool {
        self.is_over || now >= self.began.after(YEAR)
    }

    fn access_is_alive(&self, n: usize, now: Timestamp) -> bool {
        let pair = &self.pairs[n];
        !self.is_over(now) && !pair.superseded && now < pair.born.after(HOUR)
    }

    /// Whether a pair that came of `parent` was ever used.
    fn moved_on(&self, parent: usize) -> bool {
        self.pairs.iter().any(|p| p.parent == Some(parent) && (p.access_used || p.refresh_used))
    }

    /// Whether showing this refresh token brings a pair; ends the family where it must.
    fn refresh(&mut self, n: usize, now: Timestamp) -> bool {
        if self.is_over(now) || now >= self.pairs[n].born.after(MONTH) {
            return false;
        }
        let line = if self.pairs[n].superseded { self.pairs[n].parent } else { Some(n) };
        if line.is_some_and(|line| self.moved_on(line)) {
            self.is_over = true;
            return false;
        }
        if self.pairs[n].superseded {
            return false;
        }
        self.pairs[n].refresh_used = true;
        self.pairs.iter_mut().filter(|p| p.parent == Some(n)).for_each(|p| p.superseded = true);
        true
    }
}

async fn play(provider: &Provider, seed: u64) {
    // A session of before would have lapsed: the clock is turned by months.
    let person = provider.person("owner").await;
    let mut dice = Dice(seed);
    let began = provider.clock.now();
    let add = |model: &mut Model, tokens: &Said, parent, born| {
        let (access, refresh) = (tokens.field("access_token"), tokens.field("refresh_token"));
        let pair = Pair {
            access,
            refresh,
            born,
            parent,
            access_used: false,
            refresh_used: false,
            superseded: false,
        };
        model.pairs.push(pair);
    };
    let mut model = Model { pairs: vec![], is_over: false, began };
    add(&mut model, &provider.paired(&person).await, None, began);
    for step in 0..40 {
        let told = || format!("seed {seed}, step {step}");
        // Mostly the newest tokens, as a client would; sometimes any, as a thief would.
        let newest = model.pairs.len() - 1;
        let n = if dice.throw(3) > 0 { newest } else { dice.throw(model.pairs.len()) };
        let now = provider.clock.now();
        match dice.throw(20) {
            0..=8 => {
                let said = provider.refresh(&model.pairs[n].refresh).await;
                let expected = model.refresh(n, now);
                assert_eq!(said.status == StatusCode::OK, expected, "{}: refresh {n}: {said:?}", told());
                match expected {
                    true => add(&mut model, &said, Some(n), now),
                    false => assert_eq!(said.error(), (400, "invalid_grant".into()), "{}", told()),
                }
            }
            9..=16 => {
                let expected = model.access_is_alive(n, now);
                assert_eq!(provider.is_alive(&model.pairs[n].access).await, expected, "{}: use {n}", told());
                model.pairs[n].access_used |= expected;
            }
            17 => provider.clock.turn([HOUR / 2, HOUR * 2, MONTH / 2][dice.throw(3)]),
            18 => assert_ne!(provider.oauth.forget_lapsed().await.unwrap(), u64::MAX),
            _ if dice.throw(4) == 0 => {
                let form = [("client_id", AGENT_CLIENT_ID), ("token", &*model.pairs[n].access)];
                assert_eq!(provider.post(path::REVOKE, &form).await.status, StatusCode::OK);
                // A token that lapsed long ago may be forgotten, and then says nothing about its grant.
                model.is_over |= now < model.pairs[n].born.after(HOUR);
                if now >= model.pairs[n].born.after(HOUR) {
                    let grant = provider.refresh(&model.pairs[n].refresh).await;
                    assert!(!grant.status.is_server_error());
                    return;
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_does_what_the_model_does() {
    let provider = Provider::new().await;
    for seed in 1..=60 {
        play(&provider, u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15)).await;
    }
}
