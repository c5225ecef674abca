//! Invocations: one command on a batch of instances.

use std::collections::BTreeMap;

use orderly_model::rollout::RolloutPolicy;
use orderly_signing::instance::InstanceId;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::command::{CommandRef, RunCommand};
use super::file::{RunCollect, RunFile};
use super::rollout::RolloutView;
use super::script::ScriptOptions;
use super::series::{RunSeries, SeriesView};

/// `POST /v1/invocations`
///
/// With `order` the caller has signed the order itself and the server only checks that it says the same as the rest
/// of the request; `targets` must then name ids. Without it the server makes and signs the order, which instances obey
/// only where the fleet's policy accepts the dispatch signature alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvocation {
    /// What to run.
    pub run: Run,
    /// Where.
    pub targets: Targets,
    /// The caller's signed order: a DSSE envelope in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::frame::optional_base64_bytes")]
    #[schema(value_type = Option<String>)]
    pub order: Option<Vec<u8>>,
    /// Seconds within which an instance must have accepted it, else `Aborted`; 60 where absent, at most 7 days. In a rollout they begin
    /// for each instance when its task is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_deadline_s: Option<u32>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether instances check everything and tell what would run, and run nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// How it spreads over the instances; to all at once where absent. The order must live long enough for all waves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub rollout: Option<RolloutPolicy>,
    /// When it is due: a schedule or a boot mode of a script or plugin; once and at once where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<RunSeries>,
}

/// What an invocation runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Run {
    /// A script.
    Script(RunScript),
    /// A plugin.
    Plugin(RunPlugin),
    /// A command that is kept.
    Command(RunCommand),
    /// Putting a file on the instances.
    File(RunFile),
    /// Collecting a file from the instances.
    Collect(RunCollect),
}

/// A script to run. Where the request carries an order these must equal what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunScript {
    /// `shell`, `powershell` or `bat`.
    pub interpreter: String,
    /// The script, in Base64.
    #[serde(with = "crate::frame::base64_bytes")]
    #[schema(value_type = String)]
    pub content: Vec<u8>,
    /// The user to run as; the agent's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The working directory; the user's home where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Seconds; 60 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Bytes of output to keep; 24 KiB where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u32>,
    /// How it is started, what it gets, what it may use and how it ends.
    #[serde(default, skip_serializing_if = "ScriptOptions::is_empty")]
    pub options: ScriptOptions,
}

/// A plugin to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunPlugin {
    /// Its name.
    pub name: String,
    /// Its version; the newest approved where absent (never absent with an order).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Values of its parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Seconds; the manifest's limit where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Bytes of output to keep; 24 KiB where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u32>,
}

/// Where an invocation runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Targets {
    /// On these instances.
    Instances(Vec<InstanceId>),
    /// On all that have these tags now.
    Tags(BTreeMap<String, String>),
}

/// How [`Targets`] shows in the OpenAPI document, where ids are plain text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code)]
enum TargetsShape {
    /// On these instances.
    Instances(Vec<String>),
    /// On all that have these tags now.
    Tags(BTreeMap<String, String>),
}

impl PartialSchema for Targets {
    fn schema() -> RefOr<Schema> {
        TargetsShape::schema()
    }
}

impl ToSchema for Targets {}

/// An invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InvocationView {
    /// `t-…`
    pub id: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `script`, `plugin`, `file` or `collect`.
    pub kind: String,
    /// What was run, in one line: the plugin with its version, or the start of the script.
    pub summary: String,
    /// The command that it runs, where it is one that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandRef>,
    /// The status over all tasks (see `counts`).
    pub status: String,
    /// How many tasks have each status; statuses without tasks are left out.
    pub counts: BTreeMap<String, u64>,
    /// How many instances it is for.
    pub targets: u64,
    /// On whose behalf.
    pub principal: String,
    /// When it was made.
    pub created_ms: i64,
    /// When the last task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<i64>,
    /// Until when an instance may accept it.
    pub delivery_deadline_ms: i64,
    /// SHA-256 of the order's PAE, `sha256:…`.
    pub order: String,
    /// How its rollout goes, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutView>,
    /// When it is due, where it is a series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesView>,
}

/// `POST /v1/invocations/{id}/stop`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopInvocation {
    /// Only on these instances; on all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub instances: Vec<InstanceId>,
}

/// `GET /v1/invocations/{id}/evidence`: what an auditor needs to check an invocation without the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// The order, a DSSE envelope.
    #[schema(value_type = Object)]
    pub order: serde_json::Value,
    /// Every instance of the target set, sorted.
    #[schema(value_type = Vec<String>)]
    pub targets: Vec<InstanceId>,
}
