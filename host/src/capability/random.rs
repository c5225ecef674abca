//! `random`: without it, "random" bytes follow from the order's digest, the same on every instance and in every run.
//!
//! Owns the sequence. Guests need some randomness to start at all (hash maps); this gives it without a secret or a
//! side channel. It must never be used for keys, and a plugin that needs such asks for the capability.

use orderly_signing::Digest;
use wasmtime_wasi::random::Deterministic;

/// Bytes until the sequence repeats.
const PERIOD_BYTES: usize = 64 * 1024;

/// The sequence that follows from `seed`, for one `purpose`.
pub(crate) fn sequence(seed: Digest, purpose: &str) -> Deterministic {
    let block =
        |number: u32| *Digest::of(format!("orderly-random-v1\n{seed}\n{purpose}\n{number}\n").as_bytes()).as_bytes();
    let blocks = (0..PERIOD_BYTES / 32).map(|number| block(number as u32));
    Deterministic::new(blocks.flatten().collect())
}

/// A number that follows from `seed`.
pub(crate) fn number(seed: Digest) -> u128 {
    let digest = Digest::of(format!("orderly-random-v1\n{seed}\nnumber\n").as_bytes());
    digest.as_bytes().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}
