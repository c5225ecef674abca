//! How an invocation spreads over its instances: how many at a time, in which waves, and when it halts. Owns the rule, which is
//! a pure function of the policy and of what the store counts; never starts, cancels or waits itself.
//!
//! ```text
//!   Start(n)                the caller releases n more tasks and asks again
//!   Wait(Ends)              nothing to do before a task ends
//!   Wait(Until(t))          the pause between two waves lasts until t
//!   Wait(Confirmation(w))   a person looks at wave w and says "go on" (or halts it)
//!   Halt(reason)            too many errors: nothing more is released; what runs runs to its end
//!   Done                    nothing is held back and nothing is open
//! ```
//!
//! Tasks go out in waves: first `canary` of them, then `batch` at a time, or all the rest. A wave is over when all that was
//! released has ended; then comes what the policy says between waves. Within a wave never more than `max_concurrency` tasks are
//! open. `max_errors` counts over the whole invocation: Failed, Error, Timeout, Invalid and Aborted are errors; what somebody
//! stopped or cancelled is none.
//!
//! A halt is not remembered here: it follows from the counts, so a planner that was killed says the same again. Whoever resumes
//! sets `forgiven` to the errors so far; from then on only new ones count.

use serde::{Deserialize, Serialize};

use crate::invocation::StatusCounts;
use crate::task::TaskStatus;

mod amount;
mod waves;

pub use amount::Amount;
pub use waves::{PERSON_S, Pace};

/// Longest pause between two waves, in seconds: 7 days.
pub const PAUSE_MAX_S: u32 = 7 * 24 * 60 * 60;

/// How an invocation is to spread. Empty: to all at once, whatever happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutPolicy {
    /// Most tasks that are open at a time; no limit where absent. A percentage is of all tasks, rounded up, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<Amount>,
    /// Most errors that are borne: one more halts. 0 halts at the first; no limit where absent. A percentage is of all tasks,
    /// rounded up, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<Amount>,
    /// How many go first, as a wave of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Amount>,
    /// How many go in each further wave; all the rest in one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Amount>,
    /// Seconds between the end of one wave and the start of the next, at most 7 days.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pause_s: u32,
    /// Where a person has to say "go on".
    #[serde(default, skip_serializing_if = "Confirm::is_never")]
    pub confirm: Confirm,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Where a person has to say "go on".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    /// Nowhere.
    #[default]
    Never,
    /// After the canaries.
    AfterCanary,
    /// After each wave.
    EachWave,
}

impl Confirm {
    fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

/// Something wrong with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// An amount that must not be 0 is.
    #[error("`{field}` is 0: nothing would ever start")]
    Zero {
        /// Which amount.
        field: &'static str,
    },
    /// The pause is too long.
    #[error("`pause_s` is {seconds}; at most {PAUSE_MAX_S} (7 days) are allowed")]
    Pause {
        /// How long it is.
        seconds: u32,
    },
    /// Something between waves where there is one wave.
    #[error("`{field}` is for what comes between waves, but there is one wave only: set `canary` or `batch`")]
    OneWave {
        /// Which setting.
        field: &'static str,
    },
    /// Canaries are to be confirmed, but there are none.
    #[error("`confirm` waits for canaries, but there are none: set `canary`")]
    NoCanary,
}

/// What the store knows of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutState {
    /// How many tasks have each status; those that are held back are Pending among them.
    pub counts: StatusCounts,
    /// How many tasks are held back: not released yet, and not ended by anything else.
    pub held: u64,
    /// How many tasks were ever released.
    pub released: u64,
    /// How many errors whoever resumed it has forgiven; 0 where nobody did.
    pub forgiven: u64,
    /// How many waves have been confirmed.
    pub confirmed: u64,
    /// When the last task ended, Unix milliseconds; nothing where none has.
    pub last_end_ms: Option<i64>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Release so many tasks; at least 1.
    Start(u64),
    /// Nothing.
    Wait(Wait),
    /// Release nothing more.
    Halt(Halt),
    /// It is over.
    Done,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// That a task ends.
    Ends,
    /// This time, Unix milliseconds.
    Until(i64),
    /// That somebody confirms this wave, counted from 1.
    Confirmation(u64),
}

/// Why it halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("halted: {errors} of the tasks that were started did not succeed, at most {allowed} are borne")]
pub struct Halt {
    /// Errors that were not forgiven.
    pub errors: u64,
    /// How many of them are borne.
    pub allowed: u64,
}

impl RolloutPolicy {
    /// What is wrong with it, all at once.
    pub fn check(&self) -> Vec<PolicyFault> {
        let mut faults = Vec::new();
        let not_zero = [("max_concurrency", self.max_concurrency), ("canary", self.canary), ("batch", self.batch)];
        for (field, amount) in not_zero {
            if amount.is_some_and(Amount::is_zero) {
                faults.push(PolicyFault::Zero { field });
            }
        }
        if self.pause_s > PAUSE_MAX_S {
            faults.push(PolicyFault::Pause { seconds: self.pause_s });
        }
        let one_wave = self.canary.is_none() && self.batch.is_none();
        if one_wave && self.pause_s > 0 {
            faults.push(PolicyFault::OneWave { field: "pause_s" });
        }
        match self.confirm {
            Confirm::EachWave if one_wave => faults.push(PolicyFault::OneWave { field: "confirm" }),
            Confirm::AfterCanary if self.canary.is_none() => faults.push(PolicyFault::NoCanary),
            _ => {}
        }
        faults
    }

    /// Whether it ever holds anything back. Where not, all tasks start at once, and `max_errors` has nothing to halt.
    pub fn holds_back(&self) -> bool {
        self.max_concurrency.is_some() || self.canary.is_some() || self.batch.is_some()
    }

    /// Whether all tasks go at once, so that nothing is held back.
    pub fn is_at_once(&self) -> bool {
        *self == Self { confirm: self.confirm, pause_s: self.pause_s, ..Self::default() }
    }

    /// The wave that the next task belongs to.
    fn wave(&self, total: u64, released: u64) -> Wave {
        let canaries = self.canary.map_or(0, |canary| canary.of(total).min(total));
        let first = u64::from(canaries > 0);
        if released < canaries {
            return Wave { over: 0, starts: 0, ends: canaries };
        }
        let batch = self.batch.map_or(u64::MAX, |batch| batch.of(total).max(1));
        let batches = released.saturating_sub(canaries) / batch;
        let starts = canaries.saturating_add(batches.saturating_mul(batch));
        Wave { over: first + batches, starts, ends: starts.saturating_add(batch) }
    }
}

struct Wave {
    /// How many waves come before it.
    over: u64,
    /// How many tasks are in these.
    starts: u64,
    /// How many tasks are in these and in it.
    ends: u64,
}

impl RolloutState {
    /// How many tasks did not succeed, the ones that somebody stopped aside.
    pub fn errors(&self) -> u64 {
        use TaskStatus as S;
        let errors = [S::Failed, S::Error, S::Timeout, S::Invalid, S::Aborted];
        errors.into_iter().fold(0, |errors, status| errors.saturating_add(self.counts.get(status)))
    }

    /// How many tasks are released and have not ended.
    pub fn open(&self) -> u64 {
        self.counts.total().saturating_sub(self.counts.ended()).saturating_sub(self.held)
    }
}

/// What is to be done now, at `now_ms` (Unix milliseconds).
pub fn plan(policy: &RolloutPolicy, state: &RolloutState, now_ms: i64) -> Step {
    let total = state.counts.total();
    let open = state.open();
    if state.held == 0 {
        return if open == 0 { Step::Done } else { Step::Wait(Wait::Ends) };
    }
    if let Some(allowed) = policy.max_errors.map(|amount| amount.of(total)) {
        let errors = state.errors().saturating_sub(state.forgiven);
        if errors > allowed {
            return Step::Halt(Halt { errors, allowed });
        }
    }
    let wave = policy.wave(total, state.released);
    if state.released == wave.starts
        && wave.over > 0
        && let Some(wait) = between(policy, state, wave.over, open, now_ms)
    {
        return Step::Wait(wait);
    }
    // An amount of 0 is refused by `check`; here it would wait forever.
    let most = policy.max_concurrency.map_or(u64::MAX, |amount| amount.of(total).max(1));
    let left = wave.ends.saturating_sub(state.released);
    match most.saturating_sub(open).min(left).min(state.held) {
        0 => Step::Wait(Wait::Ends),
        count => Step::Start(count),
    }
}

/// What the wave that comes next waits for.
fn between(policy: &RolloutPolicy, state: &RolloutState, over: u64, open: u64, now_ms: i64) -> Option<Wait> {
    if open > 0 {
        return Some(Wait::Ends);
    }
    let needed = match policy.confirm {
        Confirm::Never => 0,
        Confirm::AfterCanary => 1,
        Confirm::EachWave => over,
    };
    if state.confirmed < needed.min(over) {
        return Some(Wait::Confirmation(over));
    }
    let until = state.last_end_ms.map(|end| end.saturating_add(i64::from(policy.pause_s) * 1000));
    until.filter(|until| now_ms < *until).map(Wait::Until)
}

#[cfg(test)]
mod tests;
