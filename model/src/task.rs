//! A task: one invocation on one instance, and the machine of its statuses. Owns which transition
//! is legal; the store records them, and nothing else changes a status.
//!
//! ```text
//!              Accepted                        Finished
//!   Pending ─────────────▶ Running ───────────────────────────▶ one of the final ones
//!    │ │ │                  ▲ │ │                                 ▲  ▲  ▲
//!    │ │ │ Armed  RunStarted│ │ │RunEnded                         │  │  │
//!    │ │ └─────▶ Scheduled ─┘ │ └────▶ Scheduled ─── Finished ────┘  │  │
//!    │ │             │        │                                      │  │
//!    │ └─────────────┴────────┴── StopRequested ─▶ Stopping ─────────┘  │
//!    └── Refused, DeliveryTimeout, Withdrawn, InstanceReleased ─────────┘
//! ```
//!
//! - Pending → Running: the agent has the order in its journal (a task in its queue is Running).
//! - Pending → Scheduled: the agent has a series in its journal and waits for its time.
//! - Pending → Invalid: the agent refused the order; the receipt names the check.
//! - Pending → Aborted: the order did not reach the agent in time, or the instance is gone.
//! - Pending → Cancelled: stopped before it was offered to the agent.
//! - Scheduled → Running → Scheduled: one run of a series starts; it ends and another follows.
//! - Pending, Scheduled, Running → Stopping: a stop is on its way to the agent. Pending only where
//!   the order was offered: the agent may have it already.
//! - Any of these four → a final status: the agent's receipt says so, whatever was known before;
//!   reports may overtake each other's effects, never the truth.
//! - Stopping → Aborted: an order that was offered, never accepted and then stopped has expired.
//! - Scheduled, Running, Stopping → Error: the instance was released.
//! - Running and Stopping stay where Accepted comes again; Stopping stays where it is asked for again,
//!   and where a run of its series starts or ends meanwhile.
//!
//! No transition leaves a final status. `DeliveryTimeout` and `Withdrawn` are what a server believes, as it
//! has heard nothing: an agent may have accepted in the last moment. So the store keeps apart what a receipt has
//! proven, and where an agent speaks of a task that was only believed to have ended, the machine begins
//! again at Pending.

mod code;

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};

pub use code::ResultCode;

/// The status of a task, as Cloud Assistant has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskStatus {
    /// Not yet with the agent.
    Pending,
    /// A series that waits for its time.
    Scheduled,
    /// In the agent's journal: queued or running.
    Running,
    /// A stop is on its way.
    Stopping,
    /// It ran to its end and its exit code is 0 (for a plugin: it did its work).
    Success,
    /// It ran to its end with another exit code (for a plugin: it said that it failed).
    Failed,
    /// It could not run to its end: crashed, trapped, interrupted.
    Error,
    /// It was ended because its time was over.
    Timeout,
    /// Refused: it never ran.
    Invalid,
    /// Not delivered: it never ran.
    Aborted,
    /// Stopped before it ran.
    Cancelled,
    /// A series that was stopped between two runs.
    Stopped,
    /// Stopped while it ran; nothing of it is alive.
    Terminated,
}

/// A status that a task never leaves, as a receipt says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FinalStatus {
    /// [`TaskStatus::Success`]
    Success,
    /// [`TaskStatus::Failed`]
    Failed,
    /// [`TaskStatus::Error`]
    Error,
    /// [`TaskStatus::Timeout`]
    Timeout,
    /// [`TaskStatus::Invalid`]
    Invalid,
    /// [`TaskStatus::Aborted`]
    Aborted,
    /// [`TaskStatus::Cancelled`]
    Cancelled,
    /// [`TaskStatus::Stopped`]
    Stopped,
    /// [`TaskStatus::Terminated`]
    Terminated,
}

/// Something that changes a task's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// The agent has an order that runs once in its journal.
    Accepted,
    /// The agent has a series in its journal.
    Armed,
    /// A run of a series starts.
    RunStarted,
    /// A run of a series ended and another follows.
    RunEnded,
    /// The agent's receipt says that all is over.
    Finished(FinalStatus),
    /// The agent refused the order. The same as `Finished(Invalid)`.
    Refused,
    /// Nothing was heard of the order's acceptance within its deadline.
    DeliveryTimeout,
    /// The instance was taken out of the fleet: nothing will be heard of the task.
    InstanceReleased,
    /// Somebody asked for a stop, and the agent has or may have the order.
    StopRequested,
    /// Somebody asked for a stop before the order was offered to the agent.
    Withdrawn,
}

/// An event that means nothing in a status. A final status again is how a repeated report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from} cannot take {event:?}")]
pub struct Illegal {
    /// The status, which stays.
    pub from: TaskStatus,
    /// The event.
    pub event: TaskEvent,
}

impl TaskStatus {
    /// Every status: open ones first.
    pub const ALL: [Self; 13] = [
        Self::Pending,
        Self::Scheduled,
        Self::Running,
        Self::Stopping,
        Self::Success,
        Self::Failed,
        Self::Error,
        Self::Timeout,
        Self::Invalid,
        Self::Aborted,
        Self::Cancelled,
        Self::Stopped,
        Self::Terminated,
    ];

    /// The status after an event.
    ///
    /// # Errors
    /// Where the event means nothing in this status, which then stays as it is.
    pub fn apply(self, event: TaskEvent) -> Result<Self, Illegal> {
        use TaskEvent as Event;
        let illegal = Illegal { from: self, event };
        if self.is_final() {
            return Err(illegal);
        }
        match (self, event) {
            (_, Event::Finished(status)) => Ok(status.into()),
            (Self::Pending | Self::Running, Event::Accepted) => Ok(Self::Running),
            (Self::Pending | Self::Scheduled, Event::Armed) => Ok(Self::Scheduled),
            (Self::Pending | Self::Scheduled | Self::Running, Event::RunStarted) => Ok(Self::Running),
            (Self::Scheduled | Self::Running, Event::RunEnded) => Ok(Self::Scheduled),
            (Self::Stopping, Event::Accepted | Event::Armed | Event::RunStarted | Event::RunEnded) => {
                Ok(Self::Stopping)
            }
            (_, Event::StopRequested) => Ok(Self::Stopping),
            (Self::Pending | Self::Stopping, Event::DeliveryTimeout) => Ok(Self::Aborted),
            (Self::Pending, Event::Withdrawn) => Ok(Self::Cancelled),
            (Self::Pending, Event::InstanceReleased) => Ok(Self::Aborted),
            (_, Event::InstanceReleased) => Ok(Self::Error),
            // The check that refuses may come late, as the user is looked up when the run starts.
            (_, Event::Refused) => Ok(Self::Invalid),
            _ => Err(illegal),
        }
    }

    /// Whether the task has ended.
    pub fn is_final(self) -> bool {
        self.code() >= Self::FIRST_FINAL_CODE
    }

    /// Every code from here on is final: `status >= 10` in SQL.
    pub const FIRST_FINAL_CODE: i64 = 10;

    /// The number in the store. Never changes its meaning.
    pub const fn code(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Scheduled => 1,
            Self::Running => 2,
            Self::Stopping => 3,
            Self::Success => 10,
            Self::Failed => 11,
            Self::Error => 12,
            Self::Timeout => 13,
            Self::Invalid => 14,
            Self::Aborted => 15,
            Self::Cancelled => 16,
            Self::Stopped => 17,
            Self::Terminated => 18,
        }
    }

    /// The status of a number in the store, nothing for one that no release has written.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// The name, as Cloud Assistant has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Timeout => "Timeout",
            Self::Invalid => "Invalid",
            Self::Aborted => "Aborted",
            Self::Cancelled => "Cancelled",
            Self::Stopped => "Stopped",
            Self::Terminated => "Terminated",
        }
    }
}

impl FinalStatus {
    /// Every final status.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failed,
        Self::Error,
        Self::Timeout,
        Self::Invalid,
        Self::Aborted,
        Self::Cancelled,
        Self::Stopped,
        Self::Terminated,
    ];

    /// The name, as receipts have it.
    pub fn as_str(self) -> &'static str {
        TaskStatus::from(self).as_str()
    }
}

impl From<FinalStatus> for TaskStatus {
    fn from(status: FinalStatus) -> Self {
        match status {
            FinalStatus::Success => Self::Success,
            FinalStatus::Failed => Self::Failed,
            FinalStatus::Error => Self::Error,
            FinalStatus::Timeout => Self::Timeout,
            FinalStatus::Invalid => Self::Invalid,
            FinalStatus::Aborted => Self::Aborted,
            FinalStatus::Cancelled => Self::Cancelled,
            FinalStatus::Stopped => Self::Stopped,
            FinalStatus::Terminated => Self::Terminated,
        }
    }
}

impl TryFrom<TaskStatus> for FinalStatus {
    type Error = ParseError;

    fn try_from(status: TaskStatus) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|this| TaskStatus::from(*this) == status);
        known.ok_or_else(|| ParseError::new("final status", status.as_str(), "a task in it has not ended"))
    }
}

impl FromStr for TaskStatus {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            ParseError::new("task status", text, format!("write one of {all}"))
        })
    }
}

impl FromStr for FinalStatus {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::try_from(text.parse::<TaskStatus>()?)
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl fmt::Display for FinalStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(TaskStatus);
serde_by_text!(FinalStatus);

#[cfg(test)]
mod tests;
