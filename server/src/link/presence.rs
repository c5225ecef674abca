//! Signs of life, written in batches: thousands of heart-beats make one transaction every few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::shutdown::Phase;
use crate::store::Store;
use crate::store::row::{InstanceKey, Seen};

/// How long signs of life are collected.
const COLLECT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Waiting {
    // A std mutex: held to put one value in or take all out, never over an await.
    seen: Mutex<HashMap<InstanceKey, Seen>>,
    any: Notify,
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Presence {
    waiting: Arc<Waiting>,
}

impl Presence {
    /// Starts the writer of signs of life in `phase`; what is collected is written when the phase ends.
    #[must_use]
    pub fn spawn(store: Store, phase: &Phase) -> Self {
        let waiting = Arc::new(Waiting::default());
        phase.spawn("presence", run(store, Arc::clone(&waiting), phase.token()));
        Self { waiting }
    }

    /// Notes that an instance is there; only the newest note of each counts.
    pub fn note(&self, seen: Seen) {
        self.waiting.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(seen.instance, seen);
        self.waiting.any.notify_one();
    }
}

async fn run(store: Store, waiting: Arc<Waiting>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = waiting.any.notified() => {
                tokio::select! {
                    () = tokio::time::sleep(COLLECT) => {}
                    () = stop.cancelled() => {}
                }
            }
            () = stop.cancelled() => {}
        }
        let seen = std::mem::take(&mut *waiting.seen.lock().unwrap_or_else(PoisonError::into_inner));
        if !seen.is_empty()
            && let Err(error) = store.seen(seen.into_values().collect()).await
        {
            warn!(error = ?error, "signs of life could not be stored");
        }
        if stop.is_cancelled() {
            return;
        }
    }
}
