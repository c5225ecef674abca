//! The keyring in force, as this server believes it.
//!
//! Owns the newest keyring as a [`Verified`] value and the rule by which a new one is taken: the same root keys, a higher revision.
//! Where several servers share a database, it looks for what another one published; that loop stops with its phase. The
//! server gives its word to nobody with this; agents verify against their own pin.

use std::sync::Arc;
use std::time::Duration;

use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::error::Refusal;
use orderly_signing::key::SecretKey;
use orderly_signing::keyring::Keyring;
use orderly_signing::verify::{Verified, verify_keyring};
use tokio::sync::watch;
use tracing::error;

use crate::clock;
use crate::shutdown::Phase;
use crate::store::row::KeyringRow;
use crate::store::{Store, StoreError};

/// How often the store is looked at for the keyring that another server published.
const LOOK: Duration = Duration::from_secs(15);

/// Why a keyring is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It does not verify.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not newer than the one in force.
    #[error("the keyring has revision {offered}, and {current} is in force")]
    NotNewer {
        /// Its revision.
        offered: u64,
        /// The one in force.
        current: u64,
    },
    /// The store.
    #[error("the keyring could not be stored")]
    Store(#[from] StoreError),
}

/// The keyring in force and the key with which this server signs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust {
    store: Store,
    dispatch: Arc<SecretKey>,
    current: Arc<watch::Sender<Option<Arc<Verified<Keyring>>>>>,
}

impl Trust {
    /// Loads the keyring in force from the store.
    ///
    /// # Errors
    /// Where the store fails, or its keyring no longer verifies.
    pub async fn load(store: Store, dispatch: Arc<SecretKey>) -> Result<Self, TrustError> {
        let current = match store.keyring().await? {
            Some(row) => Some(Arc::new(verify_keyring(&row.envelope, &row.root, 0, clock::now_ms())?)),
            None => None,
        };
        Ok(Self { store, dispatch, current: Arc::new(watch::Sender::new(current)) })
    }

    /// The keyring in force, where one was published.
    #[must_use]
    pub fn keyring(&self) -> Option<Arc<Verified<Keyring>>> {
        self.current.borrow().clone()
    }

    /// Tells when the keyring changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Verified<Keyring>>>> {
        self.current.subscribe()
    }

    /// The key with which this server signs orders.
    #[must_use]
    pub fn dispatch(&self) -> &SecretKey {
        &self.dispatch
    }

    /// Takes a new keyring: signed by the root keys of the one in force and newer than it. The first one brings its own
    /// root, which agents then pin. The one in force may come again.
    ///
    /// # Errors
    /// Where it does not verify, is not newer, or cannot be stored.
    pub async fn publish(&self, bytes: &[u8]) -> Result<Arc<Verified<Keyring>>, TrustError> {
        let now_ms = clock::now_ms();
        let current = self.keyring();
        let pin = match &current {
            Some(keyring) => keyring.root_fingerprint(),
            None => first_root(bytes),
        };
        let keyring = Arc::new(verify_keyring(bytes, &pin, 0, now_ms)?);
        if let Some(current) = current {
            if current.digest() == keyring.digest() {
                return Ok(current);
            }
            if keyring.revision <= current.revision {
                return Err(TrustError::NotNewer { offered: keyring.revision, current: current.revision });
            }
        }
        let row = KeyringRow {
            revision: i64::try_from(keyring.revision).unwrap_or(i64::MAX),
            root: pin,
            envelope: bytes.to_vec(),
            created_ms: now_ms,
        };
        if !self.store.add_keyring(row).await? {
            // Another server, or another request, was faster.
            self.refresh().await?;
            let current = self.keyring().map_or(0, |current| current.revision);
            return Err(TrustError::NotNewer { offered: keyring.revision, current });
        }
        self.take(Arc::clone(&keyring));
        Ok(keyring)
    }

    /// Puts a keyring in force, unless a newer one is.
    fn take(&self, keyring: Arc<Verified<Keyring>>) {
        self.current.send_if_modified(|current| {
            let newer = current.as_ref().is_none_or(|current| current.revision < keyring.revision);
            if newer {
                *current = Some(keyring);
            }
            newer
        });
    }

    /// Takes the keyring of the store, where another server published a newer one.
    ///
    /// # Errors
    /// Where the store fails, or its keyring does not verify with the root keys of the one in force.
    pub async fn refresh(&self) -> Result<(), TrustError> {
        let Some(row) = self.store.keyring().await? else { return Ok(()) };
        let current = self.keyring();
        if current
            .as_ref()
            .is_none_or(|current| i64::try_from(current.revision).is_ok_and(|known| known < row.revision))
        {
            let pin = current.map_or(row.root, |current| current.root_fingerprint());
            self.take(Arc::new(verify_keyring(&row.envelope, &pin, 0, clock::now_ms())?));
        }
        Ok(())
    }

    /// Looks in `phase` for what other servers publish, where there may be others.
    pub fn follow(&self, phase: &Phase) {
        if !self.store.is_shared() {
            return;
        }
        let (trust, stop) = (self.clone(), phase.token());
        phase.spawn("keyring", async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = stop.cancelled() => return,
                }
                if let Err(error) = trust.refresh().await {
                    error!(error = ?error, "the keyring of the store was not taken");
                }
            }
        });
    }
}

/// The fingerprint of the root keys that a first keyring names, for it to be verified against itself: nobody has pinned
/// anything yet. Bytes that name none get a fingerprint that no keyring has.
fn first_root(bytes: &[u8]) -> Digest {
    Envelope::parse(bytes)
        .ok()
        .and_then(|envelope| serde_json::from_slice::<Keyring>(&envelope.payload).ok())
        .map_or(Digest::ZERO, |keyring| keyring.root_fingerprint())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::tests::fleet::{Fleet, key};

    #[tokio::test]
    async fn a_keyring_that_another_server_published_is_taken_and_an_older_one_never() {
        let directory = tempfile::TempDir::new().unwrap();
        let phase = Phase::new("test");
        let store = Store::open_lite(directory.path(), &phase).await.unwrap();
        let fleet = Fleet::new();
        let dispatch = Arc::new(key());
        let one = Trust::load(store.clone(), Arc::clone(&dispatch)).await.unwrap();
        let other = Trust::load(store.clone(), Arc::clone(&dispatch)).await.unwrap();
        let revision = |trust: &Trust| trust.keyring().map(|keyring| keyring.revision);
        other.refresh().await.unwrap();
        assert_eq!(revision(&other), None);
        one.publish(&fleet.keyring(1, dispatch.public())).await.unwrap();
        one.publish(&fleet.keyring(2, dispatch.public())).await.unwrap();
        other.refresh().await.unwrap();
        assert_eq!(revision(&other), Some(2));
        one.publish(&fleet.keyring(4, dispatch.public())).await.unwrap();
        // What is in force elsewhere is said, and taken, when a publication comes too late.
        let late = other.publish(&fleet.keyring(3, dispatch.public())).await;
        assert!(matches!(late, Err(TrustError::NotNewer { offered: 3, current: 4 })), "{late:?}");
        assert_eq!(revision(&other), Some(4));
        // A row that other root keys signed is nothing to take.
        let foreign = KeyringRow {
            revision: 9,
            root: Digest::of(b"root"),
            envelope: Fleet::new().keyring(9, dispatch.public()),
            created_ms: 1,
        };
        assert!(store.add_keyring(foreign).await.unwrap());
        assert!(matches!(other.refresh().await, Err(TrustError::Refused(_))));
        assert_eq!(revision(&other), Some(4));
        phase.end().await;
    }
}
