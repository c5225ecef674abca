//! Invocations that may go, and what is kept of those that went.

use super::InvocationKey;

/// An invocation as far as it matters for how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgedRow {
    /// Its key.
    pub key: InvocationKey,
    /// When it was made.
    pub created_ms: i64,
    /// When its last task ended.
    pub finished_ms: Option<i64>,
    /// Whether something still refers to it: an order that an instance may still get, or a file that it collected.
    pub referred: bool,
}

/// What is left of an invocation that retention removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrunedRow {
    /// When its last task had ended.
    pub finished_ms: i64,
    /// When it was removed.
    pub pruned_ms: i64,
}

/// What is kept, and what is gone, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRow {
    /// Invocations that are kept.
    pub invocations: i64,
    /// When the oldest of them was made.
    pub oldest_ms: Option<i64>,
    /// Invocations that were removed.
    pub pruned: i64,
    /// When the last of those was removed.
    pub pruned_ms: Option<i64>,
}
