//! The dispatcher: brings orders from the store to the links, and ends what was not delivered in time.
//!
//! Owns three level-triggered loops. A wake-up carries no data: all read the store again, and may be killed anywhere. Never waits for an
//! agent. All stop with their phase.

mod deadline;
mod plan;
mod rollout;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::rollout::Roller;
use crate::clock;
use crate::link::Links;
use crate::live::Hub;
use crate::offer::{OfferError, Offers};
use crate::shutdown::Phase;
use crate::store::Store;
use crate::store::row::{InstanceKey, OrderKey};

/// How often the loops look without being woken: what another server put into a shared database is found then.
const LOOK: Duration = Duration::from_secs(15);

/// Deliveries read at once.
const DELIVERIES: i64 = 1000;

/// Wakes the loop of rollouts; whoever stores that tasks of one have ended has one too.
pub type Rolls = Arc<Notify>;

#[derive(Debug, Default)]
struct Wakes {
    orders: Notify,
    deadlines: Notify,
}

/// Wakes the dispatcher; cheap to clone.
#[derive(Debug, Clone)]
pub struct Nudge {
    wakes: Arc<Wakes>,
    rolls: Rolls,
}

impl Nudge {
    /// Says that a rollout was stored, or that somebody has steered one.
    pub fn roll(&self) {
        self.rolls.notify_one();
    }

    /// Says that something in the store has changed. Carries no data and never waits.
    pub fn look(&self) {
        self.wakes.orders.notify_one();
        self.wakes.deadlines.notify_one();
    }
}

/// Starts all loops in `phase`.
#[must_use]
pub fn spawn(store: Store, offers: Offers, links: Links, hub: Hub, rolls: Rolls, phase: &Phase) -> Nudge {
    let nudge = Nudge { wakes: Arc::default(), rolls };
    let roller = Roller { store: store.clone(), offers: offers.clone(), links: links.clone(), hub: hub.clone() };
    phase.spawn("rollouts", roller.run(Arc::clone(&nudge.rolls), phase.token()));
    let wakes = Arc::clone(&nudge.wakes);
    phase.spawn("dispatcher", dispatch(store.clone(), offers, links, wakes, phase.token()));
    phase.spawn("deadlines", deadline::run(store, hub, Arc::clone(&nudge.wakes), phase.token()));
    nudge
}

async fn dispatch(store: Store, offers: Offers, links: Links, wakes: Arc<Wakes>, stop: CancellationToken) {
    // A link reads what waits for it when it opens, so everything up to here is theirs to read: none is open yet.
    let mut done: Option<(OrderKey, InstanceKey)> = None;
    loop {
        let looked = match done {
            Some(after) => look(&store, &offers, &links, after).await,
            None => store.newest_order().await.map(|newest| (newest, InstanceKey::MAX)).map_err(OfferError::Store),
        };
        match looked {
            Ok(after) => done = Some(after),
            Err(error) => error!(error = ?error, "orders could not be dispatched; they are looked at again"),
        }
        tokio::select! {
            () = wakes.orders.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Gives what waits after `after` to the links of the targets, and answers up to where. All deliveries of an order are stored with it,
/// so nothing is added before that later; those of a rollout are not, and its own loop offers them.
async fn look(
    store: &Store,
    offers: &Offers,
    links: &Links,
    mut after: (OrderKey, InstanceKey),
) -> Result<(OrderKey, InstanceKey), OfferError> {
    loop {
        let waiting = store.deliveries(after, DELIVERIES).await?;
        for of_one in waiting.chunk_by(|one, next| one.order.key == next.order.key) {
            let now = plan::offers(of_one, |instance| links.linked(instance), clock::now_ms());
            if let (Some(first), false) = (of_one.first(), now.is_empty()) {
                let prepared = offers.prepared(first.order.key).await?;
                for instance in now {
                    links.offer(instance, &prepared);
                }
            }
        }
        if let Some(last) = waiting.last() {
            after = (last.order.key, last.instance);
        }
        // A short page is the last.
        if i64::try_from(waiting.len()).unwrap_or(0) < DELIVERIES {
            return Ok(after);
        }
    }
}
