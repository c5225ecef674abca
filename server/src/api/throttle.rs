//! How often an address may try an activation code: guesses of 160 bits fail anyway, this keeps them from costing much.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failed attempts of an address within [`WINDOW`].
const FAILURES_MAX: u32 = 20;

/// After how long failures are forgotten.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses remembered, at most; the oldest go.
const ADDRESSES_MAX: usize = 10_000;

/// Failed attempts by address.
#[derive(Debug, Default)]
pub struct Throttle {
    // A std mutex: held for a look into a map only, never over an await.
    failures: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Throttle {
    /// Whether an address may try now.
    pub fn allows(&self, address: IpAddr, now: Instant) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&address).is_none_or(|(since, count)| *count < FAILURES_MAX || now.duration_since(*since) > WINDOW)
    }

    /// Notes a failed attempt.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX {
            failures.retain(|_, (since, _)| now.duration_since(*since) <= WINDOW);
        }
        if failures.len() >= ADDRESSES_MAX {
            failures.clear();
        }
        let entry = failures.entry(address).or_insert((now, 0));
        if now.duration_since(entry.0) > WINDOW {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_often_waits_and_others_do_not() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let [a, b] = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        for _ in 0..FAILURES_MAX {
            assert!(throttle.allows(a, now));
            throttle.failed(a, now);
        }
        assert!(!throttle.allows(a, now) && throttle.allows(b, now));
        let later = now + WINDOW + Duration::from_secs(1);
        assert!(throttle.allows(a, later));
        throttle.failed(a, later);
        assert!(throttle.allows(a, later));
    }
}
