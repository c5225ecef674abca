//! Verifies receipts.
//!
//! Owns the verdict that a receipt is by the instance that it names, and for the order that was asked about. It never
//! judges what the receipt says.

use super::{Verified, open_by_key};
use crate::{
    digest::Digest,
    error::{Check, Refusal},
    instance::InstanceId,
    key::PublicKey,
    receipt::Receipt,
};

/// Verifies a receipt under an instance's key; the instance id that it names must be that key's.
///
/// # Errors
/// `size`, `envelope`, `payload-type`, `signature`, `payload`, `instance`.
pub fn verify_receipt(bytes: &[u8], key: &PublicKey) -> Result<Verified<Receipt>, Refusal> {
    let receipt: Verified<Receipt> = open_by_key(bytes, key, "the instance's key")?;
    let id = InstanceId::of(key);
    if receipt.instance != id {
        let reason = format!("the receipt names instance `{}`, its key is that of `{id}`", receipt.instance);
        return Err(Refusal::new(Check::Instance, reason));
    }
    Ok(receipt)
}

/// Whether the receipt answers the order with this digest.
///
/// # Errors
/// `receipt-order`.
pub fn check_receipt_for(receipt: &Verified<Receipt>, order: &Digest) -> Result<(), Refusal> {
    if receipt.order == *order {
        return Ok(());
    }
    Err(Refusal::new(
        Check::ReceiptOrder,
        format!("the receipt answers order {}, asked was about {order}", receipt.order),
    ))
}
