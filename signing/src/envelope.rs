//! The envelope of everything that is signed: DSSE version 1.
//!
//! Owns the JSON form, the pre-authentication encoding (PAE) that is signed, and the digest over it. Parsing an
//! envelope believes nothing of it: only `verify` does, and only after a signature has verified. The payload is kept
//! as the bytes that came and is never written anew.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{digest::Digest, key::SecretKey};

/// Payload type of an order.
pub const ORDER_TYPE: &str = "application/vnd.orderly.order.v1+json";
/// Payload type of a receipt.
pub const RECEIPT_TYPE: &str = "application/vnd.orderly.receipt.v1+json";
/// Payload type of a keyring.
pub const KEYRING_TYPE: &str = "application/vnd.orderly.keyring.v1+json";
/// Payload type of an in-toto statement (in-toto attestation framework, DSSE envelope).
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
/// Payload type of an approval by the security team.
pub const APPROVAL_TYPE: &str = "application/vnd.orderly.approval.v1+json";

/// Largest payload: 256 KiB. Larger things are named by digest.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// Largest envelope: base64 of the largest payload, 16 signatures and their labels, 384 KiB in all.
pub const MAX_ENVELOPE_BYTES: usize = 384 * 1024;
/// Most signatures in an envelope.
pub const MAX_SIGNATURES: usize = 16;
/// Longest payload type and longest key id label, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// Longest single signature, in bytes. Ours have 64; others are carried but never count.
pub const MAX_SIGNATURE_BYTES: usize = 1024;

/// A DSSE envelope, as it came or as it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// What the payload is; it is signed with it.
    pub payload_type: String,
    /// The payload, as bytes.
    #[serde(serialize_with = "write_base64", deserialize_with = "read_base64")]
    pub payload: Vec<u8>,
    /// The signatures over [`Envelope::pae`].
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature in an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// A label that narrows which key to try. Never believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyid: Option<String>,
    /// The signature.
    #[serde(serialize_with = "write_base64", deserialize_with = "read_base64")]
    pub sig: Vec<u8>,
}

/// Bytes are not an envelope that we look at.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// Larger, or of more parts, than allowed.
    #[error("the envelope has {found} {what}, at most {limit} are allowed")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// Not the JSON of a DSSE envelope.
    #[error("not a DSSE envelope (JSON with exactly `payloadType`, `payload` and `signatures`)")]
    Json(#[source] serde_json::Error),
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), EnvelopeError> {
    if found > limit { Err(EnvelopeError::TooLarge { what, found, limit }) } else { Ok(()) }
}

impl Envelope {
    /// An envelope without signatures.
    #[must_use]
    pub fn new(payload_type: impl Into<String>, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.into(), payload, signatures: Vec::new() }
    }

    /// Reads the JSON form. Base64 may be the standard or the URL-safe one, as DSSE says; one of the two per value.
    ///
    /// # Errors
    /// Over one of the limits of this module, or not an envelope: an unknown or doubled field is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        within("bytes", bytes.len(), MAX_ENVELOPE_BYTES)?;
        let envelope: Self = serde_json::from_slice(bytes).map_err(EnvelopeError::Json)?;
        within("bytes of payload type", envelope.payload_type.len(), MAX_LABEL_BYTES)?;
        within("bytes of payload", envelope.payload.len(), MAX_PAYLOAD_BYTES)?;
        within("signatures", envelope.signatures.len(), MAX_SIGNATURES)?;
        for signature in &envelope.signatures {
            within("bytes in one signature", signature.sig.len(), MAX_SIGNATURE_BYTES)?;
            within("bytes in one key id", signature.keyid.as_ref().map_or(0, String::len), MAX_LABEL_BYTES)?;
        }
        Ok(envelope)
    }

    /// The JSON form, compact.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Three strings and a list of strings: serde_json can fail on a writer or on a key that is no string only.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What is signed: `DSSEv1 <length> <type> <length> <payload>`.
    #[must_use]
    pub fn pae(&self) -> Vec<u8> {
        let head = format!("DSSEv1 {} {} {} ", self.payload_type.len(), self.payload_type, self.payload.len());
        let mut pae = head.into_bytes();
        pae.extend_from_slice(&self.payload);
        pae
    }

    /// SHA-256 of the PAE: the name of the document. Signatures do not change it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.pae())
    }

    /// Signs the PAE and adds the signature under our key id.
    pub fn add_signature(&mut self, key: &SecretKey) {
        let sig = key.sign(&self.pae()).to_vec();
        self.signatures.push(EnvelopeSignature { keyid: Some(key.public().key_id().to_string()), sig });
    }
}

fn write_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests;
