//! Series: a schedule or a boot mode, its runs, and what was left out.

use orderly_signing::instance::InstanceId;
use orderly_signing::order::{Due, Misfire, Overlap, Series};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::task::{TaskDetail, TaskView};

/// When an invocation is due, where it is not once and at once. Where the request carries an order this must equal what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSeries {
    /// `{"frequency": "rate(5m)"}` (also `at(…)` or a cron expression, at most 256 bytes), `"next-reboot"` or `"every-reboot"`.
    #[schema(value_type = Object)]
    pub due: Due,
    /// Until when, exclusive, runs may begin, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// What becomes of runs that were missed: `skip`, where absent, or `run-once`.
    #[serde(default = "RunSeries::misfire")]
    #[schema(value_type = String)]
    pub misfire: Misfire,
    /// What becomes of a run that is due while the last one is not over: `skip`, where absent, `queue` or `kill-old`.
    #[serde(default = "RunSeries::overlap")]
    #[schema(value_type = String)]
    pub overlap: Overlap,
}

impl RunSeries {
    const fn misfire() -> Misfire {
        Misfire::Skip
    }

    const fn overlap() -> Overlap {
        Overlap::Skip
    }

    /// As an order says it.
    #[must_use]
    pub fn of_revision(&self, revision: u32) -> Series {
        Series {
            revision,
            due: self.due.clone(),
            until_ms: self.until_ms,
            misfire: self.misfire,
            overlap: self.overlap,
        }
    }
}

/// What an invocation's newest order says of its series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeriesView {
    /// 1 for the first order.
    pub revision: u32,
    /// When it is due.
    #[serde(flatten)]
    pub series: RunSeries,
    /// When the order was signed, Unix milliseconds: a rate counts from there.
    pub issued_ms: i64,
}

/// A run of a series on one instance: what its task is in that run, and when that was due. The status is `Running`, or how the run
/// ended; the generation is its number on that instance, from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// As tasks are shown.
    #[serde(flatten)]
    pub task: TaskView,
    /// When it was due.
    pub due_ms: i64,
    /// Why it began later than it was due, and in the place of all that were missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<String>,
}

/// A run with all that is kept of its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// As tasks are shown.
    #[serde(flatten)]
    pub task: TaskDetail,
    /// When it was due.
    pub due_ms: i64,
    /// Why it began later than it was due, and in the place of all that were missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<String>,
}

/// What was left out of a series on one instance for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkipView {
    /// The instance.
    #[schema(value_type = String)]
    pub instance: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// Why: `missed/…` (with the cause), `replaced/…`, `overlap`, `waiting-full`, `superseded`, `revised`, `stopped`, `over`; or
    /// `waits`, which leaves nothing out: the instance's clock was set back, and the series waits until `last_ms`.
    pub reason: String,
    /// When the first of them was due.
    pub first_ms: i64,
    /// When the last of them was due, or a time that is not before it.
    pub last_ms: i64,
    /// How many were left out.
    pub count: u64,
    /// Whether all were counted; otherwise there are more.
    pub exact: bool,
    /// When the last report of it was made.
    pub told_ms: i64,
}
