//! Runs granted executables. Needs a `process` capability for the executable.
//!
//! Owns the wait for a program's end and the cap on what is kept of its output. The agent starts the program,
//! without a shell and with a clean environment, as the granted user; it runs in the task's own process tree and
//! ends with it at the latest.
//!
//! ```no_run
//! use orderly_plugin::process;
//!
//! # fn main() -> Result<(), process::Error> {
//! let id = process::run("/usr/bin/id", &["-u"], 1_024)?;
//! assert!(id.success(), "{}", String::from_utf8_lossy(&id.stderr));
//! # Ok(())
//! # }
//! ```

use std::fmt;

use crate::bindings::orderly::plugin::process as wit;

/// Why a program could not be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No grant covers this executable with these arguments: why.
    Denied(String),
    /// The executable is not there or cannot be run: why.
    NotFound(String),
    /// The run's limit on programs (64 in all, 4 at a time) is reached.
    TooMany,
    /// Anything else.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(reason) => write!(formatter, "not granted: {reason}"),
            Self::NotFound(reason) => write!(formatter, "cannot be run: {reason}"),
            Self::TooMany => formatter.write_str("the run's limit on programs is reached"),
            Self::Failed(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for Error {}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Denied(reason) => Self::Denied(reason),
            wit::Error::NotFound(reason) => Self::NotFound(reason),
            wit::Error::TooMany => Self::TooMany,
            wit::Error::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What a program that ended has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Bytes of both that were over the cap.
    pub dropped: u64,
}

impl Finished {
    /// Whether it ended with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.exit == Exit::Code(0)
    }
}

/// Runs `executable` (an absolute path) with `arguments` to its end, keeping at most `keep` bytes of each stream.
///
/// # Errors
/// When it cannot be started or the host loses it.
pub fn run(executable: &str, arguments: &[&str], keep: usize) -> Result<Finished, Error> {
    let child = spawn(executable, arguments)?;
    let (mut stdout, mut stderr, mut dropped) = (Vec::new(), Vec::new(), 0_u64);
    loop {
        match child.next()? {
            Event::Stdout(data) => dropped += take(&mut stdout, &data, keep),
            Event::Stderr(data) => dropped += take(&mut stderr, &data, keep),
            Event::Exited(exit) => {
                return Ok(Finished { exit, stdout, stderr, dropped });
            }
        }
    }
}

/// Starts `executable` (an absolute path) with `arguments`, at most 64 of at most 4 KiB each.
///
/// # Errors
/// When no grant covers it, it cannot be run, or too many run already.
pub fn spawn(executable: &str, arguments: &[&str]) -> Result<Child, Error> {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
    Ok(Child(wit::spawn(executable, &arguments)?))
}

/// Something that a running program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Wrote to standard output, at most 64 KiB.
    Stdout(Vec<u8>),
    /// Wrote to standard error, at most 64 KiB.
    Stderr(Vec<u8>),
    /// Ended.
    Exited(Exit),
}

/// A running program. Dropping it ends the program.
#[derive(Debug)]
pub struct Child(wit::Child);

impl Child {
    /// Waits for the next output or the end.
    ///
    /// # Errors
    /// After [`Event::Exited`], and when the host loses the program.
    pub fn next(&self) -> Result<Event, Error> {
        Ok(match self.0.next()? {
            wit::Event::Output(chunk) => match chunk.source {
                wit::OutputStream::StandardOutput => Event::Stdout(chunk.data),
                wit::OutputStream::StandardError => Event::Stderr(chunk.data),
            },
            wit::Event::Exited(wit::Exit::Code(code)) => Event::Exited(Exit::Code(code)),
            wit::Event::Exited(wit::Exit::Signal(signal)) => Event::Exited(Exit::Signal(signal)),
        })
    }

    /// Ends the program and all that it started.
    pub fn kill(&self) {
        self.0.kill();
    }
}

/// Appends what fits and returns how many bytes did not.
fn take(kept: &mut Vec<u8>, data: &[u8], keep: usize) -> u64 {
    let fits = data.len().min(keep.saturating_sub(kept.len()));
    kept.extend_from_slice(&data[..fits]);
    (data.len() - fits) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_cap_is_counted() {
        let mut kept = Vec::new();
        assert_eq!(take(&mut kept, b"abc", 4), 0);
        assert_eq!(take(&mut kept, b"def", 4), 2);
        assert_eq!(take(&mut kept, b"ghi", 4), 3);
        assert_eq!(kept, b"abcd");
    }
}
