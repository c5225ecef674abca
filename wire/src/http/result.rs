//! Results of many tasks at once: those that are alike, and all of them page by page.

use orderly_model::report::{FindingVerdict, Severity};
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// By what results are put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupBy {
    /// By status and by the whole output, byte for byte.
    #[default]
    Output,
    /// By status, exit code and error code.
    Exit,
    /// By what the rules of a plugin came to.
    Finding,
}

/// The query of `GET /v1/invocations/{id}/groups`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListGroups {
    /// By what; `output` where absent.
    #[serde(default)]
    pub by: GroupBy,
    /// The most groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The results of an invocation, put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultGroups {
    /// By what.
    pub by: GroupBy,
    /// The groups: the largest first; of findings what failed first, and of that the worst.
    pub groups: Vec<ResultGroup>,
    /// How many more groups there are.
    pub more: u64,
    /// How often a finding was put into no group, since there were too many different ones: the counts of groups are whole, but
    /// there are more of them than `more` says. Nothing but findings is left out.
    pub left_out: u64,
}

/// Tasks that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultGroup {
    /// How many tasks.
    pub count: u64,
    /// The first of their instances, at most 10.
    pub instances: Vec<GroupMember>,
    /// Their status; absent in groups of findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Their exit code, in groups by exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Their error code, in groups by exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What all of them wrote, in groups by output; absent for tasks without a receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<GroupOutput>,
    /// What they found, in groups of findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<GroupFinding>,
}

/// An instance of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupMember {
    /// Its id.
    #[schema(value_type = String)]
    pub id: InstanceId,
    /// Its name.
    pub name: String,
}

/// The output of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupOutput {
    /// SHA-256 of the whole output, as the receipts say.
    #[schema(value_type = String)]
    pub sha256: Digest,
    /// How it begins, as the first instance has it: at most 4 KiB, what is not UTF-8 replaced.
    pub sample: String,
    /// Whether there is more.
    pub cut: bool,
}

/// The finding of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupFinding {
    /// Id of the rule.
    pub id: String,
    /// One line for people, as the first instance has it.
    pub title: String,
    /// How bad it is where it fails.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// What the rule came to.
    #[schema(value_type = String)]
    pub verdict: FindingVerdict,
}

/// The query of `GET /v1/invocations/{id}/results`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListResults {
    /// The last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most rows of the page. Pages of large results have fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
