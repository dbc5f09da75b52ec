//! Pages: what people see, in a real browser, with a real Home Assistant behind it.

// A story is a test; clippy knows only functions marked so.
#![allow(clippy::unwrap_used)]

mod guest;
