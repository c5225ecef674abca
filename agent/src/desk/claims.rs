//! What an offer says of itself before anything of it is verified.
//!
//! Owns what of that may be used: to find the order again, and to say about which one a refusal is.

use orderly_signing::Envelope;
use orderly_signing::digest::Digest;
use orderly_signing::order::Order;

/// What the bytes of an offer say of themselves. Believed of it: the digest, and when an order with that digest ends,
/// since the digest is over that too.
pub(super) struct Claims {
    /// Digest of the order, or of the bytes where they are no envelope.
    pub(super) digest: Digest,
    /// The invocation that it names.
    pub(super) invocation: Option<String>,
    /// 0 where no order with this digest can ever be accepted.
    pub(super) expires_ms: i64,
}

impl Claims {
    /// Reads them, whatever they are.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Ok(envelope) = Envelope::parse(bytes) else {
            // Not even an envelope: the server finds its offer again by the digest of what it sent.
            return Self { digest: Digest::of(bytes), invocation: None, expires_ms: 0 };
        };
        let order = serde_json::from_slice::<Order>(&envelope.payload).ok();
        let order = order.filter(|order| order.validate().is_ok());
        let expires_ms = order.as_ref().map_or(0, |order| order.expires_ms);
        Self { digest: envelope.digest(), invocation: order.map(|order| order.invocation), expires_ms }
    }
}
