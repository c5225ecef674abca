//! Running a verified, compiled, granted plugin: the parent's side of the one-shot child.
//!
//! Owns the run from the start of the child to the moment when nothing of its tree is alive. Takes proofs, not bytes:
//! a verified plugin, code from the cache, grants, limits. It stops by the plugin's own end, the deadline, the stop
//! token, the cap on output, or by being dropped (the child dies with it; the tree with its owner).

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use orderly_model::capability::RunAs;
use orderly_model::grant::Grants;
use orderly_model::report::{Outcome, Report};
use orderly_signing::receipt::Use;
use orderly_signing::verify::Plugin;
use orderly_signing::{Digest, Verified};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::cache::Compiled;
use crate::child::RUN_PLUGIN_ARGUMENT;
use crate::error::TreeError;
use crate::frame::{ChildEnd, Description, End, Failure, Mode, PluginFacts, Request};
use crate::limits::{Limits, OUTER_DEADLINE_EXTRA};
use crate::output::{Keeper, Kept, NoSink, OutputSink, PumpEnd, Stream, pump};
use crate::platform::{self, Child, Exit, Resource, SandboxReport, Spec, Stdin, Tree, Usage, UserChange, users};

/// One run of one plugin.
#[derive(Debug)]
pub struct PluginRun<'a> {
    /// The plugin, verified against order, approval and statement.
    pub plugin: &'a Verified<Plugin>,
    /// Its native code, from the cache.
    pub compiled: &'a Compiled,
    /// What it may touch.
    pub grants: &'a Grants,
    /// What it may use up.
    pub limits: Limits,
    /// Names and values of its parameters, all resolved.
    pub arguments: Vec<(String, String)>,
    /// What it sees of the instance, where it may.
    pub facts: PluginFacts,
    /// The task's tree, empty; nothing of it is alive afterwards.
    pub tree: &'a Tree,
    /// The program to execute for the child: this very one, or another whose `main` calls [`crate::child::main`].
    pub program: &'a Path,
    /// Ends the run as `Stopped`.
    pub stop: CancellationToken,
    /// Whether a missing Landlock or seccomp refuses the run (local policy).
    pub require_sandbox: bool,
    /// When the task started, unix milliseconds: where the clock of a plugin without `clock` stands.
    pub started_ms: i64,
    /// From what the random bytes of a plugin without `random` follow: the order's digest.
    pub seed: Digest,
    /// Whether [`OutputSink::used`] is told of every use of a capability at once.
    pub trace: bool,
}

/// How a run came out. Exactly one of these is true of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It did its work.
    Outcome(Outcome),
    /// It says why it did not do its work.
    Failure(Failure),
    /// It trapped: an abort, a stack overflow, an exit.
    Trap(String),
    /// Its time was over.
    Deadline,
    /// It trapped after more memory than it may have was refused to it.
    OutOfMemory,
    /// It wrote more than it may.
    OutputCap,
    /// Nothing ran, since something is not granted or not allowed: every reason.
    Refused(Vec<String>),
    /// Nothing ran, since it could not be started: no process, no memory, code that this program cannot load.
    NotStarted(String),
    /// The child died without a last word: a signal, or a fault of this program.
    Crashed(String),
    /// The stop token ended it.
    Stopped,
}

/// All that is known after a run.
#[derive(Debug)]
pub struct PluginEnd {
    /// How it came out.
    pub ended: Ended,
    /// What it reported until then; the outcome is in it too.
    pub report: Report,
    /// What is kept of its output.
    pub kept: Kept,
    /// The capabilities that it used, counted; empty where the child died without a last word.
    pub used: Vec<Use>,
    /// What its process used.
    pub usage: Usage,
    /// The box that it ran in.
    pub sandbox: SandboxReport,
    /// Where this is an error, something of the tree may still be alive, and its end must not be claimed.
    pub tree: Result<(), TreeError>,
}

/// Runs the plugin to its end and ends everything that it started.
///
/// Must be called within a tokio runtime with IO and time.
pub async fn invoke(run: PluginRun<'_>, output: &mut (impl OutputSink + Send)) -> PluginEnd {
    let request = match request(&run) {
        Ok(request) => request,
        Err(reasons) => return nothing(Ended::Refused(reasons), run.limits),
    };
    let (end, _) = drive(&run, request, output).await;
    end
}

/// Asks a verified plugin what it is. Nothing is granted, nothing but the description comes back.
///
/// # Errors
/// How it ended instead.
pub async fn describe(run: PluginRun<'_>) -> Result<Description, Ended> {
    let nothing_granted =
        PluginRun { grants: &Grants::none(), arguments: Vec::new(), facts: PluginFacts::default(), ..run };
    let mut request = request(&nothing_granted).map_err(Ended::Refused)?;
    request.mode = Mode::Describe;
    match drive(&nothing_granted, request, &mut NoSink).await {
        (_, Some(description)) => Ok(description),
        (end, None) => Err(end.ended),
    }
}

fn request(run: &PluginRun<'_>) -> Result<Request, Vec<String>> {
    if run.compiled.component() != run.plugin.component {
        return Err(vec!["the compiled code is of another component".to_owned()]);
    }
    let capabilities = run.grants.capabilities();
    let user = user(&capabilities.user, capabilities.files_privileged).map_err(|reason| vec![reason])?;
    // Names only where granted; a variable that is not set, or not text, is not there for the plugin either.
    let environment =
        capabilities.environment.iter().filter_map(|name| Some((name.to_string(), std::env::var(name.as_str()).ok()?)));
    Ok(Request {
        mode: Mode::Run,
        environment: environment.collect(),
        grants: Some(run.grants.to_json()),
        limits: run.limits,
        arguments: run.arguments.clone(),
        facts: capabilities.facts.then(|| run.facts.clone()),
        user,
        require_sandbox: run.require_sandbox,
        started_ms: run.started_ms,
        seed: run.seed,
        trace: run.trace,
    })
}

fn user(run_as: &RunAs, privileged: bool) -> Result<UserChange, String> {
    let credentials = match run_as {
        RunAs::Unprivileged => users::unprivileged(),
        other if other.is_root() && users::is_root() => return Ok(UserChange::Root),
        other => {
            let name = other.as_str();
            let user = users::by_name(name)
                .ok()
                .flatten()
                .ok_or_else(|| format!("there is no user `{name}` in /etc/passwd"))?;
            if user.is_root_by_another_name() {
                return Err(format!(
                    "`{name}` is root by another name, and root must be asked for and approved as `root`"
                ));
            }
            if !users::is_root() && user.uid != rustix::process::geteuid().as_raw() {
                return Err(format!("the plugin is to run as `{name}`, and this program does not run as root"));
            }
            user.credentials()
        }
    };
    Ok(if privileged { UserChange::ToReading(credentials) } else { UserChange::To(credentials) })
}

fn nothing(ended: Ended, limits: Limits) -> PluginEnd {
    PluginEnd {
        ended,
        report: Report::default(),
        kept: Keeper::new(limits.output_bytes).finish(),
        used: Vec::new(),
        usage: Usage::default(),
        sandbox: SandboxReport::default(),
        tree: Ok(()),
    }
}

/// Starts the child; the parent's end of its line comes with it.
async fn start(run: &PluginRun<'_>, request: &Request) -> Result<(Child, UnixStream), String> {
    let text = |error: std::io::Error| error.to_string();
    let json = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| text(error.into()))?;
    let mut spec = Spec::new(run.program).args([RUN_PLUGIN_ARGUMENT]);
    spec.stdin = Stdin::Fd(platform::memfd::sealed("orderly-request", &[&json]).map_err(text)?);
    spec.extra = vec![run.compiled.descriptor().map_err(text)?, theirs];
    spec.no_new_privileges = true;
    spec.limits = vec![
        (Resource::Core, 0),
        (Resource::OpenFiles, 1_024),
        (Resource::CpuSeconds, run.limits.deadline.as_secs() + 5),
    ];
    let child = platform::spawn(spec, run.tree).await.map_err(|error| {
        std::error::Error::source(&error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    })?;
    Ok((child, line(ours).map_err(text)?))
}

fn line(socket: OwnedFd) -> std::io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// One sink for the pump and the line.
struct Shared<'a, S>(&'a Mutex<&'a mut S>);

impl<S: OutputSink> OutputSink for Shared<'_, S> {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).chunk(stream, bytes);
    }

    fn progress(&mut self, done: u32, total: u32, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).progress(done, total, message);
    }

    fn used(&mut self, capability: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).used(capability);
    }
}

enum Finish {
    Child(Exit),
    Lost(String),
    OverTotal,
    Stopped,
    Deadline,
}

async fn drive<S: OutputSink + Send>(
    run: &PluginRun<'_>,
    request: Request,
    output: &mut S,
) -> (PluginEnd, Option<Description>) {
    let (mut child, line) = match start(run, &request).await {
        Ok(started) => started,
        Err(reason) => {
            return (
                nothing(Ended::NotStarted(format!("the plugin's process cannot start: {reason}")), run.limits),
                None,
            );
        }
    };
    let sink = Mutex::new(output);
    let mut keeper = Keeper::new(run.limits.output_bytes);
    let mut broker = Broker::new(run.grants, run.tree);
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let finish = {
        let mut live = Shared(&sink);
        let mut said = Shared(&sink);
        let pumped = pump(&mut stdout, &mut stderr, run.limits.output_total_bytes, &mut keeper, &mut live);
        let served = broker.serve(line, &mut said);
        let work = async {
            let rest = async {
                let ((), ended) = tokio::join!(served, child.wait());
                ended
            };
            tokio::pin!(pumped, rest);
            let mut open = true;
            loop {
                tokio::select! {
                    end = &mut pumped, if open => match end {
                        Ok(PumpEnd::OverTotal) => return Finish::OverTotal,
                        Ok(PumpEnd::Closed) => open = false,
                        Err(error) => return Finish::Lost(format!("its output cannot be read: {error}")),
                    },
                    ended = &mut rest => {
                        if open && let Ok(PumpEnd::OverTotal) = pumped.await {
                            return Finish::OverTotal;
                        }
                        return match ended {
                            Ok(ended) => Finish::Child(ended.exit),
                            Err(error) => Finish::Lost(error.to_string()),
                        };
                    }
                }
            }
        };
        tokio::select! {
            biased;
            finish = work => finish,
            () = run.stop.cancelled() => Finish::Stopped,
            () = tokio::time::sleep(run.limits.deadline + OUTER_DEADLINE_EXTRA) => Finish::Deadline,
        }
    };
    let tree = run.tree.terminate(std::time::Duration::ZERO).await;
    let mut usage = Usage::default();
    // Dead by now, whatever the end was; only its usage is still wanted.
    if let Ok(Ok(ended)) = tokio::time::timeout(OUTER_DEADLINE_EXTRA, child.wait()).await {
        usage = ended.usage;
    }
    let (sandbox, end) = broker.into_end();
    let (outcome, report, used) = match end {
        Some(End { outcome, report, used }) if report.check().is_ok() => (Some(outcome), report, used),
        Some(End { outcome, used, .. }) => (Some(outcome), Report::default(), used),
        None => (None, Report::default(), Vec::new()),
    };
    let mut description = None;
    let ended = match (finish, outcome) {
        (Finish::Stopped, _) => Ended::Stopped,
        (Finish::Deadline, _) => Ended::Deadline,
        (Finish::OverTotal, _) => Ended::OutputCap,
        (_, Some(outcome)) => match outcome {
            ChildEnd::Outcome(outcome) => Ended::Outcome(outcome),
            ChildEnd::Failure(failure) => Ended::Failure(failure),
            ChildEnd::Trap(reason) => Ended::Trap(reason),
            ChildEnd::Deadline => Ended::Deadline,
            ChildEnd::OutOfMemory => Ended::OutOfMemory,
            ChildEnd::Refused(reasons) => Ended::Refused(reasons),
            ChildEnd::NotStarted(reason) => Ended::NotStarted(reason),
            ChildEnd::Described(told) => {
                description = Some(*told);
                Ended::Crashed("it described itself instead of running".to_owned())
            }
        },
        (Finish::Lost(reason), None) => Ended::Crashed(reason),
        (Finish::Child(Exit::Signal(signal)), None) => {
            Ended::Crashed(format!("its process was ended by signal {signal}"))
        }
        (Finish::Child(Exit::Code(code)), None) => {
            Ended::Crashed(format!("its process ended with {code} and without a result"))
        }
    };
    (PluginEnd { ended, report, kept: keeper.finish(), used, usage, sandbox, tree }, description)
}
