//! Logs: readable lines on standard error, so that standard output stays for what programs read.
//!
//! Owns the subscriber. `ORDERLY_LOG` holds the filter (`info` where absent, as `orderly_server=debug`); a filter that does not
//! parse is an error, never a fallback.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The environment variable with the filter.
pub const LOG_VARIABLE: &str = "ORDERLY_LOG";

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("`{LOG_VARIABLE}` is not a log filter; write for instance `info` or `orderly_server=debug`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
}

/// Sets logs up for this process. A second call changes nothing.
///
/// # Errors
/// Where the filter in the environment does not parse.
pub fn start() -> Result<(), TelemetryError> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(text) => EnvFilter::try_new(text).map_err(TelemetryError::Filter)?,
        Err(_) => EnvFilter::new("info"),
    };
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Fails only where a test has set one up before.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).try_init();
    Ok(())
}
