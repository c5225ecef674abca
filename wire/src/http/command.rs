//! Commands that are kept: what lists show, what one is in a version, who changed what and when.

use std::collections::BTreeMap;

use orderly_model::command::CommandDraft;
use orderly_signing::digest::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/commands`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCommand {
    /// What it is: `name`, `type`, `content` and the rest.
    #[schema(value_type = Object)]
    pub command: CommandDraft,
    /// Labels of the command; at most 20.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// `PUT /v1/commands/{id}`: a new version. What runs keeps the version that it was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeCommand {
    /// The version that the change was made from; refused where there is a newer one.
    pub from: u32,
    /// The whole command as it is to be.
    #[schema(value_type = Object)]
    pub command: CommandDraft,
    /// The labels from now on; those that there are stay where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// `POST /v1/commands/{id}/clone`: a new command that is the same under another name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneCommand {
    /// The new command's name.
    pub name: String,
    /// Of which version; of the newest where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// The query of `GET /v1/commands`; what is absent does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListCommands {
    /// The name begins with this; capitals count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The name holds this; capitals count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// `shell`, `powershell`, `bat` or `plugin`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `key=value` pairs joined by commas, all of which it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// The last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Rows of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The query of `GET /v1/commands/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowCommand {
    /// Which version; the newest where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// The query of `GET /v1/commands/{id}/versions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListVersions {
    /// The last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Rows of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A version of a command: who changed what, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// From 1.
    pub version: u32,
    /// Its name in this version.
    pub name: String,
    /// Its description in this version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// SHA-256 of the script, which an order that runs it names; absent for a plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub content: Option<Digest>,
    /// Bytes of the script.
    pub content_bytes: u64,
    /// When.
    pub changed_ms: i64,
    /// On whose behalf: the token's name.
    pub changed_by: String,
}

/// A command in one of its versions, the newest in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandView {
    /// `c-…`
    pub id: String,
    /// `shell`, `powershell`, `bat` or `plugin`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version that is shown.
    #[serde(flatten)]
    pub shown: VersionView,
    /// The newest version.
    pub newest: u32,
    /// Its labels, which all versions share.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created_ms: i64,
    /// On whose behalf: the token's name.
    pub created_by: String,
    /// When it was run last, in whatever version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_ms: Option<i64>,
}

/// One version with all that it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandDetail {
    /// As lists show it.
    #[serde(flatten)]
    pub view: CommandView,
    /// What it is, as it can be changed and sent back.
    #[schema(value_type = Object)]
    pub command: CommandDraft,
}

/// Run a command that is kept. Where the request carries an order, the order must say what this version and these values make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// `c-…`
    pub id: String,
    /// Which version; the newest where absent (never absent with an order).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Values of its parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The user to run as, instead of the command's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The working directory, instead of the command's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Seconds, instead of the command's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Bytes of output to keep; 24 KiB where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u32>,
}

/// A command in one of its versions, where it is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandRef {
    /// `c-…`
    pub id: String,
    /// From 1.
    pub version: u32,
}
