//! `random`: without it, "random" bytes follow from the order's digest, the same on every instance and in every run.
//!
//! Owns the sequence. Guests need some randomness to start at all (hash maps); this gives it without a secret or a
//! side channel. It must never be used for keys, and a plugin that needs such asks for the capability. Nothing of it is
//! made before it is asked for: most guests ask for a few bytes, or for none.

use std::convert::Infallible;

use orderly_signing::Digest;
use rand_core::TryRng;

/// The sequence that follows from a seed, for one purpose. Its bytes are the digests of the numbered blocks, one behind the
/// other.
pub(crate) struct Sequence {
    seed: Digest,
    purpose: &'static str,
    /// The next block.
    number: u64,
    block: Digest,
    /// Bytes of the block that were given out.
    given: usize,
}

/// The sequence that follows from `seed`, for one `purpose`.
pub(crate) fn sequence(seed: Digest, purpose: &'static str) -> Sequence {
    Sequence { seed, purpose, number: 0, block: Digest::ZERO, given: Digest::ZERO.as_bytes().len() }
}

impl Sequence {
    fn byte(&mut self) -> u8 {
        if self.given >= self.block.as_bytes().len() {
            let (seed, purpose, number) = (self.seed, self.purpose, self.number);
            self.block = Digest::of(format!("orderly-random-v1\n{seed}\n{purpose}\n{number}\n").as_bytes());
            (self.number, self.given) = (number.wrapping_add(1), 0);
        }
        let byte = self.block.as_bytes().get(self.given).copied().unwrap_or_default();
        self.given += 1;
        byte
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }
}

impl TryRng for Sequence {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        buffer.iter_mut().for_each(|byte| *byte = self.byte());
        Ok(())
    }
}

/// A number that follows from `seed`.
pub(crate) fn number(seed: Digest) -> u128 {
    let digest = Digest::of(format!("orderly-random-v1\n{seed}\nnumber\n").as_bytes());
    digest.as_bytes().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_sequence_is_the_same_each_time_and_however_it_is_asked_for() {
        let seed = Digest::of(b"order");
        let mut whole = [0; 100];
        sequence(seed, "secure").try_fill_bytes(&mut whole).unwrap();
        assert_eq!(
            whole[..32],
            *Digest::of(format!("orderly-random-v1\n{seed}\nsecure\n0\n").as_bytes()).as_bytes(),
            "the first block"
        );
        let mut parts = sequence(seed, "secure");
        let mut head = [0; 31];
        parts.try_fill_bytes(&mut head).unwrap();
        let (four, eight) = (parts.try_next_u32().unwrap(), parts.try_next_u64().unwrap());
        assert_eq!([&head[..], &four.to_be_bytes(), &eight.to_be_bytes()].concat(), whole[..43]);
    }

    #[test]
    fn no_purpose_and_no_seed_gives_what_another_gives() {
        let first = |seed: &[u8], purpose| sequence(Digest::of(seed), purpose).try_next_u64().unwrap();
        assert_ne!(first(b"order", "secure"), first(b"order", "insecure"));
        assert_ne!(first(b"order", "secure"), first(b"other", "secure"));
        assert_ne!(number(Digest::of(b"order")), number(Digest::of(b"other")));
    }
}
