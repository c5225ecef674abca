//! The one place where signatures are verified.
//!
//! Owns the proof type [`Verified`], which only this module makes, and the one function that takes an envelope apart:
//! size and shape, kind of document, signatures; and only then the payload. What each kind of document needs beyond
//! that is in the child modules. It never reads a clock: the caller says what time it is.

use std::ops::Deref;

use crate::{
    digest::Digest,
    document::{self, Document},
    envelope::{Envelope, EnvelopeError, EnvelopeSignature},
    error::{Check, Refusal},
    key::{KeyId, PublicKey},
    keyring::{Keyring, Role},
};

mod keyring;
mod order;
mod plugin;
mod receipt;

pub use keyring::verify_keyring;
pub use order::{verify_order, verify_order_again, verify_order_offline};
pub use plugin::{Plugin, verify_approval, verify_plugin, verify_statement};
pub use receipt::{check_receipt_follows, check_receipt_for, verify_receipt};

/// A key whose signature on the document verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The key, by id.
    pub key_id: KeyId,
    /// The roles that it held when it was verified. Empty for keys that are in no keyring (instances, publishers).
    pub roles: Vec<Role>,
}

/// A document that was verified. There is no other way to make one than the functions of this module.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    digest: Digest,
    signers: Vec<Signer>,
    envelope: Vec<u8>,
}

impl<T> Verified<T> {
    /// SHA-256 of the PAE: the name of the document.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The distinct keys whose signatures verified, in the order of the envelope.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// How many distinct operators signed, counted by key material.
    #[must_use]
    pub fn operators(&self) -> usize {
        self.signers.iter().filter(|signer| signer.roles.contains(&Role::Operator)).count()
    }

    /// The envelope, byte for byte as it came.
    #[must_use]
    pub fn envelope_json(&self) -> &[u8] {
        &self.envelope
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A key that may be tried, with what it may do.
struct Candidate<'a> {
    key: &'a PublicKey,
    roles: Vec<Role>,
}

/// All keys of the keyring, so that a refusal can tell "wrong role" from "no signature".
fn candidates(keyring: &Keyring) -> Vec<Candidate<'_>> {
    let candidate = |key| Candidate { key, roles: keyring.roles_of(&PublicKey::key_id(key)) };
    keyring.keys.iter().map(|entry| candidate(&entry.key)).collect()
}

/// An envelope whose shape is right; nothing in it is believed yet.
struct Opened<'a> {
    bytes: &'a [u8],
    envelope: Envelope,
    pae: Vec<u8>,
}

/// Check 1: size, shape, and that it is the kind of document that was asked for.
fn open<T: Document>(bytes: &[u8]) -> Result<Opened<'_>, Refusal> {
    let name = T::NAME;
    let envelope = Envelope::parse(bytes).map_err(|error| match &error {
        EnvelopeError::TooLarge { .. } => Refusal::new(Check::Size, format!("{error} ({name})")),
        EnvelopeError::Json(source) => Refusal::new(Check::Envelope, format!("the {name} is {error}: {source}")),
    })?;
    if envelope.payload_type != T::TYPE {
        let reason = format!("expected a {name} (`{}`), found `{}`", T::TYPE, envelope.payload_type.escape_debug());
        return Err(Refusal::new(Check::PayloadType, reason));
    }
    let pae = envelope.pae();
    Ok(Opened { bytes, envelope, pae })
}

impl Opened<'_> {
    /// Check 2, first part: the distinct candidates under whose key a signature verifies.
    ///
    /// The key id in an envelope is a label that narrows which key is tried first; it never decides.
    fn signers(&self, candidates: &[Candidate<'_>]) -> Vec<Signer> {
        let mut signers: Vec<Signer> = Vec::new();
        for signature in &self.envelope.signatures {
            let Some(candidate) = self.author(signature, candidates) else {
                continue;
            };
            let key_id = candidate.key.key_id();
            // A key counts once, however often it signed and under whatever labels.
            if signers.iter().all(|signer| signer.key_id != key_id) {
                signers.push(Signer { key_id, roles: candidate.roles.clone() });
            }
        }
        signers
    }

    fn author<'c, 'k>(
        &self,
        signature: &EnvelopeSignature,
        candidates: &'c [Candidate<'k>],
    ) -> Option<&'c Candidate<'k>> {
        let sig: &[u8; 64] = signature.sig.as_slice().try_into().ok()?;
        let label = signature.keyid.as_ref().and_then(|label| label.parse::<KeyId>().ok());
        let named = candidates.iter().find(|candidate| Some(candidate.key.key_id()) == label);
        let verifies = |candidate: &&Candidate<'_>| candidate.key.verify(&self.pae, sig);
        named.filter(|candidate| verifies(candidate)).or_else(|| match named {
            // The label named a known key and was wrong: a label may narrow the search, so it ends here.
            Some(_) => None,
            None => candidates.iter().find(verifies),
        })
    }

    /// Check 2, second part: at least `threshold` of those who signed hold one of the roles.
    fn require(&self, name: &str, signers: &[Signer], roles: &[Role], threshold: usize) -> Result<(), Refusal> {
        let wanted = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join("` or `");
        let holds = |signer: &&Signer| signer.roles.iter().any(|role| roles.contains(role));
        let count = signers.iter().filter(holds).count();
        let Some(first) = signers.first() else {
            return Err(self.unsigned(name, &format!("a key of the keyring with the role `{wanted}`")));
        };
        if count == 0 {
            let has = first.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
            let reason =
                format!("the {name} is signed by key {}, which holds [{has}]; `{wanted}` is needed", first.key_id);
            return Err(Refusal::new(Check::Role, reason));
        }
        if count < threshold {
            let reason =
                format!("the {name} has signatures of {count} distinct `{wanted}` key(s), {threshold} are needed");
            return Err(Refusal::new(Check::Threshold, reason));
        }
        Ok(())
    }

    fn unsigned(&self, name: &str, by: &str) -> Refusal {
        let count = self.envelope.signatures.len();
        Refusal::new(Check::Signature, format!("none of the {count} signature(s) on the {name} verifies under {by}"))
    }

    /// Check 3: the payload, believed from here on.
    fn believe<T: Document>(self, signers: Vec<Signer>) -> Result<Verified<T>, Refusal> {
        let value = document::parse(&self.envelope.payload)?;
        Ok(self.wrap(value, signers))
    }

    fn wrap<T>(self, value: T, signers: Vec<Signer>) -> Verified<T> {
        Verified { value, digest: Digest::of(&self.pae), signers, envelope: self.bytes.to_vec() }
    }
}

/// Opens a document that exactly this key must have signed, whatever its role.
fn open_by_key<T: Document>(bytes: &[u8], key: &PublicKey, whose: &str) -> Result<Verified<T>, Refusal> {
    let opened = open::<T>(bytes)?;
    let signers = opened.signers(&[Candidate { key, roles: Vec::new() }]);
    if signers.is_empty() {
        return Err(opened.unsigned(T::NAME, &format!("{whose} {}", key.key_id())));
    }
    opened.believe(signers)
}
