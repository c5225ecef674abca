//! Rollouts as they are stored: what was asked for, and how far it is.

use orderly_model::invocation::StatusCounts;
use orderly_model::rollout::{Pace, RolloutPolicy, RolloutState, Step, plan};
use orderly_model::task::TaskStatus;
use serde::{Deserialize, Serialize};

use super::{InstanceKey, InvocationRow, OrderKey};

/// How much longer than it may take a task is waited for before it counts as lost, in milliseconds: news may be late.
const LOST_GRACE_MS: i64 = 60 * 1000;

/// How long after its time an acceptance is still on its way, in milliseconds.
pub const ON_ITS_WAY_MS: i64 = 2000;

/// How an invocation is to spread, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRollout {
    /// The policy, checked.
    pub policy: RolloutPolicy,
    /// Seconds within which an instance must accept its task once it is started.
    pub accept_s: u32,
    /// Seconds that a task may run.
    pub run_s: u32,
}

impl NewRollout {
    /// How long one task can take.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace { accept_s: self.accept_s, run_s: self.run_s }
    }

    /// How long after its release a task that was not accepted is given up, in milliseconds.
    #[must_use]
    pub fn accept_ms(&self) -> i64 {
        i64::from(self.accept_s) * 1000 + ON_ITS_WAY_MS
    }

    /// How long after its release a task that has not ended counts as lost, in milliseconds.
    #[must_use]
    pub fn lost_ms(&self) -> i64 {
        self.accept_ms() + i64::from(self.run_s) * 1000 + LOST_GRACE_MS
    }
}

/// When a rollout is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Now, Unix milliseconds.
    pub now_ms: i64,
    /// Since when whoever looks was there to offer what is released, Unix milliseconds. No wait begins before it: nobody was offered
    /// anything by a server that was away, or in a time that a clock has left out.
    pub since_ms: i64,
}

impl Moment {
    /// When what was released at `released_ms` has been waited for as long as `wait_ms`.
    #[must_use]
    pub fn end_of(&self, released_ms: i64, wait_ms: i64) -> i64 {
        released_ms.max(self.since_ms).saturating_add(wait_ms)
    }

    /// The newest release that has been waited for as long as `wait_ms`, where there can be one.
    #[must_use]
    pub fn waited(&self, wait_ms: i64) -> Option<i64> {
        (self.end_of(i64::MIN, wait_ms) <= self.now_ms).then(|| self.now_ms.saturating_sub(wait_ms))
    }
}

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutRow {
    /// What was asked for.
    pub asked: NewRollout,
    /// Whether the dispatcher has to look at it.
    pub active: bool,
    /// Tasks that are held back: Pending, and never released.
    pub held: u64,
    /// Tasks that were ever released.
    pub released: u64,
    /// Errors that whoever resumed it has forgiven.
    pub forgiven: u64,
    /// Waves that were confirmed.
    pub confirmed: u64,
    /// Tasks that are Running or Stopping for longer than they can.
    pub lost: u64,
    /// Since when nothing that was released is open.
    pub idle_ms: Option<i64>,
    /// When to look again even if nothing is reported.
    pub due_ms: Option<i64>,
    /// Who halted it and why, where a person did.
    pub halted: Option<String>,
}

impl RolloutRow {
    /// A rollout that has just begun.
    #[must_use]
    pub fn new(asked: NewRollout, total: u64) -> Self {
        Self {
            asked,
            active: true,
            held: total,
            released: 0,
            forgiven: 0,
            confirmed: 0,
            lost: 0,
            idle_ms: None,
            due_ms: None,
            halted: None,
        }
    }

    /// What the planner wants to know. A lost task is an error and not open: whatever its instance does, it does not do this.
    #[must_use]
    pub fn state(&self, counts: &StatusCounts, now_ms: i64) -> RolloutState {
        let mut lost = self.lost;
        let mut seen = StatusCounts::default();
        for (status, count) in counts.iter() {
            let gone = match status {
                TaskStatus::Running | TaskStatus::Stopping => count.min(lost),
                _ => 0,
            };
            lost -= gone;
            seen.add(status, count - gone);
            seen.add(TaskStatus::Error, gone);
        }
        RolloutState {
            counts: seen,
            held: self.held,
            released: self.released,
            forgiven: self.forgiven,
            confirmed: self.confirmed,
            last_end_ms: (self.released > 0).then(|| self.idle_ms.unwrap_or(now_ms)),
        }
    }

    /// What is to be done, a halt by a person aside.
    #[must_use]
    pub fn step(&self, counts: &StatusCounts, now_ms: i64) -> Step {
        plan(&self.asked.policy, &self.state(counts, now_ms), now_ms)
    }

    /// Whether it is halted, by a person or by too many errors.
    #[must_use]
    pub fn is_halted(&self, counts: &StatusCounts, now_ms: i64) -> bool {
        self.held > 0 && (self.halted.is_some() || matches!(self.step(counts, now_ms), Step::Halt(_)))
    }

    /// Whether there is something to do now.
    #[must_use]
    pub fn is_due(&self, counts: &StatusCounts, now_ms: i64) -> bool {
        let over = self.held == 0 && counts.get(TaskStatus::Pending) == 0;
        let wave_is_over =
            self.held > 0 && self.released > 0 && self.idle_ms.is_none() && self.state(counts, now_ms).open() == 0;
        let starts = self.halted.is_none() && matches!(self.step(counts, now_ms), Step::Start(_));
        self.active && (over || wave_is_over || starts || self.due_ms.is_some_and(|due| due <= now_ms))
    }
}

/// A rollout that the dispatcher has to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Rolling {
    /// The invocation.
    pub invocation: InvocationRow,
    /// The key of its order.
    pub order: OrderKey,
}

/// What came of looking at a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Rolled {
    /// The invocation after it.
    pub invocation: InvocationRow,
    /// The key of its order.
    pub order: OrderKey,
    /// Who gets the order now.
    pub released: Vec<InstanceKey>,
    /// Whose tasks were given up.
    pub ended: Vec<InstanceKey>,
}

/// What a person says to a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steer {
    /// Release nothing more, with who says so and why.
    Halt(String),
    /// Go on, and forgive so many errors.
    Resume(u64),
    /// This wave was looked at.
    Confirm(u64),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum SteerOutcome {
    /// It is so.
    Done(Box<InvocationRow>),
    /// It is no rollout, or nothing is held back.
    NothingHeld,
    /// It is not halted.
    NotHalted,
    /// Another wave, or none, waits to be confirmed.
    NotWaiting(Option<u64>),
}
