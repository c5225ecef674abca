//! `clock`: without it, time stands at the start of the task. Owns the standing clocks.

use std::time::Duration;

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// A clock that shows one time for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    at: Duration,
}

impl Standing {
    /// Stands at `unix_ms`.
    pub(crate) fn new(unix_ms: i64) -> Self {
        Self { at: Duration::from_millis(unix_ms.max(0).cast_unsigned()) }
    }
}

impl HostWallClock for Standing {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.at
    }
}

impl HostMonotonicClock for Standing {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}
