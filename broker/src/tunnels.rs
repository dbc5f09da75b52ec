//! Tunnels: a public name for a home.

pub mod direct;
