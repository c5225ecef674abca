//! Signing: from a document and a key to an envelope.
//!
//! Owns the rule that nothing is signed that `verify` would refuse to parse. More signatures are added with
//! [`Envelope::add_signature`]. It never keeps a key, and never signs bytes that it did not write itself.

use thiserror::Error;

use crate::{
    approval::Approval,
    digest::Digest,
    document::Document,
    envelope::{Envelope, MAX_PAYLOAD_BYTES},
    error::Invalid,
    key::SecretKey,
    keyring::Keyring,
    order::Order,
    receipt::Receipt,
    statement::{Predicate, Statement},
};

/// A document is not signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// A value is out of its bounds.
    #[error("the {document} is not signed, as it would be refused")]
    Invalid {
        /// Which kind of document.
        document: &'static str,
        /// What is wrong.
        #[source]
        source: Invalid,
    },
    /// It cannot be written as JSON.
    #[error("the {document} cannot be written as JSON")]
    Json {
        /// Which kind of document.
        document: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Its payload would be larger than [`MAX_PAYLOAD_BYTES`].
    #[error("the {document} has {bytes} bytes, at most {MAX_PAYLOAD_BYTES} can be signed")]
    TooLarge {
        /// Which kind of document.
        document: &'static str,
        /// How large it is.
        bytes: usize,
    },
}

/// Signs an order.
///
/// # Errors
/// The order is out of bounds or too large.
pub fn sign_order(order: &Order, key: &SecretKey) -> Result<Envelope, SignError> {
    sign(order, key)
}

/// Signs a keyring, with one of its root keys.
///
/// # Errors
/// The keyring is out of bounds or too large.
pub fn sign_keyring(keyring: &Keyring, key: &SecretKey) -> Result<Envelope, SignError> {
    sign(keyring, key)
}

/// Signs a publisher's statement that this component is what the predicate says.
///
/// # Errors
/// A value is out of bounds.
pub fn sign_statement(component: Digest, predicate: Predicate, key: &SecretKey) -> Result<Envelope, SignError> {
    sign(&Statement::new(component, predicate), key)
}

/// Signs an approval, with a vetting key.
///
/// # Errors
/// The approval is out of bounds or too large.
pub fn sign_approval(approval: &Approval, key: &SecretKey) -> Result<Envelope, SignError> {
    sign(approval, key)
}

/// Signs a receipt, with the key of the instance that it names.
///
/// # Errors
/// The receipt is out of bounds or too large.
pub fn sign_receipt(receipt: &Receipt, key: &SecretKey) -> Result<Envelope, SignError> {
    sign(receipt, key)
}

fn sign<T: Document>(value: &T, key: &SecretKey) -> Result<Envelope, SignError> {
    let document = T::NAME;
    value.bounds().map_err(|source| SignError::Invalid { document, source })?;
    let payload = serde_json::to_vec(value).map_err(|source| SignError::Json { document, source })?;
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(SignError::TooLarge { document, bytes: payload.len() });
    }
    let mut envelope = Envelope::new(T::TYPE, payload);
    envelope.add_signature(key);
    Ok(envelope)
}
