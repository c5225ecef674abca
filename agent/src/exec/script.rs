//! Running a script.
//!
//! Owns its start with what it is to have, its watch, and its end. What the order says is ended with the script:
//! `process-tree` ends all that it began, after its own end too, so that nothing of a task is alive once its end is told;
//! `process` ends the script's own process alone, and what it left in the background (`nohup server &`) lives on; its hold
//! on the output is then waited for a moment only.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use orderly_host::output::{Keeper, Kept, pump};
use orderly_host::platform::{Child, Ended, Exit, Hits, Quota, Spec, Stdin, Tree, memfd, spawn};
use orderly_model::limits::OUTPUT_KEPT_MAX_BYTES;
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::order::{ScriptAction, Termination};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::handed::Handed;
use super::live::Live;
use super::{Outcome, chain, start};
use crate::clock::local_ms;

/// How long output is still read from processes that a script left behind.
const LEFT_BEHIND_TIME: Duration = Duration::from_millis(200);

/// How long the rest of the output is read once nothing is alive.
pub(super) const REST_TIME: Duration = Duration::from_secs(2);

/// A script order that passed checks 6 to 8, its content aside where that was not at hand yet.
#[derive(Debug)]
pub(crate) struct AdmittedScript {
    /// What the order says of it.
    pub action: ScriptAction,
    /// As whom and where.
    pub account: Account,
}

/// A script that was admitted, with all that it takes to run it.
#[derive(Debug)]
pub(crate) struct Script {
    /// What the order says of it.
    pub action: ScriptAction,
    /// Its bytes, with all values in their places.
    pub content: Vec<u8>,
    /// What is added to the environment.
    pub environment: BTreeMap<String, String>,
    /// As whom and where.
    pub account: Account,
}

impl Script {
    /// When it is ended.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.action.timeout_s))
    }

    /// Bytes of output to keep: what the order says, and no more than this agent keeps of anything.
    pub(crate) fn output_bytes(&self) -> u32 {
        self.action.output_bytes.min(OUTPUT_KEPT_MAX_BYTES)
    }

    /// Bytes of memory that it holds while it waits.
    pub(crate) fn held(&self) -> u64 {
        let texts = self.environment.values().chain(&self.action.stdin);
        self.content.len() as u64 + texts.map(|text| text.len() as u64).sum::<u64>()
    }
}

/// How a run is ended before its own end.
pub(crate) struct Halt<'a> {
    /// Ends it when it is cancelled.
    pub stop: &'a CancellationToken,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// What an order holds its script's process tree to.
pub(crate) fn quota(action: &ScriptAction) -> Quota {
    let Some(resources) = action.resources else { return Quota::default() };
    Quota {
        cpu_percent: resources.cpu_percent,
        memory_bytes: resources.memory_mib.map(|mib| u64::from(mib) << 20),
        processes: resources.processes,
    }
}

/// Runs the script in this tree until it ends, its time is over, or it is halted. A file with a name is made in `place`.
/// `started` is called once its process is there.
pub(crate) async fn run(
    script: &Script,
    tree: Tree,
    place: &Path,
    halt: &Halt<'_>,
    live: &mut Live,
    started: impl FnOnce(&Tree),
) -> Outcome {
    let started_ms = Some(local_ms());
    let (child, _named) = match start(script, &tree, place).await {
        Ok(started) => started,
        Err(reason) => {
            return Outcome {
                started_ms,
                ..Outcome::without_run(TaskStatus::Error, Some(ResultCode::ExecutionException), reason)
            };
        }
    };
    started(&tree);
    let mut keeper = Keeper::new(script.output_bytes());
    let Watched { end, hits, left } = watch(script, child, tree, halt, &mut keeper, live).await;
    live.flush();
    let outcome = held_back(named(end, script, keeper.finish(), started_ms), hits, &quota(&script.action));
    if left { let_live(outcome) } else { outcome }
}

/// Starts it; the file that it was handed over in lives as long as what is given back.
async fn start(script: &Script, tree: &Tree, place: &Path) -> Result<(Child, Option<Handed>), String> {
    let extension = start::extension(&script.action)?;
    let handed = Handed::over(&script.content, &script.account, place, extension.as_deref())
        .map_err(|error| format!("the script cannot be handed over: {error}"))?;
    let line = start::line(&script.action, &script.content, handed.path())?;
    let mut spec = Spec::new(line.program).args(line.arguments);
    spec.env = script.account.environment(&script.environment);
    spec.cwd = script.account.directory().to_owned();
    spec.credentials = script.account.credentials();
    let named = match handed {
        Handed::Memory(descriptor) => {
            spec.extra = vec![descriptor];
            None
        }
        named @ Handed::Named(_) => Some(named),
    };
    if let Some(input) = &script.action.stdin {
        let input = memfd::sealed("orderly-stdin", &[input.as_bytes()]);
        spec.stdin = Stdin::Fd(input.map_err(|error| format!("its input cannot be handed over: {error}"))?);
    }
    // A script may want core files, as in a login of that user.
    spec.limits = Vec::new();
    spawn(spec, tree).await.map(|child| (child, named)).map_err(|error| chain(&error))
}

/// What was seen of a run.
struct Watched {
    end: End,
    hits: Hits,
    /// Whether something of it lives on, as the order says.
    left: bool,
}

/// Why a run is over.
pub(super) enum End {
    /// By itself.
    Exited(Ended),
    /// Its time was over.
    TimedOut,
    /// It was halted.
    Stopped,
    /// It could not be followed, or not be ended.
    Lost(String),
}

async fn watch(
    script: &Script,
    mut child: Child,
    tree: Tree,
    halt: &Halt<'_>,
    keeper: &mut Keeper,
    live: &mut Live,
) -> Watched {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let own = Pid::from_raw(child.pid()).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut reading = Reading::new(pump(&mut stdout, &mut stderr, u64::MAX, keeper, live));
    let why = reading
        .beside(async {
            tokio::select! {
                ended = child.wait() => ended.map_or_else(|error| End::Lost(format!("its process cannot be waited for: {error}")), End::Exited),
                () = tokio::time::sleep(script.timeout()) => End::TimedOut,
                () = halt.stop.cancelled() => End::Stopped,
            }
        })
        .await;
    let alone = script.action.termination == Termination::Process;
    let gone = match (&why, own) {
        (End::Exited(_), _) => alone || tree.is_empty().unwrap_or(false),
        (End::TimedOut | End::Stopped, Some(own)) if alone => {
            end_alone(&mut reading, &mut child, &own, halt.grace).await
        }
        _ => false,
    };
    if gone {
        reading.rest(LEFT_BEHIND_TIME).await;
        let hits = tree.hits();
        let left = alone && is_left(&tree).await;
        // Where the script left nothing behind this only tidies up.
        tree.release();
        return Watched { end: why, hits, left };
    }
    let terminated = reading.beside(tree.terminate(halt.grace)).await;
    reading.rest(REST_TIME).await;
    let end = match terminated {
        Ok(()) => why,
        Err(error) => End::Lost(chain(&error)),
    };
    Watched { end, hits: tree.hits(), left: false }
}

/// Whether something of a tree lives on whose script has ended. What is just about to end is not meant.
async fn is_left(tree: &Tree) -> bool {
    !tree.is_empty().unwrap_or(false) && tokio::time::timeout(LEFT_BEHIND_TIME, tree.emptied()).await.is_err()
}

/// Ends the script's own process and no other; says whether that is done.
async fn end_alone<F: Future>(reading: &mut Reading<F>, child: &mut Child, own: &OwnedFd, grace: Duration) -> bool {
    for (signal, time) in [(Signal::TERM, grace), (Signal::KILL, REST_TIME)] {
        let _ = pidfd_send_signal(own, signal);
        if let Ok(Ok(_)) = reading.beside(tokio::time::timeout(time, child.wait())).await {
            return true;
        }
    }
    false
}

/// The output, read beside everything else that is waited for, so that no writer is ever stuck on a full pipe.
pub(super) struct Reading<F> {
    pump: Pin<Box<F>>,
    over: bool,
}

impl<F: Future> Reading<F> {
    pub(super) fn new(pump: F) -> Self {
        Self { pump: Box::pin(pump), over: false }
    }

    /// Reads until the other is done, and gives its answer.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            tokio::select! {
                answer = &mut other => return answer,
                _ = &mut self.pump, if !self.over => self.over = true,
            }
        }
    }

    /// Reads what is left, for at most this long.
    pub(super) async fn rest(&mut self, time: Duration) {
        if !self.over {
            self.over = tokio::time::timeout(time, &mut self.pump).await.is_ok();
        }
    }
}

/// What a run that is over is called.
pub(super) fn named(end: End, script: &Script, output: Kept, started_ms: Option<i64>) -> Outcome {
    let (status, code, reason, exit_code) = match end {
        End::Exited(Ended { exit: Exit::Code(0), .. }) => (TaskStatus::Success, None, None, Some(0)),
        End::Exited(Ended { exit: Exit::Code(code), .. }) => {
            (TaskStatus::Failed, Some(ResultCode::ExitCodeNonzero), None, Some(code))
        }
        End::Exited(Ended { exit: Exit::Signal(signal), .. }) => {
            let reason = format!("the script was ended by signal {signal}, which did not come from this agent");
            (TaskStatus::Failed, Some(ResultCode::ExitCodeNonzero), Some(reason), Some(128 + signal))
        }
        End::TimedOut => {
            let reason = format!("it was ended after {} s, the order's time-out", script.action.timeout_s);
            (TaskStatus::Timeout, Some(ResultCode::ExecutionTimeout), Some(reason), None)
        }
        End::Stopped => (TaskStatus::Terminated, None, Some("it was ended by a stop".to_owned()), None),
        End::Lost(reason) => (TaskStatus::Error, Some(ResultCode::ExecutionException), Some(reason), None),
    };
    Outcome {
        status,
        code,
        reason,
        check: None,
        exit_code,
        output: Some(output),
        report: None,
        used: Vec::new(),
        started_ms,
    }
}

/// Says that something was let live, whatever else there is to say.
fn let_live(outcome: Outcome) -> Outcome {
    let sentence = "what it left in the background was let live, as the order says";
    let reason = outcome.reason.map_or(sentence.to_owned(), |reason| format!("{reason}; {sentence}"));
    Outcome { reason: Some(reason), ..outcome }
}

/// Says where a failure came from a limit. A script that got along with it is not told off.
fn held_back(outcome: Outcome, hits: Hits, quota: &Quota) -> Outcome {
    match quota {
        _ if outcome.status != TaskStatus::Failed => outcome,
        Quota { memory_bytes: Some(bytes), .. } if hits.memory > 0 => {
            let reason = format!("it needed more than the {} MiB of memory that the order gives it", bytes >> 20);
            let (status, code) = (TaskStatus::Error, Some(ResultCode::MemoryLimit));
            Outcome { status, code, reason: Some(reason), ..outcome }
        }
        Quota { processes: Some(most), .. } if hits.processes > 0 => {
            let reason = format!(
                "{} times a process or thread could not be started: the order gives it {most} at a time",
                hits.processes
            );
            Outcome { reason: Some(reason), ..outcome }
        }
        _ => outcome,
    }
}
