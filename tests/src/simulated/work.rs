//! Work that takes its time: how long, how it ends, and how much of it goes on at once over all agents.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many tasks go on at once, as the agents see it.
#[derive(Debug, Default)]
pub struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Load {
    /// The most that ever went on at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub(super) fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    pub(super) fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What an agent does with each order instead of answering at once.
#[derive(Clone, Debug)]
pub struct Work {
    /// How long a task takes.
    pub takes: Duration,
    /// Whether it fails.
    pub fails: bool,
    /// Where it is counted.
    pub load: Arc<Load>,
}
