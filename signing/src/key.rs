//! Ed25519 keys: PEM in and out, key ids, signing, strict verifying.
//!
//! Owns the key types of the workspace. A key id is computed from the key (SHA-256 of its SPKI DER) and never taken
//! from a document. It never makes a key by itself: seeds come from the caller. Files are read and written in
//! [`mod@file`] only.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use data_encoding::HEXLOWER;
use ed25519_dalek::{
    Signature, Signer as _, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey as _, DecodePublicKey as _},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::digest::Digest;

pub mod file;

/// DER of an Ed25519 SubjectPublicKeyInfo up to the 32 bytes of the key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// DER of a PKCS#8 version 1 Ed25519 private key up to the 32 bytes of the seed (RFC 8410, section 7). Version 2,
/// which also carries the public key, is not written because OpenSSL before 3.5 does not read it.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The id of a key: lower hex of the SHA-256 of its SPKI DER, 64 digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Digest);

impl KeyId {
    /// The 32 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| KeyError::Id)?;
        bytes.try_into().map(|bytes| Self(Digest::from_bytes(bytes))).map_err(|_| KeyError::Id)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text or some bytes are not a key that we use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not a key id.
    #[error("a key id is 64 lower-case hexadecimal digits")]
    Id,
    /// Not SPKI DER of an Ed25519 key.
    #[error("not an Ed25519 public key in SPKI form (`openssl pkey -pubout` writes one)")]
    Public,
    /// The point has another encoding, or is of small order: one key could stand under two ids, or sign anything.
    #[error("a weak or not canonically encoded Ed25519 public key")]
    Weak,
    /// Not PKCS#8 of an Ed25519 key.
    #[error(
        "not an unencrypted Ed25519 private key in PKCS#8 PEM form (`openssl genpkey -algorithm ed25519` writes one)"
    )]
    Secret,
}

/// An Ed25519 public key: a canonical point that is not of small order. Equal means: the same key material.
#[derive(Clone)]
pub struct PublicKey {
    key: VerifyingKey,
    id: KeyId,
}

impl PublicKey {
    fn from_point(key: VerifyingKey) -> Result<Self, KeyError> {
        // `to_edwards().compress()` is the canonical encoding; another one of the same point would be another id.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != key.as_bytes() {
            return Err(KeyError::Weak);
        }
        let id = KeyId(Digest::of(&spki_der(&key)));
        Ok(Self { key, id })
    }

    /// Reads SPKI DER: exactly 44 bytes.
    ///
    /// # Errors
    /// Not an Ed25519 key, or a weak one.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let bytes = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyError::Public)?;
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Public)?;
        Self::from_point(VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Public)?)
    }

    /// Reads SPKI PEM (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// Not an Ed25519 key, or a weak one.
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_point(VerifyingKey::from_public_key_pem(pem.trim()).map_err(|_| KeyError::Public)?)
    }

    /// The SPKI DER, 44 bytes.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        spki_der(&self.key)
    }

    /// The SPKI PEM, with a line end at the end.
    #[must_use]
    pub fn to_spki_pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(self.to_spki_der()))
    }

    /// The id of this key, computed from it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Whether the signature over the message is by this key. Strict: only the canonical form of a signature counts.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

fn spki_der(key: &VerifyingKey) -> Vec<u8> {
    let mut der = SPKI_PREFIX.to_vec();
    der.extend_from_slice(key.as_bytes());
    der
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.as_bytes() == other.key.as_bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.to_spki_der()))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let der = STANDARD.decode(text).map_err(|_| de::Error::custom(KeyError::Public))?;
        Self::from_spki_der(&der).map_err(de::Error::custom)
    }
}

/// An Ed25519 secret key. Its memory is overwritten when it is dropped, and it never shows in logs.
pub struct SecretKey {
    key: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// Makes the key of a seed: 32 bytes from a source that is fit for keys.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        seed.zeroize();
        Self::from_signing_key(key)
    }

    fn from_signing_key(key: SigningKey) -> Self {
        let public = key.verifying_key();
        // A point that comes from a clamped scalar is neither weak nor encoded in another way.
        let id = KeyId(Digest::of(&spki_der(&public)));
        Self { key, public: PublicKey { key: public, id } }
    }

    /// Reads PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`), version 1 or 2.
    ///
    /// # Errors
    /// Not an unencrypted Ed25519 key.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(pem.trim()).map(Self::from_signing_key).map_err(|_| KeyError::Secret)
    }

    /// The PKCS#8 PEM, version 1, with a line end at the end.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + 32));
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(self.key.as_bytes());
        let body = Zeroizing::new(STANDARD.encode(&*der));
        Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", &*body))
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(redacted, {})", self.public.id)
    }
}

#[cfg(test)]
mod tests;
