//! Rollouts: releases what the planner lets start, and gives the order to the links of those instances.
//!
//! What may start follows from rows alone and is decided in the transaction that releases it. So this may be killed anywhere: a link
//! that opens reads what was released and not answered.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{DELIVERIES, LOOK, Rolls, plan};
use crate::clock;
use crate::link::Links;
use crate::live::Hub;
use crate::offer::{OfferError, Offers};
use crate::store::Store;
use crate::store::row::{Changed, ChangedTasks, InstanceKey, Moment, OrderKey, Rolled, Rolling};

/// What the loop works with.
pub(super) struct Roller {
    pub(super) store: Store,
    pub(super) offers: Offers,
    pub(super) links: Links,
    pub(super) hub: Hub,
}

/// How far wall time and the time that has passed may drift apart between two looks, in milliseconds, before a clock was set.
const STEP_MS: u64 = 5000;

/// Since when this server was there without a gap.
#[derive(Debug)]
struct Watch {
    since_ms: i64,
    last: (i64, Instant),
}

impl Watch {
    fn new(now_ms: i64, passed: Instant) -> Self {
        Self { since_ms: now_ms, last: (now_ms, passed) }
    }

    /// A look. Where the wall clock has jumped since the last, what is waited for is waited for anew.
    fn look(&mut self, now_ms: i64, passed: Instant) -> Moment {
        let (last_ms, last) = std::mem::replace(&mut self.last, (now_ms, passed));
        let between = i64::try_from(passed.saturating_duration_since(last).as_millis()).unwrap_or(i64::MAX);
        if now_ms.saturating_sub(last_ms).abs_diff(between) > STEP_MS {
            self.since_ms = now_ms;
        }
        Moment { now_ms, since_ms: self.since_ms }
    }
}

impl Roller {
    pub(super) async fn run(self, wakes: Rolls, stop: CancellationToken) {
        let mut watch = Watch::new(clock::now_ms(), Instant::now());
        let mut full = None;
        loop {
            let sleep = self.look(&mut watch, &mut full).await;
            tokio::select! {
                () = wakes.notified() => {}
                () = tokio::time::sleep(sleep) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Does what is due, and says how long until the next. At least every [`LOOK`], and after an error, it also offers again what
    /// was released and not answered: another server may have released it, or this one failed between release and offer. `full` is
    /// when it last did.
    async fn look(&self, watch: &mut Watch, full: &mut Option<Instant>) -> Duration {
        let begun = Instant::now();
        let all = full.is_none_or(|last| begun.saturating_duration_since(last) >= LOOK);
        let failed = |error: &OfferError| {
            error!(error = ?error, "a rollout could not be looked at; it is looked at again");
            Duration::from_secs(1)
        };
        let rolling = match self.store.rolling().await {
            Ok(rolling) => rolling,
            Err(error) => return failed(&error.into()),
        };
        let (mut sleep, mut whole) = (LOOK, true);
        for rolling in rolling {
            let at = watch.look(clock::now_ms(), Instant::now());
            // One that fails holds up no other.
            let until = self.look_at(rolling, at, all).await.unwrap_or_else(|error| {
                whole = false;
                failed(&error)
            });
            sleep = sleep.min(until);
        }
        if !whole {
            *full = None;
        } else if all {
            *full = Some(begun);
        }
        sleep
    }

    async fn look_at(&self, rolling: Rolling, at: Moment, all: bool) -> Result<Duration, OfferError> {
        let Rolling { invocation, order } = rolling;
        let Some(found) = &invocation.rollout else { return Ok(LOOK) };
        let mut due_ms = found.due_ms;
        if found.is_due(&invocation.counts, at.now_ms)
            && let Some(rolled) = self.store.roll(invocation.key, at).await?
        {
            due_ms = rolled.invocation.rollout.as_ref().and_then(|rollout| rollout.due_ms);
            self.tell(*rolled).await?;
        }
        if all {
            self.offer_again(order).await?;
        }
        let until = due_ms.and_then(|due| u64::try_from(due - at.now_ms).ok()).map(Duration::from_millis);
        Ok(until.unwrap_or(LOOK))
    }

    async fn tell(&self, rolled: Rolled) -> Result<(), OfferError> {
        let Rolled { invocation, order, released, ended } = rolled;
        if !ended.is_empty() {
            info!(invocation.id = invocation.uid, tasks = ended.len(), "tasks of a rollout were not accepted in time");
        }
        let offered = self.offer(order, &released).await;
        let change = Changed { invocation, tasks: ChangedTasks::Of(ended) };
        self.hub.announce(&self.store, &[change]).await;
        offered
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

    /// Offers an order to all who were released and have not answered; a link passes over what it has sent.
    async fn offer_again(&self, order: OrderKey) -> Result<(), OfferError> {
        let mut after = (order, 0);
        loop {
            let page = self.store.deliveries(after, DELIVERIES).await?;
            let of_it = page.iter().take_while(|delivery| delivery.order.key == order).count();
            let waiting = page.get(..of_it).unwrap_or_default();
            self.offer(order, &plan::offers(waiting, |instance| self.links.linked(instance), clock::now_ms())).await?;
            match waiting.last() {
                Some(last) if i64::try_from(of_it).unwrap_or(0) >= DELIVERIES => after = (order, last.instance),
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use tempfile::TempDir;

    use super::*;
    use crate::shutdown::Phase;
    use crate::store::tests::cases;

    #[test]
    fn where_a_clock_was_set_waits_begin_anew() {
        let start = Instant::now();
        let mut watch = Watch::new(1_000_000, start);
        let mut since = |now_ms, after_s| watch.look(now_ms, start + Duration::from_secs(after_s)).since_ms;
        assert_eq!(since(1_015_000, 15), 1_000_000);
        assert_eq!(since(1_031_000, 30), 1_000_000, "a second is no step");
        assert_eq!(since(5_000_000, 31), 5_000_000, "forwards");
        assert_eq!(since(5_001_000, 32), 5_000_000);
        assert_eq!(since(900_000, 33), 900_000, "backwards");
    }

    #[tokio::test]
    async fn what_was_released_and_never_offered_is_offered_though_wakes_never_cease() {
        let directory = TempDir::new().unwrap();
        let phase = Phase::new("test");
        let store = Store::open_lite(directory.path(), &phase).await.unwrap();
        let key = cases::rollouts::ten_at_a_time(&store, 11).await;
        // By another server, or by this one right before an error.
        let released = store.roll(key, cases::rollouts::at(0)).await.unwrap().unwrap().released;
        let links = Links::default();
        let mut outboxes: Vec<_> = released.iter().map(|instance| links.enter(*instance).1).collect();
        let offers = Offers::new(store.clone());
        let roller = Roller { store, offers, links, hub: Hub::default() };
        let mut watch = Watch::new(0, Instant::now());
        let mut full = Some(Instant::now());
        roller.look(&mut watch, &mut full).await;
        assert!(outboxes.iter_mut().all(|outbox| outbox.try_recv().is_err()), "not with every wake");
        full = full.and_then(|last| last.checked_sub(LOOK));
        roller.look(&mut watch, &mut full).await;
        assert!(outboxes.iter_mut().all(|outbox| outbox.try_recv().is_ok()));
        assert!(full.is_some_and(|last| last.elapsed() < LOOK));
        phase.end().await;
    }
}
