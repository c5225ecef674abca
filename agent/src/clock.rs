//! The time that decides whether a document is in force.
//!
//! Owns the rule that a clock that was set back counts as the newest time that was verified (the floor), and that a
//! dispatch key alone cannot push that floor: neither past this machine's own clock nor past the newest offline-signed
//! keyring's expiry. Never asks the network. Which time zones series are meant in is looked up in [`zone`].

use std::time::{SystemTime, UNIX_EPOCH};

use orderly_signing::Verified;
use orderly_signing::keyring::Keyring;
use orderly_signing::order::Order;

pub(crate) mod zone;

/// What this machine's clock says, in Unix milliseconds.
pub(crate) fn local_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// The time to check documents by.
pub(crate) fn effective_ms(local_ms: i64, floor_ms: i64) -> i64 {
    local_ms.max(floor_ms)
}

/// The floor after this keyring, which people have signed.
pub(crate) fn floor_after_keyring(floor_ms: i64, keyring: &Keyring) -> i64 {
    floor_ms.max(keyring.issued_ms)
}

/// The floor after this order, once all its checks have passed. `local_ms` is this machine's clock.
pub(crate) fn floor_after_order(floor_ms: i64, order: &Verified<Order>, keyring: &Keyring, local_ms: i64) -> i64 {
    raised(floor_ms, order.issued_ms, order.operators() > 0, keyring.expires_ms.min(local_ms))
}

/// `online_ms` is the latest time that an online key's word counts for. The keyring's expiry alone would not do: it is a
/// year away, and a floor is never lowered, so a stolen dispatch key would make every honest order look expired for a
/// year, also after it was taken out of the keyring.
fn raised(floor_ms: i64, issued_ms: i64, offline: bool, online_ms: i64) -> i64 {
    let said = if offline { issued_ms } else { issued_ms.min(online_ms) };
    floor_ms.max(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_set_back_counts_as_the_floor() {
        assert_eq!(effective_ms(500, 1000), 1000);
        assert_eq!(effective_ms(1500, 1000), 1500);
    }

    #[test]
    fn clock_pushed_forward_by_dispatch_stops_at_the_local_clock_or_the_keyrings_expiry() {
        assert_eq!(raised(100, 900_000, false, 5000), 5000);
        assert_eq!(raised(100, 900_000, true, 5000), 900_000);
        assert_eq!(raised(6000, 900_000, false, 5000), 6000, "never lowered");
        assert_eq!(raised(100, 200, false, 5000), 200);
    }
}
