//! How a command of `orderly` fails: a kind that decides the exit code, a chain of causes, and hints.
//!
//! Owns the exit codes that scripts rely on and the text of an error on a terminal. Never prints by itself, and never
//! decides that something failed.

use std::error::Error;
use std::fmt;

/// What the exit code of `orderly` means. Released numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All that was asked was done, and every task succeeded.
    Success = 0,
    /// It was done, and no task succeeded; or a plugin run or a build failed.
    TaskFailed = 1,
    /// The command line or a file given with it is wrong. Nothing was done.
    Usage = 2,
    /// The configuration, a key or the keyring is missing or cannot be used, and nothing was done; or what was done could not
    /// be written to standard output in whole.
    Setup = 3,
    /// The server cannot be reached, or it refused.
    Server = 4,
    /// Some tasks succeeded and others did not.
    Partial = 5,
    /// A signature, a digest or another piece of evidence is not right.
    NotVerified = 6,
    /// A rollout has halted: nothing more starts until somebody resumes it.
    Halted = 7,
    /// Ended with ctrl-c before the tasks had ended; they go on.
    Interrupted = 130,
}

/// What `--help` says about exit codes.
pub(crate) const EXIT_CODES_HELP: &str = "\
Exit codes:
  0    done, and every task succeeded
  1    no task succeeded, or a plugin run or build failed
  2    the command line or a file given with it is wrong; nothing was done
  3    configuration, key or keyring missing or unusable, nothing was done; or the result could not be written
  4    the server cannot be reached, or it refused
  5    some tasks succeeded and others did not
  6    a signature, digest or other evidence is not right
  7    a rollout has halted, and waits to be resumed or stopped
  130  ended with ctrl-c; tasks that had begun go on";

/// An error for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

/// What every command answers.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// Makes a failure of this kind. The message is one sentence without a period.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), source: None, hints: Vec::new() }
    }

    /// What was typed, or a file named there, is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Configuration or trust is not as it must be.
    pub(crate) fn setup(message: impl Into<String>) -> Self {
        Self::new(Exit::Setup, message)
    }

    /// The server is away or said no.
    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(Exit::Server, message)
    }

    /// Evidence is not right.
    pub(crate) fn not_verified(message: impl Into<String>) -> Self {
        Self::new(Exit::NotVerified, message)
    }

    /// Adds the cause.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a line that says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The exit code that follows.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// The causes as texts, outermost first.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next: Option<&(dyn Error + 'static)> = match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        };
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }

    /// What to do about it, a line each.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Shortens the way from a library's error to a [`Failure`].
pub(crate) trait OrFail<T> {
    /// The configuration or trust is at fault.
    fn or_setup(self, message: impl FnOnce() -> String) -> Result<T, Failure>;
    /// What was typed is at fault.
    fn or_usage(self, message: impl FnOnce() -> String) -> Result<T, Failure>;
    /// The evidence is at fault.
    fn or_not_verified(self, message: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrFail<T> for Result<T, E> {
    fn or_setup(self, message: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::setup(message()).because(error))
    }

    fn or_usage(self, message: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::usage(message()).because(error))
    }

    fn or_not_verified(self, message: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::not_verified(message()).because(error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn causes_come_outermost_first_and_never_twice() {
        let inner = std::io::Error::other("disk on fire");
        let failure = Failure::setup("cannot read it").because(inner).hint("put it out");
        assert_eq!(failure.to_string(), "cannot read it");
        assert_eq!(failure.causes(), ["disk on fire"]);
        assert_eq!(failure.hints(), ["put it out"]);
        assert_eq!(failure.exit() as i32, 3);
    }

    #[test]
    fn help_names_every_exit_code() {
        for exit in [
            Exit::Success,
            Exit::TaskFailed,
            Exit::Usage,
            Exit::Setup,
            Exit::Server,
            Exit::Partial,
            Exit::NotVerified,
            Exit::Halted,
            Exit::Interrupted,
        ] {
            let number = format!("\n  {}", exit as i32);
            assert!(EXIT_CODES_HELP.contains(&number), "{exit:?}");
        }
    }
}
