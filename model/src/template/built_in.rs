//! What every script can know of its run without declaring it. Owns the names, who is believed for which, and the environment
//! variables that carry them.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{CommandId, InvocationId};
use crate::name::{EnvName, TagKey};
use crate::selector::Tags;
use crate::template::fault::TemplateProblem;

/// Most bytes of a built-in that the server told and that is pasted as text.
const TEXT_MAX_BYTES: usize = 128;
/// Most bytes of an extension with its dot.
const EXTENSION_MAX_BYTES: usize = 32;

/// One built-in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuiltIn {
    /// `ACS::RegionId`: where the fleet says that the instance is.
    RegionId,
    /// `ACS::AccountId`: whose the fleet is.
    AccountId,
    /// `ACS::InstanceId`
    InstanceId,
    /// `ACS::InstanceName`: the instance's name for people.
    InstanceName,
    /// `ACS::InvokeId`: the invocation, `t-…`.
    InvokeId,
    /// `ACS::CommandId`: the stored command, `c-…`.
    CommandId,
    /// `ACS::Tag::KEY`: the value of the instance's tag.
    Tag(TagKey),
}

/// What is known of one run on one instance. What is not known has no value: a script that names it is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltIns {
    /// Told by the server.
    pub region_id: Option<String>,
    /// Told by the server.
    pub account_id: Option<String>,
    /// Known by the instance itself.
    pub instance_id: crate::InstanceId,
    /// Told by the server.
    pub instance_name: Option<String>,
    /// From the signed order.
    pub invocation_id: InvocationId,
    /// From the signed order; nothing where no stored command is run.
    pub command_id: Option<CommandId>,
    /// Told by the server.
    pub tags: Tags,
}

impl BuiltIn {
    /// Reads what follows `ACS::`. Cloud Assistant's names, with their capitals.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateProblem> {
        match text {
            "RegionId" => Ok(Self::RegionId),
            "AccountId" => Ok(Self::AccountId),
            "InstanceId" => Ok(Self::InstanceId),
            "InstanceName" => Ok(Self::InstanceName),
            "InvokeId" => Ok(Self::InvokeId),
            "CommandId" => Ok(Self::CommandId),
            _ => match text.split_once("::").map(|(space, key)| (space.trim_end(), key.trim_start())) {
                Some(("Tag", key)) => {
                    let key = key.parse::<TagKey>();
                    key.map(Self::Tag).map_err(|error| TemplateProblem::NoTag { why: error.why().to_owned() })
                }
                _ => Err(TemplateProblem::NoBuiltIn),
            },
        }
    }

    /// The environment variable that carries it; none for a tag whose key has characters that have no place in one.
    pub fn variable(&self) -> Option<EnvName> {
        let (prefix, rest) = match self {
            Self::RegionId => ("ORDERLY_", "REGION_ID".to_owned()),
            Self::AccountId => ("ORDERLY_", "ACCOUNT_ID".to_owned()),
            Self::InstanceId => ("ORDERLY_", "INSTANCE_ID".to_owned()),
            Self::InstanceName => ("ORDERLY_", "INSTANCE_NAME".to_owned()),
            Self::InvokeId => ("ORDERLY_", "INVOCATION_ID".to_owned()),
            Self::CommandId => ("ORDERLY_", "COMMAND_ID".to_owned()),
            Self::Tag(key) => ("ORDERLY_TAG_", tag_variable(key)?),
        };
        format!("{prefix}{rest}").parse().ok()
    }

    /// Whether only the server knows it, so that what it says is not trusted to be part of a script.
    pub fn is_told_by_server(&self) -> bool {
        matches!(self, Self::RegionId | Self::AccountId | Self::InstanceName | Self::Tag(_))
    }
}

fn tag_variable(key: &TagKey) -> Option<String> {
    let place = |c: char| match c {
        'a'..='z' => Some(c.to_ascii_uppercase()),
        'A'..='Z' | '0'..='9' | '_' => Some(c),
        '-' | '.' | '/' | ' ' => Some('_'),
        _ => None,
    };
    key.as_str().chars().map(place).collect()
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegionId => out.write_str("ACS::RegionId"),
            Self::AccountId => out.write_str("ACS::AccountId"),
            Self::InstanceId => out.write_str("ACS::InstanceId"),
            Self::InstanceName => out.write_str("ACS::InstanceName"),
            Self::InvokeId => out.write_str("ACS::InvokeId"),
            Self::CommandId => out.write_str("ACS::CommandId"),
            Self::Tag(key) => write!(out, "ACS::Tag::{key}"),
        }
    }
}

impl BuiltIns {
    /// The value of a built-in, whatever it holds.
    pub fn get(&self, built_in: &BuiltIn) -> Option<&str> {
        match built_in {
            BuiltIn::RegionId => self.region_id.as_deref(),
            BuiltIn::AccountId => self.account_id.as_deref(),
            BuiltIn::InstanceId => Some(self.instance_id.as_str()),
            BuiltIn::InstanceName => self.instance_name.as_deref(),
            BuiltIn::InvokeId => Some(self.invocation_id.as_str()),
            BuiltIn::CommandId => self.command_id.as_ref().map(CommandId::as_str),
            BuiltIn::Tag(key) => self.tags.get(key).map(|value| value.as_str()),
        }
    }

    /// The value of a built-in as it may be pasted into a script: what the server told only where it is
    /// `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}` without `..`, so that it is neither an option nor a way out of a directory.
    pub(super) fn as_text(&self, built_in: &BuiltIn) -> Result<&str, TemplateProblem> {
        let value = self.get(built_in).ok_or(TemplateProblem::Missing)?;
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
        let begins = value.starts_with(|c: char| c.is_ascii_alphanumeric());
        let fits = begins && value.len() <= TEXT_MAX_BYTES && value.chars().all(harmless) && !value.contains("..");
        if fits || !built_in.is_told_by_server() {
            return Ok(value);
        }
        let variable = built_in.variable().map(|variable| variable.to_string()).unwrap_or_default();
        Err(TemplateProblem::Unsafe { variable })
    }

    /// The variables of all that is known. A value with a zero byte has none.
    pub(super) fn variables(&self) -> BTreeMap<EnvName, String> {
        use BuiltIn as B;
        let mut all = vec![B::RegionId, B::AccountId, B::InstanceId, B::InstanceName, B::InvokeId, B::CommandId];
        all.extend(self.tags.keys().cloned().map(B::Tag));
        let mut variables: BTreeMap<EnvName, Option<String>> = BTreeMap::new();
        for built_in in all {
            let (Some(variable), Some(value)) = (built_in.variable(), self.get(&built_in)) else { continue };
            if value.contains('\0') {
                continue;
            }
            // A second tag with the same variable takes it from both.
            variables.entry(variable).and_modify(|value| *value = None).or_insert_with(|| Some(value.to_owned()));
        }
        variables.into_iter().filter_map(|(variable, value)| Some((variable, value?))).collect()
    }
}

/// The script's file, in a launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptFile {
    /// What the file's name ends with, with its dot; nothing where the launcher does not say.
    pub(super) extension: Option<String>,
}

impl ScriptFile {
    /// Reads what follows `ACS::`; nothing where it is something else.
    pub(super) fn parse(text: &str) -> Option<Result<Self, TemplateProblem>> {
        let rest = text.strip_prefix("ScriptFileName")?.trim_start();
        if rest.is_empty() {
            return Some(Ok(Self { extension: None }));
        }
        let option = rest.strip_prefix('|')?.trim();
        let quoted = option.strip_prefix("Ext(").and_then(|rest| rest.strip_suffix(')')).map(str::trim);
        let extension = quoted.and_then(|rest| rest.strip_prefix('"')).and_then(|rest| rest.strip_suffix('"'));
        let extension = extension.filter(|extension| is_extension(extension));
        Some(match extension {
            Some(extension) => Ok(Self { extension: Some(extension.to_owned()) }),
            None => Err(TemplateProblem::Extension),
        })
    }
}

fn is_extension(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.strip_prefix('.').is_some_and(|rest| {
        let parts_are_there = rest.split('.').all(|part| !part.is_empty());
        text.len() <= EXTENSION_MAX_BYTES && parts_are_there && rest.chars().all(known)
    })
}
