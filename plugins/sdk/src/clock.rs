//! What time it is.
//!
//! Owns the two clocks of WASI. Without the capability `clock` both stand still at the task's start. On the bare
//! wasm target `std::time::SystemTime::now` panics, so plugins ask here.

use std::time::Duration;

use wasip2::clocks::{monotonic_clock, wall_clock};

/// Time since 1970-01-01 UTC.
#[must_use]
pub fn wall() -> Duration {
    let now = wall_clock::now();
    Duration::new(now.seconds, now.nanoseconds)
}

/// Time since a moment that is the same during one run.
#[must_use]
pub fn monotonic() -> Duration {
    Duration::from_nanos(monotonic_clock::now())
}
