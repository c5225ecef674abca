//! The one way in which the agent is told to stop.
//!
//! Owns the signals and the token that every long-lived part is handed by `app`. The order of stopping is written in
//! `app`. A second signal ends the process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the token at the first SIGTERM or SIGINT, and leaves at the second.
///
/// # Errors
/// The signals cannot be caught.
pub(crate) fn on_signals(token: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::task::spawn_local(async move {
        for round in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round > 0 {
                tracing::warn!("second signal, leaving without waiting for anything");
                std::process::exit(1);
            }
            tracing::info!("stopping");
            token.cancel();
        }
    });
    Ok(())
}
