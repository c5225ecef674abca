//! `process`: starting a granted program for the guest.
//!
//! Owns the checks on the *resolved* file: granted with these arguments, and neither it nor any directory above it
//! writable by anybody but root. The very file that was checked is executed, without a shell, with a clean environment,
//! in the task's tree, as the granted user, with no new privileges. It ends with the tree.

mod interpreter;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orderly_model::capability::{ProcessRule, RunAs};
use orderly_model::grant::Grants;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use interpreter::is_interpreter;

use crate::frame::{Bytes, CHUNK_MAX_BYTES, ProcessRefusal, Reply};
use crate::platform::{self, Child, Credentials, Executable, Exit, Resource, Spec, Tree, users};

/// Most programs of one run.
const PROGRAMS_MAX: u32 = 64;
/// Most programs at a time.
const PROGRAMS_AT_ONCE_MAX: usize = 4;
/// Most bytes of one argument.
const ARGUMENT_MAX_BYTES: usize = 4 * 1024;
/// Processes of the unprivileged user that a program may bring it to.
const PROCESSES_MAX: u64 = 512;

/// The programs of one run.
pub(super) struct Programs<'a> {
    tree: &'a Tree,
    started: u32,
    slots: Arc<Semaphore>,
    running: HashMap<u32, Arc<Program>>,
}

/// One program. Whoever waits for its output holds the lock; ending it needs no lock.
pub(super) struct Program {
    state: Mutex<State>,
    stop: CancellationToken,
}

struct State {
    child: Child,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    exit: Option<Exit>,
    told: bool,
    slot: Option<OwnedSemaphorePermit>,
}

impl<'a> Programs<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, started: 0, slots: Arc::new(Semaphore::new(PROGRAMS_AT_ONCE_MAX)), running: HashMap::new() }
    }

    pub(super) fn get(&self, number: u32) -> Option<Arc<Program>> {
        self.running.get(&number).cloned()
    }

    pub(super) fn forget(&mut self, number: u32) {
        self.running.remove(&number);
    }

    pub(super) async fn start(
        &mut self,
        grants: &Grants,
        executable: &str,
        arguments: &[String],
    ) -> Result<u32, ProcessRefusal> {
        let (spec, slot) = self.checked(grants, executable, arguments)?;
        let mut child = platform::spawn(spec, self.tree).await.map_err(|error| {
            let reason = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
            if error.is_about_the_program() { ProcessRefusal::NotFound(reason) } else { ProcessRefusal::Failed(reason) }
        })?;
        self.started += 1;
        let state = State {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            exit: None,
            told: false,
            slot: Some(slot),
        };
        self.running
            .insert(self.started, Arc::new(Program { state: Mutex::new(state), stop: CancellationToken::new() }));
        Ok(self.started)
    }

    fn checked(
        &self,
        grants: &Grants,
        executable: &str,
        arguments: &[String],
    ) -> Result<(Spec, OwnedSemaphorePermit), ProcessRefusal> {
        let denied = |reason: &str| ProcessRefusal::Denied(format!("{executable}: {reason}"));
        if arguments.iter().any(|argument| argument.len() > ARGUMENT_MAX_BYTES || argument.contains('\0')) {
            return Err(denied("an argument has more than 4096 bytes, or a NUL byte"));
        }
        if !Path::new(executable).is_absolute() {
            return Err(denied("write the absolute path"));
        }
        // Asked first about the path as it is written: what is not granted in any way shall not learn what is there.
        let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let names_any = grants.capabilities().process.iter().any(|rule| {
            rule.executable.file_name() == Path::new(executable).file_name().and_then(|name| name.to_str())
        });
        if !names_any {
            return Err(denied("no grant covers this program"));
        }
        let resolved = std::fs::canonicalize(executable).map_err(|error| missing(executable, &error))?;
        let granted = resolved
            .to_str()
            .and_then(|text| text.parse().ok())
            .and_then(|path| grants.capabilities().allows_process(&path, &texts));
        let Some(rule) = granted else { return Err(denied("no grant covers this program with these arguments")) };
        let file = open_checked(&resolved).map_err(|reason| match reason {
            Unusable::Missing(error) => missing(executable, &error),
            Unusable::Unsafe(reason) => denied(&reason),
        })?;
        let script = starts_with_shebang(&file);
        if (script || is_interpreter(&resolved)) && !rule.interpreter {
            return Err(denied("it is an interpreter or a script, which a grant must say (`interpreter = true`)"));
        }
        if self.started >= PROGRAMS_MAX {
            return Err(ProcessRefusal::TooMany);
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| ProcessRefusal::TooMany)?;
        Ok((spec(rule, executable, resolved, file, script, arguments)?, slot))
    }
}

fn missing(executable: &str, error: &std::io::Error) -> ProcessRefusal {
    let reason = format!("{executable}: {error}");
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => {
            ProcessRefusal::NotFound(reason)
        }
        _ => ProcessRefusal::Failed(reason),
    }
}

fn spec(
    rule: &ProcessRule,
    name: &str,
    resolved: PathBuf,
    file: File,
    script: bool,
    arguments: &[String],
) -> Result<Spec, ProcessRefusal> {
    let mut spec = Spec::new(resolved);
    spec.argv = [name].into_iter().chain(arguments.iter().map(String::as_str)).map(OsString::from).collect();
    // A script is opened again by its interpreter, by path; only root could have put another one there.
    if !script {
        spec.executable = Executable::Descriptor(file.into());
    }
    spec.env = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8"), ("HOME", "/")]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
    spec.credentials = credentials(&rule.user)?;
    spec.no_new_privileges = true;
    spec.limits = vec![(Resource::Core, 0), (Resource::OpenFiles, 1_024)];
    if spec.credentials.as_ref().is_some_and(|credentials| credentials.uid != 0) {
        spec.limits.push((Resource::Processes, PROCESSES_MAX));
    }
    Ok(spec)
}

fn credentials(run_as: &RunAs) -> Result<Option<Credentials>, ProcessRefusal> {
    let name = run_as.as_str();
    match run_as {
        RunAs::Unprivileged => Ok(users::is_root().then(users::unprivileged)),
        _ if !users::is_root() => {
            let own = users::by_uid(rustix::process::geteuid().as_raw()).ok().flatten();
            if own.is_some_and(|own| own.name == name) {
                return Ok(None);
            }
            Err(ProcessRefusal::Denied(format!("it is to run as `{name}`, and the agent does not run as root")))
        }
        _ => match users::by_name(name) {
            Ok(Some(user)) if user.is_root_by_another_name() => {
                let reason =
                    format!("`{name}` is root by another name, and root must be asked for and approved as `root`");
                Err(ProcessRefusal::Denied(reason))
            }
            Ok(Some(user)) => Ok(Some(user.credentials())),
            _ => Err(ProcessRefusal::Failed(format!("there is no user `{name}` in /etc/passwd"))),
        },
    }
}

enum Unusable {
    Missing(std::io::Error),
    Unsafe(String),
}

/// Opens the program, where only root could have made it what it is.
fn open_checked(path: &Path) -> Result<File, Unusable> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(Unusable::Missing)?;
    let real = platform::beneath::path_of(&file).map_err(Unusable::Missing)?;
    if real != path {
        return Err(Unusable::Unsafe("it was replaced while it was looked at".to_owned()));
    }
    let metadata = file.metadata().map_err(Unusable::Missing)?;
    if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
        return Err(Unusable::Unsafe("it is not an executable file".to_owned()));
    }
    only_roots(path, &metadata)?;
    for directory in path.ancestors().skip(1) {
        only_roots(directory, &std::fs::metadata(directory).map_err(Unusable::Missing)?)?;
    }
    Ok(file)
}

/// Refuses what others than root, or than the agent where it is not root, may change.
fn only_roots(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Unusable> {
    let own = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    if (owner == 0 || owner == own) && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Unusable::Unsafe(format!("others than root can change {}", path.display())))
}

fn starts_with_shebang(mut file: &File) -> bool {
    let mut start = [0; 2];
    file.read_exact(&mut start).is_ok() && start == *b"#!"
}

impl Program {
    /// Ends it and its session; what left the session ends with the task.
    pub(super) fn kill(&self) {
        self.stop.cancel();
        // Where somebody waits for it, that one does it.
        if let Ok(mut state) = self.state.try_lock() {
            state.child.kill();
            state.slot = None;
        }
    }
}

/// The next output of the program, or its end, once.
pub(super) async fn next(program: Option<Arc<Program>>) -> Reply {
    let failed = |reason: String| Reply::Refused(ProcessRefusal::Failed(reason));
    let Some(program) = program else { return failed("there is no such program".to_owned()) };
    let mut state = program.state.lock().await;
    let mut buffer = vec![0; CHUNK_MAX_BYTES];
    let mut killed = false;
    loop {
        if let Some((stderr, data)) = state.read_now(&mut buffer) {
            return Reply::Output { stderr, data };
        }
        if let Some(exit) = state.exit {
            if state.told {
                return failed("the program has ended".to_owned());
            }
            state.told = true;
            return Reply::Exited(exit);
        }
        let State { child, stdout, stderr, .. } = &mut *state;
        tokio::select! {
            () = program.stop.cancelled(), if !killed => {
                child.kill();
                killed = true;
            }
            () = readable(stdout) => {}
            () = readable(stderr) => {}
            ended = child.wait() => {
                let exit = match ended {
                    Ok(ended) => ended.exit,
                    Err(error) => return failed(error.to_string()),
                };
                state.exit = Some(exit);
                state.slot = None;
            }
        }
    }
}

async fn readable(pipe: &Option<Receiver>) {
    match pipe {
        // An error shows at the read that follows.
        Some(pipe) => drop(pipe.readable().await),
        None => std::future::pending().await,
    }
}

impl State {
    /// What can be read without waiting; takes ended pipes away.
    fn read_now(&mut self, buffer: &mut [u8]) -> Option<(bool, Bytes)> {
        for (stderr, pipe) in [(false, &mut self.stdout), (true, &mut self.stderr)] {
            match pipe.as_ref().map(|pipe| pipe.try_read(buffer)) {
                Some(Ok(read @ 1..)) => return Some((stderr, Bytes(buffer.get(..read).unwrap_or_default().to_vec()))),
                Some(Ok(0)) => *pipe = None,
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => *pipe = None,
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
