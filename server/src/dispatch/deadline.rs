//! Deadlines: tasks that no instance accepted in time become Aborted, with the code DeliveryTimeout.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Wakes;
use crate::clock;
use crate::live::Hub;
use crate::store::row::ON_ITS_WAY_MS;
use crate::store::{Store, StoreError};

/// The longest sleep; also how often deliveries past their time are forgotten.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Invocations ended at once.
const PAGE: i64 = 64;

pub(super) async fn run(store: Store, hub: Hub, wakes: Arc<Wakes>, stop: CancellationToken) {
    let mut pruned: Option<Instant> = None;
    loop {
        if pruned.is_none_or(|at| at.elapsed() >= SLEEP_MAX) {
            if let Err(error) = store.prune(clock::now_ms()).await {
                error!(error = ?error, "deliveries past their time could not be forgotten");
            }
            pruned = Some(Instant::now());
        }
        let sleep = match end_overdue(&store, &hub).await {
            Ok(sleep) => sleep,
            Err(error) => {
                error!(error = ?error, "deadlines could not be looked at; they are looked at again");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = wakes.deadlines.notified() => {}
            () = tokio::time::sleep(sleep) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Ends what is overdue and says how long until the next.
async fn end_overdue(store: &Store, hub: &Hub) -> Result<Duration, StoreError> {
    loop {
        let now_ms = clock::now_ms();
        let next_ms = store.next_deadline().await?.map(|deadline| deadline + ON_ITS_WAY_MS - now_ms);
        if next_ms.is_none_or(|ms| ms > 0) {
            let next = next_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
            return Ok(next.unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
        }
        for invocation in store.overdue(now_ms - ON_ITS_WAY_MS, PAGE).await? {
            let changed = store.expire(invocation, now_ms).await?;
            for change in &changed {
                info!(
                    invocation.id = change.invocation.uid,
                    tasks = change.tasks.count(),
                    "tasks were not delivered in time"
                );
            }
            hub.announce(store, &changed).await;
        }
    }
}
