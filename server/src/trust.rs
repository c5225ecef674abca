//! The keyring in force, as this server believes it.
//!
//! Owns the newest keyring as a [`Verified`] value and the rule by which a new one is taken: the same root keys, a higher revision.
//! The server gives its word to nobody with this; agents verify against their own pin.

use std::sync::Arc;

use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::error::Refusal;
use orderly_signing::key::SecretKey;
use orderly_signing::keyring::Keyring;
use orderly_signing::verify::{Verified, verify_keyring};
use tokio::sync::watch;

use crate::clock;
use crate::store::row::KeyringRow;
use crate::store::{Store, StoreError};

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
            return Err(TrustError::NotNewer { offered: keyring.revision, current: keyring.revision });
        }
        self.current.send_replace(Some(Arc::clone(&keyring)));
        Ok(keyring)
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
