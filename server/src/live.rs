//! Live views: whoever looks at an invocation hears of its changes and its output.
//!
//! Owns a bounded channel per invocation that somebody looks at; where nobody does, an event costs one look into a map.
//! Lossy on purpose: what counts is in the store. Holds no task of its own, so there is nothing to stop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use orderly_wire::http::event::InvocationEvent;
use tokio::sync::broadcast;
use tracing::warn;

use crate::store::Store;
use crate::store::row::{Changed, ChangedTasks, InvocationRow, TaskRow};
use crate::view;

/// Events that a slow reader may be behind before it misses some.
const BACKLOG: usize = 256;

/// Tasks told one by one for one change; where more changed at once, readers are told to read again.
const TASKS_MAX: usize = 2000;

type Channels = HashMap<String, broadcast::Sender<Arc<InvocationEvent>>>;

/// The hub; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    // A std mutex: held for a look into a map only, never over an await.
    channels: Arc<Mutex<Channels>>,
}

impl Hub {
    /// Listens to an invocation from now on.
    #[must_use]
    pub fn listen(&self, invocation: &str) -> Listener {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = channels.entry(invocation.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0);
        Listener { events: sender.subscribe(), invocation: invocation.to_owned(), hub: self.clone() }
    }

    /// Whether anybody listens to an invocation.
    #[must_use]
    pub fn heard(&self, invocation: &str) -> bool {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).contains_key(invocation)
    }

    /// Tells the listeners of an invocation; `event` is only made where there are any.
    pub fn tell(&self, invocation: &str, event: impl FnOnce() -> InvocationEvent) {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(invocation) {
            // Fails only where the last listener has just gone.
            let _ = sender.send(Arc::new(event()));
        }
    }

    /// Tells the listeners what was just committed.
    pub async fn announce(&self, store: &Store, changes: &[Changed]) {
        for Changed { invocation, tasks } in changes.iter().filter(|change| self.heard(&change.invocation.uid)) {
            match tasks {
                _ if tasks.count() > TASKS_MAX => self.tell(&invocation.uid, || InvocationEvent::Lagged),
                ChangedTasks::Rows(rows) => self.tasks(&invocation.uid, rows),
                ChangedTasks::Of(instances) => match store.tasks_of(invocation.key, instances).await {
                    Ok(rows) => self.tasks(&invocation.uid, &rows),
                    Err(error) => {
                        warn!(invocation.id = invocation.uid, error = ?error, "listeners could not be told of a change");
                        self.tell(&invocation.uid, || InvocationEvent::Lagged);
                    }
                },
            }
            self.tell(&invocation.uid, || counts(invocation));
            if invocation.finished_ms.is_some() {
                self.tell(&invocation.uid, || end(invocation));
            }
        }
    }

    fn tasks(&self, invocation: &str, rows: &[TaskRow]) {
        for row in rows {
            self.tell(invocation, || InvocationEvent::Task(Box::new(view::task(invocation, row))));
        }
    }
}

/// The event with an invocation's counts.
#[must_use]
pub fn counts(row: &InvocationRow) -> InvocationEvent {
    let view = view::invocation(row);
    InvocationEvent::Counts { status: view.status, counts: view.counts, rollout: view.rollout.map(Box::new) }
}

/// The last event of an invocation.
#[must_use]
pub fn end(row: &InvocationRow) -> InvocationEvent {
    let view = view::invocation(row);
    InvocationEvent::End { status: view.status, counts: view.counts }
}

/// Somebody who listens to one invocation; stops with its drop.
#[derive(Debug)]
pub struct Listener {
    events: broadcast::Receiver<Arc<InvocationEvent>>,
    invocation: String,
    hub: Hub,
}

impl Listener {
    /// The next event; [`InvocationEvent::Lagged`] where some were missed.
    pub async fn next(&mut self) -> Arc<InvocationEvent> {
        match self.events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => Arc::new(InvocationEvent::Lagged),
            // The sender lives in the map for as long as this listener does.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut channels = self.hub.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // This listener still counts as one.
        if channels.get(&self.invocation).is_some_and(|sender| sender.receiver_count() <= 1) {
            channels.remove(&self.invocation);
        }
    }
}
