//! What stories are told with.

pub mod origin;
