//! The machine of one series on one instance: a signed schedule, or a boot mode.
//!
//! Owns which occurrence runs, waits or is left out, and the state from which that goes on after a restart. The caller
//! owns the clocks, the time zone, the disk and the runs:
//!
//! ```text
//!   event + reading ─▶ apply ─▶ new state, actions ─▶ state is on disk ─▶ actions are carried out
//! ```
//!
//! **The state is on disk before any action is carried out**, in one write with what the actions say is to be told (left
//! out, waits, end): a crash then loses no word of it. After a restart the caller restores it and tells by
//! [`Event::Restarted`] what became of the run that the state names; only the journal of runs knows that. A crash between
//! disk and action is then a run that never started, and it is given out again with the same number.
//!
//! What always holds, whatever the clock, restarts and crashes do:
//! - An occurrence is known by the instant at which it is due. Within a revision none is given out twice, except a run that
//!   the caller says never started.
//! - Each occurrence from the series' making on is given out, waits, or is told as left out with a reason.
//! - Run numbers go up by one. They are the `generation` of trust's receipts.
//! - At most one run is given out and not ended, and at most one waits.
//! - A boot mode knows an occurrence by the boot id; starts of the instance in which the agent never ran are not seen. Where
//!   the id is not known nothing is due, and the first one that is known is taken for the start that was dealt with.
//!
//! The wall clock:
//! - **Set forward**: the occurrences between are missed, and the misfire policy says what becomes of them.
//! - **Set back**: what was given out is not given out again; [`Action::Waits`] tells that the series waits for its clock.
//!   What was only left out, and comes again, is due again. A new revision mends a series that waits too long.
//! - **The zone changes**: occurrences from then on are those of the new zone.

mod action;
mod missed;
mod plan;
mod step;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::clock::{BootId, Reading};

pub use action::{Action, Cause, Event, Fate, Missed, Reason, SeriesEnd, SeriesError};
pub use missed::{GRACE_MS, MISSED_COUNT_MAX};
pub use plan::{Plan, PlanError, Trigger};

/// What a series has done: all that outlives the agent. Its text is JSON of less than 2 KB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The revision that it is of.
    revision: u32,
    /// Every occurrence up to here, inclusive, was given out, waits, or was told as left out.
    #[serde(rename = "accounted_ms", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    accounted: Timestamp,
    /// The latest occurrence that was given out or waits.
    #[serde(rename = "taken_ms", with = "jiff::fmt::serde::timestamp::millisecond::optional")]
    taken: Option<Timestamp>,
    /// The number of the last run that was given out; 0 before the first.
    number: u32,
    running: Option<Running>,
    waiting: Option<Waiting>,
    /// Until when a clock that was set back holds the series; told once.
    #[serde(rename = "held_ms", with = "jiff::fmt::serde::timestamp::millisecond::optional")]
    held: Option<Timestamp>,
    /// The clocks at the last event.
    last: Reading,
    /// The start of the instance that a boot mode has dealt with.
    boot: BootId,
    /// Why occurrences may have been missed before the next event, where that is known.
    resumed: Option<Resumed>,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Running {
    number: u32,
    occurrence: Waiting,
    /// Whether it was asked to be ended.
    killed: bool,
}

/// An occurrence, and why it is late, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    #[serde(rename = "due_ms", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    due: Timestamp,
    late: Option<Cause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Resumed {
    /// The order has just come.
    Armed,
    /// The agent has just started.
    Restarted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    /// More may be due.
    Live,
    /// Nothing more is due; a run may still be under way.
    Spent,
    /// It was stopped; a run may still be under way.
    Stopping,
    /// Its end was told.
    Ended,
}

/// A series: what is wanted, and what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    plan: Plan,
    state: State,
}

impl Series {
    /// A series whose order has just been accepted. Nothing is given out before the first event.
    pub fn arm(plan: Plan, reading: &Reading) -> Self {
        let state = State {
            revision: plan.revision(),
            accounted: plan.created(),
            taken: None,
            number: 0,
            running: None,
            waiting: None,
            held: None,
            last: reading.clone(),
            boot: reading.boot().clone(),
            resumed: Some(Resumed::Armed),
            phase: Phase::Live,
        };
        Self { plan, state }
    }

    /// A series from its signed order and the state on disk. The next event is to be [`Event::Restarted`].
    ///
    /// # Errors
    /// The state is of another revision than the order.
    pub fn restore(plan: Plan, state: State) -> Result<Self, SeriesError> {
        if plan.revision() == state.revision {
            return Ok(Self { plan, state });
        }
        Err(SeriesError::OtherRevision { order: plan.revision(), state: state.revision })
    }

    /// What is wanted.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What has to be on disk before the actions are carried out.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The number of the run that was given out and has not ended.
    pub fn running(&self) -> Option<u32> {
        self.state.running.as_ref().map(|running| running.number)
    }

    /// When the run was due that was given out and has not ended.
    pub fn running_due(&self) -> Option<Timestamp> {
        self.state.running.as_ref().map(|running| running.occurrence.due)
    }

    /// Whether a restart finds out by itself what has changed since `before`: nothing was given out or waits, and the start
    /// of the instance that was dealt with is the same. Otherwise the state has to be on disk, whatever the actions are.
    pub fn is_found_again_from(&self, before: &Self) -> bool {
        let kept = |series: &Self| (series.state.running.clone(), series.state.waiting, series.state.boot.clone());
        kept(self) == kept(before)
    }

    /// Whether its end was told: nothing comes any more.
    pub fn has_ended(&self) -> bool {
        self.state.phase == Phase::Ended
    }

    /// When the next [`Event::Tick`] is to come, at the latest; nothing where no time brings anything.
    ///
    /// A tick is also due when the wall clock is set, the zone changes, or the instance wakes from a suspend. Ticks that
    /// come too early do nothing.
    pub fn next_wake(&self, zone: &TimeZone) -> Option<Timestamp> {
        if self.state.phase != Phase::Live {
            return None;
        }
        match self.plan.trigger() {
            Trigger::Clock(_) => self.plan.next_after(self.state.accounted, zone),
            // Its end is to be told.
            Trigger::NextReboot | Trigger::EveryReboot => self.plan.until(),
        }
    }

    /// Takes in that something happened: the new state is kept here, the actions are to be carried out once it is on disk.
    ///
    /// `zone` is what the plan's frequency is meant in, looked up now. Every call, whatever the event, also gives out what
    /// is due. After the end of the series it does nothing.
    pub fn apply(&mut self, event: Event, reading: &Reading, zone: &TimeZone) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.has_ended() {
            return actions;
        }
        match event {
            Event::Tick => {}
            Event::Ended { number } => self.run_ended(number, reading, &mut actions),
            Event::Restarted { fate } => self.restarted(fate, reading, &mut actions),
        }
        self.tick(reading, zone, &mut actions);
        actions
    }

    /// Takes in an order with a higher revision that changes the series. A run goes on; what waits is left out.
    ///
    /// What the old revision had due up to now is dealt with first. The new one counts from its own making, and from the
    /// last occurrence that was given out, if that is later and not in the future: so no occurrence that both have is given
    /// out twice, and a series that waits for a clock that was set back goes on.
    ///
    /// # Errors
    /// The revision is not higher (then nothing changes), or the series has been stopped or has ended.
    pub fn revise(&mut self, plan: Plan, reading: &Reading, zone: &TimeZone) -> Result<Vec<Action>, SeriesError> {
        self.check_revision(plan.revision())?;
        let mut actions = Vec::new();
        self.tick(reading, zone, &mut actions);
        self.leave_out_waiting(Reason::Revised, &mut actions);
        actions.retain(|action| !matches!(action, Action::EndOfSeries { .. }));
        let now = reading.wall();
        let from = plan.created();
        self.state.accounted = match self.state.taken {
            Some(taken) if taken > now => from.max(now),
            Some(taken) => from.max(taken),
            None => from,
        };
        self.state.taken = self.state.taken.filter(|taken| *taken <= now);
        self.state.held = None;
        self.state.boot = reading.boot().clone();
        self.state.resumed = Some(Resumed::Armed);
        self.state.revision = plan.revision();
        self.state.phase = Phase::Live;
        self.plan = plan;
        Ok(actions)
    }

    /// Takes in an order with a higher revision that stops the series: what waits is left out, what runs is to be ended.
    ///
    /// # Errors
    /// As [`Self::revise`].
    pub fn stop(&mut self, revision: u32, reading: &Reading, zone: &TimeZone) -> Result<Vec<Action>, SeriesError> {
        self.check_revision(revision)?;
        let mut actions = Vec::new();
        self.tick(reading, zone, &mut actions);
        self.take_back(&mut actions);
        self.leave_out_waiting(Reason::Stopped, &mut actions);
        self.kill(&mut actions);
        self.state.phase = Phase::Stopping;
        self.conclude(&mut actions);
        Ok(actions)
    }

    fn check_revision(&self, asked: u32) -> Result<(), SeriesError> {
        if asked <= self.state.revision {
            return Err(SeriesError::RevisionNotHigher { asked, known: self.state.revision });
        }
        if matches!(self.state.phase, Phase::Stopping | Phase::Ended) {
            return Err(SeriesError::Over);
        }
        Ok(())
    }
}
