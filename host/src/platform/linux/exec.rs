//! From a prepared specification to a running program: the steps in the new process, and `execve`.
//!
//! Owns the moment between clone and exec. All memory is made ready before; the new process makes only system
//! calls that are safe after a clone of a threaded program, and reports the step that failed over a pipe that
//! closes by itself when the program starts. Whoever starts a program waits for that without keeping its thread. It never
//! retries and leaves nothing behind on failure.

#![allow(unsafe_code)] // Exec has no safe interface: the new process is a copy of one thread.

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;

use super::clone::{Side, Started, clone, end, let_go};
use super::ready::watch;
use crate::error::Step;

/// How long a new process may take until its program is executed. Longer means a file system, or whoever holds a lease
/// on a file, that lets it wait: the one who starts it must not wait with it. Less than a supervisor is given.
const EXECUTED_WITHIN: Duration = Duration::from_secs(5);

/// What the new process does, all in memory that it only reads (descriptor numbers aside).
pub(crate) struct Prepared {
    program: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
    cwd: CString,
    /// Executed instead of `program` where there is one.
    executable: Option<OwnedFd>,
    /// Descriptors as they go to 0, 1, 2, … in the program.
    descriptors: Vec<OwnedFd>,
    /// Files of cgroups that the new process writes itself into.
    doors: Vec<OwnedFd>,
    ids: Option<Ids>,
    /// Resource, limit.
    limits: Vec<(c_int, u64)>,
    no_new_privileges: bool,
    dies_with_parent: bool,
}

/// User, group and supplementary groups.
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// Why nothing was started.
pub(crate) enum Failure {
    /// No new process.
    Process(io::Error),
    /// A step in the new process.
    Step(Step, io::Error),
}

impl Prepared {
    pub(crate) fn new(program: &[u8], argv: &[Vec<u8>], envp: &[Vec<u8>], cwd: &[u8]) -> Result<Self, &'static str> {
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| "a NUL byte in its path, arguments or environment");
        let texts = |many: &[Vec<u8>]| many.iter().map(|one| text(one)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            program: text(program)?,
            argv: texts(argv)?,
            envp: texts(envp)?,
            cwd: text(cwd)?,
            executable: None,
            descriptors: Vec::new(),
            doors: Vec::new(),
            ids: None,
            limits: Vec::new(),
            no_new_privileges: false,
            dies_with_parent: false,
        })
    }

    pub(crate) fn executable(mut self, executable: Option<OwnedFd>) -> Self {
        self.executable = executable;
        self
    }

    pub(crate) fn descriptors(mut self, descriptors: Vec<OwnedFd>) -> Self {
        self.descriptors = descriptors;
        self
    }

    pub(crate) fn doors(mut self, doors: Vec<OwnedFd>) -> Self {
        self.doors = doors;
        self
    }

    pub(crate) fn ids(mut self, ids: Option<Ids>) -> Self {
        self.ids = ids;
        self
    }

    pub(crate) fn limits(mut self, limits: Vec<(c_int, u64)>) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn no_new_privileges(mut self, on: bool) -> Self {
        self.no_new_privileges = on;
        self
    }

    /// Has the kernel kill the program when this process ends before it.
    pub(crate) fn dies_with_parent(mut self, on: bool) -> Self {
        self.dies_with_parent = on;
        self
    }

    /// Makes the new process, in `cgroup` where one is given, which then goes on by itself until its program runs.
    pub(crate) fn start(self, cgroup: Option<BorrowedFd<'_>>) -> Result<Starting, Failure> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| Failure::Process(error.into()))?;
        let pointers = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let image = Image {
            program: &self.program,
            argv: pointers(&self.argv),
            envp: pointers(&self.envp),
            cwd: &self.cwd,
            executable: self.executable.as_ref().map(|descriptor| descriptor.as_raw_fd()),
            descriptors: self.descriptors.iter().map(|descriptor| descriptor.as_raw_fd()).collect(),
            doors: self.doors.iter().map(|descriptor| descriptor.as_raw_fd()).collect(),
            ids: self.ids.as_ref(),
            limits: &self.limits,
            no_new_privileges: self.no_new_privileges,
            dies_with_parent: self.dies_with_parent,
            parent: std::process::id().cast_signed(),
        };
        let mut scratch = vec![-1; image.descriptors.len()];
        let started = match clone(cgroup).map_err(Failure::Process)? {
            Side::Parent(started) => started,
            // SAFETY: this is the new process; only the calls that `run` documents are made and it never returns.
            Side::Child => unsafe { image.run(&mut scratch, write.as_raw_fd()) },
        };
        Ok(Starting { started: Some(started), report: read })
    }
}

/// A new process that has not said yet whether its program runs. Killed where it is dropped before that.
pub(crate) struct Starting {
    started: Option<Started>,
    report: OwnedFd,
}

impl Starting {
    /// Waits until the program was executed or has failed, at most [`EXECUTED_WITHIN`].
    pub(crate) async fn executed(mut self) -> Result<Started, Failure> {
        let read = async {
            rustix::io::ioctl_fionbio(&self.report, true)?;
            let report = watch(self.report.try_clone()?, Interest::READABLE)?;
            loop {
                let mut ready = report.readable().await?;
                match read(report.get_ref()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    said => return said,
                }
            }
        };
        let said = tokio::time::timeout(EXECUTED_WITHIN, read).await;
        let started = self.end(said.unwrap_or(Err(io::ErrorKind::TimedOut.into())));
        if let Some(started) = self.started.take() {
            end(started).await;
        }
        started
    }

    /// The same for a program that has no runtime.
    pub(crate) fn executed_here(mut self) -> Result<Started, Failure> {
        let until = Instant::now() + EXECUTED_WITHIN;
        let said = loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.report, PollFlags::IN)], Some(&left)) {
                Ok(0) => break Err(io::ErrorKind::TimedOut.into()),
                Err(rustix::io::Errno::INTR) => {}
                _ => break read(&self.report),
            }
        };
        self.end(said)
    }

    /// What it comes to that the new process has said this.
    fn end(&mut self, said: io::Result<Option<(Step, i32)>>) -> Result<Started, Failure> {
        let gone = || Failure::Process(io::ErrorKind::NotFound.into());
        match said {
            Ok(None) => self.started.take().ok_or_else(gone),
            Ok(Some((step, errno))) => Err(Failure::Step(step, io::Error::from_raw_os_error(errno))),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Failure::Step(Step::Execute, io::Error::from_raw_os_error(libc::ETIMEDOUT)))
            }
            Err(error) => Err(Failure::Process(error)),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(started) = self.started.take() {
            let_go(started);
        }
    }
}

/// What a new process has reported: nothing where its program runs, else the step that failed and why. Five bytes from one
/// write into a pipe arrive together.
fn read(report: &OwnedFd) -> io::Result<Option<(Step, i32)>> {
    let mut said = [0; 5];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(report, &mut said))?;
    let [step, errno @ ..] = said;
    Ok(Step::from_number(step).filter(|_| length == said.len()).map(|step| (step, i32::from_ne_bytes(errno))))
}

/// Takes over a descriptor that this process was started with.
///
/// To be called once for each number, first thing in a program: the parent placed it, and nothing else owns it.
pub(crate) fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: only looked at here; a number that is not open is refused.
    rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) })?;
    // SAFETY: open, and nothing else owns it, as the caller says.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

/// Ends this process at once, without running anything that was registered for its end.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: plain call.
    unsafe { libc::_exit(code) }
}

/// Everything by reference, as the new process reads it.
struct Image<'a> {
    program: &'a CStr,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    cwd: &'a CStr,
    executable: Option<RawFd>,
    descriptors: Vec<RawFd>,
    doors: Vec<RawFd>,
    ids: Option<&'a Ids>,
    limits: &'a [(c_int, u64)],
    no_new_privileges: bool,
    dies_with_parent: bool,
    /// Process id of the process that starts it.
    parent: c_int,
}

impl Image<'_> {
    /// Runs in the new process: no allocation, no lock, raw system calls for what libc would spread over threads.
    ///
    /// # Safety
    /// Only to be called in a process that was just cloned and will do nothing else.
    unsafe fn run(&self, scratch: &mut [RawFd], mut report: RawFd) -> ! {
        let mut executable = self.executable;
        // SAFETY: system calls on memory that lives until exec; see each step.
        let step = unsafe { self.steps(scratch, &mut report, &mut executable) };
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
        let message = [step as u8, errno[0], errno[1], errno[2], errno[3]];
        // SAFETY: the message is valid; nothing can be done about a write that fails.
        unsafe {
            libc::write(report, message.as_ptr().cast(), message.len());
            libc::_exit(127)
        }
    }

    /// Does step after step; returns the one that failed.
    unsafe fn steps(&self, scratch: &mut [RawFd], report: &mut RawFd, executable: &mut Option<RawFd>) -> Step {
        // SAFETY: as `run` says.
        unsafe {
            reset_signals();
            libc::umask(0o022);
            if libc::setsid() == -1 {
                return Step::Session;
            }
            // Before the numbers change, and before anything of the program runs.
            for &door in &self.doors {
                if libc::write(door, c"0".as_ptr().cast(), 1) == -1 {
                    return Step::Limits;
                }
            }
            if !self.place_descriptors(scratch, report, executable) {
                return Step::Descriptors;
            }
            for &(resource, limit) in self.limits {
                let limit = libc::rlimit64 { rlim_cur: limit, rlim_max: limit };
                let none: *mut libc::rlimit64 = std::ptr::null_mut();
                if libc::syscall(libc::SYS_prlimit64, 0, resource as c_long, &raw const limit, none) == -1 {
                    return Step::Limits;
                }
            }
            if let Some(ids) = self.ids
                && (libc::syscall(libc::SYS_setgroups, ids.groups.len(), ids.groups.as_ptr()) == -1
                    || libc::syscall(libc::SYS_setresgid, ids.gid, ids.gid, ids.gid) == -1
                    || libc::syscall(libc::SYS_setresuid, ids.uid, ids.uid, ids.uid) == -1)
            {
                return Step::Credentials;
            }
            // Behind the change of the user, which takes it away. Before anything that a file system can hold up.
            if self.dies_with_parent {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                if libc::getppid() != self.parent {
                    libc::_exit(127);
                }
            }
            if libc::chdir(self.cwd.as_ptr()) == -1 {
                return Step::WorkingDirectory;
            }
            if self.no_new_privileges && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 {
                return Step::NoNewPrivileges;
            }
            match executable {
                Some(descriptor) => {
                    libc::syscall(
                        libc::SYS_execveat,
                        *descriptor,
                        c"".as_ptr(),
                        self.argv.as_ptr(),
                        self.envp.as_ptr(),
                        libc::AT_EMPTY_PATH,
                    );
                }
                None => {
                    libc::execve(self.program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
                }
            }
            Step::Execute
        }
    }

    /// Puts the descriptors at 0, 1, 2, … and lets exec close every other one.
    unsafe fn place_descriptors(
        &self,
        scratch: &mut [RawFd],
        report: &mut RawFd,
        executable: &mut Option<RawFd>,
    ) -> bool {
        let above = self.descriptors.len() as c_int;
        // SAFETY: descriptor calls on numbers; sources are copied above all targets first, so that none is overwritten.
        unsafe {
            let move_up = |descriptor: RawFd| libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, above);
            let moved = move_up(*report);
            if moved == -1 {
                return false;
            }
            *report = moved;
            if let Some(descriptor) = executable {
                let moved = move_up(*descriptor);
                if moved == -1 {
                    return false;
                }
                *descriptor = moved;
            }
            for (source, slot) in self.descriptors.iter().zip(scratch.iter_mut()) {
                *slot = move_up(*source);
                if *slot == -1 {
                    return false;
                }
            }
            for (target, source) in scratch.iter().enumerate() {
                if libc::dup2(*source, target as c_int) == -1 {
                    return false;
                }
            }
            if libc::syscall(libc::SYS_close_range, above, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) == -1 {
                // Before Linux 5.11. Everything that this program opens is closed on exec anyway.
                for descriptor in above..4_096 {
                    libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
                }
            }
            true
        }
    }
}

/// Every signal back to its default and unblocked: the program starts as from a shell.
unsafe fn reset_signals() {
    // SAFETY: valid structures; the two signals that libc keeps for itself are refused and stay default.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=64 {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
        let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}
