//! The order in which the server stops.
//!
//! Owns one phase for each group of tasks. Stop order: accepting (no new connections, open requests end) → dispatching
//! (no new offers) → links (each says goodbye) → intake (reports at hand are committed) → store (the writer ends). Each phase
//! gets a grace; what is not done by then is named in the log and left behind, since everything that matters is in the store.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info_span, warn};

/// How long a phase may take to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Tasks that stop together.
#[derive(Debug, Clone)]
pub struct Phase {
    name: &'static str,
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Phase {
    /// A phase with no tasks yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, token: CancellationToken::new(), tracker: TaskTracker::new() }
    }

    /// What tells the tasks of this phase to stop.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task of this phase.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task.instrument(info_span!("task", name)));
    }

    /// Counts a task that somebody else started as one of this phase while it runs.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tracker.track_future(task)
    }

    /// Tells the tasks to stop and waits for them, at most the grace.
    pub async fn end(&self) {
        self.token.cancel();
        self.tracker.close();
        if tokio::time::timeout(GRACE, self.tracker.wait()).await.is_err() {
            warn!(
                phase = self.name,
                tasks = self.tracker.len(),
                "not all tasks stopped within the grace; they are left behind"
            );
        }
    }
}

/// All phases of the server, in their stop order.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// The listener, connections and streams of events.
    pub accepting: Phase,
    /// The dispatcher and the deadlines.
    pub dispatching: Phase,
    /// The links of agents.
    pub links: Phase,
    /// Intake and presence.
    pub intake: Phase,
    /// The writer.
    pub store: Phase,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            accepting: Phase::new("accepting"),
            dispatching: Phase::new("dispatching"),
            links: Phase::new("links"),
            intake: Phase::new("intake"),
            store: Phase::new("store"),
        }
    }
}

impl Shutdown {
    /// Stops everything in order.
    pub async fn run(&self) {
        // Links live on upgraded connections, which the first phase does not wait for.
        for phase in [&self.accepting, &self.dispatching, &self.links, &self.intake, &self.store] {
            phase.end().await;
        }
    }
}
