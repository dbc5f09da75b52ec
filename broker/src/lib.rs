//! Latchkey's broker: OAuth 2.0 provider, tunnels, the owner's dashboard and the guests' pages.
//!
//! The modules stand on a ladder: each may lean only on those above it in this list. A test checks it.

pub mod clock; // what time it is, and how tests turn it
mod chance; // where ids, codes and tokens come from
mod vault; // sealing secrets at rest; keys and their rotation
pub mod store; // the one door to the database
pub mod mail; // letters: SMTP, or a folder of files
mod sealed; // every sealed record, sealed anew with another key
pub mod config; // every setting, read once
pub mod audit; // who did what, when, from where
pub mod http; // what all routes share: faults, pages, cookies, limits, languages, assets
pub mod accounts; // people, sessions, workspaces, roles
pub mod homes; // houses, and proof of being allowed in one
pub mod oauth; // letting programs act for people
pub mod relay; // the hub between agents and viewers
pub mod tunnels; // a public name for a home: direct
mod acme; // the certificate that we order ourselves
pub mod portal; // links and guests
mod dashboard; // the owner's pages
mod janitor; // forgetting what has lapsed
pub mod app; // everything put together
pub mod commands; // what the operator does on the shell
