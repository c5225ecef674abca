//! Verifies receipts.
//!
//! Owns the verdict that a receipt is by the instance that it names, for the order that was asked about, and of the run that
//! followed another in a series. It never judges what the receipt says.

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

/// Whether the receipt is that of the run which followed `previous` in the same series on the same instance; nothing as
/// `previous` asks whether it is that of the first run. A series is its invocation: an order that changed it is another one.
///
/// Held against each other from the first to the last, the receipts of a series show every run that was taken out of the
/// list, put into it, or moved. What is cut off behind the last one does not show.
///
/// # Errors
/// `receipt-chain`.
pub fn check_receipt_follows(receipt: &Verified<Receipt>, previous: Option<&Verified<Receipt>>) -> Result<(), Refusal> {
    let refused = |reason: String| Err(Refusal::new(Check::ReceiptChain, reason));
    let run = receipt.generation;
    let Some(series) = &receipt.series else {
        return refused("the receipt is of no run of a series".to_owned());
    };
    let Some(previous) = previous else {
        // A receipt of a series has no digest before it where it is of run 1, and only there.
        return if run == 1 { Ok(()) } else { refused(format!("the first receipt is of run {run}, not of run 1")) };
    };
    if (&receipt.invocation, &receipt.instance) != (&previous.invocation, &previous.instance) {
        return refused(format!(
            "the receipt is of `{}` on `{}`, the one before of `{}` on `{}`",
            receipt.invocation, receipt.instance, previous.invocation, previous.instance
        ));
    }
    let before = previous.generation;
    if previous.series.is_none() || before.checked_add(1) != Some(run) {
        return refused(format!("run {run} does not follow run {before}"));
    }
    let digest = previous.digest();
    if series.previous != Some(digest) {
        return refused(format!("run {run} does not name the receipt {digest} of run {before}"));
    }
    Ok(())
}
