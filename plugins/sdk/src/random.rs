//! Random bytes.
//!
//! Owns nothing: they come from the host. Without the capability `random` they are made from the order's digest, so
//! the same order gets the same bytes and nobody may rely on them for a secret.

/// Gets `count` bytes.
#[must_use]
pub fn bytes(count: u32) -> Vec<u8> {
    wasip2::random::random::get_random_bytes(u64::from(count))
}
