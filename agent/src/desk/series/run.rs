//! One run of a series: its turn, the checks again, its beginning on the disk, and its end.
//!
//! Owns that a run begins only once that is on the disk, so that none is given out twice, and that its end and where the series
//! stands then are one write. A run that is refused when its turn comes is told with a receipt as any other end. It stops as all
//! tasks do; one that has not begun when the desk closes is left to the next agent.

use std::rc::Rc;

use jiff::Timestamp;
use orderly_model::schedule::{Cause, Event};
use orderly_model::task::TaskStatus;
use orderly_signing::Envelope;
use orderly_signing::digest::Digest;
use orderly_signing::error::Check;
use orderly_signing::order::{Action, ScriptAction};
use orderly_signing::receipt::SeriesRun;
use orderly_signing::verify::verify_order_again;
use orderly_wire::to_server::ReportEvent;
use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{Step, numbered};
use crate::clock::local_ms;
use crate::desk::intake::HEADROOM_BYTES;
use crate::desk::work::{Job, RETRY_TIME, Task, told_effect};
use crate::desk::{Active, Desk, Phase};
use crate::exec::{Outcome, chain, effect};
use crate::journal::JournalError;
use crate::journal::record::{Began, Record};
use crate::policy::Refused;

/// A run that was given out.
pub(super) struct Run {
    pub invocation: String,
    pub number: u32,
    pub due: Timestamp,
    pub late: Option<Cause>,
    pub stop: CancellationToken,
}

impl Desk {
    /// Does a run of a series, and writes its end down.
    pub(super) async fn run_of_series(self: Rc<Self>, run: Run) {
        let turn = tokio::select! {
            biased;
            // Nothing says that it began: the next agent gives it out again.
            () = self.closing.cancelled() => return,
            () = run.stop.cancelled() => None,
            turn = self.turn() => turn,
        };
        let Some(order) = self.state.borrow().journal.series(&run.invocation).map(|kept| kept.order) else { return };
        let Some(_turn) = turn else {
            let reason = "it was stopped before its turn, and has not run";
            let outcome = Outcome::without_run(TaskStatus::Cancelled, None, reason);
            self.conclude_run(order, &run, outcome).await;
            return;
        };
        let begun = self.ready(&run).and_then(|task| self.begin_run(&run, task));
        let task = match begun {
            Ok(task) => task,
            Err(refused) => {
                tracing::warn!(invocation.id = %run.invocation, run = run.number, reason = %refused.reason, "a run of a series is refused");
                let status = TaskStatus::from(refused.code.usual_status());
                let outcome = Outcome {
                    check: refused.check,
                    ..Outcome::without_run(status, Some(refused.code), refused.reason)
                };
                self.conclude_run(order, &run, outcome).await;
                return;
            }
        };
        self.outbox.notify_one();
        let outcome = Box::pin(self.run(&task, &mut None)).await;
        let effect = self.effect(&task, &outcome);
        let outcome = told_effect(outcome, effect.as_ref().map(|(effect, _)| *effect));
        let safe = self.conclude_run(task.order, &run, outcome).await;
        self.state.borrow_mut().active.remove(&task.order);
        if let Some((effect, line)) = effect.filter(|_| safe && !self.closing.is_cancelled()) {
            tracing::warn!(invocation.id = %run.invocation, run = run.number, "the instance is {}", effect.as_str());
            if let Err(reason) = effect::carry_out(line).await {
                tracing::error!(invocation.id = %run.invocation, reason, "the instance is not {}", effect.as_str());
            }
        }
    }

    /// A slot, once there is room to tell what the run does: a server that never acknowledges fills no disk.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        loop {
            let turn = self.slots.acquire().await.ok()?;
            if !self.state.borrow_mut().journal.crowded(false, local_ms()) {
                return Some(turn);
            }
            drop(turn);
            tokio::time::sleep(RETRY_TIME).await;
        }
    }

    /// Checks 1 to 4 and 6 to 8 again, by the keyring, the policy and the content as they are now.
    fn ready(&self, run: &Run) -> Result<Task, Refused> {
        let state = self.state.borrow();
        let unreadable = |reason: String| Refused::because(Check::Journal, reason);
        let kept = state.journal.series(&run.invocation);
        let kept = kept.ok_or_else(|| unreadable("the journal knows no such series".to_owned()))?;
        let armed = state.journal.armed(kept).map_err(|error| unreadable(chain(&error)))?;
        let armed = armed.ok_or_else(|| unreadable("the journal does not hold the order of the series".to_owned()))?;
        let (envelope, proof, me) = (&armed.envelope, &armed.proof, self.identity.id());
        let order = verify_order_again(envelope, &state.keyring, me, Digest::ZERO, proof, &kept.order)?;
        let Action::Script(ScriptAction { content, content_bytes, .. }) = &order.action else {
            return Err(Refused::because(Check::Payload, "a series of anything but a script is not carried out"));
        };
        let bytes = self.kept.read(content, *content_bytes);
        let bytes = bytes.map_err(|error| Refused::because(Check::Content, chain(&error)))?;
        let gate = self.gate(&state);
        let admitted = gate.script(&order, Some(&bytes))?;
        let script = gate.filled(&order, admitted, bytes, &armed.built_ins)?;
        Ok(Task {
            order: order.digest(),
            invocation: run.invocation.clone(),
            run: Some(run.number),
            job: Job::Script(Box::new(script)),
            trial: false,
            live: false,
            stop: run.stop.clone(),
        })
    }

    /// Writes down that the run begins, before anything of it does.
    fn begin_run(&self, run: &Run, task: Task) -> Result<Task, Refused> {
        let mut state = self.state.borrow_mut();
        let (room, held) = (task.job.room(), task.job.held());
        let began = Began {
            invocation: run.invocation.clone(),
            order: task.order,
            number: run.number,
            tree: self.planned_tree(&task),
        };
        let event = ReportEvent::Began { due_ms: run.due.as_millisecond(), late: run.late, at_ms: local_ms() };
        let mut records = vec![Record::Began(began)];
        records.extend(numbered(&state.journal, &run.invocation, vec![(task.order, run.number, event)]));
        let total = state.active.values().map(|active| active.room).sum::<u64>() + room + HEADROOM_BYTES;
        let written = state.journal.reserve(total).and_then(|()| state.journal.append(&records));
        written.map_err(|error| {
            let reason = format!("that the run begins cannot be recorded, so it is not begun: {}", chain(&error));
            Refused::because(Check::Journal, reason)
        })?;
        let active = Active { stop: run.stop.clone(), phase: Phase::Accepted, room, held };
        state.active.insert(task.order, active);
        tracing::info!(invocation.id = %run.invocation, run = run.number, "a run of a series begins");
        Ok(task)
    }

    /// Writes the end of a run down, and where the series stands then; says whether it is on the disk.
    async fn conclude_run(self: &Rc<Self>, order: Digest, run: &Run, outcome: Outcome) -> bool {
        tracing::info!(invocation.id = %run.invocation, run = run.number, status = outcome.status.as_str(), "ended");
        let mut short = Some(outcome.without_output());
        let mut told = self.end_of_run(order, run, outcome);
        loop {
            let Err(error) = self.record_end(run, &told, Event::Ended { number: run.number }) else { return true };
            if error.is_about_the_record()
                && let Some(outcome) = short.take()
            {
                told = self.end_of_run(order, run, outcome);
                continue;
            }
            tracing::error!(invocation.id = %run.invocation, error = %chain(&error), "the end of a run cannot be recorded yet");
            tokio::select! {
                () = tokio::time::sleep(RETRY_TIME) => {}
                () = self.closing.cancelled() => return false,
            }
        }
    }

    /// What is told of a run's end.
    pub(super) fn end_of_run(&self, order: Digest, run: &Run, outcome: Outcome) -> Step {
        let previous = self.state.borrow().journal.series(&run.invocation).and_then(|kept| kept.previous);
        let series = SeriesRun { scheduled_ms: run.due.as_millisecond().max(0), previous };
        let finished = self.finished_run(order, &run.invocation, run.number, Some(series), outcome);
        let digest = Envelope::parse(&finished.receipt).ok().map(|envelope| envelope.digest());
        let event = ReportEvent::Finished(Box::new(finished));
        Step { reports: vec![(order, run.number, event)], previous: digest, ..Step::default() }
    }

    /// Writes it down with what follows for the series.
    pub(super) fn record_end(self: &Rc<Self>, run: &Run, told: &Step, event: Event) -> Result<(), JournalError> {
        let step = Step { reports: told.reports.clone(), previous: told.previous, ..Step::default() };
        self.advance(&run.invocation, step, |machine, reading, zone| machine.apply(event, reading, zone))
    }
}
