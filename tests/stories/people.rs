//! People: how they get in, get in again, and share a workspace.

mod letters;
mod sessions;
mod steps;
mod workspaces;

use kit::owner::{Identity, Owner};
use kit::visitor::{Page, Visitor};
use kit::world::World;

const PASSWORD: &str = "mauve teapot orbits quietly";

/// Somebody whom the owner invites and who makes an account.
pub async fn invited(world: &World, email: &str, role: &str) -> Owner {
    let owner = &world.owner().visitor;
    let members = owner.get("/members").await.unwrap().well().unwrap();
    let fields = [("email", email), ("role", role)];
    owner.submit(&members, "/members/invitations", &fields).await.unwrap().well().unwrap();
    let link = world.link_for(email, "/invitation?").await;
    let visitor = world.stranger();
    let page = visitor.get(&link).await.unwrap().well().unwrap();
    let fields = [("name", "Bob"), ("password", PASSWORD)];
    visitor.submit(&page, "/invitation/new", &fields).await.unwrap().well().unwrap();
    let identity = Identity { name: "Bob".into(), email: email.into(), password: PASSWORD.into() };
    Owner { visitor, identity }
}

/// Asks for a letter at `/forgotten` or `/register`.
async fn ask_for_letter(visitor: &Visitor, path: &str, email: &str) -> Page {
    let page = visitor.get(path).await.unwrap().well().unwrap();
    visitor.submit(&page, path, &[("email", email)]).await.unwrap()
}

/// Types an address and a password; what comes of it.
async fn sign_in(visitor: &Visitor, email: &str, password: &str) -> Page {
    let page = visitor.get("/sign-in").await.unwrap().well().unwrap();
    visitor.submit(&page, "/sign-in", &[("email", email), ("password", password)]).await.unwrap()
}

async fn is_in(visitor: &Visitor) -> bool {
    visitor.get("/account").await.unwrap().url.path() == "/account"
}
