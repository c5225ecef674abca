//! The links of agents: who is connected, and how to reach them.
//!
//! Owns the registry (one link per instance, a new one replaces the old) and presence. A link's own loop is in `session`. Never
//! decides what is sent: the dispatcher puts orders into a link's bounded outbox, and a full one means that the link reads its
//! open orders from the store again. Links stop with a goodbye when their phase ends.

mod hello;
mod presence;
mod session;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::intake::Acks;
use crate::offer::Prepared;
use crate::store::row::InstanceKey;

pub use hello::verify_proof;
pub use presence::Presence;
pub use session::{LinkDeps, run};

/// Orders that wait for one link, at most; what is beyond it is read from the store when there is room.
const OUTBOX: usize = 16;

/// What the rest of the server knows of a link.
#[derive(Debug)]
pub struct Link {
    /// Which of all links since the start.
    number: u64,
    outbox: mpsc::Sender<Arc<Prepared>>,
    /// Whether the outbox was full once, so that the store must be read.
    behind: AtomicBool,
    /// What is acknowledged, and what wakes the link.
    pub acks: Arc<Acks>,
    replaced: CancellationToken,
    /// When something was heard on it, in Unix milliseconds.
    heard_ms: AtomicI64,
}

/// All links of this server; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Links {
    // A std lock: held for a look into a map only, never over an await.
    map: Arc<RwLock<HashMap<InstanceKey, Arc<Link>>>>,
    numbers: Arc<AtomicU64>,
}

impl Links {
    /// Whether an instance is linked to this server.
    #[must_use]
    pub fn linked(&self, instance: InstanceKey) -> bool {
        self.map.read().unwrap_or_else(PoisonError::into_inner).contains_key(&instance)
    }

    /// When the link of an instance was last heard, in Unix milliseconds; `None` where it is not linked to this server.
    #[must_use]
    pub fn heard_ms(&self, instance: InstanceKey) -> Option<i64> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.get(&instance).map(|link| link.heard_ms.load(Ordering::Relaxed))
    }

    /// How many links there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.map.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Gives an order to the link of an instance, if there is one; never waits.
    pub fn offer(&self, instance: InstanceKey, order: &Arc<Prepared>) {
        let link = self.map.read().unwrap_or_else(PoisonError::into_inner).get(&instance).cloned();
        if let Some(link) = link
            && link.outbox.try_send(Arc::clone(order)).is_err()
        {
            link.behind.store(true, Ordering::Release);
            link.acks.look.notify_one();
        }
    }

    /// Enters a new link, which ends the one that the instance may have.
    pub(crate) fn enter(&self, instance: InstanceKey) -> (Arc<Link>, mpsc::Receiver<Arc<Prepared>>) {
        let (outbox, orders) = mpsc::channel(OUTBOX);
        let link = Arc::new(Link {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            outbox,
            behind: AtomicBool::new(true),
            acks: Arc::default(),
            replaced: CancellationToken::new(),
            heard_ms: AtomicI64::new(clock::now_ms()),
        });
        let old = self.map.write().unwrap_or_else(PoisonError::into_inner).insert(instance, Arc::clone(&link));
        if let Some(old) = old {
            old.replaced.cancel();
        }
        (link, orders)
    }

    /// Takes a link out, unless another has taken its place.
    fn leave(&self, instance: InstanceKey, link: &Link) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.get(&instance).is_some_and(|current| current.number == link.number) {
            map.remove(&instance);
        }
    }
}
