//! Who this instance is, whom it trusts, and the keyring in force.
//!
//! Owns three files of the data directory: `instance.pem` (the key, made once, never leaves), `identity.json` (server and
//! pins; written last at enrolment, so that a crash leaves "not enrolled" and the key is used again) and
//! `keyring.json` (the envelope as it came, verified anew at each start). It never talks to the server.

use orderly_signing::digest::Digest;
use orderly_signing::error::Refusal;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::SecretKey;
use orderly_signing::key::file::{KeyFileError, load_secret, save_secret};
use orderly_signing::keyring::Keyring;
use orderly_signing::verify::{Verified, verify_keyring};
use serde::{Deserialize, Serialize};

use crate::directory::{Directory, DirectoryError};
use crate::platform;
use crate::transport::{Endpoint, EndpointError};

const KEY: &str = "instance.pem";
const IDENTITY: &str = "identity.json";
const KEYRING: &str = "keyring.json";

/// The identity cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// There is none.
    #[error(
        "this instance is not enrolled: run the line that `orderly activation create` prints, with the same `--data-dir`"
    )]
    NotEnrolled,
    /// The directory.
    #[error("the identity is out of reach")]
    Directory(#[source] DirectoryError),
    /// The key file.
    #[error("the instance key cannot be used")]
    Key(#[source] KeyFileError),
    /// No randomness.
    #[error("the system gives no random bytes for a key")]
    Random(#[source] std::io::Error),
    /// Not what we write.
    #[error("`{IDENTITY}` is damaged: enrol again with `--force`")]
    Damaged(#[source] serde_json::Error),
    /// Its server is no address.
    #[error("`{IDENTITY}` is damaged: enrol again with `--force`")]
    Server(#[source] EndpointError),
    /// The key is not that of the identity.
    #[error(
        "`{KEY}` is the key of `{key}`, `{IDENTITY}` says `{said}`: put the right file back, or enrol again with `--force`"
    )]
    OtherKey {
        /// The id of the key.
        key: InstanceId,
        /// The id in the file.
        said: InstanceId,
    },
    /// The keyring is missing.
    #[error("`{KEYRING}` is missing: enrol again with `--force`")]
    NoKeyring,
    /// The keyring does not verify.
    #[error("`{KEYRING}` does not verify: enrol again with `--force`")]
    Keyring(#[source] Refusal),
}

/// What `identity.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    /// Always 1.
    pub version: u32,
    /// The instance's id.
    pub instance: InstanceId,
    /// Its name on the server.
    pub name: String,
    /// The server, `https://HOST:PORT`.
    pub server: String,
    /// SHA-256 of the server's CA certificate.
    pub ca: Digest,
    /// The fingerprint of the fleet's root keys.
    pub root: Digest,
    /// When it enrolled.
    pub enrolled_ms: i64,
}

/// An enrolled instance.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Its key.
    pub key: SecretKey,
    /// Server and pins.
    pub pins: Pins,
    /// The server.
    pub server: Endpoint,
}

impl Identity {
    /// Reads who we are.
    ///
    /// # Errors
    /// Not enrolled, or what is there is damaged.
    pub(crate) fn load(directory: &Directory) -> Result<Self, IdentityError> {
        let bytes = directory.read(IDENTITY).map_err(IdentityError::Directory)?.ok_or(IdentityError::NotEnrolled)?;
        let pins: Pins = serde_json::from_slice(&bytes).map_err(IdentityError::Damaged)?;
        let server = pins.server.parse().map_err(IdentityError::Server)?;
        let key = load_secret(directory.path().join(KEY)).map_err(IdentityError::Key)?;
        let id = InstanceId::of(key.public());
        if id != pins.instance {
            return Err(IdentityError::OtherKey { key: id, said: pins.instance });
        }
        Ok(Self { key, pins, server })
    }

    /// The instance's id.
    pub(crate) fn id(&self) -> &InstanceId {
        &self.pins.instance
    }
}

/// Whether there is an identity already.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn is_enrolled(directory: &Directory) -> Result<bool, IdentityError> {
    directory.read(IDENTITY).map(|bytes| bytes.is_some()).map_err(IdentityError::Directory)
}

/// The instance key: the one that is there, else a new one.
///
/// # Errors
/// It cannot be read or made.
pub(crate) fn key(directory: &Directory) -> Result<SecretKey, IdentityError> {
    let path = directory.path().join(KEY);
    if path.symlink_metadata().is_err() {
        let key = SecretKey::from_seed(platform::random().map_err(IdentityError::Random)?);
        save_secret(&path, &key).map_err(IdentityError::Key)?;
    }
    load_secret(&path).map_err(IdentityError::Key)
}

/// Writes the identity: the last step of an enrolment.
///
/// # Errors
/// It cannot be written.
pub(crate) fn save(directory: &Directory, pins: &Pins) -> Result<(), IdentityError> {
    let json = serde_json::to_vec_pretty(pins).map_err(IdentityError::Damaged)?;
    directory.write(IDENTITY, &json).map_err(IdentityError::Directory)
}

/// Reads and verifies the keyring in force.
///
/// # Errors
/// It is missing or does not verify under the pin. A stale one is not an error.
pub(crate) fn keyring(directory: &Directory, root: &Digest, now_ms: i64) -> Result<Verified<Keyring>, IdentityError> {
    let bytes = directory.read(KEYRING).map_err(IdentityError::Directory)?.ok_or(IdentityError::NoKeyring)?;
    verify_keyring(&bytes, root, 0, now_ms).map_err(IdentityError::Keyring)
}

/// Puts a verified keyring in force, byte for byte as it came.
///
/// # Errors
/// It cannot be written; the old one stays in force.
pub(crate) fn save_keyring(directory: &Directory, keyring: &Verified<Keyring>) -> Result<(), IdentityError> {
    directory.write(KEYRING, keyring.envelope_json()).map_err(IdentityError::Directory)
}
