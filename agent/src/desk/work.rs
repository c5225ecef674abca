//! Carrying out what was accepted: waiting for a turn, running, writing the end down.
//!
//! Owns the queue's order and the end of every accepted task. A task that is stopped while it waits never runs. Its end
//! is told only once it is in the journal, and tried again for as long as the disk does not take it. What an exit code does
//! to the instance is done only once that end is on the disk, from where it is told after the restart.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use orderly_host::output::segments_max;
use orderly_host::platform::{Quota, Tree, TreeIdentity};
use orderly_model::effect::Effect;
use orderly_model::limits::{OUTPUT_KEPT_MAX_BYTES, REPORT_MAX_BYTES};
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;
use orderly_wire::to_server::ReportEvent;
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::intake::{interrupted, report};
use crate::exec::file::notes::Noted;
use crate::exec::live::Live;
use crate::exec::plugin::{AdmittedPlugin, Plugin};
use crate::exec::script::Script;
use crate::exec::{Outcome, chain, collect, container, effect, file, handed, plugin, script, trial};
use crate::journal::record::{Began, Record};
use crate::journal::{self, JournalError};
use crate::policy::AdmittedMove;

/// Bytes of an end in the journal besides output and report.
const END_BYTES: u64 = 16 * 1024;

/// Bytes of one segment of output in the journal besides its Base64: names, quotes, padding.
const SEGMENT_BYTES: u64 = 40;

/// Time between two tries to write something down, and between two looks whether there is room for what a run tells.
pub(super) const RETRY_TIME: Duration = Duration::from_secs(5);

/// What is to be done.
pub(super) enum Job {
    Script(Box<Script>),
    Plugin(Box<Plugin>),
    /// A file, to this instance or from it.
    Move(Box<AdmittedMove>),
}

impl Job {
    /// The job of a plugin order; its code or its component is at hand, and is looked for again when its turn comes: tasks
    /// that wait hold none.
    pub(crate) fn plugin(admitted: AdmittedPlugin, timeout_s: u32, output_bytes: u32) -> Self {
        let timeout = Duration::from_secs(u64::from(timeout_s));
        let output_bytes = output_bytes.min(OUTPUT_KEPT_MAX_BYTES);
        Self::Plugin(Box::new(Plugin { admitted, timeout, output_bytes }))
    }

    /// Bytes of memory that it holds while it waits.
    pub(crate) fn held(&self) -> u64 {
        match self {
            Self::Script(script) => script.held(),
            Self::Plugin(_) | Self::Move(_) => 0,
        }
    }

    /// What its process tree is held to; a plugin's limits are its host's.
    pub(crate) fn quota(&self) -> Quota {
        match self {
            Self::Script(script) => script::quota(&script.action),
            Self::Plugin(_) | Self::Move(_) => Quota::default(),
        }
    }

    /// Bytes that its end may take in the journal: Base64 and JSON of the output, and of a plugin's report.
    pub(crate) fn room(&self) -> u64 {
        match self {
            Self::Script(script) => output_room(script.output_bytes()) + END_BYTES,
            Self::Plugin(plugin) => output_room(plugin.output_bytes) + END_BYTES * 4 + REPORT_MAX_BYTES as u64,
            Self::Move(_) => END_BYTES,
        }
    }
}

/// The room of kept output: its Base64, and the words around each of its segments.
fn output_room(bytes: u32) -> u64 {
    u64::from(bytes) * 3 / 2 + 2 * segments_max(bytes) as u64 * SEGMENT_BYTES
}

/// An accepted task.
pub(super) struct Task {
    pub order: Digest,
    pub invocation: String,
    /// Its number, where it is a run of a series.
    pub run: Option<u32>,
    pub job: Job,
    /// Whether it is told instead of done.
    pub trial: bool,
    pub live: bool,
    pub stop: CancellationToken,
}

impl Task {
    /// The name of its process tree: known before there is one, so that it is found after a crash at any moment.
    pub(crate) fn tree_name(&self) -> String {
        let number = self.run.map(|run| format!("-{run}")).unwrap_or_default();
        format!("{}-{}{number}", self.invocation, self.order.hex().get(..16).unwrap_or_default())
    }
}

impl Desk {
    /// Does an accepted task, and writes its end down.
    pub(super) async fn work(self: Rc<Self>, task: Task) {
        let turn = tokio::select! {
            biased;
            () = task.stop.cancelled() => None,
            () = self.closing.cancelled() => None,
            turn = self.slots.acquire() => turn.ok(),
        };
        let mut noted = None;
        let outcome = match turn {
            Some(_turn) => Box::pin(self.run(&task, &mut noted)).await,
            None if task.stop.is_cancelled() => {
                Outcome::without_run(TaskStatus::Cancelled, None, "it was stopped before its turn, and has not run")
            }
            None => interrupted("the agent was stopped before the task's turn; it has not run"),
        };
        let effect = self.effect(&task, &outcome);
        let outcome = told_effect(outcome, effect.as_ref().map(|(effect, _)| *effect));
        let safe = self.conclude(task.order, &task.invocation, outcome).await;
        if let Some(noted) = noted {
            noted.settle(safe);
        }
        // An agent that is stopped by now carries it out no more, and nothing does it by guess at the next start.
        if let Some((effect, line)) = effect.filter(|_| safe && !self.closing.is_cancelled()) {
            tracing::warn!(invocation.id = %task.invocation, order = %task.order, "the instance is {}", effect.as_str());
            if let Err(reason) = effect::carry_out(line).await {
                tracing::error!(invocation.id = %task.invocation, reason, "the instance is not {}", effect.as_str());
            }
        }
    }

    /// What the exit code does to the instance, where order and owner let it, and by which program.
    pub(super) fn effect(&self, task: &Task, outcome: &Outcome) -> Option<(Effect, &[String])> {
        let Job::Script(script) = &task.job else { return None };
        let asked = script.action.exit_effects && outcome.status == TaskStatus::Failed;
        let effect = Effect::of(self.facts.system, outcome.exit_code.filter(|_| asked)?)?;
        Some((effect, self.config.effects.as_ref()?.line(effect)))
    }

    /// Does it; the note of a file that is moved is left in `noted`, to be kept until the end is recorded.
    pub(super) async fn run(self: &Rc<Self>, task: &Task, noted: &mut Option<Noted>) -> Outcome {
        if task.trial {
            return match &task.job {
                Job::Script(script) => match &script.action.container {
                    Some(container) => container::trial(script, container, &self.config.containers).await,
                    None => trial::script(script, self.config.effects.as_ref()),
                },
                Job::Plugin(plugin) => trial::plugin(plugin),
                // Such an order was refused; should one get here, it moves nothing.
                Job::Move(_) => interrupted("a file is not moved as a trial"),
            };
        }
        let mut live =
            if task.live { Live::new(task.order, task.invocation.clone(), self.live.clone()) } else { Live::off() };
        let halt = CancellationToken::new();
        if let Job::Move(admitted) = &task.job {
            // No process is started for it, so there is no tree.
            return self.halted(task, &halt, self.moved(task.order, admitted, &halt, &mut live, noted)).await;
        }
        if let Job::Script(script) = &task.job
            && let Some(container) = &script.action.container
        {
            // Its tree is made in the container's cgroup, once there is something in it.
            let started = |tree: &Tree| {
                self.note_tree(task, tree).map_err(|error| {
                    format!("where the script is to run cannot be recorded, so it is not begun: {}", chain(&error))
                })
            };
            let (place, name) = (container::Place { container, containers: &self.config.containers }, task.tree_name());
            let halt_of = script::Halt { stop: &halt, grace: self.config.grace };
            let running = container::run(script, place, &name, &halt_of, &mut live, started);
            return Box::pin(self.halted(task, &halt, running)).await;
        }
        let tree = match self.trees.create_limited(&task.tree_name(), &task.job.quota()) {
            Ok(tree) => tree,
            Err(error) => {
                return Outcome::without_run(TaskStatus::Error, Some(ResultCode::ExecutionException), chain(&error));
            }
        };
        let running = async {
            match &task.job {
                Job::Move(_) => interrupted("it has no process"),
                Job::Script(script) => {
                    let started = |tree: &Tree| self.remember_tree(task, tree);
                    let halt = script::Halt { stop: &halt, grace: self.config.grace };
                    let place = self.named_scripts();
                    script::run(script, tree, &place, &halt, &mut live, started).await
                }
                Job::Plugin(plugin) => {
                    let place = plugin::Place {
                        program: &self.program,
                        facts: &self.facts,
                        me: self.identity.id(),
                        order: task.order,
                    };
                    let code = self.code(&plugin.admitted);
                    let outcome = plugin::run(plugin, code, &place, &tree, &halt, &mut live).await;
                    self.let_code_go_later();
                    outcome
                }
            }
        };
        Box::pin(self.halted(task, &halt, running)).await
    }

    /// Moves a file.
    async fn moved(
        &self,
        order: Digest,
        admitted: &AdmittedMove,
        halt: &CancellationToken,
        live: &mut Live,
        noted: &mut Option<Noted>,
    ) -> Outcome {
        let mover = file::Mover { transfer: &self.transfer, notes: &self.notes, order, halt };
        match admitted {
            AdmittedMove::Put(put) => file::put(put, &mover, live, noted).await,
            AdmittedMove::Collect(action) => collect::collect(action, &mover, noted).await,
        }
    }

    /// Follows what runs to its end, and halts it at a stop or when this agent ends.
    async fn halted(&self, task: &Task, halt: &CancellationToken, running: impl Future<Output = Outcome>) -> Outcome {
        tokio::pin!(running);
        let mut closed = false;
        let outcome = loop {
            tokio::select! {
                outcome = &mut running => break outcome,
                () = task.stop.cancelled(), if !halt.is_cancelled() => halt.cancel(),
                () = self.closing.cancelled(), if !halt.is_cancelled() => {
                    closed = true;
                    halt.cancel();
                }
            }
        };
        let reason = match outcome.status {
            TaskStatus::Terminated if closed => "the agent was stopped while the task ran, and ended it",
            TaskStatus::Cancelled if closed => "the agent was stopped before the task had begun; it has not run",
            _ => return outcome,
        };
        let (status, code) = (TaskStatus::Error, Some(ResultCode::ExecutionInterrupted));
        Outcome { status, code, reason: Some(reason.to_owned()), ..outcome }
    }

    /// Where scripts lie whose launchers need a file with a name.
    pub(super) fn named_scripts(&self) -> PathBuf {
        handed::place(self.directory.path(), self.identity.id().as_str())
    }

    /// Where the tree could not be named beforehand it is written down now. It needs no sync: such a tree ends when
    /// this process does, and a machine that loses this record has lost the tree too.
    fn remember_tree(&self, task: &Task, tree: &Tree) {
        if self.trees.planned("x", &Quota::default()).is_some() {
            return;
        }
        if let Err(error) = self.note_tree(task, tree) {
            tracing::warn!(order = %task.order, error = %chain(&error), "a task's process tree is not recorded");
        }
    }

    /// Writes down where a task's tree is.
    fn note_tree(&self, task: &Task, tree: &Tree) -> Result<(), JournalError> {
        let tree = tree.identity();
        let record = match task.run {
            None => journal::record::tree(task.order, tree),
            Some(number) => {
                let (invocation, order) = (task.invocation.clone(), task.order);
                Record::Began(Began { invocation, order, number, tree: Some(tree) })
            }
        };
        self.state.borrow_mut().journal.note(&record)
    }

    /// Where a task's tree is going to be, where that is known. A container's is not, and nothing of it begins before it is
    /// written down.
    pub(super) fn planned_tree(&self, task: &Task) -> Option<TreeIdentity> {
        match &task.job {
            Job::Script(script) if script.action.container.is_some() => None,
            job => self.trees.planned(&task.tree_name(), &job.quota()),
        }
    }

    /// Writes the end of an accepted task down, and then tells it; says whether it is on the disk.
    pub(super) async fn conclude(&self, order: Digest, invocation: &str, outcome: Outcome) -> bool {
        tracing::info!(invocation.id = invocation, %order, status = outcome.status.as_str(), "ended");
        let mut short = Some(outcome.without_output());
        let mut finished = self.finished(order, invocation, outcome);
        let safe = loop {
            let written = {
                let mut state = self.state.borrow_mut();
                let event = ReportEvent::Finished(Box::new(finished.clone()));
                let record = report(&state.journal, order, Some(invocation.to_owned()), event);
                state.journal.append(&[record])
            };
            let Err(error) = written else { break true };
            // What no entry can hold is not tried again as it is: the task's end counts for more than its output.
            if error.is_about_the_record()
                && let Some(outcome) = short.take()
            {
                tracing::error!(invocation.id = invocation, %order, error = %chain(&error), "the end of a task is told without its output");
                finished = self.finished(order, invocation, outcome);
                continue;
            }
            tracing::error!(invocation.id = invocation, %order, error = %chain(&error), "the end of a task cannot be recorded yet");
            tokio::select! {
                () = tokio::time::sleep(RETRY_TIME) => {}
                // The next agent finds it unfinished and reports it as interrupted, which is what is known by then.
                () = self.closing.cancelled() => break false,
            }
        };
        self.state.borrow_mut().active.remove(&order);
        self.outbox.notify_one();
        safe
    }
}

/// Says what an exit code asks for, before it is done.
pub(super) fn told_effect(outcome: Outcome, effect: Option<Effect>) -> Outcome {
    let Some(effect) = effect else { return outcome };
    let asked = effect.as_str();
    let reason =
        format!("its exit code asks that the instance is {asked}; the agent tries that after this is recorded");
    Outcome { reason: Some(reason), ..outcome }
}

#[cfg(test)]
mod tests {
    use orderly_host::output::{Keeper, Stream};
    use orderly_wire::to_server::Segment;

    use super::*;
    use crate::exec::live::wire_stream;

    #[test]
    fn output_that_alternates_byte_by_byte_has_room_in_the_journal_and_on_the_wire() {
        for cap in [0, 1, 100, orderly_model::limits::OUTPUT_KEPT_DEFAULT_BYTES, OUTPUT_KEPT_MAX_BYTES] {
            let mut keeper = Keeper::new(cap);
            // The worst that fits: as many segments as may be, and the rest of the bytes in the last ones.
            for number in 0..3 * cap {
                keeper.push(if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr }, b"x");
            }
            keeper.push(Stream::Stdout, &vec![b'x'; cap as usize / 2]);
            let kept = keeper.finish();
            let segments = kept.head.into_iter().chain(kept.tail);
            let segments: Vec<_> =
                segments.map(|segment| Segment { stream: wire_stream(segment.stream), data: segment.bytes }).collect();
            let bytes = serde_json::to_vec(&segments).map_or(0, |json| json.len());
            assert!((2..=output_room(cap) as usize).contains(&bytes), "{cap}: {bytes}");
            assert!(bytes < orderly_wire::frame::TO_SERVER_MAX / 2, "{cap}: {bytes}");
        }
    }
}
