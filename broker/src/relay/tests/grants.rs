//! Grants for played agents.

use super::*;
use crate::oauth::Bearer;

pub(crate) fn oauth() -> OAuth {
    OAuth(Arc::new((broadcast::Sender::new(16), Mutex::default())))
}

fn add(oauth: &OAuth, home: &Owned, bound: bool) -> String {
    let mut all = oauth.0.1.lock().unwrap();
    let token = format!("token{}", all.len());
    let caller = Caller {
        account: None,
        workspace: home.workspace,
        role: Role::Owner,
        home: bound.then_some(home.id),
    };
    let grant = GrantId::from_random_bits(crate::chance::bits());
    all.insert(token.clone(), Bearer { caller, grant, scopes: shared::oauth::Scopes::agent() });
    token
}

/// An agent's access token for a home.
pub(crate) fn token(oauth: &OAuth, home: &Owned) -> String {
    add(oauth, home, true)
}

/// A token of a program that is bound to no home.
pub(crate) fn unbound(oauth: &OAuth, home: &Owned) -> String {
    add(oauth, home, false)
}

/// Revokes the grant behind a token.
pub(crate) fn revoke(oauth: &OAuth, token: &str) {
    let dead = oauth.0.1.lock().unwrap().remove(token).unwrap();
    _ = oauth.0.0.send(dead.grant);
}
