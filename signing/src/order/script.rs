//! What an order says of a script.
//!
//! Owns the fields and their bounds. Content never lies in the order, only its digest does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MAX_CONTENT_BYTES, MAX_VALUE_BYTES, run_limits, values};
use crate::{digest::Digest, document, error::Invalid};

/// Run a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptAction {
    /// What runs it.
    pub interpreter: ScriptKind,
    /// SHA-256 of the content, before anything is substituted in it.
    pub content: Digest,
    /// Length of the content in bytes, 1 to [`MAX_CONTENT_BYTES`].
    pub content_bytes: u64,
    /// The user to run as; without it the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The working directory; without it the user's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Seconds until it is ended, 1 to [`super::MAX_TIMEOUT_S`].
    pub timeout_s: u32,
    /// What is ended with it.
    pub termination: Termination,
    /// Environment variables, at most [`super::MAX_VALUES`].
    pub environment: BTreeMap<String, String>,
    /// Bytes of output to keep, at most [`super::MAX_OUTPUT_BYTES`].
    pub output_bytes: u32,
    /// The stored command that it comes from, `c-…`: the built-in `CommandId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How parameters and built-ins reach the script.
    #[serde(default, skip_serializing_if = "Substitution::is_off")]
    pub substitution: Substitution,
    /// Parameters, at most [`super::MAX_VALUES`]; none where substitution is off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The line of the program that starts the script, 1 to [`MAX_LAUNCHER_BYTES`]; without it the interpreter's own way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// What the script reads from its standard input, at most [`super::MAX_VALUE_BYTES`]; nothing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// What its tree may use of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Whether the exit codes that power off and restart an instance do so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_effects: bool,
    /// The container to run in; without it on the instance itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

/// How parameters and built-ins reach a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Substitution {
    /// Not at all: double braces in the content mean nothing.
    #[default]
    Off,
    /// As environment variables, never as text.
    Environment,
    /// As text in the content, as Cloud Assistant does it.
    Text,
}

impl Substitution {
    /// Whether it is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// What a script's process tree may use, at least one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processor time in percent of one processor, 1 to [`MAX_CPU_PERCENT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// Memory in MiB, 4 to [`MAX_MEMORY_MIB`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Processes and threads at a time, 1 to [`MAX_PROCESSES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

/// A container on the instance: by id, by name, or by both, which must then agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Its id, as the model's grammar has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Longest launcher: 1 KiB (ECS API 5.3).
pub const MAX_LAUNCHER_BYTES: usize = 1024;
/// Most of processor time: 1024 processors.
pub const MAX_CPU_PERCENT: u32 = 102_400;
/// Most of memory: 16 TiB.
pub const MAX_MEMORY_MIB: u32 = 16 * 1024 * 1024;
/// Most of processes: what Linux can have at all (`PID_MAX_LIMIT`).
pub const MAX_PROCESSES: u32 = 4 * 1024 * 1024;
/// Longest id or name of a container, in bytes.
const MAX_CONTAINER_BYTES: usize = 256;

/// What runs a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptKind {
    /// The script's own first line, else `sh`.
    Shell,
    /// PowerShell.
    #[serde(rename = "powershell")]
    PowerShell,
    /// The Windows command processor.
    Bat,
}

/// What is ended when a task is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Termination {
    /// The script's process.
    Process,
    /// The script's process and all that it began.
    ProcessTree,
}

impl ScriptAction {
    /// A shell script with this content and nothing else asked for: the agent's user, its home, 60 s, the whole tree
    /// ended, 24 KiB of output kept.
    #[must_use]
    pub fn new(content: &[u8]) -> Self {
        Self {
            interpreter: ScriptKind::Shell,
            content: Digest::of(content),
            content_bytes: content.len() as u64,
            user: None,
            cwd: None,
            timeout_s: 60,
            termination: Termination::ProcessTree,
            environment: BTreeMap::new(),
            output_bytes: 24 * 1024,
            command: None,
            substitution: Substitution::Off,
            parameters: BTreeMap::new(),
            launcher: None,
            stdin: None,
            resources: None,
            exit_effects: false,
            container: None,
        }
    }

    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        document::within("action.content_bytes", self.content_bytes, 1, MAX_CONTENT_BYTES)?;
        if let Some(user) = &self.user {
            document::text("action.user", user, 64, document::line)?;
        }
        if let Some(cwd) = &self.cwd {
            document::text("action.cwd", cwd, 4096, document::line)?;
        }
        values("action.environment", &self.environment, |c| c.is_ascii_alphanumeric() || c == '_')?;
        if self.environment.keys().any(|name| name.starts_with(|c: char| c.is_ascii_digit())) {
            return Err(Invalid::new("action.environment", "has a name that begins with a digit"));
        }
        if let Some(command) = &self.command {
            document::id("action.command", command, "c-")?;
        }
        values("action.parameters", &self.parameters, document::word)?;
        if self.substitution.is_off() && !self.parameters.is_empty() {
            return Err(Invalid::new("action.parameters", "reach no script while `substitution` is off"));
        }
        if let Some(launcher) = &self.launcher {
            document::text("action.launcher", launcher, MAX_LAUNCHER_BYTES, document::line)?;
        }
        if self.stdin.as_ref().is_some_and(|stdin| stdin.len() > MAX_VALUE_BYTES) {
            return Err(Invalid::new("action.stdin", format!("must have at most {MAX_VALUE_BYTES} bytes")));
        }
        self.resources.map_or(Ok(()), Resources::validate)?;
        self.container.as_ref().map_or(Ok(()), Container::validate)?;
        run_limits(self.timeout_s, self.output_bytes)
    }
}

impl Resources {
    fn validate(self) -> Result<(), Invalid> {
        let bounds = [
            ("action.resources.cpu_percent", self.cpu_percent, 1, MAX_CPU_PERCENT),
            ("action.resources.memory_mib", self.memory_mib, 4, MAX_MEMORY_MIB),
            ("action.resources.processes", self.processes, 1, MAX_PROCESSES),
        ];
        if bounds.iter().all(|(_, value, ..)| value.is_none()) {
            return Err(Invalid::new("action.resources", "limits nothing"));
        }
        for (field, value, least, most) in bounds {
            if let Some(value) = value {
                document::within(field, u64::from(value), least, u64::from(most))?;
            }
        }
        Ok(())
    }
}

impl Container {
    fn validate(&self) -> Result<(), Invalid> {
        if self.id.is_none() && self.name.is_none() {
            return Err(Invalid::new("action.container", "has neither id nor name"));
        }
        for (field, value) in [("action.container.id", &self.id), ("action.container.name", &self.name)] {
            if let Some(value) = value {
                document::text(field, value, MAX_CONTAINER_BYTES, |c| document::word(c) || matches!(c, '/' | ':'))?;
            }
        }
        Ok(())
    }
}
