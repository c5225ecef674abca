//! What a series takes in and what it asks for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The run with this number is over; nothing of it is alive. Another number changes nothing.
    Ended {
        /// The run's number.
        number: u32,
    },
    /// The agent has started, and this became of the run that the state names.
    Restarted {
        /// Without a meaning where the state names no run.
        fate: Fate,
    },
}

/// What became of a run while the agent was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Alive,
    /// It began and is over, however it ended.
    Ended,
    /// It certainly never began: the journal has no sign of it.
    NeverStarted,
}

/// Something to be done once the state is on disk, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin a run.
    Run {
        /// When it was due.
        due: Timestamp,
        /// Its number, from 1.
        number: u32,
        /// Why it begins later than it was due: it stands for all that were missed. Nothing where it is in time.
        late: Option<Cause>,
    },
    /// End the run with this number; [`Event::Ended`] follows when nothing of it is alive. May come again.
    Kill {
        /// The run's number.
        number: u32,
    },
    /// Tell that occurrences were left out.
    Skip {
        /// Which ones.
        missed: Missed,
        /// Why.
        reason: Reason,
    },
    /// Tell that the clock was set back, and that nothing runs until it shows a later time than this. Comes once for each
    /// time that is waited for.
    Waits {
        /// The latest occurrence that was given out.
        until: Timestamp,
    },
    /// Tell that nothing comes any more. The last action of a series.
    EndOfSeries {
        /// How it came to its end.
        end: SeriesEnd,
    },
}

/// How a series came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeriesEnd {
    /// Nothing more is due.
    Completed,
    /// It was stopped.
    Stopped,
}

/// Occurrences that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them, or a time that is not before it where not all were counted.
    pub last: Timestamp,
    /// How many, at least 1.
    pub count: u64,
    /// Whether all were counted; otherwise there are more than `count`.
    pub exact: bool,
}

impl Missed {
    pub(super) fn one(due: Timestamp) -> Self {
        Self { first: due, last: due, count: 1, exact: true }
    }
}

/// Why occurrences were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// They were due while nothing could run, and the policy is to leave those out.
    Missed(Cause),
    /// They were due while nothing could run, and one run, which is given out or waits, stands for them.
    Replaced(Cause),
    /// The last run was not over.
    Overlap,
    /// The last run was not over, and one waits already.
    WaitingFull,
    /// A later one waits in its place until the last run is ended.
    Superseded,
    /// It waited when the series was changed.
    Revised,
    /// It waited when the series was stopped.
    Stopped,
    /// It waited until the time was over in which runs may begin.
    Over,
}

/// Why occurrences were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The order came later than they were due.
    Undelivered,
    /// The agent or the instance was not there.
    AgentDown,
    /// The instance was suspended.
    Suspended,
    /// The wall clock was set forward over them.
    ClockSetForward,
    /// The agent was there and came too late.
    Late,
}

/// An order that a series does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// The state on disk is of another order.
    #[error("the order has revision {order} and the state on disk is of revision {state}")]
    OtherRevision {
        /// The order's revision.
        order: u32,
        /// The state's revision.
        state: u32,
    },
    /// The revision is not higher than the one that is known.
    #[error("revision {asked} is not above {known}, which is known already")]
    RevisionNotHigher {
        /// The order's revision.
        asked: u32,
        /// The highest one known.
        known: u32,
    },
    /// There is nothing left to change.
    #[error("the series is over")]
    Over,
}
