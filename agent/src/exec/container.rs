//! Running a script in a container, through the Docker Engine API.
//!
//! Owns finding the container, the start behind a gate, the watch and the end. What the runtime started is taken into a process
//! tree of ours, in a cgroup beneath the container's own, before the first byte of the script is handed over: so a stop or a
//! time-out ends all that the script began, a session of its own included, and the container's limits go on to hold. It ends nothing
//! else in the container. containerd and CRI-O without this API are not reached, and are said not to be.

use std::time::Duration;

use orderly_host::output::{Keeper, OutputSink as _, Stream};
use orderly_host::platform::{Ended, Exit, Stranger, Tree, Usage};
use orderly_model::command::{ContainerId, ContainerName, Runtime};
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::order::Container;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::live::Live;
use super::script::{End, Halt, REST_TIME, Reading, Script, named};
use super::{Outcome, chain};
use crate::clock::local_ms;
use crate::config::Containers;
use crate::platform::random;

mod engine;
mod frames;
mod gate;
#[cfg(test)]
mod tests;

use engine::{Engine, EngineError, Listed, Program, State};
use frames::Frames;

/// How long a program may take to start, and to be told as ended once it has.
const RUNTIME_TIME: Duration = Duration::from_secs(10);

/// Time between two questions to the runtime.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Bytes of output that are read at once.
const BUFFER_BYTES: usize = 32 * 1024;

/// Bytes of what the runtime says of a start that failed.
const TOLD_MAX_BYTES: usize = 2000;

/// Why it does not come to a run.
#[derive(Debug)]
struct Fault {
    code: ResultCode,
    reason: String,
}

impl Fault {
    fn new(code: ResultCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    fn outcome(self) -> Outcome {
        Outcome::without_run(self.code.usual_status().into(), Some(self.code), self.reason)
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::new(error.code(), chain(&error))
    }
}

/// Says what would run, once the container has been found.
pub(crate) async fn trial(script: &Script, container: &Container, containers: &Containers) -> Outcome {
    let engine = Engine { socket: &containers.docker };
    let found = match find(&engine, container).await {
        Ok(found) => found,
        Err(fault) => return fault.outcome(),
    };
    let words = match gate::words(&script.content, "") {
        Ok(words) => words.into_iter().skip(4).collect::<Vec<_>>().join(" "),
        Err(reason) => return Fault::new(ResultCode::CommandNotApplicable, reason).outcome(),
    };
    let own = "the container's own";
    let told = format!(
        "container: {}\nuser: {}\ndirectory: {}\nline: {words} SCRIPT\nscript: {} bytes\ntime: {} s\n\
         user, directory and interpreter are looked for in the container when it runs\n",
        found.id,
        script.action.user.as_deref().unwrap_or(own),
        script.action.cwd.as_deref().unwrap_or(own),
        script.content.len(),
        script.action.timeout_s,
    );
    let mut keeper = Keeper::new(script.output_bytes());
    keeper.push(Stream::Stdout, told.as_bytes());
    let reason = "a trial: the container was found, and nothing ran";
    Outcome { output: Some(keeper.finish()), ..Outcome::without_run(TaskStatus::Success, None, reason) }
}

/// The container that an order names, and how its runtime is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The container.
    pub container: &'a Container,
    /// The owner's settings for containers.
    pub containers: &'a Containers,
}

/// Runs the script until it ends, its time is over, or it is halted. `started` is called once its tree is there, and where it
/// fails nothing is begun; `tree_name` is what the tree is called.
pub(crate) async fn run(
    script: &Script,
    place: Place<'_>,
    tree_name: &str,
    halt: &Halt<'_>,
    live: &mut Live,
    started: impl FnOnce(&Tree) -> Result<(), String>,
) -> Outcome {
    let started_ms = Some(local_ms());
    let engine = Engine { socket: &place.containers.docker };
    let begun = tokio::select! {
        biased;
        () = halt.stop.cancelled() => return stopped(),
        begun = begin(&engine, script, place.container, tree_name) => begun,
    };
    // On the record before the gate is opened: a next agent finds and ends it. Otherwise what waits behind the gate is dropped.
    let begun = begun.and_then(|begun| match started(&begun.tree) {
        Ok(()) => Ok(begun),
        Err(reason) => Err(Fault::new(ResultCode::JournalUnavailable, reason)),
    });
    let begun = match begun {
        Ok(_) if halt.stop.is_cancelled() => return stopped(),
        Ok(begun) => begun,
        Err(fault) => return Outcome { started_ms, ..fault.outcome() },
    };
    let mut keeper = Keeper::new(script.output_bytes());
    let end = watch(&engine, script, begun, halt, &mut keeper, live).await;
    live.flush();
    named(end, script, keeper.finish(), started_ms)
}

/// The end of a script that was stopped before its gate was opened.
fn stopped() -> Outcome {
    let reason = "it was stopped before it had begun in its container, and has not run";
    Outcome::without_run(TaskStatus::Cancelled, None, reason)
}

/// The one container that is meant, where it runs.
async fn find(engine: &Engine<'_>, container: &Container) -> Result<Listed, Fault> {
    let id = container.id.as_deref().map(str::parse::<ContainerId>).transpose();
    let id = id.map_err(|error| Fault::new(ResultCode::InvalidContainerId, chain(&error)))?;
    let name = container.name.as_deref().map(str::parse::<ContainerName>).transpose();
    let name = name.map_err(|error| Fault::new(ResultCode::InvalidContainerName, chain(&error)))?;
    let runtimes = [id.as_ref().and_then(ContainerId::runtime), name.as_ref().and_then(ContainerName::runtime)];
    if let Some(other) = runtimes.into_iter().flatten().find(|runtime| *runtime != Runtime::Docker) {
        let reason = format!(
            "this agent reaches containers by the Docker Engine API, and none of `{}`: leave the runtime out, or name `docker://`",
            other.as_str()
        );
        return Err(Fault::new(ResultCode::UnsupportedContainerRuntime, reason));
    }
    let called = |listed: &Listed, name: &ContainerName| {
        listed.names.iter().any(|one| one.strip_prefix('/').unwrap_or(one) == name.as_str())
    };
    let told = match (&id, &name) {
        (Some(id), _) => format!("the id {}", id.as_str()),
        (None, Some(name)) => format!("the name `{}`", name.as_str()),
        (None, None) => {
            return Err(Fault::new(ResultCode::InvalidContainerName, "the container has no id and no name"));
        }
    };
    // Both filters of the runtime match more than what is meant: by beginnings, and by patterns.
    let (filter, value) = match (&id, &name) {
        (Some(id), _) => ("id", id.as_str().to_owned()),
        (None, name) => ("name", name.as_ref().map_or_else(String::new, |name| name.as_str().replace('.', "\\."))),
    };
    let mut found = engine.containers(filter, &value).await?;
    found.retain(|listed| match (&id, &name) {
        (Some(id), _) => listed.id == id.as_str(),
        (None, Some(name)) => called(listed, name),
        (None, None) => false,
    });
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(|listed| listed.id.get(..12).unwrap_or(&listed.id)).collect();
        let reason = format!("{told} is that of {} containers ({}): give an id", found.len(), ids.join(", "));
        return Err(Fault::new(ResultCode::ContainerNameDuplicated, reason));
    }
    let Some(found) = found.pop() else {
        return Err(Fault::new(
            ResultCode::ContainerNotFound,
            format!("there is no container with {told} on this instance"),
        ));
    };
    let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if found.id.len() != 64 || !found.id.bytes().all(fits) {
        let reason = "the container runtime gives an id that is none";
        return Err(Fault::new(ResultCode::ContainerRuntimeInternalError, reason));
    }
    if let (Some(_), Some(name)) = (&id, &name)
        && !called(&found, name)
    {
        let reason = format!("the container with {told} is called {}, not `{}`", found.names.join(" "), name.as_str());
        return Err(Fault::new(ResultCode::ContainerNameAndIdNotMatch, reason));
    }
    if found.state != "running" {
        let reason = format!("the container with {told} is not running: its state is `{}`", found.state.escape_debug());
        return Err(Fault::new(ResultCode::ContainerStateAbnormal, reason));
    }
    Ok(found)
}

/// A program behind its gate, in its tree.
struct Begun {
    program: String,
    stream: hyper_util::rt::TokioIo<hyper::upgrade::Upgraded>,
    process: Stranger,
    tree: Tree,
}

async fn begin(engine: &Engine<'_>, script: &Script, container: &Container, tree_name: &str) -> Result<Begun, Fault> {
    let lost = |doing: &str, error: String| {
        let reason = format!("the script was not begun: what the container runtime started {doing}: {error}");
        Fault::new(ResultCode::ContainerRuntimeInternalError, reason)
    };
    let found = find(engine, container).await?;
    let random = random::<16>().map_err(|error| lost("gets no mark", error.to_string()))?;
    let mark: String = random.iter().fold("orderly-".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    let cmd = gate::words(&script.content, &mark);
    let program = Program {
        attach_stdin: true,
        attach_stdout: true,
        attach_stderr: true,
        tty: false,
        user: script.action.user.clone(),
        working_dir: script.action.cwd.clone(),
        env: script.environment.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        cmd: cmd.map_err(|reason| Fault::new(ResultCode::ExecutionException, reason))?,
    };
    let program = engine.prepare(&found.id, &program).await?;
    let mut stream = engine.start(&program).await?;
    let asked = tokio::time::timeout(RUNTIME_TIME, running(engine, &program, &mut stream)).await;
    let pid = asked.unwrap_or_else(|_| Err(EngineError::Slow.into()))?;
    // From here on what waits behind the gate ends by itself where `stream` is dropped.
    let process = Stranger::open(pid).map_err(|error| lost("is not seen from here", error.to_string()))?;
    let recognised = async {
        while !process.has_argument(&mark)? {
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok::<(), std::io::Error>(())
    };
    match tokio::time::timeout(RUNTIME_TIME, recognised).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(lost("is not seen from here", error.to_string())),
        Err(_) => return Err(lost("is not seen from here", format!("process {pid} is another"))),
    }
    let tree =
        Tree::adopt(&process, tree_name).map_err(|error| lost("could not be ended by this agent", chain(&error)))?;
    Ok(Begun { program, stream, process, tree })
}

/// The number of the program's process, once there is one.
async fn running(
    engine: &Engine<'_>,
    program: &str,
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> Result<i32, Fault> {
    loop {
        match engine.state(program).await? {
            State { running: true, pid, .. } if pid > 0 => return Ok(pid),
            State { running: false, exit_code: Some(_), .. } => break,
            _ => tokio::time::sleep(ASK_EVERY).await,
        }
    }
    let (mut told, mut buffer, mut frames) = (Vec::new(), vec![0; TOLD_MAX_BYTES], Frames::new());
    let all = async {
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let _ = frames.take(buffer.get(..read).unwrap_or_default(), |_, text| told.extend_from_slice(text));
            if told.len() > TOLD_MAX_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(REST_TIME, all).await;
    told.truncate(TOLD_MAX_BYTES);
    let told = String::from_utf8_lossy(&told);
    let told = told.trim();
    // The runtime has no other word for these than its sentence.
    let code = if told.contains("unable to find user") || told.contains("unable to find group") {
        ResultCode::AccountNotExists
    } else if told.contains("chdir to cwd") {
        ResultCode::DirectoryNotExists
    } else {
        ResultCode::ExecutionException
    };
    Err(Fault::new(code, format!("the container's `/bin/sh` did not start: {}", told.escape_debug())))
}

async fn watch(
    engine: &Engine<'_>,
    script: &Script,
    begun: Begun,
    halt: &Halt<'_>,
    keeper: &mut Keeper,
    live: &mut Live,
) -> End {
    let Begun { program, stream, process, tree } = begun;
    let (mut output, mut input) = tokio::io::split(stream);
    let feeding = async {
        // A script that ends without having read its input is no fault.
        let _ = input.write_all(&gate::opening(&script.content)).await;
        let _ = input.write_all(script.action.stdin.as_deref().unwrap_or_default().as_bytes()).await;
        let _ = input.shutdown().await;
        std::future::pending::<()>().await;
    };
    let taking = async {
        let (mut frames, mut buffer) = (Frames::new(), vec![0; BUFFER_BYTES]);
        while let Ok(read @ 1..) = output.read(&mut buffer).await {
            let taken = frames.take(buffer.get(..read).unwrap_or_default(), |stream, text| {
                keeper.push(stream, text);
                live.chunk(stream, text);
            });
            if let Err(error) = taken {
                tracing::warn!(%error, "the rest of a script's output is not read");
                break;
            }
        }
    };
    let both = async {
        tokio::select! {
            () = feeding => {}
            () = taking => {}
        }
    };
    let mut reading = Reading::new(both);
    let why = reading
        .beside(async {
            tokio::select! {
                biased;
                () = halt.stop.cancelled() => Some(End::Stopped),
                gone = process.gone() => gone.err().map(|error| End::Lost(format!("its process cannot be waited for: {error}"))),
                () = tokio::time::sleep(script.timeout()) => Some(End::TimedOut),
            }
        })
        .await;
    let terminated = match tree.is_empty() {
        Ok(true) => Ok(()),
        _ => reading.beside(tree.terminate(halt.grace)).await,
    };
    reading.rest(REST_TIME).await;
    match (terminated, why) {
        (Err(error), _) => End::Lost(chain(&error)),
        (Ok(()), Some(why)) => why,
        (Ok(()), None) => ended(engine, &program).await,
    }
}

/// The exit code, which only the runtime knows.
async fn ended(engine: &Engine<'_>, program: &str) -> End {
    let asked = async {
        loop {
            match engine.state(program).await {
                Ok(State { running: false, exit_code: Some(code), .. }) => return Ok(code),
                Ok(_) => tokio::time::sleep(ASK_EVERY).await,
                Err(error) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(RUNTIME_TIME, asked).await.unwrap_or(Err(EngineError::Slow)) {
        Ok(code) => End::Exited(Ended { exit: Exit::Code(code), usage: Usage::default() }),
        Err(error) => End::Lost(format!("it ended, and its exit code is not known: {}", chain(&error))),
    }
}
