//! Live events: server-sent events of `GET /v1/invocations/{id}/events`.
//!
//! The stream starts with the state as it is, then tells changes, and ends after `end`. Output is a lossy view; what is
//! stored when a task ends is the truth.

use std::collections::BTreeMap;

use orderly_signing::instance::InstanceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::rollout::RolloutView;
use crate::http::task::TaskView;
use crate::to_server::Segment;

/// One event. The SSE `event` field is the `type`, `data` is this JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum InvocationEvent {
    /// A task's state, first as it is and then at every change.
    Task(Box<TaskView>),
    /// Output of a running task.
    Output {
        /// The instance.
        #[schema(value_type = String)]
        instance: InstanceId,
        /// Bytes of the task's whole output before this.
        offset: u64,
        /// The bytes.
        #[schema(value_type = Vec<Object>)]
        segments: Vec<Segment>,
    },
    /// How far a plugin is.
    Progress {
        /// The instance.
        #[schema(value_type = String)]
        instance: InstanceId,
        /// Units done.
        done: u32,
        /// Units in all; 0 where unknown.
        total: u32,
        /// What it is doing.
        message: String,
    },
    /// The invocation's status and counts, at every change.
    Counts {
        /// The status over all tasks.
        status: String,
        /// How many tasks have each status.
        counts: BTreeMap<String, u64>,
        /// How its rollout goes, where it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollout: Option<Box<RolloutView>>,
    },
    /// Some events were left out since the client read too slowly; it should read the tasks again.
    Lagged,
    /// All tasks have ended; nothing follows.
    End {
        /// The final status.
        status: String,
        /// How many tasks have each status.
        counts: BTreeMap<String, u64>,
    },
}
