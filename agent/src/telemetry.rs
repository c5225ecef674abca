//! Logging: to standard error, for the service manager's journal.
//!
//! Owns the format and the level (`ORDERLY_LOG`, one of `error`, `warn`, `info`, `debug`, `trace`). Never logs content,
//! output, parameters or secrets: those who log give ids and reasons only. There is no filter language on purpose:
//! it would cost the idle agent more memory than all of its links.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;

/// The environment variable with the level.
pub(crate) const LEVEL_VARIABLE: &str = "ORDERLY_LOG";

/// The level of the log is not one.
#[derive(Debug, thiserror::Error)]
#[error("`{LEVEL_VARIABLE}` is `{0}`, write `error`, `warn`, `info`, `debug` or `trace`")]
pub(crate) struct LevelError(String);

/// Starts logging for the life of the process.
///
/// # Errors
/// The environment names a level that does not exist.
pub(crate) fn start() -> Result<(), LevelError> {
    let level = match std::env::var(LEVEL_VARIABLE) {
        Ok(text) => text.parse::<LevelFilter>().map_err(|_| LevelError(text))?,
        Err(_) => LevelFilter::INFO,
    };
    let ansi = std::io::stderr().is_terminal();
    // Fails only where a test has set another one already; then that one stays.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(ansi)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
    Ok(())
}
