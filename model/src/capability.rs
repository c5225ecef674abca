//! What a plugin may touch, as a closed list in parsed form: asked by a manifest, approved by the
//! security team, allowed by an instance's owner. One child module per capability says how it is
//! written and what it means; enforcing it is `orderly-host`'s.
//!
//! The interfaces `log` and `report` are no capabilities: everybody has them, as they touch
//! nothing but the task itself, whose output and report are capped anyway.

mod document;
mod environment;
mod files;
mod flags;
mod http;
mod process;
mod user;

use std::fmt;
use std::str::FromStr;

use orderly_signing::keyring::Tier;

use crate::error::{ParseError, serde_by_text};
use crate::name::EnvName;

pub use document::{CapabilitiesError, CapabilityFault, CapabilityTable};
pub use environment::unsafe_name;
pub use files::PathPattern;
pub use flags::Flag;
pub use http::{HostPattern, HttpRule, HttpTarget, Method, Scheme};
pub use process::{ArgumentPattern, ProcessRule};
pub use user::RunAs;

/// Everything that a plugin may touch. The default is nothing at all.
///
/// Lists are sets: neither order nor repetition means anything, and [`Capabilities::normalise`]
/// takes both away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Files and trees that may be read.
    pub files_read: Vec<PathPattern>,
    /// Files and trees that may be read, written, made and removed.
    pub files_write: Vec<PathPattern>,
    /// Whether `files_read` reads past permissions, as root would (CAP_DAC_READ_SEARCH); nothing else.
    pub files_privileged: bool,
    /// Requests that may be sent.
    pub http: Vec<HttpRule>,
    /// Programs that may be started.
    pub process: Vec<ProcessRule>,
    /// Variables of the agent's environment that may be seen.
    pub environment: Vec<EnvName>,
    /// Whether the clock is real; else it stands at the task's start.
    pub clock: bool,
    /// Whether random bytes are random; else they follow from the order's digest.
    pub random: bool,
    /// Whether the instance's facts and tags may be seen.
    pub facts: bool,
    /// Whether the mounted file systems may be seen.
    pub mounts: bool,
    /// The user that the plugin's process runs as.
    pub user: RunAs,
}

impl Capabilities {
    /// Nothing at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sorts the lists and removes what is there twice.
    pub fn normalise(&mut self) {
        fn set<T: Ord>(list: &mut Vec<T>) {
            list.sort();
            list.dedup();
        }
        set(&mut self.files_read);
        set(&mut self.files_write);
        set(&mut self.http);
        set(&mut self.process);
        set(&mut self.environment);
    }

    /// How much harm a plugin with these capabilities could do: the highest tier that any of them reaches.
    ///
    /// Programs → process; requests → network; writing → write; reading past permissions, or
    /// running as any user but the unprivileged one → privileged read; else read only.
    pub fn tier(&self) -> Tier {
        if !self.process.is_empty() {
            Tier::PluginProcess
        } else if !self.http.is_empty() {
            Tier::PluginNetwork
        } else if !self.files_write.is_empty() {
            Tier::PluginWrite
        } else if self.files_privileged || self.user != RunAs::Unprivileged {
            Tier::PluginPrivilegedRead
        } else {
            Tier::PluginReadOnly
        }
    }

    /// Whether one of the flags is set.
    pub fn flag(&self, flag: Flag) -> bool {
        match flag {
            Flag::Clock => self.clock,
            Flag::Random => self.random,
            Flag::Facts => self.facts,
            Flag::Mounts => self.mounts,
        }
    }

    /// Whether there is anything of this kind, so that its interface is linked.
    pub fn has(&self, kind: CapabilityKind) -> bool {
        match kind {
            // What may be written may be read: the interface `files` serves both.
            CapabilityKind::FilesRead => !self.files_read.is_empty() || !self.files_write.is_empty(),
            CapabilityKind::FilesWrite => !self.files_write.is_empty(),
            CapabilityKind::FilesPrivileged => self.files_privileged,
            CapabilityKind::Http => !self.http.is_empty(),
            CapabilityKind::Process => !self.process.is_empty(),
            CapabilityKind::Environment => !self.environment.is_empty(),
            CapabilityKind::Clock => self.clock,
            CapabilityKind::Random => self.random,
            CapabilityKind::Facts => self.facts,
            CapabilityKind::Mounts => self.mounts,
            CapabilityKind::User => self.user != RunAs::Unprivileged,
        }
    }

    /// Whether the file or directory at this path may be read.
    pub fn allows_read(&self, path: &crate::name::AbsolutePath) -> bool {
        self.files_read.iter().chain(&self.files_write).any(|pattern| pattern.allows(path))
    }

    /// Whether the file or directory at this path may be written, made or removed.
    pub fn allows_write(&self, path: &crate::name::AbsolutePath) -> bool {
        self.files_write.iter().any(|pattern| pattern.allows(path))
    }

    /// The rule that lets this request out: one that reaches private addresses, where there is one.
    pub fn allows_http(&self, target: &HttpTarget<'_>) -> Option<&HttpRule> {
        let fits = || self.http.iter().filter(|rule| rule.allows(target));
        fits().find(|rule| rule.private).or_else(|| fits().next())
    }

    /// The first rule that lets this program start with these arguments (without argument zero).
    pub fn allows_process(&self, executable: &crate::name::AbsolutePath, arguments: &[&str]) -> Option<&ProcessRule> {
        self.process.iter().find(|rule| rule.allows(executable, arguments))
    }
}

/// The kinds of capabilities, by the names that manifests, receipts and refusals use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapabilityKind {
    /// `files.read`
    FilesRead,
    /// `files.write`
    FilesWrite,
    /// `files.privileged`
    FilesPrivileged,
    /// `http`
    Http,
    /// `process`
    Process,
    /// `environment`
    Environment,
    /// `clock`
    Clock,
    /// `random`
    Random,
    /// `facts`
    Facts,
    /// `mounts`
    Mounts,
    /// `user`
    User,
}

impl CapabilityKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::FilesRead,
        Self::FilesWrite,
        Self::FilesPrivileged,
        Self::Http,
        Self::Process,
        Self::Environment,
        Self::Clock,
        Self::Random,
        Self::Facts,
        Self::Mounts,
        Self::User,
    ];

    /// The name in manifests, receipts and refusals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FilesRead => "files.read",
            Self::FilesWrite => "files.write",
            Self::FilesPrivileged => "files.privileged",
            Self::Http => "http",
            Self::Process => "process",
            Self::Environment => "environment",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Facts => "facts",
            Self::Mounts => "mounts",
            Self::User => "user",
        }
    }
}

impl FromStr for CapabilityKind {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            ParseError::new("capability", text, format!("write one of {}", all.join(", ")))
        })
    }
}

impl fmt::Display for CapabilityKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(CapabilityKind);

#[cfg(test)]
pub(crate) mod tests;
