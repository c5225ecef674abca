//! A program that runs: its lines, its memory, its end.
//!
//! Owns the child process and the threads that read its output. Dropping it ends the process (SIGTERM, then SIGKILL) by
//! its id, and waits for it. It never touches a process that it did not start, except to look.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// Memory of a program, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The largest resident set so far.
    pub peak_kib: u64,
    /// What of the resident set now is the program's own file: in a build that is not optimised most of it, and shared.
    pub program_kib: u64,
}

impl Memory {
    /// The largest resident set, without the program's own file.
    #[must_use]
    pub const fn peak_data_kib(&self) -> u64 {
        self.peak_kib.saturating_sub(self.program_kib)
    }
}

/// Lines of one program, as they come; the oldest are dropped.
#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

/// Lines that are kept.
const LINES_KEPT: usize = 5000;

impl Lines {
    fn read(&self, from: impl Read + Send + 'static) {
        let lines = self.clone();
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        });
    }

    fn push(&self, line: String) {
        let mut kept = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.len() == LINES_KEPT {
            kept.remove(0);
        }
        kept.push(line);
        self.0.1.notify_all();
    }

    fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// A program that runs.
pub struct Program {
    name: String,
    child: Child,
    lines: Lines,
    ended: Option<ExitStatus>,
}

impl Program {
    /// Starts it with its output read line by line.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let lines = Lines::default();
        if let Some(out) = child.stdout.take() {
            lines.read(out);
        }
        if let Some(err) = child.stderr.take() {
            lines.read(err);
        }
        Self { name: name.to_owned(), child, lines, ended: None }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written, standard output and standard error together.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.all()
    }

    /// Waits for a line from which `find` makes something.
    ///
    /// # Panics
    /// Where none comes within the limit, or the program ends before; with what it wrote.
    pub fn line<T>(&mut self, what: &str, limit: Duration, find: impl Fn(&str) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        let shared = Arc::clone(&self.lines.0);
        let mut kept = shared.0.lock().unwrap();
        loop {
            if let Some(found) = kept.iter().find_map(|line| find(line)) {
                return found;
            }
            let ended = self.try_wait().is_some();
            assert!(
                !ended && Instant::now() < end,
                "{}: no line with {what}{}:\n{}",
                self.name,
                if ended { ", it has ended" } else { "" },
                kept.join("\n")
            );
            kept = shared.1.wait_timeout(kept, Duration::from_millis(50)).unwrap().0;
        }
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child of ours");
        }
        self.ended
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it does not end within the limit.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait::until(&format!("the end of {name}"), limit, || self.try_wait())
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.runs() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
            kill_process(pid, signal).unwrap_or_else(|error| panic!("signal to {}: {error}", self.name));
        }
    }

    /// Kills it with SIGKILL and waits for it.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let status = self.wait(wait::SOON);
        assert!(status.signal().is_some() || status.code().is_some(), "an end is an end");
    }

    /// Asks it to end and waits; kills it where it does not end by itself.
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        if wait::within(limit, || self.try_wait()).is_none() {
            self.signal(Signal::KILL);
        }
        self.wait(wait::SOON)
    }

    /// Its memory, in KiB.
    ///
    /// # Panics
    /// Where it does not run.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let field = |name| status_field(self.pid(), name).unwrap_or_else(|| panic!("{} does not run", self.name));
        Memory { peak_kib: field("VmHWM:"), program_kib: field("RssFile:") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.runs() {
            self.end(Duration::from_secs(10));
        }
        if thread::panicking() {
            let lines = self.lines();
            eprintln!("--- last lines of {} ---\n{}", self.name, lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

fn status_field(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Processes that are alive (zombies are not) and whose command line holds the text: id and command line.
#[must_use]
pub fn alive_with(text: &str) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(raw) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&raw).replace('\0', " ");
        let zombie = fs::read_to_string(entry.path().join("status")).is_ok_and(|status| status.contains("State:\tZ"));
        if line.contains(text) && !zombie {
            found.insert(pid, line);
        }
    }
    found
}
