//! Filters of system calls. Owns the lists: base (run, write to open pipes, end), with files, with changing files.
//!
//! Whatever is not listed answers `EPERM`: a forgotten harmless call then fails where it is made instead of killing a
//! run on some other libc. There is no way to make executable memory, a program, a thread or a socket.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule,
};

/// Calls that every boxed program makes: memory, waiting, clocks, open descriptors, its own end.
const BASE: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_futex,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_setitimer,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The same under older names, where the architecture still has them.
#[cfg(target_arch = "x86_64")]
const BASE_OLD: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const BASE_OLD: &[c_long] = &[];

/// Calls that look at files. Which files, Landlock and the host's own check say.
const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_fadvise64,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
];

#[cfg(target_arch = "x86_64")]
const FILES_OLD: &[c_long] = &[libc::SYS_readlink];
#[cfg(not(target_arch = "x86_64"))]
const FILES_OLD: &[c_long] = &[];

/// Calls that change files.
const CHANGES: &[c_long] = &[
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_utimensat,
];

#[cfg(target_arch = "x86_64")]
const CHANGES_OLD: &[c_long] = &[libc::SYS_renameat];
#[cfg(not(target_arch = "x86_64"))]
const CHANGES_OLD: &[c_long] = &[];

/// A filter that is ready to be put in force.
#[derive(Debug)]
pub(super) struct Filter(Option<BpfProgram>);

impl Filter {
    /// Builds the filter for a program that may look at files, and change files.
    pub(super) fn build(files: bool, changes: bool) -> Result<Self, String> {
        let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
        let lists = [
            (true, BASE),
            (true, BASE_OLD),
            (files, FILES),
            (files, FILES_OLD),
            (changes, CHANGES),
            (changes, CHANGES_OLD),
        ];
        for number in lists.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, list)| list) {
            rules.insert(*number, Vec::new());
        }
        let text = |error: seccompiler::BackendError| error.to_string();
        let executable = libc::PROT_EXEC as u64;
        for number in [libc::SYS_mmap, libc::SYS_mprotect] {
            rules.insert(number, vec![rule(2, Op::MaskedEq(executable), 0).map_err(text)?]);
        }
        let any = |argument, values: &[c_long]| {
            values.iter().map(|value| rule(argument, Op::Eq, *value as u64)).collect::<Result<Vec<_>, _>>()
        };
        rules.insert(libc::SYS_ioctl, any(1, &[libc::TCGETS as c_long, libc::FIONBIO as c_long]).map_err(text)?);
        let commands =
            [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC].map(c_long::from);
        rules.insert(libc::SYS_fcntl, any(1, &commands).map_err(text)?);
        // How `abort` ends a process: signals to itself only.
        rules.insert(libc::SYS_tgkill, any(0, &[c_long::from(std::process::id().cast_signed())]).map_err(text)?);
        if !files {
            // How newer C libraries do fstat: no path, only the descriptor.
            let by_descriptor =
                rule(3, Op::MaskedEq(libc::AT_EMPTY_PATH as u64), libc::AT_EMPTY_PATH as u64).map_err(text)?;
            rules.insert(libc::SYS_newfstatat, vec![by_descriptor]);
        }
        let architecture = std::env::consts::ARCH.try_into().map_err(text)?;
        let refusal = SeccompAction::Errno(libc::EPERM.cast_unsigned());
        let filter = SeccompFilter::new(rules, refusal, SeccompAction::Allow, architecture).map_err(text)?;
        Ok(Self(Some(BpfProgram::try_from(filter).map_err(text)?)))
    }

    /// No filter.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Puts it in force for this thread, the only one; says whether there was one.
    pub(super) fn apply(&self) -> Result<bool, String> {
        match &self.0 {
            None => Ok(false),
            Some(program) => seccompiler::apply_filter(program).map(|()| true).map_err(|error| error.to_string()),
        }
    }
}

fn rule(argument: u8, operator: Op, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![Condition::new(argument, Length::Dword, operator, value)?])
}

/// Whether the kernel filters system calls.
pub(super) fn available() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| line.starts_with("Seccomp_filters:") || line.starts_with("Seccomp:"))
    })
}
