//! What an instance observed of a series, and what that does to a task's row.
//!
//! Owns what a rogue instance cannot make this server store: more runs than time allows, runs whose receipts do not follow one
//! another, an end of a series that is under way by the receipt of an order that was refused. Pure; never touches a database.

use orderly_model::schedule::CRON_INTERVAL_MIN_S;
use orderly_model::task::{FinalStatus, TaskEvent, TaskStatus};
use orderly_signing::digest::Digest;
use orderly_wire::to_server::EndOfSeries;

use super::{Ended, RECEIPT_REFUSED, TaskNow};
use crate::store::row::Skip;

/// Code of a task whose series was lost on its instance.
pub const SERIES_LOST: &str = "SeriesLost";

/// Code of a run whose end was not told before that of its series or a later run, and of a series of which it was the last.
pub const RUN_LOST: &str = "RunLost";

/// Runs that an instance may report beyond those that the shortest interval allows: a clock that is ahead, a restart.
const RUNS_SPARE: i64 = 16;

/// What happened to a series.
#[derive(Debug, Clone)]
pub enum SeriesFact {
    /// A run began.
    Began {
        /// Its number.
        generation: i32,
        /// When it was due.
        due_ms: i64,
        /// Why it began later.
        late: Option<String>,
        /// When it began.
        at_ms: i64,
        /// When this was heard, by the server's clock.
        received_ms: i64,
    },
    /// A run ended, with a receipt that verified.
    RunEnded(Box<RunEnd>),
    /// Occurrences were left out, or wait for the instance's clock.
    Skipped(Skip),
    /// Nothing comes any more.
    Over {
        /// How it came to its end.
        end: EndOfSeries,
        /// When, as the instance says.
        at_ms: i64,
        /// When this was heard, by the server's clock.
        received_ms: i64,
    },
}

/// A proven end of a run.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// What its receipt says.
    pub end: Ended,
    /// When it was due.
    pub due_ms: i64,
    /// Digest of the receipt.
    pub digest: Digest,
    /// Digest of the receipt of the run before.
    pub previous: Option<Digest>,
}

/// All skips of one reason, and the report that came last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skips {
    /// Taken together.
    pub all: Skip,
    /// The first occurrence of the report that came last.
    pub newest_first_ms: i64,
    /// How many that one left out.
    pub newest_count: i64,
}

impl Skips {
    /// Those of a first report.
    #[must_use]
    pub fn new(skip: Skip) -> Self {
        Self { newest_first_ms: skip.first_ms, newest_count: skip.count, all: skip }
    }

    /// Takes in another report. One that begins where the last one did is that one again, perhaps with more folded into it.
    #[must_use]
    pub fn with(self, skip: Skip) -> Self {
        let again = skip.first_ms == self.newest_first_ms;
        let before = if again { self.all.count.saturating_sub(self.newest_count) } else { self.all.count };
        Self {
            newest_first_ms: skip.first_ms,
            newest_count: skip.count,
            all: Skip {
                first_ms: self.all.first_ms.min(skip.first_ms),
                last_ms: self.all.last_ms.max(skip.last_ms),
                count: before.saturating_add(skip.count),
                exact: self.all.exact && skip.exact,
                told_ms: self.all.told_ms.max(skip.told_ms),
                reason: skip.reason,
            },
        }
    }
}

/// Whether an instance can have had so many runs of a series that was made at `created_ms`.
#[must_use]
pub fn can_be(generation: i32, created_ms: i64, now_ms: i64) -> bool {
    let intervals = now_ms.saturating_sub(created_ms).max(0) / (i64::from(CRON_INTERVAL_MIN_S) * 1000);
    generation > 0 && i64::from(generation) <= intervals.saturating_add(RUNS_SPARE)
}

impl TaskNow {
    /// What this server believes of a task begins anew with the instance's first word.
    fn believed(&self) -> TaskStatus {
        if self.status.is_final() { TaskStatus::Pending } else { self.status }
    }

    fn with(&self, status: TaskStatus) -> Self {
        Self { status, code: None, finished_ms: None, ..self.clone() }
    }

    /// The row after its series was taken into the instance's journal.
    #[must_use]
    pub fn armed(&self) -> Option<Self> {
        let news = self.status.is_final() || self.status == TaskStatus::Pending;
        let status = self.believed().apply(TaskEvent::Armed).ok().filter(|_| news)?;
        Some(self.with(status))
    }

    /// The row after a run began.
    #[must_use]
    pub fn run_began(&self, at_ms: i64) -> Option<Self> {
        let status = self.believed().apply(TaskEvent::RunStarted).ok()?;
        Some(Self { started_ms: Some(at_ms), exit_code: None, ..self.with(status) })
    }

    /// The row after a run ended: it shows the last one.
    #[must_use]
    pub fn run_ended(&self, end: &Ended) -> Option<Self> {
        let row = self.between_runs()?;
        Some(Self {
            exit_code: end.exit_code,
            code: end.code.clone(),
            started_ms: end.started_ms,
            output_bytes: end.output_bytes,
            dropped_bytes: end.dropped_bytes,
            output_digest: Some(end.output_digest),
            ..row
        })
    }

    /// The row after a run ended whose receipt was refused.
    #[must_use]
    pub fn run_unproven(&self) -> Option<Self> {
        Some(Self { code: Some(RECEIPT_REFUSED.to_owned()), exit_code: None, ..self.between_runs()? })
    }

    fn between_runs(&self) -> Option<Self> {
        // The news of a run implies that the series was taken, and a run that was refused never began.
        let known = self.believed();
        let armed = known.apply(TaskEvent::Armed).unwrap_or(known);
        Some(self.with(armed.apply(TaskEvent::RunEnded).ok()?))
    }

    /// The row after the end of the series; `last` is what its last run is, if it had any. It is the instance's last word, so nothing changes
    /// it any more.
    #[must_use]
    pub fn over(&self, end: EndOfSeries, last: Option<TaskStatus>, at_ms: i64) -> Option<Self> {
        let under_way = last.is_some_and(|last| !last.is_final());
        let last = last.and_then(|last| FinalStatus::try_from(last).ok());
        let (status, code) = match (end, last) {
            (EndOfSeries::Completed, Some(last)) => (last, self.code.clone()),
            (EndOfSeries::Completed, None) if under_way => (FinalStatus::Error, Some(RUN_LOST.to_owned())),
            // Nothing was due any more when it came.
            (EndOfSeries::Completed, None) => (FinalStatus::Aborted, None),
            (EndOfSeries::Stopped, Some(FinalStatus::Terminated)) => (FinalStatus::Terminated, None),
            (EndOfSeries::Stopped, _) => (FinalStatus::Stopped, None),
            (EndOfSeries::Lost, _) => (FinalStatus::Error, Some(SERIES_LOST.to_owned())),
        };
        let status = self.believed().apply(TaskEvent::Finished(status)).ok()?;
        Some(Self { status, proven: true, code, finished_ms: Some(at_ms), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn skip(first_ms: i64, count: i64) -> Skip {
        let (reason, last_ms) = ("overlap".to_owned(), first_ms.saturating_add(count));
        Skip { reason, first_ms, last_ms, count, exact: true, told_ms: last_ms }
    }

    #[test]
    fn a_report_that_comes_again_or_with_more_folded_into_it_counts_once() {
        let once = Skips::new(skip(10, 2));
        assert_eq!(once.clone().with(skip(10, 2)), once);
        let folded = once.with(skip(10, 5));
        assert_eq!((folded.all.count, folded.all.last_ms), (5, 15));
        let next = folded.with(skip(20, 1));
        assert_eq!((next.all.count, next.all.first_ms, next.all.last_ms), (6, 10, 21));
        let flood = next.with(skip(30, i64::MAX));
        assert_eq!(flood.all.count, i64::MAX);
    }

    #[test]
    fn more_runs_than_time_allows_cannot_be() {
        assert!(can_be(1, 0, 0) && can_be(16, 0, 0) && can_be(17, 0, 10_000));
        assert!(!can_be(17, 0, 9_999) && !can_be(0, 0, 1_000_000) && !can_be(i32::MAX, 0, 1_000_000));
        assert!(can_be(1, i64::MAX, i64::MIN), "a clock that was set back");
    }
}
