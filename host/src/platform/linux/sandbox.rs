//! The box around code that we do not trust: user, capabilities, Landlock, seccomp.
//!
//! Owns the order in which it is closed and the report of what this machine lacks. It is closed by the process that is
//! to be boxed, once, on its only thread, and never opened again. Resource limits were set before, at the start.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::spec::Credentials;
use crate::error::SandboxError;

mod credentials;
mod landlock;
mod seccomp;

/// What the user of the process becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum UserChange {
    /// This user, without any capability. Skipped, and reported, where this process is not root.
    To(Credentials),
    /// This user, with the one capability to read every file. Needs Landlock, else every file could be read.
    ToReading(Credentials),
    /// Stays root, with the capabilities to read, write and own files only.
    Root,
}

/// How the box is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Files and directory trees that may be read. Those that are not there are skipped.
    pub read: Vec<PathBuf>,
    /// Files and directory trees that may be changed. Those that are not there are skipped.
    pub write: Vec<PathBuf>,
    /// Directories in which new files may be made although they are not in `write` (second line only).
    pub make: Vec<PathBuf>,
    /// The user.
    pub user: UserChange,
    /// Whether a missing Landlock or seccomp refuses the run.
    pub required: bool,
}

impl Plan {
    /// Nothing may be touched.
    pub fn nothing(user: Credentials) -> Self {
        Self { read: Vec::new(), write: Vec::new(), make: Vec::new(), user: UserChange::To(user), required: false }
    }
}

/// What the box is made of on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxReport {
    /// Version of Landlock that is in force.
    pub landlock: Option<u32>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// Whether the user was changed.
    pub uid_dropped: bool,
    /// What is missing, in words.
    pub missing: Vec<String>,
}

/// The box that is closed except for system calls: what must still be done (linking, say) is done now.
#[derive(Debug)]
pub struct Closed {
    report: SandboxReport,
    filter: seccomp::Filter,
    required: bool,
}

/// Closes everything except the filter of system calls.
///
/// # Errors
/// A step failed that must not, or something that `required` or the user change insists on is missing.
pub fn close(plan: &Plan) -> Result<Closed, SandboxError> {
    let mut report = SandboxReport::default();
    let mut lacking = Vec::new();
    rustix::thread::set_no_new_privs(true).map_err(|error| step("give up new privileges", error))?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|error| step("become undumpable", error))?;
    // Built first: its paths are opened while everything can still be opened.
    let ruleset = landlock::ruleset(plan);
    let filter = seccomp::Filter::build(!plan.read.is_empty() || !plan.write.is_empty(), !plan.write.is_empty());
    report.uid_dropped = credentials::change(&plan.user)?;
    if !report.uid_dropped && !matches!(plan.user, UserChange::Root) {
        report
            .missing
            .push("an unprivileged user: this process is not root, so the plugin has the same user".to_owned());
    }
    match ruleset.and_then(landlock::restrict) {
        Ok(abi) => {
            report.landlock = Some(abi);
            if abi < landlock::WANTED {
                report.missing.push(format!("parts of Landlock: version {abi} of {}", landlock::WANTED));
            }
        }
        Err(reason) => lacking.push(format!("Landlock: {reason}")),
    }
    let filter = filter.unwrap_or_else(|reason| {
        lacking.push(format!("seccomp: {reason}"));
        seccomp::Filter::none()
    });
    let insists = plan.required || matches!(plan.user, UserChange::ToReading(_));
    if insists && !lacking.is_empty() {
        return Err(SandboxError::Required(lacking));
    }
    report.missing.extend(lacking);
    Ok(Closed { report, filter, required: insists })
}

impl Closed {
    /// What is known so far.
    pub fn report(&self) -> &SandboxReport {
        &self.report
    }

    /// Filters system calls from here on: no program, no socket, no thread, no executable memory any more.
    ///
    /// # Errors
    /// The kernel refused the filter and it is insisted on.
    pub fn filter(mut self) -> Result<SandboxReport, SandboxError> {
        match self.filter.apply() {
            Ok(applied) => self.report.seccomp = applied,
            Err(reason) if self.required => return Err(SandboxError::Required(vec![format!("seccomp: {reason}")])),
            Err(reason) => self.report.missing.push(format!("seccomp: {reason}")),
        }
        Ok(self.report)
    }
}

/// What this machine can do, without closing anything: for inventories and `orderly-agent` at start.
pub fn probe() -> SandboxReport {
    let mut report = SandboxReport { uid_dropped: super::users::is_root(), ..SandboxReport::default() };
    match landlock::available() {
        Ok(abi) => report.landlock = Some(abi),
        Err(reason) => report.missing.push(format!("Landlock: {reason}")),
    }
    report.seccomp = seccomp::available();
    if !report.seccomp {
        report.missing.push("seccomp: the kernel has no filter mode".to_owned());
    }
    if !report.uid_dropped {
        report.missing.push("an unprivileged user: the agent does not run as root".to_owned());
    }
    report
}

fn step(doing: &'static str, source: impl Into<io::Error>) -> SandboxError {
    SandboxError::Step { doing, source: source.into() }
}
