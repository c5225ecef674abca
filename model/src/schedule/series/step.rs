//! The transitions of a series. Each changes the state and adds to the actions; none can fail.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_signing::order::{Misfire, Overlap};

use super::missed::{DueNow, cause, leapt};
use super::{Action, Cause, Fate, Missed, Phase, Reason, Resumed, Running, Series, SeriesEnd, Trigger, Waiting};
use crate::schedule::clock::{Reading, cut_to_ms};

impl Series {
    /// Gives out what is due, and tells the end.
    pub(super) fn tick(&mut self, reading: &Reading, zone: &TimeZone, actions: &mut Vec<Action>) {
        if self.state.phase == Phase::Live {
            match self.plan.trigger() {
                Trigger::Clock(_) => self.tick_clock(reading, zone, actions),
                Trigger::NextReboot | Trigger::EveryReboot => self.tick_boot(reading, actions),
            }
        }
        self.state.last = reading.clone();
        self.state.resumed = None;
        self.conclude(actions);
    }

    fn tick_clock(&mut self, reading: &Reading, zone: &TimeZone, actions: &mut Vec<Action>) {
        let now = reading.wall();
        self.follow_set_back(now, zone, actions);
        let leapt = leapt(&self.state.last, reading);
        let due = DueNow::between(&self.plan, self.state.accounted, now, leapt, zone);
        let cause = cause(self.state.resumed, &self.state.last, reading);
        self.state.accounted = self.state.accounted.max(now);
        if let Some(missed) = due.missed {
            let run_once = self.plan.misfire() == Misfire::RunOnce && self.plan.may_begin(now);
            match due.in_time {
                Some(_) if run_once => actions.push(Action::Skip { missed, reason: Reason::Replaced(cause) }),
                None if run_once => {
                    if let Some(missed) = after_first(&self.plan, missed, zone) {
                        actions.push(Action::Skip { missed, reason: Reason::Replaced(cause) });
                    }
                    self.due(Waiting { due: missed.first, late: Some(cause) }, actions);
                }
                _ => actions.push(Action::Skip { missed, reason: Reason::Missed(cause) }),
            }
        }
        match due.in_time {
            Some(due) if self.plan.may_begin(now) => self.due(Waiting { due, late: None }, actions),
            Some(due) => actions.push(Action::Skip { missed: Missed::one(due), reason: Reason::Over }),
            None => {}
        }
        if !self.plan.may_begin(now) || self.plan.next_after(self.state.accounted, zone).is_none() {
            self.state.phase = Phase::Spent;
        }
    }

    /// What was only left out is due again where the clock was set back; what was given out holds the series.
    fn follow_set_back(&mut self, now: Timestamp, zone: &TimeZone, actions: &mut Vec<Action>) {
        if now >= self.state.accounted {
            self.state.held = None;
            return;
        }
        let Some(taken) = self.state.taken.filter(|taken| *taken > now) else {
            self.state.accounted = self.state.accounted.min(now.max(self.plan.created()));
            return;
        };
        self.state.accounted = self.state.accounted.min(taken);
        // A clock that is set back by less than a run may be late makes no news.
        let holds = taken.duration_since(now).as_millis() > i128::from(super::GRACE_MS)
            && self.plan.next_after(now, zone).is_some_and(|due| due <= taken);
        if holds && self.state.held != Some(taken) {
            self.state.held = Some(taken);
            actions.push(Action::Waits { until: taken });
        }
    }

    fn tick_boot(&mut self, reading: &Reading, actions: &mut Vec<Action>) {
        let now = reading.wall();
        let (dealt_with, boot) = (&self.state.boot, reading.boot());
        if dealt_with.is_unknown() && !boot.is_unknown() {
            // Whether the instance was started since is not known, and nothing runs by guess.
            self.state.boot = boot.clone();
        } else if !boot.is_unknown() && dealt_with != boot && self.plan.may_begin(now) {
            self.state.boot = boot.clone();
            if *self.plan.trigger() == Trigger::NextReboot {
                self.state.phase = Phase::Spent;
            }
            self.due(Waiting { due: now, late: None }, actions);
        }
        if !self.plan.may_begin(now) {
            self.state.phase = Phase::Spent;
        }
    }

    /// An occurrence is due: it runs, waits or is left out.
    fn due(&mut self, occurrence: Waiting, actions: &mut Vec<Action>) {
        if self.state.running.is_none() {
            return self.give_out(occurrence, actions);
        }
        let skip = |occurrence: Waiting, reason| Action::Skip { missed: Missed::one(occurrence.due), reason };
        match self.plan.overlap() {
            Overlap::Skip => actions.push(skip(occurrence, Reason::Overlap)),
            Overlap::Queue if self.state.waiting.is_some() => actions.push(skip(occurrence, Reason::WaitingFull)),
            Overlap::Queue => self.wait(occurrence),
            Overlap::KillOld => {
                if let Some(old) = self.state.waiting.take() {
                    actions.push(skip(old, Reason::Superseded));
                }
                self.wait(occurrence);
                self.kill(actions);
            }
        }
    }

    fn wait(&mut self, occurrence: Waiting) {
        self.state.waiting = Some(occurrence);
        self.take(occurrence.due);
    }

    fn give_out(&mut self, occurrence: Waiting, actions: &mut Vec<Action>) {
        let number = self.state.number.saturating_add(1);
        self.state.number = number;
        self.state.running = Some(Running { number, occurrence, killed: false });
        self.take(occurrence.due);
        actions.push(Action::Run { due: occurrence.due, number, late: occurrence.late });
    }

    fn take(&mut self, due: Timestamp) {
        let due = cut_to_ms(due);
        self.state.taken = Some(self.state.taken.map_or(due, |taken| taken.max(due)));
    }

    /// Asks for the end of the run, once.
    pub(super) fn kill(&mut self, actions: &mut Vec<Action>) {
        if let Some(running) = self.state.running.as_mut().filter(|running| !running.killed) {
            running.killed = true;
            actions.push(Action::Kill { number: running.number });
        }
    }

    /// Takes back what these actions give out, as nobody has acted on them yet, and the end.
    pub(super) fn take_back(&mut self, actions: &mut Vec<Action>) {
        let given = |action: &Action| match action {
            Action::Run { due, number, .. } => Some((*due, *number)),
            _ => None,
        };
        let run = actions.iter().find_map(given);
        actions.retain(|action| !matches!(action, Action::Run { .. } | Action::EndOfSeries { .. }));
        if let Some((due, number)) = run {
            self.state.running = None;
            self.state.number = number.saturating_sub(1);
            actions.push(Action::Skip { missed: Missed::one(due), reason: Reason::Stopped });
        }
    }

    pub(super) fn run_ended(&mut self, number: u32, reading: &Reading, actions: &mut Vec<Action>) {
        if self.running() != Some(number) {
            return;
        }
        self.state.running = None;
        let Some(waiting) = self.state.waiting.take() else { return };
        if self.plan.may_begin(reading.wall()) {
            self.give_out(waiting, actions);
        } else {
            actions.push(Action::Skip { missed: Missed::one(waiting.due), reason: Reason::Over });
        }
    }

    pub(super) fn restarted(&mut self, fate: Fate, reading: &Reading, actions: &mut Vec<Action>) {
        if self.state.resumed.is_none() {
            self.state.resumed = Some(Resumed::Restarted);
        }
        let Some(running) = self.state.running.clone() else { return };
        match fate {
            Fate::Alive if running.killed => actions.push(Action::Kill { number: running.number }),
            Fate::Alive => {}
            Fate::Ended => self.run_ended(running.number, reading, actions),
            Fate::NeverStarted => self.never_started(&running, reading, actions),
        }
    }

    /// The run is given out again, where it may still begin; otherwise its number is free again.
    fn never_started(&mut self, running: &Running, reading: &Reading, actions: &mut Vec<Action>) {
        let Waiting { due, late } = running.occurrence;
        let reason = self.reason_against(running, reading);
        let Some(reason) = reason else {
            let late = if self.is_in_time(due, reading) { late } else { late.or(Some(Cause::AgentDown)) };
            let occurrence = Waiting { due, late };
            self.state.running = Some(Running { occurrence, ..running.clone() });
            actions.push(Action::Run { due, number: running.number, late });
            return;
        };
        actions.push(Action::Skip { missed: Missed::one(due), reason });
        self.state.number = running.number.saturating_sub(1);
        self.state.running = None;
        if let Some(waiting) = self.state.waiting.take() {
            if self.plan.may_begin(reading.wall()) && self.state.phase != Phase::Stopping {
                self.give_out(waiting, actions);
            } else {
                actions.push(Action::Skip { missed: Missed::one(waiting.due), reason: Reason::Over });
            }
        }
    }

    /// Why a run that never started is not to start now.
    fn reason_against(&self, running: &Running, reading: &Reading) -> Option<Reason> {
        if self.state.phase == Phase::Stopping {
            return Some(Reason::Stopped);
        }
        if running.killed {
            return Some(Reason::Superseded);
        }
        if !self.plan.may_begin(reading.wall()) {
            return Some(Reason::Over);
        }
        let missed = match self.plan.trigger() {
            Trigger::Clock(_) => {
                !self.is_in_time(running.occurrence.due, reading) && self.plan.misfire() == Misfire::Skip
            }
            Trigger::NextReboot => false,
            // A later start has its own run.
            Trigger::EveryReboot => self.state.boot != *reading.boot(),
        };
        missed.then_some(Reason::Missed(Cause::AgentDown))
    }

    fn is_in_time(&self, due: Timestamp, reading: &Reading) -> bool {
        match self.plan.trigger() {
            Trigger::Clock(_) => reading.wall().duration_since(due).as_millis() <= i128::from(super::GRACE_MS),
            Trigger::NextReboot | Trigger::EveryReboot => self.state.boot == *reading.boot(),
        }
    }

    pub(super) fn leave_out_waiting(&mut self, reason: Reason, actions: &mut Vec<Action>) {
        if let Some(waiting) = self.state.waiting.take() {
            actions.push(Action::Skip { missed: Missed::one(waiting.due), reason });
        }
    }

    /// Tells the end where nothing is due, runs or waits any more.
    pub(super) fn conclude(&mut self, actions: &mut Vec<Action>) {
        let end = match self.state.phase {
            Phase::Spent => SeriesEnd::Completed,
            Phase::Stopping => SeriesEnd::Stopped,
            Phase::Live | Phase::Ended => return,
        };
        if self.state.running.is_none() && self.state.waiting.is_none() {
            self.state.phase = Phase::Ended;
            actions.push(Action::EndOfSeries { end });
        }
    }
}

/// The missed occurrences without the first, which is given out.
fn after_first(plan: &super::Plan, missed: Missed, zone: &TimeZone) -> Option<Missed> {
    let first = plan.next_after(missed.first, zone).filter(|_| missed.count > 1)?;
    Some(Missed { first, count: missed.count - 1, ..missed })
}
