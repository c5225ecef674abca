//! Starting a program as part of a task's tree, and waiting for it.
//!
//! Owns the child; the steps in the new process are in `exec`. A child that is dropped before
//! it was waited for is killed, and reaped behind the back of whoever drops it. What it started itself is ended by its [`Tree`].

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;

use super::clone::{Started, end, give_up, let_go};
use super::ended::Ended;
use super::exec::{Failure, Ids, Prepared};
use super::spec::{Executable, Spec, Stdin};
use super::supervise::{Control, Request};
use super::tree::{Follower, Tree};
use crate::error::SpawnError;

/// A started program.
#[derive(Debug)]
pub struct Child {
    /// The read end of descriptor 1, until it is taken.
    pub stdout: Option<Receiver>,
    /// The read end of descriptor 2, until it is taken.
    pub stderr: Option<Receiver>,
    pid: i32,
    follow: Follow,
    ended: Option<Ended>,
}

#[derive(Debug)]
enum Follow {
    Direct(AsyncFd<OwnedFd>),
    Supervised(Arc<Control>),
    /// Whoever has been let go of is followed by nobody here.
    LetGo,
}

impl Child {
    /// Process id of the program itself (never of its supervisor).
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the program's end. May be dropped and called again.
    ///
    /// # Errors
    /// The supervisor died without saying how the program ended, or the process was waited for by somebody else.
    pub async fn wait(&mut self) -> io::Result<Ended> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        let ended = match &self.follow {
            Follow::Direct(pidfd) => loop {
                let mut ready = pidfd.readable().await?;
                match super::clone::wait_any(self.pid)? {
                    Some((_, ended)) => break ended,
                    None => ready.clear_ready(),
                }
            },
            Follow::Supervised(control) => control.ended().await?,
            Follow::LetGo => return Err(io::ErrorKind::NotFound.into()),
        };
        self.ended = Some(ended);
        Ok(ended)
    }

    /// Ends the program and its session at once. Does nothing after its end.
    pub fn kill(&self) {
        if self.ended.is_some() {
            return;
        }
        match &self.follow {
            Follow::Direct(pidfd) => {
                // Not reaped yet, so neither the number nor the session's can have come to mean another process.
                if let Some(session) = rustix::process::Pid::from_raw(self.pid) {
                    let _ = rustix::process::kill_process_group(session, Signal::KILL);
                }
                let _ = rustix::process::pidfd_send_signal(pidfd.get_ref(), Signal::KILL);
            }
            Follow::Supervised(control) => control.kill(),
            Follow::LetGo => {}
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
            if let Follow::Direct(pidfd) = std::mem::replace(&mut self.follow, Follow::LetGo) {
                // Not waited for here: where it is stuck in the kernel, all that runs on this thread would be too.
                let_go(Started { pid: self.pid, pidfd: pidfd.into_inner() });
            }
        }
    }
}

/// Starts a program as part of `tree`.
///
/// Must be called within a tokio runtime. Waits until the program was executed, which takes about a millisecond; where the
/// future is dropped before that, nothing is started.
///
/// # Errors
/// Nothing was started; the error says which step failed and why.
pub async fn spawn(spec: Spec, tree: &Tree) -> Result<Child, SpawnError> {
    if !spec.program.is_absolute() || !spec.cwd.is_absolute() {
        let reason = "its path and its working directory must be absolute".to_owned();
        return Err(SpawnError::Specification { program: spec.program, reason });
    }
    match tree.follower() {
        Follower::Cgroup(cgroup) => {
            let doors = tree.doors().map_err(|source| SpawnError::Process { program: spec.program.clone(), source })?;
            direct(spec, Some(cgroup.directory()), doors).await
        }
        Follower::Supervisors(supervisors) => {
            let supervisor = supervisors.program().to_owned();
            let (child, control) = supervised(spec, &supervisor).await?;
            supervisors.add(control);
            Ok(child)
        }
    }
}

/// Starts a program that is no part of a task and cannot start others (the compiler in its box).
///
/// # Errors
/// As [`spawn`].
pub async fn spawn_alone(spec: Spec) -> Result<Child, SpawnError> {
    direct(spec, None, Vec::new()).await
}

async fn direct(
    spec: Spec,
    cgroup: Option<std::os::fd::BorrowedFd<'_>>,
    doors: Vec<OwnedFd>,
) -> Result<Child, SpawnError> {
    let path = spec.program.clone();
    let pipes = Pipes::new().map_err(|source| SpawnError::Process { program: path.clone(), source })?;
    let ids = spec.credentials.clone().map(Ids::from);
    let (prepared, pipes) = prepare(
        &spec.program,
        spec.executable,
        &spec.argv,
        &environment(&spec.env),
        &spec.cwd,
        spec.stdin,
        spec.extra,
        pipes,
    )?;
    let limits = spec.limits.iter().map(|(resource, limit)| (resource.number(), *limit)).collect();
    let started = prepared.doors(doors).ids(ids).limits(limits).no_new_privileges(spec.no_new_privileges).start(cgroup);
    let starting = started.map_err(|failure| failed(&path, failure))?;
    let started = starting.executed().await.map_err(|failure| failed(&path, failure))?;
    let (stdout, stderr) = match pipes.receivers() {
        Ok(ends) => ends,
        Err(source) => {
            end(started).await;
            return Err(SpawnError::Process { program: path, source });
        }
    };
    let Started { pid, pidfd } = started;
    match super::ready::watch(pidfd, tokio::io::Interest::READABLE) {
        Ok(pidfd) => Ok(Child { stdout, stderr, pid, follow: Follow::Direct(pidfd), ended: None }),
        Err(source) => {
            give_up(pid);
            Err(SpawnError::Process { program: path, source })
        }
    }
}

async fn supervised(mut spec: Spec, supervisor: &Path) -> Result<(Child, Arc<Control>), SpawnError> {
    let program = spec.program.clone();
    let process = |source| SpawnError::Process { program: program.clone(), source };
    let pipes = Pipes::new().map_err(process)?;
    let executable = match spec.executable {
        Executable::Path => false,
        Executable::Descriptor(descriptor) => {
            spec.extra.push(descriptor);
            true
        }
    };
    let request = Request {
        program: spec.program.as_os_str().as_bytes().to_vec(),
        argv: spec.argv.iter().map(|text| text.as_bytes().to_vec()).collect(),
        env: environment(&spec.env),
        cwd: spec.cwd.as_os_str().as_bytes().to_vec(),
        extra: spec.extra.len(),
        last_is_the_program: executable,
        credentials: spec.credentials.clone(),
        limits: spec.limits.clone(),
        no_new_privileges: spec.no_new_privileges,
    };
    let (control, theirs, request) = Control::prepare(&request).map_err(process)?;
    spec.extra.extend([theirs, request]);
    let argv = [
        supervisor.as_os_str(),
        OsStr::new(super::supervise::SUPERVISE_ARGUMENT),
        OsStr::new(&(spec.extra.len() + 1).to_string()),
    ]
    .map(OsStr::to_owned);
    let (prepared, pipes) =
        prepare(supervisor, Executable::Path, &argv, &[], Path::new("/"), spec.stdin, spec.extra, pipes)?;
    let starting = prepared.start(None).map_err(|failure| failed(supervisor, failure))?;
    let started = starting.executed().await.map_err(|failure| failed(supervisor, failure))?;
    let (pid, control) = control.attach(started, &program).await?;
    let (stdout, stderr) = pipes.receivers().map_err(process)?;
    let control = Arc::new(control);
    let child = Child { stdout, stderr, pid, follow: Follow::Supervised(Arc::clone(&control)), ended: None };
    Ok((child, control))
}

#[allow(clippy::too_many_arguments)] // One per thing that a program is started with; a struct would be `Spec` again.
fn prepare(
    program: &Path,
    executable: Executable,
    argv: &[OsString],
    env: &[Vec<u8>],
    cwd: &Path,
    stdin: Stdin,
    extra: Vec<OwnedFd>,
    pipes: Pipes,
) -> Result<(Prepared, ReadEnds), SpawnError> {
    let stdin = match stdin {
        Stdin::Fd(descriptor) => descriptor,
        Stdin::Null => std::fs::File::open("/dev/null")
            .map_err(|source| SpawnError::Process { program: program.to_owned(), source })?
            .into(),
    };
    let executable = match executable {
        Executable::Path => None,
        Executable::Descriptor(descriptor) => Some(descriptor),
    };
    let (ends, stdout, stderr) = pipes.split();
    let argv: Vec<Vec<u8>> = argv.iter().map(|text| text.as_bytes().to_vec()).collect();
    let prepared = Prepared::new(program.as_os_str().as_bytes(), &argv, env, cwd.as_os_str().as_bytes())
        .map_err(|reason| SpawnError::Specification { program: program.to_owned(), reason: reason.to_owned() })?
        .executable(executable)
        .descriptors([stdin, stdout, stderr].into_iter().chain(extra).collect());
    Ok((prepared, ends))
}

fn environment(env: &[(OsString, OsString)]) -> Vec<Vec<u8>> {
    env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect()
}

fn failed(program: &Path, failure: Failure) -> SpawnError {
    let program = program.to_owned();
    match failure {
        Failure::Process(source) => SpawnError::Process { program, source },
        Failure::Step(step, source) => SpawnError::Child { program, step, source },
    }
}

/// The two output pipes, both ends.
struct Pipes {
    stdout: (OwnedFd, OwnedFd),
    stderr: (OwnedFd, OwnedFd),
}

/// What stays with us of the two output pipes.
struct ReadEnds {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Pipes {
    fn new() -> io::Result<Self> {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        Ok(Self { stdout: pipe()?, stderr: pipe()? })
    }

    fn split(self) -> (ReadEnds, OwnedFd, OwnedFd) {
        (ReadEnds { stdout: self.stdout.0, stderr: self.stderr.0 }, self.stdout.1, self.stderr.1)
    }
}

impl ReadEnds {
    fn receivers(self) -> io::Result<(Option<Receiver>, Option<Receiver>)> {
        Ok((Some(Receiver::from_owned_fd(self.stdout)?), Some(Receiver::from_owned_fd(self.stderr)?)))
    }
}
