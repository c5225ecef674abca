//! Limits on what a task's tree uses of the instance: processor time, memory, processes.
//!
//! Owns the choice of the place (cgroup v2 where its controllers are to be had, else the controllers of v1 beside a v2
//! tree), the words that are written there, and what the kernel says of limits that were hit. It never ends a process;
//! the kernel does, and the tree does. A program that runs as root can leave its limits, as it can leave everything.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::cgroup::{Cgroup, unescape};
use crate::error::TreeError;

/// The length of the periods in which processor time is given out, in microseconds.
const PERIOD_US: u64 = 100_000;

/// The controllers that limits need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// What a tree may use. Nothing means that it is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Processor time in percent of one processor, at least 1.
    pub cpu_percent: Option<u32>,
    /// Bytes of memory, swap excluded: what does not fit is not swapped out but ends the tree.
    pub memory_bytes: Option<u64>,
    /// Processes and threads at a time, at least 1.
    pub processes: Option<u32>,
}

/// How often a tree was held back by its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Processes that the kernel killed for want of memory.
    pub memory: u64,
    /// Processes and threads that could not be started.
    pub processes: u64,
}

/// Where limited trees are made on this machine.
#[derive(Debug)]
pub(crate) enum Place {
    /// In this directory, whose children have all three controllers.
    Unified(PathBuf),
    /// In these directories of v1, one for each controller that there is, beside the tree in v2.
    Split(Vec<(&'static str, PathBuf)>),
}

impl Quota {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn asks(&self, controller: &str) -> bool {
        match controller {
            "cpu" => self.cpu_percent.is_some(),
            "memory" => self.memory_bytes.is_some(),
            _ => self.processes.is_some(),
        }
    }

    fn cpu_us(percent: u32) -> u64 {
        u64::from(percent) * PERIOD_US / 100
    }

    /// File, text, and whether a kernel may lack the file, in the order of writing.
    fn unified(&self) -> Vec<(&'static str, String, bool)> {
        let mut words = Vec::new();
        if let Some(percent) = self.cpu_percent {
            words.push(("cpu.max", format!("{} {PERIOD_US}", Self::cpu_us(percent)), false));
        }
        if let Some(bytes) = self.memory_bytes {
            words.push(("memory.max", bytes.to_string(), false));
            // Without accounting of swap there is no such file.
            words.push(("memory.swap.max", "0".to_owned(), true));
            // A script that lost one of its processes is not half alive.
            words.push(("memory.oom.group", "1".to_owned(), false));
        }
        if let Some(processes) = self.processes {
            words.push(("pids.max", processes.to_string(), false));
        }
        words
    }

    /// As [`Quota::unified`], for one controller of v1.
    fn split(&self, controller: &str) -> Vec<(&'static str, String, bool)> {
        match (controller, self.cpu_percent, self.memory_bytes, self.processes) {
            ("cpu", Some(percent), ..) => vec![
                ("cpu.cfs_period_us", PERIOD_US.to_string(), false),
                ("cpu.cfs_quota_us", Self::cpu_us(percent).to_string(), false),
            ],
            ("memory", _, Some(bytes), _) => vec![
                ("memory.limit_in_bytes", bytes.to_string(), false),
                // Memory and swap together; without accounting of swap there is no such file.
                ("memory.memsw.limit_in_bytes", bytes.to_string(), true),
            ],
            ("pids", .., Some(processes)) => vec![("pids.max", processes.to_string(), false)],
            _ => Vec::new(),
        }
    }
}

impl Place {
    /// Looks for a place; tried with real directories.
    ///
    /// # Errors
    /// A sentence on what this machine lacks.
    pub(crate) fn find(group: &str) -> Result<Self, String> {
        let unreadable = |error: io::Error| format!("its cgroups cannot be read: {error}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(unreadable)?;
        let own = std::fs::read_to_string("/proc/self/cgroup").map_err(unreadable)?;
        let name = format!("orderly-{group}");
        let unified = candidates(&mounts, &own, None, &name).into_iter().find(|place| unified_works(place));
        if let Some(place) = unified {
            return Ok(Self::Unified(place));
        }
        let split = CONTROLLERS.into_iter().filter_map(|controller| {
            let places = candidates(&mounts, &own, Some(controller), &name);
            let place = places.into_iter().find(|place| std::fs::create_dir_all(place).is_ok())?;
            sweep(&place);
            Some((controller, place))
        });
        match split.collect::<Vec<_>>() {
            places if places.is_empty() => {
                Err("neither cgroup v2 nor v1 gives this agent the controllers cpu, memory and pids".to_owned())
            }
            places => Ok(Self::Split(places)),
        }
    }

    /// Whether all that this quota needs is there.
    ///
    /// # Errors
    /// A sentence on what this machine lacks.
    pub(crate) fn holds(&self, quota: &Quota) -> Result<(), String> {
        let Self::Split(places) = self else { return Ok(()) };
        let lacks = |controller: &&str| quota.asks(controller) && !places.iter().any(|(has, _)| has == controller);
        match CONTROLLERS.into_iter().find(lacks) {
            Some(controller) => Err(format!("no cgroup gives this agent the controller {controller}")),
            None => Ok(()),
        }
    }
}

/// Writes the limits of a tree that lies in a place of v2.
pub(crate) fn limit(cgroup: &Cgroup, quota: &Quota) -> Result<(), TreeError> {
    // The place goes with its last tree, and what was enabled in it too.
    if let Some(place) = cgroup.path().parent() {
        enable(place);
    }
    write_all(cgroup.path(), quota.unified())
}

/// The limits of v1 that lie beside a tree in v2. The directories go with it.
#[derive(Debug)]
pub(crate) struct Beside {
    directories: Vec<PathBuf>,
}

impl Beside {
    /// Makes the directories for what this quota asks, with their limits.
    pub(crate) fn create(places: &[(&'static str, PathBuf)], name: &str, quota: &Quota) -> Result<Self, TreeError> {
        let mut beside = Self { directories: Vec::new() };
        for (controller, place) in places.iter().filter(|(controller, _)| quota.asks(controller)) {
            let path = place.join(name);
            let made = std::fs::create_dir_all(&path);
            made.map_err(|source| TreeError::Cgroup { doing: "make", path: path.clone(), source })?;
            beside.directories.push(path.clone());
            write_all(&path, quota.split(controller))?;
        }
        Ok(beside)
    }

    /// What a new process writes `0` to, so that it is limited from its first instruction.
    pub(crate) fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |directory: &PathBuf| OpenOptions::new().write(true).open(directory.join("cgroup.procs"));
        self.directories.iter().map(|directory| open(directory).map(OwnedFd::from)).collect()
    }

    fn hits(&self) -> Hits {
        let count = |file: &str, word: &str| self.directories.iter().map(|path| counter(path, file, word)).sum();
        Hits { memory: count("memory.oom_control", "oom_kill"), processes: count("pids.events", "max") }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        for directory in &self.directories {
            // Not where a service lives on in it; it is swept up by a later agent.
            if std::fs::remove_dir(directory).is_ok()
                && let Some(place) = directory.parent()
            {
                let _ = std::fs::remove_dir(place);
            }
        }
    }
}

/// How often limits were hit, in v2 and beside it.
pub(crate) fn hits(cgroup: &Cgroup, beside: Option<&Beside>) -> Hits {
    match beside {
        Some(beside) => beside.hits(),
        None => Hits {
            memory: counter(cgroup.path(), "memory.events", "oom_kill"),
            processes: counter(cgroup.path(), "pids.events", "max"),
        },
    }
}

/// The number behind a word in a file of such lines; 0 where it is not there.
fn counter(directory: &Path, file: &str, word: &str) -> u64 {
    let text = std::fs::read_to_string(directory.join(file)).unwrap_or_default();
    let number = |line: &str| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(number).unwrap_or_default()
}

fn write_all(directory: &Path, words: Vec<(&'static str, String, bool)>) -> Result<(), TreeError> {
    for (file, text, may_lack) in words {
        let path = directory.join(file);
        // Never made: in a cgroup a file that is not there cannot be.
        let written = OpenOptions::new().write(true).open(&path).and_then(|mut file: File| {
            use std::io::Write as _;
            file.write_all(text.as_bytes())
        });
        match written {
            Err(error) if may_lack && error.kind() == io::ErrorKind::NotFound => {}
            written => written.map_err(|source| TreeError::Cgroup { doing: "set the limits of", path, source })?,
        }
    }
    Ok(())
}

/// Whether limited trees can be made in this directory of v2: its children get all three controllers.
fn unified_works(place: &Path) -> bool {
    let Some(parent) = place.parent() else { return false };
    // Nothing is changed where it would not do anyway.
    if !lacking(&parent.join("cgroup.controllers")).is_empty() {
        return false;
    }
    if !enable(parent) || (std::fs::create_dir(place).is_err() && !place.is_dir()) {
        return false;
    }
    enable(place)
}

/// Gives the children of a directory of v2 all three controllers; says whether they have them.
fn enable(directory: &Path) -> bool {
    let file = directory.join("cgroup.subtree_control");
    let words: Vec<_> = lacking(&file).into_iter().map(|controller| format!("+{controller}")).collect();
    words.is_empty() || std::fs::write(file, words.join(" ")).is_ok()
}

/// Which controllers a file of their names does not name.
fn lacking(file: &Path) -> Vec<&'static str> {
    let names = std::fs::read_to_string(file).unwrap_or_default();
    CONTROLLERS.into_iter().filter(|controller| !names.split_whitespace().any(|name| name == *controller)).collect()
}

/// Takes away what an earlier agent left, where nothing lives in it.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// Where a directory `name` could be made: beneath this process's own cgroup, then at the top. `controller` is one of v1;
/// without it it is v2.
fn candidates(mounts: &str, own: &str, controller: Option<&str>, name: &str) -> Vec<PathBuf> {
    let Some((root, mount)) = mounts.lines().find_map(|line| mounted(line, controller)) else { return Vec::new() };
    let path = own.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        let fits = match controller {
            None => controllers.is_empty(),
            Some(controller) => controllers.split(',').any(|word| word == controller),
        };
        fits.then_some(path)
    });
    let own = Path::new(path.unwrap_or("/")).strip_prefix(&root).unwrap_or(Path::new(""));
    let mut places = vec![mount.join(own).join(name), mount.join(name)];
    places.dedup();
    places
}

/// Root and mount point of a line of mountinfo that mounts v2, or this controller of v1.
fn mounted(line: &str, controller: Option<&str>) -> Option<(PathBuf, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1).unwrap_or_default());
    let fits = match controller {
        None => kind == "cgroup2",
        Some(controller) => kind == "cgroup" && options.split(',').any(|word| word == controller),
    };
    let mut fields = before.split(' ').skip(3);
    fits.then(|| Some((unescape(fields.next()?), unescape(fields.next()?)))).flatten()
}

#[cfg(test)]
mod tests;
