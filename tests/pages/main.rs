//! Pages: what people see, in a real browser, with a real Home Assistant behind it.
//!
//! The stories cover both databases; a browser cannot tell them apart, so the pages are on SQLite alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as loudly as the tests")]

mod axe;
mod chinese;
mod front;
mod guest;
mod look;
mod making;
mod names;
mod outages;
mod owner;
mod people;
mod programs;
mod speed;
mod taking_over;
mod withholding;

use kit::world::{Database, World};

/// A world whose owner is Ada.
async fn world() -> World {
    World::new(Database::Sqlite).await
}
