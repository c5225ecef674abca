//! Offers: an order with what one instance needs to check it.
//!
//! Owns a bounded cache of orders with their trees of targets, so that the tree is built once for an invocation and not once per
//! instance; whoever stores an order may put it in. Never decides to whom an order goes, never sends. Only a cache: everything is read from the store again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use orderly_signing::envelope::Envelope;
use orderly_signing::instance::InstanceId;
use orderly_signing::merkle::{TargetError, TargetSet};
use orderly_signing::order::{Action, Order};
use orderly_wire::to_agent::{Offer, PluginDocuments};
use tokio::sync::OnceCell;

use crate::store::row::{OrderBody, OrderKey};
use crate::store::{Store, StoreError};

/// Targets of all cached orders together, at most; a target takes about 200 bytes.
const TARGETS_MAX: u64 = 500_000;

/// Cached orders, at most.
const ORDERS_MAX: usize = 1024;

/// How long a plugin's documents are taken as they were read: an approval may have followed, over another server too, and an
/// instance that knows the newer one refuses the older.
const FRESH: Duration = Duration::from_secs(5);

/// Why an order cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The store.
    #[error("the order could not be read")]
    Store(#[from] StoreError),
    /// It is not there.
    #[error("order {0} is not in the store")]
    Unknown(OrderKey),
    /// Its targets make no tree.
    #[error("the targets of order {key} make no set")]
    Targets {
        /// The order.
        key: OrderKey,
        /// Why.
        #[source]
        source: TargetError,
    },
}

/// An order that is ready to be offered to any of its targets.
#[derive(Debug)]
pub struct Prepared {
    /// The order.
    pub body: OrderBody,
    targets: Arc<TargetSet>,
    read: Instant,
    /// Found out when the first instance gets it.
    values: OnceLock<bool>,
}

impl Prepared {
    /// Whether its script has values, and so may name what only this server knows of an instance.
    #[must_use]
    pub fn has_values(&self) -> bool {
        let substitutes = |envelope: Envelope| {
            let order = serde_json::from_slice::<Order>(&envelope.payload).ok()?;
            Some(matches!(order.action, Action::Script(script) if !script.substitution.is_off()))
        };
        let found = || Envelope::parse(&self.body.envelope).ok().and_then(substitutes).unwrap_or(false);
        self.body.plugin.is_none() && *self.values.get_or_init(found)
    }

    fn is_fresh(&self) -> bool {
        self.body.plugin.is_none() || self.read.elapsed() < FRESH
    }

    /// The offer for an instance, or `None` where it is not a target.
    #[must_use]
    pub fn offer(&self, instance: &InstanceId) -> Option<Offer> {
        let plugin = self.body.plugin.as_ref().map(|(plugin, documents)| PluginDocuments {
            component: plugin.component,
            component_bytes: u64::try_from(plugin.component_bytes).unwrap_or(0),
            manifest: documents.manifest.clone(),
            statement: documents.statement.clone(),
            approval: documents.approval.clone(),
        });
        Some(Offer {
            order: self.body.envelope.clone(),
            proof: self.targets.proof(instance)?,
            content: self.body.content.clone(),
            plugin,
            // The link fills them in where the order has values.
            built_ins: BTreeMap::new(),
            // Nobody knows beforehand whether somebody will look; where nobody does, the hub drops the output.
            live: true,
        })
    }
}

type Slot = Arc<OnceCell<Arc<Prepared>>>;

#[derive(Debug, Default)]
struct Cache {
    slots: HashMap<OrderKey, Slot>,
    /// Oldest first, with the targets of each.
    age: VecDeque<(OrderKey, u64)>,
    targets: u64,
}

impl Cache {
    /// Takes an order out of what is counted.
    fn uncount(&mut self, key: OrderKey) {
        if let Some(at) = self.age.iter().position(|(counted, _)| *counted == key)
            && let Some((_, targets)) = self.age.remove(at)
        {
            self.targets -= targets;
        }
    }
}

/// The cache; cheap to clone.
#[derive(Debug, Clone)]
pub struct Offers {
    store: Store,
    // A std mutex: held to look a slot up only, never over an await.
    cache: Arc<Mutex<Cache>>,
}

impl Offers {
    /// An empty cache over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, cache: Arc::default() }
    }

    /// An order, prepared once however many ask for it at the same time.
    ///
    /// # Errors
    /// Where the store fails or holds no such order.
    pub async fn prepared(&self, key: OrderKey) -> Result<Arc<Prepared>, OfferError> {
        let (slot, tree) = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = cache.slots.entry(key).or_default();
            let stale = slot.get().filter(|prepared| !prepared.is_fresh());
            // Documents may change, the targets of an order never do.
            let tree = stale.map(|prepared| Arc::clone(&prepared.targets));
            if tree.is_some() {
                *slot = Slot::default();
            }
            (Arc::clone(slot), tree)
        };
        let prepared = slot
            .get_or_try_init(|| async {
                let prepared = self.prepare(key, tree).await?;
                self.keep(key, prepared.targets.count());
                Ok::<_, OfferError>(Arc::new(prepared))
            })
            .await;
        if prepared.is_err() {
            self.cache.lock().unwrap_or_else(PoisonError::into_inner).slots.remove(&key);
        }
        prepared.cloned()
    }

    /// Takes in an order that was just stored, so that its first offer reads nothing.
    pub fn put(&self, body: OrderBody, targets: TargetSet) {
        let (key, count) = (body.head.key, targets.count());
        let slot = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cache.slots.entry(key).or_default())
        };
        // Where somebody was faster, theirs is as good.
        if slot
            .set(Arc::new(Prepared { body, targets: Arc::new(targets), read: Instant::now(), values: OnceLock::new() }))
            .is_ok()
        {
            self.keep(key, count);
        }
    }

    /// Forgets the orders of a plugin, since its approval has changed.
    pub fn forget_plugin(&self, plugin: i64) {
        let of_it = |prepared: &Arc<Prepared>| prepared.body.plugin.as_ref().is_some_and(|(row, _)| row.key == plugin);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<OrderKey> =
            cache.slots.iter().filter(|(_, slot)| slot.get().is_some_and(of_it)).map(|(key, _)| *key).collect();
        for key in gone {
            cache.slots.remove(&key);
            cache.uncount(key);
        }
    }

    async fn prepare(&self, key: OrderKey, tree: Option<Arc<TargetSet>>) -> Result<Prepared, OfferError> {
        let read = Instant::now();
        let mut body = self.store.order(key).await?.ok_or(OfferError::Unknown(key))?;
        if let Some(targets) = tree {
            return Ok(Prepared { body, targets, read, values: OnceLock::new() });
        }
        let targets = match body.targets.take() {
            Some(targets) => targets,
            None => self.store.targets(body.head.invocation).await?,
        };
        let targets = TargetSet::of_instances(targets).map_err(|source| OfferError::Targets { key, source })?;
        let targets = Arc::new(targets);
        Ok(Prepared { body, targets, read, values: OnceLock::new() })
    }

    /// Counts an order in and lets the oldest go that are too many.
    fn keep(&self, key: OrderKey, targets: u64) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // An order that was read anew is counted once.
        cache.uncount(key);
        cache.age.push_back((key, targets));
        cache.targets += targets;
        while cache.age.len() > 1 && (cache.targets > TARGETS_MAX || cache.age.len() > ORDERS_MAX) {
            if let Some((oldest, count)) = cache.age.pop_front() {
                cache.slots.remove(&oldest);
                cache.targets -= count;
            }
        }
    }
}
