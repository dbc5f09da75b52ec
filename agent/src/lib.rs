//! Latchkey's agent: a daemon beside Home Assistant that signs in, keeps the tunnel up and relays what is
//! shared, and gives the home the last word.
//!
//! The modules stand on a ladder: each may lean only on those above it in this list.

#[cfg(test)]
mod fakes; // stand-ins for the broker and Home Assistant, for unit tests

pub mod config; // every setting, read once
pub mod memory; // what survives a restart: tokens in the OS keyring, or in a 0600 file
mod tasks; // starting tasks that someone waits for, and waiting between tries
pub mod net; // dialling out: addresses, trust, WebSockets
pub mod cloud; // the broker's HTTP routes, with an access token that stays fresh
pub mod pairing; // signing in: device flow and browser flow
pub mod home_assistant; // Home Assistant's WebSocket API: states, names, places, services
pub mod policy; // what may leave this house, whatever the broker says
pub mod tunnel; // the home's way in from outside
pub mod relay; // the broker's socket: states up, controls down
pub mod app; // everything put together
