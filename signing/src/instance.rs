//! Ids of instances, which certify themselves.
//!
//! Owns the rule that an instance id is computed from the instance's public key, so that nobody can map an id to
//! another key. It never knows what an instance is beyond that.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{digest::Digest, key::PublicKey};

/// What stands in front of the base32 characters.
const PREFIX: &str = "i-";

/// How many base32 characters follow: 130 bits, so that a second key for an id is out of reach.
const CHARACTERS: usize = 26;

/// The id of an instance: `i-` and the first 26 lower-case RFC 4648 base32 characters (130 bits) of the SHA-256 of the
/// instance key's SPKI DER.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(String);

impl InstanceId {
    /// The id that this key certifies.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let mut text = BASE32_NOPAD.encode(Digest::of(&key.to_spki_der()).as_bytes());
        text.truncate(CHARACTERS);
        text.make_ascii_lowercase();
        Self(format!("{PREFIX}{text}"))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not an instance id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an instance id is `i-` and 26 characters of a-z and 2-7")]
pub struct InstanceIdError;

impl FromStr for InstanceId {
    type Err = InstanceIdError;

    fn from_str(text: &str) -> Result<Self, InstanceIdError> {
        let rest = text.strip_prefix(PREFIX).ok_or(InstanceIdError)?;
        let fits = rest.len() == CHARACTERS && rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        if fits { Ok(Self(text.to_owned())) } else { Err(InstanceIdError) }
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn comes_from_the_key_and_round_trips() {
        let key = SecretKey::from_seed([7; 32]);
        let id = InstanceId::of(key.public());
        assert_eq!(id.as_str().len(), 28);
        assert_eq!(id.as_str().parse::<InstanceId>().unwrap(), id);
        assert_eq!(serde_json::from_str::<InstanceId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert_ne!(id, InstanceId::of(SecretKey::from_seed([8; 32]).public()));
        // 26 base32 characters are the first 130 bits: the first 16 bytes decode to those of the key id.
        let padded = format!("{}AAAAAA", id.as_str()[2..].to_uppercase());
        let bytes = BASE32_NOPAD.decode(padded.as_bytes()).unwrap();
        assert_eq!(bytes[..16], key.public().key_id().as_bytes()[..16]);
    }

    #[test]
    fn other_spellings_are_refused() {
        let id = InstanceId::of(SecretKey::from_seed([7; 32]).public()).0;
        for wrong in [&id[2..], &id[..27], &format!("{id}a"), &id.to_uppercase(), &format!("{}1", &id[..27]), ""] {
            assert_eq!(wrong.parse::<InstanceId>(), Err(InstanceIdError), "{wrong}");
        }
    }
}
