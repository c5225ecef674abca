//! The limits of one plugin run: memory, tables, time, output.
//!
//! Owns the numbers that are enforced, all of them mandatory; never enforces one itself. A field that nothing
//! enforces does not exist here.

use std::time::Duration;

use orderly_model::limits::{OUTPUT_KEPT_DEFAULT_BYTES, PLUGIN_MEMORY_DEFAULT_MB, PLUGIN_MEMORY_MAX_MB};
use serde::{Deserialize, Serialize};

/// Bytes of output after which a plugin is ended (`OutputCap`), where nothing else is asked: 64 MiB.
///
/// What is kept is much less; this ends a plugin that only floods.
pub const OUTPUT_TOTAL_DEFAULT_BYTES: u64 = 64 * 1024 * 1024;

/// Most bytes of host memory that one host call may fill from the guest: 16 MiB, enough for a table of a full report.
pub const HOSTCALL_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Most handles (files, streams, children) that a guest may hold at once.
pub const HANDLES_MAX: usize = 1_024;

/// What the parent adds to a run's deadline before it ends the child from outside.
pub const OUTER_DEADLINE_EXTRA: Duration = Duration::from_secs(2);

/// The limits of one plugin run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of each linear memory; a plugin has at most 4 memories.
    pub memory_bytes: u64,
    /// Elements of each table; a plugin has at most 16 tables.
    pub table_elements: u32,
    /// Core instances in the component.
    pub instances: u32,
    /// Wall-clock time of the run, start-up of the child included.
    pub deadline: Duration,
    /// Bytes of output that are kept (head and tail).
    pub output_bytes: u32,
    /// Bytes of output after which the run is ended.
    pub output_total_bytes: u64,
}

impl Limits {
    /// Limits for a plugin that asked for `memory_mb` MiB and may run for `deadline`.
    ///
    /// What is above the shared maximum is lowered to it, nothing is raised.
    pub fn new(memory_mb: u32, deadline: Duration, output_bytes: u32) -> Self {
        Self {
            memory_bytes: u64::from(memory_mb.clamp(1, PLUGIN_MEMORY_MAX_MB)) * 1024 * 1024,
            table_elements: 20_000,
            instances: 32,
            deadline,
            output_bytes,
            output_total_bytes: OUTPUT_TOTAL_DEFAULT_BYTES,
        }
    }

    /// The limits of a `describe` call: it touches nothing, so 5 seconds and little memory do.
    pub fn describe() -> Self {
        Self::new(PLUGIN_MEMORY_DEFAULT_MB, Duration::from_secs(5), OUTPUT_KEPT_DEFAULT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lowered_to_the_shared_maximum() {
        let limits = Limits::new(100_000, Duration::from_secs(1), 1);
        assert_eq!(limits.memory_bytes, u64::from(PLUGIN_MEMORY_MAX_MB) * 1024 * 1024);
        assert_eq!(Limits::new(0, Duration::from_secs(1), 1).memory_bytes, 1024 * 1024);
    }
}
