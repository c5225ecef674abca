//! The process table: who descends from whom, who is still the same process, and signals that reach only them.
//!
//! Owns reading `/proc`; never starts anything.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

/// A process as a restarted agent finds it again: its number alone would be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of proc(5) `stat`).
    pub start_ticks: u64,
    /// The first 8 bytes of the kernel's id of this boot: ticks are counted anew by each. 0 where it is not known.
    #[serde(default)]
    pub boot: u64,
}

impl ProcessIdentity {
    /// The identity of the living (or not yet reaped) process `pid`.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).map(|stat| Self { pid, start_ticks: stat.start_ticks, boot: boot() })
    }

    /// Whether this very process is alive (a zombie is not).
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.is_dead())
            && (self.boot == 0 || self.boot == boot())
    }

    /// Opens it, where it is still this very process.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        let descriptor = rustix::process::pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Looked at after it was opened: from here on the descriptor cannot come to mean another process.
        self.is_alive().then_some(descriptor)
    }

    /// Sends `signal` to this very process; says whether it was there.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.open().is_some_and(|descriptor| rustix::process::pidfd_send_signal(descriptor, signal).is_ok())
    }
}

/// The id of this boot, as far as it is kept.
fn boot() -> u64 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default()
}

#[derive(Clone, Copy)]
struct Stat {
    state: u8,
    parent: i32,
    start_ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &[u8]) -> Option<Self> {
        // The name is in parentheses and may itself hold any of them: fields are counted after the last one.
        let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let text = std::str::from_utf8(stat.get(after..)?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, start_ticks })
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// All living processes that descend from `ancestor` (itself not among them).
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn descendants(ancestor: i32) -> io::Result<Vec<ProcessIdentity>> {
    let mut children: HashMap<i32, Vec<(i32, Stat)>> = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(stat) = Stat::read(pid) {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let (mut found, boot) = (Vec::new(), boot());
    let mut waiting = vec![ancestor];
    while let Some(parent) = waiting.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            waiting.push(pid);
            if !stat.is_dead() {
                found.push(ProcessIdentity { pid, start_ticks: stat.start_ticks, boot });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_the_fields() {
        let line = b"7 (a) S 9 (b)) S 42 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start_ticks), (b'S', 42, 12345));
        assert!(Stat::parse(b"").is_none() && Stat::parse(b"7 (x) S").is_none());
    }

    #[test]
    fn finds_itself_and_not_another_life_of_its_number() {
        let me = ProcessIdentity::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive());
        assert!(!ProcessIdentity { start_ticks: me.start_ticks + 1, ..me }.is_alive());
        assert!(
            me.boot != 0 && !ProcessIdentity { boot: me.boot + 1, ..me }.is_alive(),
            "the same numbers in another boot"
        );
    }

    #[test]
    fn finds_descendants() {
        let mut child = std::process::Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id().cast_signed();
        let found = descendants(std::process::id().cast_signed()).unwrap();
        assert!(found.iter().any(|process| process.pid == pid));
        let identity = ProcessIdentity::of(pid).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }
}
