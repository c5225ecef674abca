//! Why a program could not be started, boxed, compiled or followed: one enum per family of operations.
//!
//! Owns the words; never decides anything. `Display` says what failed and where, the source says why.

use std::io;
use std::path::PathBuf;

/// The step of a start that failed in the new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Step {
    /// Making a session of its own.
    Session = 1,
    /// Putting the descriptors where the program expects them.
    Descriptors = 2,
    /// Setting resource limits.
    Limits = 3,
    /// Changing groups and user.
    Credentials = 4,
    /// Entering the working directory.
    WorkingDirectory = 5,
    /// Giving up new privileges.
    NoNewPrivileges = 6,
    /// Executing the program.
    Execute = 7,
}

impl Step {
    /// The step with this number, where there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Session,
            Self::Descriptors,
            Self::Limits,
            Self::Credentials,
            Self::WorkingDirectory,
            Self::NoNewPrivileges,
            Self::Execute,
        ]
        .into_iter()
        .find(|step| *step as u8 == number)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Session => "cannot make a session for it",
            Self::Descriptors => "cannot hand over its descriptors",
            Self::Limits => "cannot set its resource limits",
            Self::Credentials => "cannot change to its user and groups",
            Self::WorkingDirectory => "cannot enter its working directory",
            Self::NoNewPrivileges => "cannot give up new privileges",
            Self::Execute => "cannot execute it",
        }
    }
}

/// A program was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A step in the new process failed; nothing of it is left.
    #[error("cannot start {}: {}", program.display(), step.words())]
    Child {
        /// The program.
        program: PathBuf,
        /// The step.
        step: Step,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The operating system did not make a new process.
    #[error("cannot start {}: no new process", program.display())]
    Process {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The specification cannot be carried out: which part, and why.
    #[error("cannot start {}: {reason}", program.display())]
    Specification {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The supervisor that follows the program's tree did not do its part.
    #[error("the supervisor of the process tree failed: {reason}")]
    Supervisor {
        /// What it said, or what is missing.
        reason: String,
    },
}

impl SpawnError {
    /// Whether the program itself was not found or may not be executed (as opposed to a fault of the agent).
    pub fn is_about_the_program(&self) -> bool {
        matches!(self, Self::Child { step: Step::Execute | Step::WorkingDirectory | Step::Credentials, .. })
    }
}

/// A process tree could not be made, found or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The cgroup at `path` could not be used.
    #[error("cannot {doing} the cgroup {}", path.display())]
    Cgroup {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The tree cannot be held to limits here.
    #[error("a process tree cannot be limited here: {reason}")]
    Limits {
        /// What is lacking.
        reason: String,
    },
    /// The process table could not be read.
    #[error("cannot read the process table")]
    ProcessTable(#[source] io::Error),
    /// The name cannot be a directory's name.
    #[error("`{0}` cannot name a process tree: use 1-128 of letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// Processes are still alive after they were killed (for example stuck in the kernel).
    #[error("{count} processes of the tree are still alive {seconds} s after they were killed")]
    StillAlive {
        /// How many are left.
        count: usize,
        /// How long it was waited.
        seconds: u64,
    },
}

/// A component could not be made into native code, or what was made could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The cache's directory or a file in it cannot be used.
    #[error("cannot {doing} {}", path.display())]
    Cache {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The cache's directory is not safe: who owns it, or who may write to it.
    #[error("the cache directory {} is not safe: {reason}", path.display())]
    Unsafe {
        /// Where.
        path: PathBuf,
        /// Why, and how to mend it.
        reason: String,
    },
    /// The compiler program is not there.
    #[error("cannot read the compiler {}; `orderly-wasmc` belongs beside the agent", path.display())]
    NoCompiler {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The bytes at hand are not the component that was verified.
    #[error("the component's bytes are not those that were verified")]
    OtherBytes,
    /// The compiler was not started.
    #[error("cannot start the compiler")]
    Spawn(#[from] SpawnError),
    /// The compiler refused the component, or died.
    #[error("the component does not compile: {0}")]
    Refused(String),
    /// The compiler took longer than it may.
    #[error("the compiler was ended after {0} s")]
    TimedOut(u64),
    /// The operating system refused a descriptor or memory.
    #[error("cannot hand over the component")]
    Memory(#[source] io::Error),
}

/// The box around a plugin or the compiler could not be closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A step that must not fail failed.
    #[error("cannot {doing}")]
    Step {
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The local policy insists on a part that this kernel lacks.
    #[error("the local policy requires the whole sandbox, and this machine lacks: {}", .0.join(", "))]
    Required(Vec<String>),
}
