//! Follows an invocation until all its tasks have ended, or the person leaves.
//!
//! Owns the reading of live events, the progress bar, ctrl-c (the first asks the server to stop, the second leaves) and
//! the summary. A rollout that has halted is an end too, once nothing of it is open: only a person lets it go on. When the
//! stream of events breaks off it looks at the invocation again: the store is the truth.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orderly_signing::InstanceId;
use orderly_wire::http::event::InvocationEvent;
use orderly_wire::http::invocation::{InvocationView, StopInvocation};
use orderly_wire::http::rollout::RolloutView;
use orderly_wire::http::task::{TaskDetail, TaskView};
use serde::Serialize;

use crate::args::Format;
use crate::client::{Client, Events};
use crate::error::{Exit, Failure};
use crate::live::{Live, Screen as _, Terminal};
use crate::output::{Printer, Tone, printable};
use crate::report;
use crate::status;

/// How often a broken stream is opened again before the failure is told.
const RECONNECTS_MAX: u32 = 5;

/// Waits between two attempts.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// What `--output json` shows of a finished invocation.
#[derive(Debug, Serialize)]
struct Finished {
    invocation: InvocationView,
    tasks: Vec<TaskDetail>,
}

/// Follows an invocation to its end and says what the exit code is.
///
/// # Errors
/// The server went away and did not come back.
pub(crate) async fn follow(client: &Client, printer: &Printer, invocation: &InvocationView) -> Result<Exit, Failure> {
    let bar = printer.draws_progress().then(|| bar(invocation.targets));
    let mut following = Following {
        client,
        printer,
        id: invocation.id.clone(),
        live: Live::new(invocation.targets > 1, !std::io::stdout().is_terminal()),
        screen: Terminal { printer, bar },
        tasks: BTreeMap::new(),
        ended: false,
        rollout: None,
        moves: matches!(invocation.kind.as_str(), "file" | "collect"),
    };
    let left = following.watch().await?;
    if let Some(bar) = following.screen.bar.take() {
        bar.finish_and_clear();
    }
    if left {
        printer.remark(&format!("left; `orderly invocation follow {}` goes on", invocation.id));
        return Ok(Exit::Interrupted);
    }
    let exit = following.summary().await?;
    match following.rollout.as_deref().filter(|_| !following.ended) {
        Some(halted) => {
            following.tell(halted);
            Ok(Exit::Halted)
        }
        None => Ok(exit),
    }
}

struct Following<'a> {
    client: &'a Client,
    printer: &'a Printer,
    id: String,
    live: Live,
    screen: Terminal<'a>,
    tasks: BTreeMap<InstanceId, TaskView>,
    ended: bool,
    /// How its rollout goes, as it was heard last.
    rollout: Option<Box<RolloutView>>,
    /// Whether files are moved: what a task collected is no output to be shown.
    moves: bool,
}

impl Following<'_> {
    /// Answers whether the person left before the end.
    async fn watch(&mut self) -> Result<bool, Failure> {
        let mut interrupts = 0u32;
        let mut reconnects = 0u32;
        let path = format!("/v1/invocations/{}/events", self.id);
        loop {
            let problem = match self.client.events(&path).await {
                Ok(mut events) => match self.read(&mut events, &mut interrupts).await {
                    Ok(Some(left)) => return Ok(left),
                    Ok(None) => Failure::server("the server closed the stream of events"),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            reconnects += 1;
            if reconnects > RECONNECTS_MAX {
                return Err(problem.hint(format!("the tasks go on; `orderly invocation show {}` looks again", self.id)));
            }
            self.screen.remark(&format!("{problem}; looking again"));
            tokio::select! {
                () = tokio::time::sleep(RECONNECT_PAUSE) => {}
                _ = tokio::signal::ctrl_c() => return Ok(true),
            }
        }
    }

    /// Answers `Some(left)` at the end, nothing where the stream ended too early.
    async fn read(&mut self, events: &mut Events, interrupts: &mut u32) -> Result<Option<bool>, Failure> {
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                _ = tokio::signal::ctrl_c() => {
                    *interrupts += 1;
                    if *interrupts > 1 {
                        return Ok(Some(true));
                    }
                    self.screen.remark("asking the server to stop it; ctrl-c again leaves without waiting");
                    let path = format!("/v1/invocations/{}/stop", self.id);
                    if let Err(failure) = self.client.post_only(&path, &StopInvocation::default()).await {
                        self.screen.remark(&format!("it was not stopped: {failure}"));
                    }
                    continue;
                }
            };
            let Some(event) = event else {
                return Ok(None);
            };
            if self.printer.format() == Format::Jsonl {
                self.printer.json(&event, false);
            }
            self.apply(event).await?;
            if self.ended || self.rests() {
                return Ok(Some(false));
            }
        }
    }

    async fn apply(&mut self, event: InvocationEvent) -> Result<(), Failure> {
        match event {
            InvocationEvent::Task(task) => self.task(*task).await,
            InvocationEvent::Output { instance, offset, segments } => {
                if self.printer.is_table() {
                    let name = self.name(&instance);
                    self.live.chunk(&mut self.screen, &instance, &name, offset, &segments);
                }
                Ok(())
            }
            InvocationEvent::Progress { instance, done, total, message } => {
                let name = self.name(&instance);
                if let Some(bar) = &self.screen.bar {
                    let share = if total > 0 { format!("{done}/{total} ") } else { String::new() };
                    bar.set_prefix(printable(&format!("{name}: {share}{message}")));
                }
                Ok(())
            }
            InvocationEvent::Counts { counts, rollout, .. } => {
                self.roll(rollout);
                self.counts(&counts);
                Ok(())
            }
            InvocationEvent::Lagged => self.look_again().await,
            InvocationEvent::End { counts, .. } => {
                self.counts(&counts);
                // Some task may have ended while events were left out.
                if self.tasks.values().any(|task| !status::is_final(&task.status)) {
                    self.look_again().await?;
                }
                self.ended = true;
                Ok(())
            }
        }
    }

    async fn task(&mut self, task: TaskView) -> Result<(), Failure> {
        let before = self.tasks.insert(task.instance.clone(), task.clone());
        let ended_now = status::is_final(&task.status) && before.is_none_or(|before| !status::is_final(&before.status));
        if ended_now && !self.moves && self.printer.is_table() {
            let missing = task.output_bytes > self.live.shown(&task.instance);
            let detail: Option<TaskDetail> = match missing {
                true => Some(self.client.get(&self.task_path(&task.instance)).await?),
                false => None,
            };
            let kept = detail.as_ref().and_then(|detail| detail.output.as_ref());
            self.live.finish(&mut self.screen, &task.instance, &task.instance_name, kept);
        }
        Ok(())
    }

    async fn look_again(&mut self) -> Result<(), Failure> {
        let tasks: Vec<TaskView> = self.client.all(&format!("/v1/invocations/{}/tasks", self.id)).await?;
        for task in tasks {
            self.task(task).await?;
        }
        Ok(())
    }

    fn counts(&self, counts: &BTreeMap<String, u64>) {
        if let Some(bar) = &self.screen.bar {
            let done = counts.iter().filter(|(name, _)| status::is_final(name)).map(|(_, count)| count).sum();
            bar.set_position(done);
            let place = self.rollout.as_deref().map(|rollout| format!("; {}", status::place(rollout)));
            bar.set_message(printable(&format!("{}{}", status::counts(counts), place.unwrap_or_default())));
        }
    }

    /// Hears how the rollout goes, and tells it where it got to another wave or state.
    fn roll(&mut self, now: Option<Box<RolloutView>>) {
        let Some(now) = now else { return };
        let differs = |before: &RolloutView| (before.wave, &before.state) != (now.wave, &now.state);
        let told = self.rollout.as_deref().is_none_or(differs);
        self.rollout = Some(now);
        // Where it is over for now, it is told beneath the summary.
        if told
            && !self.rests()
            && let Some(now) = &self.rollout
        {
            self.screen.remark(&status::rollout(now));
            if let Some(next) = status::next(now, &self.id) {
                self.screen.remark(&next);
            }
        }
    }

    /// Whether the rollout has halted and nothing of it is open.
    fn rests(&self) -> bool {
        self.rollout.as_deref().is_some_and(|rollout| rollout.state == status::HALTED && rollout.open == 0)
    }

    fn tell(&self, halted: &RolloutView) {
        self.printer.remark_toned(Tone::Bad, "halted", &format!(": {}", status::rollout(halted)));
        if let Some(next) = status::next(halted, &self.id) {
            self.printer.remark(&next);
        }
    }

    fn name(&self, instance: &InstanceId) -> String {
        self.tasks.get(instance).map_or_else(|| instance.to_string(), |task| task.instance_name.clone())
    }

    fn task_path(&self, instance: &InstanceId) -> String {
        format!("/v1/invocations/{}/tasks/{instance}", self.id)
    }

    /// Shows how it came out and says the exit code.
    async fn summary(&self) -> Result<Exit, Failure> {
        let invocation: InvocationView = self.client.get(&format!("/v1/invocations/{}", self.id)).await?;
        let exit = status::exit(&invocation.counts);
        match self.printer.format() {
            Format::Jsonl => return Ok(exit),
            Format::Json => {
                let mut tasks = Vec::new();
                for instance in self.tasks.keys() {
                    tasks.push(self.client.get(&self.task_path(instance)).await?);
                }
                self.printer.json(&Finished { invocation, tasks }, true);
                return Ok(exit);
            }
            Format::Table => {}
        }
        if invocation.kind == "plugin" {
            for task in self.tasks.values() {
                let detail: TaskDetail = self.client.get(&self.task_path(&task.instance)).await?;
                if self.tasks.len() > 1 {
                    self.printer.line(&format!("── {} ──", detail.view.instance_name));
                }
                if let Some(found) = &detail.report {
                    report::show(self.printer, found);
                }
            }
        }
        if self.tasks.len() > 1 {
            let rows = self.tasks.values().map(|task| status::row(task, &invocation.kind)).collect();
            self.printer.remark_table(&status::HEADER, rows);
            self.printer.remark(&format!("{}: {}", invocation.status, status::counts(&invocation.counts)));
        } else if let Some(task) = self.tasks.values().next().filter(|task| task.status != "Success") {
            let tone = status::tone(&task.status);
            self.printer.remark_toned(tone, &task.status, &format!(": {}", status::explanation(task)));
        } else {
            self.printer.remark_toned(Tone::Dim, &format!("{} {}", invocation.status, self.id), "");
        }
        Ok(exit)
    }
}

fn bar(targets: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(targets), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg} {prefix}") {
        bar.set_style(style);
    }
    bar
}
