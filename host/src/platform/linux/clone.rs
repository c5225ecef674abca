//! New processes as copies of this one, and their ends.
//!
//! Owns `clone3` (and `fork`, where a container's filter hides it), the file descriptor by which a process is followed, and
//! reaping. What the copy does is the caller's; it must be safe after a clone of a threaded program. A process that is
//! let go of is killed and reaped, without anybody waiting for it where there is a runtime, and for a moment only where there
//! is none.

#![allow(unsafe_code)] // clone3 and wait4 have no safe interface.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::ended::{Ended, Exit, Usage};
use super::ready::watch;

/// How long a killed process is waited for. One that is not stuck takes far less.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// Time between two looks at a killed process that nothing tells the end of.
const ENDED_LOOK: Duration = Duration::from_millis(1);

/// `libc` has it in a type that is too small for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A program that was started, or is the copy that is about to say why not.
pub(crate) struct Started {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// Waits for a process that has ended or is about to.
fn reap(pid: i32) {
    let mut status = 0;
    // SAFETY: plain call with a valid pointer; the process is a child of ours that was not waited for.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Kills a child of ours that was not waited for, and reaps it: at once where it is dead by then, else behind the back of
/// whoever runs here. A process that is stuck in the kernel, waiting for somebody's file system, must hold up nobody.
pub(crate) fn let_go(started: Started) -> Option<JoinHandle<()>> {
    let Started { pid, pidfd } = started;
    // SAFETY: plain call; the process is a child of ours that was not waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let runtime = Handle::try_current().ok();
    let watched = runtime.and_then(|runtime| Some((runtime, watch(pidfd, Interest::READABLE).ok()?)));
    let Some((runtime, pidfd)) = watched else {
        give_up(pid);
        return None;
    };
    if !matches!(wait_any(pid), Ok(None)) {
        return None;
    }
    Some(runtime.spawn(async move {
        while let Ok(mut ready) = pidfd.readable().await
            && matches!(wait_any(pid), Ok(None))
        {
            ready.clear_ready();
        }
    }))
}

/// Kills a child of ours that nothing watches, and waits a moment for its end. One that is stuck in the kernel even then is left
/// to whoever gets this process's children: it holds up nobody.
pub(crate) fn give_up(pid: i32) {
    // SAFETY: plain call; the process is a child of ours that was not waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let until = Instant::now() + ENDED_WITHIN;
    while matches!(wait_any(pid), Ok(None)) && Instant::now() < until {
        std::thread::sleep(ENDED_LOOK);
    }
}

/// As [`let_go`], and waits a moment for its end: who is told that nothing was started finds nothing of it.
pub(crate) async fn end(started: Started) {
    if let Some(reaped) = let_go(started) {
        let _ = tokio::time::timeout(ENDED_WITHIN, reaped).await;
    }
}

/// Reaps `pid` where it has ended and says how; nothing where it is still alive.
///
/// With `pid` -1 it is any child; the second value says which.
pub(crate) fn wait_any(pid: i32) -> io::Result<Option<(i32, Ended)>> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid for writing.
        let found = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
        match found {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            found => {
                // SAFETY: zeroed before, filled by the call.
                let usage = unsafe { usage.assume_init() };
                let exit = if libc::WIFSIGNALED(status) {
                    Exit::Signal(libc::WTERMSIG(status))
                } else {
                    Exit::Code(libc::WEXITSTATUS(status))
                };
                let micros = |time: libc::timeval| (time.tv_sec.max(0) as u64) * 1_000_000 + time.tv_usec.max(0) as u64;
                let usage = Usage {
                    user_us: micros(usage.ru_utime),
                    system_us: micros(usage.ru_stime),
                    max_rss_bytes: usage.ru_maxrss.max(0) as u64 * 1024,
                };
                return Ok(Some((found, Ended { exit, usage })));
            }
        }
    }
}

/// Whether a process can be cloned into `cgroup`: tried with one that ends at once.
pub(crate) fn can_clone_into(cgroup: BorrowedFd<'_>) -> bool {
    match clone(Some(cgroup)) {
        Ok(Side::Parent(started)) => {
            reap(started.pid);
            true
        }
        // SAFETY: this is the new process and it does nothing else.
        Ok(Side::Child) => unsafe { libc::_exit(0) },
        Err(_) => false,
    }
}

/// Which of the two processes this is.
pub(crate) enum Side {
    Parent(Started),
    Child,
}

/// Copies this process, into `cgroup` where one is given. Every signal is blocked in the copy.
pub(crate) fn clone(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid for writing; blocking every signal keeps the parent's handlers out of the child.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let side = clone_blocked(cgroup);
    if !matches!(side, Ok(Side::Child)) {
        // SAFETY: `before` was filled above. The child unblocks after it has taken the handlers away.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    side
}

fn clone_blocked(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is the documented default of every field.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = libc::CLONE_PIDFD as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM, so the new process has its own copy of the memory; the arguments are valid.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(Side::Child),
        // SAFETY: the kernel stored a new descriptor that nobody else owns.
        1.. => Ok(Side::Parent(Started { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })),
        _ => {
            let error = io::Error::last_os_error();
            match (error.raw_os_error(), cgroup) {
                // Container filters of old answer so for system calls that they do not know.
                (Some(libc::ENOSYS), None) => fork(),
                _ => Err(error),
            }
        }
    }
}

fn fork() -> io::Result<Side> {
    // SAFETY: the child makes only calls that are safe after fork.
    match unsafe { libc::fork() } {
        0 => Ok(Side::Child),
        pid @ 1.. => {
            let opened = rustix::process::Pid::from_raw(pid)
                .map(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()));
            match opened {
                Some(Ok(pidfd)) => Ok(Side::Parent(Started { pid, pidfd })),
                _ => {
                    let error = io::Error::last_os_error();
                    give_up(pid);
                    Err(error)
                }
            }
        }
        _ => Err(io::Error::last_os_error()),
    }
}
