//! The token endpoint: a code, a refresh token or a device code becomes a pair of tokens, once; a client's own
//! credentials become an access token.
//!
//! Each exchange is one transaction that begins with the row everybody else would need. What was refused for
//! good (a burnt code, an ended family) is committed too.

use std::net::IpAddr;

use shared::id::{GrantId, HomeId};
use shared::oauth::{Scope, TokenAnswer};
use tracing::{debug, info, warn};

use super::client::claim::Claim;
use super::client::{Client, GrantType};
use super::grant::{Approval, Family, Proof, Turn, narrowed};
use super::refusal::{Refusal, Wrong};
use super::revoke::Why;
use super::token::Pair;
use super::{OAuth, alive, authorize, client, device, rows};
use crate::audit::{self, Act, Entry};
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::http::Asked;
use crate::http::form::Form;
use crate::http::limit::place;
use crate::store::Tx;

/// How often an exchange is told again when PostgreSQL broke it off.
const TRIES: usize = 5;

/// What is exchanged.
#[derive(Debug, Clone, Copy)]
enum Ask<'a> {
    /// RFC 6749 section 4.1.3.
    Code { code: &'a str, proof: Proof<'a> },
    /// RFC 6749 section 6.
    Refresh { token: &'a str, scope: Option<&'a str> },
    /// RFC 6749 section 4.4.2.
    Client { scope: Option<&'a str> },
    /// RFC 8628 section 3.4.
    Device { code: &'a str },
}

/// Who asks, from where, when.
#[derive(Debug, Clone, Copy)]
struct By<'a> {
    client: &'a Client,
    from: &'a str,
    now: Timestamp,
}

impl<'a> Ask<'a> {
    fn read(form: &'a Form) -> Result<(GrantType, Self), Wrong> {
        let missing = |what| Wrong::from(Refusal::Malformed(what));
        let word = form.optional("grant_type")?.ok_or(missing("grant_type is missing"))?;
        let grant = GrantType::parse(word).ok_or(Refusal::UnsupportedGrantType)?;
        let ask = match grant {
            GrantType::Code => Self::Code {
                code: form.optional("code")?.ok_or(missing("code is missing"))?,
                proof: Proof {
                    redirect_uri: form.optional("redirect_uri")?,
                    verifier: form.optional("code_verifier")?,
                },
            },
            GrantType::Refresh => Self::Refresh {
                token: form.optional("refresh_token")?.ok_or(missing("refresh_token is missing"))?,
                scope: form.optional("scope")?,
            },
            GrantType::Client => Self::Client { scope: form.optional("scope")? },
            GrantType::Device => {
                Self::Device { code: form.optional("device_code")?.ok_or(missing("device_code is missing"))? }
            }
        };
        Ok((grant, ask))
    }
}

/// The hash of a presented token, if it can be one of that kind.
fn hash(kind: Kind, presented: &str) -> Result<Vec<u8>, Refusal> {
    if chance::looks_like(kind, presented) { Ok(chance::hash(presented)) } else { Err(Refusal::UnknownGrant) }
}

/// The home whose one agent a family is for.
fn agents_home(family: &Family) -> Option<HomeId> {
    family.approval.home.filter(|_| family.approval.scopes.has(Scope::Relay))
}

impl OAuth {
    /// `POST /oauth2/token`.
    pub(super) async fn exchange(&self, asked: &Asked) -> Result<TokenAnswer, Wrong> {
        self.limited(asked, async |form, claim| {
            let client = self.authenticate(claim).await?;
            let (grant, ask) = Ask::read(form)?;
            client.may(grant)?;
            self.is_for_us(form)?;
            let from = place(asked.peer.ip).to_string();
            for _ in 1..TRIES {
                match self.try_exchange(&client, &from, ask).await {
                    Err(Wrong::Store(failure)) if rows::is_lost_race(&failure) => {}
                    other => return other,
                }
            }
            self.try_exchange(&client, &from, ask).await
        })
        .await
    }

    /// Answers a program, unless its client and place have used up their failures (TK-29).
    pub(super) async fn limited<T>(
        &self,
        asked: &Asked,
        answer: impl AsyncFnOnce(&Form, &Claim) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        let form = asked.form()?;
        let claim = Claim::read(asked, &form)?;
        let key: (String, IpAddr) = (claim.id.clone(), place(asked.peer.ip));
        self.0.failures.check(&key, self.0.clock.now())?;
        let answered = answer(&form, &claim).await;
        if let Err(Wrong::Refused(refusal)) = &answered
            && refusal.is_a_guess()
        {
            self.0.failures.fail(&key, self.0.clock.now());
        }
        answered
    }

    /// The client that asks (RFC 6749 section 2.3).
    pub(super) async fn authenticate(&self, claim: &Claim) -> Result<Client, Wrong> {
        let now = self.0.clock.now();
        let known = client::rows::known(&mut *self.0.store.read().await?, &claim.id, now).await?;
        Ok(claim.prove(known)?)
    }

    async fn try_exchange(&self, client: &Client, from: &str, ask: Ask<'_>) -> Result<TokenAnswer, Wrong> {
        let by = By { client, from, now: self.0.clock.now() };
        let tx = self.0.store.begin().await?;
        match ask {
            Ask::Code { code, proof } => self.redeem_code(tx, by, code, proof).await,
            Ask::Refresh { token, scope } => self.refresh(tx, by, token, scope).await,
            Ask::Client { scope } => self.in_its_own_name(tx, by, scope).await,
            Ask::Device { code } => self.poll(tx, by, code).await,
        }
    }

    /// Flow A, steps 5 to 7.
    async fn redeem_code(
        &self,
        mut tx: Tx,
        by: By<'_>,
        code: &str,
        proof: Proof<'_>,
    ) -> Result<TokenAnswer, Wrong> {
        let hash = hash(Kind::Code, code)?;
        let Some(spent) = authorize::rows::spend(&mut tx, &hash, &by.client.id, by.now).await? else {
            return Err(self.replayed(tx, by, &hash).await?.into());
        };
        match spent.redeem(by.now, proof) {
            Ok(approval) => {
                let (family, pair) = self.begin_family(&mut tx, by, approval).await?;
                authorize::rows::note_bought(&mut tx, &hash, family.id).await?;
                self.commit_and_take_over(tx, by, &family).await?;
                Ok(pair.answer(&family, by.now))
            }
            Err(refusal) => {
                tx.commit().await?;
                Err(refusal.into())
            }
        }
    }

    /// A code that cannot be spent: unknown, or shown again, and then what it bought is taken back (TK-07).
    async fn replayed(&self, mut tx: Tx, by: By<'_>, hash: &[u8]) -> Result<Refusal, Wrong> {
        match authorize::rows::bought(&mut tx, hash, &by.client.id).await? {
            None => Ok(Refusal::UnknownGrant),
            Some(None) => Ok(Refusal::DeadGrant),
            Some(Some(family)) => {
                self.end(tx, family, Why::CodeAgain, Some(by.from)).await?;
                Ok(Refusal::DeadGrant)
            }
        }
    }

    /// Flow C.
    async fn refresh(
        &self,
        mut tx: Tx,
        by: By<'_>,
        token: &str,
        scope: Option<&str>,
    ) -> Result<TokenAnswer, Wrong> {
        let (hash, now) = (hash(Kind::Refresh, token)?, by.now);
        let family = rows::hold_family(&mut tx, &hash, &by.client.id).await?.ok_or(Refusal::UnknownGrant)?;
        if !alive::rows::lives(&mut tx, family.id, now).await? {
            return Err(Refusal::DeadGrant.into());
        }
        let turn = rows::refresh(&mut tx, &hash).await?.turn(now, &family, self.0.lifetimes.again)?;
        let scopes = match turn {
            Turn::Reuse => return Err(self.reused(tx, by, &family).await?.into()),
            Turn::First | Turn::Again => narrowed(scope, &family.approval.scopes)?,
        };
        let is_ours = match turn {
            Turn::First => rows::use_token(&mut tx, &hash, now).await?,
            _ => rows::supersede(&mut tx, &hash, now).await?,
        };
        if !is_ours {
            return Err(self.reused(tx, by, &family).await?.into());
        }
        rows::see_family(&mut tx, family.id, by.from, now).await?;
        let pair = Pair::mint(&family, &scopes, true, now, &self.0.lifetimes);
        for minted in pair.minted() {
            rows::add_token(&mut tx, family.id, minted, Some(&hash), now).await?;
        }
        tx.commit().await?;
        Ok(pair.answer(&family, now))
    }

    /// Two hold one line: nobody can tell which of them is honest, so both lose it (RFC 9700 section 4.14.2).
    async fn reused(&self, tx: Tx, by: By<'_>, family: &Family) -> Result<Refusal, Wrong> {
        warn!(grant.id = %family.id, client = by.client.id, account.id = ?family.approval.account,
            from = by.from, "a refresh token was used twice; its grant ends");
        self.end(tx, family.id, Why::Reuse, Some(by.from)).await?;
        Ok(Refusal::DeadGrant)
    }

    /// Flow B, steps 5 and 6.
    async fn poll(&self, mut tx: Tx, by: By<'_>, code: &str) -> Result<TokenAnswer, Wrong> {
        let hash = hash(Kind::Device, code)?;
        let before = device::rows::hold(&mut tx, &hash, &by.client.id).await?.ok_or(Refusal::UnknownGrant)?;
        let mut device = before.clone();
        let polled = device.poll(by.now);
        if device != before {
            device::rows::save(&mut tx, &hash, &device).await?;
        }
        match polled {
            Ok(approval) => {
                let (family, pair) = self.begin_family(&mut tx, by, approval).await?;
                self.commit_and_take_over(tx, by, &family).await?;
                Ok(pair.answer(&family, by.now))
            }
            Err(refusal) => {
                tx.commit().await?;
                Err(refusal.into())
            }
        }
    }

    /// Commits a new family; one of an agent ends those of every other agent in its home, which hear why (T8).
    async fn commit_and_take_over(&self, mut tx: Tx, by: By<'_>, family: &Family) -> Result<(), Wrong> {
        let approval = &family.approval;
        let mut ended = Vec::new();
        if let Some(home) = agents_home(family) {
            let (word, of) = (Why::TakenOver.word(), (home, &*by.client.id));
            ended = rows::end_other_families(&mut tx, of, family.id, word, by.now).await?;
            for other in &ended {
                let entry = Entry::new(Act::GrantEnded).of(approval.account).with("client", of.1);
                let entry = entry.with("grant", other).with("home", home).with("why", word);
                audit::note(&mut tx, &entry, by.now).await?;
            }
        }
        tx.commit().await?;
        for other in ended {
            info!(grant.id = %other, by = %family.id, "a home's agent was taken over");
            self.tell(other);
        }
        Ok(())
    }

    /// Flow E: a program in its own name. It has its credentials, so it needs no refresh token (CC-02), and what
    /// it gets ends with the access token.
    async fn in_its_own_name(
        &self,
        mut tx: Tx,
        by: By<'_>,
        scope: Option<&str>,
    ) -> Result<TokenAnswer, Wrong> {
        // Whoever cannot prove who it is has no name of its own (CC-01); registration knows that too.
        if !by.client.is_confidential {
            return Err(Refusal::NotForThisClient.into());
        }
        let approval = Approval { account: None, home: None, scopes: by.client.own_scopes(scope)?, epoch: 0 };
        let (family, pair) = self.begin_family(&mut tx, by, approval).await?;
        tx.commit().await?;
        Ok(pair.answer(&family, by.now))
    }

    /// The first tokens of a new family.
    async fn begin_family(
        &self,
        tx: &mut Tx,
        by: By<'_>,
        approval: Approval,
    ) -> Result<(Family, Pair), Wrong> {
        let By { client, from, now } = by;
        let of_a_person = approval.account.is_some();
        let lives = &self.0.lifetimes;
        let family = Family {
            id: GrantId::from_random_bits(chance::bits()),
            approval,
            ends_at: now.after(if of_a_person { lives.grant } else { lives.access }),
            is_revoked: false,
        };
        if let Some(home) = agents_home(&family) {
            rows::hold_home(tx, home).await?;
        }
        rows::add_family(tx, &client.id, &family, from, now).await?;
        // What was approved may have been taken back since: the account switched off or its epoch raised, the home
        // another's. Then nothing is written, and whoever comes again is told the same.
        if of_a_person && !alive::rows::lives(tx, family.id, now).await? {
            return Err(Refusal::DeadGrant.into());
        }
        let refreshes = of_a_person && client.may(GrantType::Refresh).is_ok();
        let pair = Pair::mint(&family, &family.approval.scopes, refreshes, now, lives);
        for minted in pair.minted() {
            rows::add_token(tx, family.id, minted, None, now).await?;
        }
        if of_a_person {
            info!(grant.id = %family.id, client = client.id, account.id = ?family.approval.account,
                scopes = %family.approval.scopes, "a grant begins");
        } else {
            // Nobody was let in: a service fetches one whenever it likes, some of them for every request of theirs.
            debug!(grant.id = %family.id, client = client.id, scopes = %family.approval.scopes, "a grant begins");
        }
        Ok((family, pair))
    }
}
