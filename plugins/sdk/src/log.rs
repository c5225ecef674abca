//! Lines for the task's log.
//!
//! Owns four levels, each as a function and as a macro that takes a format. A line is at most 8 KiB, the host cuts a
//! longer one; lines count towards the task's output. Never fails and never waits for a reader.
//!
//! ```no_run
//! use orderly_plugin::log;
//!
//! log::warn("the file is empty");
//! orderly_plugin::info!("{} files looked at", 3);
//! ```

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

/// Writes a line for whoever mends the plugin, as `format!` makes it.
#[macro_export]
macro_rules! debug {
    ($($format:tt)+) => { $crate::log::debug(&::std::format!($($format)+)) };
}

/// Writes a line, as `format!` makes it.
#[macro_export]
macro_rules! info {
    ($($format:tt)+) => { $crate::log::info(&::std::format!($($format)+)) };
}

/// Writes a line about something that should not be so, as `format!` makes it.
#[macro_export]
macro_rules! warn {
    ($($format:tt)+) => { $crate::log::warn(&::std::format!($($format)+)) };
}

/// Writes a line about something that went wrong, as `format!` makes it.
#[macro_export]
macro_rules! error {
    ($($format:tt)+) => { $crate::log::error(&::std::format!($($format)+)) };
}
