//! Following a process tree where there is no usable cgroup v2: a supervisor process for each program.
//!
//! The supervisor is a "child subreaper": whatever its program starts, double-forked and in a session of its own,
//! becomes the supervisor's child when its parent ends, so it can always be found and killed, without privilege.
//! A program of the supervisor's own user can kill the supervisor, as it can kill the agent: the program itself then dies with
//! it, but what it had started before lives on unfollowed. Programs of another user cannot.
//! Owns the supervisor's side ([`main`]), the control socket and its messages. The supervisor ends when nothing of
//! the tree is alive, or kills all of it when it is told to, or when the agent is gone (its end of the socket closed).

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::clone::{Started, end, let_go, wait_any};
use super::ended::Ended;
use super::exec::{Failure, Prepared, Starting, inherited};
use super::process::{self, ProcessIdentity};
use super::ready::watch;
use super::spec::{Credentials, Resource};
use crate::error::{SpawnError, Step};

/// The argument after which a program's `main` must call [`main`].
pub const SUPERVISE_ARGUMENT: &str = "__supervise";

/// Most bytes of one message from the supervisor.
const MESSAGE_MAX_BYTES: usize = 4_096;

/// How long a supervisor may take until its program runs.
const START_MAX: Duration = Duration::from_secs(10);

const TERMINATE: u8 = b'T';
const KILL: u8 = b'K';
const RELEASE: u8 = b'R';

/// What the supervisor starts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) program: Vec<u8>,
    pub(crate) argv: Vec<Vec<u8>>,
    pub(crate) env: Vec<Vec<u8>>,
    pub(crate) cwd: Vec<u8>,
    /// How many descriptors from 3 on belong to the program.
    pub(crate) extra: usize,
    /// Whether the last of them is the file to execute.
    pub(crate) last_is_the_program: bool,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) limits: Vec<(Resource, u64)>,
    pub(crate) no_new_privileges: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Message {
    Started(i32),
    Failed(Option<Step>, i32),
    Ended(Ended),
}

/// A socket pair's end that is not yet bound to a supervisor.
#[derive(Debug)]
pub(crate) struct Unattached(OwnedFd);

/// The agent's end of one supervisor. When the last owner drops it, the supervisor kills its tree.
#[derive(Debug)]
pub(crate) struct Control {
    socket: AsyncFd<OwnedFd>,
    pidfd: AsyncFd<OwnedFd>,
    identity: ProcessIdentity,
}

impl Control {
    /// Both ends of a new control socket, ours first, and the request as a descriptor.
    pub(crate) fn prepare(request: &Request) -> io::Result<(Unattached, OwnedFd, OwnedFd)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let request = super::memfd::sealed("orderly-supervise", &[&serde_json::to_vec(request)?])?;
        Ok((Unattached(ours), theirs, request))
    }
}

impl Unattached {
    /// Waits until the supervisor says that its program runs, and as which process, at most [`START_MAX`]. The supervisor is
    /// killed where this fails or is dropped.
    pub(crate) async fn attach(self, started: Started, program: &Path) -> Result<(i32, Control), SpawnError> {
        let mut supervisor = Supervisor(Some(started));
        let attached = self.try_attach(&mut supervisor, program).await;
        if let Some(started) = supervisor.0.take() {
            end(started).await;
        }
        attached
    }

    async fn try_attach(self, supervisor: &mut Supervisor, program: &Path) -> Result<(i32, Control), SpawnError> {
        let fault = |reason: &str| SpawnError::Supervisor { reason: reason.to_owned() };
        let process = |source| SpawnError::Process { program: program.to_owned(), source };
        let identity = supervisor.identity().ok_or_else(|| fault("it ended at once"))?;
        rustix::io::ioctl_fionbio(&self.0, true).map_err(|error| process(error.into()))?;
        let socket = watch(self.0, Interest::READABLE).map_err(process)?;
        let answered = tokio::time::timeout(START_MAX, next(&socket)).await;
        let answer = answered.map_err(|_| fault("it did not start its program in time"))?;
        let pid = match answer {
            Ok(Some(Message::Started(pid))) => pid,
            Ok(Some(Message::Failed(step, errno))) => {
                let program = program.to_owned();
                let source = io::Error::from_raw_os_error(errno);
                return Err(match step {
                    Some(step) => SpawnError::Child { program, step, source },
                    None => SpawnError::Process { program, source },
                });
            }
            _ => return Err(fault("the program given as supervisor does not answer `__supervise`")),
        };
        let pidfd = supervisor.keep().ok_or_else(|| fault("it ended at once"))?;
        let pidfd = watch(pidfd, Interest::READABLE).map_err(process)?;
        Ok((pid, Control { socket, pidfd, identity }))
    }
}

/// A supervisor that is not followed yet, and goes with this.
struct Supervisor(Option<Started>);

impl Supervisor {
    fn identity(&self) -> Option<ProcessIdentity> {
        self.0.as_ref().and_then(|started| ProcessIdentity::of(started.pid))
    }

    fn keep(&mut self) -> Option<OwnedFd> {
        self.0.take().map(|started| started.pidfd)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(started) = self.0.take() {
            let_go(started);
        }
    }
}

/// The next message from a supervisor; nothing once it is gone.
async fn next(socket: &AsyncFd<OwnedFd>) -> io::Result<Option<Message>> {
    loop {
        let mut ready = socket.readable().await?;
        match receive(socket.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            message => return message,
        }
    }
}

impl Control {
    pub(crate) fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    fn tell(&self, what: u8) {
        // A supervisor that is gone has nothing left to be told.
        let _ = rustix::net::send(self.socket.get_ref(), &[what], SendFlags::NOSIGNAL);
    }

    /// SIGTERM to all of the tree.
    pub(crate) fn terminate(&self) {
        self.tell(TERMINATE);
    }

    /// SIGKILL to all of the tree until nothing is left.
    pub(crate) fn kill(&self) {
        self.tell(KILL);
    }

    /// Lets what is left of the tree live on by itself.
    pub(crate) fn release(&self) {
        self.tell(RELEASE);
    }

    /// Waits for the end of the program itself.
    pub(crate) async fn ended(&self) -> io::Result<Ended> {
        loop {
            match next(&self.socket).await? {
                Some(Message::Ended(ended)) => return Ok(ended),
                Some(_) => {}
                None => return Err(io::Error::other("the supervisor ended without saying how its program did")),
            }
        }
    }

    /// Whether the supervisor is still there, and with it something of the tree.
    pub(crate) fn is_alive(&self) -> bool {
        // Reaps it too, where it has ended.
        matches!(wait_any(self.identity.pid), Ok(None))
    }

    /// Waits until the supervisor has ended, and with it the whole tree.
    pub(crate) async fn gone(&self) -> io::Result<()> {
        while self.is_alive() {
            let mut ready = self.pidfd.readable().await?;
            if self.is_alive() {
                ready.clear_ready();
            }
        }
        Ok(())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Closing the socket makes it end; a moment later it would be a zombie until this process ends.
        if self.is_alive() {
            self.kill();
            let mut polled = [PollFd::new(self.pidfd.get_ref(), PollFlags::IN)];
            let _ = poll(&mut polled, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
            let _ = self.is_alive();
        }
    }
}

fn receive(socket: &OwnedFd) -> io::Result<Option<Message>> {
    let mut buffer = [0; MESSAGE_MAX_BYTES];
    let (length, _) = rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()))?;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(buffer.get(..length).unwrap_or_default())?))
}

fn send(socket: &OwnedFd, message: &Message) -> io::Result<()> {
    rustix::net::send(socket, &serde_json::to_vec(message)?, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The supervisor: what a program does when its first argument is [`SUPERVISE_ARGUMENT`]. `arguments` are those after it.
///
/// Returns the exit code; nothing of the tree is alive then, unless it was told to let go.
pub fn main(arguments: &[OsString]) -> i32 {
    match supervise(arguments) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn supervise(arguments: &[OsString]) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let control: i32 = arguments
        .first()
        .and_then(|text| text.to_str()?.parse().ok())
        .filter(|number| *number >= 3)
        .ok_or_else(invalid)?;
    let (control, request) = (inherited(control)?, inherited(control + 1)?);
    let request: Request = serde_json::from_slice(&super::memfd::read_all(request)?)?;

    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
    let signals = super::alarm::child_signals()?;
    let main = match start(request)? {
        Ok(started) => started,
        Err(failure) => {
            let (step, error) = match failure {
                Failure::Process(error) => (None, error),
                Failure::Step(step, error) => (Some(step), error),
            };
            return send(&control, &Message::Failed(step, error.raw_os_error().unwrap_or(libc::EIO)));
        }
    };
    send(&control, &Message::Started(main.pid))?;
    follow(&control, &signals, main.pid)
}

fn start(request: Request) -> io::Result<Result<Started, Failure>> {
    let mut descriptors = (0..3 + request.extra as i32).map(inherited).collect::<io::Result<Vec<_>>>()?;
    let executable = if request.last_is_the_program { descriptors.pop() } else { None };
    let prepared = Prepared::new(&request.program, &request.argv, &request.env, &request.cwd)
        .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
    let limits = request.limits.iter().map(|(resource, limit)| (resource.number(), *limit)).collect();
    // The pipes' ends close with the descriptors, so that the agent sees their end when the tree has closed them.
    Ok(prepared
        .executable(executable)
        .descriptors(descriptors)
        .ids(request.credentials.map(Into::into))
        .limits(limits)
        .no_new_privileges(request.no_new_privileges)
        // Whoever kills this supervisor, the agent among them, must not set free what could then not be found.
        .dies_with_parent(true)
        .start(None)
        .and_then(Starting::executed_here))
}

/// Reaps, obeys, and returns when nothing of the tree is left.
fn follow(control: &OwnedFd, signals: &OwnedFd, main: i32) -> io::Result<()> {
    let mut killing = false;
    let mut drain = [0; 1_024];
    loop {
        let wait = killing.then_some(Timespec { tv_sec: 0, tv_nsec: 5_000_000 });
        let mut polled = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if !killing {
            polled.push(PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN));
        }
        rustix::io::retry_on_intr(|| poll(&mut polled, wait.as_ref()))?;
        let told = polled.get(1).is_some_and(|control| !control.revents().is_empty());
        let _ = rustix::io::read(signals, &mut drain);
        loop {
            match wait_any(-1) {
                Ok(Some((pid, ended))) if pid == main => {
                    let _ = send(control, &Message::Ended(ended));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Ok(()), // No child is left, so no descendant is.
            }
        }
        if told {
            let mut what = [0];
            match rustix::net::recv(control, &mut what, RecvFlags::empty()) {
                Ok((1, _)) if what == [TERMINATE] => signal_all(Signal::TERM)?,
                Ok((1, _)) if what == [RELEASE] => return Ok(()),
                // Told to, or the agent is gone.
                _ => killing = true,
            }
        }
        if killing {
            kill_all()?;
        }
    }
}

fn signal_all(signal: Signal) -> io::Result<()> {
    let me = std::process::id().cast_signed();
    process::descendants(me)?.iter().for_each(|process| {
        process.signal(signal);
    });
    Ok(())
}

/// One pass: stops everything first, so that nothing can start more while it is killed.
fn kill_all() -> io::Result<()> {
    let me = std::process::id().cast_signed();
    let until = Instant::now() + Duration::from_millis(200);
    let mut stopped = 0;
    loop {
        let alive = process::descendants(me)?;
        if alive.len() == stopped || Instant::now() > until {
            alive.iter().for_each(|process| {
                process.signal(Signal::KILL);
            });
            return Ok(());
        }
        stopped = alive.len();
        alive.iter().for_each(|process| {
            process.signal(Signal::STOP);
        });
    }
}
