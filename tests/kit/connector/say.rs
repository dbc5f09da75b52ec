//! Lines of its log: one JSON object each, on standard error.

use std::io::Write;

use serde_json::{Value, json};

pub fn info(message: &str, more: Value) {
    line("info", message, "", more);
}

pub fn error(message: &str, error: &str, more: Value) {
    line("error", message, error, more);
}

fn line(level: &str, message: &str, error: &str, mut more: Value) {
    more["level"] = json!(level);
    more["time"] = json!("2026-11-22T12:00:00Z");
    if !message.is_empty() {
        more["message"] = json!(message);
    }
    if !error.is_empty() {
        more["error"] = json!(error);
    }
    // Where nobody reads any more it must not end: whoever started it says when.
    _ = std::io::stderr().write_all(format!("{more}\n").as_bytes());
}
