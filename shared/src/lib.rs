//! What broker and agent say to each other: the words on the wire and the values in them.
//!
//! The compatibility promise: an old agent and a new broker (and the reverse) understand each other. Words
//! already here never change their spelling or meaning; fields are only ever added, with a default; a kind
//! of message that is not known is skipped, never an error. Tests freeze each word with its JSON.
//!
//! Nothing here does I/O, knows a clock or draws a random number.

pub mod id;
pub mod secret;
pub mod entity;
pub mod relay;
pub mod oauth;
pub mod tunnel;
