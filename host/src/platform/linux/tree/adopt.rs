//! Processes that somebody else started, taken into a tree of ours: what a container's runtime started for us.
//!
//! Owns making a cgroup beneath the one that such a process is in already, so that its container's limits go on to hold for it,
//! and finding out that it is the process that is meant. Never starts anything. What the process begins before it is taken in is
//! not in the tree, so it must wait until then.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Follower, Tree, check_name};
use crate::error::TreeError;
use crate::platform::linux::cgroup::{self, Cgroup};
use crate::platform::linux::ready;

/// Most bytes of a command line that are read.
const ARGUMENTS_MAX_BYTES: usize = 4096;

/// A process that somebody else started, and that somebody else waits for.
#[derive(Debug)]
pub struct Stranger {
    pid: i32,
    handle: AsyncFd<OwnedFd>,
}

impl Stranger {
    /// Opens the process with this number, as this program's process namespace numbers it. Must be called within a runtime.
    ///
    /// # Errors
    /// There is none, or it cannot be watched.
    pub fn open(pid: i32) -> io::Result<Self> {
        let number = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let handle = rustix::process::pidfd_open(number, PidfdFlags::NONBLOCK)?;
        Ok(Self { pid, handle: ready::watch(handle, Interest::READABLE)? })
    }

    /// Whether this very process has `word` among the first of its arguments.
    ///
    /// # Errors
    /// It is gone.
    pub fn has_argument(&self, word: &str) -> io::Result<bool> {
        use io::Read as _;
        let mut line = Vec::new();
        let file = std::fs::File::open(format!("/proc/{}/cmdline", self.pid))?;
        file.take(ARGUMENTS_MAX_BYTES as u64).read_to_end(&mut line)?;
        // Looked at after the reading: a number that was given anew meanwhile is not taken for this process.
        self.is_there()?;
        Ok(line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
    }

    /// Waits for its end. Its exit code is told only to whoever started it.
    ///
    /// # Errors
    /// It cannot be watched.
    pub async fn gone(&self) -> io::Result<()> {
        // Readable once it has ended, and for ever after: the guard keeps it so.
        self.handle.readable().await?.retain_ready();
        Ok(())
    }

    fn is_there(&self) -> io::Result<()> {
        // No signal is sent: only whether one could be.
        let event = rustix::event::PollFd::new(self.handle.get_ref(), rustix::event::PollFlags::IN);
        match rustix::event::poll(&mut [event], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))? {
            0 => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

impl Tree {
    /// Makes a tree called `name` in the cgroup that the process is in, and takes it in there. All that it begins from then on is
    /// in the tree. Needs cgroup v2 and the right to move the process.
    ///
    /// # Errors
    /// `name` cannot name a tree or is taken; the process is gone or has no cgroup that is seen from here; it cannot be moved.
    pub fn adopt(process: &Stranger, name: &str) -> Result<Self, TreeError> {
        check_name(name)?;
        let path = cgroup::of(process.pid)?;
        let tree = Self { follower: Follower::Cgroup(Cgroup::create(&path, name)?), beside: None, released: false };
        if let Follower::Cgroup(cgroup) = &tree.follower {
            cgroup.take_in(process.pid)?;
        }
        let fault = |source| TreeError::Cgroup { doing: "find the process again in", path, source };
        process.is_there().map_err(fault)?;
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::platform::linux::process::descendants;
    use crate::platform::{TreeKind, Trees};

    #[tokio::test]
    async fn a_stranger_that_waits_is_taken_in_with_all_that_it_begins() {
        let trees = Trees::probe("orderly-adopt", std::path::Path::new("/bin/false")).unwrap();
        if trees.kind() != TreeKind::Cgroup {
            println!("skipped: there is no cgroup v2 here that this user may use");
            return;
        }
        let text = "read go; (setsid sleep 60 &); echo ready; sleep 60";
        let mut child = Command::new("/bin/sh")
            .args(["-c", text, "orderly-stranger"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stranger = Stranger::open(child.id().cast_signed()).unwrap();
        // A program that is just being started has no arguments yet.
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while !stranger.has_argument("orderly-stranger").unwrap() {
            assert!(std::time::Instant::now() < until, "its arguments are never seen");
            tokio::task::yield_now().await;
        }
        assert!(!stranger.has_argument("orderly").unwrap());
        let tree = Tree::adopt(&stranger, &format!("adopted-{}", child.id())).unwrap();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!tree.is_empty().unwrap() && tree.count().unwrap() >= 2, "its descendants are in it");
        tree.terminate(Duration::ZERO).await.unwrap();
        stranger.gone().await.unwrap();
        stranger.gone().await.unwrap();
        assert!(tree.is_empty().unwrap() && descendants(child.id().cast_signed()).unwrap().is_empty());
        child.wait().unwrap();
        assert!(stranger.has_argument("orderly-stranger").is_err() && Tree::adopt(&stranger, "late").is_err());
    }
}
