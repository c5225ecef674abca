//! Waiting for something to become true, with a limit.
//!
//! Owns the one loop that looks again and again. It never returns without an answer: past its limit it fails the test and
//! says what it waited for.

use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what takes a moment: other tests may have the machine.
pub const SOON: Duration = Duration::from_secs(30);

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(15);

/// Looks until there is an answer, at most as long as `limit`.
///
/// # Panics
/// Where there is none by then: `what` is what was waited for.
pub fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    within(limit, look).unwrap_or_else(|| panic!("waited {} s for {what}", limit.as_secs()))
}

/// Looks until there is an answer or the limit is over.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = look() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(PAUSE);
    }
}
