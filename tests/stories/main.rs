//! Stories: what people do with the whole product, told against real parts.

// A story is a test; clippy knows only functions marked so.
#![allow(clippy::unwrap_used)]

mod authorizing;
mod cloudflare;
mod first_day;
mod judging;
mod outliving;
mod people;
mod relaying;
mod trespassing;
mod tunnelling;
mod weighing;
