//! Commands that are kept: what they are, their versions, and what may change. Owns every rule of a command's fields, told all at
//! once; never signs and never runs one. What a command says is signed when it is run, not when it is stored.
//!
//! A [`CommandDraft`] is what people write and what is stored, all texts; [`CommandDraft::check`] is the only way to a [`Command`],
//! whose fields are values. A [`StoredCommand`] has an id and versions from 1; a run keeps the version that it was started with.
//! What a run overrides (time-out, user, directory) is a change of the draft before it is checked.

mod check;
mod container;
mod content;
mod draft;
mod resources;

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use orderly_signing::order::{Container, ScriptAction, ScriptKind, Termination};

use crate::error::{ParseError, serde_by_text};
use crate::id::CommandId;
use crate::name::{CommandName, EnvName, PluginName, PluginVersion, UserName};
use crate::parameter::{ParameterSpec, Values};
use crate::template::{Launcher, Substitution};

pub use container::{ContainerId, ContainerName, ContainerRef, Runtime};
pub use content::{ContentEncoding, ContentLimits, ContentTooLarge, ContentUse};
pub use draft::{CommandDraft, CommandFault, ContainerDraft, PluginDraft};
pub use resources::{ResourceFault, ResourceLimits};

/// What a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandType {
    /// A shell script.
    Shell,
    /// A PowerShell script.
    PowerShell,
    /// A batch file.
    Bat,
    /// A plugin.
    Plugin,
}

impl CommandType {
    const ALL: [Self; 4] = [Self::Shell, Self::PowerShell, Self::Bat, Self::Plugin];

    /// As documents have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::PowerShell => "powershell",
            Self::Bat => "bat",
            Self::Plugin => "plugin",
        }
    }

    /// Cloud Assistant's word; it has none for plugins.
    pub fn cloud_assistant(self) -> Option<&'static str> {
        match self {
            Self::Shell => Some("RunShellScript"),
            Self::PowerShell => Some("RunPowerShellScript"),
            Self::Bat => Some("RunBatScript"),
            Self::Plugin => None,
        }
    }

    /// The type that Cloud Assistant's word means, with its capitals.
    pub fn from_cloud_assistant(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|this| this.cloud_assistant() == Some(word))
    }

    /// What runs it; nothing for plugins.
    pub fn script_kind(self) -> Option<ScriptKind> {
        match self {
            Self::Shell => Some(ScriptKind::Shell),
            Self::PowerShell => Some(ScriptKind::PowerShell),
            Self::Bat => Some(ScriptKind::Bat),
            Self::Plugin => None,
        }
    }
}

impl From<ScriptKind> for CommandType {
    fn from(kind: ScriptKind) -> Self {
        match kind {
            ScriptKind::Shell => Self::Shell,
            ScriptKind::PowerShell => Self::PowerShell,
            ScriptKind::Bat => Self::Bat,
        }
    }
}

impl FromStr for CommandType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|this| this.as_str() == text);
        known.ok_or_else(|| ParseError::new("command type", text, "write `shell`, `powershell`, `bat` or `plugin`"))
    }
}

impl fmt::Display for CommandType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(CommandType);

/// A command of which every field keeps its rules. Made by [`CommandDraft::check`] only; its fields can be read, not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command(CommandSpec);

/// The fields of a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// For people; unique where the server says so.
    pub name: CommandName,
    /// At most 512 characters.
    pub description: String,
    /// What is run.
    pub body: CommandBody,
}

/// What a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandBody {
    /// A script.
    Script(Box<ScriptSpec>),
    /// A plugin; its newest approved version where none is named.
    Plugin {
        /// Its name.
        name: PluginName,
        /// Its version.
        version: Option<PluginVersion>,
        /// Seconds until a run is ended, 1 to 86,400; what its manifest says where absent.
        timeout_s: Option<u32>,
    },
}

/// A script and how it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptSpec {
    /// What runs it.
    pub kind: ScriptKind,
    /// The content, before substitution.
    pub content: Vec<u8>,
    /// Seconds until it is ended, 1 to 86,400.
    pub timeout_s: u32,
    /// The working directory: for a shell script an absolute path, else what the instance's system takes.
    pub working_dir: Option<String>,
    /// Whom it runs as; the agent's own user where absent.
    pub user: Option<UserName>,
    /// The program that starts it.
    pub launcher: Option<Launcher>,
    /// The container that it runs in.
    pub container: Option<ContainerRef>,
    /// Environment variables, none of which begins with `ORDERLY_`.
    pub environment: Vec<(EnvName, String)>,
    /// What it reads from its standard input.
    pub stdin: Option<String>,
    /// What is ended with it.
    pub termination: Termination,
    /// What its tree may use.
    pub resources: Option<ResourceLimits>,
    /// Whether the exit codes that power off and restart an instance do so.
    pub exit_effects: bool,
    /// How values reach it.
    pub substitution: Substitution,
    /// What it takes: as declared, else as its placeholders imply.
    pub parameters: Vec<ParameterSpec>,
}

impl Deref for Command {
    type Target = CommandSpec;

    fn deref(&self) -> &CommandSpec {
        &self.0
    }
}

impl Command {
    /// What the command is.
    pub fn kind(&self) -> CommandType {
        match &self.0.body {
            CommandBody::Script(script) => script.kind.into(),
            CommandBody::Plugin { .. } => CommandType::Plugin,
        }
    }
}

impl ScriptSpec {
    /// What an order says of this script. Secret values are not in it: an order is no place for them.
    pub fn action(&self, command: Option<CommandId>, values: &Values, output_bytes: u32) -> ScriptAction {
        let public = values.iter().filter(|(name, _)| !values.is_secret(name));
        ScriptAction {
            interpreter: self.kind,
            user: self.user.as_ref().map(ToString::to_string),
            cwd: self.working_dir.clone(),
            timeout_s: self.timeout_s,
            termination: self.termination,
            environment: self.environment.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            output_bytes,
            command: command.map(|id| id.to_string()),
            substitution: self.substitution,
            parameters: public.map(|(name, value)| (name.to_string(), value.to_owned())).collect(),
            launcher: self.launcher.as_ref().map(ToString::to_string),
            stdin: self.stdin.clone(),
            resources: self.resources.map(Into::into),
            exit_effects: self.exit_effects,
            container: self.container.as_ref().map(|container| Container {
                id: container.id().map(ToString::to_string),
                name: container.name().map(ToString::to_string),
            }),
            ..ScriptAction::new(&self.content)
        }
    }
}

/// A command that is kept, in one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommand {
    /// Its id, the same for all versions.
    pub id: CommandId,
    /// From 1.
    pub version: u32,
    /// What it is in this version.
    pub command: Command,
}

/// Why a command is not deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("command {id} is not deleted: {open} of its tasks have not ended; stop their invocations first")]
pub struct StillRunning {
    /// Which command.
    pub id: CommandId,
    /// How many tasks of any of its versions are open, schedules included.
    pub open: u64,
}

impl StoredCommand {
    /// Version 1 of a new command.
    ///
    /// # Errors
    /// All faults of the draft.
    pub fn create(id: CommandId, draft: &CommandDraft, limits: &ContentLimits) -> Result<Self, Vec<CommandFault>> {
        Ok(Self { id, version: 1, command: draft.check(limits, ContentUse::Stored)? })
    }

    /// The next version; this one where nothing changes. Runs that are under way keep the version that they have.
    ///
    /// `from` is the version that the draft was made from.
    ///
    /// # Errors
    /// All faults of the draft; another type; a `from` that is not this version, as somebody else was faster.
    pub fn modify(&self, from: u32, draft: &CommandDraft, limits: &ContentLimits) -> Result<Self, Vec<CommandFault>> {
        let mut faults = Vec::new();
        if from != self.version {
            let problem = format!("is {from}, but the command is at version {}: look at that one first", self.version);
            faults.push(CommandFault::new("version", problem));
        }
        let kind = self.command.kind();
        if draft.kind.parse::<CommandType>().is_ok_and(|other| other != kind) {
            let problem = format!("cannot change from `{kind}`: create another command");
            faults.push(CommandFault::new("type", problem));
        }
        let Some(version) = self.version.checked_add(1) else {
            return Err(vec![CommandFault::new("version", "cannot go on: clone the command")]);
        };
        match draft.check(limits, ContentUse::Stored) {
            Ok(_) if !faults.is_empty() => Err(faults),
            Ok(command) if command == self.command => Ok(self.clone()),
            Ok(command) => Ok(Self { id: self.id, version, command }),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }

    /// A new command that is the same under another name.
    ///
    /// # Errors
    /// The name is none, or the content is larger than a server whose limits were lowered still takes.
    pub fn clone_as(&self, id: CommandId, name: &str, limits: &ContentLimits) -> Result<Self, Vec<CommandFault>> {
        let draft = CommandDraft { name: name.to_owned(), ..self.command.draft() };
        Self::create(id, &draft, limits)
    }

    /// Whether the command can be deleted while so many of its tasks are open.
    ///
    /// # Errors
    /// Where there is any.
    pub fn check_delete(&self, open: u64) -> Result<(), StillRunning> {
        if open == 0 { Ok(()) } else { Err(StillRunning { id: self.id, open }) }
    }
}

#[cfg(test)]
mod tests;
