//! How long to wait before the next try to reach the server.
//!
//! Owns one rule: exponential from 1 s to 60 s with full jitter, so that a fleet whose server was gone does not come
//! back in step. It never sleeps itself.

use std::time::Duration;

use crate::platform;

/// The first wait is drawn from zero to this.
const FIRST: Duration = Duration::from_secs(1);

/// A link that is up for so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// The waits between tries.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A link was up for so long. After a good one the next wait is short again; links that end at once (two agents with
    /// one identity that replace each other, a server that accepts and falls over) come ever more seldom.
    pub(crate) fn lived(&mut self, time: Duration) {
        if time >= GOOD {
            self.failures = 0;
        }
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let cap = cap(self.failures);
        self.failures = self.failures.saturating_add(1);
        // Without randomness half of the cap is as good as any.
        let random = platform::random::<4>().map_or(u32::MAX / 2, u32::from_le_bytes);
        cap.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

fn cap(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.min(6)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over() {
        assert_eq!([0, 1, 2, 5, 6, 99].map(|failures| cap(failures).as_secs()), [1, 2, 4, 32, 60, 60]);
        let mut backoff = Backoff::default();
        for failures in 0..10 {
            assert!(backoff.next() <= cap(failures));
        }
        backoff.lived(Duration::from_secs(1));
        assert_eq!(backoff.failures, 10);
        backoff.lived(GOOD);
        assert!(backoff.next() <= FIRST);
    }
}
