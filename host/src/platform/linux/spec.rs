//! What is started, and how: the specification of a program. Owns the words; starting is `spawn`'s.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::exec::Ids;

/// Where a program's standard input comes from.
#[derive(Debug)]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// This descriptor.
    Fd(OwnedFd),
}

/// How the program is found.
#[derive(Debug)]
pub enum Executable {
    /// By its absolute path, at the moment of execution.
    Path,
    /// This very file, which was opened and checked before; the path is only a name then.
    Descriptor(OwnedFd),
}

/// A user to run as. Only root can ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// User id: real, effective and saved.
    pub uid: u32,
    /// Group id: real, effective and saved.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A resource that can be limited, soft and hard alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Bytes of a core file.
    Core,
    /// Descriptors open at once.
    OpenFiles,
    /// Bytes of one file that is written.
    FileSize,
    /// Seconds of processor time.
    CpuSeconds,
    /// Processes of the user.
    Processes,
    /// Bytes of address space. Not for plugin runs, which reserve 4 GiB per memory.
    AddressSpace,
}

impl Resource {
    pub(crate) fn number(self) -> i32 {
        (match self {
            Self::Core => libc::RLIMIT_CORE,
            Self::OpenFiles => libc::RLIMIT_NOFILE,
            Self::FileSize => libc::RLIMIT_FSIZE,
            Self::CpuSeconds => libc::RLIMIT_CPU,
            Self::Processes => libc::RLIMIT_NPROC,
            Self::AddressSpace => libc::RLIMIT_AS,
        }) as i32
    }
}

/// What is started, and how.
///
/// The program always gets a session of its own, default signals, `umask` 022, the descriptors that are named here
/// and no other.
#[derive(Debug)]
pub struct Spec {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// How it is found.
    pub executable: Executable,
    /// Arguments, argument zero first.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; entered as the user that the program runs as.
    pub cwd: PathBuf,
    /// Standard input.
    pub stdin: Stdin,
    /// Descriptors 3, 4, … in this order.
    pub extra: Vec<OwnedFd>,
    /// The user, nothing for that of this process.
    pub credentials: Option<Credentials>,
    /// Resource limits.
    pub limits: Vec<(Resource, u64)>,
    /// Whether set-uid programs lose their power beneath it.
    pub no_new_privileges: bool,
}

impl Spec {
    /// `program` with itself as argument zero, no environment, no input, in `/`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self {
            argv: vec![program.clone().into_os_string()],
            program,
            executable: Executable::Path,
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            stdin: Stdin::Null,
            extra: Vec::new(),
            credentials: None,
            limits: vec![(Resource::Core, 0)],
            no_new_privileges: false,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }
}

impl From<Credentials> for Ids {
    fn from(credentials: Credentials) -> Self {
        Self { uid: credentials.uid, gid: credentials.gid, groups: credentials.groups }
    }
}
