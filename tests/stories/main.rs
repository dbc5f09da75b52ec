//! Stories: what people do with the whole product, told against real parts.

// A story is a test; clippy knows only functions marked so.
#![allow(clippy::unwrap_used)]

mod authorizing;
mod certifying;
mod cloudflare;
mod first_day;
mod hiding;
mod judging;
mod keys;
mod outliving;
mod people;
mod providing;
mod proving;
mod relaying;
mod serving;
mod supervising;
mod taking_over;
mod telling;
mod trespassing;
mod tunnelling;
mod weighing;
mod withholding;
