//! One test per attack on orders, keyrings, plugin packages and receipts; each says which check must refuse it.
//!
//! The names are those of the list in the trust design. Attacks that need a journal, a sandbox or a log are tested
//! where those are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "fixture/fleet.rs"]
mod fleet;
#[path = "attacks/keyrings.rs"]
mod keyrings;
#[path = "attacks/orders.rs"]
mod orders;
#[path = "attacks/packages.rs"]
mod packages;
#[path = "attacks/receipts.rs"]
mod receipts;
#[path = "attacks/series.rs"]
mod series;

use orderly_signing::{Check, Refusal};

/// The check that refused. Every refusal must also be a sentence that a person can use.
fn refused_by<T>(verdict: Result<T, Refusal>) -> Check {
    let Err(refusal) = verdict else { panic!("the attack went through") };
    assert!(refusal.reason.len() > 20, "says too little: {refusal}");
    assert_eq!(refusal.to_string(), format!("{}: {}", refusal.check.code(), refusal.reason));
    refusal.check
}
