//! The opening of a link: who is there, and is it proven for this very connection?

use orderly_signing::instance::InstanceId;
use orderly_signing::key::PublicKey;
use orderly_signing::proof::link_message;
use orderly_wire::to_server::Hello;
use orderly_wire::version;

use crate::intake::Reporter;
use crate::store::{Store, StoreError};

/// Why a link is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    /// No version in common.
    #[error(
        "the agent speaks versions {oldest} to {newest} of the link, this server {} to {}",
        version::LINK_VERSION_MIN,
        version::LINK_VERSION
    )]
    Version {
        /// The agent's oldest.
        oldest: u32,
        /// The agent's newest.
        newest: u32,
    },
    /// Nobody enrolled this instance here.
    #[error("instance `{0}` is not enrolled at this server")]
    Unknown(InstanceId),
    /// The proof is not this instance's for this connection.
    #[error("the proof of instance `{0}` does not verify on this connection")]
    Proof(InstanceId),
    /// What it says of itself is out of bounds.
    #[error("the facts of instance `{0}` are out of bounds")]
    Facts(InstanceId),
    /// The store.
    #[error("the instance could not be looked up")]
    Store(#[from] StoreError),
}

impl HelloError {
    /// The code of the goodbye.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::Unknown(_) => "unknown-instance",
            Self::Proof(_) => "proof",
            Self::Facts(_) => "facts",
            Self::Store(_) => "stopping",
        }
    }
}

/// A link whose other end is proven.
pub(super) struct Proven {
    pub(super) version: u32,
    pub(super) uid: InstanceId,
    pub(super) reporter: Reporter,
    /// Facts as JSON, where they are not those of the store.
    pub(super) new_facts: Option<String>,
    pub(super) boot_id: String,
    pub(super) keyring_revision: u64,
}

/// Whether `proof` is the signature of `key` for this purpose on the connection with this exporter.
#[must_use]
pub fn verify_proof(key: &PublicKey, purpose: &str, instance: &InstanceId, exporter: &[u8; 32], proof: &[u8]) -> bool {
    let Ok(signature) = <&[u8; 64]>::try_from(proof) else {
        return false;
    };
    InstanceId::of(key) == *instance && key.verify(&link_message(purpose, instance, exporter), signature)
}

/// Checks a hello.
pub(super) async fn check(store: &Store, exporter: &[u8; 32], hello: Hello) -> Result<Proven, HelloError> {
    let version = version::agree(hello.oldest, hello.newest)
        .ok_or(HelloError::Version { oldest: hello.oldest, newest: hello.newest })?;
    let unknown = || HelloError::Unknown(hello.instance.clone());
    let row = store.instance(&hello.instance).await?.ok_or_else(unknown)?;
    let key = PublicKey::from_spki_der(&row.public_key).map_err(|_| unknown())?;
    if !verify_proof(&key, "link", &hello.instance, exporter, &hello.proof) {
        return Err(HelloError::Proof(hello.instance));
    }
    if hello.facts.check().is_err() || hello.boot_id.len() > 128 {
        return Err(HelloError::Facts(hello.instance));
    }
    let facts = serde_json::to_string(&hello.facts).unwrap_or_default();
    Ok(Proven {
        version,
        uid: hello.instance,
        reporter: Reporter { instance: row.key, key },
        new_facts: (facts != row.facts).then_some(facts),
        boot_id: hello.boot_id,
        keyring_revision: hello.keyring_revision,
    })
}
