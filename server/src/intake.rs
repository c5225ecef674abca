//! Intake: what agents report, into the store in batches, acknowledged after the commit.
//!
//! Owns the way from a report to a [`Fact`] (the receipt is verified with the instance's key, for that very order) and one
//! task that commits many at once. Never believes what no receipt proves, never acknowledges what is not on disk. Its queue is
//! bounded in reports and in bytes; a full one makes links stop reading. Stops when the links are gone and its queue is empty.

mod receipt;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orderly_wire::to_server::Report;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::error;

use crate::live::Hub;
use crate::shutdown::Phase;
use crate::store::Store;
use crate::store::change::FACTS_MAX;
use crate::store::fact::Fact;

pub use receipt::Reporter;

/// Reports waiting for the store, at most.
const QUEUE: usize = 4096;

/// Bytes of reports waiting for the store, at most, in KiB.
const QUEUE_KIB: usize = 64 * 1024;

/// How long until a batch is tried again that the store did not take.
const RETRY: Duration = Duration::from_secs(1);

/// Up to where a link's reports are safe. The link sends it on when it is woken; a newer value replaces an older one.
#[derive(Debug, Default)]
pub struct Acks {
    safe: AtomicU64,
    /// Wakes the link.
    pub look: Notify,
}

impl Acks {
    /// The highest sequence number that is safe.
    #[must_use]
    pub fn safe(&self) -> u64 {
        self.safe.load(Ordering::Acquire)
    }

    fn raise(&self, seq: u64) {
        self.safe.fetch_max(seq, Ordering::AcqRel);
        self.look.notify_one();
    }
}

/// A verified report on its way to the store.
#[derive(Debug)]
struct Incoming {
    fact: Fact,
    seq: u64,
    acks: Arc<Acks>,
    room: OwnedSemaphorePermit,
}

/// A handle on the intake; cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    queue: mpsc::Sender<Incoming>,
    room: Arc<Semaphore>,
}

/// The intake has stopped: the server is going down.
#[derive(Debug, thiserror::Error)]
#[error("the intake is closed")]
pub struct Closed;

impl Intake {
    /// Starts the intake in `phase`; it notifies `rolls` where tasks of a rollout have changed.
    #[must_use]
    pub fn spawn(store: Store, hub: Hub, rolls: Arc<Notify>, phase: &Phase) -> Self {
        let (queue, reports) = mpsc::channel(QUEUE);
        phase.spawn("intake", run(store, hub, rolls, reports, phase.token()));
        Self { queue, room: Arc::new(Semaphore::new(QUEUE_KIB)) }
    }

    /// Verifies a report of `bytes` bytes and hands it over; waits where there is no room.
    ///
    /// # Errors
    /// Where the intake has stopped.
    pub async fn report(
        &self,
        reporter: &Reporter,
        report: Report,
        bytes: usize,
        acks: &Arc<Acks>,
    ) -> Result<(), Closed> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| Closed)?;
        let seq = report.seq;
        let fact = reporter.fact(report);
        let incoming = Incoming { fact, seq, acks: Arc::clone(acks), room };
        self.queue.send(incoming).await.map_err(|_| Closed)
    }
}

async fn run(
    store: Store,
    hub: Hub,
    rolls: Arc<Notify>,
    mut reports: mpsc::Receiver<Incoming>,
    stop: tokio_util::sync::CancellationToken,
) {
    let mut batch = Vec::with_capacity(FACTS_MAX);
    loop {
        let count = tokio::select! {
            biased;
            count = reports.recv_many(&mut batch, FACTS_MAX) => count,
            () = stop.cancelled() => {
                reports.close();
                reports.recv_many(&mut batch, FACTS_MAX).await
            }
        };
        if count == 0 {
            return;
        }
        let mut facts = Vec::with_capacity(count);
        // By link: what it may acknowledge after the commit.
        let mut safe: HashMap<usize, (Arc<Acks>, u64)> = HashMap::new();
        // Given back after the commit.
        let mut rooms = Vec::with_capacity(count);
        for incoming in batch.drain(..) {
            let entry = safe.entry(Arc::as_ptr(&incoming.acks) as usize).or_insert((incoming.acks, 0));
            entry.1 = entry.1.max(incoming.seq);
            facts.push(incoming.fact);
            rooms.push(incoming.room);
        }
        let changed = loop {
            match store.record(facts.clone()).await {
                Ok(changed) => break changed,
                Err(failure) => {
                    error!(error = ?failure, reports = count, "reports could not be stored; they are tried again");
                }
            }
            if stop.is_cancelled() {
                // Not acknowledged, so the agents keep them and send them again.
                return;
            }
            tokio::time::sleep(RETRY).await;
        };
        for (acks, seq) in safe.into_values() {
            acks.raise(seq);
        }
        if changed.iter().any(|change| change.invocation.rollout.as_ref().is_some_and(|rollout| rollout.active)) {
            rolls.notify_one();
        }
        hub.announce(&store, &changed).await;
    }
}

#[cfg(test)]
mod tests;
