//! What an order says of a script.
//!
//! Owns the fields and their bounds. Content never lies in the order, only its digest does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MAX_CONTENT_BYTES, run_limits, values};
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
}

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
        run_limits(self.timeout_s, self.output_bytes)
    }
}
