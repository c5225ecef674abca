//! Series: what an order says of one, its runs, and what was left out.

use orderly_model::task::TaskStatus;
use orderly_signing::instance::InstanceId;
use orderly_signing::order::Series;
use serde::{Deserialize, Serialize};

/// What an invocation's order says of its series. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesRow {
    /// When it is due, and what becomes of what cannot run then.
    pub series: Series,
    /// When the order was signed, Unix milliseconds: the origin of a rate's grid.
    pub issued_ms: i64,
}

/// A run of a series, without what is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its key; grows with each run that was heard of.
    pub key: i64,
    /// The instance's id.
    pub instance_uid: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// Its number on that instance, from 1.
    pub generation: i32,
    /// Running, or how it ended.
    pub status: TaskStatus,
    /// When it was due.
    pub due_ms: i64,
    /// Why it began later than that.
    pub late: Option<String>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Error code of the result.
    pub code: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The check that refused.
    pub check: Option<String>,
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
    /// Bytes of output in all.
    pub output_bytes: i64,
    /// Bytes that were dropped.
    pub dropped_bytes: i64,
}

/// What was left out of a series on one instance for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipRow {
    /// The instance's key.
    pub instance: i64,
    /// The instance's id.
    pub instance_uid: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// Why.
    pub reason: String,
    /// The first.
    pub first_ms: i64,
    /// The last.
    pub last_ms: i64,
    /// How many.
    pub count: i64,
    /// Whether all were counted; otherwise there are more.
    pub exact: bool,
    /// When the last report of it was made.
    pub told_ms: i64,
}
