//! Series: what runs at its time, without a server.
//!
//! Owns the machines of the live series and the one timer that all of them share. Whatever happens to a series goes through
//! [`Desk::advance`]: the machine says what follows, its state and all that is to be told are on the disk in one write, and
//! only then anything is carried out. Taking orders in is in `arm`, runs are in `run`, what an earlier agent left in `restore`.
//! A series that waits holds no slot and no memory but its state. It stops with the desk: nothing is given out any more, and
//! what was not begun is given out by the next agent.

use std::rc::Rc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_model::schedule::{Action, Event, Missed, Reading, Reason, Series, SeriesEnd};
use orderly_signing::digest::Digest;
use orderly_wire::to_server::{EndOfSeries, Report, ReportEvent, Skipped};
use tokio_util::sync::CancellationToken;

use super::work::RETRY_TIME;
use super::{Desk, State};
use crate::clock::local_ms;
use crate::exec::chain;
use crate::journal::record::{Advanced, Record};
use crate::journal::{Journal, JournalError, Known};
use crate::platform;

mod arm;
mod restore;
mod run;
#[cfg(test)]
mod tests;

/// The longest time between two looks at the clocks while a series is live: a clock that was set, a zone that was changed and
/// an instance that was suspended are seen after that time at the latest.
const LOOK_TIME: Duration = Duration::from_secs(30);

/// The shortest time until a series is looked at again.
const LEAST_TIME: Duration = Duration::from_millis(1);

/// Series on one instance, at most.
const SERIES_MAX: usize = 100;

/// A series that has not ended.
pub(super) struct Live {
    machine: Series,
    /// The newest order.
    order: Digest,
    /// The content that it runs.
    content: Digest,
    /// The zone in which it is due, as it was found last.
    zone: TimeZone,
    /// The run that was given out, and what ends it.
    run: Option<(u32, CancellationToken)>,
    /// The last report about what was left out, or one behind it.
    told: u64,
    /// What was left out and is not told yet.
    untold: Vec<Skipped>,
}

/// What goes to the disk with a step of a series.
#[derive(Default)]
struct Step {
    records: Vec<Record>,
    /// Reports that come before what the machine tells, with their run numbers.
    reports: Vec<(Digest, u32, ReportEvent)>,
    /// The digest of the receipt among them.
    previous: Option<Digest>,
    /// Until when the end of the series has to be remembered, at least.
    expires_ms: Option<i64>,
}

impl Desk {
    /// Follows all series until the desk closes.
    pub(super) async fn keep_series(self: Rc<Self>) {
        // The first look was made before this.
        let mut looked = Instant::now();
        loop {
            if looked.elapsed() >= LOOK_TIME {
                self.restore_series().await;
                looked = Instant::now();
            }
            let wait = self.tick_series();
            let asleep = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                () = self.wake.notified() => {}
                () = asleep => {}
            }
        }
    }

    /// Looks at all series; says when to look again.
    fn tick_series(self: &Rc<Self>) -> Option<Duration> {
        let all: Vec<String> = self.state.borrow().series.keys().cloned().collect();
        let mut stuck = Vec::new();
        for invocation in &all {
            let tick =
                |machine: &mut Series, reading: &Reading, zone: &TimeZone| machine.apply(Event::Tick, reading, zone);
            if let Err(error) = self.advance(invocation, Step::default(), tick) {
                tracing::error!(invocation.id = %invocation, error = %chain(&error), "a series stands still: where it is cannot be recorded");
                stuck.push(invocation);
            }
        }
        let state = self.state.borrow();
        let waiting = state.journal.live_series().len() > state.series.len();
        if state.series.is_empty() {
            return waiting.then_some(LOOK_TIME);
        }
        let now = Timestamp::now();
        let until = |due: Timestamp| Duration::try_from(due.duration_since(now)).unwrap_or_default().max(LEAST_TIME);
        let moving = state.series.iter().filter(|(invocation, _)| !stuck.contains(invocation));
        let next = moving.filter_map(|(_, live)| live.machine.next_wake(&live.zone)).map(until);
        // What is due and cannot be recorded stays due: it is tried again, but not at once.
        let again = (!stuck.is_empty()).then_some(RETRY_TIME);
        next.chain(again).chain([LOOK_TIME]).min()
    }

    /// Lets something happen to a series: what follows is on the disk when this answers, and then it is carried out. Where the
    /// disk does not take it nothing has happened.
    fn advance(
        self: &Rc<Self>,
        invocation: &str,
        step: Step,
        happens: impl FnOnce(&mut Series, &Reading, &TimeZone) -> Vec<Action>,
    ) -> Result<(), JournalError> {
        let reading = platform::reading(&self.boot);
        let mut state = self.state.borrow_mut();
        let State { journal, series, .. } = &mut *state;
        let Some(live) = series.get_mut(invocation) else { return Ok(()) };
        match self.zones.find(live.machine.plan().zone()) {
            Ok(zone) => live.zone = zone,
            Err(error) => {
                tracing::warn!(invocation.id = %invocation, error = %chain(&error), "the series goes on in the zone that was found before");
            }
        }
        let mut machine = live.machine.clone();
        let actions = happens(&mut machine, &reading, &live.zone);
        let mut untold = live.untold.clone();
        let (mut reports, mut end) = (step.reports, None);
        for action in &actions {
            match action {
                Action::Run { .. } | Action::Kill { .. } => {}
                Action::Skip { missed, reason } => fold(&mut untold, *missed, *reason),
                Action::Waits { until } => {
                    let until_ms = until.as_millisecond();
                    reports.push((live.order, 0, ReportEvent::Waits { until_ms, at_ms: local_ms() }));
                }
                Action::EndOfSeries { end: SeriesEnd::Completed } => end = Some(EndOfSeries::Completed),
                Action::EndOfSeries { end: SeriesEnd::Stopped } => end = Some(EndOfSeries::Stopped),
            }
        }
        let tells = !untold.is_empty() && (end.is_some() || !journal.waits_for(live.told));
        if tells {
            reports.extend(untold.drain(..).map(|skipped| (live.order, 0, ReportEvent::Skipped(skipped))));
        }
        reports.extend(end.map(|end| (live.order, 0, ReportEvent::SeriesEnded { end, at_ms: local_ms() })));
        let kept_ms = journal.series(invocation).map(|kept| kept.expires_ms);
        let expires_ms = step.expires_ms.filter(|ms| kept_ms.is_none_or(|kept_ms| kept_ms < *ms));
        if actions.is_empty()
            && reports.is_empty()
            && step.records.is_empty()
            && expires_ms.is_none()
            && machine.is_found_again_from(&live.machine)
        {
            // Nothing that a restart would not find out again.
            live.machine = machine;
            return Ok(());
        }
        let mut records = step.records;
        records.extend(numbered(journal, invocation, reports));
        let ended_ms = end.map(|_| local_ms());
        records.push(Record::Advanced(Box::new(Advanced {
            invocation: invocation.to_owned(),
            state: machine.state().clone(),
            previous: step.previous,
            ended_ms,
            end,
            expires_ms,
            untold: untold.clone(),
        })));
        journal.append(&records)?;
        (live.machine, live.untold) = (machine, untold);
        if tells {
            live.told = journal.next_seq().saturating_sub(1);
        }
        for action in actions {
            match action {
                Action::Run { due, number, late } => {
                    let stop = CancellationToken::new();
                    live.run = Some((number, stop.clone()));
                    let run = run::Run { invocation: invocation.to_owned(), number, due, late, stop };
                    self.tasks.spawn_local(Rc::clone(self).run_of_series(run));
                }
                Action::Kill { number } => {
                    if let Some((_, stop)) = live.run.as_ref().filter(|(running, _)| *running == number) {
                        stop.cancel();
                    }
                }
                Action::Skip { .. } | Action::Waits { .. } | Action::EndOfSeries { .. } => {}
            }
        }
        if end.is_some() {
            tracing::info!(invocation.id = %invocation, "the series has ended");
            series.remove(invocation);
        }
        drop(state);
        if end.is_some() {
            self.forget_content();
        }
        self.outbox.notify_one();
        self.wake.notify_one();
        Ok(())
    }

    /// Removes the content that no series runs any more. What a series runs that is not followed yet is not known, and all stays.
    fn forget_content(&self) {
        let state = self.state.borrow();
        if state.journal.live_series().len() == state.series.len() {
            self.kept.retain(&state.series.values().map(|live| live.content).collect());
        }
    }

    /// Ends a series of which no machine can be had; that is remembered until `expires_ms` at least.
    fn end_series(&self, invocation: &str, end: EndOfSeries, expires_ms: Option<i64>) -> Result<(), JournalError> {
        let mut state = self.state.borrow_mut();
        let Some(kept) = state.journal.series(invocation).cloned() else { return Ok(()) };
        let at_ms = local_ms();
        let skipped = kept.untold.into_iter().map(|skipped| (kept.order, 0, ReportEvent::Skipped(skipped)));
        let reports = skipped.chain([(kept.order, 0, ReportEvent::SeriesEnded { end, at_ms })]).collect();
        let mut records = numbered(&state.journal, invocation, reports);
        records.push(Record::Advanced(Box::new(Advanced {
            invocation: invocation.to_owned(),
            state: kept.state,
            previous: None,
            ended_ms: Some(at_ms),
            end: Some(end),
            expires_ms,
            untold: Vec::new(),
        })));
        state.journal.append(&records)?;
        drop(state);
        self.outbox.notify_one();
        Ok(())
    }
}

/// Where the series of an order stands, for a server that asks again.
pub(super) fn series_again(journal: &Journal, order: &Digest) -> Option<Record> {
    journal.known(order).filter(|known| *known != Known::Ended)?;
    let invocation = journal.invocation(order)?;
    let kept = journal.series(&invocation)?;
    let event = match (kept.end, kept.ended_ms) {
        (Some(end), Some(at_ms)) => ReportEvent::SeriesEnded { end, at_ms },
        _ => ReportEvent::Accepted { at_ms: local_ms() },
    };
    numbered(journal, &invocation, vec![(*order, 0, event)]).pop()
}

/// The reports of a series with their sequence numbers.
fn numbered(journal: &Journal, invocation: &str, reports: Vec<(Digest, u32, ReportEvent)>) -> Vec<Record> {
    let first = journal.next_seq();
    let numbered = reports.into_iter().zip(first..);
    let record = |((order, generation, event), seq)| {
        let invocation = Some(invocation.to_owned());
        Record::Report(Box::new(Report { seq, order, invocation, generation, event }))
    };
    numbered.map(record).collect()
}

/// Adds what was left out to what is not told yet of the same reason.
fn fold(untold: &mut Vec<Skipped>, missed: Missed, reason: Reason) {
    let (first_ms, last_ms, at_ms) = (missed.first.as_millisecond(), missed.last.as_millisecond(), local_ms());
    match untold.iter_mut().find(|skipped| skipped.reason == reason) {
        Some(skipped) => {
            skipped.first_ms = skipped.first_ms.min(first_ms);
            skipped.last_ms = skipped.last_ms.max(last_ms);
            skipped.count = skipped.count.saturating_add(missed.count);
            skipped.exact &= missed.exact;
            skipped.at_ms = at_ms;
        }
        None => {
            untold.push(Skipped { first_ms, last_ms, count: missed.count, exact: missed.exact, reason, at_ms });
        }
    }
}
