//! What an instance observed, and what that does to a task's row.
//!
//! Owns the one rule that the model's state machine does not have: a status that this server set by itself (not
//! delivered in time, cancelled while waiting) is a belief, and the instance's own word overrules it. A task whose end is
//! proven by a receipt never changes again. Pure; never touches a database.

pub mod series;

use orderly_model::task::{TaskEvent, TaskStatus};
use orderly_signing::digest::Digest;

use crate::store::row::InstanceKey;
use series::SeriesFact;

/// Something that an instance reported and that was verified.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The instance, by its proven link.
    pub instance: InstanceKey,
    /// The order that it is about.
    pub order: Digest,
    /// What happened.
    pub what: What,
}

/// What happened to a task.
#[derive(Debug, Clone)]
pub enum What {
    /// It is in the instance's journal.
    Accepted,
    /// It is being stopped.
    Stopping,
    /// It ended, with a receipt that verified.
    Ended(Box<Ended>),
    /// It is a series, and this became of it.
    Series(SeriesFact),
    /// It ended, and the receipt was refused: the end is believed of a proven link, what it says is not.
    Unproven {
        /// The run that the report is about.
        generation: i32,
        /// When, by the server's clock.
        at_ms: i64,
    },
}

impl What {
    /// When something that can end a task was heard, by the server's clock.
    #[must_use]
    pub fn received_ms(&self) -> Option<i64> {
        match self {
            Self::Ended(end) => Some(end.received_ms),
            Self::Unproven { at_ms, .. } => Some(*at_ms),
            Self::Series(SeriesFact::Over { received_ms, .. }) => Some(*received_ms),
            Self::Accepted | Self::Stopping | Self::Series(_) => None,
        }
    }
}

/// A proven end.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The invocation that the receipt names; absent where it is about an order that the instance could not read.
    pub invocation: Option<String>,
    /// The run that it is about.
    pub generation: u32,
    /// When it came, by the server's clock.
    pub received_ms: i64,
    /// The final status.
    pub status: TaskStatus,
    /// Error code of the result.
    pub code: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The check that refused.
    pub check: Option<String>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: i64,
    /// Bytes of output in all.
    pub output_bytes: i64,
    /// Bytes that were dropped.
    pub dropped_bytes: i64,
    /// SHA-256 of the whole output, as the receipt says.
    pub output_digest: Digest,
    /// The receipt's envelope.
    pub receipt: Vec<u8>,
    /// The kept output as JSON.
    pub output: Vec<u8>,
    /// The report as JSON.
    pub report: Option<Vec<u8>>,
}

impl Ended {
    /// Whether the receipt is about this run of this invocation. What an instance signs of another is no proof here, whichever
    /// order it names.
    #[must_use]
    pub fn is_of(&self, invocation: &str, generation: i32) -> bool {
        i64::from(self.generation) == i64::from(generation)
            && self.invocation.as_deref().is_none_or(|named| named == invocation)
    }
}

/// Code of a task whose receipt was refused.
pub const RECEIPT_REFUSED: &str = "ReceiptRefused";

/// Code of a task that was cancelled while the rollout that held it back had halted.
pub const ROLLOUT_HALTED: &str = "RolloutHalted";

/// Code of a task whose turn in a rollout did not come before the order expired.
pub const ROLLOUT_EXPIRED: &str = "RolloutExpired";

/// The short part of a task's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNow {
    /// The status.
    pub status: TaskStatus,
    /// Whether a receipt proves it.
    pub proven: bool,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Error code of the result.
    pub code: Option<String>,
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
    /// Bytes of output in all.
    pub output_bytes: i64,
    /// Bytes that were dropped.
    pub dropped_bytes: i64,
    /// SHA-256 of the whole output, once a receipt says it.
    pub output_digest: Option<Digest>,
}

impl TaskNow {
    /// What the row is after `what`, or `None` where it says nothing new.
    #[must_use]
    pub fn after(&self, what: &What) -> Option<Self> {
        if self.proven {
            return None;
        }
        // What this server believed of a task that it never heard of begins anew with the instance's first word.
        let believed = if self.status.is_final() { TaskStatus::Pending } else { self.status };
        match what {
            What::Accepted if self.status.is_final() || self.status == TaskStatus::Pending => {
                let status = believed.apply(TaskEvent::Accepted).ok()?;
                Some(Self { status, code: None, finished_ms: None, ..self.clone() })
            }
            What::Stopping if self.status != TaskStatus::Stopping => {
                // A stop can overtake the news of the acceptance, which it implies.
                let running = believed.apply(TaskEvent::Accepted).unwrap_or(believed);
                let status = running.apply(TaskEvent::StopRequested).ok()?;
                Some(Self { status, code: None, finished_ms: None, ..self.clone() })
            }
            What::Accepted | What::Stopping | What::Series(_) => None,
            What::Ended(ended) => Some(Self {
                status: ended.status,
                proven: true,
                exit_code: ended.exit_code,
                code: ended.code.clone(),
                started_ms: ended.started_ms,
                finished_ms: Some(ended.finished_ms),
                output_bytes: ended.output_bytes,
                dropped_bytes: ended.dropped_bytes,
                output_digest: Some(ended.output_digest),
            }),
            What::Unproven { .. } if self.status.is_final() => None,
            What::Unproven { at_ms, .. } => Some(Self {
                status: TaskStatus::Error,
                code: Some(RECEIPT_REFUSED.to_owned()),
                finished_ms: Some(*at_ms),
                ..self.clone()
            }),
        }
    }
}
