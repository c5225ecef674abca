//! The keys of a fleet under test, and the keyring over them.
//!
//! Owns one key for each offline role, made anew for each fleet. It signs what a test asks for, lies included.

use orderly_signing::envelope::Envelope;
use orderly_signing::keyring::{Keyring, KeyringKey, Requirement, Role, RoleKeys, Tier};
use orderly_signing::sign;
use orderly_signing::{Digest, PublicKey, SecretKey};
use std::collections::BTreeMap;

use crate::api::now_ms;

/// A day in milliseconds.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The keys of the owners, the security team, an operator and an author.
pub struct Trust {
    /// Signs keyrings.
    pub root: SecretKey,
    /// Signs approvals.
    pub vetting: SecretKey,
    /// Signs orders.
    pub operator: SecretKey,
    /// Signs plugin statements.
    pub publisher: SecretKey,
}

/// A new key.
///
/// # Panics
/// Where the machine has no randomness.
#[must_use]
pub fn new_key() -> SecretKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("randomness");
    SecretKey::from_seed(seed)
}

impl Trust {
    /// New keys.
    #[must_use]
    pub fn new() -> Self {
        Self { root: new_key(), vetting: new_key(), operator: new_key(), publisher: new_key() }
    }

    /// The keyring of these keys and a server's dispatch key, with the usual policy and some tiers set otherwise.
    #[must_use]
    pub fn keyring(&self, revision: u64, dispatch: &PublicKey, policy: &[(Tier, Requirement)]) -> Keyring {
        let holders = [
            (Role::Root, self.root.public()),
            (Role::Vetting, self.vetting.public()),
            (Role::Operator, self.operator.public()),
            (Role::Publisher, self.publisher.public()),
            (Role::Dispatch, dispatch),
        ];
        let mut tiers = Keyring::default_policy();
        tiers.extend(policy.iter().copied());
        Keyring {
            version: 1,
            revision,
            fleet: "under-test".to_owned(),
            issued_ms: now_ms(),
            expires_ms: now_ms() + 30 * DAY_MS,
            keys: holders
                .iter()
                .map(|(role, key)| KeyringKey { name: role.to_string(), key: (*key).clone() })
                .collect(),
            roles: holders
                .iter()
                .map(|(role, key)| (*role, RoleKeys { threshold: 1, keys: vec![key.key_id()] }))
                .collect::<BTreeMap<_, _>>(),
            policy: tiers,
        }
    }

    /// The keyring, signed by the root key.
    ///
    /// # Panics
    /// Where it is out of bounds.
    #[must_use]
    pub fn signed(&self, keyring: &Keyring) -> Envelope {
        sign::sign_keyring(keyring, &self.root).expect("a keyring within bounds")
    }

    /// What agents pin.
    #[must_use]
    pub fn root_fingerprint(&self) -> Digest {
        self.keyring(1, new_key().public(), &[]).root_fingerprint()
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::new()
    }
}
