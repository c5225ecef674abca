//! Tasks: an invocation on one instance, with its result.

use orderly_model::report::Report;
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::to_server::KeptOutput;

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// The invocation.
    pub invocation: String,
    /// The instance.
    #[schema(value_type = String)]
    pub instance: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// The run number.
    pub generation: u32,
    /// One of the instance-level statuses, such as `Success`.
    pub status: String,
    /// The error code of the result, such as `DeliveryTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The check that failed, where the instance refused the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<i64>,
    /// Bytes of output in all.
    pub output_bytes: u64,
    /// Bytes of output that were dropped.
    pub dropped_bytes: u64,
    /// SHA-256 of the whole output, dropped bytes too, as the receipt says; absent where there is no receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub output_digest: Option<Digest>,
}

/// A task with all that is kept of its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskDetail {
    /// As lists show it.
    #[serde(flatten)]
    pub view: TaskView,
    /// What was kept of the output; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub output: Option<KeptOutput>,
    /// What a plugin reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub report: Option<Report>,
    /// The receipt, a DSSE envelope; absent until it ended, and for a task that never reached its instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub receipt: Option<serde_json::Value>,
}

/// The query of `GET /v1/invocations/{id}/tasks`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListTasks {
    /// Only tasks of this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Rows of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
