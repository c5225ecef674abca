//! A command as people write it, and back. Owns the shape of drafts; `check` owns their rules.

use std::collections::BTreeMap;
use std::fmt::Display;

use orderly_signing::order::{Resources, Termination};
use serde::{Deserialize, Serialize};

use super::{Command, CommandBody, CommandSpec, ContentEncoding, ScriptSpec};
use crate::parameter::ParameterSpec;
use crate::template::{Substitution, Template};

/// A command as people write it. Everything that a script can have is refused for a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandDraft {
    /// 1-128 characters.
    pub name: String,
    /// At most 512 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `shell`, `powershell`, `bat` or `plugin`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// How the script is written here: `PlainText` (where absent) or `Base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginDraft>,
    /// Seconds, 1 to 86,400; 60 for a script where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The user to run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// At most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// The container to run in; shell scripts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerDraft>,
    /// At most 64 variables of at most 64 KiB each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// `process` or `process-tree` (where absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination: Option<Termination>,
    /// Limits of the script's tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Whether exit codes power off and restart the instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_effects: bool,
    /// `environment` (where absent, the safe way), `text` (Cloud Assistant's way) or `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitution: Option<Substitution>,
    /// At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterSpec>,
}

/// A plugin as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginDraft {
    /// Its name.
    pub name: String,
    /// Its version; the newest approved one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A container as people write it: id, name or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerDraft {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One thing that is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct CommandFault {
    /// The draft's field: `working_dir`, `environment.LANG`, `parameters.my-name`.
    pub field: String,
    /// What is wrong, in words that follow the field.
    pub problem: String,
}

impl CommandFault {
    pub(super) fn new(field: impl Into<String>, problem: impl Display) -> Self {
        Self { field: field.into(), problem: problem.to_string() }
    }
}

impl Command {
    /// The draft that this command is: what is stored, shown and edited. Checking it gives the same command.
    pub fn draft(&self) -> CommandDraft {
        let CommandSpec { name, description, body } = &self.0;
        let draft = CommandDraft {
            name: name.to_string(),
            description: description.clone(),
            kind: self.kind().to_string(),
            ..CommandDraft::default()
        };
        match body {
            CommandBody::Plugin { name, version, timeout_s } => {
                let version = version.as_ref().map(ToString::to_string);
                let plugin = Some(PluginDraft { name: name.to_string(), version });
                CommandDraft { plugin, timeout_s: *timeout_s, ..draft }
            }
            CommandBody::Script(script) => script.fill(draft),
        }
    }
}

impl ScriptSpec {
    fn fill(&self, draft: CommandDraft) -> CommandDraft {
        let (encoding, content) = ContentEncoding::encode(&self.content);
        CommandDraft {
            content: Some(content),
            encoding: Some(encoding.to_string()),
            timeout_s: Some(self.timeout_s),
            working_dir: self.working_dir.clone(),
            user: self.user.as_ref().map(ToString::to_string),
            launcher: self.launcher.as_ref().map(ToString::to_string),
            container: self.container.as_ref().map(|container| ContainerDraft {
                id: container.id().map(ToString::to_string),
                name: container.name().map(ToString::to_string),
            }),
            environment: self.environment.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            stdin: self.stdin.clone(),
            termination: Some(self.termination),
            resources: self.resources.map(Into::into),
            exit_effects: self.exit_effects,
            substitution: Some(self.substitution),
            parameters: self.declared(),
            ..draft
        }
    }

    /// The parameters without those that the content implies, so that who edits the content need not edit them too.
    fn declared(&self) -> Vec<ParameterSpec> {
        let implied =
            || Template::parse(std::str::from_utf8(&self.content).ok()?).ok().map(|template| template.implied());
        if self.substitution == Substitution::Text && implied().as_ref() == Some(&self.parameters) {
            return Vec::new();
        }
        self.parameters.clone()
    }
}
