//! Lines for the task's log.
//!
//! Owns four functions for four levels. A line is at most 8 KiB, the host cuts a longer one; lines count
//! towards the task's output. Never fails and never waits for a reader.

use crate::bindings::orderly::plugin::log as wit;

/// Writes a line for whoever mends the plugin.
pub fn debug(message: &str) {
    wit::write(wit::Level::Debug, message);
}

/// Writes a line.
pub fn info(message: &str) {
    wit::write(wit::Level::Info, message);
}

/// Writes a line about something that should not be so.
pub fn warn(message: &str) {
    wit::write(wit::Level::Warn, message);
}

/// Writes a line about something that went wrong.
pub fn error(message: &str) {
    wit::write(wit::Level::Error, message);
}
