//! The order: the one document that makes an agent act.
//!
//! Owns what an order can say and the bounds of it. It never decides whether an order is followed: that is `verify`,
//! then the agent's policy. Everything that an agent does, a stop included, is an order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    document::{self, Document},
    envelope::ORDER_TYPE,
    error::Invalid,
    merkle::{MAX_TARGETS, Targets},
};

mod file;
mod repeat;
mod script;

pub use file::{CollectAction, FileAction, MAX_FILE_BYTES, MAX_NAME_BYTES, MAX_PATH_BYTES};
pub use repeat::{Due, MAX_FREQUENCY_BYTES, Misfire, Overlap, Repeat, Series};
pub use script::{
    Container, MAX_CPU_PERCENT, MAX_LAUNCHER_BYTES, MAX_MEMORY_MIB, MAX_PROCESSES, Resources, ScriptAction, ScriptKind,
    Substitution, Termination,
};

/// Most parameters, and most environment variables, of one order.
pub const MAX_VALUES: usize = 64;
/// Longest value of a parameter or an environment variable, in bytes: 64 KiB, as the model's parameters.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Longest time-out: seven days.
pub const MAX_TIMEOUT_S: u32 = 7 * 24 * 60 * 60;
/// Largest content of a script, in bytes: 16 MiB.
pub const MAX_CONTENT_BYTES: u64 = 16 * 1024 * 1024;
/// Most output that an agent is asked to keep, in bytes: 16 MiB.
pub const MAX_OUTPUT_BYTES: u32 = 16 * 1024 * 1024;

/// An order, for one invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Always 1.
    pub version: u32,
    /// Its id, `o-…`. The same id with another digest is refused as replayed.
    pub order: String,
    /// The invocation that it is for, `t-…`.
    pub invocation: String,
    /// On whose behalf, for people and the log: 1 to 256 bytes.
    pub principal: String,
    /// When it was signed, unix milliseconds.
    pub issued_ms: i64,
    /// From when on it may be accepted, unix milliseconds.
    pub not_before_ms: i64,
    /// Until when, exclusive, it may be accepted, unix milliseconds.
    pub expires_ms: i64,
    /// For which instances.
    pub targets: Targets,
    /// What to do.
    pub action: Action,
    /// When to do it.
    #[serde(default, skip_serializing_if = "Repeat::is_once")]
    pub repeat: Repeat,
}

/// What an order says to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Run a script.
    Script(ScriptAction),
    /// Run a plugin.
    Plugin {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// SHA-256 of the component.
        component: Digest,
        /// SHA-256 of the manifest.
        manifest: Digest,
        /// Parameters, at most [`MAX_VALUES`].
        parameters: BTreeMap<String, String>,
        /// Seconds until it is ended, 1 to [`MAX_TIMEOUT_S`].
        timeout_s: u32,
        /// Bytes of output to keep, at most [`MAX_OUTPUT_BYTES`].
        output_bytes: u32,
    },
    /// Put a file on the instance.
    File(FileAction),
    /// Send a file of the instance to the server.
    Collect(CollectAction),
    /// Stop the task that another order began, or would begin.
    Stop {
        /// Digest of that order.
        order: Digest,
        /// The invocation that that order is for.
        invocation: String,
    },
}

impl Order {
    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        document::version_1(self.version)?;
        document::id("order", &self.order, "o-")?;
        document::id("invocation", &self.invocation, "t-")?;
        document::text("principal", &self.principal, 256, document::line)?;
        document::times(("issued_ms", self.issued_ms), ("expires_ms", self.expires_ms))?;
        document::times(("not_before_ms", self.not_before_ms), ("expires_ms", self.expires_ms))?;
        document::within("targets.count", self.targets.count, 1, MAX_TARGETS as u64)?;
        self.repeat.validate()?;
        if !self.repeat.is_once() && matches!(self.action, Action::Stop { .. }) {
            return Err(Invalid::new("repeat", "does not go with a stop"));
        }
        self.action.validate()
    }
}

impl Action {
    fn validate(&self) -> Result<(), Invalid> {
        match self {
            Self::Script(script) => script.validate(),
            Self::Plugin { name, version, parameters, timeout_s, output_bytes, .. } => {
                document::plugin_name("action.name", name)?;
                document::text("action.version", version, 64, document::word)?;
                values("action.parameters", parameters, document::word)?;
                run_limits(*timeout_s, *output_bytes)
            }
            Self::File(file) => file.validate(),
            Self::Collect(collect) => collect.validate(),
            Self::Stop { invocation, .. } => document::id("action.invocation", invocation, "t-"),
        }
    }
}

fn within_timeout(timeout_s: u32) -> Result<(), Invalid> {
    document::within("action.timeout_s", u64::from(timeout_s), 1, u64::from(MAX_TIMEOUT_S))
}

fn run_limits(timeout_s: u32, output_bytes: u32) -> Result<(), Invalid> {
    within_timeout(timeout_s)?;
    document::within("action.output_bytes", u64::from(output_bytes), 0, u64::from(MAX_OUTPUT_BYTES))
}

fn values(field: &str, map: &BTreeMap<String, String>, fits: impl Fn(char) -> bool) -> Result<(), Invalid> {
    document::within(field, map.len() as u64, 0, MAX_VALUES as u64)?;
    for (name, value) in map {
        document::text(field, name, 128, &fits)?;
        if value.len() > MAX_VALUE_BYTES || value.contains('\0') {
            let problem = format!("must have at most {MAX_VALUE_BYTES} bytes, none of them zero");
            return Err(Invalid::new(format!("{field}.{name}"), problem));
        }
    }
    Ok(())
}

impl Document for Order {
    const TYPE: &'static str = ORDER_TYPE;
    const NAME: &'static str = "order";

    fn bounds(&self) -> Result<(), Invalid> {
        self.validate()
    }
}

#[cfg(test)]
mod tests;
