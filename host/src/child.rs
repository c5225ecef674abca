//! The one-shot child in which a plugin runs: this program, re-executed with [`RUN_PLUGIN_ARGUMENT`].
//!
//! Descriptors: 0 the request, 1 and 2 the output, 3 the native code (sealed), 4 the line to the parent. Owns the order:
//! everything that needs the machine first, then the box, then the guest. Ends by `_exit` after its last word, by its
//! deadline, or by being killed.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use orderly_model::grant::Grants;
use orderly_model::limits::OUTCOME_SUMMARY_MAX_BYTES;
use orderly_model::report::{Outcome, Report, ReportBuilder, Verdict};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, Trap};
use wasmtime_wasi::filesystem::FsPerms;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use crate::abi::bindings::exports::orderly::plugin::command as wit;
use crate::abi::bindings::{Plugin, PluginPre};
use crate::capability::clock::Standing;
use crate::capability::files::FileGuard;
use crate::capability::http::Brokered;
use crate::capability::uses::Recorder;
use crate::capability::{mounts, random};
use crate::error::SandboxError;
use crate::frame::{ChildEnd, DescribedParameter, Description, End, Failure, Mode, Request, Up};
use crate::limits::{HANDLES_MAX, HOSTCALL_MAX_BYTES};
use crate::line::Line;
use crate::platform::{self, sandbox};
use crate::state::{Memory, Names, State};
use crate::{component, engine, epoch};

/// The argument after which a program's `main` must call [`main`].
pub const RUN_PLUGIN_ARGUMENT: &str = "__run-plugin";

/// Most bytes of a reason that is told to people.
const REASON_MAX_BYTES: usize = 2_000;

/// Runs the plugin that the parent handed over, and ends this process. Call it first thing, before any thread starts.
pub fn main() -> ! {
    let Err(error) = run(Instant::now());
    let _ = writeln!(io::stderr(), "error: the plugin's process cannot start: {error}");
    platform::leave(1)
}

/// Ends this process where nothing fails.
fn run(started: Instant) -> io::Result<Infallible> {
    let request: Request = serde_json::from_slice(&platform::memfd::read_all(platform::inherited(0)?)?)?;
    let socket = platform::inherited(4)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let line = Line::open(socket)?;
        let recorder = Arc::new(Recorder::new(Arc::clone(&line), request.trace));
        // Lives until the process ends: the kernel takes memory and descriptors back in one go, while the agent already
        // reads the last word.
        let mut ready = prepare(request, started, &line, &recorder);
        let (outcome, report) = match &mut ready {
            Ok(ready) => ready.call().await,
            Err(end) => (std::mem::replace(end, ChildEnd::Deadline), Report::default()),
        };
        // A guest that ended in the middle of a line and did not flush has still written it.
        let _ = io::stdout().flush();
        line.tell(&Up::End(Box::new(End { outcome, report, used: recorder.lines() })))?;
        platform::leave(0)
    })
}

/// A boxed process with a component that only waits to be started.
struct Ready {
    request: Request,
    until: Instant,
    store: Store<State>,
    component: PluginPre<State>,
}

/// Does everything that needs the machine, then closes the box. Where it does not come to a run, it says so with all reasons.
fn prepare(request: Request, started: Instant, line: &Arc<Line>, recorder: &Arc<Recorder>) -> Result<Ready, ChildEnd> {
    let one = |reason: String| ChildEnd::NotStarted(cut(&reason));
    let fault = |error: wasmtime::Error| one(format!("the component cannot be loaded: {error:#}"));
    let grants = match &request.grants {
        Some(json) => Grants::from_parent(json).map_err(|error| one(error.to_string()))?,
        None => Grants::none(),
    };
    let engine = engine::engine().map_err(fault)?;
    let deadline = request.limits.deadline.saturating_sub(started.elapsed());
    epoch::interrupt_after(&engine, deadline).map_err(|error| one(format!("no deadline can be set: {error}")))?;

    // SAFETY: descriptor 3 is what the parent's cache made and sealed; nobody else starts this program so.
    #[allow(unsafe_code)]
    let loaded = unsafe { component::load(&engine, Path::new("/proc/self/fd/3")) }.map_err(fault)?;
    let imports = component::imports(&loaded, &engine);
    // A component is described before anything is granted: what it would need is told by the manifest.
    let described = Grants::none();
    let linked = match request.mode {
        Mode::Run => &grants,
        Mode::Describe => &described,
    };
    let mut linker = component::link(&engine, &imports, linked).map_err(fault)?;
    match request.mode {
        Mode::Run => {
            let refusals = component::refusals(&imports, &grants);
            if !refusals.is_empty() {
                return Err(ChildEnd::Refused(refusals));
            }
        }
        Mode::Describe => linker.define_unknown_imports_as_traps(&loaded).map_err(fault)?,
    }
    let component = linker.instantiate_pre(&loaded).and_then(PluginPre::new).map_err(fault)?;

    let guard = FileGuard::new(linked.capabilities());
    let has = |interface: &str| imports.iter().any(|import| import.starts_with(interface));
    let read =
        |path: &str| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let names = if has("orderly:plugin/files@") {
        Names { users: read("/etc/passwd"), groups: read("/etc/group") }
    } else {
        Names::default()
    };
    let mounted = linked.capabilities().mounts && has("orderly:plugin/mounts@");
    let state = State {
        table: table(),
        wasi: context(&request, linked, &guard).map_err(fault)?,
        http: wasmtime_wasi_http::WasiHttpCtx::new(),
        hooks: Brokered { line: Arc::clone(line), recorder: Arc::clone(recorder) },
        recorder: Arc::clone(recorder),
        report: ReportBuilder::new(),
        line: Arc::clone(line),
        facts: request.facts.clone().unwrap_or_default(),
        mounts: if mounted { mounts::read() } else { Vec::new() },
        names,
        memory: Memory::new(request.limits),
        guard,
    };
    let store = store(&engine, state);

    let plan = store.data().guard.plan(request.user.clone(), request.require_sandbox);
    let closed = sandbox::close(&plan).and_then(sandbox::Closed::filter).map_err(|error| match error {
        // This instance's own policy says no.
        SandboxError::Required(_) => ChildEnd::Refused(vec![cut(&chain(&error))]),
        error => one(chain(&error)),
    })?;
    line.tell(&Up::Ready(closed)).map_err(|error| one(error.to_string()))?;
    Ok(Ready { until: started + request.limits.deadline, request, store, component })
}

fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES_MAX);
    table
}

fn store(engine: &Engine, state: State) -> Store<State> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(HOSTCALL_MAX_BYTES);
    store.set_max_component_handles(HANDLES_MAX);
    epoch::arm(&mut store);
    store
}

fn context(request: &Request, grants: &Grants, guard: &FileGuard) -> wasmtime::Result<WasiCtx> {
    let capabilities = grants.capabilities();
    let mut builder = WasiCtxBuilder::new();
    builder.inherit_stdout().inherit_stderr().allow_blocking_current_thread(true).max_random_size(1024 * 1024);
    for (name, value) in &request.environment {
        builder.env(name, value);
    }
    if !capabilities.clock {
        builder.wall_clock(Standing::new(request.started_ms)).monotonic_clock(Standing::new(request.started_ms));
    }
    if !capabilities.random {
        builder
            .secure_random(random::sequence(request.seed, "secure"))
            .insecure_random(random::sequence(request.seed, "insecure"))
            .insecure_random_seed(random::number(request.seed));
    }
    // A directory that is a link is not opened: the grant is for the path that was approved.
    let is_there = |path: &Path| path.is_dir() && path.canonicalize().is_ok_and(|real| real == path);
    for preopen in guard.preopens(is_there) {
        let perms = if preopen.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        let path = preopen.path.to_string_lossy();
        // Readable by the agent is not a given either (no root): the guest is then told what WASI says of what is not there.
        let _ = builder.preopened_dir(&preopen.path, &path, perms);
    }
    Ok(builder.build())
}

impl Ready {
    async fn call(&mut self) -> (ChildEnd, Report) {
        let left = self.until.saturating_duration_since(Instant::now());
        let done = tokio::time::timeout(left, Self::enter(&self.request, &self.component, &mut self.store)).await;
        let outcome = match done {
            Err(_) => ChildEnd::Deadline,
            Ok(Ok(end)) => end,
            Ok(Err(error)) => trapped(&error, self.store.data()),
        };
        let said = match &outcome {
            ChildEnd::Outcome(outcome) => Some(outcome.clone()),
            _ => None,
        };
        let report = std::mem::take(&mut self.store.data_mut().report).finish(said).unwrap_or_default();
        (outcome, report)
    }

    async fn enter(
        request: &Request,
        component: &PluginPre<State>,
        store: &mut Store<State>,
    ) -> wasmtime::Result<ChildEnd> {
        let plugin: Plugin = component.instantiate_async(&mut *store).await?;
        let command = plugin.orderly_plugin_command();
        match request.mode {
            Mode::Describe => Ok(ChildEnd::Described(Box::new(description(command.call_describe(&mut *store).await?)))),
            Mode::Run => {
                let arguments: Vec<wit::Argument> = request
                    .arguments
                    .iter()
                    .map(|(name, value)| wit::Argument { name: name.clone(), value: value.clone() })
                    .collect();
                Ok(match command.call_run(&mut *store, &arguments).await? {
                    Ok(outcome) => ChildEnd::Outcome(self::outcome(outcome)),
                    Err(failure) => ChildEnd::Failure(self::failure(failure)),
                })
            }
        }
    }
}

fn trapped(error: &wasmtime::Error, state: &State) -> ChildEnd {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => ChildEnd::Deadline,
        _ if state.memory.was_refused() => ChildEnd::OutOfMemory,
        Some(trap) => ChildEnd::Trap(trap.to_string()),
        None => match error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            Some(exit) => ChildEnd::Trap(format!("the plugin called exit with {} instead of returning", exit.0)),
            None => ChildEnd::Trap(cut(&format!("{error:#}"))),
        },
    }
}

fn outcome(outcome: wit::Outcome) -> Outcome {
    let verdict = match outcome.verdict {
        wit::Verdict::Pass => Verdict::Pass,
        wit::Verdict::Attention => Verdict::Attention,
    };
    let line = outcome.summary.replace(char::is_control, " ");
    let summary = line.get(..line.floor_char_boundary(OUTCOME_SUMMARY_MAX_BYTES)).unwrap_or_default().to_owned();
    Outcome { verdict, summary }
}

fn failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::InvalidParameter((name, reason)) => {
            Failure::InvalidParameter { name: cut(&name), reason: cut(&reason) }
        }
        wit::Failure::NotApplicable(reason) => Failure::NotApplicable(cut(&reason)),
        wit::Failure::Denied(reason) => Failure::Denied(cut(&reason)),
        wit::Failure::Failed(reason) => Failure::Failed(cut(&reason)),
    }
}

fn description(description: wit::Description) -> Description {
    let parameter = |parameter: wit::Parameter| DescribedParameter {
        name: parameter.name,
        kind: match parameter.kind {
            wit::ParameterType::Text => "text",
            wit::ParameterType::Integer => "integer",
            wit::ParameterType::Boolean => "boolean",
        }
        .to_owned(),
        description: parameter.description,
        default: parameter.default_value,
        pattern: parameter.pattern,
        allowed: parameter.allowed,
    };
    Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        parameters: description.parameters.into_iter().map(parameter).collect(),
    }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(REASON_MAX_BYTES)).unwrap_or_default().to_owned()
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
