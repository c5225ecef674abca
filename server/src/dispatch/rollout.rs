//! Rollouts: releases what the planner lets start, and gives the order to the links of those instances.
//!
//! What may start follows from rows alone and is decided in the transaction that releases it. So this may be killed anywhere: a link
//! that opens reads what was released and not answered.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{DELIVERIES, LOOK, Rolls, plan};
use crate::clock;
use crate::link::Links;
use crate::live::Hub;
use crate::offer::{OfferError, Offers};
use crate::store::row::{Changed, ChangedTasks, InstanceKey, OrderKey, Rolled, Rolling};
use crate::store::{Store, StoreError};

/// What the loop works with.
pub(super) struct Roller {
    pub(super) store: Store,
    pub(super) offers: Offers,
    pub(super) links: Links,
    pub(super) hub: Hub,
}

impl Roller {
    pub(super) async fn run(self, wakes: Rolls, stop: CancellationToken) {
        let mut woken = false;
        loop {
            let sleep = match self.look(!woken).await {
                Ok(sleep) => sleep,
                Err(error) => {
                    error!(error = ?error, "rollouts could not be looked at; they are looked at again");
                    Duration::from_secs(1)
                }
            };
            woken = tokio::select! {
                () = wakes.notified() => true,
                () = tokio::time::sleep(sleep) => false,
                () = stop.cancelled() => return,
            };
        }
    }

    /// Does what is due, and says how long until the next. `all`: also offers what another server may have released.
    async fn look(&self, all: bool) -> Result<Duration, OfferError> {
        let mut sleep = LOOK;
        for Rolling { invocation, order } in self.store.rolling().await? {
            let now_ms = clock::now_ms();
            let Some(found) = &invocation.rollout else { continue };
            let mut due_ms = found.due_ms;
            if found.is_due(&invocation.counts, now_ms)
                && let Some(rolled) = self.store.roll(invocation.key, now_ms).await?
            {
                due_ms = rolled.invocation.rollout.as_ref().and_then(|rollout| rollout.due_ms);
                self.tell(*rolled).await?;
            } else if all && self.store.is_shared() {
                self.offer(order, &self.unanswered(order).await?).await?;
            }
            let until = due_ms.and_then(|due| u64::try_from(due - now_ms).ok()).map(Duration::from_millis);
            sleep = sleep.min(until.unwrap_or(LOOK));
        }
        Ok(sleep)
    }

    async fn tell(&self, rolled: Rolled) -> Result<(), OfferError> {
        let Rolled { invocation, order, released, ended } = rolled;
        if !ended.is_empty() {
            info!(invocation.id = invocation.uid, tasks = ended.len(), "tasks of a rollout were not accepted in time");
        }
        self.offer(order, &released).await?;
        let change = Changed { invocation, tasks: ChangedTasks::Of(ended) };
        self.hub.announce(&self.store, &[change]).await;
        Ok(())
    }

    /// Gives an order to those of the instances that are linked here. The others read it when their link opens.
    async fn offer(&self, order: OrderKey, instances: &[InstanceKey]) -> Result<(), OfferError> {
        let linked: Vec<InstanceKey> =
            instances.iter().copied().filter(|instance| self.links.linked(*instance)).collect();
        if linked.is_empty() {
            return Ok(());
        }
        let prepared = self.offers.prepared(order).await?;
        for instance in linked {
            self.links.offer(instance, &prepared);
        }
        Ok(())
    }

    /// Who was released and has not answered.
    async fn unanswered(&self, order: OrderKey) -> Result<Vec<InstanceKey>, StoreError> {
        let mut waiting = self.store.deliveries((order, 0), DELIVERIES).await?;
        waiting.retain(|delivery| delivery.order.key == order);
        Ok(plan::offers(&waiting, |instance| self.links.linked(instance), clock::now_ms()))
    }
}
