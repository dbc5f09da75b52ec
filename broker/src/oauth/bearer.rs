//! Bearer tokens at our own APIs (RFC 6750): who a program speaks for, read anew at each request.

use http::header;
use shared::id::GrantId;
use shared::oauth::{Scope, Scopes};

use super::{OAuth, alive, rows};
use crate::accounts::{Caller, Membership, Role};
use crate::chance::{self, Kind};
use crate::http::form::Form;
use crate::http::limit::place;
use crate::http::{Asked, Fault};

/// A program that was let in, and for whom it asks.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// For whom; with the one home the grant is bound to, if it is.
    pub caller: Caller,
    /// The grant; [`OAuth::revoked`] tells when it dies.
    pub grant: GrantId,
    /// The client it was given to.
    pub client: String,
    /// What it may do.
    pub scopes: Scopes,
}

impl OAuth {
    /// The program that asks, if its token is alive and has the scope. Membership and role are the account's
    /// of this moment, not of the consent.
    ///
    /// Whoever keeps a socket open on the strength of this subscribes to [`OAuth::revoked`] *before* the call,
    /// or a revocation may fall between the two.
    ///
    /// # Errors
    /// 401 without a token (no error code) and with a bad one (`invalid_token`); 403 `insufficient_scope`; 400
    /// for a token in the query or the body, which logs and caches would keep.
    pub async fn bearer(&self, asked: &Asked, needs: Scope) -> Result<Bearer, Fault> {
        only_in_the_header(asked)?;
        let token = asked.bearer().ok_or(Fault::Unauthorized(false))?;
        if !chance::looks_like(Kind::Access, token) {
            return Err(Fault::Unauthorized(true));
        }
        let (hash, now) = (chance::hash(token), self.0.clock.now());
        let alive = alive::rows::living(&mut *self.0.store.read().await?, &hash, now).await?;
        let alive = alive.filter(|token| token.is_access).ok_or(Fault::Unauthorized(true))?;
        let caller = self.caller(&alive).await?.ok_or(Fault::Unauthorized(true))?;
        if !alive.is_used {
            self.note_use(&hash, alive.family, Some(&place(asked.peer.ip).to_string())).await?;
        }
        if !alive.approval.scopes.has(needs) {
            return Err(Fault::Forbidden("insufficient_scope", needs.word().to_owned()));
        }
        Ok(Bearer { caller, grant: alive.family, client: alive.client, scopes: alive.approval.scopes })
    }

    /// For whom a living token speaks: the person who granted it, as what they are now; or, without one, the
    /// client's own workspace and nothing else (O8), where its scopes are all that limits it.
    async fn caller(&self, alive: &alive::rows::Living) -> Result<Option<Caller>, Fault> {
        let account = alive.approval.account;
        let memberships = match account {
            Some(account) => self.0.accounts.memberships(account).await?,
            None => alive
                .workspace
                .map(|workspace| Membership { workspace, role: Role::Admin })
                .into_iter()
                .collect(),
        };
        let home = alive.approval.home;
        Ok((!memberships.is_empty()).then_some(Caller { account, memberships, home }))
    }

    /// The first use of an access token is what tells a lost answer from a stolen one, so it is on disk before
    /// anything is answered. The family comes first, as everywhere.
    pub(super) async fn note_use(
        &self,
        hash: &[u8],
        family: GrantId,
        from: Option<&str>,
    ) -> Result<(), Fault> {
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        if let Some(from) = from {
            rows::see_family(&mut tx, family, from, now).await?;
        }
        if rows::use_token(&mut tx, hash, now).await? {
            return Ok(tx.commit().await?);
        }
        // Somebody noted it, or superseded the token, since it was read.
        let alive = alive::rows::living(&mut tx, hash, now).await?;
        alive.map(drop).ok_or(Fault::Unauthorized(true))
    }
}

/// RFC 6750 section 2: one way of sending a token, and of the three only the header is taken (BR-04, BR-05).
fn only_in_the_header(asked: &Asked) -> Result<(), Fault> {
    let has_token =
        |form: &[u8]| Form::parse(form).is_ok_and(|form| form.all("access_token").next().is_some());
    let is_form = asked
        .header(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if has_token(asked.query.as_bytes()) || (is_form && has_token(&asked.body)) {
        return Err(Fault::bad("an access token belongs into the Authorization header"));
    }
    Ok(())
}
