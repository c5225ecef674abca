//! Series: what an order says of one, its runs, and what was left out.

use orderly_signing::instance::InstanceId;
use orderly_signing::order::Series;
use serde::{Deserialize, Serialize};

use super::{InstanceKey, TaskRow};

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
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its key; grows with each run that was heard of.
    pub key: i64,
    /// What its task is in that run.
    pub task: TaskRow,
    /// When it was due.
    pub due_ms: i64,
    /// Why it began later than that.
    pub late: Option<String>,
}

/// Occurrences that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
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

/// What was left out of a series on one instance for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipRow {
    /// The instance's key.
    pub instance: InstanceKey,
    /// The instance's id.
    pub instance_uid: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// What was left out.
    pub skip: Skip,
}
