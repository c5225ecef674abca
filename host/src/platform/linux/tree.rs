//! A task's process tree: everything that its programs start, however they try to leave it.
//!
//! Owns the choice between a cgroup and supervisors, the identity by which a restarted agent finds a tree again, and
//! ending it. "Ended" is said only when nothing is alive. A tree that is dropped is killed.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::cgroup::{self, Cgroup};
use super::process::{self, ProcessIdentity};
use super::quota::{self, Beside, Hits, Place, Quota};
use super::supervise::Control;
use crate::error::TreeError;

mod adopt;

pub use adopt::Stranger;

/// How long killed processes are waited for. Longer means stuck in the kernel (a dead network file system).
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// How long a dropped tree is waited for, so that its directory can go. One that was terminated is not waited for.
const DROPPED_WITHIN: Duration = Duration::from_millis(100);

/// How trees are followed on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeKind {
    /// A cgroup v2 directory per task.
    Cgroup,
    /// A supervisor process per program.
    Supervisor,
}

/// Makes trees, in the best way that this machine and this user have.
#[derive(Clone, Debug)]
pub struct Trees {
    place: Option<PathBuf>,
    group: String,
    /// Looked for when the first limits are asked for.
    limited: Arc<OnceLock<Result<Place, String>>>,
    supervisor: PathBuf,
}

impl Trees {
    /// Looks for a usable cgroup v2; without one, `supervisor` is started with [`super::supervise::SUPERVISE_ARGUMENT`]
    /// for each program.
    ///
    /// `group` tells apart several agents on one machine: 1-64 of letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// `group` is no such name.
    pub fn probe(group: &str, supervisor: &Path) -> Result<Self, TreeError> {
        check_name(group)?;
        Ok(Self { place: cgroup::find_place(group), group: group.to_owned(), ..Self::supervised(supervisor) })
    }

    /// Uses supervisors whatever the machine has.
    pub fn supervised(supervisor: &Path) -> Self {
        Self { place: None, group: String::new(), limited: Arc::default(), supervisor: supervisor.to_owned() }
    }

    /// Removes the directories of trees that were let live on, or whose agent died, and in which nothing is alive any more.
    /// For a start only: it takes a tree for one that was left that another process with this group has just made.
    pub fn sweep(&self) {
        self.place.iter().for_each(|place| cgroup::sweep(place));
    }

    /// How the trees are followed.
    pub fn kind(&self) -> TreeKind {
        match self.place {
            Some(_) => TreeKind::Cgroup,
            None => TreeKind::Supervisor,
        }
    }

    /// The directory of a tree called `name`, before it is made: what a journal may write down beforehand.
    ///
    /// Nothing with supervisors, which end by themselves when the agent does.
    pub fn planned(&self, name: &str, quota: &Quota) -> Option<TreeIdentity> {
        let place = match self.limited_place(quota) {
            Ok(Some(Place::Unified(place))) => place,
            _ => self.place.as_ref()?,
        };
        Some(TreeIdentity::Cgroup { path: place.join(name) })
    }

    /// Whether trees can be held to this quota here.
    ///
    /// # Errors
    /// A sentence on what this machine lacks.
    pub fn can_limit(&self, quota: &Quota) -> Result<(), String> {
        self.limited_place(quota).map(|_| ())
    }

    /// Nothing where nothing is to be limited.
    fn limited_place(&self, quota: &Quota) -> Result<Option<&Place>, String> {
        if quota.is_empty() {
            return Ok(None);
        }
        if self.place.is_none() {
            return Err("limits need cgroup v2, which this agent cannot use here".to_owned());
        }
        let place = self.limited.get_or_init(|| Place::find(&self.group)).as_ref().map_err(Clone::clone)?;
        place.holds(quota).map(|()| Some(place))
    }

    /// Makes an empty tree. `name` is unique among the living ones: 1-128 of letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// `name` is no such name or taken, or the cgroup cannot be made.
    pub fn create(&self, name: &str) -> Result<Tree, TreeError> {
        self.create_limited(name, &Quota::default())
    }

    /// Makes an empty tree that is held to this quota.
    ///
    /// # Errors
    /// As [`Trees::create`], or the limits cannot be set.
    pub fn create_limited(&self, name: &str, quota: &Quota) -> Result<Tree, TreeError> {
        check_name(name)?;
        let place = self.limited_place(quota).map_err(|reason| TreeError::Limits { reason })?;
        if let Some(Place::Unified(place)) = place {
            let tree = Tree { follower: Follower::Cgroup(Cgroup::create(place, name)?), beside: None, released: false };
            if let Follower::Cgroup(cgroup) = &tree.follower {
                quota::limit(cgroup, quota)?;
            }
            return Ok(tree);
        }
        let beside = match place {
            Some(Place::Split(places)) => Some(Beside::create(places, name, quota)?),
            _ => None,
        };
        let follower = match &self.place {
            Some(place) => Follower::Cgroup(Cgroup::create(place, name)?),
            None => Follower::Supervisors(Supervisors {
                program: self.supervisor.clone(),
                controls: Mutex::default(),
                reopened: Vec::new(),
            }),
        };
        Ok(Tree { follower, beside, released: false })
    }
}

fn check_name(name: &str) -> Result<(), TreeError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fits) {
        return Ok(());
    }
    Err(TreeError::Name(name.chars().take(128).collect()))
}

/// By what a restarted agent finds a tree again. Goes into its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TreeIdentity {
    /// The cgroup's directory.
    Cgroup {
        /// Absolute path.
        path: PathBuf,
    },
    /// The supervisors of its programs.
    Supervisors {
        /// Those that were started when the identity was taken.
        processes: Vec<ProcessIdentity>,
    },
}

/// The tree of one task.
#[derive(Debug)]
pub struct Tree {
    follower: Follower,
    /// Its limits, where they do not lie in its own directory. Dropped behind the follower, so that it is empty.
    beside: Option<Beside>,
    released: bool,
}

#[derive(Debug)]
pub(crate) enum Follower {
    Cgroup(Cgroup),
    Supervisors(Supervisors),
}

#[derive(Debug)]
pub(crate) struct Supervisors {
    program: PathBuf,
    /// Held for pushes and copies only, never over an await.
    controls: Mutex<Vec<Arc<Control>>>,
    /// Supervisors of an earlier life of the agent.
    reopened: Vec<ProcessIdentity>,
}

impl Supervisors {
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn add(&self, control: Arc<Control>) {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner).push(control);
    }

    fn controls(&self) -> Vec<Arc<Control>> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Living processes of an earlier agent's tree, the supervisors among them.
    fn survivors(&self) -> Result<Vec<ProcessIdentity>, TreeError> {
        let mut found = Vec::new();
        for supervisor in self.reopened.iter().filter(|supervisor| supervisor.is_alive()) {
            found.extend(process::descendants(supervisor.pid).map_err(TreeError::ProcessTable)?);
            found.push(*supervisor);
        }
        Ok(found)
    }

    async fn emptied(&self) -> Result<(), TreeError> {
        for control in self.controls() {
            control.gone().await.map_err(TreeError::ProcessTable)?;
        }
        // Only after a restart: their supervisor kills them by itself, having lost the agent.
        while !self.survivors()?.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    fn kill(&self) -> Result<(), TreeError> {
        self.controls().iter().for_each(|control| control.kill());
        // Not the supervisors themselves: without them their trees would be lost.
        for process in self.survivors()?.iter().filter(|process| !self.reopened.contains(process)) {
            process.signal(Signal::KILL);
        }
        Ok(())
    }

    fn is_empty(&self) -> Result<bool, TreeError> {
        Ok(self.controls().iter().all(|control| !control.is_alive()) && self.survivors()?.is_empty())
    }
}

impl Tree {
    /// Finds a tree that an earlier agent made. One that is gone is an empty tree.
    ///
    /// # Errors
    /// The cgroup cannot be opened although it is there.
    pub fn reopen(identity: &TreeIdentity) -> Result<Self, TreeError> {
        let gone = |processes| {
            Follower::Supervisors(Supervisors {
                program: PathBuf::new(),
                controls: Mutex::default(),
                reopened: processes,
            })
        };
        let follower = match identity {
            TreeIdentity::Cgroup { path } => match Cgroup::open(path.clone()) {
                Ok(cgroup) => Follower::Cgroup(cgroup),
                Err(TreeError::Cgroup { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    gone(Vec::new())
                }
                Err(error) => return Err(error),
            },
            TreeIdentity::Supervisors { processes } => gone(processes.clone()),
        };
        Ok(Self { follower, beside: None, released: false })
    }

    pub(crate) fn follower(&self) -> &Follower {
        &self.follower
    }

    /// What a new process of it writes itself into.
    pub(crate) fn doors(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.beside.as_ref().map_or(Ok(Vec::new()), Beside::doors)
    }

    /// How often it was held back by its limits so far.
    pub fn hits(&self) -> Hits {
        match &self.follower {
            Follower::Cgroup(cgroup) => quota::hits(cgroup, self.beside.as_ref()),
            Follower::Supervisors(_) => Hits::default(),
        }
    }

    /// By what this tree is found again. A cgroup's is known from the start, supervisors only once programs run.
    pub fn identity(&self) -> TreeIdentity {
        match &self.follower {
            Follower::Cgroup(cgroup) => TreeIdentity::Cgroup { path: cgroup.path().to_owned() },
            Follower::Supervisors(supervisors) => TreeIdentity::Supervisors {
                processes: supervisors
                    .controls()
                    .iter()
                    .map(|control| control.identity())
                    .chain(supervisors.reopened.iter().copied())
                    .collect(),
            },
        }
    }

    /// Whether nothing of it is alive.
    ///
    /// # Errors
    /// The cgroup or the process table cannot be read.
    pub fn is_empty(&self) -> Result<bool, TreeError> {
        match &self.follower {
            Follower::Cgroup(cgroup) => cgroup.is_empty(),
            Follower::Supervisors(supervisors) => supervisors.is_empty(),
        }
    }

    /// Waits until nothing of it is alive.
    ///
    /// # Errors
    /// As [`Tree::is_empty`].
    pub async fn emptied(&self) -> Result<(), TreeError> {
        match &self.follower {
            Follower::Cgroup(cgroup) => cgroup.emptied().await,
            Follower::Supervisors(supervisors) => supervisors.emptied().await,
        }
    }

    /// Ends all of it: SIGTERM, up to `grace` for a clean end, then SIGKILL. Returns when nothing is alive.
    ///
    /// # Errors
    /// Something is still alive 10 seconds after it was killed, or the cgroup cannot be used.
    pub async fn terminate(&self, grace: Duration) -> Result<(), TreeError> {
        if self.is_empty()? {
            return Ok(());
        }
        if !grace.is_zero() {
            match &self.follower {
                Follower::Cgroup(cgroup) => cgroup.signal(Signal::TERM)?,
                Follower::Supervisors(supervisors) => {
                    supervisors.controls().iter().for_each(|control| control.terminate());
                    supervisors.survivors()?.iter().for_each(|process| {
                        process.signal(Signal::TERM);
                    });
                }
            }
            if let Ok(done) = tokio::time::timeout(grace, self.emptied()).await {
                return done;
            }
        }
        self.kill()?;
        match tokio::time::timeout(KILLED_WITHIN, self.emptied()).await {
            Ok(done) => done,
            Err(_) => Err(TreeError::StillAlive { count: self.count()?, seconds: KILLED_WITHIN.as_secs() }),
        }
    }

    fn kill(&self) -> Result<(), TreeError> {
        match &self.follower {
            Follower::Cgroup(cgroup) => cgroup.kill(),
            Follower::Supervisors(supervisors) => supervisors.kill(),
        }
    }

    fn count(&self) -> Result<usize, TreeError> {
        match &self.follower {
            Follower::Cgroup(cgroup) => cgroup.count(),
            Follower::Supervisors(supervisors) => {
                let mut count = supervisors.survivors()?.len();
                for control in supervisors.controls().iter().filter(|control| control.is_alive()) {
                    count += process::descendants(control.identity().pid).map_err(TreeError::ProcessTable)?.len();
                }
                Ok(count)
            }
        }
    }

    /// Lets what is left live on by itself (a service that a script started on purpose).
    pub fn release(mut self) {
        self.released = true;
        if let Follower::Supervisors(supervisors) = &self.follower {
            supervisors.controls().iter().for_each(|control| control.release());
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.released && !matches!(self.is_empty(), Ok(true)) {
            let _ = self.kill();
            if let Follower::Cgroup(cgroup) = &self.follower {
                cgroup.settle(DROPPED_WITHIN);
            }
        }
        if let Follower::Cgroup(cgroup) = &self.follower
            && let Err(error) = cgroup.remove()
            && !self.released
        {
            tracing::debug!(path = %cgroup.path().display(), %error, "a task's cgroup stays for now");
        }
    }
}
