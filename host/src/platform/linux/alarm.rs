//! One-shot alarms and the supervisor's view of its children's signals.
//!
//! Owns the handler of SIGALRM in a plugin's child: one deadline, one call, no thread and no ticker. A thread would
//! stay outside Landlock, which boxes only the thread that asks for it and what that starts later.

#![allow(unsafe_code)] // Signal handlers and masks have no safe interface.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

/// What the handler calls. Static because a signal handler has no other way to reach anything; set once per process.
static AT_ALARM: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// A set alarm. It stays set until it has gone off; the process is a one-shot.
#[derive(Debug)]
pub(crate) struct Alarm(());

impl Alarm {
    /// Calls `call` once in `after`, from a signal handler: it must do nothing but async-signal-safe things
    /// (`Engine::increment_epoch` is documented as such).
    ///
    /// # Errors
    /// There is an alarm already, or the operating system refused it.
    pub(crate) fn set(after: Duration, call: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        AT_ALARM.set(Box::new(call)).map_err(|_| io::Error::other("this process has an alarm already"))?;
        let mut action: libc::sigaction = {
            // SAFETY: all-zero is a valid value of every field.
            unsafe { std::mem::zeroed() }
        };
        action.sa_sigaction = on_alarm as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        // Never zero, which would take the alarm away.
        let after = after.max(Duration::from_millis(1));
        let timer = libc::itimerval {
            it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
            it_value: libc::timeval {
                tv_sec: after.as_secs().cast_signed(),
                tv_usec: i64::from(after.subsec_micros()),
            },
        };
        // SAFETY: valid structures; the handler only reads a static that is set.
        let done = unsafe {
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) == 0
                && libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) == 0
        };
        if done { Ok(Self(())) } else { Err(io::Error::last_os_error()) }
    }
}

extern "C" fn on_alarm(_signal: libc::c_int) {
    if let Some(call) = AT_ALARM.get() {
        call();
    }
}

/// A descriptor that becomes readable when a child ends. SIGCHLD is blocked from here on; what is started later
/// gets its signals back (`exec` resets them).
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is valid for writing and filled before it is read; the descriptor is new.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        if libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}
