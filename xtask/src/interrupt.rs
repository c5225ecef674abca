//! Ctrl-c and SIGTERM as something to wait for, so that what was started is ended before this program is.
//!
//! Owns one thread that waits for the signals. It ends with the program.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Tells when somebody wants this program to end. From its making on, the signals no longer end it at once.
#[derive(Debug)]
pub(crate) struct Interrupt {
    signals: Receiver<()>,
}

impl Interrupt {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self> {
        let (sender, signals) = channel();
        let (ready, is_ready) = channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot wait for signals")?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let (Ok(mut interrupt), Ok(mut terminate)) =
                    (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
                else {
                    return;
                };
                let _ = ready.send(());
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if sender.send(()).is_err() {
                        return;
                    }
                }
            });
        });
        is_ready.recv().context("signals cannot be listened to")?;
        Ok(Self { signals })
    }

    /// Waits until somebody wants this program to end.
    pub(crate) fn wait(&self) {
        // An error means that nobody listens any more, which ends the waiting as well.
        let _ = self.signals.recv();
    }

    /// Waits a moment; fails where somebody wants this program to end.
    pub(crate) fn pause(&self, moment: Duration) -> Result<()> {
        match self.signals.recv_timeout(moment) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => bail!("interrupted"),
        }
    }

    /// Whether somebody wants this program to end; asked between steps.
    pub(crate) fn check(&self) -> Result<()> {
        self.pause(Duration::ZERO)
    }
}
