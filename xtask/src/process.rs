//! Long-running programs that a task starts: a server, an agent.
//!
//! Owns their start, their log file, and their end: SIGTERM by pid, then SIGKILL, also when the task fails. They get a
//! process group of their own, so that ctrl-c reaches the task first and they are ended in order.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// A program that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Daemon {
    /// Starts it. Its standard error goes to `log`, its standard output to [`Daemon::line`].
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            // Reads on to the end, so that the program never blocks on a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    drop(sender.send(line));
                }
            });
        }
        Ok(Self { name: name.to_owned(), child, lines, log: log.to_owned() })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output for which `found` has an answer.
    pub(crate) fn line<T>(&self, within: Duration, what: &str, found: impl Fn(&str) -> Option<T>) -> Result<T> {
        let until = Instant::now() + within;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = found(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} did not print {what} within {} s{}", self.name, within.as_secs(), self.log_tail());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended before it printed {what}{}", self.name, self.log_tail())
                }
            }
        }
    }

    /// Fails where it has ended.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot look at a process")? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}{}", self.name, self.log_tail()),
        }
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(20)).map(|line| format!("\n   {line}"));
        format!("; the end of {}:{}", self.log.display(), tail.collect::<String>())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing can be told from here; a process that is gone already is what is wanted.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process(pid, Signal::TERM);
            let until = Instant::now() + GRACE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
