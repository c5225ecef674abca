//! cgroup v2 directories as process trees: nothing that a program starts leaves one without the right to write to another.
//!
//! Who has that right: root, and whoever a part of the hierarchy was given to. A script as another user than the agent's cannot
//! leave. One as root can, as it can end the agent; where the agent does not run as root and a part of the hierarchy was given to
//! its user, so can a script of that user. Such a script is trusted not to: what it moved elsewhere is not found.
//!
//! Owns finding a usable place, making and removing the directories, and `cgroup.kill`. Controllers are not needed,
//! so a hybrid mount (`/sys/fs/cgroup/unified`) will do. It never puts a limit on anything.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::Interest;

use super::process::ProcessIdentity;
use crate::error::TreeError;

/// How often emptiness is looked at where the kernel's notification does not come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One task's cgroup.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    directory: File,
}

impl Cgroup {
    /// Makes the directory `name` in `parent`, which is made too where it is not there.
    pub(crate) fn create(parent: &Path, name: &str) -> Result<Self, TreeError> {
        let path = parent.join(name);
        let mut made = std::fs::create_dir(&path);
        // The last task to end takes the parent away, which may be just now.
        for _ in 0..10 {
            match &made {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let _ = std::fs::create_dir(parent);
                    made = std::fs::create_dir(&path);
                }
                _ => break,
            }
        }
        match made {
            Ok(()) => Self::open(path),
            Err(source) => Err(TreeError::Cgroup { doing: "make", path, source }),
        }
    }

    /// Opens the existing directory `path`.
    pub(crate) fn open(path: PathBuf) -> Result<Self, TreeError> {
        match File::open(&path) {
            Ok(directory) => Ok(Self { path, directory }),
            Err(source) => Err(TreeError::Cgroup { doing: "open", path, source }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    fn fault(&self, doing: &'static str) -> impl FnOnce(io::Error) -> TreeError {
        let path = self.path.clone();
        move |source| TreeError::Cgroup { doing, path, source }
    }

    /// Processes in it and beneath it that are alive.
    pub(crate) fn is_empty(&self) -> Result<bool, TreeError> {
        match std::fs::read_to_string(self.path.join("cgroup.events")) {
            Ok(events) => Ok(!populated(&events)),
            // Somebody removed it, which is possible only when it was empty.
            Err(error) if is_gone(&error) => Ok(true),
            Err(error) => Err(self.fault("read")(error)),
        }
    }

    fn members(&self) -> io::Result<Vec<i32>> {
        let text = std::fs::read_to_string(self.path.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// How many processes are in it.
    pub(crate) fn count(&self) -> Result<usize, TreeError> {
        Ok(self.members().map_err(self.fault("read"))?.len())
    }

    /// Moves the process with this number into it. What that has begun before stays where it is.
    pub(crate) fn take_in(&self, pid: i32) -> Result<(), TreeError> {
        std::fs::write(self.path.join("cgroup.procs"), pid.to_string()).map_err(self.fault("move a process into"))
    }

    /// Sends `signal` to every process in it.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), TreeError> {
        let members = match self.members() {
            Err(error) if is_gone(&error) => return Ok(()),
            members => members.map_err(self.fault("read"))?,
        };
        let found: Vec<_> =
            members.into_iter().filter_map(|pid| Some((pid, ProcessIdentity::of(pid)?.open()?))).collect();
        // Read again: what is still a member now was one when it was opened, so the descriptor means the right process.
        let still = self.members().unwrap_or_default();
        for (_, process) in found.iter().filter(|(pid, _)| still.contains(pid)) {
            let _ = rustix::process::pidfd_send_signal(process, signal);
        }
        Ok(())
    }

    /// Kills every process in it at once, also those that are being started.
    pub(crate) fn kill(&self) -> Result<(), TreeError> {
        match std::fs::write(self.path.join("cgroup.kill"), "1") {
            Err(error) if is_gone(&error) => Ok(()),
            done => done.map_err(self.fault("kill the processes in")),
        }
    }

    /// Waits until no process in it is alive.
    pub(crate) async fn emptied(&self) -> Result<(), TreeError> {
        let events = match File::open(self.path.join("cgroup.events")) {
            Err(error) if is_gone(&error) => return Ok(()),
            events => events.map_err(self.fault("watch"))?,
        };
        let events = super::ready::watch(events, Interest::PRIORITY).map_err(self.fault("watch"))?;
        loop {
            let mut text = String::new();
            let mut file = events.get_ref();
            match file.rewind().and_then(|()| file.read_to_string(&mut text)) {
                Ok(_) if populated(&text) => {}
                Ok(_) => return Ok(()),
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) => return Err(self.fault("watch")(error)),
            }
            if let Ok(ready) = tokio::time::timeout(LOOK_EVERY, events.ready(Interest::PRIORITY)).await {
                ready.map_err(self.fault("watch"))?.clear_ready();
            }
        }
    }

    /// Removes the directory, what programs made in it, and its parent where no other task is in it.
    pub(crate) fn remove(&self) -> Result<(), TreeError> {
        remove(&self.path).map_err(self.fault("remove"))?;
        if let Some(parent) = self.path.parent() {
            // Other tasks keep it.
            let _ = std::fs::remove_dir(parent);
        }
        Ok(())
    }

    /// Waits, without a runtime, up to `limit` until no process in it is alive.
    pub(crate) fn settle(&self, limit: Duration) {
        let until = std::time::Instant::now() + limit;
        while matches!(self.is_empty(), Ok(false)) && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Ok(()) => return Ok(()),
        Err(error) if is_gone(&error) => return Ok(()),
        Err(_) => {}
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    std::fs::remove_dir(path)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

fn populated(events: &str) -> bool {
    events.lines().any(|line| line == "populated 1")
}

/// A directory in which task cgroups can be made, where this machine and this user have one.
///
/// Tried with a real directory and a real process, as permissions, old kernels and container filters each forbid
/// another part of it.
pub(crate) fn find_place(group: &str) -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let (root, mount) = mounts.lines().find_map(cgroup2_mount)?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own = Path::new(own).strip_prefix(&root).unwrap_or(Path::new(""));
    [mount.join(own), mount.clone()]
        .into_iter()
        .map(|base| base.join(format!("orderly-{group}")))
        .find(|place| works(place))
}

/// Removes the directories of trees that were let live on, or whose agent died, and in which nothing is alive any more.
pub(crate) fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let empty = std::fs::read_to_string(path.join("cgroup.events")).is_ok_and(|events| !populated(&events));
        if empty && let Err(error) = remove(&path) {
            tracing::debug!(path = %path.display(), %error, "an empty cgroup stays");
        }
    }
}

fn works(place: &Path) -> bool {
    let name = format!("probe-{}", std::process::id());
    Cgroup::create(place, &name).is_ok_and(|cgroup| {
        let works = super::clone::can_clone_into(cgroup.directory()) && cgroup.kill().is_ok();
        cgroup.remove().is_ok() && works
    })
}

/// The cgroup v2 that a process is in, as this program sees the hierarchy.
///
/// # Errors
/// The process is gone, there is no cgroup v2, or the process is in a part of it that is not seen from here.
pub(crate) fn of(pid: i32) -> Result<PathBuf, TreeError> {
    let asked = PathBuf::from(format!("/proc/{pid}/cgroup"));
    let find = || -> io::Result<PathBuf> {
        let lacking = || io::Error::new(io::ErrorKind::NotFound, "it is in no cgroup v2 that is seen from here");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let all = std::fs::read_to_string(&asked)?;
        let (root, mount) = mounts.lines().find_map(cgroup2_mount).ok_or_else(lacking)?;
        let inside = all.lines().find_map(|line| line.strip_prefix("0::")).ok_or_else(lacking)?;
        let inside = Path::new(inside).strip_prefix(&root).map_err(|_| lacking())?;
        let outside = inside.components().any(|part| part == std::path::Component::ParentDir);
        let path = mount.join(inside);
        let members = if outside { String::new() } else { std::fs::read_to_string(path.join("cgroup.procs"))? };
        members.lines().any(|line| line.parse() == Ok(pid)).then_some(path).ok_or_else(lacking)
    };
    find().map_err(|source| TreeError::Cgroup { doing: "find", path: asked.clone(), source })
}

/// Root and mount point of a line of mountinfo that mounts cgroup v2.
fn cgroup2_mount(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    if after.split(' ').next()? != "cgroup2" {
        return None;
    }
    let mut fields = before.split(' ').skip(3);
    Some((unescape(fields.next()?), unescape(fields.next()?)))
}

/// Undoes the octal escapes of proc(5) (space, tab, newline, backslash).
pub(crate) fn unescape(field: &str) -> PathBuf {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        match after.get(..3).and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_mount_is_found_wherever_it_is() {
        let line = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:1 - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2_mount(line).unwrap().1, Path::new("/sys/fs/cgroup/unified"));
        let line = r"41 31 0:38 /a\040b /x\011y rw - cgroup2 none rw";
        assert_eq!(cgroup2_mount(line).unwrap(), ("/a b".into(), "/x\ty".into()));
        assert!(cgroup2_mount("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu").is_none());
        assert!(cgroup2_mount("").is_none());
    }

    #[test]
    fn a_torn_escape_stays_as_it_is() {
        assert_eq!(unescape(r"a\04"), Path::new(r"a\04"));
        assert_eq!(unescape(r"\134"), Path::new(r"\"));
    }
}
